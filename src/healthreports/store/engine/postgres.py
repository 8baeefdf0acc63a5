"""PostgreSQL: connections, transactions, and everything that is specific to PostgreSQL.

Every read and write runs in a thread, on a connection of that thread. Processes share no state
except the database, so any number of processes can use it. A read uses cached rows (the user of a
token, the version of an account) and confirms them in the same round trip and the same snapshot as
its first query. If a row has changed, the read is repeated.

Reads may use a replica. Then these rows are read from the primary each time. If the replica has
other values, the whole read is repeated on the primary. So a client sees its own writes through any
process, and a token is revoked at once.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum, StrEnum, auto
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeVar

import psycopg
from psycopg import errors, generators
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.types.numeric import Int8Dumper
from psycopg.types.string import StrDumper
from sqlalchemy import text

from healthreports.core.errors import StorageBusy, StorageFull, StorageReplaced, StorageUnavailable
from healthreports.store.engine.database import (
    SCHEMA_QUESTION,
    Database,
    OnReplaced,
    Row,
    Transaction,
    Waiting,
)
from healthreports.store.engine.group_commit import SharedTransaction
from healthreports.store.engine.memory import Memory
from healthreports.store.engine.pipeline import Pipeline, Question, is_storable
from healthreports.store.engine.statement import Statement, Values
from healthreports.store.engine.writer import Lock, Writer

T = TypeVar("T")

# A read waits for the server and not for the CPU, so there may be more threads than cores.
READER_THREADS: Final = 4
# Accounts are written in parallel; all writes of one account use the same writer.
WRITERS: Final = 4
_READ: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
# `store/schema/upgrade` has the number of this lock too.
_ALONE: Final = 7_310_002
# A write in one account shares this lock; a write that locks all accounts has it exclusively.
_LOCK_ALL: Final = f"SELECT pg_advisory_xact_lock({_ALONE})"
_LOCK_ONE: Final = (
    f"SELECT pg_advisory_xact_lock_shared({_ALONE})",
    "SELECT version FROM account_versions WHERE account_id = %s FOR NO KEY UPDATE",
)
# Errors that the environment or the administrator causes.
_UNAVAILABLE: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    errors.QueryCanceled,
    errors.ReadOnlySqlTransaction,
)
_BUSY: Final = (errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure)
# Each statement is written for one query plan, with its joins in the order of the text. With these
# settings the planner uses that plan. Otherwise it might choose one that reads and sorts more rows,
# based on estimates for parameters whose values it does not know.
_PLANS: Final[dict[str, str]] = {
    **dict.fromkeys(("join_collapse_limit", "from_collapse_limit"), "1"),
    **dict.fromkeys(
        (
            "enable_bitmapscan",
            "enable_hashjoin",
            "enable_material",
            "enable_mergejoin",
            "enable_seqscan",
        ),
        "off",
    ),
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}
PLANS: Final = " ".join(f"-c {name}={value}" for name, value in _PLANS.items())
# With this, statements that are sent together see one snapshot even without BEGIN.
# (It does not set read-only as well: libpq would take a primary for a standby.)
_SNAPSHOT: Final = "-c default_transaction_isolation=repeatable\\ read"
# A replica that is unavailable is not used for this time.
_ASK_AGAIN_S: Final = 5
# With these settings, a server that disappears without closing the connection is noticed within
# some seconds.
_PATIENCE: Final = {
    "connect_timeout": 2,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "healthreports",  # tells an upgrade that a server is connected
}


class Link(psycopg.Connection[Row]):
    """A connection in autocommit mode, as the writer needs it."""

    _is_ending = False

    @cached_property
    def prepared_pipeline(self) -> Pipeline:
        """Runs several statements in one round trip."""
        return Pipeline(self)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, even one that has failed and can only be rolled back."""
        status = self.info.transaction_status
        return status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)

    def end_soon(self) -> None:
        """Commit a transaction that only read, without waiting for the response."""
        self.pgconn.send_query(b"COMMIT")
        self.pgconn.flush()
        self._is_ending = True

    def get_ready(self) -> None:
        """Read the response that `end_soon` did not wait for."""
        if self._is_ending:
            self._is_ending = False
            self.wait(generators.fetch_many(self.pgconn))


class _Changed(Exception):
    """A cached row is different in this snapshot."""


class _Behind(Exception):
    """A row of the replica differs from the primary's."""


