"""An error in a setting is one sentence: the setting, its value without secrets, and the fix."""

import os
import subprocess
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin, get_type_hints

import pytest

from command_line import execute
from healthreports import settings
from healthreports.settings import PREFIX, BadSetting, Settings, load, look, of_cluster
from healthreports.store.schema.upgrade import unopened

SECRET = "hunter2"

# A variable, a wrong value, and words of the sentence that states what is wrong.
BAD = [
    ("PORT", "eighty", "a whole number from 0 to 65,535"),
    ("PORT", "70000", "a whole number from 0 to 65,535"),
    ("PORT", "", "a whole number from 0 to 65,535"),
    ("WORKERS", "0", "a whole number from 1 to 256"),
    ("TIME_LIMIT_S", "0", "a number above 0, at most 86,400"),
    ("TIME_LIMIT_S", "nan", "a number above 0"),
    ("BODY_LIMIT_BYTES", "1", "a whole number of at least 1,024"),
    ("ACCESS_LOG", "perhaps", "true or false"),
    ("PASSWORDS", "maybe", "on or off"),
    ("DATABASE", ":memory:", "write the path of a file"),
    ("DATABASE", "file:x?mode=memory", "write the path of a file"),
    ("DATABASE", "sqlite:///x.sqlite3", "in place of sqlite://"),
    ("DATABASE", " ", "write the path of a SQLite file"),
    ("DATABASE", "/tmp", "that is a folder"),
    ("DATABASE", f"postgresql+psycopg://u:{SECRET}@h/d", "write postgresql://"),
    ("DATABASE", f"mysql://u:{SECRET}@h/d", "write postgresql://"),
    ("DATABASE", f"postgresql://u:{SECRET}@x@h/d", "escaped: @ as %40"),
    ("DATABASE", f"postgresql://u:{SECRET}/x@h/d", "escaped: @ as %40"),
    ("DATABASE", f"postgresql://u:{SECRET}%zz@h/d", "write % as %25"),
    ("READ_DATABASE", "copy.sqlite3", "a replica to read from is PostgreSQL"),
    ("PUBLIC_URL", "https://a.example/", "without the slash at its end: https://a.example"),
    ("PUBLIC_URL", "https://a.example/reports/", "without the slash at its end"),
    ("PUBLIC_URL", "https://a.example/reports?x=1", "perhaps a path"),
    ("PUBLIC_URL", "a.example", "a scheme, a host"),
    ("OIDC_ISSUER", "http://id.example.org", "an https address"),
    ("TRUSTED_PROXIES", "10.0.0.0/8, proxy", "'proxy' is no address"),
    ("TRUSTED_PROXIES", "10.0.0.0/99", "'10.0.0.0/99' is no address"),
    ("CORS_ORIGINS", "*", "'*': write a scheme and a host"),
    ("CORS_ORIGINS", "https://a.example, https://b.example/", "without the slash at its end"),
    ("CORS_ORIGINS", "https://A.example", "in small letters"),
    ("CORS_ORIGINS", "https://a.example:443", "without the usual port"),
    ("SOCKET", "run/socket", "the whole path"),
    ("SOCKET", "/run/" + "x" * 99, "at most 103 bytes"),
    ("SOCKET", "/run/socket", "set HEALTHREPORTS_PUBLIC_URL too"),
    ("METRICS_PORT", "70000", "a whole number from 0 to 65,535"),
    ("LIMIT_STORE", "memcached", "memory, or valkey://host:port"),
    ("LIMIT_STORE", f"valkey://:{SECRET}@h:nine", "memory, or valkey://host:port"),
    ("WORKER", "2", "did you mean HEALTHREPORTS_WORKERS?"),
    ("NO_SUCH_THING", "1", "healthreports config check"),
]


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(("name", "value", "says"), BAD)
def test_what_is_wrong_is_one_sentence_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(BadSetting) as caught:
        load({}, {})
    sentence = str(caught.value)
    assert PREFIX + name in sentence
    assert says in sentence
    assert SECRET not in sentence
    assert "\n" not in sentence
    for word in ("Expected", "matching", "regex", "`"):
        assert word not in sentence, "that is for programs"


def test_a_flag_is_named_where_it_is_the_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PREFIX + "PORT", "8001")
    with pytest.raises(BadSetting, match="--port is 'x'"):
        load({"port": "x"}, {})
    [port] = [one for one in look({"port": "9000"}, {}) if one.name == "port"]
    assert (port.value, port.source, port.problem) == (9000, "--port", "")
    [port] = [one for one in look({}, {}) if one.name == "port"]
    assert (port.value, port.source) == (8001, "HEALTHREPORTS_PORT")


GOOD = [
    ("DATABASE", "postgresql://u:p%40ss%2Fw%25@[::1]:5432/d?sslmode=require"),
    ("DATABASE", "postgres:///d?host=/run/postgresql"),
    ("DATABASE", "a folder/reports.sqlite3"),
    ("PUBLIC_URL", "https://a.example:8443"),
    ("OIDC_ISSUER", "http://127.0.0.1:9000/realms/x"),
    ("TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8, ::1, fd00::/8"),
    ("TRUSTED_PROXIES", "*"),
    ("LIMIT_STORE", "valkey://h:6379/0"),
    ("LIMIT_STORE", "unix:///run/valkey.sock"),
    ("ACCESS_LOG", "true"),
    ("TIME_LIMIT_S", "0.5"),
]


