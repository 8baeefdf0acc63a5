"""`healthreports audit`: reading the log, and detecting what was changed in it."""

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from command_line import execute

Run = Callable[..., str]


def command(folder: Path, *arguments: str, code: int = 0) -> str:
    env = {**os.environ, "HEALTHREPORTS_DATABASE": str(folder / "log.sqlite3")}
    done = execute(*arguments, cwd=folder, env=env)
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that was filled by commands; each test has a copy."""
    folder = tmp_path_factory.mktemp("log")
    name = ("--name", "Ann", "--email", "ann@example.org", "--permission", "administrator")
    for one in (
        ("db", "upgrade"),
        ("account", "create", "Acme", "--name", "acme"),
        ("user", "create", "--account", "acme", *name),
        ("token", "create", "--user", "ann@example.org", "--name", "script"),
        ("workspace", "create", "Bridge", "--creator", "ann@example.org"),
    ):
        command(folder, *one)
    return folder / "log.sqlite3"


@pytest.fixture
def filled(prepared: Path, tmp_path: Path) -> Run:
    shutil.copy(prepared, tmp_path / "log.sqlite3")
    return partial(command, tmp_path)


def change(tmp_path: Path, statement: str) -> None:
    with closing(sqlite3.connect(tmp_path / "log.sqlite3")) as connection:
        assert connection.execute(statement).rowcount == 1
        connection.commit()


def test_commands_are_in_the_log(filled: Run) -> None:
    lines = [json.loads(line) for line in filled("audit", "list", "acme", "--json").splitlines()]
    assert [one["action"] for one in lines] == [
        "account.created",
        "user.created",
        "token.created",
        "workspace.created",
        "participation.created",
    ]
    assert {one["through"] for one in lines} == {"command_line"}
    assert [one["id"] for one in lines] == ["1", "2", "3", "4", "5"]
    assert lines[1]["after"]["email_address"] == "ann@example.org"
    assert "hr_" not in json.dumps(lines), "no secret is in it"


def test_what_was_left_alone_verifies_and_says_where_it_ends(filled: Run) -> None:
    [line] = filled("audit", "verify").splitlines()
    name, head = line.split(" ")
    assert name == "acme"
    assert head.startswith("5:")
    assert filled("audit", "verify", "--account", "acme", "--head", head)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE audit_events SET action = 'user.purged' WHERE number = 2", "what was done"),
        ("UPDATE audit_events SET user_id = 9 WHERE number = 3", "who did it"),
        ("UPDATE audit_events SET after = '{}' WHERE number = 4", "what was changed"),
        ("UPDATE audit_events SET created_at = 0 WHERE number = 3", "does not follow"),
        ("DELETE FROM audit_events WHERE number = 2", "entries 2 to 2 are missing"),
        ("UPDATE audit_events SET hash = x'00' WHERE number = 2", "does not follow"),
    ],
)
def test_what_was_changed_is_found(filled: Run, tmp_path: Path, statement: str, says: str) -> None:
    change(tmp_path, statement)
    said = filled("audit", "verify", code=1)
    assert f"acme: {'entries' if 'missing' in says else 'entry'}" in said
    assert says in said


def test_what_was_cut_off_is_found_by_who_noted_the_head(filled: Run, tmp_path: Path) -> None:
    head = filled("audit", "verify").split()[1]
    change(tmp_path, "DELETE FROM audit_events WHERE number = 5")
    filled("audit", "verify")
    said = filled("audit", "verify", "--account", "acme", "--head", head, code=1)
    assert "the entries 5 to 5 are missing" in said
    assert "add --account" in filled("audit", "verify", "--head", head, code=2)


def test_a_log_that_was_written_anew_is_found_by_who_noted_the_head(
    filled: Run, tmp_path: Path
) -> None:
    head = filled("audit", "verify").split()[1]
    change(tmp_path, "DELETE FROM audit_events WHERE number = 5")
    filled("workspace", "join", "1", "--user", "ann@example.org", code=1)
    filled("token", "create", "--user", "ann@example.org", "--name", "another")
    filled("audit", "verify")
    said = filled("audit", "verify", "--account", "acme", "--head", head, code=1)
    assert "entry 5 does not match the head that was noted" in said


@pytest.mark.parametrize("head", ["x", "1", "1:zz", ":"])
def test_a_head_that_is_none_is_refused(filled: Run, head: str) -> None:
    done = filled("audit", "verify", "--account", "acme", "--head", head, code=2)
    assert "--head" in done


def test_an_export_of_a_person_is_in_the_log(filled: Run) -> None:
    filled("export", "--user", "ann@example.org")
    [*_, last] = filled("audit", "list", "acme", "--json").splitlines()
    assert json.loads(last)["action"] == "user.exported"
