"""The page for developers: the examples on it work."""

import shlex
from collections.abc import Iterator

import httpx
import pytest
from page_kit import Site, fields_of, form_of, read

from conftest import Account, Server

pytestmark = pytest.mark.one_store


@pytest.fixture
def site(server: Server, account: Account) -> Iterator[Site]:
    made = Site(server, account)
    yield made
    made.close()


def said(page: httpx.Response) -> list[str]:
    """The texts on a page that can be copied."""
    return [one.one("code").text for one in read(page).all("p", of="copied")]


def make_token(site: Site, role: str, **typed: str) -> httpx.Response:
    form = form_of(site.at(role).get("/developers"), "/developers/tokens")
    return site.at(role).post("/developers/tokens", data=fields_of(form) | typed)


def test_the_request_that_is_shown_with_a_new_token_works(site: Site) -> None:
    report = site.report(site.account.workspaces[0], text="Seen by a program.")
    page = make_token(site, "viewer", name="mine", scope="read")
    assert page.status_code == 200
    [command] = [one for one in said(page) if one.startswith("curl")]
    program, option, header, address = shlex.split(command)
    assert (program, option) == ("curl", "-H")
    name, _, value = header.partition(": ")
    answer = httpx.get(address, headers={name: value}, verify=False)
    assert answer.status_code == 200
    assert answer.json()["results"][0]["id"] == str(report)
    again = site.at("viewer").get("/developers").text
    assert value.removeprefix("Bearer ") not in again, "it is shown once"
    assert "YOUR_TOKEN" in again


def test_each_address_that_is_said_answers(site: Site) -> None:
    at = site.at()
    page = at.get("/developers")
    base, _command, authorize, token, metadata = said(page)
    assert base == f"{site.server.base}/api/v1"
    assert httpx.get(f"{base}/status_reports", verify=False).status_code == 401
    known = httpx.get(metadata, verify=False).json()
    assert known["authorization_endpoint"] == authorize
    assert known["token_endpoint"] == token
    main = read(page).one("main")
    for link in ("/docs", "/openapi.json", "/account/applications"):
        assert main.all("a", href=link)
        assert at.get(link).status_code == 200
    assert 'href="/developers"' in at.get("/docs").text, "there is a way back"


def test_only_who_administers_is_led_to_the_applications(site: Site) -> None:
    page = site.page("/developers", "viewer")
    assert not page.all("a", href="/account/applications")
    assert page.one("main").all("form", action="/developers/tokens")


def test_a_token_is_listed_and_revoked(site: Site) -> None:
    make_token(site, "editor", name="nightly", scope="write", days="30")
    page = site.at("editor").get("/developers")
    tree = read(page)
    [row] = [one for one in tree.all("tr") if "nightly" in one.text]
    assert "read and write" in row.text
    sent = fields_of(row.one("form"))
    answer = site.at("editor").post(row.one("form").attrs["action"], data=sent)
    assert answer.headers["location"] == "/developers"
    assert "nightly" not in site.at("editor").get("/developers").text


@pytest.mark.parametrize("days", ["0", "-1", "x", "1.5", "9" * 12])
def test_what_is_wrong_with_a_token_is_said(site: Site, days: str) -> None:
    answer = make_token(site, "editor", name="wrong", days=days)
    assert answer.status_code == 422
    assert "must be a whole number" in read(answer).one("div", of="wrong").text
    assert "wrong" not in [one.text for one in read(answer).all("td")]
