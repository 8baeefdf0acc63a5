"""No statement of a list looks at more when there are many times more reports."""

import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from sqlalchemy.schema import CreateIndex, DropIndex

from healthreports.app import open_database
from healthreports.core.access import Reach
from healthreports.core.query import Filter, FilterValue, Query, Sort, Window
from healthreports.core.vocabulary import Kind
from healthreports.settings import Settings
from healthreports.store import counting, listing, records, sqlite, tally
from healthreports.store.database import Row, Transaction, Version
from healthreports.store.postgres import PostgresTransaction, connect
from healthreports.store.schema import external_references, report_terms, status_reports
from healthreports.store.sqlite import SqliteTransaction
from healthreports.store.statement import Form, Statement, Values
from healthreports.store.upgrade import is_server, upgrade

FEW_REPORTS, MANY_REPORTS = 10_000, 200_000
IN_A_WORKSPACE = 100
# As many in both sizes, most of them empty in the smaller: who sees many sees many in both.
WORKSPACES = MANY_REPORTS // IN_A_WORKSPACE
# Users, by the number of workspaces that they take part in.
IN_FIFTY, IN_HUNDREDS = 2, 3
PLACES = {IN_FIFTY: 50, IN_HUNDREDS: 600}
FIRST_AT = 1_600_000_000_000_000
SPAN_US = 5 * 365 * 86_400 * 1_000_000
GROWN = ("status_reports", "external_references", "report_terms")

# -- the data

# Odd workspaces are the first account's, which so has half of all.
ACCOUNT = "CASE WHEN {0} % 2 = 1 THEN 1 ELSE 2 + ({0} / 2) % 4 END"
FILL = (
    "INSERT INTO accounts (id, title, created_at) {numbers} SELECT i, 'A', 0 FROM n WHERE i < 6",
    "INSERT INTO account_versions (account_id, version, reshaped) SELECT id, 0, 0 FROM accounts",
    "INSERT INTO users (id, account_id, full_name, email_address, created_at) "
    "{numbers} SELECT i, 1, 'U', 'u' || i, 0 FROM n WHERE i < 4",
    "INSERT INTO workspaces (account_id, id, creator_id, title, archived, access_level, "
    "clients_see_status_reports, created_at, updated_at) "
    f"{{numbers}} SELECT {ACCOUNT.format('i')}, i, NULL, 'W', 0, 'invitation', 0, 0, 0 "
    f"FROM n WHERE i <= {WORKSPACES}",
    *(
        "INSERT INTO participations (account_id, id, workspace_id, user_id, side, permission, "
        "team_lead, created_at, updated_at) {numbers} "
        f"SELECT 1, {user} * 1000 + i, 2 * i - 1, {user}, 'provider', 'edit', 0, 0, 0 "
        f"FROM n WHERE i <= {number}"
        for user, number in PLACES.items()
    ),
    "INSERT INTO status_reports (account_id, id, workspace_id, creator_id, color, description, "
    "created_at, updated_at) {numbers}, w(i, workspace_id) AS (SELECT i, 1 + i % {full} FROM n) "
    f"SELECT {ACCOUNT.format('workspace_id')}, i, workspace_id, 1, 'green', 'All is well.', "
    f"{FIRST_AT} + i * {{step}}, {FIRST_AT} + i * {{step}} + "
    "CASE WHEN i % 7 = 3 THEN (i % 365) * 86400000000 ELSE 0 END FROM w",
    "INSERT INTO external_references (account_id, id, workspace_id, subject_type, subject_id, "
    "service_name, service_model, service_model_ref, status, external_status, external_message, "
    "created_at, updated_at) "
    "SELECT account_id, id, workspace_id, 'StatusReport', id, "
    "CASE WHEN id % 7 = 0 THEN 'ledger' ELSE 'tracker' END, 'issue', 'REF-' || id, "
    "CASE WHEN id % 3 = 0 THEN 'failed' ELSE 'successful' END, "
    "CASE WHEN id % 11 = 0 THEN 'open' ELSE 'closed' END, 'Synchronised.', "
    "created_at, created_at FROM status_reports WHERE (id + id / {full}) % 10 = 0",
)
NUMBERS = {
    False: "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {last}) ",
    True: "WITH n(i) AS (SELECT generate_series(1::bigint, {last})) ",
}


