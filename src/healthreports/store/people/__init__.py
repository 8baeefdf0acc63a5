"""Accounts, their users, workspaces and who participates in them."""
