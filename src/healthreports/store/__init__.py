"""All SQL: tables, selections, transactions, migrations."""
