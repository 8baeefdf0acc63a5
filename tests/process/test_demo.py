"""`healthreports demo` as a newcomer meets it."""

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
    assert set(shown.tokens) == {"administrator", "editor", "viewer"}
    assert len(shown.curls) == 3
    listed, one, created = map(run_curl, shown.curls)
    assert listed["count"] == 37 * 13
    assert one["external_references"]["1"]["service_name"] == "gmpp"
    assert created["status_reports"][created["results"][0]["id"]]["color"] == "red"


def test_the_roles_see_what_their_names_say(demo) -> None:
    shown = demo()
    counts = {}
    for role, token in shown.tokens.items():
        line = shown.curls[0].replace(shown.tokens["administrator"], token)
        counts[role] = run_curl(line)["count"]
    assert counts["administrator"] > counts["editor"] > counts["viewer"] > 0
    create = shown.curls[2].replace(shown.tokens["administrator"], shown.tokens["viewer"])
    assert run_curl(create)["errors"][0]["field"] == "workspace_id"


def test_the_portfolio_is_the_same_in_every_run(demo, tmp_path: Path) -> None:
    rows = []
    for name in ("one.sqlite3", "two.sqlite3"):
        demo(name).stop()
        with closing(sqlite3.connect(tmp_path / name)) as database:
            rows.append(database.execute("SELECT * FROM status_reports ORDER BY id").fetchall())
    assert rows[0] == rows[1]
    assert len(rows[0]) == 481


def test_made_up_history_is_labelled_and_published_ratings_are_real(demo, tmp_path: Path) -> None:
    demo().stop()
    with closing(sqlite3.connect(tmp_path / "demo.sqlite3")) as database:
        reports = database.execute(
            "SELECT r.id, r.color, r.description, e.service_model_ref FROM status_reports r "
            "LEFT JOIN external_references e ON e.subject_id = r.id"
        ).fetchall()
    made_up = [report for report in reports if "Made-up history" in report[2]]
    published = {report[3]: report[1] for report in reports if report[3]}
    assert len(made_up) == 37 * 12
    assert len(published) == 37
    assert not {report[0] for report in made_up} & {r[0] for r in reports if r[3]}
    assert published["DFT_0040_2021-Q1"] == "red"
    assert published["DWP_0009_1112-Q1"] == "green"
    assert published["CO_0438_2425-Q3"] == "yellow"


def test_a_second_run_keeps_what_was_written_and_the_tokens_given_out(demo) -> None:
    first = demo()
    created = run_curl(first.curls[2])["results"][0]["id"]
    first.stop()
    again = demo()
    port = re.search(r":(\d+)/api", again.says)
    line = re.sub(r":\d+/api", f":{port[1]}/api", first.curls[0])
    assert run_curl(line)["count"] == 482
    show = again.curls[1].replace("status_reports/1?", f"status_reports/{created}?")
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
    assert "not a database of healthreports" in refused("--port", "0", "--database", str(path))


def test_a_database_of_a_newer_version_is_one_clear_line(tmp_path: Path, demo) -> None:
    demo().stop()
    path = tmp_path / "demo.sqlite3"
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    assert "newer version" in refused("--port", "0", "--database", str(path))
