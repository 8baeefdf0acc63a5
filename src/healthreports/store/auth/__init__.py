"""Tokens, passwords, sessions and OAuth grants, stored as hashes."""
