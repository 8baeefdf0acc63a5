"""Properties that all commands share because they are declared."""

import json
import shlex
from pathlib import Path

import pytest
import typer
from test_cli import made, prepared, run  # noqa: F401  fixtures

from commands import COMMANDS, WHOLE
from healthreports.settings import every_setting

EVERY_COMMAND = pytest.mark.parametrize("one", COMMANDS, ids=lambda one: one.path)
LISTS = [one for one in COMMANDS if one.path.endswith(" list")]
# Arguments that a list needs in addition to its name, in the account that `made` made.
NEEDS = {
    "participation list": ("1",),
    "trash list": ("--as", "ann@example.org"),
    "audit list": ("acme",),
}
EMPTY = {"application list", "trash list"}


@EVERY_COMMAND
def test_a_command_says_what_it_does_in_a_sentence(one) -> None:
    assert one.says.endswith(".")
    assert one.says[0].isupper()
    for param in one.command.params:
        if getattr(param, "help", None) is not None:
            assert param.help[0].isupper(), param.name


@EVERY_COMMAND
def test_the_example_of_a_command_is_one_that_it_takes(one) -> None:
    line = one.example.split(" > ")[0]
    words = shlex.split(line)
    start = ["healthreports", *one.path.split()]
    assert words[: len(start)] == start
    one.command.make_context(one.path, words[len(start) :])


@EVERY_COMMAND
def test_an_unknown_flag_is_one_line_and_exit_code_2(one) -> None:
    with pytest.raises(typer.TyperException) as caught:
        one.command.make_context(one.path, ["--no-such-flag"])
    assert caught.value.exit_code == 2
    assert caught.value.format_message().count("\n") == 0


def test_a_setting_has_its_flag_before_every_command() -> None:
    flags = {option for one in WHOLE.params for option in one.opts}
    assert {one.flag for one in every_setting() if one.flag} <= flags


@pytest.mark.parametrize("one", LISTS, ids=lambda one: one.path)
def test_every_list_prints_columns_or_json(run, prepared: str, one) -> None:  # noqa: F811
    assert prepared
    run("token", "create", "--user", prepared, "--name", "script")
    call = (*one.path.split(), *NEEDS.get(one.path, ()))
    heads, *rows = run(*call).splitlines()
    objects = [json.loads(line) for line in run(*call, "--json").splitlines()]
    assert bool(rows) == (one.path not in EMPTY)
    assert len(rows) == len(objects)
    for row in rows:
        assert row.count("\t") == heads.count("\t")
    if one.path != "audit list":  # its JSON lines are those of the API and have more fields
        for found in objects:
            assert [name.replace("_", " ") for name in found] == heads.split("\t")


def test_a_wrong_command_line_is_one_line_that_names_the_help(run) -> None:  # noqa: F811
    for words in (("nonsense",), ("token", "create"), ("user", "permit", "a@b.org", "king")):
        line = run(*words, code=2)
        assert line.startswith("healthreports: ")
        assert line.count("\n") == 1
        assert "--help" in line


def test_a_flag_may_stand_before_the_command_or_after_it(run, tmp_path: Path) -> None:  # noqa: F811
    run("--database", "before.sqlite3", "db", "upgrade")
    run("db", "upgrade", "--database", "after.sqlite3")
    assert (tmp_path / "before.sqlite3").exists()
    assert (tmp_path / "after.sqlite3").exists()
    run("--database", "x.sqlite3", "db", "upgrade", "--database", "wins.sqlite3")
    assert not (tmp_path / "x.sqlite3").exists()


def test_the_version_is_printed(run) -> None:  # noqa: F811
    assert run("--version").startswith("healthreports 0.")


def test_completion_is_offered(run) -> None:  # noqa: F811
    completed = run(
        _HEALTHREPORTS_COMPLETE="complete_bash",
        COMP_WORDS="healthreports to",
        COMP_CWORD="1",
    )
    assert completed.split() == ["token"]


def test_a_participation_is_listed_changed_and_removed(run, prepared: str) -> None:  # noqa: F811
    made_user = ("user", "create", "--account", "acme", "--name", "Bob", "--email", "bob@x.org")
    run(*made_user)
    run("workspace", "join", "1", "--user", "bob@x.org")
    run("participation", "change", "1", "--user", "bob@x.org", "--permission", "admin")
    listed = run("participation", "list", "1", "--json").splitlines()
    found = {one["email_address"]: one for one in map(json.loads, listed)}
    assert found["bob@x.org"]["permission"] == "admin"
    assert found[prepared]["team_lead"] is True
    assert "--permission" in run("participation", "change", "1", "--user", "bob@x.org", code=2)
    run("participation", "remove", "1", "--user", "bob@x.org")
    assert "bob" not in run("participation", "list", "1")
    assert "User" in run("participation", "remove", "1", "--user", "bob@x.org", code=1)


def test_a_list_commands_no_terminal(run, prepared: str) -> None:  # noqa: F811
    assert prepared
    run("workspace", "create", "A\x1b[31m\tred", "--creator", prepared)
    listed = run("workspace", "list")
    assert "\x1b" not in listed
    assert all(line.count("\t") == 4 for line in listed.splitlines())
