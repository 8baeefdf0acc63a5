"""Validation of request bodies: attributes as sent -> a draft, and every problem in it."""
