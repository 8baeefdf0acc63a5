"""Running statements on either database; nothing here depends on the tables."""
