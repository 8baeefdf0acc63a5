"""Pages of the people of an account and of a workspace."""
