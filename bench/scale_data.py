"""The data of `bench/scale.py`, generated in the database: any number of reports in minutes.

There is one workspace for every 100 reports. The first account has half of them, ten other accounts
have the rest. The first account has an administrator, a user who participates in 50 of its
workspaces, and a user who participates in 10,000 (or in all, if there are fewer). The reports were
created over five years, in the order of their ids. A tenth of them was changed up to a year later,
and a tenth has an external reference.
"""

from collections.abc import Callable
from contextlib import closing
from typing import Final, NamedTuple

from sqlalchemy import text

from healthreports.app import now, open_database
from healthreports.core.vocabulary import AccountPermission
from healthreports.service.auth import tokens
from healthreports.service.people import accounts, members
from healthreports.settings import Settings
from healthreports.store.engine.database import Transaction
from healthreports.store.engine.statement import Statement
from healthreports.store.lists import verify
from healthreports.store.schema.upgrade import is_server, upgrade

REPORTS_A_WORKSPACE: Final = 100
FIRST_AT: Final = 1_600_000_000_000_000
SPAN_US: Final = 5 * 365 * 86_400 * 1_000_000
ROLES: Final = {"administrator": 0, "in 50": 50, "in 10,000": 10_000}
OTHER_ACCOUNTS: Final = 10

_INDEXES: Final = {
    False: (
        "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL "
        "AND tbl_name IN ('status_reports', 'external_references')"
    ),
    True: (
        "SELECT indexname, indexdef FROM pg_indexes WHERE starts_with(indexname, 'ix_') "
        "AND tablename IN ('status_reports', 'external_references')"
    ),
}
# The numbers from 1 to `last`, as each database makes them.
_NUMBERS: Final = {
    False: "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :last) ",
    True: "WITH n(i) AS (SELECT generate_series(1, :last)) ",
}
# Workspaces with odd ids belong to the first account.
_ACCOUNT: Final = f"CASE WHEN {{0}} % 2 = 1 THEN 1 ELSE 2 + ({{0}} / 2) % {OTHER_ACCOUNTS} END"
_WORKSPACES: Final = (
    "INSERT INTO workspaces (account_id, id, creator_id, title, archived, access_level, "
    "clients_see_status_reports, created_at, updated_at) "
    f"{{numbers}} SELECT {_ACCOUNT.format('i')}, i, NULL, 'Workspace ' || i, 0, 'invitation', 0, "
    f"{FIRST_AT}, {FIRST_AT} FROM n"
)
_COLOR: Final = "CASE {} % 3 WHEN 0 THEN 'green' WHEN 1 THEN 'yellow' ELSE 'red' END"
_REPORTS: Final = (
    "INSERT INTO status_reports (account_id, id, workspace_id, creator_id, color, description, "
    "scope_color, scope_description, budget_color, schedule_color, client_color, "
    "client_description, created_at, updated_at) "
    "{numbers}, w(i, workspace_id) AS (SELECT i, 1 + i % :workspaces FROM n) "
    f"SELECT {_ACCOUNT.format('workspace_id')}, i, workspace_id, 1, {_COLOR.format('i')}, "
    "'Week ' || i || ': the supplier has confirmed the dates, two risks are open, none is new.', "
    f"{_COLOR.format('(i / 3)')}, 'As planned.', {_COLOR.format('(i / 9)')}, "
    f"{_COLOR.format('(i / 27)')}, {_COLOR.format('(i / 81)')}, 'Met on Monday.', "
    f"{FIRST_AT} + i * :step, {FIRST_AT} + i * :step + "
    "CASE WHEN i % 10 = 3 THEN (i % 365) * 86400000000 ELSE 0 END FROM w"
)
_REFERENCES: Final = (
    "INSERT INTO external_references (account_id, id, workspace_id, subject_type, subject_id, "
    "service_name, service_model, service_model_ref, status, external_status, external_message, "
    "created_at, updated_at, last_synced_at) "
    "SELECT account_id, id, workspace_id, 'StatusReport', id, "
    "CASE WHEN id % 50 = 0 THEN 'ledger' ELSE 'tracker' END, 'issue', 'REF-' || id, "
    "CASE WHEN id % 30 = 0 THEN 'failed' ELSE 'successful' END, "
    "CASE WHEN id % 20 = 0 THEN 'open' ELSE 'closed' END, 'Synchronised.', "
    "created_at, created_at, created_at FROM status_reports WHERE id % 10 = 0"
)
_PARTICIPATIONS: Final = (
    "INSERT INTO participations (account_id, id, workspace_id, user_id, side, permission, "
    "team_lead, created_at, updated_at) "
    "{numbers} SELECT 1, :first + i, 1 + 2 * ((i - 1) * :stride), :user_id, "
    f"'provider', 'edit', 0, {FIRST_AT}, {FIRST_AT} FROM n"
)


