"""Backup, restore and upgrade, by an administrator who has only the command line."""

import gzip
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from command_line import execute
from conftest import Account, Server, make_account
from expect import only_record
from healthreports.app import open_database
from healthreports.settings import Settings
from healthreports.store.engine.statement import Statement
from healthreports.store.lists import verify
from healthreports.store.schema.tables import metadata
from healthreports.store.schema.upgrade import upgrade
from postgres_kit import POSTGRES_BIN_PATH, Cluster

Start = Callable[[], Server]
Fill = Callable[[Server], Account]


def run(*arguments: object, code: int = 0, **environment: str) -> str:
    """Run a command. Returns what it prints, or what it prints to standard error if it fails."""
    path = f"{POSTGRES_BIN_PATH}:{os.environ['PATH']}"
    done = execute(*arguments, env={**os.environ, "PATH": path, **environment}, timeout=120)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr if code else done.stdout.strip()


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with this version's schema."""
    if request.param == "sqlite":
        address = str(tmp_path / "live.sqlite3")
    else:
        cluster: Cluster = request.getfixturevalue("cluster")
        address = cluster.make_database()
    upgrade(address)
    return address


@pytest.fixture
def start(place: str) -> Iterator[Start]:
    started: list[Server] = []

    def go() -> Server:
        started.append(Server(place).start())
        return started[-1]

    yield go
    for one in started:
        if one.process is not None:
            one.stop()


@pytest.fixture
def filled() -> Iterator[Callable[[Server], Account]]:
    """Make an account on a server."""
    made: list[Account] = []

    def fill(server: Server) -> Account:
        with closing(open_database(Settings(database=str(server.database)))) as database:
            made.append(make_account(server, database))
        return made[-1]

    yield fill
    for one in made:
        one.close()


def is_right(place: str) -> bool:
    with closing(open_database(Settings(database=place))) as database:
        return database.read_here(verify.differences) == []


def texts(account: Account, server: Server) -> set[str]:
    with server.client(account.secrets["administrator"]) as api:
        found = api.get("/status_reports", params={"per_page": "200"}).json()
    return {one["description"] for one in found["status_reports"].values()}


def test_what_was_stored_before_a_backup_is_there_after_it_is_restored(
    place: str, start: Start, filled: Fill, tmp_path: Path
) -> None:
    server = start()
    account = filled(server)
    kept = [account.report(description=f"Kept {number}.") for number in range(5)]
    [file] = run("backup", tmp_path / "out", "--database", place).splitlines()
    assert "listens" not in file
    lost = account.report(description="Since.")
    shown = account.api.get(f"/status_reports/{kept[0]}")
    listed = account.api.get("/status_reports")
    server.stop()
    assert "--force" in run("restore", file, "--database", place, code=1)
    run("restore", file, "--database", place, "--force")
    assert is_right(place)
    again = start()
    assert texts(account, again) == {f"Kept {number}." for number in range(5)}
    with again.client(account.secrets["administrator"]) as api:
        assert api.get(f"/status_reports/{lost}").status_code == 404
        # The database is in an earlier state: no entity tag from before matches (8.1).
        for path, answer in ((f"/status_reports/{kept[0]}", shown), ("/status_reports", listed)):
            known = {"if-none-match": answer.headers["etag"]}
            assert api.get(path, headers=known).status_code == 200
        sent = {"workspace_id": account.workspaces[0], "color": "red", "description": "After."}
        made = only_record(api.post("/status_reports", json={"status_report": sent}))
        assert int(made["id"]) > int(kept[-1])


