"""PostgreSQL: connections, transactions, and all that is particular to it.

Every read and write runs in a thread, on a connection of that thread, and nothing of a process is
needed by another: any number of them share a database. What a read remembers (whom a token stands
for, the version of an account) it has confirmed in the same round trip as its first question, and
in the same snapshot; where it has changed, the read is done again.

Reads may go to a replica. Then what is remembered is asked of the primary each time, and where the
replica does not say the same, the primary is read: a client sees what it has written, through
whichever process it comes, and a revoked token ends at once.
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

# A read waits for the server and not for the processor, so there may be more than cores.
READER_THREADS: Final = 4
# Accounts are written one beside the other; all writes of one account come to one of these.
WRITERS: Final = 4
_READ: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
# The number of the lock stands in `store/schema/upgrade` too.
_ALONE: Final = 7_310_002
# Who writes in one account shares this lock, who writes anywhere has it alone.
_LOCK_ALL: Final = f"SELECT pg_advisory_xact_lock({_ALONE})"
_LOCK_ONE: Final = (
    f"SELECT pg_advisory_xact_lock_shared({_ALONE})",
    "SELECT version FROM account_versions WHERE account_id = %s FOR NO KEY UPDATE",
)
# What the machine, or who runs it, does to us.
_UNAVAILABLE: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    errors.QueryCanceled,
    errors.ReadOnlySqlTransaction,
)
_BUSY: Final = (errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure)
# Statements are written for one plan, each join where it stands; the server is to take that and
# not to weigh it against reading and sorting more, on what it believes of parameters it has not
# seen.
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
# Also without BEGIN, all that goes out at once sees one snapshot.
# (Not read-only as well: libpq would take a primary for a standby.)
_SNAPSHOT: Final = "-c default_transaction_isolation=repeatable\\ read"
# For how long a replica that does not answer is left alone.
_ASK_AGAIN_S: Final = 5
# A server that went away without a word is noticed within some seconds.
_PATIENCE: Final = {
    "connect_timeout": 2,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "healthreports",  # by which an upgrade tells that a server is connected
}


class Link(psycopg.Connection[Row]):
    """A connection in autocommit, as the writer wants it."""

    _is_ending = False

    @cached_property
    def prepared_pipeline(self) -> Pipeline:
        """What asks several statements at once."""
        return Pipeline(self)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is under way, be it one that can only be rolled back."""
        status = self.info.transaction_status
        return status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)

    def end_soon(self) -> None:
        """End a transaction that only read, without waiting for the answer."""
        self.pgconn.send_query(b"COMMIT")
        self.pgconn.flush()
        self._is_ending = True

    def get_ready(self) -> None:
        """Take the answer that `end_soon` did not wait for."""
        if self._is_ending:
            self._is_ending = False
            self.wait(generators.fetch_many(self.pgconn))


class _Changed(Exception):
    """What was remembered is not so in this snapshot."""


class _Behind(Exception):
    """The replica does not know yet, or any more, what the primary says."""


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
        """The rows that `statement` finds or returns."""
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
        """Ids that the sequence of `table` had not given out before."""
        found = self._link.execute(
            "SELECT nextval(%s::regclass) FROM generate_series(1, %s)", (f"{table}_ids", number)
        )
        return sorted(row[0] for row in found)

    def _execute(self, statement: Statement, values: Values) -> psycopg.Cursor[Row]:
        return self._link.execute(*_bound(statement, values), prepare=True, binary=True)


def _rows(cursor: psycopg.Cursor[Row]) -> list[Row]:
    return cursor.fetchall() if cursor.description else []


class _Expected(NamedTuple):
    """What was remembered, and how it is asked."""

    key: tuple[Any, ...]
    question: Question
    row: Row | None


# How often a read is tried in a transaction for each question.
_LIGHT_TRIES: Final = 2


