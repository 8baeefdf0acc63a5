"""Signing in, tokens, applications and consent."""
