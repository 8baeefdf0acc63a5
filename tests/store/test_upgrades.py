"""An upgraded database of any earlier schema is like one that was made today.

There are rows for every table. They are written to a database of an earlier schema, as far as it
has the tables and columns, and to a database of today's schema. After the upgrade, both databases
have the same rows and the same schema. A test fails if a new table has no rows here.
"""

import ast
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, MetaData, Table, create_engine, event, inspect, select, text

import healthreports.store.schema
from conftest import new_address
from healthreports.app import open_database
from healthreports.settings import Settings
from healthreports.store.lists import verify, words
from healthreports.store.lists.counters import Dimension
from healthreports.store.schema.tables import metadata
from healthreports.store.schema.upgrade import is_server, upgrade
from postgres_kit import EVERY_STORE, STORES

VERSIONS = Path(healthreports.store.schema.__file__).parent / "migrations" / "versions"
REVISIONS = sorted(path.name.split("_")[0] for path in VERSIONS.glob("[0-9]*.py"))
FOUND_BY_WORDS = "0009"
# No PostgreSQL database has an older schema.
FIRST_ON_SERVER = "0005"

T0 = 1_700_000_000_000_000
DAY = 86_400_000_000


def report(number: int, account: int, workspace: int, user: int, **other: Any) -> dict[str, Any]:
    return {
        "account_id": account,
        "id": number,
        "workspace_id": workspace,
        "creator_id": user,
        "updater_id": None,
        "color": ("green", "yellow", "red")[number % 3],
        "description": f"Report {number}: all is wéll.",
        "scope_color": "red" if number % 2 else None,
        "scope_description": "Too much." if number % 4 == 1 else None,
        "budget_color": None,
        "budget_description": None,
        "schedule_color": "green",
        "schedule_description": None,
        "client_color": None,
        "client_description": None,
        "created_at": T0 + number * DAY,
        "updated_at": T0 + number * DAY * 2,
        **other,
    }


def reference(
    number: int, account: int, workspace: int, kind: str, subject: int, **other: Any
) -> dict[str, Any]:
    return {
        "account_id": account,
        "id": number,
        "workspace_id": workspace,
        "subject_type": kind,
        "subject_id": subject,
        "service_name": "jira",
        "service_model": "issue",
        "service_model_ref": f"K-{number}",
        "status": "successful",
        "external_status": None,
        "external_message": "late" if number % 2 else None,
        "external_link": None,
        "locked": None,
        "created_at": T0,
        "updated_at": T0,
        "last_synced_at": T0,
        **other,
    }


