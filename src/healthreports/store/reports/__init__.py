"""Writing reports, their external references, share links and imports."""
