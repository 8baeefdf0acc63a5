"""A user's sessions on a page: where the user is signed in, and how to sign out elsewhere."""

import time
from collections.abc import Iterator

import httpx
import pytest
from page_kit import Site, fields_of, form_of, read

from conftest import Account, Server
from healthreports.app import now
from healthreports.core.model import Instant, User
from healthreports.core.vocabulary import DAY_US, DEFAULT_SESSION_IDLE_H, DEFAULT_TOKEN_DAYS
from healthreports.service.auth.sessions import Visitor, open_session
from healthreports.store.auth import credentials, tokens

pytestmark = pytest.mark.one_store

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
EDGE = "Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36 Edg/140.0"
IDLE_US = DEFAULT_SESSION_IDLE_H * 3_600_000_000


@pytest.fixture
def site(server: Server, account: Account) -> Iterator[Site]:
    made = Site(server, account)
    yield made
    made.close()


def rows(site: Site, role: str = "editor") -> list[list[str]]:
    page = site.page("/account", role)
    [region] = [one for one in page.all("div", "wide") if one.attrs.get("aria-label") == "Sessions"]
    return [[cell.text for cell in row.all("td")] for row in region.one("tbody").all("tr")]


def elsewhere(site: Site, device: str, role: str = "editor", ago_us: int = 0) -> str:
    """Sign the user in at another browser. Returns the session's secret."""
    user: User = site.account.users[role]
    visitor = Visitor("192.0.2.7", device)
    time = Instant(now() - ago_us)
    return site.account.database.write_here(lambda tx: open_session(tx, user, time, visitor))


def test_each_browser_is_listed_with_where_it_is(site: Site) -> None:
    elsewhere(site, FIREFOX)
    elsewhere(site, EDGE, ago_us=3_600_000_000)
    [here, firefox, edge] = rows(site)
    assert here[0].endswith("this one")
    assert firefox[:2] == ["Firefox on Linux", "192.0.2.7"]
    assert edge[0] == "Edge on Windows"
    assert all("UTC" in cell for cell in firefox[2:4])
    assert "Firefox" not in site.at("viewer").get("/account").text


def test_one_that_was_not_used_is_no_more(site: Site) -> None:
    elsewhere(site, FIREFOX, ago_us=IDLE_US)
    assert len(rows(site)) == 1


def end(at: httpx.Client, suffix: str) -> httpx.Response:
    page = at.get("/account")
    [action] = [
        one.attrs["action"]
        for one in read(page).all("form")
        if one.attrs.get("action", "").endswith(suffix)
    ]
    return at.post(action, data=fields_of(form_of(page, action)))


def test_one_is_signed_out_in_another_browser(site: Site) -> None:
    other = site.another("editor")
    assert other.get("/account").status_code == 200
    at = site.at("editor")
    assert end(at, "/end").headers["location"] == "/account"
    assert other.get("/account").status_code == 303
    assert at.get("/account").status_code == 200


def test_one_is_signed_out_everywhere_else(site: Site) -> None:
    others = [site.another("editor") for _ in range(3)]
    stranger = site.another("viewer")
    at = site.at("editor")
    end(at, "/end-others")
    assert [one.get("/account").status_code for one in others] == [303] * 3
    assert at.get("/account").status_code == 200
    assert stranger.get("/account").status_code == 200


def test_nobody_ends_the_session_of_somebody_else(site: Site) -> None:
    victim = site.another("viewer")
    user = site.account.users["viewer"]
    [session] = site.account.database.read_here(
        lambda tx: credentials.sessions_of(tx, user.id, now())
    )
    at = site.at("editor")
    proof = fields_of(form_of(at.get("/account"), "/sign-out"))["csrf"]
    for which in (str(session.id), "0", "-1", "x", "9" * 30):
        answer = at.post(f"/account/sessions/{which}/end", data={"csrf": proof})
        assert answer.headers["location"] == "/account"
    assert victim.get("/account").status_code == 200


def test_the_use_of_a_session_is_noted_now_and_then(site: Site) -> None:
    at = site.at("editor")
    user = site.account.users["editor"]

    def last_used() -> int:
        [one] = site.account.database.read_here(
            lambda tx: credentials.sessions_of(tx, user.id, now())
        )
        return one.last_used_at

    first = last_used()
    at.get("/account")
    assert last_used() == first, "a write for each page would be too much"
    session_id = site.account.database.read_here(
        lambda tx: credentials.sessions_of(tx, user.id, now())
    )[0].id
    old = Instant(now() - 3_600_000_000)
    site.account.database.write_here(lambda tx: credentials.note_session_use(tx, session_id, old))
    at.get("/account")
    until = time.monotonic() + 10
    while last_used() == old:
        assert time.monotonic() < until
        time.sleep(0.02)


def events(site: Site, role: str = "editor") -> str:
    [section] = [
        one
        for one in site.page("/account", role).all("section")
        if one.all("h2") and one.all("h2")[0].text == "Recent security events"
    ]
    return section.text


def test_changes_of_credentials_are_shown_to_whom_they_are_of(site: Site) -> None:
    at = site.at("editor")
    form = form_of(at.get("/developers"), "/developers/tokens")
    at.post("/developers/tokens", data=fields_of(form) | {"name": "mine"})
    assert "Token created" in events(site)
    assert "Token created" not in events(site, "viewer")
    administrator = site.at()
    proof = fields_of(form_of(administrator.get("/account"), "/sign-out"))["csrf"]
    user = site.account.users["viewer"].id
    assert administrator.post(f"/people/{user}/invite", data={"csrf": proof}).status_code == 200
    assert "Invitation created" in events(site, "viewer"), "somebody else did that to one"


@pytest.mark.parametrize(
    ("typed", "days"),
    [({}, DEFAULT_TOKEN_DAYS), ({"days": "7"}, 7), ({"days": "7", "never": "on"}, None)],
    ids=["as offered", "seven", "never"],
)
def test_a_token_expires_unless_that_is_chosen(
    site: Site, typed: dict[str, str], days: int | None
) -> None:
    at = site.at("editor")
    form = form_of(at.get("/developers"), "/developers/tokens")
    before = now()
    at.post("/developers/tokens", data=fields_of(form) | {"name": "mine"} | typed)
    user = site.account.users["editor"]
    [made] = [
        one
        for one in site.account.database.read_here(lambda tx: tokens.personal(tx, user.id))
        if one.name == "mine"
    ]
    if days is None:
        assert made.expires_at is None
    else:
        assert made.expires_at is not None
        assert 0 <= made.expires_at - before - days * DAY_US < DAY_US
