"""A page of another origin may call the API from a browser only if the setting names its origin."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from conftest import Server
from healthreports.store.schema.upgrade import upgrade

REPORTS = "/api/v1/status_reports"
BOARD, WALL, STRANGER = "https://board.example", "http://wall.example:8080", "https://bad.example"
# Headers of an answer that every page may read (Fetch standard, "CORS-safelisted response-header
# name"), and headers that are only for the browser or for proxies.
READ_BY_ALL = {"cache-control", "content-length", "content-type"}
NOT_FOR_PAGES = {
    *("connection", "date", "server", "transfer-encoding", "content-encoding", "vary"),
    *("x-content-type-options", "referrer-policy"),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path = tmp_path_factory.mktemp("cors") / "cors.sqlite3"
    upgrade(str(path))
    server = Server(path, {"HEALTHREPORTS_CORS_ORIGINS": f"{BOARD}, {WALL}"}).start()
    yield server
    server.stop()


def ask(server: Server, path: str, origin: str, method: str = "GET", **more: str) -> httpx.Response:
    headers = {"origin": origin} | {name.replace("_", "-"): value for name, value in more.items()}
    return httpx.request(method, server.base + path, headers=headers, verify=False, timeout=10)


def preflight(server: Server, origin: str, method: str, headers: str) -> httpx.Response:
    asked = {
        "access_control_request_method": method,
        "access_control_request_headers": headers,
    }
    return ask(server, REPORTS, origin, "OPTIONS", **asked)


def allowed(answer: httpx.Response) -> set[str]:
    """The CORS headers that allow a page to read the answer."""
    return {name for name in answer.headers if name.startswith("access-control-allow-")}


@pytest.mark.parametrize("origin", [BOARD, WALL])
def test_a_page_that_is_named_reads_answers_and_refusals(site: Server, origin: str) -> None:
    refused = ask(site, REPORTS, origin)
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == origin
    assert "origin" in refused.headers["vary"].lower()
    assert "access-control-allow-credentials" not in refused.headers, "a cookie would come along"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_a_page_that_is_named_may_send_what_the_api_takes(site: Server, method: str) -> None:
    headers = "authorization, content-type, idempotency-key, if-match, if-none-match"
    answer = preflight(site, BOARD, method, headers)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == BOARD
    assert method in answer.headers["access-control-allow-methods"]
    assert preflight(site, BOARD, method, "x-http-method-override").status_code == 400


@pytest.mark.parametrize(
    "origin", [STRANGER, "null", f"{BOARD}:8443", BOARD.upper(), f"{BOARD}.bad.example", ""]
)
def test_no_other_page_is_let_in(site: Server, origin: str) -> None:
    assert "access-control-allow-origin" not in ask(site, REPORTS, origin).headers
    assert "access-control-allow-origin" not in preflight(site, origin, "POST", "").headers


@pytest.mark.parametrize("path", ["/", "/sign-in", "/oauth/token", "/readyz", "/apiary", "/api"])
def test_nothing_but_the_api_is_for_other_pages(site: Server, path: str) -> None:
    assert allowed(ask(site, path, BOARD)) == set()


def test_without_the_setting_no_page_is_let_in(tmp_path: Path) -> None:
    path = tmp_path / "none.sqlite3"
    upgrade(str(path))
    server = Server(path).start()
    try:
        assert allowed(ask(server, REPORTS, BOARD)) == set()
        assert allowed(preflight(server, BOARD, "GET", "")) == set()
    finally:
        server.stop()


def test_a_page_reads_every_header_that_a_client_reads(tmp_path: Path) -> None:
    """This includes the headers of a 429 (too many requests)."""
    path = tmp_path / "few.sqlite3"
    upgrade(str(path))
    few = {"HEALTHREPORTS_ADDRESS_REQUESTS_PER_MINUTE": "1", "HEALTHREPORTS_CORS_ORIGINS": BOARD}
    server = Server(path, few).start()
    try:
        answers = [ask(server, REPORTS, BOARD) for _ in range(3)]
    finally:
        server.stop()
    assert {one.status_code for one in answers} == {401, 429}
    for one in answers:
        shown = {name.strip() for name in one.headers["access-control-expose-headers"].split(",")}
        rest = {name for name in one.headers if not name.startswith("access-control-")}
        assert rest <= shown | READ_BY_ALL | NOT_FOR_PAGES
