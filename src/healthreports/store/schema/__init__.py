"""The tables, their migrations, upgrades and backups."""
