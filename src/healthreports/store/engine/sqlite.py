"""The embedded database: connections, transactions, and all that is particular to SQLite.

Reads run in the calling thread on a connection of that thread; writes run one after another in one
thread, since SQLite has one writer. On the event loop a read must be short: there a statement has a
budget, and where it needs more the whole read is done again in a thread.

The short reads of one turn of the event loop share one snapshot. A request is received before the
turn in which it is answered, so the snapshot is never older than the request: who was told of a
write, here or through another process, and then asks, sees it.
"""

import asyncio
import json
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from healthreports.core.errors import StorageBusy, StorageFull, StorageUnavailable
from healthreports.store.engine.database import (
    SCHEMA_QUESTION,
    Database,
    OnReplaced,
    Row,
    Transaction,
    Waiting,
)
from healthreports.store.engine.file_watch import FileWatch
from healthreports.store.engine.group_commit import SharedTransaction
from healthreports.store.engine.memory import Memory
from healthreports.store.engine.statement import Statement, Values
from healthreports.store.engine.writer import Lock, Writer

T = TypeVar("T")

# Long reads at once; more would only take the processor from each other and from short ones.
READER_THREADS: Final = 4
# Steps of SQLite's machine between two calls of a progress handler: about a millisecond.
_STEPS_BETWEEN_LOOKS: Final = 10_000
# A statement may meet one look that is due from those before it; at the second it has had its time.
_LOOKS_ON_THE_LOOP: Final = 1
# Whatever a write locks, it has the whole file, and so it may share a commit with any other.
_THE_FILE: Final = 0
# SQLite's own mark of the last id that any row of a table had.
_SET_LAST_ID: Final = "UPDATE sqlite_sequence SET seq = ? WHERE name = ?"
_LAST_ID: Final = "SELECT seq FROM sqlite_sequence WHERE name = ?"
_BEGIN_IDS: Final = "INSERT INTO sqlite_sequence (name, seq) VALUES (?, 0)"

_BUSY: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
# What the machine does to us. SQLITE_ERROR is left out: that is a defect of ours.
_UNAVAILABLE: Final = (
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
)
# How often the file's header is marked while it is written to, and the largest mark it can have.
_MARK_EVERY_S: Final = 1.0
_MOST_MARK: Final = 2**31 - 1
# Statements that a connection keeps prepared.
_PREPARED: Final = 128
# In characters: what is a long statement, and how much of them a connection keeps.
_LONG_TEXT: Final = 32_000
_MOST_LONG_TEXT: Final = 1_500_000
_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a commit that returns is on disk
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    # What a long reader made the log grow to is given back at the next checkpoint.
    "PRAGMA journal_size_limit = 16777216",
    # The upper levels of the indexes of ten million reports; SQLite's own 2 MB do not hold them.
    "PRAGMA cache_size = -8000",
)


