"""Transactions: all or nothing, one snapshot, and nothing slow on the event loop."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from healthreports.core.errors import StorageUnavailable, Unauthenticated
from healthreports.core.model import Instant
from healthreports.core.vocabulary import AccountPermission
from healthreports.service.auth import tokens
from healthreports.service.people.members import create_user
from healthreports.store.engine.database import Database, Transaction, Waiting
from healthreports.store.engine.sqlite import SqliteConnection, SqliteDatabase
from healthreports.store.engine.statement import Statement
from healthreports.store.people.accounts import insert_account
from healthreports.store.schema.tables import accounts
from healthreports.store.schema.upgrade import upgrade

ALL = Statement(select(accounts.c.title).order_by(accounts.c.id))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    path = tmp_path / "x.sqlite3"
    upgrade(str(path))
    opened = SqliteDatabase(path, 1.0)
    yield opened
    opened.close()


def titles(tx: Transaction) -> list[str]:
    return [title for (title,) in tx.rows(ALL, {})]


def add(tx: Transaction, title: str) -> None:
    insert_account(tx, title, title, Instant(0))


def test_a_write_that_raises_keeps_nothing(database: Database) -> None:
    def work(tx: Transaction) -> None:
        add(tx, "half")
        raise KeyError

    with pytest.raises(KeyError):
        database.write_here(work)
    assert database.read_here(titles) == []


def test_a_read_sees_one_snapshot(database: Database) -> None:
    def work(tx: Transaction) -> tuple[list[str], list[str]]:
        before = titles(tx)
        database.write_here(lambda other: add(other, "meanwhile"))
        return before, titles(tx)

    assert database.read_here(work) == ([], [])
    assert database.read_here(titles) == ["meanwhile"]


def counting_to(number: int) -> Statement:
    return Statement(
        text(
            f"WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {number}) "
            "SELECT max(x) FROM n"
        )
    )


def test_a_statement_that_takes_long_leaves_the_event_loop(database: Database) -> None:
    def work(statement: Statement, tx: Transaction) -> tuple[str, int]:
        [[number]] = tx.rows(statement, {})
        return threading.current_thread().name, number

    async def both() -> list[tuple[str, int]]:
        sizes = (10, 1_000_000, 10)
        return [await database.read(partial(work, counting_to(size))) for size in sizes]

    here = threading.current_thread().name
    short, long, again = asyncio.run(both())
    assert short == again == (here, 10)
    assert long[0].startswith("reader")
    assert long[1] == 1_000_000


def test_many_short_statements_do_not_add_up_to_a_long_one(database: Database) -> None:
    def work(tx: Transaction) -> str:
        for _ in range(500):
            tx.rows(counting_to(100), {})
        return threading.current_thread().name

    async def read() -> str:
        return await database.read(work)

    assert asyncio.run(read()) == threading.current_thread().name


def test_a_wrong_statement_is_a_defect_and_not_an_outage(database: Database) -> None:
    with pytest.raises(Exception, match="no such column") as caught:
        database.read_here(lambda tx: tx.rows(Statement(select(text("nonsense"))), {}))
    assert not isinstance(caught.value, StorageUnavailable)


def test_a_file_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "nowhere.sqlite3", 1.0)
    with pytest.raises(StorageUnavailable):
        database.read_here(titles)
    database.close()


def test_reads_of_one_turn_of_the_loop_share_a_snapshot_and_later_ones_see_more(
    database: Database,
) -> None:
    async def work() -> tuple[list[str], list[str], list[str]]:
        first = await database.read(titles)
        database.write_here(lambda tx: add(tx, "meanwhile"))
        second = await database.read(titles)
        await asyncio.sleep(0)
        return first, second, await database.read(titles)

    assert asyncio.run(work()) == ([], [], ["meanwhile"])


def test_who_was_told_of_a_write_sees_it(database: Database) -> None:
    async def work() -> list[str]:
        await database.read(titles)
        await database.write(lambda tx: add(tx, "told"))
        return await database.read(titles)

    assert asyncio.run(work()) == ["told"]


def test_what_is_remembered_as_unchanged_is_forgotten_when_anybody_writes(
    database: Database, tmp_path: Path
) -> None:
    elsewhere = SqliteDatabase(tmp_path / "x.sqlite3", 1.0)

    never_twice = Statement(select(func.random()))

    async def work() -> list[object]:
        found = []
        for _ in range(2):
            found.append(await database.read(lambda tx: tx.recall(never_twice, {})))
            await asyncio.sleep(0)
        elsewhere.write_here(lambda tx: add(tx, "elsewhere"))
        found.append(await database.read(lambda tx: tx.recall(never_twice, {})))
        return found

    first, again, after = asyncio.run(work())
    assert first == again != after
    elsewhere.close()


def test_a_remembered_token_still_expires(database: Database) -> None:
    def issue(tx: Transaction) -> str:
        account_id = insert_account(tx, "A", "A", Instant(0))
        user = create_user(
            tx,
            account_id,
            full_name="U",
            email_address="u@example.org",
            permission=AccountPermission.ADMINISTRATOR,
            now=Instant(0),
        )
        return tokens.issue(tx, user, "t", Instant(0), expires_at=Instant(10))

    secret = database.write_here(issue)

    async def work() -> None:
        await database.read(lambda tx: tokens.authenticate(tx, secret, Instant(9)))
        with pytest.raises(Unauthenticated):
            await database.read(lambda tx: tokens.authenticate(tx, secret, Instant(10)))

    asyncio.run(work())


def test_an_error_at_the_start_of_a_snapshot_does_not_last(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection that saw the error is discarded; the next read gets a new one."""
    broken = [True]

    class Broken(SqliteConnection):
        def execute(self, text: str, *values: object) -> sqlite3.Cursor:
            if "data_version" in text and broken:
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR
                raise error
            return super().execute(text, *values)

    really = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: really(*a, **k | {"factory": Broken}))

    async def work() -> list[str]:
        for _ in range(2):
            with pytest.raises(StorageUnavailable):
                await database.read(titles)
        broken.clear()
        return await database.read(titles)

    assert asyncio.run(work()) == []


def test_a_write_that_nobody_waits_for_is_not_kept(database: Database) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(tx: Transaction) -> None:
        add(tx, "too late")
        begun.set()
        go_on.wait(5)

    async def work() -> None:
        writing = asyncio.ensure_future(database.write(slow))
        await asyncio.to_thread(begun.wait, 5)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        go_on.set()
        await database.write(lambda tx: add(tx, "after"))

    asyncio.run(work())
    assert database.read_here(titles) == ["after"]


def test_a_read_that_nobody_waits_for_is_stopped(database: Database) -> None:
    endless = counting_to(10**12)

    async def work() -> None:
        reading = database.read(lambda tx: tx.rows(endless, {}))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reading, 0.2)

    asyncio.run(work())
    database.close()  # waits for the reader, which would otherwise never end


def test_abandoned_transactions_leave_nothing_open(database: Database) -> None:
    """SQLite counts instructions across statements, so even a BEGIN may be interrupted."""
    gone = Waiting()
    gone.give_up()
    for _ in range(3_000):
        with pytest.raises(Exception, match=r"interrupted|^$"):
            database._one_writer.submit(database._writing(titles, gone), 0).result()  # noqa: SLF001  such a stop cannot be timed from outside
        with pytest.raises(Exception, match=r"interrupted|^$"):
            database._read(titles, gone)  # noqa: SLF001  as above
    database.write_here(lambda tx: add(tx, "after"))
    assert database.read_here(titles) == ["after"]
