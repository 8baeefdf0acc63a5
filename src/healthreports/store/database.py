"""Connections, transactions, and all that is particular to a database. Knows no table.

SQLAlchemy writes a statement once (`compiled`); the driver runs its text. Reads run in the calling
thread on a connection of that thread; writes run one after another in one thread, since SQLite has
one writer. On the event loop a read must be short: there a statement has a budget, and where it
needs more the whole read is done again in a thread.

The short reads of one turn of the event loop share one snapshot. A request is received before the
turn in which it is answered, so the snapshot is never older than the request: who was told of a
write, here or through another process, and then asks, sees it.
"""

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import (
    JSON,
    ClauseElement,
    ColumnElement,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.compiler import SQLCompiler

from healthreports.core.errors import StorageBusy, StorageUnavailable
from healthreports.store.writer import Writer

T = TypeVar("T")
Row = tuple[Any, ...]
Values = Mapping[str, Any]


class Statement(NamedTuple):
    """A statement ready for the driver.

    `constants` are the values that were written into it, `lists` the parameters that take a tuple.
    """

    text: str
    constants: Values
    lists: tuple[str, ...]


# Long reads at once; more would only take the processor from each other and from short ones.
READER_THREADS: Final = 4
# Counts, and tokens, that are remembered before all are forgotten: a few hundred kB.
REMEMBERED: Final = 4096
# Steps of SQLite's machine between two calls of a progress handler: about a millisecond.
_STEPS_BETWEEN_LOOKS: Final = 10_000
# A statement may meet one look that is due from those before it; at the second it has had its time.
_LOOKS_ON_THE_LOOP: Final = 1

_DIALECT: Final = sqlite.dialect(paramstyle="named")
_BUSY: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
# What the machine does to us. SQLITE_ERROR is left out: that is a defect of ours.
_UNAVAILABLE: Final = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
)
_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a commit that returns is on disk
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
)


def compiled(statement: ClauseElement, columns: Sequence[str] | None = None) -> Statement:
    """A SQLAlchemy statement as the driver takes it; its parameters keep their names.

    `columns` are those that an insert or update sets, each from the parameter of its name.
    """
    ready = statement.compile(dialect=_DIALECT, column_keys=columns)
    assert isinstance(ready, SQLCompiler)
    constants = {name: value for name, value in ready.params.items() if value is not None}
    lists = tuple(name for name, bound in ready.binds.items() if isinstance(bound.type, JSON))
    return Statement(str(ready), constants, lists)


def insertion(table: Table) -> Statement:
    """The statement that inserts a row with a value for every column but `id`, and returns it."""
    columns = [column.name for column in table.columns if column.name != "id"]
    statement = insert(table)
    return compiled(statement.returning(table.c.id) if "id" in table.c else statement, columns)


def replacement(table: Table, columns: Sequence[str]) -> Statement:
    """The statement that sets `columns` of the row whose id is `row_id`."""
    return compiled(update(table).where(table.c.id == bindparam("row_id")), columns)


def deletion(table: Table) -> Statement:
    """The statement that deletes the row whose id is `row_id`."""
    return compiled(delete(table).where(table.c.id == bindparam("row_id")))


