"""The wire, pure: strings and dicts in, values out, and back."""