class _ReadTransaction(PostgresTransaction):
    """A read in one snapshot, or in what cannot be told from one.

    `remembered` is what earlier reads found, to be confirmed; with `primary` it is asked there.
    A question and what it relies on are one transaction. A second question begins one that lasts,
    and has all of it confirmed again: with the version of the account it is as it was.
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
        self._up_to = 0  # how many of those are confirmed
        self._confirmed: dict[tuple[Any, ...], Row | None] = {}

    def rows(self, statement: Statement, values: Values) -> list[Row]:
        """The rows that `statement` finds."""
        return self._ask((statement, values))

    def recall(self, statement: Statement, values: Values) -> Row | None:
        """The first row that `statement` finds, confirmed by the next question or the end."""
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
        self._confirmed[key] = found  # or what follows raises
        return found

    def confirming(self, work: Callable[[Transaction], T]) -> T:
        """What `work` returns or raises, if all that it was told holds.

        Raises _Changed or _Behind where it does not.
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
        """Let go of the snapshot."""
        if self._lasts and self._link.in_transaction:
            self._link.end_soon()

    def _confirm(self) -> None:
        if self._up_to < len(self._expected):
            self._ask(None)

    def _ask(self, question: Question | None) -> list[Row]:
        """The rows of a question, in one round trip with whether all is as expected.

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
        """Raise _Changed or _Behind where not all is as expected, and note what is."""
        rows = {one.key: next(iter(some), None) for one, some in zip(expected, found, strict=False)}
        if all(rows[one.key] == one.row for one in expected):
            return
        if self._primary is not None:
            raise _Behind
        for key, row in rows.items():
            self._note(key, row)
        # In a snapshot that lasts what was found is so; else all is asked again.
        self._confirmed = rows if self._lasts else {}
        self._expected, self._up_to, self._asked = [], 0, self._lasts
        raise _Changed

    def _note(self, key: tuple[Any, ...], found: Row | None) -> None:
        if found is None:  # anybody can ask for what is not there
            self._remembered.forget(key)
        else:
            self._remembered[key] = found


class _Purpose(Enum):
    """What a connection is for."""

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
    """One PostgreSQL database, and where `replica` is given, a copy of it to read from.

    `address` and `replica` are what libpq takes: several hosts may stand in one. A statement may
    take `time_limit_s`, waiting for another writer `busy_timeout_s`.
    """

    _errors = psycopg.Error

    def __init__(  # noqa: PLR0917  an address, and how it is used
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
        """The server's cluster, where we may ask for it, and the number of the database in it."""

        def ask(tx: Transaction) -> str:
            [[number, may_ask]] = tx.rows(_NUMBER, {})
            cluster = tx.rows(_CLUSTER, {})[0][0] if may_ask else ""
            return f"{cluster}.{number}"

        return self._read_latest(ask, Waiting())

    def close(self) -> None:
        """Wait for what is under way, then let go of the server."""
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
        """What `work` returns from one snapshot. Raises _Behind where that is a replica's."""
        primary = self._link(_Purpose.READ) if role is _Purpose.READ_COPY else None
        reading = _ReadTransaction(link, self._counts, self._records, self._remembered, primary)
        try:
            while True:
                with suppress(_Changed):  # then again in the same snapshot, with what is so there
                    return reading.confirming(work)
        finally:
            reading.end()

    def _begin(self, lock: Lock) -> SharedTransaction:
        """Begin to write under `lock`, on this thread's connection."""
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
                    # Behind the lock, which an upgrade takes too: so it stays what it is.
                    schema = link.execute(SCHEMA_QUESTION) if self._schema is not None else None
                if schema is not None:
                    found = schema.fetchone()
                    self._demand_schema(found[0] if found else "")
            except (psycopg.Error, StorageReplaced):
                if link.in_transaction:  # the lock was not had in time, or it is another schema
                    link.execute("ROLLBACK")
                raise
            return link

        link = self._with_link(_Purpose.WRITE, begin)
        return SharedTransaction(PostgresTransaction(link, {}), link)

    def _with_link(self, role: _Purpose, work: Callable[[Link], T]) -> T:
        """What `work` does on this thread's connection, once more on a new one where it was lost.

        It has lain there since it was last used; `work` has done nothing that is kept.
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
        """This thread's connection for what `role` does, made anew where it broke."""
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
    """A connection in autocommit. Raises psycopg.OperationalError."""
    given = conninfo_to_dict(address)
    asked = {**_PATIENCE, "options": options, **given}
    if given.get("options"):
        asked["options"] = f"{options} {given['options']}"
    link = Link.connect(autocommit=True, **asked)  # type: ignore[arg-type]  # as libpq takes them
    # Whole numbers are the numbers of our columns, whatever they are worth: one plan for all.
    link.adapters.register_dumper(int, Int8Dumper)
    link.adapters.register_dumper(StrEnum, StrDumper)
    # A commit that returns is on disk, and on a standby's where the server waits for one.
    link.execute(
        "SELECT set_config('synchronous_commit', 'on', false) "
        "WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')"
    )
    return link
