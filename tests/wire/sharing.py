"""An account for a whole module of tests: for those that do not look at all of it."""

from collections.abc import Iterator
from contextlib import contextmanager

from conftest import Account, Server, make_account
from healthreports.store.engine.database import Database


@contextmanager
def open_account(server: Server, database: Database) -> Iterator[Account]:
    """Make an account, and close its clients in the end."""
    made = make_account(server, database)
    yield made
    for client in made.clients.values():
        client.close()
