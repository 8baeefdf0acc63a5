"""The sample portfolio that `healthreports demo` loads."""
