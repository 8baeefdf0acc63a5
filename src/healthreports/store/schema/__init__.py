"""The tables, the migrations that make them, and bringing a database up to date."""