def among(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """`column` is in the tuple bound to `name`: one text for any number of values."""
    listed = func.json_each(bindparam(name, type_=JSON)).table_valued("value")
    return column.in_(select(listed.c.value))


def named(row: Row, columns: Sequence[ColumnElement[Any]]) -> dict[str, Any]:
    """The values of a row of `columns`, by the columns' names."""
    return dict(zip((column.key or "" for column in columns), row, strict=True))


class Transaction:
    """What the functions of the store run their statements in."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        counts: dict[object, int],
        unchanged: dict[object, Any] | None = None,
    ) -> None:
        """`unchanged` keeps what holds until a write, where that is known."""
        self._connection = connection
        self._looks = 0
        # What was counted, by what was asked and the version of the account.
        self.counts = counts
        # What was read since the database last changed; forgotten as soon as anyone writes.
        self.unchanged: dict[object, Any] = {} if unchanged is None else unchanged

    def rows(self, statement: Statement, values: Values) -> list[Row]:
        """The rows that `statement` finds."""
        self._looks = 0
        bound = {**statement.constants, **values}
        for name in statement.lists:
            bound[name] = json.dumps(bound[name])
        return self._connection.execute(statement.text, bound).fetchall()

    def row(self, statement: Statement, values: Values) -> Row | None:
        """The first row that `statement` finds, or None."""
        return next(iter(self.rows(statement, values)), None)

    def has_spent_its_time(self) -> bool:
        """The progress handler on the event loop: whether the statement under way must stop."""
        self._looks += 1
        return self._looks > _LOOKS_ON_THE_LOOP


class _Abandoned(Exception):
    """Nobody waits for this transaction any more: nothing of it may be kept."""


class _Waiting:
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
        """Raise _Abandoned where nobody waits any more."""
        if self._given_up:
            raise _Abandoned


class _Snapshots:
    """The snapshot that the short reads of one turn of the event loop share.

    Its connection does not wait for a lock, since everybody would wait with it.
    """

    def __init__(self, path: Path, counts: dict[object, int]) -> None:
        self._path = path
        self._counts = counts
        self._unchanged: dict[object, Any] = {}
        self._data_version = 0
        self._connection: sqlite3.Connection | None = None
        self._current: Transaction | None = None

    def current(self) -> Transaction:
        """The snapshot of this turn, begun if there is none. Raises sqlite3.DatabaseError."""
        return self._current or self._begin()

    def drop(self) -> None:
        """Let go of the connection: whatever state an error left it in, the next is a new one."""
        connection, self._connection, self._current = self._connection, None, None
        if connection is not None:
            connection.close()

    def _begin(self) -> Transaction:
        if self._connection is None:
            self._connection = connect(self._path, busy_timeout_s=0)
            self._unchanged.clear()
        self._connection.execute("BEGIN")
        # Differs from what it was where another connection has committed since.
        [[data_version]] = self._connection.execute("PRAGMA data_version").fetchall()
        if data_version != self._data_version or len(self._unchanged) > REMEMBERED:
            self._unchanged.clear()
            self._data_version = data_version
        if len(self._counts) > REMEMBERED:
            self._counts.clear()
        self._current = Transaction(self._connection, self._counts, self._unchanged)
        self._connection.set_progress_handler(
            self._current.has_spent_its_time, _STEPS_BETWEEN_LOOKS
        )
        asyncio.get_running_loop().call_soon(self._end)
        return self._current

    def _end(self) -> None:
        self._current = None
        if self._connection is None:
            return
        try:
            self._connection.set_progress_handler(None, 0)
            self._connection.execute("COMMIT")
        except sqlite3.DatabaseError:
            self.drop()


class Database:
    """One SQLite file. Raises StorageUnavailable where it cannot be opened, read or written."""

    def __init__(self, path: Path, busy_timeout_s: float) -> None:
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._here = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._readers = ThreadPoolExecutor(READER_THREADS, thread_name_prefix="reader")
        self._writer = Writer(self._connection)
        self._counts: dict[object, int] = {}
        self._snapshots = _Snapshots(path, self._counts)

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """What `work` returns, from one snapshot: on the event loop if it is short, else off it."""
        try:
            return work(self._snapshots.current())
        except sqlite3.DatabaseError as error:
            code = _primary_code(error)
            if code != sqlite3.SQLITE_INTERRUPT:
                self._snapshots.drop()
            # Waiting for a lock, or taking one's time, is for a thread.
            if code not in (*_BUSY, sqlite3.SQLITE_INTERRUPT):
                raise _translated(error) from error
        waiting = _Waiting()
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._readers, self._read, work, waiting
            )
        except asyncio.CancelledError:
            waiting.give_up()
            raise

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """What `work` returns, once it is on disk; where it raises, nothing of it is kept."""
        waiting = _Waiting()
        run = self._writing(work, waiting)
        try:
            return await self._writer.submit_from(asyncio.get_running_loop(), run)
        except asyncio.CancelledError:
            waiting.give_up()
            raise
        except sqlite3.DatabaseError as error:
            raise _translated(error) from error

    def read_here(self, work: Callable[[Transaction], T]) -> T:
        """`read` for callers without an event loop: in the calling thread."""
        return self._read(work, _Waiting())

    def write_here(self, work: Callable[[Transaction], T]) -> T:
        """`write` for callers without an event loop: returns when it is on disk."""
        try:
            return self._writer.submit(self._writing(work, _Waiting())).result()
        except sqlite3.DatabaseError as error:
            raise _translated(error) from error

    def close(self) -> None:
        """Wait for what is under way, then let go of the file."""
        self._snapshots.drop()
        self._writer.close()
        self._readers.shutdown()
        while self._connections:
            self._connections.pop().close()

    def _writing(
        self, work: Callable[[Transaction], T], waiting: "_Waiting"
    ) -> Callable[[sqlite3.Connection], T]:
        """`work` as the writer runs it; where its caller gave it up, it raises."""

        def run(connection: sqlite3.Connection) -> T:
            connection.set_progress_handler(waiting.has_ended, _STEPS_BETWEEN_LOOKS)
            result = work(Transaction(connection, self._counts))
            connection.set_progress_handler(None, 0)
            waiting.demand()
            return result

        return run

    def _read(self, work: Callable[[Transaction], T], waiting: "_Waiting") -> T:
        try:
            connection = self._connection()
            # A statement that nobody waits for any more is stopped.
            connection.set_progress_handler(waiting.has_ended, _STEPS_BETWEEN_LOOKS)
            connection.execute("BEGIN")
            try:
                result = work(Transaction(connection, self._counts))
                waiting.demand()
            finally:
                connection.set_progress_handler(None, 0)  # so that nothing stops the ROLLBACK
                if connection.in_transaction:  # an error may have ended it already
                    connection.execute("ROLLBACK")  # there is nothing to keep
        except sqlite3.DatabaseError as error:
            raise _translated(error) from error
        if len(self._counts) > REMEMBERED:
            self._counts.clear()
        return result

    def _connection(self) -> sqlite3.Connection:
        try:
            return self._here.connection  # type: ignore[no-any-return]  # threading.local has no types
        except AttributeError:
            connection = self._here.connection = connect(self._path, self._busy_timeout_s)
            self._connections.append(connection)
            return connection


def connect(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    """A connection to an existing file, in autocommit. Raises sqlite3.OperationalError."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        timeout=busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,  # made in the thread that uses it, closed by `close`
        cached_statements=512,
        uri=True,
    )
    for pragma in _PRAGMAS:
        connection.execute(pragma)
    return connection


def _primary_code(error: sqlite3.DatabaseError) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF  # what is above the low byte tells variants apart


def _translated(error: sqlite3.DatabaseError) -> Exception:
    """The driver's error as ours, where it is the machine's doing."""
    code = _primary_code(error)
    if code in _BUSY:
        return StorageBusy()
    return StorageUnavailable() if code in _UNAVAILABLE else error
