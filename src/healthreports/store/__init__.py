"""SQL and nothing else: tables, selections, transactions, migrations."""
