"""The interface of databases and transactions.

A read sees one snapshot. A write is atomic, and the writes of an account run one after another, so
a rule that a write checks still holds at its commit. `sqlite` and `postgres` implement this
interface. Nothing here depends on the tables.
"""

import asyncio
import hashlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import text

from healthreports.core.errors import StorageReplaced
from healthreports.store.engine.memory import Memory
from healthreports.store.engine.statement import Statement, Values
from healthreports.store.engine.writer import Lock, Writer

log: Final = logging.getLogger("healthreports")

T = TypeVar("T")
Row = tuple[Any, ...]
OnReplaced = Callable[[str], None]

# In characters. The result for a longer key is not cached: the key would take too much memory.
_SMALL: Final = 500


class Version(NamedTuple):
    """How often an account has changed.

    `reshaped` counts the changes that may affect who sees the older reports, or which lists have
    them. `rewritten` counts all changes except a new report that is created now: any other change
    may affect the state of the account at an earlier time.
    """

    changed: int
    reshaped: int
    rewritten: int = 0


def is_small(key: object) -> bool:
    """Whether `key` is short enough to cache what is found by it."""
    return len(str(key)) <= _SMALL


def short(key: tuple[object, ...]) -> object:
    """`key` itself if it is short, else a hash of it."""
    return key if is_small(key) else hashlib.blake2b(repr(key).encode(), digest_size=16).digest()


class Later(NamedTuple):
    """Work that can be deferred to the end of a transaction.

    `run(tx, items)` does the work for all deferred items at once; `tables` are the names of the
    tables that it changes.
    """

    run: Callable[["Transaction", list[Any]], None]
    tables: frozenset[str]


class Transaction(ABC):
    """A transaction, in which the functions of the store run their statements."""

    # Whether the database gives each row a rowid, by which it finds the row.
    has_rowids = False

    def __init__(self, counts: dict[object, Any], records: Memory | None = None) -> None:
        # Cached counts, by the query and the version of the account.
        self.counts = counts
        # Who writes, for the audit log; set by the caller when a write begins.
        self.by: object = None
        # Cached records, by id; None if what is read may be rolled back.
        self.records = records

    def remembered(self, key: tuple[object, ...], find: Callable[[], T]) -> T:
        """The result of `find`, or its cached result for `key`, which includes the version."""
        found: T | None = self.counts.get(key)
        if found is None:
            found = find()
            if is_small(key):
                self.counts[key] = found
        return found

    @abstractmethod
    def rows(self, statement: Statement, values: Values) -> list[Row]:
        """The rows that `statement` selects or returns; an empty list if it returns none."""

    @abstractmethod
    def text_of(self, statement: Statement) -> str:
        """The SQL of `statement` for this database."""

    @abstractmethod
    def run_each(self, statement: Statement, many: Sequence[Values]) -> None:
        """Run a `statement` that returns nothing once for each of `many`."""

    @abstractmethod
    def new_ids(self, table: str, number: int) -> Sequence[int]:
        """Ids that no row of `table` has or ever had, ascending (5.5)."""

    def recall(self, statement: Statement, values: Values) -> Row | None:
        """`row`, but without a query if the result is known not to have changed."""
        return self.row(statement, values)

    def put_off(self, later: Later, item: object) -> None:
        """Defer `later` for `item`, at most until a statement uses a table that it changes."""
        later.run(self, [item])

    def finish(self) -> None:  # noqa: B027  most subclasses have nothing to do
        """Write, before the commit, what was only held in memory."""

    def confirm(self) -> None:  # noqa: B027  most subclasses have nothing to do
        """Raise StorageReplaced if what was just committed is not in the database."""

    def row(self, statement: Statement, values: Values) -> Row | None:
        """The first row that `statement` selects or returns, or None."""
        return next(iter(self.rows(statement, values)), None)


class Abandoned(Exception):
    """The caller gave up this transaction: it must be rolled back."""


class Waiting:
    """Whether the caller still waits; set on the event loop, read in the transaction's thread."""

    __slots__ = ("_given_up",)

    def __init__(self) -> None:
        self._given_up = False

    def give_up(self) -> None:
        """Note that the caller no longer waits."""
        self._given_up = True

    def has_ended(self) -> bool:
        """Whether the caller no longer waits; can be used as a progress handler."""
        return self._given_up

    def demand(self) -> None:
        """Raise Abandoned if the caller no longer waits."""
        if self._given_up:
            raise Abandoned


# The query for the schema of a database.
SCHEMA_QUESTION: Final = "SELECT version_num FROM alembic_version"
_SCHEMA: Final = Statement(text(SCHEMA_QUESTION))


def _by_nobody_yet(work: Callable[[Transaction], T]) -> Callable[[Transaction], T]:
    """`work`, with `by` reset: an earlier write that shares the commit may have set it."""

    def run(tx: Transaction) -> T:
        tx.by = None
        return work(tx)

    return run


def schema_of(tx: Transaction) -> str:
    """The revision of the schema of the database; "" if it has none."""
    row = tx.row(_SCHEMA, {})
    return "" if row is None else str(row[0])


