import contextlib
import sqlite3
from collections.abc import Callable, Iterator

import httpx
import pytest
from sharing import open_account

from conftest import Account, Server
from expect import assert_envelope, assert_failure, only_record
from healthreports.app import open_database
from healthreports.settings import Settings

MIB = 1024 * 1024


@contextlib.contextmanager
def account_on(server: Server) -> Iterator[Account]:
    """An account on a server that belongs to one test."""
    database = open_database(Settings(database=str(server.database)))
    with open_account(server, database) as account:
        yield account
    database.close()


@contextlib.contextmanager
def locked(server: Server) -> Iterator[None]:
    """Hold the write lock of the database."""
    with contextlib.closing(sqlite3.connect(server.database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


FAILURES = {
    "malformed body": (400, "PUT", "/status_reports/{id}", {"content": "{"}),
    "root missing": (400, "PUT", "/status_reports/{id}", {"json": {}}),
    "bad filter": (400, "GET", "/status_reports?workspace_id=abc", {}),
    "not found": (404, "GET", "/status_reports/0", {}),
    "unknown path": (404, "GET", "/nothing", {}),
    "method": (405, "POST", "/status_reports/{id}", {}),
    "too large": (413, "PUT", "/status_reports/{id}", {"content": b" " * (MIB + 1)}),
    "content type": (
        415,
        "PUT",
        "/status_reports/{id}",
        {"content": "x", "headers": {"content-type": "text/plain"}},
    ),
}


# 6
@pytest.mark.parametrize(("status", "method", "path", "more"), FAILURES.values(), ids=FAILURES)
def test_a_refusal_has_one_form(
    account: Account, status: int, method: str, path: str, more: dict
) -> None:
    headers = {"content-type": "application/json", **more.get("headers", {})}
    path = path.format(id=account.report())
    answer = account.api.request(method, path, **{**more, "headers": headers})
    assert len(assert_failure(answer, status)) == 1


# 6
def test_validation_and_token_errors_have_their_types(account: Account, server: Server) -> None:
    answer = account.api.post("/status_reports", json={"status_report": {}})
    assert_failure(answer, 422, "validation", "workspace_id", "color", "description")
    with server.client(None) as api:
        assert_failure(api.get("/status_reports"), 401, "oauth")


# 6
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_403_says_what_is_missing(account: Account, method: str) -> None:
    path = "/status_reports" if method == "POST" else f"/status_reports/{account.report()}"
    sent = {"workspace_id": account.workspaces[0], "color": "red", "description": "x"}
    body = {} if method == "DELETE" else {"json": {"status_report": sent}}
    answer = account.clients["viewer"].request(method, path, **body)
    (error,) = assert_failure(answer, 403)
    assert "edit" in error["message"].lower() or "permission" in error["message"].lower()


# 6
def test_a_refusal_does_not_echo_markup(account: Account) -> None:
    markup = "<script>alert(1)</script>"
    for answer in (
        account.api.get(f"/{markup}"),
        account.api.get(f"/status_reports/{markup}"),
        account.api.get("/status_reports", params={"created_after": markup}),
    ):
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        assert answer.status_code in (400, 404)


# 1.5
def test_the_limit_of_a_body_can_be_set(own_server: Callable[..., Server]) -> None:
    server = own_server(HEALTHREPORTS_BODY_LIMIT_BYTES="2000")
    with account_on(server) as account:
        path = f"/status_reports/{account.report(description='x')}"
        headers = {"content-type": "application/json"}
        good = '{"status_report": {"color": "red"}}'
        fits = account.api.put(path, content=good.ljust(2000), headers=headers)
        assert only_record(fits)["color"] == "red"
        over = account.api.put(path, content=good.ljust(2001), headers=headers)
        assert_failure(over, 413)


def write(account: Account) -> httpx.Response:
    sent = {"workspace_id": account.workspaces[0], "color": "red", "description": "x"}
    return account.api.post("/status_reports", json={"status_report": sent})


# 6
def test_storage_that_cannot_be_written_gets_503(own_server: Callable[..., Server]) -> None:
    server = own_server(HEALTHREPORTS_BUSY_TIMEOUT_S="0.2")
    with account_on(server) as account:
        with locked(server):
            (error,) = assert_failure(write(account), 503)
            assert "sqlite" not in error["message"].lower()
            assert_envelope(account.api.get("/status_reports"), "status_reports", [])
        report_id = only_record(write(account))["id"]
        assert_envelope(account.api.get("/status_reports"), "status_reports", [report_id])


# 6
def test_a_request_over_the_time_limit_gets_504(own_server: Callable[..., Server]) -> None:
    server = own_server(HEALTHREPORTS_BUSY_TIMEOUT_S="5", HEALTHREPORTS_TIME_LIMIT_S="0.3")
    with account_on(server) as account:
        with locked(server):
            assert_failure(write(account), 504)
        assert account.api.get("/status_reports").status_code == 200


# 6
def test_an_inner_error_says_nothing_of_the_inside(own_server: Callable[..., Server]) -> None:
    server = own_server()
    with account_on(server) as account:
        account.report()
        with contextlib.closing(sqlite3.connect(server.database)) as connection, connection:
            connection.execute("PRAGMA foreign_keys = OFF")
            connection.execute("ALTER TABLE status_reports RENAME TO lost")
        headers = {"x-request-id": "the-broken-one"}
        answer = account.api.get("/status_reports?order=created_at:desc", headers=headers)
        assert answer.status_code in (500, 503)
        (error,) = assert_failure(answer, answer.status_code)
        for word in ("sql", "table", "column", "status_reports", "traceback", "/"):
            assert word not in error["message"].lower()
        assert answer.headers["x-request-id"] == "the-broken-one"
        assert account.api.get("/users/me").status_code == 200
        assert "the-broken-one" in server.stop()
