"""Change a database directly, without the server's knowledge; only tests do this."""

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg

from healthreports.store.schema.upgrade import is_server


def execute(address: str | Path, text: str, *values: object) -> list[tuple]:
    """Run one statement in its own transaction; `?` stands for a value. Returns its rows."""
    if is_server(str(address)):
        with psycopg.connect(address) as connection:
            cursor = connection.execute(text.replace("?", "%s"), values)
            return cursor.fetchall() if cursor.description else []
    with closing(sqlite3.connect(address)) as connection, connection:
        return connection.execute(text, values).fetchall()