def fill(run: Callable[[str], object], reports: int, *, on_server: bool) -> None:
    """Put so many reports into an empty database; it does not look up what they refer to."""
    full = reports // IN_A_WORKSPACE
    numbers = NUMBERS[on_server].format(last=reports)
    indexes = sorted(status_reports.indexes | external_references.indexes, key=lambda i: i.name)
    for index in indexes:
        run(str(DropIndex(index)))
    for text in FILL:
        run(text.format(numbers=numbers, full=full, step=SPAN_US // reports))
    for index in indexes:
        run(str(CreateIndex(index)))


def build(address: str, reports: int) -> str:
    upgrade(address)
    if is_server(address):
        with psycopg.connect(address) as connection:
            connection.execute("SET session_replication_role = replica")
            fill(connection.execute, reports, on_server=True)
    else:
        with closing(sqlite3.connect(address, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN")
            fill(connection.execute, reports, on_server=False)
            connection.execute("COMMIT")
    with closing(open_database(Settings(database=address))) as database:
        database.write_here(tally.rebuild)
    if is_server(address):
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
    return address


# -- what a statement does


class Seen(NamedTuple):
    """A statement as it was run: who made it, its text, its plan, and what it looked at.

    That is rows in PostgreSQL, and steps of its machine in SQLite. `sorted` are the rows that were
    sorted at most, where that is known.
    """

    maker: str
    text: str
    plan: str
    cost: int
    scans: tuple[str, ...]
    sorts: bool
    sorted: int = 0


MAKERS = {
    (module, name): one
    for module in (listing, counting)
    for name, one in vars(module).items()
    if hasattr(one, "cache_clear") and one.__module__ == module.__name__
}


@contextmanager
def watched_makers(made: dict[int, str]) -> Iterator[None]:
    """While it lasts, note who makes which statement, and how."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in MAKERS:
            patch.setattr(module, name, watched(name, getattr(module, name), made))
        yield


def watched(
    name: str, make: Callable[..., Statement], made: dict[int, str]
) -> Callable[..., Statement]:
    @wraps(make)
    def run(*arguments: Any, **options: Any) -> Statement:
        statement = make(*arguments, **options)
        made[id(statement)] = name
        return statement

    return run


STEPS = 50


class OnSqlite(SqliteTransaction):
    """A transaction that keeps the plan of all that it runs."""

    def __init__(self, connection: sqlite3.Connection, made: dict[int, str]) -> None:
        super().__init__(connection, {})
        self.seen: list[Seen] = []
        self.made = made
        self.steps = 0

    def step(self) -> None:
        self.steps += STEPS

    def rows(self, statement: Statement, values: Values) -> list[Row]:
        form = statement.for_sqlite
        explain = Explained(Form(f"EXPLAIN QUERY PLAN {form.text}", form.constants, form.lists))
        plan = "\n".join(row[3] for row in super().rows(explain, values))
        self.steps = 0
        self._connection.set_progress_handler(self.step, STEPS)
        found = super().rows(statement, values)
        self._connection.set_progress_handler(None, 0)
        aliases = dict(re.findall(r"(\w+) AS (\w+)", form.text))
        scanned = [
            line
            for line in plan.splitlines()
            if (match := re.match(r"SCAN (\w+)", line))
            and any(match[1] in {name, aliases.get(name)} for name in TABLES)
        ]
        self.seen.append(
            Seen(
                maker=self.made.get(id(statement), ""),
                text=form.text,
                plan=plan,
                cost=self.steps,
                scans=tuple(scanned),
                sorts="TEMP B-TREE FOR" in plan.replace("TEMP B-TREE FOR DISTINCT", ""),
            )
        )
        return found


class Explained(Statement):
    """A statement that is ready."""

    def __init__(self, form: Form) -> None:
        self.for_sqlite = form


TABLES = (*GROWN, "participations", "workspaces", "report_counts", "report_blocks")
LOOK = (
    "LOAD 'auto_explain'",
    "SET auto_explain.log_min_duration = 0",
    "SET auto_explain.log_analyze = on",
    "SET auto_explain.log_timing = off",
    "SET auto_explain.log_format = json",
    "SET client_min_messages = log",
)


class OnPostgres(PostgresTransaction):
    """A transaction that keeps the plan of all that it runs, as the server says it was."""

    def __init__(self, address: str, made: dict[int, str]) -> None:
        super().__init__(connect(address), {})
        self.seen: list[Seen] = []
        self.made = made
        self.said: list[dict[str, Any]] = []
        for text in LOOK:
            self._link.execute(text)
        self._link.add_notice_handler(self.hear)

    def hear(self, notice: psycopg.errors.Diagnostic) -> None:
        _, brace, rest = (notice.message_primary or "").partition("{")
        self.said.append(json.loads(brace + rest))

    def rows(self, statement: Statement, values: Values) -> list[Row]:
        self.said.clear()
        found = super().rows(statement, values)
        [said] = self.said
        nodes = list(nodes_of(said["Plan"]))
        sorts = [node for node in nodes if node["Node Type"] == "Sort"]
        self.seen.append(
            Seen(
                maker=self.made.get(id(statement), ""),
                text=said["Query Text"],
                plan=json.dumps(said["Plan"]),
                cost=sum(map(touched, nodes)),
                scans=tuple(
                    node["Relation Name"]
                    for node in nodes
                    if node["Node Type"] == "Seq Scan" and node["Relation Name"] in GROWN
                ),
                sorts=bool(sorts),
                sorted=max((int(one["Plans"][0]["Actual Rows"]) for one in sorts), default=0),
            )
        )
        return found


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes_of(inner)


def touched(node: dict[str, Any]) -> int:
    """The rows that a node read from a table or an index, those that it then left out too."""
    if "Relation Name" not in node and "Index Name" not in node:
        return 0
    removed = ("Rows Removed by Filter", "Rows Removed by Index Recheck")
    each = node["Actual Rows"] + sum(node.get(name, 0) for name in removed)
    return round(each * node["Actual Loops"])


# -- the lists


class Case(NamedTuple):
    who: str
    what: str
    query: Query


WHO = {
    "administrator": Reach(1, None),
    "in fifty": Reach(1, IN_FIFTY),
    "in hundreds": Reach(1, IN_HUNDREDS),
    "one workspace": Reach(1, None),
}
MIDDLE, EARLY, LATE = (FIRST_AT + SPAN_US * part // 1000 for part in (500, 5, 990))
PREFIX = "external_reference_"
NAMED: dict[str, dict[str, FilterValue]] = {
    "all": {},
    **{
        f"{name} {when}": {name: moment}
        for name in listing.TIME_FILTERS
        for when, moment in (("early", EARLY), ("middle", MIDDLE), ("late", LATE))
    },
    "a day": {"created_after": MIDDLE, "created_before": MIDDLE + 86_400_000_000},
    "created early, updated late": {"created_before": EARLY, "updated_after": LATE},
    "created and updated in the middle": {
        "created_after": MIDDLE - SPAN_US // 100,
        "updated_before": MIDDLE,
    },
    "with references": {"has_external_references": True},
    "without references": {"has_external_references": False},
    "service": {PREFIX + "service_name": "tracker"},
    "model": {PREFIX + "service_model": "issue"},
    "one ref": {PREFIX + "service_model_ref": "REF-2010"},
    "external status": {PREFIX + "external_status": "open"},
    "external message": {PREFIX + "external_message": "Synchronised."},
    "status": {PREFIX + "status": "failed"},
    "nobody's": {PREFIX + "service_name": "nobody's"},
    "some refs": {PREFIX + "service_model_refs": tuple(f"REF-{n}" for n in range(200))},
    "without a service": {"without_external_reference_service_name": "ledger"},
    "two of references": {PREFIX + "service_name": "ledger", PREFIX + "external_status": "open"},
    "service, late": {PREFIX + "service_name": "ledger", "created_after": LATE},
    "without references, late": {"has_external_references": False, "created_after": LATE},
}
ORDERED = ("all", "created_after late", "created_before middle", "updated_after middle", "service")
SORTS = tuple(
    Sort(name, descending=descending)
    for name in ("id", "created_at", "updated_at")
    for descending in (False, True)
)


def cases() -> Iterator[Case]:
    for who in WHO:
        more: dict[str, FilterValue] = {"workspace_id": (7,)} if who == "one workspace" else {}
        for name, filters in NAMED.items():
            for sort in SORTS if name in ORDERED else SORTS[:1]:
                asked = tuple(Filter(*one) for one in (more | filters).items())
                yield Case(who, name, Query(Kind.STATUS_REPORTS, asked, sort))
    for who in ("administrator", "in fifty", "in hundreds"):
        for sort in SORTS:
            yield Case(
                who, "far", Query(Kind.STATUS_REPORTS, (), sort, Window(offset=4_500))
            )


def name_of(case: Case) -> str:
    order = f"{case.query.sort.name}{' down' if case.query.sort.descending else ''}"
    return f"{case.who}, {case.what}, by {order}"
