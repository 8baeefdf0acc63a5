"""New databases with as many records as one likes, made by the database itself."""

import sqlite3
from collections.abc import Callable
from contextlib import closing

import psycopg
from sqlalchemy.schema import CreateIndex, DropIndex

from healthreports.app import open_database
from healthreports.settings import Settings
from healthreports.store.lists import verify
from healthreports.store.schema.tables import external_references, status_reports
from healthreports.store.schema.upgrade import is_server, upgrade

Run = Callable[[str], object]
# What stands before a statement that reads the numbers from 1 to `last` as `i` from `n`.
NUMBERS = {
    False: "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {last}) ",
    True: "WITH n(i) AS (SELECT generate_series(1::bigint, {last})) ",
}


def filled(address: str, fill: Callable[[Run], None]) -> str:
    """A new database with what `fill` puts there; it does not look up what records refer to."""
    upgrade(address)
    if is_server(address):
        with psycopg.connect(address) as connection:
            connection.execute("SET session_replication_role = replica")
            _without_indexes(connection.execute, fill)
    else:
        with closing(sqlite3.connect(address, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA cache_size = -1000000")
            connection.execute("BEGIN")
            _without_indexes(connection.execute, fill)
            connection.execute("COMMIT")
    with closing(open_database(Settings(database=address, time_limit_s=86_400))) as database:
        database.write_here(verify.rebuild)
    if is_server(address):
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
    return address


def _without_indexes(run: Run, fill: Callable[[Run], None]) -> None:
    """Many records are in an index sooner when it is made of them all at once."""
    indexes = sorted(status_reports.indexes | external_references.indexes, key=lambda i: i.name)
    # Made in another way on each database: that one stays.
    indexes = [one for one in indexes if one.name != "ix_external_references_synced"]
    for index in indexes:
        run(str(DropIndex(index)))
    fill(run)
    for index in indexes:
        run(str(CreateIndex(index)))
