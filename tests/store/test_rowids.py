"""SQLite first looks for a report by its id as rowid, and finds it under any other rowid."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from healthreports.app import now
from healthreports.core.access import Reach
from healthreports.core.model import Actor
from healthreports.core.query import Query, Sort
from healthreports.core.vocabulary import AccountPermission, Kind, Scope
from healthreports.service.people import accounts, members, workspaces
from healthreports.service.reports import reports
from healthreports.store.engine.database import Transaction
from healthreports.store.engine.sqlite import SqliteDatabase
from healthreports.store.lists import pages as records
from healthreports.store.lists.statements import Rows, rowid_statement
from healthreports.store.schema.upgrade import upgrade


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "x.sqlite3"
    upgrade(str(made))
    return made


@pytest.fixture
def database(path: Path) -> Iterator[SqliteDatabase]:
    opened = SqliteDatabase(path, 1.0)
    yield opened
    opened.close()


def write_three(tx: Transaction) -> tuple[int, list[int]]:
    """Create an account with three reports. Returns its id and theirs."""
    account_id = accounts.create_account(tx, "Acme", now())
    user = members.create_user(
        tx,
        account_id,
        full_name="Ann",
        email_address="ann@example.org",
        permission=AccountPermission.ADMINISTRATOR,
        now=now(),
    )
    actor = Actor(
        user_id=user.id,
        account_id=account_id,
        permission=AccountPermission.ADMINISTRATOR,
        token_id=None,
        scopes=frozenset(Scope),
        last_used_at=None,
    )
    sent = {
        "workspace_id": workspaces.make_workspace(tx, user, "Bridge", now()),
        "color": "green",
        "description": "On time.",
    }
    tx.new_ids("status_reports", 7)  # ids of other reports, or rolled back
    return account_id, [reports.create(tx, actor, sent, now()).id for _ in range(3)]


def found(database: SqliteDatabase, account_id: int, ids: list[int]) -> list[int]:
    query = Query(Kind.STATUS_REPORTS, only=tuple(ids))
    page = database.read_here(lambda tx: records.page(tx, query, Reach(account_id, None)))
    assert page.count == len(page.records)
    return [one.id for one in page.records]


def test_a_new_report_lies_where_its_id_says(database: SqliteDatabase, path: Path) -> None:
    _, ids = database.write_here(write_three)
    with closing(sqlite3.connect(path)) as raw:
        lies = raw.execute("SELECT rowid FROM status_reports ORDER BY id").fetchall()
    assert [rowid for (rowid,) in lies] == ids


@pytest.mark.parametrize("moved", [0, 1, 1_000])
def test_reports_are_found_wherever_they_lie(
    database: SqliteDatabase, path: Path, moved: int
) -> None:
    account_id, ids = database.write_here(write_three)
    with closing(sqlite3.connect(path)) as raw, raw:
        # One by one from the end, since each new rowid must be free.
        for one in reversed(ids):
            raw.execute("UPDATE status_reports SET rowid = rowid + ? WHERE id = ?", (moved, one))
    assert found(database, account_id, ids) == ids
    assert found(database, account_id, ids[::-1]) == ids
    assert found(database, account_id, [ids[1], 10_000]) == [ids[1]]
    assert found(database, account_id + 1, ids) == []
    for one in ids:
        assert found(database, account_id, [one]) == [one]


@pytest.mark.parametrize("narrowed", [False, True])
@pytest.mark.parametrize("rows", [Rows.ONE, Rows.SOME])
@pytest.mark.parametrize("sort", [Sort(), Sort("created_at"), Sort("updated_at", descending=True)])
def test_no_index_is_read_before_the_report(
    path: Path, sort: Sort, rows: Rows, *, narrowed: bool
) -> None:
    text = rowid_statement(sort, rows, narrowed=narrowed).for_sqlite.text
    with closing(sqlite3.connect(path)) as raw:
        values = {"reach_account": 1, "reach_user": 1, "only": 1 if rows is Rows.ONE else "[1]"}
        values |= rowid_statement(sort, rows, narrowed=narrowed).for_sqlite.constants
        plan = [step for *_, step in raw.execute(f"EXPLAIN QUERY PLAN {text}", values)]
    assert plan[0] == "SEARCH status_reports USING INTEGER PRIMARY KEY (rowid=?)"
