"""Workspaces, users and who participates where."""
