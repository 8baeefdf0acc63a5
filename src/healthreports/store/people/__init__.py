"""Accounts and their users, workspaces and their participants."""