class Built(NamedTuple):
    """A filled database: its address, a token for each role, and ids to request."""

    address: str
    reports: int
    secrets: dict[str, str]
    last_workspace: int
    some_ids: list[int]


def build(address: str, reports: int, say: Callable[[str], None] = print) -> Built:
    """Fill a new database with the given number of reports."""
    upgrade(address)
    workspaces = max(reports // REPORTS_A_WORKSPACE, 1)
    numbers = _NUMBERS[is_server(address)]

    def run(tx: Transaction, clause: str, **values: int) -> None:
        tx.rows(Statement(text(clause.replace("{numbers}", numbers))), values)

    def fill(tx: Transaction) -> dict[str, str]:
        # On PostgreSQL, foreign keys are not checked: they are right, and it would take longest.
        run(
            tx,
            "SET LOCAL session_replication_role = replica"
            if is_server(address)
            else "PRAGMA cache_size = -2000000",
        )
        secrets = _people(tx)
        run(tx, _WORKSPACES, last=workspaces)
        # The indexes as the migrations made them, which may differ between the stores.
        indexes = tx.rows(Statement(text(_INDEXES[is_server(address)])), {})
        for name, _ in indexes:
            run(tx, f"DROP INDEX {name}")
        say("reports")
        run(tx, _REPORTS, last=reports, workspaces=workspaces, step=SPAN_US // reports)
        run(tx, _REFERENCES)
        for user_id, number in zip((2, 3), (50, 10_000), strict=True):
            mine = min(number, workspaces // 2)
            run(
                tx,
                _PARTICIPATIONS,
                last=mine,
                first=user_id * 100_000,
                user_id=user_id,
                stride=workspaces // 2 // mine,
            )
        say("indexes")
        for _, made_by in indexes:
            run(tx, made_by)
        say("what is counted")
        verify.rebuild(tx)
        for table in ("workspaces", "status_reports", "external_references", "participations"):
            tx.new_ids(table, max(reports, 1_000_000))
        return secrets

    with closing(open_database(Settings(database=address, time_limit_s=86_400))) as database:
        secrets = database.write_here(fill)
        some_ids = database.read_here(_some_ids)
    _analyze(address)
    last_workspace = workspaces - (workspaces + 1) % 2
    return Built(address, reports, secrets, last_workspace, some_ids)


def _people(tx: Transaction) -> dict[str, str]:
    """Create the accounts, and users of the first (ids 1, 2, 3). Returns the token of each role."""
    for number in range(1 + OTHER_ACCOUNTS):
        accounts.create_account(tx, f"Account {number}", now())
    secrets = {}
    for role in ROLES:
        permission = (
            AccountPermission.ADMINISTRATOR
            if role == "administrator"
            else AccountPermission.COLLABORATOR
        )
        user = members.create_user(
            tx,
            1,
            full_name=role,
            email_address=f"user{len(secrets)}@example.org",
            permission=permission,
            now=now(),
        )
        secrets[role] = tokens.issue(tx, user, "bench", now())
    return secrets


def _some_ids(tx: Transaction) -> list[int]:
    """200 report ids of the first account, evenly spread."""
    [[last]] = tx.rows(Statement(text("SELECT max(id) FROM status_reports")), {})
    spread = Statement(
        text(
            "SELECT (SELECT min(id) FROM status_reports WHERE account_id = 1 AND id >= :edge) AS id"
        )
    )
    return [tx.rows(spread, {"edge": last * part // 201})[0][0] for part in range(200)]


def _analyze(address: str) -> None:
    """Do what a database server does by itself after some time."""
    if is_server(address):
        import psycopg  # noqa: PLC0415  SQLite does not need it

        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
