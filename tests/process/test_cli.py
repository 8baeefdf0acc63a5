"""The command line: from an empty folder to a first API call, and its error messages."""

import json
import shutil
from pathlib import Path

import httpx
import pytest

from command_line import execute
from conftest import Server
from expect import assert_failure, only_record


def runner(folder: Path):
    """Return a function that runs a command in `folder`."""

    def run(*arguments: str, code: int = 0, **environment: str) -> str:
        done = execute(*arguments, cwd=folder, env={"PATH": "", **environment})
        assert done.returncode == code, done.stderr
        return done.stderr if code else done.stdout

    return run


@pytest.fixture
def run(tmp_path: Path):
    return runner(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an account, a user and a workspace, made with the commands."""
    folder = tmp_path_factory.mktemp("made")
    run = runner(folder)
    run("db", "upgrade")
    assert run("account", "create", "Acme") == "account 1, named acme\n"
    ann = ("--name", "Ann", "--email", "Ann@Example.org", "--permission", "administrator")
    run("user", "create", "--account", "1", *ann)
    run("workspace", "create", "Bridge", "--creator", "ann@example.org")
    return folder


@pytest.fixture
def prepared(made: Path, tmp_path: Path) -> str:
    """Copy everything that `made` has into the test's folder. Returns the user's e-mail address."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return "ann@example.org"


def test_from_nothing_to_a_first_report(run, prepared: str, tmp_path: Path) -> None:
    secret = run("token", "create", "--user", prepared, "--name", "script").strip()
    server = Server(tmp_path / "healthreports.sqlite3").start()
    try:
        with server.client(secret) as api:
            sent = {"workspace_id": 1, "color": "green", "description": "Started."}
            created = only_record(api.post("/status_reports", json={"status_report": sent}))
            assert created["creator_id"] == "1"
            run("token", "revoke", "1")
            assert_failure(api.get("/status_reports"), 401, "oauth")
    finally:
        server.stop()


def test_a_token_is_listed_without_its_secret(run, prepared: str) -> None:
    secret = run("token", "create", "--user", prepared, "--name", "script", "--days", "3").strip()
    listed = run("token", "list")
    assert "script" in listed
    assert secret not in listed
    assert secret.removeprefix("hr_") not in listed


def test_a_read_only_token_reads_and_its_last_use_is_listed(
    run, prepared: str, tmp_path: Path
) -> None:
    made = ("token", "create", "--user", prepared, "--name", "reader", "--read-only")
    secret = run(*made).strip()
    assert run("token", "list").rstrip().endswith("-")
    server = Server(tmp_path / "healthreports.sqlite3").start()
    try:
        with server.client(secret) as api:
            assert api.get("/status_reports").status_code == 200
            sent = {"status_report": {"workspace_id": 1, "color": "red", "description": "No."}}
            for answer in (api.post("/status_reports", json=sent), api.delete("/status_reports/1")):
                [error] = assert_failure(answer, 403)
                assert "write" in error["message"]
    finally:
        server.stop()
    line = run("token", "list").rstrip().splitlines()[-1].split("\t")
    assert line[3] == "read"
    assert line[-1] != "-"


def test_a_secret_is_kept_as_a_hash_only(run, prepared: str, tmp_path: Path) -> None:
    secret = run("token", "create", "--user", prepared, "--name", "script").strip()
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("healthreports.sqlite3*"))
    assert secret.encode() not in kept


def test_revoking_twice_says_so(run, prepared: str) -> None:
    run("token", "create", "--user", prepared, "--name", "script")
    run("token", "revoke", "1")
    assert "no token 1" in run("token", "revoke", "1", code=1)


