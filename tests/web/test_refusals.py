"""A refusal is a page for people and JSON for programs, at every address."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

import httpx
import pytest
from page_kit import read
from starlette.routing import Route

from conftest import Server
from expect import assert_failure
from healthreports.api.docs import docs_routes
from healthreports.contract.operations import BASE, OPERATIONS
from healthreports.service.auth.oauth import ENDPOINTS
from healthreports.web.pages import page_routes

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PAGES = {
    re.sub(r"\{\w+\}", "1", route.path): route.endpoint.methods
    for route in page_routes(None, None, None, None, None, None, "http://localhost")  # type: ignore[arg-type]
    if isinstance(route, Route)
}
FORMS = sorted(path for path, methods in PAGES.items() if "POST" in methods)


@pytest.fixture(scope="module")
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.base, timeout=30, verify=False) as client:
        yield client


def assert_page(answer: httpx.Response, status: int, heading: str) -> None:
    """A page with a heading, a sentence and a link to continue; it shows nothing internal."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-request-id"]
    if answer.request.method == "HEAD":
        return
    page = read(answer)
    assert page.one("h1").text == heading
    assert [one.attrs["href"] for one in page.one("nav").all("a")] == ["/", "/account"]
    assert len(page.one("main").text) > len(heading) + 20
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "path", ["/nothing", "/reports", "/static/nothing.css", "/%00", "/a" * 500]
)
@pytest.mark.parametrize("method", METHODS)
def test_an_unknown_address_is_a_page(http: httpx.Client, path: str, method: str) -> None:
    assert_page(http.request(method, path), 404, "Page not found")


@pytest.mark.parametrize("path", sorted(PAGES))
def test_a_page_names_the_methods_that_it_answers_to(http: httpx.Client, path: str) -> None:
    for method in METHODS:
        if method not in PAGES[path]:
            answer = http.request(method, path)
            assert_page(answer, 405, "This page does not support that request")
            assert answer.headers["allow"] == ", ".join(sorted(PAGES[path]))


@pytest.mark.parametrize("path", [one.path for one in docs_routes() if isinstance(one, Route)])
def test_the_documentation_answers_to_get(http: httpx.Client, path: str) -> None:
    answer = http.post(path)
    assert answer.headers["allow"] == "GET, HEAD"
    if path == "/openapi.json":
        assert_failure(answer, 405)
    else:
        assert_page(answer, 405, "This page does not support that request")


@pytest.mark.parametrize("path", FORMS)
def test_a_form_that_is_too_large_is_a_page(http: httpx.Client, path: str) -> None:
    # A visitor without a session is asked to sign in before the form is read; other forms are open.
    answer = http.post(path, content=b"a=" + b"x" * (2 << 20), headers=FORM)
    if answer.status_code == 303:
        assert answer.headers["location"].startswith("/sign-in?expired=yes")
    else:
        assert_page(answer, 413, "Too large")


FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    "path",
    [
        *sorted({BASE + one.path.replace("{id}", "1") for one in OPERATIONS}),
        *ENDPOINTS,
        f"{BASE}/nothing",
        "/api",
        "/api/v2/status_reports",
        "/.well-known/nothing",
        "/.well-known/oauth-authorization-server",
        "/openapi.json",
    ],
)
def test_programs_are_refused_in_json(http: httpx.Client, path: str) -> None:
    for method in ("DELETE", "OPTIONS"):
        answer = http.request(method, path)
        kind = "oauth" if answer.status_code == 401 else "system"
        assert_failure(answer, answer.status_code, kind)
        assert answer.status_code in (401, 404, 405)


def test_who_sends_a_token_is_a_program(http: httpx.Client) -> None:
    assert_failure(http.get("/status_reports", headers={"authorization": "Bearer hr_x"}), 404)


@pytest.fixture
def broken(own_server: Callable[..., Server]) -> Iterator[httpx.Client]:
    """A server with a defect: a table is missing."""
    server = own_server()
    with closing(sqlite3.connect(str(server.database))) as raw:
        raw.execute("DROP TABLE share_links")
        raw.execute("DROP TABLE tokens")
        raw.commit()
    with httpx.Client(base_url=server.base, timeout=30, verify=False) as client:
        yield client


def test_a_defect_is_a_page_to_people_and_json_to_programs(broken: httpx.Client) -> None:
    answer = broken.get("/shared?link=hrl_x")
    assert_page(answer, 500, "Something went wrong")
    assert answer.headers["x-request-id"] in answer.text, "so that somebody can be told"
    assert "share_links" not in answer.text
    program = broken.get(f"{BASE}/status_reports", headers={"authorization": "Bearer hr_x"})
    assert_failure(program, 500)
