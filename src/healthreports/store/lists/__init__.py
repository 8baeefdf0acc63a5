"""Finds the rows of a list and counts them."""
