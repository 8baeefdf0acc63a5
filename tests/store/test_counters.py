"""Stored counts match the reports after any writes, by many writers, and after failed writes."""

import multiprocessing
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing.managers import SyncManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Table, delete, select, text

import raw
from effort import effort
from healthreports.app import open_database
from healthreports.core.model import Actor, Instant, User
from healthreports.core.rules.reports import ReportLine
from healthreports.core.vocabulary import AccountPermission, Color, Scope, SubjectType, SyncStatus
from healthreports.service.people import accounts, members, workspaces
from healthreports.service.reports import importing, references, reports
from healthreports.settings import Settings
from healthreports.store.engine.database import Database, Transaction
from healthreports.store.engine.statement import Statement
from healthreports.store.lists import counters, verify
from healthreports.store.lists.counters import Dimension
from healthreports.store.reports.imports import Progress
from healthreports.store.schema.tables import (
    current_reports,
    deleted_reports,
    external_references,
    report_blocks,
    report_counts,
    report_terms,
    report_versions,
    status_reports,
)
from healthreports.store.schema.upgrade import is_server, upgrade
from postgres_kit import STORES

THEN = Instant(1_700_000_000_000_000)
TRUTH = (status_reports, external_references)
COUNTED = (report_counts, report_blocks, report_terms, current_reports)


class Place(NamedTuple):
    """An account: its administrator, and two workspaces."""

    actor: Actor
    user: User
    workspaces: tuple[int, int]

    @property
    def account_id(self) -> int:
        return self.actor.account_id


def settle(tx: Transaction) -> Place:
    account_id = accounts.create_account(tx, "A", THEN)
    user = members.create_user(
        tx,
        account_id,
        full_name="U",
        email_address=f"u{account_id}@example.org",
        permission=AccountPermission.ADMINISTRATOR,
        now=THEN,
    )
    first, second = (workspaces.make_workspace(tx, user, title, THEN) for title in ("F", "S"))
    actor = Actor(
        user_id=user.id,
        account_id=account_id,
        permission=AccountPermission.ADMINISTRATOR,
        token_id=None,
        scopes=frozenset(Scope),
        last_used_at=None,
    )
    return Place(actor, user, (first, second))


def opened(address: str) -> Database:
    # The tests are about writers that wait for each other, not about how long they wait.
    return open_database(Settings(database=address, busy_timeout_s=60.0))


def new_database(request: pytest.FixtureRequest, folder: Path) -> str:
    if request.param == "sqlite":
        made = str(folder / "counters.sqlite3")
    else:
        made = request.getfixturevalue("cluster").make_database()
    upgrade(made)
    return made