class SqliteConnection(sqlite3.Connection):
    """A connection that knows how much it keeps of long statements.

    A statement that was run is kept prepared, and takes ten times its text: 1.3 MB for the merge of
    256 workspaces. A connection that has run many of them is made anew.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401  sqlite3's own
        super().__init__(*arguments, **options)
        self._long: dict[int, int] = {}

    def note_long(self, text: str) -> None:
        """Note that a long statement was run."""
        self._long[hash(text)] = len(text)

    @property
    def is_full(self) -> bool:
        """Whether it keeps so much that it should be made anew, between two transactions."""
        return sum(self._long.values()) > _MOST_LONG_TEXT


class SqliteTransaction(Transaction):
    """A transaction on one connection."""

    has_rowids = True

    def __init__(
        self,
        connection: SqliteConnection,
        counts: dict[object, Any],
        unchanged: dict[object, Any] | None = None,
        writing: "_Writing | None" = None,
        records: Memory | None = None,
    ) -> None:
        """`unchanged` keeps what was read since the database last changed, where that is known.

        `writing` is what a transaction that writes is watched by.
        """
        super().__init__(counts, records)
        self._connection = connection
        self._looks = 0
        self._unchanged = unchanged
        self._writing = writing
        self._last_ids: dict[str, int] = {}

    def rows(self, statement: Statement, values: Values) -> list[Row]:
        """The rows that `statement` finds or returns."""
        self._looks = 0
        form = statement.for_sqlite
        if form.looks_up_words and self._unchanged is not None:
            raise _ForAThread
        bound = {**form.constants, **values}
        for name in form.lists:
            bound[name] = json.dumps(bound[name])
        if len(form.text) > _LONG_TEXT:
            self._connection.note_long(form.text)
        return self._connection.execute(form.text, bound).fetchall()

    def text_of(self, statement: Statement) -> str:
        """The SQL of `statement`."""
        return statement.for_sqlite.text

    def run_each(self, statement: Statement, many: Sequence[Values]) -> None:
        """Run `statement` for each of `many`."""
        form = statement.for_sqlite
        self._connection.executemany(form.text, [{**form.constants, **one} for one in many])

    def new_ids(self, table: str, number: int) -> Sequence[int]:
        """Ids above every one that a row of `table` had."""
        last = self._last_ids.get(table)
        if last is None:
            found = self._connection.execute(_LAST_ID, (table,)).fetchall()
            if not found:
                self._connection.execute(_BEGIN_IDS, (table,))
            [[last]] = found or [[0]]
        self._last_ids[table] = last + number
        return range(last + 1, last + number + 1)

    def finish(self) -> None:
        """Mark the last ids that were given."""
        for table, last in self._last_ids.items():
            self._connection.execute(_SET_LAST_ID, (last, table))
        if self._writing is not None:
            self._writing.mark(self._connection)

    def confirm(self) -> None:
        """Raise StorageReplaced where the file that was written to is not the one at its path."""
        if self._writing is not None:
            self._writing.demand_same_file()

    def recall(self, statement: Statement, values: Values) -> Row | None:
        """The first row of what has not changed since it was read."""
        if self._unchanged is None:
            return self.row(statement, values)
        key = (statement, *values.values())
        try:
            return self._unchanged[key]  # type: ignore[no-any-return]  # put there below
        except KeyError:
            row = self._unchanged[key] = self.row(statement, values)
            return row

    def has_spent_its_time(self) -> bool:
        """The progress handler on the event loop: whether the statement under way must stop."""
        self._looks += 1
        return self._looks > _LOOKS_ON_THE_LOOP


class _ForAThread(Exception):
    """A statement that may take its time, and could not be stopped, is not for the event loop."""


class _Writing(NamedTuple):
    """What a write looks at, so that an answer of 200 is true."""

    mark: Callable[[SqliteConnection], None]
    demand_same_file: Callable[[], None]


class _Snapshots:
    """The snapshot that the short reads of one turn of the event loop share.

    Its connection does not wait for a lock, since everybody would wait with it.
    """

    def __init__(self, path: Path, counts: Memory, records: Memory) -> None:
        self._path = path
        self._counts = counts
        self._records = records
        self._unchanged = Memory()
        self._data_version = 0
        self._connection: SqliteConnection | None = None
        self._current: SqliteTransaction | None = None

    def current(self) -> SqliteTransaction:
        """The snapshot of this turn, begun if there is none. Raises sqlite3.DatabaseError."""
        return self._current or self._begin()

    def drop(self) -> None:
        """Let go of the connection: whatever state an error left it in, the next is a new one."""
        connection, self._connection, self._current = self._connection, None, None
        if connection is not None:
            connection.close()

    def _begin(self) -> SqliteTransaction:
        if self._connection is not None and self._connection.is_full:
            self.drop()
        if self._connection is None:
            self._connection = connect(self._path, busy_timeout_s=0)
            self._unchanged.clear()
        self._connection.execute("BEGIN")
        # Differs from what it was where another connection has committed since.
        [[data_version]] = self._connection.execute("PRAGMA data_version").fetchall()
        if data_version != self._data_version:
            self._unchanged.clear()
            self._data_version = data_version
        self._current = SqliteTransaction(
            self._connection, self._counts, self._unchanged, records=self._records
        )
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


class SqliteDatabase(Database):
    """One SQLite file."""

    _errors = sqlite3.DatabaseError

    def __init__(
        self,
        path: Path,
        busy_timeout_s: float,
        schema: str | None = None,
        on_replaced: OnReplaced | None = None,
    ) -> None:
        super().__init__(READER_THREADS, schema, on_replaced)
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._here = threading.local()
        self._connections: list[SqliteConnection] = []
        self._one_writer = Writer(self._begin, self._committed)
        self._snapshots = _Snapshots(path, self._counts, self._records)
        self._watch: FileWatch | None = None
        self._marked_at = 0.0

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """What `work` returns, from one snapshot: on the event loop if it is short, else off it."""
        try:
            return work(self._snapshots.current())
        except _ForAThread:
            pass
        except sqlite3.DatabaseError as error:
            code = _primary_code(error)
            if code != sqlite3.SQLITE_INTERRUPT:
                self._snapshots.drop()
            # Waiting for a lock, or taking one's time, is for a thread.
            if code not in (*_BUSY, sqlite3.SQLITE_INTERRUPT):
                raise self._translated(error) from error
        return await self.read_long(work)

    def free_bytes(self) -> int | None:
        """How much room is left on the disk of its file."""
        return shutil.disk_usage(self._path.parent).free

    def place(self) -> str:
        """The number of its file."""
        return str(self._path.stat().st_ino)

    def close(self) -> None:
        """Wait for what is under way, then let go of the file."""
        self._snapshots.drop()
        self._one_writer.close()
        self._readers.shutdown()
        while self._connections:
            self._connections.pop().close()
        if self._watch is not None:
            self._watch.close()

    def _read(self, work: Callable[[Transaction], T], waiting: Waiting) -> T:
        try:
            connection = self._connection()
            # A statement that nobody waits for any more is stopped.
            connection.set_progress_handler(waiting.has_ended, _STEPS_BETWEEN_LOOKS)
            connection.execute("BEGIN")
            try:
                result = work(SqliteTransaction(connection, self._counts, records=self._records))
                waiting.demand()
            finally:
                connection.set_progress_handler(None, 0)  # so that nothing stops the ROLLBACK
                if connection.in_transaction:  # an error may have ended it already
                    connection.execute("ROLLBACK")  # there is nothing to keep
        except sqlite3.DatabaseError as error:
            raise self._translated(error) from error
        return result

    def _all_writers(self) -> Sequence[Writer]:
        return (self._one_writer,)

    def _turn(self, _lock: Lock) -> tuple[Writer, Lock]:
        return self._one_writer, _THE_FILE

    def _writing(
        self, work: Callable[[Transaction], T], waiting: Waiting
    ) -> Callable[[SharedTransaction], T]:
        def run(tx: SharedTransaction) -> T:
            connection = self._connection()
            connection.set_progress_handler(waiting.has_ended, _STEPS_BETWEEN_LOOKS)
            try:
                result = work(tx)
            finally:
                connection.set_progress_handler(None, 0)  # so that nothing stops what follows
            waiting.demand()
            return result

        return run

    def _translated(self, error: Exception) -> Exception:
        assert isinstance(error, sqlite3.DatabaseError)
        code = _primary_code(error)
        if code in _BUSY:
            return StorageBusy()
        if code == sqlite3.SQLITE_FULL:
            return StorageFull()
        return StorageUnavailable() if code in _UNAVAILABLE else error

    def _begin(self, _lock: Lock) -> SharedTransaction:
        self._demand_usable()
        connection = self._connection()
        if self._watch is None:
            self._watch = FileWatch(self._path)
        self._demand_same_file()
        connection.execute("BEGIN IMMEDIATE")
        try:
            if self._schema is not None:
                found = connection.execute(SCHEMA_QUESTION).fetchone()
                self._demand_schema(found[0] if found else "")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        writing = _Writing(self._mark, self._demand_same_file)
        return SharedTransaction(SqliteTransaction(connection, {}, writing=writing), connection)

    def _mark(self, connection: SqliteConnection) -> None:
        """Raise the number in the file's header, so that an older copy can be told from it."""
        now = time.monotonic()
        if now - self._marked_at >= _MARK_EVERY_S:
            self._marked_at = now
            [[version]] = connection.execute("PRAGMA user_version").fetchall()
            connection.execute(f"PRAGMA user_version = {version % _MOST_MARK + 1}")

    def _demand_same_file(self) -> None:
        assert self._watch is not None  # made when the first write began
        if says := self._watch.problem():
            raise self._give_up(says, ends_server=False)

    def _connection(self) -> SqliteConnection:
        known: SqliteConnection | None = getattr(self._here, "connection", None)
        if known is not None and not (known.is_full and not known.in_transaction):
            return known
        if known is not None:
            self._connections.remove(known)
            known.close()
        connection = self._here.connection = connect(self._path, self._busy_timeout_s)
        self._connections.append(connection)
        return connection


def connect(path: Path, busy_timeout_s: float) -> SqliteConnection:
    """A connection to an existing file, in autocommit. Raises sqlite3.OperationalError."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        timeout=busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,  # made in the thread that uses it, closed by `close`
        cached_statements=_PREPARED,
        factory=SqliteConnection,
        uri=True,
    )
    for pragma in _PRAGMAS:
        connection.execute(pragma)
    return connection


def _primary_code(error: sqlite3.DatabaseError) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF  # what is above the low byte tells variants apart
