"""`healthreports demo` as a new user sees it."""

import json
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from healthreports.app import open_database
from healthreports.core.access import Reach
from healthreports.core.model import Instant
from healthreports.core.portfolio import PortfolioQuery
from healthreports.core.vocabulary import DAY_US
from healthreports.sample import portfolio
from healthreports.sample.consultancy import PROJECTS
from healthreports.settings import Settings
from healthreports.store.lists import portfolio as lists
from healthreports.store.schema.upgrade import upgrade

NOW = Instant(1_795_780_000_000_000)
WRITTEN = sum(len(one.arc.replace(" ", "")) for one in PROJECTS)
PUBLISHED = 37
DEMO = [sys.executable, "-m", "healthreports", "demo"]


class Demo:
    def __init__(self, database: Path) -> None:
        self.process = subprocess.Popen(
            [*DEMO, "--port", "0", "--database", str(database)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                break
        self.says = "".join(lines)
        self.curls = [line.strip() for line in lines if line.strip().startswith("curl ")]
        self.tokens = dict(re.findall(r"^ +(\w+) +(hr_\S+)$", self.says, re.MULTILINE))

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=20)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Callable[[str], Demo]]:
    running: list[Demo] = []

    def start(name: str = "demo.sqlite3") -> Demo:
        running.append(Demo(tmp_path / name))
        return running[-1]

    yield start
    for one in running:
        if one.process.poll() is None:
            one.stop()


def run_curl(line: str) -> dict:
    done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=30, check=True)
    return json.loads(done.stdout)


def test_prints_a_token_for_each_role_and_three_curl_lines_that_work(demo) -> None:
    shown = demo()
    assert set(shown.tokens) == {"administrator", "editor", "viewer", "reader"}
    assert len(shown.curls) == 3
    listed, one, created = map(run_curl, shown.curls)
    assert listed["count"] == WRITTEN
    assert one["external_references"]["1"]["service_name"] == "jira"
    assert created["status_reports"][created["results"][0]["id"]]["color"] == "red"


def test_the_roles_see_what_their_names_say(demo) -> None:
    shown = demo()
    counts = {}
    for role, token in shown.tokens.items():
        line = shown.curls[0].replace(shown.tokens["administrator"], token)
        counts[role] = run_curl(line)["count"]
    assert counts["administrator"] > counts["editor"] > counts["viewer"] > 0
    assert counts["reader"] == PUBLISHED
    create = shown.curls[2].replace(shown.tokens["administrator"], shown.tokens["reader"])
    assert run_curl(create)["errors"][0]["field"] == "workspace_id"
    create = shown.curls[2].replace(shown.tokens["administrator"], shown.tokens["viewer"])
    assert "permission to edit" in run_curl(create)["errors"][0]["message"]


def stored(path: Path, now: Instant = NOW) -> dict[str, list[tuple]]:
    """The rows of the sample data that is loaded at `now`, by table."""
    upgrade(str(path))
    with closing(open_database(Settings(database=str(path)))) as database:
        database.write_here(lambda tx: portfolio.load(tx, now))
    with closing(sqlite3.connect(path)) as opened:
        return {
            table: opened.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
            for table in ("status_reports", "workspaces", "participations", "report_versions")
        }


def test_the_sample_is_the_same_all_day_long(tmp_path: Path) -> None:
    morning, evening = Instant(NOW - NOW % DAY_US), Instant(NOW - NOW % DAY_US + DAY_US - 1)
    one, two = (
        stored(tmp_path / name, now)
        for name, now in (("one.sqlite3", morning), ("two.sqlite3", evening))
    )
    assert one == two
    assert len(one["status_reports"]) == WRITTEN + PUBLISHED


