"""Migrations produce the declared tables, and the database itself enforces the rules."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

import healthreports.store.schema
from healthreports.store.engine.sqlite import connect
from healthreports.store.schema.tables import SCHEMA_REVISION, metadata
from healthreports.store.schema.upgrade import upgrade


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    path = tmp_path / "x.sqlite3"
    upgrade(str(path))
    connection = connect(path, 1.0)
    connection.executescript(
        "INSERT INTO accounts VALUES (1, 'A', 'a', 0, 'nobody', NULL);"
        "INSERT INTO users (id, account_id, full_name, email_address, created_at) "
        "VALUES (1, 1, 'U', 'u@x.org', 0);"
        "INSERT INTO workspaces (account_id, id, title, archived, access_level, "
        "clients_see_status_reports, created_at, updated_at) "
        "VALUES (1, 1, 'W', 0, 'invitation', 0, 0, 0);"
    )
    yield connection
    connection.close()


def test_migrations_make_what_the_tables_say(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite3"
    upgrade(str(path))
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "include_object": is_ours}
        )
        assert compare_metadata(context, metadata) == []
        migrated = dict(
            connection.exec_driver_sql(
                "SELECT name, sql FROM sqlite_master WHERE type='table'"
            ).all()
        )
    engine.dispose()
    made = create_engine("sqlite://")
    metadata.create_all(made)
    with made.connect() as connection:
        wanted = dict(
            connection.exec_driver_sql(
                "SELECT name, sql FROM sqlite_master WHERE type='table'"
            ).all()
        )
    made.dispose()
    # The CREATE TABLE statement of each table has all its columns, checks and keys.
    for name in metadata.tables:
        assert parts(migrated[name]) == parts(wanted[name]), name


def is_ours(_one: object, name: str, kind: str, *_more: object) -> bool:
    """Whether an object is declared: the full-text index has internal tables of its own."""
    return kind != "table" or not name.startswith("search_words")


def parts(sql: str) -> set[str]:
    # The name of a renamed table is in quotes, and an added column has no line of its own.
    return {part.strip().rstrip(") ") for part in re.split(r"[,\n]", sql.replace('"', ""))}


def test_the_newest_migration_is_the_one_the_server_asks_for() -> None:
    config = Config()
    folder = Path(healthreports.store.schema.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))
    assert ScriptDirectory.from_config(config).get_current_head() == SCHEMA_REVISION


REPORT = (
    "INSERT INTO status_reports (account_id, id, workspace_id, creator_id, color, description, "
    "{columns} created_at, updated_at) "
    "VALUES (1, {id}, {workspace}, 1, '{color}', 'D', {values} 0, 0)"
)


@pytest.mark.parametrize(
    ("workspace", "color", "columns", "values"),
    [
        (1, "purple", "", ""),
        (99, "red", "", ""),
        (1, "red", "scope_color,", "'purple',"),
        (1, "red", "client_description,", "'said without a color',"),
    ],
    ids=["color", "workspace", "detail color", "detail without a color"],
)
def test_the_database_refuses_what_the_rules_refuse(
    raw: sqlite3.Connection, workspace: int, color: str, columns: str, values: str
) -> None:
    right = REPORT.format(id=1, workspace=1, color="red", columns="", values="")
    raw.execute(right)
    wrong = REPORT.format(id=2, workspace=workspace, color=color, columns=columns, values=values)
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute(wrong)


def test_one_reference_for_each_service_of_a_subject(raw: sqlite3.Connection) -> None:
    insert = (
        "INSERT INTO external_references (account_id, id, workspace_id, subject_type, subject_id, "
        "service_name, service_model, service_model_ref, status, created_at, updated_at) "
        "VALUES (1, ?, 1, 'Workspace', 1, 's', 'm', 'r', 'successful', 0, 0)"
    )
    raw.execute(insert, (1,))
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute(insert, (2,))


def test_a_commit_waits_for_the_disk(raw: sqlite3.Connection) -> None:
    full = 2
    assert raw.execute("PRAGMA synchronous").fetchall() == [(full,)]
    assert raw.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
    assert raw.execute("PRAGMA foreign_keys").fetchall() == [(1,)]
