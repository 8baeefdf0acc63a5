"""The headers that every answer has, tested at every address of the server."""

from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest
from starlette.routing import Route

from conftest import Account, Server, make_account
from healthreports.api.docs import docs_routes
from healthreports.api.oauth import oauth_routes
from healthreports.app import open_database
from healthreports.contract.operations import BASE, OPERATIONS
from healthreports.settings import Settings
from healthreports.store.schema.upgrade import upgrade
from healthreports.web.kit.show import STATIC_FILES
from healthreports.web.pages import page_routes

pytestmark = pytest.mark.one_store

ORIGIN = "https://reports.example"
PAGES = sorted(
    {
        route.path
        for route in page_routes(None, None, None, None, None, None, ORIGIN)  # type: ignore[arg-type]
        if isinstance(route, Route)
    }
)
PROGRAMS = sorted(
    {route.path for route in (*oauth_routes(None, None, ORIGIN),) if isinstance(route, Route)}  # type: ignore[arg-type]
)
DOCS = sorted({route.path for route in docs_routes() if isinstance(route, Route)})
READS = sorted({BASE + one.path for one in OPERATIONS if one.method == "GET"})
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")


@pytest.fixture(scope="module")
def over_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    path = tmp_path_factory.mktemp("headers") / "test.sqlite3"
    upgrade(str(path))
    server = Server(path, {"HEALTHREPORTS_PUBLIC_URL": ORIGIN}).start()
    with closing(open_database(Settings(database=str(path)))) as database:
        account = make_account(server, database)
        for _ in range(3):
            account.report()
        yield account
        account.close()
    server.stop()


def filled(path: str) -> str:
    return "/".join("1" if part.startswith("{") else part for part in path.split("/")).replace(
        "{id}", "1"
    )


def root(account: Account) -> httpx.URL:
    return account.api.base_url.copy_with(path="/")


@pytest.mark.parametrize("path", ["/nowhere", BASE, *PAGES, *PROGRAMS, *DOCS, *READS])
def test_every_answer_has_what_browsers_keep_to(over_tls: Account, path: str) -> None:
    address = root(over_tls).join(filled(path))
    for method in METHODS:
        for headers in ({}, {"authorization": "Bearer hr_no"}, {"content-type": "x/y"}):
            answer = httpx.request(method, address, headers=headers)
            assert answer.headers["x-content-type-options"] == "nosniff", method
            assert answer.headers["referrer-policy"], method
            assert answer.headers["strict-transport-security"].startswith("max-age="), method


@pytest.mark.parametrize("path", READS)
def test_what_was_read_is_its_reader_s_alone(over_tls: Account, path: str) -> None:
    answer = over_tls.api.get(filled(path).removeprefix(BASE))
    if "text/csv" in answer.headers["content-type"] or "ndjson" in answer.headers["content-type"]:
        assert answer.headers["cache-control"] == "no-store"
    elif answer.status_code == 200:
        assert answer.headers["cache-control"] == "private, no-cache"
        assert answer.headers["vary"] == "Authorization"


@pytest.mark.parametrize("path", [path for path in PAGES if not path.startswith("/static/")])
def test_a_page_is_kept_by_nobody(over_tls: Account, path: str) -> None:
    answer = httpx.get(root(over_tls).join(filled(path)))
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", PROGRAMS)
def test_what_programs_get_of_oauth_is_kept_by_nobody(over_tls: Account, path: str) -> None:
    answer = httpx.post(root(over_tls).join(path), data={"token": "x"})
    if answer.status_code != 405:
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("name", STATIC_FILES)
def test_a_file_is_for_ever_the_same_at_an_address_with_its_hash(
    over_tls: Account, name: str
) -> None:
    address = root(over_tls).join(f"/static/{name}")
    by_hash = httpx.get(address, params={"v": STATIC_FILES[name]})
    assert by_hash.headers["cache-control"] == "public, max-age=31536000, immutable"
    for query in ({}, {"v": "x"}):
        assert httpx.get(address, params=query).headers["cache-control"] == "no-cache"
