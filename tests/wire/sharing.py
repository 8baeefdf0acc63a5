"""An account that all tests of a module share, if they do not depend on all of its content."""

from collections.abc import Iterator
from contextlib import contextmanager

from conftest import Account, Server, make_account
from healthreports.store.engine.database import Database


@contextmanager
def open_account(server: Server, database: Database) -> Iterator[Account]:
    """Make an account, and close its clients at the end."""
    made = make_account(server, database)
    yield made
    for client in made.clients.values():
        client.close()


def fill_account(account: Account) -> None:
    """Put a few objects of every kind into an account."""
    for number in range(3):
        reference = {"service_name": "tracker", "service_model": "Issue"}
        account.report(external_reference={**reference, "service_model_ref": str(number)})
    assert account.api.delete(f"/status_reports/{account.report()}").is_success
    for name in ("beta", "Alpha", "Ärger"):
        sent = {"name": name, "add_workspace_ids": account.workspaces}
        answer = account.api.post("/workspace_groups", json={"workspace_group": sent})
        assert answer.is_success, answer.text
