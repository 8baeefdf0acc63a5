"""The ways to find a page of status reports, a class each, and the table that chooses one."""
