"""A server below a path of a host: every address that it returns begins with the path."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from page_kit import Site, fields_of, form_of, read
from test_pages import PAGES, _filled

from conftest import Account, Server
from healthreports.app import open_database
from healthreports.settings import Settings

pytestmark = pytest.mark.one_store

ROOT = "/tools/reports"
OURS = ("href", "src", "action", "hx-get", "hx-post")


@pytest.fixture(scope="module")
def rooted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    from healthreports.store.schema.upgrade import upgrade  # noqa: PLC0415  as the fixtures do

    path = tmp_path_factory.mktemp("rooted") / "test.sqlite3"
    upgrade(str(path))
    server = Server(path, {"HEALTHREPORTS_PUBLIC_URL": f"http://localhost{ROOT}"}).start()
    yield server
    assert "Traceback" not in server.stop()


@pytest.fixture
def site(rooted: Server, own_account: Callable[[Server], Account]) -> Iterator[Site]:
    account = own_account(rooted)
    with closing(open_database(Settings(database=str(rooted.database)))) as database:
        account.database = database
        made = Site(rooted, account)
        yield made
        made.close()


@pytest.mark.parametrize("path", [*PAGES, "/docs", "/nowhere", "/?view=weeks", "/?group=client"])
def test_every_address_of_a_page_is_below_the_path(site: Site, path: str) -> None:
    report = site.report(site.account.workspaces[0], "red", scope="green")
    address = _filled(path, site, report)
    seen = 0
    for at in (site.at(), site.at("viewer"), site.stranger()):
        answer = at.get(address)
        assert answer.status_code < 500
        if answer.is_redirect:
            seen += 1
            assert answer.headers["location"].startswith(f"{ROOT}/"), answer.headers["location"]
        elif answer.headers["content-type"].startswith("text/html"):
            for one in read(answer).walk():
                for name in OURS:
                    value = one.attrs.get(name, "")
                    if value.startswith("/"):
                        seen += 1
                        assert value.startswith(f"{ROOT}/"), (one.tag, name, value)
                        assert not value.startswith(f"{ROOT}{ROOT}"), value
    assert seen or path.endswith((".csv", ".xlsx", ".ndjson", ".md", ".pdf", ".svg"))


def test_documents_say_where_the_server_is(site: Site) -> None:
    at = site.stranger()
    assert at.get("/openapi.json").json()["servers"] == [{"url": f"{ROOT}/api/v1"}]
    assert f"'{ROOT}/openapi.json'" in at.get("/docs/start.js").text
    metadata = at.get("/.well-known/oauth-authorization-server").json()
    assert metadata["issuer"] == f"http://localhost{ROOT}"
    assert metadata["token_endpoint"] == f"http://localhost{ROOT}/oauth/token"


@pytest.fixture
def proxy(rooted: Server) -> Iterator[str]:
    """A proxy that removes the path, as in docs/how-to/proxies.md."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            if not self.path.startswith(f"{ROOT}/"):
                self.send_error(404)
                return
            length = int(self.headers.get("content-length", 0))
            passed = httpx.request(
                self.command,
                rooted.base + self.path.removeprefix(ROOT),
                headers={k: v for k, v in self.headers.items() if k.lower() != "host"},
                content=self.rfile.read(length),
                verify=False,
            )
            self.send_response(passed.status_code)
            for name, value in passed.headers.multi_items():
                if name not in ("content-length", "connection", "date"):
                    self.send_header(name, value)
            self.send_header("content-length", str(len(passed.content)))
            self.end_headers()
            self.wfile.write(passed.content)

        do_GET = do_POST = answer  # noqa: N815  names that the library requires

        def log_message(self, *_said: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_one_writes_a_report_through_a_proxy(site: Site, proxy: str) -> None:
    inside = site.at("editor")
    with httpx.Client(base_url=proxy, cookies=inside.cookies, follow_redirects=True) as at:
        at.cookies = httpx.Cookies({"healthreports": inside.cookies["healthreports"]})
        first = at.get(f"{ROOT}/")
        assert first.status_code == 200
        place = f"{ROOT}/workspaces/{site.account.workspaces[0]}/reports/new"
        page = at.get(place)
        sent = fields_of(form_of(page)) | {"color": "red", "description": "Through a proxy."}
        saved = at.post(place, data=sent)
        assert saved.status_code == 200
        assert re.fullmatch(rf"{ROOT}/reports/\d+", saved.url.path)
        assert "Through a proxy." in saved.text
        style = re.search(r'href="(/[^"]+style\.css[^"]*)"', saved.text)
        assert style
        assert at.get(style[1]).headers["content-type"].startswith("text/css")
        out = at.get("/")
        assert out.status_code == 404
