"""Helpers for every page: templates, forms and browser sessions."""
