"""Workspaces, users and participations."""
