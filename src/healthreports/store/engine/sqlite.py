"""SQLite: connections, transactions, and everything that is specific to SQLite.

A read runs in the calling thread, on the connection of that thread. Writes run one after another in
one thread, since SQLite allows one writer. On the event loop a read must be short: each statement
has a time budget there. If a statement exceeds it, the whole read is repeated in another thread.

The short reads of one iteration of the event loop share one snapshot. A request is received before
the iteration in which it is answered, so the snapshot is never older than the request: a client
that was told of a write, by this or another process, sees it in its next request.
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

# Long reads that run at once; more would only slow down each other and the short reads.
READER_THREADS: Final = 4
# Instructions of SQLite's virtual machine between two calls of a progress handler: about 1 ms.
_STEPS_BETWEEN_LOOKS: Final = 10_000
# The first call may come early, because SQLite counts the steps of earlier statements too. At the
# second call, the statement has used its full time.
_LOOKS_ON_THE_LOOP: Final = 1
# Every write locks the whole file, so it may share a commit with any other write.
_THE_FILE: Final = 0
# SQLite's table of the highest id that any row of a table ever had.
_SET_LAST_ID: Final = "UPDATE sqlite_sequence SET seq = ? WHERE name = ?"
_LAST_ID: Final = "SELECT seq FROM sqlite_sequence WHERE name = ?"
_BEGIN_IDS: Final = "INSERT INTO sqlite_sequence (name, seq) VALUES (?, 0)"

_BUSY: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
# Errors that the environment causes. SQLITE_ERROR is not one: it is a bug in this program.
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
# The shortest time between two changes of the number in the file's header, and its largest value.
_MARK_EVERY_S: Final = 1.0
_MOST_MARK: Final = 2**31 - 1
# Size of the cache of prepared statements of a connection.
_PREPARED: Final = 128
# In characters: the length from which a statement is long, and the total length of the long
# statements after which a connection is closed and opened again.
_LONG_TEXT: Final = 32_000
_MOST_LONG_TEXT: Final = 1_500_000
_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a commit that returns is on disk
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    # Truncate the log to 16 MiB at a checkpoint, after a long reader made it grow.
    "PRAGMA journal_size_limit = 16777216",
    # Enough for the upper levels of the indexes of ten million reports; the default of 2 MB is not.
    "PRAGMA cache_size = -8000",
)


class SqliteConnection(sqlite3.Connection):
    """A connection that tracks how many long statements it has prepared.

    Python's sqlite3 caches each prepared statement, which takes ten times the memory of its text:
    1.3 MB for the merge of 256 workspaces. A connection that has run many long statements is closed
    and opened again.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401  as sqlite3 has it
        super().__init__(*arguments, **options)
        self._long: dict[int, int] = {}

    def note_long(self, text: str) -> None:
        """Note that a long statement was run."""
        self._long[hash(text)] = len(text)

    @property
    def is_full(self) -> bool:
        """Whether the connection should be reopened at the end of the current transaction."""
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
        """`unchanged` is a cache that is valid until the database changes; None if there is none.

        `writing` has the checks of a transaction that writes.
        """
        super().__init__(counts, records)
        self._connection = connection
        self._looks = 0
        self._unchanged = unchanged
        self._writing = writing
        self._last_ids: dict[str, int] = {}

    def rows(self, statement: Statement, values: Values) -> list[Row]:
        """The rows that `statement` selects or returns."""
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
        """New ids, higher than every id that a row of `table` ever had."""
        last = self._last_ids.get(table)
        if last is None:
            found = self._connection.execute(_LAST_ID, (table,)).fetchall()
            if not found:
                self._connection.execute(_BEGIN_IDS, (table,))
            [[last]] = found or [[0]]
        self._last_ids[table] = last + number
        return range(last + 1, last + number + 1)

    def finish(self) -> None:
        """Store the highest ids that were given out, and change the number in the header."""
        for table, last in self._last_ids.items():
            self._connection.execute(_SET_LAST_ID, (last, table))
        if self._writing is not None:
            self._writing.mark(self._connection)

    def confirm(self) -> None:
        """Raise StorageReplaced if the file that was written is not the one at the path."""
        if self._writing is not None:
            self._writing.demand_same_file()

    def recall(self, statement: Statement, values: Values) -> Row | None:
        """The first row that `statement` selects, cached until the database changes."""
        if self._unchanged is None:
            return self.row(statement, values)
        key = (statement, *values.values())
        try:
            return self._unchanged[key]  # type: ignore[no-any-return]  # stored below
        except KeyError:
            row = self._unchanged[key] = self.row(statement, values)
            return row

    def has_spent_its_time(self) -> bool:
        """Whether the current statement must stop; the progress handler on the event loop."""
        self._looks += 1
        return self._looks > _LOOKS_ON_THE_LOOP


