"""Writes that wait together share a commit, and still stand or fall alone."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from pathlib import Path

import pytest

from healthreports.core.errors import StorageUnavailable
from healthreports.core.model import Instant
from healthreports.store import people
from healthreports.store.sqlite import SqliteDatabase
from healthreports.store.upgrade import upgrade
from healthreports.store.writer import MOST_TOGETHER, Lock, Writer

WAIT_S = 5
ONE, OTHER = 1, 2
EVERYTHING = None


def begin(connection: sqlite3.Connection) -> Callable[[Lock], sqlite3.Connection]:
    """What begins a transaction on `connection`, as a writer wants it."""

    def begun(_lock: Lock) -> sqlite3.Connection:
        connection.execute("BEGIN IMMEDIATE")
        return connection

    return begun


class Watched(sqlite3.Connection):
    """A connection that counts its commits, and refuses one when it is told to."""

    commits = 0
    refuse = False

    def execute(self, text: str, *values: object) -> sqlite3.Cursor:
        if text == "COMMIT":
            if self.refuse:
                self.refuse = False
                raise sqlite3.OperationalError("disk I/O error")
            self.commits += 1
        return super().execute(text, *values)


@pytest.fixture
def connection() -> Iterator[Watched]:
    opened = sqlite3.connect(
        ":memory:", isolation_level=None, check_same_thread=False, factory=Watched
    )
    opened.execute("CREATE TABLE noted (word TEXT)")
    yield opened
    opened.close()


@pytest.fixture
def writer(connection: Watched) -> Iterator[Writer]:
    made = Writer(begin(connection))
    yield made
    made.close()


def note(word: str) -> Callable[[sqlite3.Connection], list[str]]:
    """A write that notes `word` and returns all that is noted."""

    def run(connection: sqlite3.Connection) -> list[str]:
        connection.execute("INSERT INTO noted VALUES (?)", (word,))
        return words(connection)

    return run


def fail(connection: sqlite3.Connection) -> None:
    note("half")(connection)
    raise KeyError


def words(connection: sqlite3.Connection) -> list[str]:
    return [word for (word,) in connection.execute("SELECT word FROM noted ORDER BY rowid")]


def together(writer: Writer, *runs: Callable) -> list[Future]:
    """Submit `runs` while the writer is busy, so that they wait together. Not yet done."""
    begun, go_on = threading.Event(), threading.Event()

    def keep_busy(_connection: sqlite3.Connection) -> None:
        begun.set()
        assert go_on.wait(WAIT_S)

    writer.submit(keep_busy, ONE)
    assert begun.wait(WAIT_S)
    waiting = [writer.submit(run, ONE) for run in runs]
    go_on.set()
    return waiting


def test_what_waits_together_shares_a_commit(writer: Writer, connection: Watched) -> None:
    waiting = together(writer, *(note(str(number)) for number in range(10)))
    assert [len(one.result(WAIT_S)) for one in waiting] == list(range(1, 11))
    assert connection.commits == 1


def test_a_group_has_an_end(writer: Writer, connection: Watched) -> None:
    waiting = together(writer, *(note("x") for _ in range(MOST_TOGETHER)))
    assert [one.result(WAIT_S) for one in waiting]
    assert connection.commits == 2


def test_who_raises_is_undone_alone(writer: Writer, connection: Watched) -> None:
    before, wrong, after = together(writer, note("before"), fail, note("after"))
    assert before.result(WAIT_S) == ["before"]
    with pytest.raises(KeyError):
        wrong.result(WAIT_S)
    assert after.result(WAIT_S) == ["before", "after"]
    assert words(connection) == ["before", "after"]


def test_nobody_is_told_before_the_commit(writer: Writer, connection: Watched) -> None:
    told: list[bool] = []

    def look(_connection: sqlite3.Connection) -> None:
        told.extend(one.done() for one in waiting)

    begun = threading.Event()
    waiting = [writer.submit(lambda _: begun.wait(WAIT_S), ONE), writer.submit(fail, ONE)]
    looked = writer.submit(look, ONE)
    begun.set()
    looked.result(WAIT_S)
    assert told == [False, False]
    assert connection.commits == 1


def test_a_commit_that_fails_is_told_to_all_and_keeps_nothing(
    writer: Writer, connection: Watched
) -> None:
    connection.refuse = True
    for one in together(writer, note("a"), fail, note("b")):
        with pytest.raises(sqlite3.OperationalError, match="disk"):
            one.result(WAIT_S)
    assert writer.submit(note("later"), ONE).result(WAIT_S) == ["later"]


def test_a_transaction_that_the_database_gave_up_is_told_to_all(
    writer: Writer, connection: Watched
) -> None:
    def give_up(inside: sqlite3.Connection) -> None:
        inside.execute("ROLLBACK")
        raise sqlite3.OperationalError("database or disk is full")

    for one in together(writer, note("a"), give_up):
        with pytest.raises(sqlite3.OperationalError, match="full"):
            one.result(WAIT_S)
    assert writer.submit(note("later"), ONE).result(WAIT_S) == ["later"]
    assert words(connection) == ["later"]


def test_who_gives_up_while_it_waits_is_left_out(writer: Writer, connection: Watched) -> None:
    begun, go_on = threading.Event(), threading.Event()
    writer.submit(lambda _: (begun.set(), go_on.wait(WAIT_S)), ONE)
    assert begun.wait(WAIT_S)
    given_up, kept = writer.submit(note("given up"), ONE), writer.submit(note("kept"), ONE)
    assert given_up.cancel()
    go_on.set()
    assert kept.result(WAIT_S) == ["kept"]
    with pytest.raises(CancelledError):
        given_up.result(WAIT_S)
    assert words(connection) == ["kept"]


def test_only_what_is_under_one_lock_shares_a_commit(writer: Writer, connection: Watched) -> None:
    begun, go_on = threading.Event(), threading.Event()
    writer.submit(lambda _: (begun.set(), go_on.wait(WAIT_S)), ONE)
    assert begun.wait(WAIT_S)
    waiting = [
        writer.submit(note(f"{lock} {number}"), lock)
        for number in range(2)
        for lock in (OTHER, EVERYTHING, ONE)
    ]
    go_on.set()
    for one in waiting:
        one.result(WAIT_S)
    # The first has those under its lock with it; then each in its turn.
    assert words(connection) == ["1 0", "1 1", "2 0", "2 1", "None 0", "None 1"]
    assert connection.commits == 4


def test_closing_waits_for_what_was_submitted(connection: Watched) -> None:
    writer = Writer(begin(connection))
    waiting = together(writer, note("a"), note("b"))
    writer.close()
    assert [one.result(0) for one in waiting] == [["a"], ["a", "b"]]
    with pytest.raises(RuntimeError):
        writer.submit(note("too late"), ONE)


def test_a_database_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "nowhere.sqlite3", 1.0)
    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            database.write_here(lambda _: None)
    database.close()


def test_concurrent_writes_of_one_server_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite3"
    upgrade(str(path))
    database = SqliteDatabase(path, 1.0)

    async def write_all() -> None:
        await asyncio.gather(
            *(
                database.write(lambda tx, n=n: people.insert_account(tx, str(n), Instant(0)))
                for n in range(300)
            )
        )

    asyncio.run(write_all())
    database.close()
    with sqlite3.connect(path) as raw:
        kept = {title for (title,) in raw.execute("SELECT title FROM accounts")}
    raw.close()
    assert kept == {str(number) for number in range(300)}