def test_a_backup_while_others_write_is_of_one_moment(
    place: str, start: Start, filled: Fill, tmp_path: Path
) -> None:
    server = start()
    account = filled(server)
    acknowledged: list[str] = []
    is_over = threading.Event()

    def write() -> None:
        with server.client(account.secrets["editor"]) as api:
            while not is_over.is_set():
                text = f"Number {len(acknowledged)}."
                sent = {
                    "workspace_id": account.workspaces[0],
                    "color": "red",
                    "description": text,
                }
                if api.post("/status_reports", json={"status_report": sent}).is_success:
                    acknowledged.append(text)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while len(acknowledged) < 20:
            pass
        before = list(acknowledged)
        file = run("backup", tmp_path / "out", "--database", place)
    finally:
        is_over.set()
        writer.join()
    server.stop()
    run("restore", file, "--database", place, "--force")
    assert is_right(place)
    with closing(open_database(Settings(database=place))) as database:
        del database
    again = start()
    with again.client(account.secrets["administrator"]) as api:
        lines = api.get("/status_reports.ndjson").text.splitlines()
    found = [json.loads(line)["description"] for line in lines]
    assert found == acknowledged[: len(found)]
    assert set(before) <= set(found)


def test_what_was_purged_since_is_not_brought_back(
    place: str, start: Start, filled: Fill, tmp_path: Path
) -> None:
    server = start()
    account = filled(server)
    report = account.report(description="Secret words.")
    person = account.users["viewer"]
    file = run("backup", tmp_path / "out", "--database", place)
    assert account.api.delete(f"/status_reports/{report}").is_success
    assert account.api.delete(f"/deleted_status_reports/{report}").is_success
    run("purge", "--user", person.email_address, "--yes", "--database", place)
    server.stop()
    # The next backup tells older backups what must not come back, even if the disk is lost.
    run("backup", tmp_path / "out", "--database", place)
    run("restore", file, "--database", place, "--force")
    assert is_right(place)
    again = start()
    assert texts(account, again) == set()
    with again.client(account.secrets["administrator"]) as api:
        shown = api.get(f"/users/{person.id}", params={"show_disabled": "true"})
        assert only_record(shown, "users")["full_name"] == f"Former user {person.id}"
        assert api.get("/deleted_status_reports").json()["count"] == 0
    with again.client(account.secrets["viewer"]) as api:
        assert api.get("/users/me").status_code == 401


def test_a_purged_person_is_nowhere(place: str, start: Start, filled: Fill) -> None:
    server = start()
    account = filled(server)
    person = account.users["viewer"]
    headers = {"idempotency-key": "k"}
    sent = {"workspace_id": account.workspaces[0], "color": "red", "description": "D"}
    account.api.post(
        "/status_reports",
        params={"include": "workspace"},
        json={"status_report": sent},
        headers=headers,
    )
    known = json.loads(run("export", "--user", person.email_address, "--database", place))
    assert known["user"]["email_address"] == person.email_address
    assert [one["workspace_id"] for one in known["participations"]] == [int(account.workspaces[0])]
    assert known["membership"]["created_at"].endswith("Z")
    says = run("purge", "--user", person.email_address, "--database", place, code=1)
    assert "--yes" in says
    run("purge", "--user", person.email_address, "--yes", "--database", place)
    assert everywhere(place, person.email_address) == []
    assert everywhere(place, person.full_name) == []
    found = account.api.get("/users", params={"by_email_address": person.email_address})
    assert found.json()["count"] == 0
    assert is_right(place)
    last = account.users["administrator"].email_address
    assert "administrator" in run("purge", "--user", last, "--yes", "--database", place, code=1)


def everywhere(place: str, words: str) -> list[str]:
    found = []
    with closing(open_database(Settings(database=place))) as database:
        for name in metadata.tables:
            select = Statement(text(f'SELECT * FROM "{name}"'))
            for row in database.read_here(lambda tx, select=select: tx.rows(select, {})):
                shown = [bytes(one) if isinstance(one, memoryview) else one for one in row]
                if words in str(shown):
                    found.append(name)
    return found


# -- SQLite only


@pytest.fixture
def live(tmp_path: Path) -> Path:
    path = tmp_path / "live.sqlite3"
    upgrade(str(path))
    return path


