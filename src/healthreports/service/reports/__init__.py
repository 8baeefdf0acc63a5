"""Writing, showing, sharing and importing status reports."""