class _ForAThread(Exception):
    """The statement may take long and cannot be interrupted: it must not run on the event loop."""


class _Writing(NamedTuple):
    """The checks of a write, so that a success response is sent only if the data is stored."""

    mark: Callable[[SqliteConnection], None]
    demand_same_file: Callable[[], None]


class _Snapshots:
    """The snapshot that the short reads of one iteration of the event loop share.

    Its connection does not wait for a lock, since that would block the event loop.
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
        """The snapshot of this iteration, begun if needed. Raises sqlite3.DatabaseError."""
        return self._current or self._begin()

    def drop(self) -> None:
        """Close the connection, since an error may have left it in any state; the next is new."""
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
        # The value changes when another connection has committed.
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
        """What `work` returns, run in one snapshot: on the event loop if short, else in a thread.

        `work` may be called more than once.
        """
        try:
            return work(self._snapshots.current())
        except _ForAThread:
            pass
        except sqlite3.DatabaseError as error:
            code = _primary_code(error)
            if code != sqlite3.SQLITE_INTERRUPT:
                self._snapshots.drop()
            # A read that has to wait for a lock, or takes long, is repeated in a thread.
            if code not in (*_BUSY, sqlite3.SQLITE_INTERRUPT):
                raise self._translated(error) from error
        return await self.read_long(work)

    def free_bytes(self) -> int | None:
        """The free space on the disk of the file, in bytes."""
        return shutil.disk_usage(self._path.parent).free

    def place(self) -> str:
        """The inode number of the file."""
        return str(self._path.stat().st_ino)

    def close(self) -> None:
        """Wait for the transactions under way, then close the file."""
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
            # Stop the statement when the caller gives up.
            connection.set_progress_handler(waiting.has_ended, _STEPS_BETWEEN_LOOKS)
            connection.execute("BEGIN")
            try:
                result = work(SqliteTransaction(connection, self._counts, records=self._records))
                waiting.demand()
            finally:
                connection.set_progress_handler(None, 0)  # so that nothing stops the ROLLBACK
                if connection.in_transaction:  # an error may have ended it already
                    connection.execute("ROLLBACK")  # a read has nothing to commit
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
                connection.set_progress_handler(None, 0)  # so that nothing stops the next statement
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
        """Increment the number in the file's header, so that an older copy can be recognised."""
        now = time.monotonic()
        if now - self._marked_at >= _MARK_EVERY_S:
            self._marked_at = now
            [[version]] = connection.execute("PRAGMA user_version").fetchall()
            connection.execute(f"PRAGMA user_version = {version % _MOST_MARK + 1}")

    def _demand_same_file(self) -> None:
        assert self._watch is not None  # created when the first write began
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
        check_same_thread=False,  # created in the thread that uses it, closed in another by `close`
        cached_statements=_PREPARED,
        factory=SqliteConnection,
        uri=True,
    )
    for pragma in _PRAGMAS:
        connection.execute(pragma)
    return connection


def _primary_code(error: sqlite3.DatabaseError) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF  # the higher bits are the extended result code