def _bound(statement: Statement, values: Values) -> tuple[str, dict[str, Any]]:
    form = statement.for_postgres
    bound = {**form.constants, **values}
    for name, value in bound.items():
        if isinstance(value, tuple):
            bound[name] = [one for one in value if is_storable(one)]
        elif not is_storable(value):
            bound[name] = None
    return form.text, bound


class PostgresTransaction(Transaction):
    """A transaction on one connection."""

    def __init__(
        self, link: Link, counts: dict[object, Any], records: Memory | None = None
    ) -> None:
        super().__init__(counts, records)
        self._link = link

    def rows(self, statement: Statement, values: Values) -> list[Row]:
        """The rows that `statement` selects or returns."""
        return _rows(self._execute(statement, values))

    def text_of(self, statement: Statement) -> str:
        """The SQL of `statement`."""
        return statement.for_pipeline.text

    def run_each(self, statement: Statement, many: Sequence[Values]) -> None:
        """Run `statement` for each of `many`, in one round trip."""
        if many:
            text, _ = _bound(statement, {})
            with self._link.cursor() as cursor:
                cursor.executemany(text, [_bound(statement, one)[1] for one in many])

    def new_ids(self, table: str, number: int) -> Sequence[int]:
        """New ids from the sequence of `table`, ascending."""
        found = self._link.execute(
            "SELECT nextval(%s::regclass) FROM generate_series(1, %s)", (f"{table}_ids", number)
        )
        return sorted(row[0] for row in found)

    def _execute(self, statement: Statement, values: Values) -> psycopg.Cursor[Row]:
        return self._link.execute(*_bound(statement, values), prepare=True, binary=True)


def _rows(cursor: psycopg.Cursor[Row]) -> list[Row]:
    return cursor.fetchall() if cursor.description else []


class _Expected(NamedTuple):
    """A cached row, and the query that confirms it."""

    key: tuple[Any, ...]
    question: Question
    row: Row | None


# How often a read is tried with only an implicit transaction for its first query.
_LIGHT_TRIES: Final = 2


class _ReadTransaction(PostgresTransaction):
    """A read in one snapshot, or the equivalent of one.

    `remembered` caches the rows that earlier reads found; they have to be confirmed. If `primary`
    is given, they are read there instead. The first query and the rows that it relies on are one
    transaction. A second query begins a transaction that stays open, and confirms all these rows
    again. If the version of the account is the same, the first result is still valid.
    """

    def __init__(
        self, link: Link, counts: Memory, records: Memory, remembered: Memory, primary: Link | None
    ) -> None:
        super().__init__(link, counts, records)
        self._remembered = remembered
        self._primary = primary
        self._tries = 0
        self._lasts = False
        self._asked = False
        self._expected: list[_Expected] = []
        self._up_to = 0  # how many of `_expected` are confirmed
        self._confirmed: dict[tuple[Any, ...], Row | None] = {}

    def rows(self, statement: Statement, values: Values) -> list[Row]:
        """The rows that `statement` selects."""
        return self._ask((statement, values))

    def recall(self, statement: Statement, values: Values) -> Row | None:
        """The first row that `statement` selects; the next query or the end confirms it."""
        key = (statement, *values.values())
        if key in self._confirmed:
            return self._confirmed[key]
        if self._primary is not None:
            found = next(iter(self._primary.prepared_pipeline.ask([(statement, values)])[0]), None)
        else:
            try:
                found = self._remembered[key]
            except KeyError:
                found = next(iter(self._ask((statement, values))), None)
                self._note(key, found)
                self._up_to += 1
        self._expected.append(_Expected(key, (statement, values), found))
        self._confirmed[key] = found  # if it turns out to be wrong, the next query raises
        return found

    def confirming(self, work: Callable[[Transaction], T]) -> T:
        """What `work` returns or raises, if all rows that it relied on are confirmed.

        Raises _Changed or _Behind if not.
        """
        self._tries += 1
        try:
            result = work(self)
        except (_Changed, _Behind, psycopg.Error):
            raise
        except Exception:
            self._confirm()
            raise
        self._confirm()
        return result

    def end(self) -> None:
        """Release the snapshot."""
        if self._lasts and self._link.in_transaction:
            self._link.end_soon()

    def _confirm(self) -> None:
        if self._up_to < len(self._expected):
            self._ask(None)

    def _ask(self, question: Question | None) -> list[Row]:
        """The rows of a query; confirms the expected rows in the same round trip.

        Raises _Changed or _Behind.
        """
        begins = not self._lasts and (
            self._asked or not self._expected or self._tries > _LIGHT_TRIES
        )
        expected = self._expected[self._up_to :] if self._lasts else self._expected
        asked: list[Question] = [(_READ, {})] if begins else []
        asked += [one.question for one in expected]
        if question is not None:
            asked.append(question)
        self._lasts, self._asked = self._lasts or begins, True
        found = self._link.prepared_pipeline.ask(asked)[begins:]
        self._demand(expected, found)
        self._up_to = len(self._expected)
        return found[-1] if question is not None else []

    def _demand(self, expected: list[_Expected], found: list[list[Row]]) -> None:
        """Raise _Behind, or cache the new rows and raise _Changed, if a row is not as expected."""
        rows = {one.key: next(iter(some), None) for one, some in zip(expected, found, strict=False)}
        if all(rows[one.key] == one.row for one in expected):
            return
        if self._primary is not None:
            raise _Behind
        for key, row in rows.items():
            self._note(key, row)
        # In a snapshot that stays open, the new rows are valid; otherwise all are read again.
        self._confirmed = rows if self._lasts else {}
        self._expected, self._up_to, self._asked = [], 0, self._lasts
        raise _Changed

    def _note(self, key: tuple[Any, ...], found: Row | None) -> None:
        if found is None:  # not cached, as anybody can ask for any number of missing rows
            self._remembered.forget(key)
        else:
            self._remembered[key] = found


