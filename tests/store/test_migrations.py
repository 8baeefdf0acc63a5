"""A database of an earlier version keeps its data when it is upgraded."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from healthreports.contract.resources import RESOURCES
from healthreports.core.model import Instant
from healthreports.core.vocabulary import AccountPermission
from healthreports.service.auth import tokens
from healthreports.store.engine.sqlite import SqliteDatabase
from healthreports.store.people import members, workspaces
from healthreports.store.schema.upgrade import WrongSchema, demand_current, upgrade

THEN = 1_700_000_000_000_000


def at_0001(path: Path) -> None:
    """Make a database as the first version left it, with rows in every table."""
    upgrade(str(path), "0001")
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(
            f"""
            INSERT INTO accounts VALUES (1, 'A', 5, {THEN});
            INSERT INTO users VALUES
              (1, 1, 'administrator', 'Ann', 'ann@x.org', 'Boss', NULL, {THEN}),
              (2, 1, 'collaborator', 'Bob', 'bob@x.org', NULL, NULL, {THEN});
            INSERT INTO workspaces VALUES
              (3, 1, 1, 'W', 'About', 1, 'invitation', '2026-01-01', NULL, {THEN}, {THEN});
            INSERT INTO participations VALUES (3, 2, 'edit');
            INSERT INTO status_reports (id, account_id, workspace_id, creator_id, color,
              description, created_at, updated_at) VALUES (9, 1, 3, 2, 'red', 'D', {THEN}, {THEN});
            INSERT INTO workspaces VALUES
              (8, 1, 1, 'Gone', NULL, 0, 'invitation', NULL, NULL, {THEN}, {THEN});
            DELETE FROM workspaces WHERE id = 8;
            INSERT INTO tokens VALUES (1, 2, 't', '{tokens.hash_of("hr_x")}', {THEN}, NULL, NULL);
            """
        )


def test_everything_is_there_after_the_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite3"
    at_0001(path)
    with pytest.raises(WrongSchema):
        demand_current(str(path))
    upgrade(str(path))
    demand_current(str(path))
    database = SqliteDatabase(path, 1.0)
    bob = database.read_here(lambda tx: tokens.authenticate(tx, "hr_x", Instant(THEN)))
    assert (bob.user_id, bob.permission) == (2, AccountPermission.COLLABORATOR)
    assert bob.scopes == tokens.ALL_SCOPES
    place = database.read_here(lambda tx: workspaces.participation(tx, 1, 3, 2))
    assert place is not None
    assert (place.side, place.permission, place.team_lead) == ("provider", "edit", False)
    workspace = database.read_here(lambda tx: workspaces.workspace(tx, 1, 3))
    assert workspace is not None
    assert (workspace.title, workspace.archived, workspace.start_date) == ("W", True, "2026-01-01")
    assert workspace.clients_see_status_reports is False
    ann = database.read_here(lambda tx: members.membership(tx, 1))
    assert (ann.permission, ann.disabled_at) == (AccountPermission.ADMINISTRATOR, None)
    database.close()
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA foreign_key_check").fetchall() == []
        assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert raw.execute("SELECT id, color FROM status_reports").fetchall() == [(9, "red")]
        marks = dict(raw.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
        assert (marks["workspaces"], marks["users"], marks["tokens"]) == (8, 2, 1)
        tables = {name for (name,) in raw.execute("SELECT name FROM sqlite_master")}
    assert not {name for name in tables if name.startswith("new_")}
    assert set(RESOURCES) <= tables


def test_a_failed_upgrade_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite3"
    at_0001(path)
    with closing(sqlite3.connect(path)) as raw:
        before = list(raw.iterdump())
        raw.execute("CREATE TABLE new_participations (x)")
        raw.commit()
    with pytest.raises(WrongSchema):
        upgrade(str(path))
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("DROP TABLE new_participations")
        assert list(raw.iterdump()) == before
    upgrade(str(path))
    demand_current(str(path))