def test_archiving_and_bringing_back(run, prepared: str) -> None:
    assert prepared
    assert "archived" in run("workspace", "archive", "1")
    assert "back" in run("workspace", "archive", "1", "--undo")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("user", "create", "--account", "9", "--name", "B", "--email", "b@x.org"), "Account"),
        (
            ("user", "create", "--account", "1", "--name", "B", "--email", "ann@example.org"),
            "Email",
        ),
        (("user", "create", "--account", "1", "--name", " ", "--email", "c@x.org"), "Full name"),
        (("workspace", "create", "X", "--creator", "nobody@x.org"), "User"),
        (("workspace", "join", "7", "--user", "ann@example.org"), "Workspace"),
        (("workspace", "archive", "7"), "Workspace"),
        (("workspace", "join", "1", "--user", "ann@example.org"), "User already exists"),
        (("user", "create", "--account", "1", "--name", "B", "--email", "nobody"), "e-mail"),
        (("user", "disable", "ann@example.org"), "administrator"),
        (("db", "upgrade", "--database", "no/such/folder.db"), "/no/such does not exist"),
        (("token", "create", "--user", "nobody@x.org", "--name", "n"), "User"),
        (("account", "create", ""), "Title"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_one_line_that_names_it(run, prepared: str, arguments, says: str) -> None:
    assert prepared
    line = run(*arguments, code=1)
    assert line.startswith("healthreports: ")
    assert line.count("\n") == 1
    assert says in line


@pytest.mark.parametrize("command", ["serve", "token list"])
def test_without_a_database_the_line_says_how_to_make_one(run, command: str) -> None:
    assert "healthreports db upgrade" in run(*command.split(), code=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HEALTHREPORTS_PORT", "eighty"),
        ("HEALTHREPORTS_PORT", "70000"),
        ("HEALTHREPORTS_TIME_LIMIT_S", "0"),
        ("HEALTHREPORTS_ACCESS_LOG", "perhaps"),
        ("HEALTHREPORTS_NO_SUCH", "1"),
    ],
)
def test_a_bad_setting_is_one_line(run, name: str, value: str) -> None:
    line = run("serve", code=1, **{name: value})
    assert line.startswith("healthreports: bad setting: ")
    assert line.count("\n") == 1


def test_a_flag_wins_over_the_environment(run, tmp_path: Path) -> None:
    run("db", "upgrade", "--database", "flag.sqlite3", HEALTHREPORTS_DATABASE="env.sqlite3")
    assert (tmp_path / "flag.sqlite3").exists()
    assert not (tmp_path / "env.sqlite3").exists()


def test_upgrading_twice_changes_nothing(run) -> None:
    assert run("db", "upgrade") == run("db", "upgrade")


def test_openapi_prints_the_document(run, tmp_path: Path) -> None:
    printed = json.loads(run("openapi"))
    run("openapi", "--output", "openapi.json")
    assert json.loads((tmp_path / "openapi.json").read_text()) == printed
    assert printed["openapi"] == "3.1.0"


@pytest.mark.parametrize(
    ("query", "plan", "counted_by"),
    [
        ("", "Walk", "blocks of ids"),
        ("workspace_id=1", "Merge", "counters of the workspaces"),
        ("created_after=2026-01-01", "Gather", "periods"),
        ("external_reference_service_name=jira", "Term", "the counter of a term"),
        ("external_reference_service_model_refs=1,2", "Known", "ids of the reports"),
        ("created_after=2026-01-01&workspace_id=1", "Merge", "reading each report"),
    ],
    ids=["all", "a workspace", "a time", "a service", "refs", "a time in a workspace"],
)
def test_explain_names_the_plan_and_the_statement_of_a_list(
    run, prepared: str, query: str, plan: str, counted_by: str
) -> None:
    said = run("db", "explain", query, "--as", prepared)
    assert f"plan        {plan}: " in said
    assert counted_by in said
    assert "FROM status_reports" in said or "JOIN status_reports" in said


def test_explain_refuses_what_it_cannot_explain(run, prepared: str) -> None:
    assert "created_after" in run("db", "explain", "created_after=soon", "--as", prepared, code=1)
    assert "only" in run("db", "explain", "only=1", "--as", prepared, code=1)
    assert "not found" in run("db", "explain", "", "--as", "nobody@example.org", code=1)


def test_every_command_explains_itself(run) -> None:
    assert "healthreports demo" in " ".join(run("--help").split())
    for command in ("serve", "demo", "db", "account", "user", "workspace", "token", "openapi"):
        assert f"healthreports {command}" in run(command, "--help")


def test_the_docs_page_asks_no_outside_host(server: Server) -> None:
    with httpx.Client(base_url=server.base) as client:
        page = client.get("/docs")
        assert "//" not in page.text.replace("<!doctype", "")
        assert "default-src 'self'" in page.headers["content-security-policy"]
        for name in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js"):
            assert client.get(f"/docs/{name}").status_code == 200
        assert client.get("/openapi.json").json()["servers"] == [{"url": "/api/v1"}]
        assert client.post("/docs").status_code == 405