@pytest.fixture(scope="module", params=STORES)
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database that no server has open, since tests corrupt its counts."""
    return new_database(request, tmp_path_factory.mktemp("counters"))


@pytest.fixture(scope="module")
def database(address: str) -> Iterator[Database]:
    made = opened(address)
    yield made
    made.close()


@pytest.fixture(params=STORES)
def empty_address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return new_database(request, tmp_path)


def of_account(tx: Transaction, table: Table, account_id: int) -> list[tuple[Any, ...]]:
    mine = select(table).where(table.c.account_id == account_id)
    return tx.rows(Statement(mine.order_by(*table.primary_key)), {})


def ids(tx: Transaction, table: Table, account_id: int) -> list[int]:
    mine = select(table.c.id).where(table.c.account_id == account_id)
    return [one for (one,) in tx.rows(Statement(mine.order_by(table.c.id)), {})]


# -- any sequence of changes

# The next ids are at a border of no block, of a narrow block, or of blocks of both widths.
LAST_IDS = (0, (1 << 10) - 2, (1 << 20) - 2, (7 << 20) - 1, 1 << 40)

moments = st.one_of(
    st.integers(-(1 << 55), 1 << 57),
    st.builds(
        lambda shift, number, beside: (number << shift) + beside,
        st.sampled_from(counters.TIME_SHIFTS),
        st.integers(-150, 250),
        st.integers(-1, 1),
    ),
).map(Instant)
said = st.sampled_from([None, "", "open", "done", "status=failed"])
links = st.fixed_dictionaries(
    {
        "service_name": st.sampled_from(["jira", "Jira", "asana", "Tåg & co"]),
        "service_model": st.sampled_from(["issue", "jira"]),
        "service_model_ref": st.sampled_from(["1", "2", "jira"]),
    },
    optional={
        "external_status": said,
        "external_message": said,
        "external_link": st.just("https://example.org"),
        "locked": st.booleans(),
    },
)
with_status = st.builds(
    lambda link, status: link | status,
    links,
    st.fixed_dictionaries({}, optional={"status": st.sampled_from(list(SyncStatus))}),
)
says = {"color": st.sampled_from(list(Color)), "description": st.sampled_from(["Fine.", "Bad."])}
new_reports = st.fixed_dictionaries(says, optional={"external_reference": links})
# Some lines have times of their own, some have times in the same period as others.
imported = st.fixed_dictionaries(
    {"lines": st.lists(st.tuples(new_reports, moments, moments), min_size=1, max_size=6)}
)
changes = st.fixed_dictionaries({}, optional={**says, "external_reference": links})


class Step(NamedTuple):
    """One change; `which` selects the record that it is for."""

    does: str
    which: int
    sent: dict[str, Any]
    now: Instant


class Attempt(NamedTuple):
    """One transaction, in the first or second account; `ends` says whether it commits."""

    account: int
    steps: list[Step]
    ends: str


def steps_that(does: str, sent: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[Step]:
    return st.builds(Step, st.just(does), st.integers(0, 9), sent, moments)


attempts = st.builds(
    Attempt,
    st.integers(0, 1),
    st.lists(
        st.one_of(
            steps_that("create", new_reports),
            steps_that("create", new_reports),
            steps_that("import", imported),
            steps_that("change", changes),
            steps_that("delete", st.just({})),
            steps_that("refer to a report", with_status),
            steps_that("refer to a workspace", with_status),
            steps_that("delete a reference", st.just({})),
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from(["well", "well", "in a defect", "in a refusal of the database"]),
)


READ = Progress(
    name="file", bytes_done=1, lines_done=1, reports=1, digest="0" * 64, updated_at=THEN
)
NOTHING_READ = msgspec.structs.replace(READ, bytes_done=0)


class Defect(Exception):
    """An unexpected error."""


ENDS_IN = {
    "in a defect": Defect,
    "in a refusal of the database": (sqlite3.IntegrityError, psycopg.IntegrityError),
}
_IS_REFUSED = Statement(text("INSERT INTO accounts SELECT * FROM accounts"))


def attempted(tx: Transaction, place: Place, attempt: Attempt) -> None:
    for step in attempt.steps:
        take(tx, place, step)
    if attempt.ends == "in a defect":
        raise Defect
    if attempt.ends == "in a refusal of the database":
        tx.rows(_IS_REFUSED, {})


def take(tx: Transaction, place: Place, step: Step) -> None:
    actor, which, sent, now = place.actor, step.which, step.sent, step.now
    workspace = place.workspaces[which % 2]
    if step.does == "create":
        reports.create(tx, actor, sent | {"workspace_id": workspace}, now)
    elif step.does == "import":
        lines = [
            ReportLine(
                number=number + 1,
                end=number + 1,
                sent=report | {"workspace_id": place.workspaces[(which + number) % 2]},
                created_at=created_at,
                updated_at=updated_at,
            )
            for number, (report, created_at, updated_at) in enumerate(sent["lines"])
        ]
        before = importing.progress(tx, place.user, READ.name) or NOTHING_READ
        assert importing.store(tx, place.user, lines, before, READ, now) == []
    elif step.does == "refer to a workspace":
        refer(tx, actor, SubjectType.WORKSPACE, workspace, sent, now)
    else:
        is_for = external_references if step.does == "delete a reference" else status_reports
        there = ids(tx, is_for, place.account_id)
        if not there:
            return
        one = there[which % len(there)]
        if step.does == "change":
            reports.change(tx, actor, one, sent, now)
        elif step.does == "delete":
            reports.delete(tx, actor, one, now)
        elif step.does == "delete a reference":
            references.delete(tx, actor, one)
        else:
            refer(tx, actor, SubjectType.STATUS_REPORT, one, sent, now)


def refer(  # noqa: PLR0917  the subject and the attributes of a reference
    tx: Transaction,
    actor: Actor,
    subject_type: SubjectType,
    subject_id: int,
    sent: dict[str, Any],
    now: Instant,
) -> None:
    named = {"subject_type": subject_type, "subject_id": subject_id}
    references.create_or_update(tx, actor, sent | named, now)


def everything(tx: Transaction, account_id: int) -> list[list[tuple[Any, ...]]]:
    return [of_account(tx, table, account_id) for table in (*TRUTH, *COUNTED)]


def counted(tx: Transaction) -> tuple[set[tuple[Any, ...]], ...]:
    """All stored counts, without those of zero and without the times of blocks."""
    counts, blocks, *others = (tx.rows(Statement(select(table)), {}) for table in COUNTED)
    return (
        {row for row in counts if row[3]},
        {row[:4] for row in blocks if row[3]},
        *map(set, others),
    )


def begin_anew(database: Database, address: str, last_id: int = 0) -> None:
    """Delete all reports and references, so that no test sees the errors of an earlier one."""

    def empty(tx: Transaction) -> None:
        for table in (*TRUTH, *COUNTED, report_versions, deleted_reports):
            tx.rows(Statement(delete(table)), {})
        verify.rebuild(tx)  # a workspace without a report has a current state, too

    database.write_here(empty)
    let_next_ids_follow(address, last_id)


def let_next_ids_follow(address: str, last: int) -> None:
    # Workspaces too: a report and a workspace may have the same id.
    for table in ("status_reports", "workspaces"):
        if is_server(address):
            raw.execute(address, "SELECT setval(?, ?, ?)", f"{table}_ids", last or 1, last > 0)
        else:
            raw.execute(address, "UPDATE sqlite_sequence SET seq = ? WHERE name = ?", last, table)


@effort(5, 3_000)
@given(last_id=st.sampled_from(LAST_IDS), tries=st.lists(attempts, min_size=1, max_size=8))
def test_after_any_changes_all_is_counted_and_rebuilding_counts_the_same(
    address: str, database: Database, last_id: int, tries: list[Attempt]
) -> None:
    begin_anew(database, address, last_id)
    places = [database.write_here(settle) for _ in range(2)]
    for attempt in tries:
        place = places[attempt.account]
        work = partial(attempted, place=place, attempt=attempt)
        if attempt.ends == "well":
            database.write_here(work, place.account_id)
            continue
        all_mine = partial(everything, account_id=place.account_id)
        before = database.read_here(all_mine)
        with pytest.raises(ENDS_IN[attempt.ends]):
            database.write_here(work, place.account_id)
        assert database.read_here(all_mine) == before
    assert database.read_here(verify.differences) == []
    kept = database.read_here(counted)
    database.write_here(verify.rebuild)
    assert database.read_here(verify.differences) == []
    assert database.read_here(counted) == kept


# -- many writers

WRITERS = 3
THREADS = 2
TURNS = 8
Reports = dict[int, tuple[str, frozenset[str]]]


class Barrier(Protocol):
    """Where writers wait for each other."""

    def wait(self) -> int: ...


class Told(NamedTuple):
    """What a writer was told is stored: its own reports, and its changes to the shared one."""

    own: Reports
    shared_says: str
    shared_services: frozenset[str]


def link(service_name: str) -> dict[str, str]:
    return {"service_name": service_name, "service_model": "m", "service_model_ref": "r"}


def write_much(database: Database, place: Place, shared: int, name: str, meet: Barrier) -> Told:
    """Create, change and delete; some writes are rolled back, some lock all accounts."""
    actor, account_id = place.actor, place.account_id
    own: Reports = {}
    meet.wait()
    for turn in range(TURNS):
        now, says, service = Instant((turn - 3) << 42), f"{name} {turn}", f"{name}-{turn}"
        lock = account_id if turn % 4 else None
        sent = {"color": "red", "description": says, "external_reference": link(service)}
        new = sent | {"workspace_id": place.workspaces[turn % 2]}

        def make(tx: Transaction, new: dict[str, Any] = new, now: Instant = now) -> int:
            return reports.create(tx, actor, new, now).id

        def change(tx: Transaction, sent: dict[str, Any] = sent, now: Instant = now) -> int:
            return reports.change(tx, actor, shared, sent, now).id

        def fail(tx: Transaction, sent: dict[str, Any] = sent, now: Instant = now) -> None:
            reports.change(tx, actor, shared, sent | {"description": "undone"}, now)
            make(tx)
            raise Defect

        made = database.write_here(make, lock)
        own[made] = says, frozenset([service])
        with pytest.raises(Defect):
            database.write_here(fail, lock)
        database.write_here(change, lock)
        if turn % 3 == 2:
            first = min(own)
            database.write_here(
                partial(reports.delete, actor=actor, report_id=first, now=THEN), lock
            )
            del own[first]
    return Told(own, says, frozenset(f"{name}-{turn}" for turn in range(TURNS)))


def write_in_threads(
    database: Database, places: Sequence[tuple[Place, int]], name: str, meet: Barrier
) -> list[list[Told]]:
    """Run writers in threads. Returns what they were told, for each place."""
    inner = threading.Barrier(THREADS * len(places), action=meet.wait)
    with ThreadPoolExecutor(THREADS * len(places)) as pool:
        futures = [
            [
                pool.submit(write_much, database, place, shared, f"{name}.{number}", inner)
                for number in range(THREADS)
            ]
            for place, shared in places
        ]
        return [[future.result() for future in of_place] for of_place in futures]


def write_in_own_database(
    address: str, places: Sequence[tuple[Place, int]], name: str, meet: Barrier
) -> list[list[Told]]:
    database = opened(address)
    try:
        return write_in_threads(database, places, name, meet)
    finally:
        database.close()


@pytest.fixture(scope="module")
def manager() -> Iterator[SyncManager]:
    with multiprocessing.get_context("spawn").Manager() as started:
        yield started


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WRITERS, mp_context=context) as pool:
        yield pool


def with_a_report(tx: Transaction) -> tuple[Place, int]:
    place = settle(tx)
    sent = {"workspace_id": place.workspaces[0], "color": "green", "description": "Shared."}
    return place, reports.create(tx, place.actor, sent, THEN).id


def there_is(tx: Transaction, account_id: int) -> Reports:
    r, x = status_reports.c, external_references.c
    services: dict[int, set[str]] = {}
    mine = select(x.subject_id, x.service_name).where(x.account_id == account_id)
    for report_id, service in tx.rows(Statement(mine), {}):
        services.setdefault(report_id, set()).add(service)
    rows = tx.rows(Statement(select(r.id, r.description).where(r.account_id == account_id)), {})
    return {one: (says, frozenset(services.pop(one, ()))) for one, says in rows}


def demand_all_of(database: Database, place: Place, shared: int, told: Sequence[Told]) -> None:
    """Assert that an account has exactly the reports that its writers were told of."""
    found = database.read_here(partial(there_is, account_id=place.account_id))
    says, services = found.pop(shared)
    assert found == {key: value for one in told for key, value in one.own.items()}
    assert services == frozenset().union(*(one.shared_services for one in told))
    assert says in {one.shared_says for one in told}


accounts_written = pytest.mark.parametrize(
    "accounts",
    [pytest.param(1, id="one account", marks=pytest.mark.thorough), pytest.param(2, id="two")],
)


@accounts_written
def test_threads_that_write_at_once_lose_nothing_and_count_right(
    database: Database, accounts: int
) -> None:
    places = [database.write_here(with_a_report) for _ in range(accounts)]
    told = write_in_threads(database, places, "thread", threading.Barrier(1))
    assert database.read_here(verify.differences) == []
    for (place, shared), of_place in zip(places, told, strict=True):
        demand_all_of(database, place, shared, of_place)


@accounts_written
def test_processes_that_write_at_once_lose_nothing_and_count_right(
    address: str, database: Database, processes: Executor, manager: SyncManager, accounts: int
) -> None:
    places = [database.write_here(with_a_report) for _ in range(accounts)]
    meet = manager.Barrier(WRITERS)
    futures = [
        processes.submit(write_in_own_database, address, places, f"process {number}", meet)
        for number in range(WRITERS)
    ]
    told = [future.result() for future in futures]
    assert database.read_here(verify.differences) == []
    for (place, shared), *by_process in zip(places, *told, strict=True):
        of_place = [one for by_threads in by_process for one in by_threads]
        demand_all_of(database, place, shared, of_place)


# -- differences are found

ONE_COUNT = (
    "(account_id, dimension, bucket) = (SELECT account_id, dimension, bucket FROM report_counts "
    "WHERE account_id = ? AND dimension = {dimension} LIMIT 1)"
)
COUNTS = {
    "one too many": f"UPDATE report_counts SET reports = reports + 1 WHERE {ONE_COUNT}",
    "one too few": f"UPDATE report_counts SET reports = reports - 1 WHERE {ONE_COUNT}",
    "a row missing": f"DELETE FROM report_counts WHERE {ONE_COUNT}",
    "a row of another bucket": f"UPDATE report_counts SET bucket = bucket - 1 WHERE {ONE_COUNT}",
    "an extra row": "INSERT INTO report_counts SELECT account_id, {dimension}, min(bucket) - 1, 1 "
    "FROM report_counts WHERE account_id = ? AND dimension = {dimension} GROUP BY account_id",
}
BLOCK = "WHERE account_id = ? AND level = {level}"
BLOCKS = {
    "one too many": f"UPDATE report_blocks SET reports = reports + 1 {BLOCK}",
    "one too few": f"UPDATE report_blocks SET reports = reports - 1 {BLOCK}",
    "a row missing": f"DELETE FROM report_blocks {BLOCK}",
    "an extra row": "INSERT INTO report_blocks SELECT account_id, level, block + 1, 1, "
    f"created_from, created_to, updated_from, updated_to FROM report_blocks {BLOCK}",
    **{
        f"too narrow: {bound}": f"UPDATE report_blocks SET {bound} = {bound} {by} 1 {BLOCK}"
        for bound, by in (
            ("created_from", "+"),
            ("created_to", "-"),
            ("updated_from", "+"),
            ("updated_to", "-"),
        )
    },
}
ONE_TERM = (
    "(account_id, term, report_id) = (SELECT account_id, term, report_id FROM report_terms "
    "WHERE account_id = ? LIMIT 1)"
)
TERMS = {
    "a term missing": f"DELETE FROM report_terms WHERE {ONE_TERM}",
    "an extra term": "INSERT INTO report_terms SELECT account_id, min(term) - 1, min(report_id) "
    "FROM report_terms WHERE account_id = ? GROUP BY account_id",
    "a term of a report that is not there": "INSERT INTO report_terms SELECT account_id, "
    "min(term), max(report_id) + 1 FROM report_terms WHERE account_id = ? GROUP BY account_id",
    "a term of another report": "UPDATE report_terms SET report_id = report_id + 1000000 "
    f"WHERE {ONE_TERM}",
    "another term": f"UPDATE report_terms SET term = term - 1 WHERE {ONE_TERM}",
}
SPOILT = [
    *(
        pytest.param("report_counts", how.format(dimension=int(one)), id=f"{one.name}: {name}")
        for one in Dimension
        for name, how in COUNTS.items()
    ),
    *(
        pytest.param("report_blocks", how.format(level=level), id=f"block {level}: {name}")
        for level in counters.BLOCK_SHIFTS
        for name, how in BLOCKS.items()
    ),
    *(pytest.param("report_terms", how, id=name) for name, how in TERMS.items()),
]


def with_referenced_reports(tx: Transaction) -> Place:
    place = settle(tx)
    for number in range(4):
        sent = {
            "workspace_id": place.workspaces[number % 2],
            "color": "green",
            "description": f"{number}",
            "details": [{"category": "Budget", "color": "red"}],
            "external_reference": link(f"service {number % 3}"),
        }
        report = reports.create(tx, place.actor, sent, Instant((number - 2) << 43))
    reports.change(tx, place.actor, report.id, {"color": "red"}, THEN)
    return place


@pytest.fixture
def place(address: str, database: Database) -> Place:
    """An account with reports; the bounds of its blocks are exact, not wider."""
    begin_anew(database, address)
    made = database.write_here(with_referenced_reports)
    database.write_here(verify.rebuild)
    return made


# Only make fuzz runs the other five of six: the code is the same for each dimension.
@pytest.mark.parametrize(
    ("table", "how"),
    [
        pytest.param(*one.values, id=one.id, marks=() if number % 6 == 0 else pytest.mark.thorough)
        for number, one in enumerate(SPOILT)
    ],
)
def test_what_is_counted_wrong_is_found_and_mended(
    address: str, database: Database, place: Place, table: str, how: str
) -> None:
    assert database.read_here(verify.differences) == []
    right = database.read_here(partial(everything, account_id=place.account_id))
    raw.execute(address, how, place.account_id)
    found = database.read_here(verify.differences)
    assert [line for line in found if line.startswith(table)], found
    database.write_here(verify.rebuild)
    assert database.read_here(verify.differences) == []
    assert database.read_here(partial(everything, account_id=place.account_id)) == right


@pytest.mark.parametrize(
    "how",
    [
        "UPDATE report_blocks SET created_from = created_from - 1 WHERE account_id = ?",
        "UPDATE report_blocks SET updated_to = updated_to + 1 WHERE account_id = ?",
        (
            "INSERT INTO report_counts SELECT account_id, dimension, min(bucket) - 1, 0 "
            "FROM report_counts WHERE account_id = ? GROUP BY account_id, dimension"
        ),
        (
            "INSERT INTO report_blocks SELECT account_id, level, block + 1, 0, 0, 0, 0, 0 "
            "FROM report_blocks WHERE account_id = ?"
        ),
    ],
    ids=["earlier than needed", "later than needed", "a count of none", "a block of none"],
)
def test_what_no_answer_could_come_out_wrong_by_is_no_difference(
    address: str, database: Database, place: Place, how: str
) -> None:
    raw.execute(address, how, place.account_id)
    assert database.read_here(verify.differences) == []


# They are read in three parts; the first and the last have a term that the second lacks.
MANY = 25_000
REFERENCES = """
    INSERT INTO external_references (account_id, id, workspace_id, subject_type, subject_id,
      service_name, service_model, service_model_ref, status, external_status,
      created_at, updated_at)
    WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < ?)
    SELECT account_id, x, workspace_id, 'StatusReport', status_reports.id,
      CAST(1000000 + x AS TEXT), 'm', 'r', 'successful',
      CASE WHEN x IN (1, 24000) THEN 'rare' END, 0, 0
    FROM n JOIN status_reports ON status_reports.id = 1 + x * ? / 25001
"""


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(1, id="of one report", marks=pytest.mark.thorough),
        pytest.param(40, id="of some"),
    ],
)
def test_more_references_than_are_read_at_once_are_counted_anew(
    empty_address: str, number: int
) -> None:
    def make(tx: Transaction) -> None:
        place = settle(tx)
        sent = {"workspace_id": place.workspaces[0], "color": "red", "description": "D"}
        for _ in range(number):
            reports.create(tx, place.actor, sent, THEN)

    database = opened(empty_address)
    try:
        database.write_here(make)
        raw.execute(empty_address, REFERENCES, MANY, number)
        database.write_here(verify.rebuild)
        assert database.read_here(verify.differences) == []
    finally:
        database.close()
    [[terms]] = raw.execute(empty_address, "SELECT count(*) FROM report_terms")
    [[rare]] = raw.execute(
        empty_address,
        "SELECT count(DISTINCT subject_id) FROM external_references "
        "WHERE external_status IS NOT NULL",
    )
    # One term for each service name. For each report: its model, its reference, its status, and
    # that it has any reference.
    assert terms == MANY + number * 4 + rare