@pytest.mark.parametrize(("name", "value"), GOOD)
def test_what_is_right_is_taken(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(PREFIX + name, value)
    [found] = [one for one in look({}, {}) if one.name == name.lower()]
    assert found.problem == ""


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"OIDC_CLIENT_ID": "x"}, "OIDC_CLIENT_ID"),
        ({"OIDC_CLIENT_SECRET": SECRET}, "OIDC_CLIENT_SECRET"),
        ({"OIDC_ISSUER": "https://id.example", "OIDC_CLIENT_SECRET": SECRET}, "OIDC_CLIENT_ID"),
        ({"PASSWORDS": "off"}, "PASSWORDS"),
        ({"READ_DATABASE": "postgresql://h/d"}, "READ_DATABASE"),
    ],
)
def test_settings_that_do_not_go_together_are_told(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], name: str
) -> None:
    for one, value in given.items():
        monkeypatch.setenv(PREFIX + one, value)
    with pytest.raises(BadSetting) as caught:
        load({}, {})
    assert str(caught.value).startswith(PREFIX + name)
    assert SECRET not in str(caught.value)


CLUSTER = {
    "PORT": "tcp://10.96.0.17:8000",
    "PORT_8000_TCP": "tcp://10.96.0.17:8000",
    "PORT_8000_TCP_PROTO": "tcp",
    "PORT_8000_TCP_PORT": "8000",
    "PORT_8000_TCP_ADDR": "10.96.0.17",
    "SERVICE_HOST": "10.96.0.17",
    "SERVICE_PORT": "8000",
    "SERVICE_PORT_HTTP": "8000",
}


def test_what_kubernetes_sets_for_a_service_of_our_name_is_no_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in CLUSTER.items():
        monkeypatch.setenv(PREFIX + name, value)
    assert load({}, {}) == Settings()
    assert set(of_cluster()) == {PREFIX + name for name in CLUSTER}


def test_none_of_our_settings_is_taken_for_one_of_kubernetes() -> None:
    names = {PREFIX + name.upper() for name in Settings.__struct_fields__}
    assert not [name for name in names if settings._is_of_cluster(name)]  # noqa: SLF001


def wrong_values(kind: object) -> list[str]:
    """Texts that are not valid for a setting of this type."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) is Literal or kind is bool:
        return ["neither"]
    return ["x", "", "1e", "--"] if kind in (int, float) else []


@pytest.mark.parametrize("name", Settings.__struct_fields__)
def test_every_setting_says_what_it_must_be(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    kind = get_type_hints(Settings, include_extras=True)[name]
    for value in wrong_values(kind):
        monkeypatch.setenv(PREFIX + name.upper(), value)
        with pytest.raises(BadSetting, match=f"{PREFIX}{name.upper()} is .*: it must be "):
            load({}, {})


def run(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return execute(*arguments, cwd=folder, env={**os.environ, **environment})


def test_the_command_says_all_that_is_in_force_and_all_that_is_wrong(tmp_path: Path) -> None:
    environment = {
        "HEALTHREPORTS_DATABASE": f"postgresql://u:{SECRET}@h/d",
        "HEALTHREPORTS_PORT": "tcp://10.0.0.1:80",
    }
    right = run("config", "check", "--workers", "3", folder=tmp_path, **environment)
    assert right.returncode == 0, right.stderr
    assert right.stderr == ""
    assert SECRET not in right.stdout
    lines = right.stdout.splitlines()
    for name in Settings.__struct_fields__:
        assert any(line.split(" ")[0] == name for line in lines), name
    assert [one.split()[1:] for one in lines if one.startswith("workers")] == [["3", "(--workers)"]]
    assert any(one.startswith("HEALTHREPORTS_PORT is set by Kubernetes") for one in lines)
    environment |= {"HEALTHREPORTS_WORKERS": "many", "HEALTHREPORTS_PUBLIC_URL": "x"}
    wrong = run("config", "check", folder=tmp_path, **environment)
    assert wrong.returncode == 1
    assert len(wrong.stderr.splitlines()) == 2
    # Starting the server prints the same.
    start = run("serve", folder=tmp_path, **environment)
    assert start.returncode == 1
    for line in wrong.stderr.splitlines():
        assert line.removeprefix("healthreports: ") in start.stderr


@pytest.mark.parametrize(
    ("database", "says"),
    [
        ("none/x.sqlite3", "the folder {folder}/none does not exist"),
        ("missing.sqlite3", "there is no database missing.sqlite3"),
        ("empty.sqlite3", "the database empty.sqlite3 is an empty file"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, database: str, says: str) -> None:
    (tmp_path / "empty.sqlite3").touch()
    said = run("serve", "--database", database, folder=tmp_path)
    assert said.returncode == 1
    assert says.format(folder=tmp_path) in said.stderr
    assert "healthreports db upgrade" in said.stderr
    assert said.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("denied", "says"),
    [("", "write in the folder {folder}"), ("x.sqlite3", "read the file {folder}/x.sqlite3")],
    ids=["folder", "file"],
)
def test_a_missing_right_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, denied: str, says: str
) -> None:
    """Root may do everything, and tests often run as root, so the system's answer is replaced."""
    (tmp_path / "x.sqlite3").touch()
    place = tmp_path / denied
    monkeypatch.setattr("os.access", lambda path, _right: Path(path) != place)
    assert (
        unopened(str(tmp_path / "x.sqlite3")) == f"this user may not {says.format(folder=tmp_path)}"
    )
