"""A permanent deletion removes the data from every table, and nothing else."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Table

from conftest import Account, Server, make_account
from healthreports.app import now
from healthreports.core.errors import Invalid
from healthreports.core.vocabulary import AuditAction, Purged, Side
from healthreports.service import auditing, ending, purging
from healthreports.service.people import handing, members, workspaces
from healthreports.service.sweeping import sweep
from healthreports.store.engine.database import Database
from healthreports.store.lists import verify
from healthreports.store.people import accounts
from healthreports.store.people import workspaces as stored
from healthreports.store.schema.tables import metadata
from raw import execute

pytestmark = pytest.mark.both_stores

# What remains of a closed account: that it existed, and that it was purged.
STAYS = {"accounts", "account_versions", "purges"}


def rows(account: Account, table: Table, column: str, value: int) -> int:
    query = f'SELECT count(*) FROM "{table.name}" WHERE "{column}" = {value}'
    return execute(account.server_address, query)[0][0]


def tables_with(column: str) -> list[Table]:
    return [one for one in metadata.sorted_tables if column in one.c]


def filled(account: Account) -> int:
    """Fill a workspace with a record of every kind that can belong to it. Returns its id."""
    made = account.workspaces[0]
    api = account.api
    for color in ("green", "red", "yellow"):
        report = account.report(color=color, details=[{"category": "Scope", "color": color}])
        api.put(f"/status_reports/{report}", json={"status_report": {"description": "Other."}})
        reference = {"subject_type": "StatusReport", "subject_id": report}
        more = {"service_name": "jira", "service_model": "Issue", "service_model_ref": "A-1"}
        sent = {"external_reference": reference | more | {"status": "successful"}}
        assert api.post("/external_references/create_or_update", json=sent).is_success
    sent["external_reference"] |= {"subject_type": "Workspace", "subject_id": made}
    assert api.post("/external_references/create_or_update", json=sent).is_success
    assert api.delete(f"/status_reports/{account.report()}").is_success
    group = {"workspace_group": {"name": "Acme", "company": True, "workspace_ids": [made]}}
    created = api.post("/workspace_groups", json=group)
    assert created.is_success
    id_ = created.json()["results"][0]["id"]
    api.put(f"/workspace_groups/{id_}", json={"workspace_group": {"add_workspace_ids": [made]}})
    return int(made)


@pytest.fixture
def two(server: Server, database: Database) -> Iterator[tuple[Account, Account]]:
    made = make_account(server, database), make_account(server, database)
    for one in made:
        one.server_address = server.database  # type: ignore[attr-defined]  # for `rows`
    yield made
    for one in made:
        one.close()


def all_counts(account: Account, column: str, value: int) -> dict[str, int]:
    return {one.name: rows(account, one, column, value) for one in tables_with(column)}


def delete(database: Database, account_id: int, workspace_id: int) -> None:
    while database.write_here(
        lambda tx: ending.delete_piece(tx, account_id, workspace_id, now()), account_id
    ):
        pass


def test_nothing_of_a_workspace_is_left_and_all_of_others_is(
    two: tuple[Account, Account], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "_AT_ONCE", 2)  # so that several transactions are needed
    account, other = two
    gone, stays = filled(account), filled(other)
    database.write_here(lambda tx: workspaces.archive(tx, gone, now(), archived=True), account.id)
    before = all_counts(account, "workspace_id", stays)
    assert all_counts(account, "workspace_id", gone)["status_reports"] == 3
    delete(database, account.id, gone)
    left = {name: n for name, n in all_counts(account, "workspace_id", gone).items() if n}
    assert left == {}
    assert all_counts(account, "workspace_id", stays) == before
    assert database.write_here(verify.differences) == []
    assert account.api.get(f"/workspaces/{gone}").status_code == 404
    assert account.api.get("/status_reports").json()["count"] == 0
    assert account.api.get("/workspaces", params={"archived": "include"}).json()["count"] == 1
    assert other.api.get("/status_reports").json()["count"] == 3
    [last] = database.read_here(
        lambda tx: [one for some in auditing.pieces(tx, account.id) for one in some][-1:]
    )
    assert last.action is AuditAction.WORKSPACE_DELETED
    assert last.subject_id == gone
    # Deleting it again does no harm.
    delete(database, account.id, gone)
    assert database.read_here(lambda tx: list(auditing.verify(tx, account.id))) == []


def test_an_archived_workspace_takes_no_report_while_it_goes(
    two: tuple[Account, Account], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "_AT_ONCE", 1)
    account, _ = two
    gone = filled(account)
    database.write_here(lambda tx: workspaces.archive(tx, gone, now(), archived=True), account.id)
    assert database.write_here(lambda tx: ending.delete_piece(tx, account.id, gone, now()))
    sent = {"workspace_id": gone, "color": "green", "description": "More."}
    answer = account.api.post("/status_reports", json={"status_report": sent})
    assert answer.status_code == 403
    assert database.write_here(verify.differences) == []


def test_nothing_of_an_account_is_left_and_all_of_others_is(
    two: tuple[Account, Account], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "_AT_ONCE", 2)
    account, other = two
    filled(account)
    filled(other)
    before = all_counts(other, "account_id", other.id)
    database.write_here(lambda tx: ending.close(tx, account.id, now()), account.id)
    # From now on nobody is authenticated, even if data is still there.
    assert account.api.get("/status_reports").status_code == 401
    sweep(database, now, 30)
    left = {name for name, n in all_counts(account, "account_id", account.id).items() if n}
    assert left == STAYS - {"accounts"}
    users = ", ".join(str(one.id) for one in account.users.values())
    for table in tables_with("user_id"):
        query = f'SELECT count(*) FROM "{table.name}" WHERE user_id IN ({users})'
        assert execute(account.server_address, query)[0][0] == 0, table.name  # type: ignore[attr-defined]
    assert all_counts(other, "account_id", other.id) == before
    assert other.api.get("/status_reports").json()["count"] == 3
    assert database.write_here(verify.differences) == []
    names = [name for _, name, _ in database.read_here(accounts.accounts_by_id)]
    assert not [one for one in names if one.startswith("deleted")]
    # The search words of people are deleted, too: a new account finds nobody from before.
    assert sweep(database, now, 30) == 0


@pytest.mark.parametrize("what", [Purged.WORKSPACE, Purged.ACCOUNT])
def test_what_a_backup_brings_back_is_deleted_again(
    two: tuple[Account, Account], database: Database, what: Purged
) -> None:
    account, _ = two
    gone = filled(account)
    record = gone if what is Purged.WORKSPACE else account.id
    again = database.write_here(
        lambda tx: purging.replay(tx, account.id, what, record, now()), account.id
    )
    assert again
    assert (account.id, what, record) in [one[:3] for one in database.read_here(purging.purges)]
    assert rows(account, metadata.tables["status_reports"], "account_id", account.id) == 0


def test_places_are_handed_over_with_what_they_allow(
    two: tuple[Account, Account], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handing, "_AT_ONCE", 1)
    account, _ = two
    editor, viewer, outsider = (account.users[one] for one in ("editor", "viewer", "outsider"))
    first, second = map(int, account.workspaces)

    def before(tx: Any) -> None:
        place = workspaces.named(tx, second)
        assert place is not None
        workspaces.join(tx, second, outsider, "view", now(), side=Side.CLIENT)  # type: ignore[arg-type]

    database.write_here(before)
    for taker in (viewer, outsider):
        more = True
        giver = editor if taker is viewer else viewer
        while more:
            more = database.write_here(
                lambda tx, giver=giver, taker=taker: handing.hand_over_as_operator(
                    tx, giver, taker, now()
                )
            )
    places = database.read_here(lambda tx: stored.of_user(tx, account.id, outsider.id, 9))
    assert [(one.workspace_id, str(one.side), str(one.permission)) for one in places] == [
        (first, "provider", "admin"),
        (second, "client", "view"),  # on the other side: this one is not changed
    ]
    for gone in (editor, viewer):
        assert database.read_here(lambda tx, u=gone: stored.of_user(tx, account.id, u.id, 9)) == []
    assert database.write_here(verify.differences) == []


def test_nobody_takes_what_is_handed_to_oneself_or_to_who_is_disabled(
    two: tuple[Account, Account], database: Database
) -> None:
    account, _ = two
    editor, viewer = account.users["editor"], account.users["viewer"]
    database.write_here(lambda tx: members.disable(tx, viewer, now(), disabled=True))
    for taker in (editor, viewer):
        with pytest.raises(Invalid):
            database.write_here(
                lambda tx, taker=taker: handing.hand_over_as_operator(tx, editor, taker, now())
            )
    assert len(database.read_here(lambda tx: stored.of_user(tx, account.id, editor.id, 9))) == 2