CONTENTS = {"color", "description"} | {
    f"{category}_{what}"
    for category in ("scope", "budget", "schedule", "client")
    for what in ("color", "description")
}
# Columns that an earlier schema lacks have the values of the migration: provider, no team lead.
ROWS: dict[str, list[dict[str, Any]]] = {
    "accounts": [
        {"id": i, "title": f"Account {i}", "name": f"account-{i}", "created_at": T0} for i in (1, 2)
    ],
    "account_versions": [{"account_id": i, "version": 7 * i, "reshaped": 0} for i in (1, 2)],
    "users": [
        {
            "id": i,
            "account_id": account,
            "full_name": f"Usér {i}",
            "name_key": f"user {i}",
            "email_address": f"u{i}@example.org",
            "headline": "Lead" if i == 1 else None,
            "photo_path": None,
            "disabled": 0,
            "created_at": T0 + i,
            "updated_at": T0 + i,
        }
        for i, account in ((1, 1), (2, 1), (3, 2))
    ],
    "account_memberships": [
        {
            "id": i,
            "account_id": account,
            "user_id": i,
            "permission": permission,
            "created_at": T0 + i,
            "updated_at": T0 + i,
            "disabled_at": None,
        }
        for i, account, permission in (
            (1, 1, "administrator"),
            (2, 1, "collaborator"),
            (3, 2, "administrator"),
        )
    ],
    "workspaces": [
        {
            "account_id": account,
            "id": i,
            "creator_id": user,
            "title": f"Wörkspace {i}",
            "title_key": f"workspace {i}",
            "description": None,
            "archived": archived,
            "access_level": "invitation",
            "clients_see_status_reports": 0,
            "start_date": "2026-01-01",
            "due_date": None,
            "created_at": T0 + i,
            "updated_at": T0 + i,
        }
        for i, account, user, archived in (
            (1, 1, 1, 0),
            (2, 1, 2, 1),
            (3, 2, 3, 0),
            (4, 1, None, 0),
        )
    ],
    "participations": [
        {
            "account_id": account,
            "id": i,
            "workspace_id": workspace,
            "user_id": user,
            "side": "provider",
            "permission": permission,
            "team_lead": 0,
            "user_name_key": f"user {user}",
            "created_at": T0 + workspace,
            "updated_at": T0 + workspace,
        }
        for i, account, workspace, user, permission in (
            (1, 1, 1, 1, "edit"),
            (2, 1, 1, 2, "view"),
            (3, 2, 3, 3, "edit"),
        )
    ],
    "status_reports": [
        *(report(i, 1, 1, 1) for i in range(1, 9)),
        report(1_030, 1, 2, 2, updater_id=1),
        report(2_000_000, 2, 3, 3),
    ],
    "external_references": [
        reference(1, 1, 1, "StatusReport", 1),
        reference(2, 1, 1, "StatusReport", 1, service_name="crm", external_status="open"),
        reference(3, 1, 1, "Workspace", 1),
        reference(4, 2, 3, "StatusReport", 2_000_000, status="failed", locked=1),
    ],
    "drafts": [
        {
            "account_id": 1,
            "user_id": 1,
            "workspace_id": 1,
            "report_id": report_id,
            "fields": '{"color": "red"}',
            "updated_at": T0,
        }
        for report_id in (0, 1)
    ],
    "saved_views": [{"account_id": 1, "user_id": 1, "name": "Board", "query": "status=red"}],
    "imports": [
        {
            "account_id": 1,
            "name": "f.csv",
            "bytes_done": 10,
            "lines_done": 2,
            "reports": 2,
            "digest": "d",
            "updated_at": T0,
        }
    ],
    "oauth_applications": [
        {
            "id": 1,
            "account_id": 1,
            "name": "App",
            "client_id": "c",
            "secret_hash": None,
            "redirect_uris": "https://a.example/",
            "scopes": "read",
            "user_id": None,
            "token_lifetime_s": 7_200,
            "created_at": T0,
            "revoked_at": None,
        }
    ],
    "oauth_grants": [
        {
            "id": 1,
            "account_id": 1,
            "application_id": 1,
            "user_id": 2,
            "scopes": "read",
            "redirect_uri": None,
            "code_hash": "h",
            "code_challenge": None,
            "code_expires_at": T0,
            "exchanged_at": T0,
            "created_at": T0,
            "revoked_at": None,
        }
    ],
    "oauth_refresh_tokens": [
        {
            "id": 1,
            "account_id": 1,
            "grant_id": 1,
            "secret_hash": "r",
            "created_at": T0,
            "expires_at": T0,
            "used_at": None,
        }
    ],
    "tokens": [
        {
            "id": i,
            "user_id": i,
            "grant_id": None,
            "name": "t",
            "secret_hash": f"t{i}",
            "scopes": "read write",
            "created_at": T0,
            "expires_at": None,
            "revoked_at": T0 if i == 2 else None,
            "last_used_at": None,
        }
        for i in (1, 2)
    ],
    "passwords": [{"id": 1, "account_id": 1, "user_id": 1, "hash": "$argon2", "changed_at": T0}],
    "identities": [
        {
            "id": 1,
            "account_id": 1,
            "user_id": 2,
            "issuer": "https://i.example",
            "subject": "s",
            "created_at": T0,
        }
    ],
    "sessions": [
        {
            "id": 1,
            "account_id": 1,
            "user_id": 1,
            "secret_hash": "s",
            "created_at": T0,
            "expires_at": T0,
            "last_used_at": T0,
            "address": None,
            "device": None,
        }
    ],
    "factors": [
        {"id": 1, "account_id": 1, "user_id": 1, "kind": "totp", "name": "phone"}
        | {"secret": "ABC", "credential_id": None, "counter": 0, "created_at": 5}
        | {"last_used_at": None},
    ],
    "address_changes": [
        {"id": 1, "account_id": 1, "user_id": 1, "email_address": "new@example.org"}
        | {"secret_hash": None, "created_at": 5, "expires_at": 6},
    ],
    # For a user who cannot sign in yet: schema 0008 deletes those of other users.
    "invitations": [
        {
            "id": 1,
            "account_id": 2,
            "user_id": 3,
            "inviter_id": None,
            "confirmer_id": None,
            "secret_hash": "i",
            "created_at": T0,
            "expires_at": T0,
        }
    ],
    "share_links": [
        {
            "id": 1,
            "account_id": 1,
            "creator_id": 1,
            "workspace_id": 1,
            "report_id": 3,
            "secret_hash": "l",
            "hidden": "Budget",
            "created_at": T0,
            "expires_at": T0,
            "revoked_at": None,
            "first_opened_at": None,
            "last_opened_at": None,
        }
    ],
    "workspace_groups": [
        {
            "account_id": 1,
            "id": 1,
            "name": "Clients",
            "name_key": "clients",
            "company": 1,
            "notes": None,
            "contact_name": None,
            "email": None,
            "website": None,
            "created_at": T0,
            "updated_at": T0,
        }
    ],
    "group_workspaces": [{"account_id": 1, "group_id": 1, "workspace_id": 2}],
    "report_versions": [
        {
            "account_id": 1,
            "report_id": 3,
            "number": number,
            "event": event,
            "user_id": 1,
            "created_at": T0,
            **{name: text for name, text in report(3, 1, 1, 1).items() if name in CONTENTS},
        }
        for number, event in ((1, "created"), (2, "updated"))
    ],
    "deleted_reports": [
        report(99, 1, 1, 1) | {"deleter_id": 1, "deleted_at": T0, "external_references": "[]"}
    ],
    "purges": [{"account_id": 1, "kind": "user", "record_id": 9, "purged_at": T0}],
    "idempotency_keys": [
        {
            "account_id": 1,
            "user_id": 1,
            "number": 1,
            "path": "/api/v1/status_reports",
            "key": "k",
            "fingerprint": "f",
            "status": 200,
            "body": b"{}",
            "kind": "status_reports",
            "record_ids": "3",
            "created_at": T0,
        }
    ],
    "audit_events": [
        {
            "account_id": 1,
            "number": 1,
            "created_at": T0,
            "action": "user.created",
            "subject_id": 1,
            "what_salt": b"salt",
            "what_hash": b"w",
            "user_id": None,
            "through": "command_line",
            "through_id": None,
            "address": None,
            "who_salt": b"salt",
            "who_hash": b"i",
            "before": None,
            "after": "{}",
            "changes_salt": None,
            "changes_hash": b"c",
            "hash": b"h",
        }
    ],
    "signing_keys": [{"id": 1, "purpose": "sessions", "secret": "k", "created_at": T0}],
}
# Tables that are computed from the others, by migrations and by `verify.rebuild`.
FOLLOWS = {"report_counts", "report_blocks", "report_terms", "current_reports"}
# Tables that a migration fills from older tables.
FILLED = {"account_versions", "account_memberships"}
# The values of columns of earlier schemas that no longer exist.
FORMER = {
    ("accounts", "version"): lambda row: 7 * row["id"],
    ("users", "permission"): lambda row: ROWS["account_memberships"][row["id"] - 1]["permission"],
}


