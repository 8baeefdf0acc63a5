"""After a power loss at any moment, the database has every acknowledged write, complete.

A server is recorded while clients write. For each sync, the files are rebuilt as a power loss at
that moment may have left them: unsynced writes are missing or torn. `make fuzz` runs this; it
needs `strace`.
"""

import os
import random
import re
import signal
import sqlite3
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Final

import httpx
import pytest
from disk_kit import STRACE, WAYS, Disk, Event, events, recording

from conftest import Server, make_account
from healthreports.app import open_database
from healthreports.settings import Settings
from healthreports.store.lists import verify
from healthreports.store.schema.upgrade import upgrade

pytestmark = pytest.mark.skipif(STRACE is None, reason="no strace on this machine")

SEED: Final = 20_261_127
CLIENTS: Final = 4
REPORTS_EACH: Final = 120
CHANGES_EACH: Final = 2
# Long enough for several checkpoints; SQLite makes one every 1,000 pages of its WAL.
FILLING: Final = "What is known of it. " * 800
# In one of this many images, all derived data is counted again, too.
COUNTED_EVERY: Final = 40
# The same server, except that a commit does not wait for the disk.
CARELESS: Final = """
import sys
from healthreports.cli.main import main
from healthreports.store.engine import sqlite
sqlite._PRAGMAS = tuple(one.replace("= FULL", "= NORMAL") for one in sqlite._PRAGMAS)
sys.exit(main())
"""
_SAID: Final = re.compile(rb'"description":"(\d+)\.(\d+) ')
_WRITES: Final = ("write", "writev", "sendto", "sendmsg")


def write(server: Server, secret: str, workspace: str, client: int) -> None:
    """Create reports and change each. A description begins with `<report>.<change>`."""
    with server.client(secret) as api:
        for number in range(REPORTS_EACH):
            name = client * REPORTS_EACH + number
            sent = {"workspace_id": workspace, "color": "green"}
            path, method = "/status_reports", "POST"
            for change in range(CHANGES_EACH + 1):
                body = {"status_report": {**sent, "description": f"{name}.{change} {FILLING}"}}
                answer = api.request(method, path, json=body)
                assert answer.status_code == httpx.codes.OK, answer.text
                path = f"/status_reports/{answer.json()['results'][0]['id']}"
                method, sent = "PUT", {}


def recorded(folder: Path, *command: str) -> tuple[Disk, Path]:
    """The disk before a server is started by `command`, and the recording of what it does."""
    base, into = folder / "lost.sqlite3", folder / "recorded"
    upgrade(str(base))
    server = Server(base).start()
    with closing(open_database(Settings(database=str(base)))) as database:
        account = make_account(server, database)
        account.close()
    server.stop()
    disk = Disk(base, [base.name + end for end in ("", "-wal", "-journal")])
    server = Server(base, command=[*recording(into), sys.executable, *command]).start()
    with ThreadPoolExecutor(CLIENTS) as pool:
        secret, workspace = account.secrets["editor"], account.workspaces[0]
        for one in [
            pool.submit(write, server, secret, workspace, client) for client in range(CLIENTS)
        ]:
            one.result()
    end_recorded(server)
    return disk, into


def end_recorded(server: Server) -> None:
    """Stop a server cleanly, and with it the process that records it."""
    assert server.process is not None
    number = server.process.pid
    children = Path(f"/proc/{number}/task/{number}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGTERM)
    server.stop()


def moments(disk: Disk, into: Path) -> Iterator[dict[int, int]]:
    """At each sync and at the end: the last acknowledged change of each report."""
    answered: dict[int, int] = {}
    for event in events(into):
        if disk.is_sync(event):
            yield answered
        disk.follow(event)
        if event.begins and event.call in _WRITES:
            answered.update(_answers(event))
    yield answered


def _answers(event: Event) -> dict[int, int]:
    is_answer = event.data.startswith(b"HTTP/1.1 200") or event.data.startswith(b'{"count"')
    return {int(a): int(b) for a, b in _SAID.findall(event.data)} if is_answer else {}


def is_counted_right(image: Path) -> bool:
    with closing(open_database(Settings(database=str(image)))) as database:
        return database.read_here(verify.differences) == []


def missing(image: Path, answered: dict[int, int]) -> dict[int, int]:
    """The acknowledged changes that an image lacks. Asserts that the file is not damaged."""
    with closing(sqlite3.connect(image)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = connection.execute("SELECT substr(description, 1, 20) FROM status_reports")
        found = dict(map(int, text.split(" ")[0].split(".")) for (text,) in rows)
    return {one: change for one, change in answered.items() if found.get(one, -1) < change}


def lost(disk: Disk, into: Path, image: Path, *, demand_none: bool) -> tuple[int, int, int]:
    """Return the number of syncs, of images, and of images that lack an acknowledged write."""
    dice = random.Random(SEED)
    syncs = images = lacking = 0
    for answered in moments(disk, into):
        syncs += 1
        for way in WAYS:
            images += 1
            disk.after_power_loss(image, way, dice)
            gone = missing(image, answered)
            lacking += bool(gone)
            if demand_none:
                assert gone == {}, f"at sync {syncs}, {way}"
                assert images % COUNTED_EVERY or is_counted_right(image)
    return syncs, images, lacking


def test_what_was_answered_is_there_after_a_power_loss_at_any_sync(tmp_path: Path) -> None:
    disk, into = recorded(tmp_path, "-m", "healthreports")
    syncs, images, _ = lost(disk, into, tmp_path / "image.sqlite3", demand_none=True)
    print(f"{syncs} syncs, {images} images, nothing lost")  # noqa: T201  the result of a long run
    assert syncs > REPORTS_EACH
    assert disk.synced[disk.base.name], "the log was never taken into the file"


def test_a_server_that_does_not_wait_for_the_disk_is_found_out(tmp_path: Path) -> None:
    disk, into = recorded(tmp_path, "-c", CARELESS)
    _, images, lacking = lost(disk, into, tmp_path / "image.sqlite3", demand_none=False)
    print(f"{lacking} of {images} images lack what was answered")  # noqa: T201  as above
    assert lacking
