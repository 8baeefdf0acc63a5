"""Changes to the database file under a running server are reported, and no write is lost."""

import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from conftest import Account, Server
from expect import assert_failure
from healthreports.store.schema.tables import SCHEMA_REVISION
from healthreports.store.schema.upgrade import upgrade
from postgres_kit import Cluster

OwnServer = Callable[..., Server]
OwnAccount = Callable[[Server], Account]


def sent(account: Account, description: str = "Fine.") -> dict[str, object]:
    report = {"workspace_id": account.workspaces[0], "color": "red", "description": description}
    return {"status_report": report}


def backup(path: Path, to: Path) -> None:
    with closing(sqlite3.connect(path)) as one, closing(sqlite3.connect(to)) as other:
        one.backup(other)


def remove(path: Path, _backup: Path) -> None:
    path.unlink()


def replace(path: Path, old: Path) -> None:
    old.rename(path)


def copy_over(path: Path, old: Path) -> None:
    shutil.copyfile(old, path)


def move_away(path: Path, _backup: Path) -> None:
    path.rename(path.with_suffix(".moved"))


@pytest.mark.parametrize("happens", [remove, replace, copy_over, move_away])
def test_no_write_is_acknowledged_that_the_file_at_the_path_does_not_have(
    own_server: OwnServer,
    own_account: OwnAccount,
    tmp_path: Path,
    happens: Callable[[Path, Path], None],
) -> None:
    server = own_server()
    account = own_account(server)
    assert isinstance(server.database, Path)
    old = tmp_path / "old.sqlite3"
    backup(server.database, old)
    for number in range(3):
        account.report(description=f"before {number}")
    happens(server.database, old)
    for number in range(3):
        refused = account.api.post("/status_reports", json=sent(account, str(number)))
        assert_failure(refused, 503)
    log = server.stop()
    assert str(server.database) in log
    assert "Traceback" not in log


def test_a_newer_schema_under_a_running_server_ends_it(
    own_server: OwnServer, own_account: OwnAccount
) -> None:
    server = own_server()
    account = own_account(server)
    account.report()
    with closing(sqlite3.connect(server.database)) as other, other:
        other.execute("UPDATE alembic_version SET version_num = '9999'")
    assert_failure(account.api.post("/status_reports", json=sent(account)), 503)
    assert server.process is not None
    server.process.wait(timeout=10)
    assert "schema" in server.stop()
    with closing(sqlite3.connect(server.database)) as other:
        assert other.execute("SELECT count(*) FROM status_reports").fetchall() == [(1,)]


def test_a_newer_schema_on_postgresql_ends_a_running_server(
    cluster: Cluster, own_account: OwnAccount
) -> None:
    address = cluster.make_database()
    upgrade(address)
    server = Server(address).start()
    try:
        account = own_account(server)
        account.report()
        with psycopg.connect(address) as other:
            other.execute("UPDATE alembic_version SET version_num = '9999'")
        assert_failure(account.api.post("/status_reports", json=sent(account)), 503)
        assert server.process is not None
        server.process.wait(timeout=10)
        with psycopg.connect(address) as other:
            other.execute("UPDATE alembic_version SET version_num = %s", [SCHEMA_REVISION])
            assert other.execute("SELECT count(*) FROM status_reports").fetchall() == [(1,)]
    finally:
        assert "schema" in server.stop()


def serve(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "healthreports", "serve", "--port", "0", "--database", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=6,
    )


@pytest.mark.parametrize("place", [120, 20_000])
def test_a_damaged_file_is_refused_at_the_start(tmp_path: Path, place: int) -> None:
    path = tmp_path / "test.sqlite3"
    upgrade(str(path))
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"\xff" * 3_000)
    said = serve(path)
    assert said.returncode == 1
    assert "restore a backup" in said.stderr
    assert "Traceback" not in said.stderr


def test_a_backup_beside_the_log_of_a_killed_server_is_not_served_as_if_it_were_whole(
    own_server: OwnServer, own_account: OwnAccount, tmp_path: Path
) -> None:
    server = own_server()
    account = own_account(server)
    assert isinstance(server.database, Path)
    old = tmp_path / "old.sqlite3"
    backup(server.database, old)
    for number in range(200):
        account.report(description=f"{number}" * 500)
    server.stop(signal.SIGKILL)
    assert server.database.with_name(server.database.name + "-wal").stat().st_size
    shutil.copyfile(old, server.database)
    try:
        said = serve(server.database)
    except subprocess.TimeoutExpired:
        # SQLite could recover one consistent state, which is checked here.
        with closing(sqlite3.connect(server.database)) as opened:
            assert opened.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    else:
        assert said.returncode == 1
        assert "damaged" in said.stderr


def test_database_files_are_for_their_owner_alone(
    own_server: OwnServer, own_account: OwnAccount
) -> None:
    server = own_server()
    own_account(server).report()
    assert isinstance(server.database, Path)
    files = list(server.database.parent.glob(server.database.name + "*"))
    assert len(files) >= 2
    assert {oct(one.stat().st_mode & 0o777) for one in files} == {"0o600"}


def test_workers_find_a_new_file_as_they_open_it(tmp_path: Path) -> None:
    """Only one connection at a time can change the journal mode: two at once would fail."""
    path = tmp_path / "new.sqlite3"
    upgrade(str(path))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_the_log_shrinks_after_a_long_reader(
    own_server: OwnServer, own_account: OwnAccount
) -> None:
    server = own_server()
    account = own_account(server)
    assert isinstance(server.database, Path)
    log = server.database.with_name(server.database.name + "-wal")
    with closing(sqlite3.connect(server.database, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM status_reports").fetchall()
        while log.stat().st_size < 40 * 2**20:
            account.report(description="x" * 45_000)
        reader.execute("ROLLBACK")
    end = time.monotonic() + 20
    while log.stat().st_size > 20 * 2**20 and time.monotonic() < end:
        account.report(description="x" * 45_000)
    assert log.stat().st_size <= 20 * 2**20


def test_a_full_disk_says_so_and_a_server_starts_and_reads_on_it(
    own_server: OwnServer, own_account: OwnAccount
) -> None:
    server = own_server()
    account = own_account(server)
    account.report()
    assert server.process is not None
    whole = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (4096, whole[1]))
    refused = account.api.post("/status_reports", json=sent(account, "x" * 45_000))
    assert_failure(refused, 503)
    assert account.api.get("/status_reports").json()["count"] == 1
    server.stop()