def test_backups_are_private_and_the_oldest_go(live: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for day in range(1, 5):
        (out / f"healthreports-2026010{day}T000000Z.sqlite3.gz").write_bytes(b"old")
    (out / "mine.txt").write_text("kept")
    file = Path(run("backup", out, "--keep", 3, "--database", live))
    names = sorted(one.name for one in out.iterdir())
    assert names == [
        "healthreports-20260103T000000Z.sqlite3.gz",
        "healthreports-20260104T000000Z.sqlite3.gz",
        file.name,
        "mine.txt",
        "purges.ndjson",
    ]
    assert file.stat().st_mode & 0o777 == 0o600
    assert "--keep" in run("backup", out, "--keep", 0, "--database", live, code=2)


def test_a_damaged_database_is_not_backed_up_over_a_good_backup(live: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    good = Path(run("backup", out, "--database", live))
    size = live.stat().st_size
    with live.open("r+b") as file:
        file.seek(size // 2)
        file.write(os.urandom(size // 4))
    says = run("backup", out, "--keep", 1, "--database", live, code=1)
    assert "damaged" in says or "malformed" in says
    assert [one.name for one in out.glob("*.gz")] == [good.name]
    assert not list(out.glob(".*"))


def test_what_is_counted_wrongly_is_no_backup(live: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(live)) as connection:
        connection.execute(
            "INSERT INTO accounts (id, title, name, created_at) VALUES (1, 'A', 'a', 0)"
        )
        connection.execute("INSERT INTO account_versions VALUES (1, 0, 0, 0)")
        connection.execute("INSERT INTO report_counts VALUES (1, 0, 0, 7)")
        connection.commit()
    assert "db check" in run("backup", tmp_path / "out", "--database", live, code=1)
    assert not list((tmp_path / "out").glob("*.gz"))


@pytest.mark.parametrize(
    "content",
    [b"", b"no backup", gzip.compress(b"no database" * 99)],
    ids=["empty", "not packed", "no database"],  # a compressed file contains the time
)
def test_what_is_no_backup_is_refused_and_nothing_is_touched(
    live: Path, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "healthreports-20260101T000000Z.sqlite3.gz"
    file.write_bytes(content)
    before = live.read_bytes()
    run("restore", file, "--force", "--database", live, code=1)
    run("restore", tmp_path / "nowhere.gz", "--force", "--database", live, code=1)
    assert live.read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == [file.name, live.name]


def test_half_a_backup_is_refused(live: Path, tmp_path: Path) -> None:
    file = Path(run("backup", tmp_path / "out", "--database", live))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    run("restore", file, "--force", "--database", live, code=1)


def test_the_log_of_the_old_database_does_not_stay_beside_the_new_one(
    live: Path, tmp_path: Path
) -> None:
    file = run("backup", tmp_path / "out", "--database", live)
    with closing(sqlite3.connect(live)) as connection:
        connection.execute(
            "INSERT INTO accounts (id, title, name, created_at) VALUES (7, 'Since', 'since', 0)"
        )
        connection.commit()
        # As after a kill: the last write is only in the WAL.
        for suffix in ("", "-wal", "-shm"):
            shutil.copyfile(f"{live}{suffix}", tmp_path / f"killed.sqlite3{suffix}")
    killed = tmp_path / "killed.sqlite3"
    run("restore", file, "--force", "--database", killed)
    with closing(sqlite3.connect(killed)) as connection:
        assert connection.execute("SELECT count(*) FROM accounts").fetchone() == (0,)
    [aside] = tmp_path.glob("killed.sqlite3.before-restore-*Z")
    with closing(sqlite3.connect(aside)) as connection:
        assert connection.execute("SELECT title FROM accounts").fetchall() == [("Since",)]


def test_a_backup_of_an_older_version_is_restored_and_upgraded(tmp_path: Path) -> None:
    old = tmp_path / "old.sqlite3"
    upgrade(str(old), "0010")
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    file = tmp_path / "old.sqlite3.gz"
    file.write_bytes(gzip.compress(old.read_bytes()))
    run("restore", file, "--database", tmp_path / "new.sqlite3")
    assert is_right(str(tmp_path / "new.sqlite3"))


def test_an_upgrade_keeps_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite3"
    upgrade(str(path), "0010")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT INTO accounts (id, title, name, created_at) VALUES (1, 'A', 'a', 0)"
        )
        connection.execute("INSERT INTO account_versions VALUES (1, 0, 0)")
        connection.commit()
    run("db", "upgrade", "--database", path)
    kept = tmp_path / "old.sqlite3.before-0010"
    with closing(sqlite3.connect(kept)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [
            ("0010",)
        ]
        assert connection.execute("SELECT title FROM accounts").fetchall() == [("A",)]
    assert kept.stat().st_mode & 0o777 == 0o600
    # The second time there is nothing to upgrade, and no copy is made.
    kept.unlink()
    run("db", "upgrade", "--database", path)
    assert not kept.exists()


def test_an_upgrade_may_do_without(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite3"
    upgrade(str(path), "0010")
    run("db", "upgrade", "--no-backup", "--database", path)
    assert not list(tmp_path.glob("*.before-*"))


def test_an_upgrade_waits_for_no_server_and_does_not_pull_the_schema_from_under_one(
    place: str, start: Start, filled: Fill
) -> None:
    server = start()
    account = filled(server)
    account.report()
    back_to("0010", place)
    says = run("db", "upgrade", "--database", place, code=1)
    assert "stop it first" in says
    server.stop()
    run("db", "upgrade", "--database", place)


def back_to(revision: str, place: str) -> None:
    """Make the schema an older one, as far as the later migrations would fail otherwise."""
    said = Statement(text("UPDATE alembic_version SET version_num = :revision"))
    dropped = [
        Statement(text(f"DROP TABLE {name}"))
        for name in (
            *("report_versions", "deleted_reports", "purges", "idempotency_keys"),
            *("saved_views", "drafts", "audit_events", "factors", "address_changes"),
        )
    ] + [
        Statement(text(f"ALTER TABLE {table} DROP COLUMN {name}"))
        for table, name in (
            *(("workspaces", f"report_{one}") for one in ("every", "day", "paused_until")),
            *(("current_reports", one) for one in ("overdue_at", "due_date")),
            ("account_versions", "rewritten"),
            *(("sessions", one) for one in ("last_used_at", "address", "device")),
            *(("sessions", one) for one in ("proven_at", "factor", "waits")),
            *(("accounts", one) for one in ("second_factor", "closed_at")),
        )
    ]
    with closing(open_database(Settings(database=place))) as database:

        def work(tx: Any) -> None:
            for one in dropped:
                tx.rows(one, {})
            tx.rows(said, {"revision": revision})

        database.write_here(work)


def test_a_server_may_upgrade_as_it_starts(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite3"
    upgrade(str(path), "0010")
    with subprocess.Popen(
        [sys.executable, "-m", "healthreports", "serve", "--upgrade", "--port", "0"],
        env={**os.environ, "HEALTHREPORTS_DATABASE": str(path)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(2)]
        base = lines[-1].split()[-1]
        try:
            assert httpx.get(f"{base}/api/v1/users/me").status_code == 401
        finally:
            process.terminate()
    assert (tmp_path / "old.sqlite3.before-0010").exists()


def test_the_trash_is_managed_from_the_command_line(place: str, start: Start, filled: Fill) -> None:
    server = start()
    account = filled(server)
    reports = [account.report(description=f"Number {number}.") for number in range(2)]
    for report in reports:
        assert account.api.delete(f"/status_reports/{report}").is_success
    by = ("--as", account.users["administrator"].email_address, "--database", place)
    _, *listed = run("trash", "list", *by).splitlines()
    assert [line.split("\t")[0] for line in listed] == reports[::-1]
    run("trash", "restore", reports[0], *by)
    run("trash", "purge", reports[1], *by)
    assert run("trash", "list", *by, "--json") == ""
    assert texts(account, server) == {"Number 0."}
    assert "No such" in run("trash", "restore", reports[1], *by, code=1)
    viewer = ("--as", account.users["viewer"].email_address, "--database", place)
    assert run("trash", "list", *viewer, "--json") == ""