class _Purpose(Enum):
    """The purpose of a connection."""

    WRITE = auto()
    READ = auto()
    READ_COPY = auto()


_NUMBER: Final = Statement(
    text(
        "SELECT oid, has_function_privilege('pg_control_system()', 'EXECUTE') "
        "FROM pg_database WHERE datname = current_database()"
    )
)
_CLUSTER: Final = Statement(text("SELECT system_identifier FROM pg_control_system()"))


class PostgresDatabase(Database):
    """One PostgreSQL database, and if `replica` is given, a replica to read from.

    `address` and `replica` are connection strings for libpq, which may contain several hosts. The
    timeout of a statement is `time_limit_s`, that of waiting for a lock `busy_timeout_s`.
    """

    _errors = psycopg.Error

    def __init__(  # noqa: PLR0917  the addresses, and options
        self,
        address: str,
        replica: str,
        busy_timeout_s: float,
        time_limit_s: float,
        schema: str | None = None,
        on_replaced: OnReplaced | None = None,
    ) -> None:
        super().__init__(READER_THREADS, schema, on_replaced)
        options = (
            f"-c lock_timeout={busy_timeout_s * 1000:.0f} "
            f"-c statement_timeout={time_limit_s * 1000:.0f} "
            f"-c idle_in_transaction_session_timeout={time_limit_s * 1000:.0f}"
        )
        plans = f"{options} {PLANS} {_SNAPSHOT}"
        self._roles = {
            _Purpose.WRITE: (address, options),
            _Purpose.READ: (address, plans),
            _Purpose.READ_COPY: (replica, plans),
        }
        self._copies_from = 0.0 if replica else math.inf
        self._here = threading.local()
        self._links: set[Link] = set()
        self._remembered = Memory()
        self._writers = [Writer(self._begin, self._committed) for _ in range(WRITERS)]

    def place(self) -> str:
        """The identifier of the cluster, if the user may read it, and the oid of the database."""

        def ask(tx: Transaction) -> str:
            [[number, may_ask]] = tx.rows(_NUMBER, {})
            cluster = tx.rows(_CLUSTER, {})[0][0] if may_ask else ""
            return f"{cluster}.{number}"

        return self._read_latest(ask, Waiting())

    def close(self) -> None:
        """Wait for the transactions under way, then close all connections."""
        for writer in self._writers:
            writer.close()
        self._readers.shutdown()
        while self._links:
            self._links.pop().close()

    async def read_latest(self, work: Callable[[Transaction], T]) -> T:
        """`read`, but never from a replica."""
        return await self._in_thread(self._read_latest, work)

    def _read(self, work: Callable[[Transaction], T], waiting: Waiting) -> T:
        if time.monotonic() >= self._copies_from:
            try:
                return self._read_as(_Purpose.READ_COPY, work, waiting)
            except _Behind:
                pass
            except StorageUnavailable:
                self._copies_from = time.monotonic() + _ASK_AGAIN_S
        return self._read_latest(work, waiting)

    def _read_latest(self, work: Callable[[Transaction], T], waiting: Waiting) -> T:
        return self._read_as(_Purpose.READ, work, waiting)

    def _read_as(self, role: _Purpose, work: Callable[[Transaction], T], waiting: Waiting) -> T:
        try:
            result = self._with_link(role, lambda link: self._read_on(link, role, work))
        except psycopg.Error as error:
            raise self._translated(error) from error
        waiting.demand()
        return result

    def _read_on(self, link: Link, role: _Purpose, work: Callable[[Transaction], T]) -> T:
        """What `work` returns, run in one snapshot. On a replica, raises _Behind if it differs."""
        primary = self._link(_Purpose.READ) if role is _Purpose.READ_COPY else None
        reading = _ReadTransaction(link, self._counts, self._records, self._remembered, primary)
        try:
            while True:
                with suppress(_Changed):  # then `work` runs again, with the rows found now
                    return reading.confirming(work)
        finally:
            reading.end()

    def _begin(self, lock: Lock) -> SharedTransaction:
        """Begin a write transaction with `lock`, on this thread's connection."""
        self._demand_usable()

        def begin(link: Link) -> Link:
            try:
                with link.pipeline():
                    link.execute("BEGIN")
                    if lock is None:
                        link.execute(_LOCK_ALL)
                    else:
                        everybody, account = _LOCK_ONE
                        link.execute(everybody)
                        link.execute(account, (lock,))
                    # After the lock, which an upgrade takes too, so that the schema cannot change.
                    schema = link.execute(SCHEMA_QUESTION) if self._schema is not None else None
                if schema is not None:
                    found = schema.fetchone()
                    self._demand_schema(found[0] if found else "")
            except (psycopg.Error, StorageReplaced):
                if link.in_transaction:  # a timeout of the lock, or another schema
                    link.execute("ROLLBACK")
                raise
            return link

        link = self._with_link(_Purpose.WRITE, begin)
        return SharedTransaction(PostgresTransaction(link, {}), link)

    def _with_link(self, role: _Purpose, work: Callable[[Link], T]) -> T:
        """What `work` returns on this thread's connection; retried on a new one if it was lost.

        The connection may have been idle for long. Retrying is safe, as `work` commits nothing.
        """
        link = self._link(role)
        try:
            return work(link)
        except psycopg.OperationalError:
            if not link.closed:
                raise
        return work(self._link(role))

    def _all_writers(self) -> Sequence[Writer]:
        return self._writers

    def _turn(self, lock: Lock) -> tuple[Writer, Lock]:
        return self._writers[(lock or 0) % WRITERS], lock

    def _writing(
        self, work: Callable[[Transaction], T], waiting: Waiting
    ) -> Callable[[SharedTransaction], T]:
        def run(tx: SharedTransaction) -> T:
            result = work(tx)
            waiting.demand()
            return result

        return run

    def _translated(self, error: Exception) -> Exception:
        if isinstance(error, _BUSY):
            return StorageBusy()
        if isinstance(error, errors.DiskFull):
            return StorageFull()
        return StorageUnavailable() if isinstance(error, _UNAVAILABLE) else error

    def _link(self, role: _Purpose) -> Link:
        """This thread's connection for the purpose `role`; reconnects if it was lost."""
        links: dict[_Purpose, Link] = self._here.__dict__.setdefault("links", {})
        link = links.get(role)
        if link is not None:
            link.get_ready()
            if not link.closed:
                return link
            self._links.discard(link)
        link = links[role] = connect(*self._roles[role])
        self._links.add(link)
        return link


def connect(address: str, options: str = "") -> Link:
    """A connection in autocommit mode. Raises psycopg.OperationalError."""
    given = conninfo_to_dict(address)
    asked = {**_PATIENCE, "options": options, **given}
    if given.get("options"):
        asked["options"] = f"{options} {given['options']}"
    link = Link.connect(autocommit=True, **asked)  # type: ignore[arg-type]  # as libpq takes them
    # Send every int as bigint, whatever its size, since the columns are bigint: one plan for all.
    link.adapters.register_dumper(int, Int8Dumper)
    link.adapters.register_dumper(StrEnum, StrDumper)
    # A commit that returns is on disk, and also on the standby's disk if the server waits for one.
    link.execute(
        "SELECT set_config('synchronous_commit', 'on', false) "
        "WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')"
    )
    return link