def test_it_says_what_is_made_up_and_what_is_not(tmp_path: Path) -> None:
    path = tmp_path / "sample.sqlite3"
    stored(path)
    with closing(sqlite3.connect(path)) as database:
        titles = database.execute("SELECT title FROM accounts ORDER BY id").fetchall()
        descriptions = database.execute("SELECT account_id, description FROM workspaces").fetchall()
        rated = database.execute(
            "SELECT e.service_model_ref, r.color FROM status_reports r "
            "JOIN external_references e ON e.subject_id = r.id AND e.service_name = 'gmpp'"
        ).fetchall()
        details = database.execute(
            "SELECT count(*) FROM status_reports WHERE account_id = 2 AND scope_color IS NOT NULL"
        ).fetchone()
    assert titles == [("Larkfield Partners (made-up)",), ("Government major projects 2024-25",)]
    assert all(("made up" in text) == (account == 1) for account, text in descriptions)
    published = dict(rated)
    assert len(published) == PUBLISHED
    assert published["DFT_0040_2021-Q1"] == "red"
    assert published["DWP_0009_1112-Q1"] == "green"
    assert published["CO_0438_2425-Q3"] == "yellow"
    assert details == (0,), "nothing is said of them that was not published"


@pytest.mark.parametrize("days", range(7))
def test_the_story_is_the_same_on_every_day_of_the_week(tmp_path: Path, days: int) -> None:
    now = Instant(NOW + days * DAY_US)
    path = tmp_path / "sample.sqlite3"
    stored(path, now)
    with closing(open_database(Settings(database=str(path)))) as database:
        everything = Reach(1, None)
        query = PortfolioQuery()
        totals = database.read_here(lambda tx: lists.totals(tx, query, everything, now))
    assert totals.workspaces == len(PROJECTS) == 40
    assert (totals.overdue, totals.past_due, totals.worse, totals.none) == (2, 2, 3, 1)
    assert totals.red == 4


def test_a_second_run_has_the_same_tokens_and_password(demo, tmp_path: Path) -> None:
    first = demo()
    password = re.search(r"password (\S+) as", first.says)
    first.stop()
    again = demo()
    assert again.tokens == first.tokens
    assert password is not None
    assert password[1] in again.says
    assert (tmp_path / "demo.sqlite3.secrets").stat().st_mode & 0o777 == 0o600
    assert run_curl(again.curls[0])["count"] == WRITTEN
    again.stop()
    for file in tmp_path.glob("demo.sqlite3*"):
        if not file.name.endswith(".secrets"):
            file.unlink()
    fresh = demo()
    assert fresh.tokens != first.tokens
    assert run_curl(fresh.curls[0])["count"] == WRITTEN


def test_a_second_run_keeps_what_was_written_and_the_tokens_given_out(demo) -> None:
    first = demo()
    created = run_curl(first.curls[2])["results"][0]["id"]
    first.stop()
    again = demo()
    port = re.search(r":(\d+)/api", again.says)
    line = re.sub(r":\d+/api", f":{port[1]}/api", first.curls[0])
    assert run_curl(line)["count"] == WRITTEN + 1
    show = re.sub(r"status_reports/\d+\?", f"status_reports/{created}?", again.curls[1])
    assert run_curl(show)["count"] == 1


def refused(*flags: str) -> str:
    done = subprocess.run([*DEMO, *flags], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        says = refused("--port", port, "--database", str(tmp_path / "x.sqlite3"))
    assert port in says
    assert "listen" in says


def test_a_disk_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    says = refused("--port", "0", "--database", str(tmp_path / "file" / "x.sqlite3"))
    assert str(tmp_path / "file") in says


def test_a_file_that_is_no_database_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite3"
    path.write_text("this is not a database, " * 50)
    assert str(path) in refused("--port", "0", "--database", str(path))


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite3"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE theirs (id)")
    assert "not a healthreports database" in refused("--port", "0", "--database", str(path))


def test_a_database_of_a_newer_version_is_one_clear_line(tmp_path: Path, demo) -> None:
    demo().stop()
    path = tmp_path / "demo.sqlite3"
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    assert "newer version" in refused("--port", "0", "--database", str(path))