class Database(ABC):
    """One database. Raises StorageUnavailable if it cannot be reached, read or written.

    If `schema` is given, it writes only while the database has that schema. Once it finds that the
    database was replaced (by another file, or by another schema), it stops writing; for another
    schema it also calls `on_replaced`.
    """

    # The base class of the driver's errors.
    _errors: type[Exception]

    def __init__(
        self, reader_threads: int, schema: str | None = None, on_replaced: OnReplaced | None = None
    ) -> None:
        self._schema = schema
        self._on_replaced = on_replaced
        self._replaced: StorageReplaced | None = None
        self._readers = ThreadPoolExecutor(reader_threads, thread_name_prefix="reader")
        self._counts = Memory()
        self._records = Memory()
        # Called after each commit with the number of writes in it.
        self.on_commit: Callable[[int], None] | None = None

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """What `work` returns, run in one snapshot. `work` may be called more than once."""
        return await self.read_long(work)

    async def read_long(self, work: Callable[[Transaction], T]) -> T:
        """`read` for long reads: it is not tried on the event loop first."""
        return await self._in_thread(self._read, work)

    async def read_latest(self, work: Callable[[Transaction], T]) -> T:
        """`read` that sees at least the last committed write of any process."""
        return await self.read(work)

    async def _in_thread(
        self,
        read: Callable[[Callable[[Transaction], T], Waiting], T],
        work: Callable[[Transaction], T],
    ) -> T:
        waiting = Waiting()
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._readers, read, work, waiting
            )
        except asyncio.CancelledError:
            waiting.give_up()
            raise

    async def write(self, work: Callable[[Transaction], T], lock: Lock = None) -> T:
        """What `work` returns, once it is on disk; if `work` raises, its changes are rolled back.

        `lock` is the id of the account to lock against other writers. None locks all accounts.
        """
        waiting = Waiting()
        run = self._writing(_by_nobody_yet(work), waiting)
        writer, lock = self._turn(lock)
        try:
            return await writer.submit_from(asyncio.get_running_loop(), run, lock)
        except asyncio.CancelledError:
            waiting.give_up()
            raise
        except self._errors as error:
            raise self._translated(error) from error

    def read_here(self, work: Callable[[Transaction], T]) -> T:
        """`read` for callers without an event loop; runs in the calling thread."""
        return self._read(work, Waiting())

    def write_here(self, work: Callable[[Transaction], T], lock: Lock = None) -> T:
        """`write` for callers without an event loop; returns when the write is on disk."""
        writer, lock = self._turn(lock)
        run = self._writing(_by_nobody_yet(work), Waiting())
        future: Future[T] = writer.submit(run, lock)
        try:
            return future.result()
        except self._errors as error:
            raise self._translated(error) from error

    def _demand_usable(self) -> None:
        """Raise StorageReplaced if the database was found to be replaced."""
        if self._replaced is not None:
            raise self._replaced

    def _give_up(self, says: str, *, ends_server: bool) -> StorageReplaced:
        """Stop all writes from now on. Returns the error to raise for a replaced database."""
        if self._replaced is None:
            self._replaced = StorageReplaced(says)
            log.critical("%s; every write is refused until the server is restarted", says)
            if self._on_replaced is not None and ends_server:
                self._on_replaced(says)
        return self._replaced

    def _demand_schema(self, found: str) -> None:
        """Raise StorageReplaced if the schema is not the one that the server was started with."""
        if self._schema is not None and found != self._schema:
            raise self._give_up(
                f"the database has the schema {found}, and this version of healthreports needs "
                f"{self._schema}: another version has upgraded it",
                ends_server=True,
            )

    def waiting_writes(self) -> int:
        """How many writes wait for their turn."""
        return sum(one.waiting for one in self._all_writers())

    def bytes_remembered(self) -> dict[str, int]:
        """The approximate size of each cache in bytes, by its name."""
        return {"counts": self._counts.bytes_kept, "records": self._records.bytes_kept}

    def _committed(self, writes: int) -> None:
        if self.on_commit is not None:
            self.on_commit(writes)

    def free_bytes(self) -> int | None:
        """The free space on the disk of the database in bytes; None if it is not known here."""
        return None

    @abstractmethod
    def place(self) -> str:
        """An identifier of where the database is stored; a copy has a different one."""

    @abstractmethod
    def close(self) -> None:
        """Wait for the transactions under way, then close all connections."""

    @abstractmethod
    def _read(self, work: Callable[[Transaction], T], waiting: Waiting) -> T:
        """What `work` returns, read in this thread."""

    @abstractmethod
    def _all_writers(self) -> Sequence[Writer]:
        """All writer threads."""

    @abstractmethod
    def _turn(self, lock: Lock) -> tuple[Writer, Lock]:
        """The writer for writes that need `lock`, and the lock that it uses for them."""

    @abstractmethod
    def _writing(self, work: Callable[[Transaction], T], waiting: Waiting) -> Callable[[Any], T]:
        """`work` as the writer runs it; raises Abandoned if the caller gave up."""

    @abstractmethod
    def _translated(self, error: Exception) -> Exception:
        """The driver's error as a storage error, if the environment caused it; else unchanged."""
