"""The layer around every request: HTTP, request ids, time and size limits, error answers."""
