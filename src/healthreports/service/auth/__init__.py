"""Tokens, signing in, and OAuth 2."""