def test_every_table_has_rows_here_or_follows_from_others() -> None:
    assert set(ROWS) | FOLLOWS == set(metadata.tables)
    assert not set(ROWS) & FOLLOWS


@pytest.mark.parametrize("path", sorted(VERSIONS.glob("[0-9]*.py")), ids=lambda path: path.stem)
def test_a_migration_is_frozen(path: Path) -> None:
    """It imports no code of the server: otherwise an old upgrade would change with the code."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            assert not (node.module or "").startswith("healthreports")
        if isinstance(node, ast.Import):
            assert not any(one.name.startswith("healthreports") for one in node.names)


@contextmanager
def connected(address: str) -> Iterator[Connection]:
    if is_server(address):
        engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(address))
    else:
        engine = create_engine(f"sqlite:///{address}")
        event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA foreign_keys = OFF"))
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def fill(address: str, tables: dict[str, list[dict[str, Any]]]) -> None:
    """Write the rows as far as the database has their tables and columns."""
    with connected(address) as connection:
        there = MetaData()
        there.reflect(connection)
        for table in there.sorted_tables:
            for row in tables.get(table.name, []):
                connection.execute(table.insert().values(in_columns(table, row)))


def named_rows(address: str, name: str) -> list[dict[str, Any]]:
    with connected(address) as connection:
        rows = connection.execute(select(metadata.tables[name])).mappings()
        return [dict(row) for row in rows]


def in_columns(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    former = {
        name: value_of(row)
        for (of, name), value_of in FORMER.items()
        if of == table.name and name in table.c
    }
    return {name: value for name, value in row.items() if name in table.c} | former


def tables_at(address: str) -> set[str]:
    with connected(address) as connection:
        return set(inspect(connection).get_table_names())


def all_rows(address: str) -> dict[str, set[tuple[Any, ...]]]:
    with connected(address) as connection:
        return {
            name: {tuple(row) for row in connection.execute(select(table))}
            for name, table in metadata.tables.items()
        }


ON_SERVER = (
    """SELECT table_name, column_name, data_type, is_nullable, column_default, collation_name,
         is_identity, identity_generation
       FROM information_schema.columns WHERE table_schema = current_schema()""",
    """SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
       FROM pg_constraint WHERE connamespace = current_schema()::regnamespace""",
    "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = current_schema()",
    """SELECT proname, prosrc, proconfig::text
       FROM pg_proc WHERE pronamespace = current_schema()::regnamespace""",
    "SELECT sequencename FROM pg_sequences WHERE schemaname = current_schema()",
)


def schema(address: str) -> set[tuple[Any, ...]]:
    """All parts of a schema, unordered."""
    with connected(address) as connection:
        if is_server(address):
            return {
                (number, *row)
                for number, question in enumerate(ON_SERVER)
                for row in connection.execute(text(question))
            }
        made = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql <> ''"))
        return {(name, *sorted(parts(sql))) for name, sql in made}


def parts(sql: str) -> set[str]:
    # The name of a renamed table is in quotes, and an added column has no line of its own.
    return {part.strip().rstrip(") ") for part in re.split(r"[,\n]", sql.replace('"', ""))}


# Upgrades from the oldest schema and from the newest ones; make fuzz tests all of them.
NEAR = {
    store: {REVISIONS[0] if store == "sqlite" else FIRST_ON_SERVER, *REVISIONS[-2:]}
    for store in EVERY_STORE
}


@pytest.mark.parametrize(
    ("store", "revision"),
    [
        pytest.param(store, revision, marks=() if revision in NEAR[store] else pytest.mark.thorough)
        for store in EVERY_STORE
        for revision in REVISIONS
        if store == "sqlite" or revision >= FIRST_ON_SERVER
        # The oldest supported PostgreSQL is tested from the oldest and the newest schema only.
        if store in STORES or revision in (FIRST_ON_SERVER, REVISIONS[-1])
    ],
)
def test_an_upgraded_database_is_like_a_fresh_one(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    store: str,
    revision: str,
) -> None:
    for name in ("old", "fresh"):
        (tmp_path / name).mkdir()
    old, fresh = (
        new_address(store, request, folder) for folder in (tmp_path / "old", tmp_path / "fresh")
    )
    upgrade(old, revision)
    then = tables_at(old)
    upgrade(fresh)
    fill(fresh, {name: rows for name, rows in ROWS.items() if name in then | FILLED})
    with closing(open_database(Settings(database=fresh))) as database:
        database.write_here(verify.rebuild)
        entries = database.read_here(
            lambda tx: [one for some in verify.true_words(tx) for one in some]
        )
    fill(old, ROWS)
    follows = {name: named_rows(fresh, name) for name in FOLLOWS}
    if revision < FOUND_BY_WORDS:
        # That schema did not have these counts yet.
        counted = follows["report_counts"]
        follows["report_counts"] = [row for row in counted if row["dimension"] < Dimension.COLOR]
    fill(old, follows)
    if revision >= FOUND_BY_WORDS:
        # The search words of that schema are stored in the same way as today.
        with monkeypatch.context() as patch:
            patch.setattr("healthreports.app.SCHEMA_REVISION", revision)
            with closing(open_database(Settings(database=old))) as database:
                database.write_here(lambda tx: words.put(tx, entries))
    upgrade(old)
    assert schema(old) == schema(fresh)
    assert all_rows(old) == all_rows(fresh)
    with closing(open_database(Settings(database=old))) as database:
        assert database.write_here(verify.differences) == []
    assert all(all_rows(old)[name] for name in then & set(metadata.tables)), "there was something"
