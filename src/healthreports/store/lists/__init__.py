"""Which rows a list has and how many there are."""
