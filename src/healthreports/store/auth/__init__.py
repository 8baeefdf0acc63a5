"""Tokens, passwords, sessions and OAuth grants, kept as hashes."""
