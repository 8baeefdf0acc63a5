"""What a transaction is, on either database.

A read sees one snapshot. A write is all or nothing, and the writes of an account run one after
another, so a rule that a write checks still holds at its commit. `sqlite` and `postgres` implement
this, each in its way. Knows no table.
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

# What is asked for with more than this is not worth the memory of its question.
_SMALL: Final = 500


class Version(NamedTuple):
    """How often an account has changed.

    `reshaped` is how often so that its older reports may be seen or found otherwise, `rewritten`
    how often otherwise than by a report that came now: what stood before it may be another.
    """

    changed: int
    reshaped: int
    rewritten: int = 0


def is_small(key: object) -> bool:
    """Whether what is found by `key` is worth the memory of it."""
    return len(str(key)) <= _SMALL


def short(key: tuple[object, ...]) -> object:
    """`key`, or what stands for a long one in little memory."""
    return key if is_small(key) else hashlib.blake2b(repr(key).encode(), digest_size=16).digest()


class Later(NamedTuple):
    """What can be put off to the end of a transaction.

    `run(tx, items)` does it for all that was put off at once; `tables` are those that it changes.
    """

    run: Callable[["Transaction", list[Any]], None]
    tables: frozenset[str]


class Transaction(ABC):
    """What the functions of the store run their statements in."""

    # Whether the rows of a table have numbers of the database's own, which it finds them by.
    has_rowids = False

    def __init__(self, counts: dict[object, Any], records: Memory | None = None) -> None:
        # What was counted, by what was asked and the version of the account.
        self.counts = counts
        # Who writes, for what is noted of that; set by whoever begins to.
        self.by: object = None
        # The records that were read before, by id; none where what is read may be undone.
        self.records = records

    def remembered(self, key: tuple[object, ...], find: Callable[[], T]) -> T:
        """What `find` finds, or found before for the same `key`, which has the version in it."""
        found: T | None = self.counts.get(key)
        if found is None:
            found = find()
            if is_small(key):
                self.counts[key] = found
        return found

    @abstractmethod
    def rows(self, statement: Statement, values: Values) -> list[Row]:
        """The rows that `statement` finds or returns; none where it returns none."""

    @abstractmethod
    def text_of(self, statement: Statement) -> str:
        """The SQL of `statement`, as this database takes it."""

    @abstractmethod
    def run_each(self, statement: Statement, many: Sequence[Values]) -> None:
        """Run a `statement` that returns nothing once for each of `many`."""

    @abstractmethod
    def new_ids(self, table: str, number: int) -> Sequence[int]:
        """Ids that no row of `table` has or ever had, ascending (5.5)."""

    def recall(self, statement: Statement, values: Values) -> Row | None:
        """`row`, without a question of its own where the answer is known not to have changed."""
        return self.row(statement, values)

    def put_off(self, later: Later, item: object) -> None:
        """Have `later` run for `item` before a statement can tell that it was not."""
        later.run(self, [item])

    def finish(self) -> None:  # noqa: B027  most have nothing to do
        """Write down, before a commit, what was only kept in mind."""

    def confirm(self) -> None:  # noqa: B027  most have nothing to do
        """Raise StorageReplaced where what was just committed is not in the database."""

    def row(self, statement: Statement, values: Values) -> Row | None:
        """The first row that `statement` finds, or None."""
        return next(iter(self.rows(statement, values)), None)


class Abandoned(Exception):
    """Nobody waits for this transaction any more: nothing of it may be kept."""


class Waiting:
    """Whether somebody waits for a transaction; told on the event loop, asked in its thread."""

    __slots__ = ("_given_up",)

    def __init__(self) -> None:
        self._given_up = False

    def give_up(self) -> None:
        """From here on nobody waits."""
        self._given_up = True

    def has_ended(self) -> bool:
        """Whether nobody waits any more, as a progress handler asks."""
        return self._given_up

    def demand(self) -> None:
        """Raise Abandoned where nobody waits any more."""
        if self._given_up:
            raise Abandoned


# How the schema of a database is asked.
SCHEMA_QUESTION: Final = "SELECT version_num FROM alembic_version"
_SCHEMA: Final = Statement(text(SCHEMA_QUESTION))


def _by_nobody_yet(work: Callable[[Transaction], T]) -> Callable[[Transaction], T]:
    """`work` that does not take itself for what shares a commit with it, and wrote before."""

    def run(tx: Transaction) -> T:
        tx.by = None
        return work(tx)

    return run


def schema_of(tx: Transaction) -> str:
    """The revision of the schema that the database has; "" where it has none."""
    row = tx.row(_SCHEMA, {})
    return "" if row is None else str(row[0])


class Database(ABC):
    """One database. Raises StorageUnavailable where it cannot be reached, read or written.

    With a `schema` it writes only while the database has that one. Once it was replaced (another
    file, another schema) it writes nothing any more; `on_replaced` is told of another schema.
    """

    # What the driver raises.
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
        # Told how many writes shared a commit.
        self.on_commit: Callable[[int], None] | None = None

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """What `work` returns, from one snapshot. It may be called more than once."""
        return await self.read_long(work)

    async def read_long(self, work: Callable[[Transaction], T]) -> T:
        """`read` for what takes its time, so that it is not tried on the event loop."""
        return await self._in_thread(self._read, work)

    async def read_latest(self, work: Callable[[Transaction], T]) -> T:
        """`read` where what was read may not be older than the last write, whoever wrote."""
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
        """What `work` returns, once it is on disk; where it raises, nothing of it is kept.

        Under `lock`, the id of an account, nobody else writes in the account; under None nobody
        writes at all.
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
        """`read` for callers without an event loop: in the calling thread."""
        return self._read(work, Waiting())

    def write_here(self, work: Callable[[Transaction], T], lock: Lock = None) -> T:
        """`write` for callers without an event loop: returns when it is on disk."""
        writer, lock = self._turn(lock)
        run = self._writing(_by_nobody_yet(work), Waiting())
        future: Future[T] = writer.submit(run, lock)
        try:
            return future.result()
        except self._errors as error:
            raise self._translated(error) from error

    def _demand_usable(self) -> None:
        """Raise StorageReplaced once it was found that the database was replaced."""
        if self._replaced is not None:
            raise self._replaced

    def _give_up(self, says: str, *, ends_server: bool) -> StorageReplaced:
        """The error of a replaced database; from here on nothing is written."""
        if self._replaced is None:
            self._replaced = StorageReplaced(says)
            log.critical("%s; nothing is stored any more until the server is restarted", says)
            if self._on_replaced is not None and ends_server:
                self._on_replaced(says)
        return self._replaced

    def _demand_schema(self, found: str) -> None:
        """Raise StorageReplaced where the schema is not the one that the server was started on."""
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
        """How much is remembered of earlier answers, about, by what it is."""
        return {"counts": self._counts.bytes_kept, "records": self._records.bytes_kept}

    def _committed(self, writes: int) -> None:
        if self.on_commit is not None:
            self.on_commit(writes)

    def free_bytes(self) -> int | None:
        """How much room is left where the database is kept; None where that is not known here."""
        return None

    @abstractmethod
    def place(self) -> str:
        """Where the database is kept: a copy of it has another place."""

    @abstractmethod
    def close(self) -> None:
        """Wait for what is under way, then let go of the database."""

    @abstractmethod
    def _read(self, work: Callable[[Transaction], T], waiting: Waiting) -> T:
        """What `work` returns, read in this thread."""

    @abstractmethod
    def _all_writers(self) -> Sequence[Writer]:
        """Whoever writes."""

    @abstractmethod
    def _turn(self, lock: Lock) -> tuple[Writer, Lock]:
        """Who writes what needs `lock`, and what it then waits for."""

    @abstractmethod
    def _writing(self, work: Callable[[Transaction], T], waiting: Waiting) -> Callable[[Any], T]:
        """`work` as the writer runs it; where its caller gave it up, it raises."""

    @abstractmethod
    def _translated(self, error: Exception) -> Exception:
        """The driver's error as ours, where it is the machine's doing."""
