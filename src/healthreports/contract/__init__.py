"""The wire format, in pure functions: from strings and dicts to values, and back."""
