"""Group commit: writes that wait together share a commit, but each can be rolled back alone."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, MetaData, Table, Text, func, select

from healthreports.core.errors import StorageUnavailable
from healthreports.core.model import Instant
from healthreports.store.engine.database import Later, Transaction
from healthreports.store.engine.group_commit import SharedTransaction
from healthreports.store.engine.sqlite import SqliteDatabase, SqliteTransaction
from healthreports.store.engine.statement import Statement, insertion
from healthreports.store.engine.writer import MOST_TOGETHER, Lock, Writer
from healthreports.store.people import accounts
from healthreports.store.schema.upgrade import upgrade

WAIT_S = 5
ONE, OTHER = 1, 2
EVERYTHING = None

NOTED = Table("noted", MetaData(), Column("word", Text))
LATER = Table("later", MetaData(), Column("word", Text))
NOTE = insertion(NOTED)
WORDS = Statement(select(func.group_concat(NOTED.c.word, " ")))
LATER_WORDS = Statement(select(func.group_concat(LATER.c.word, " ")))


def begin(connection: sqlite3.Connection) -> Callable[[Lock], SharedTransaction]:
    """A function that begins a transaction on `connection`, as a writer needs it."""

    def begun(_lock: Lock) -> SharedTransaction:
        connection.execute("BEGIN IMMEDIATE")
        return SharedTransaction(SqliteTransaction(connection, {}), connection)

    return begun


class Watched(sqlite3.Connection):
    """A connection that counts its commits; if `refuse` is set, the next commit fails."""

    commits = 0
    refuse = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.asked: list[str] = []

    def execute(self, text: str, *values: object) -> sqlite3.Cursor:
        self.asked.append(text)
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
    opened.execute("CREATE TABLE later (word TEXT)")
    yield opened
    opened.close()


@pytest.fixture
def writer(connection: Watched) -> Iterator[Writer]:
    made = Writer(begin(connection))
    yield made
    made.close()


def note(word: str) -> Callable[[Transaction], list[str]]:
    """A write that stores `word` and returns all stored words."""

    def run(tx: Transaction) -> list[str]:
        tx.rows(NOTE, {"word": word})
        return noted(tx)

    return run


def noted(tx: Transaction) -> list[str]:
    [[found]] = tx.rows(WORDS, {})
    return found.split()


def fail(tx: Transaction) -> None:
    note("half")(tx)
    raise KeyError


def refuse(tx: Transaction) -> None:
    noted(tx)
    raise ValueError


def words(connection: sqlite3.Connection) -> list[str]:
    return [word for (word,) in connection.execute("SELECT word FROM noted ORDER BY rowid")]


def together(writer: Writer, *runs: Callable) -> list[Future]:
    """Submit `runs` while the writer is busy, so that they wait together. Returns futures."""
    begun, go_on = threading.Event(), threading.Event()

    def keep_busy(_tx: Transaction) -> None:
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


def test_who_has_changed_nothing_is_not_undone(writer: Writer, connection: Watched) -> None:
    first, wrong, last = together(writer, note("a"), refuse, note("b"))
    assert first.result(WAIT_S) == ["a"]
    assert last.result(WAIT_S) == ["a", "b"]
    assert isinstance(wrong.exception(WAIT_S), ValueError)
    assert not [text for text in connection.asked if "ROLLBACK" in text or "SAVEPOINT" in text]


def test_what_is_undone_for_others_is_done_again(writer: Writer, connection: Watched) -> None:
    runs: list[str] = []

    def counted(tx: Transaction) -> list[str]:
        runs.append("run")
        return note("counted")(tx)

    first, _, last = together(writer, counted, fail, note("b"))
    assert first.result(WAIT_S) == ["counted"]
    assert last.result(WAIT_S) == ["counted", "b"]
    assert runs == ["run", "run"]
    assert words(connection) == ["counted", "b"]
    assert connection.commits == 1


def note_all(tx: Transaction, items: list[str]) -> None:
    tx.rows(insertion(LATER), {"word": "+".join(items)})


AT_THE_END = Later(note_all, frozenset({"later"}))


def put_off(word: str) -> Callable[[Transaction], None]:
    return lambda tx: tx.put_off(AT_THE_END, word)


def later_words(tx: Transaction) -> str:
    [[found]] = tx.rows(LATER_WORDS, {})
    return found


def test_what_is_put_off_is_done_once_for_all(writer: Writer, connection: Watched) -> None:
    for one in together(writer, put_off("a"), put_off("b"), put_off("c")):
        one.result(WAIT_S)
    assert connection.execute("SELECT word FROM later").fetchall() == [("a+b+c",)]


def test_who_asks_sees_what_was_put_off(writer: Writer) -> None:
    asked = together(writer, put_off("a"), put_off("b"), later_words, put_off("c"), later_words)
    assert asked[2].result(WAIT_S) == "a+b"
    assert asked[4].result(WAIT_S) == "a+b c"


@pytest.mark.parametrize("asks", [False, True], ids=["put off", "done"])
def test_what_was_put_off_is_undone_alone(
    writer: Writer, connection: Watched, *, asks: bool
) -> None:
    def wrong(tx: Transaction) -> None:
        put_off("wrong")(tx)
        if asks:  # then work that others put off before it also runs in its savepoint
            later_words(tx)
        raise KeyError

    waiting = together(writer, put_off("a"), wrong, put_off("b"))
    assert isinstance(waiting[1].exception(WAIT_S), KeyError)
    waiting[2].result(WAIT_S)
    assert connection.execute("SELECT word FROM later").fetchall() == [("a+b",)]


def test_what_one_has_read_the_next_does_not_ask_for(writer: Writer, connection: Watched) -> None:
    waiting = together(writer, noted_or_none, noted_or_none, note("a"), noted_or_none, noted)
    assert [one.result(WAIT_S) for one in waiting] == [None, None, ["a"], "a", ["a"]]
    assert sum("group_concat" in text for text in connection.asked) == 2


def noted_or_none(tx: Transaction) -> str | None:
    [[found]] = tx.rows(WORDS, {})
    return found


def test_what_was_read_before_an_undoing_is_asked_for_again(writer: Writer) -> None:
    waiting = together(writer, note("a"), fail, noted, refuse, noted)
    assert waiting[2].result(WAIT_S) == ["a"]
    assert waiting[4].result(WAIT_S) == ["a"]


def test_nobody_is_told_before_the_commit(writer: Writer, connection: Watched) -> None:
    told: list[bool] = []

    def look(_tx: Transaction) -> None:
        told[:] = [one.done() for one in waiting]

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
    def give_up(_tx: Transaction) -> None:
        connection.execute("ROLLBACK")
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
    # The first shares its commit with those under its lock; then the others follow in turn.
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
                database.write(
                    lambda tx, n=n: accounts.insert_account(tx, str(n), str(n), Instant(0))
                )
                for n in range(300)
            )
        )

    asyncio.run(write_all())
    database.close()
    with sqlite3.connect(path) as raw:
        kept = {title for (title,) in raw.execute("SELECT title FROM accounts")}
    raw.close()
    assert kept == {str(number) for number in range(300)}


def test_an_id_is_never_given_twice(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite3"
    upgrade(str(path))
    given: list[int] = []

    def take(tx: Transaction) -> None:
        given.extend(tx.new_ids("workspaces", 2))

    for _ in range(2):
        database = SqliteDatabase(path, 1.0)
        database.write_here(take)
        with pytest.raises(KeyError):
            database.write_here(lambda tx: (take(tx), fail_after(tx)))
        database.write_here(take)
        database.close()
    # Ids that were rolled back may be given again, since nobody saw them; committed ids never.
    kept = given[:2] + given[-2:]
    assert len(set(kept)) == len(kept)
    assert max(given) == given[-1]


def fail_after(tx: Transaction) -> None:
    accounts.insert_account(tx, "undone", "undone", Instant(0))
    raise KeyError
