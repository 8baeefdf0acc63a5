"""A real browser and a server with the sample portfolio.

`Watched` records the requests and the errors of the browsers of a test.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import chain, count
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode, urlsplit

import pyotp
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Playwright,
    Request,
    expect,
)

from conftest import Server
from healthreports.app import now, open_database
from healthreports.cli import demo
from healthreports.core.vocabulary import AccountPermission
from healthreports.service.auth import applications, factors, tokens
from healthreports.service.auth.sign_in import set_password
from healthreports.service.people import accounts, members, workspaces
from healthreports.settings import Settings
from healthreports.store.schema.upgrade import upgrade
from raw import execute

FOLDER: Final = Path(__file__).parent
AXE: Final = FOLDER / "node_modules" / "axe-core" / "axe.min.js"
ADMINISTRATOR: Final = "administrator@example.org"
# Owns some of the projects and edits others.
EDITOR: Final = "editor@example.org"
# Works at a client: sees only what is shown to clients.
VIEWER: Final = "viewer@example.org"
# In another account, where all reports are of the same day long ago and none is due.
READER: Final = "reader@example.org"
# Sees nothing yet: in an account without workspaces.
NEWCOMER: Final = "newcomer@example.org"
# Signs in with an authenticator application; each code works once.
GUARDED: Final = "guarded@example.org"
TOTP_SECRET: Final = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
EDITORS_WORKSPACE: Final = "Claims portal rollout"
BARE_WORKSPACE: Final = "Nothing written yet"

NARROW: Final = {"width": 360, "height": 740}
# The narrowest screen on which a page must not scroll sideways (WCAG 2.2, 1.4.10).
NARROWEST: Final = {"width": 320, "height": 640}
WIDE: Final = {"width": 1280, "height": 800}

# The headless shell is the same browser without a window. It needs half the processor time: 58 s
# instead of 119 s for `test_every_page`.
_NAMES: Final = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)
_ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
)
_WAIT_MS: Final = 5_000
# What a browser logs for an error status that the server sends on purpose.
_ANSWERED: Final = re.compile(r"Failed to load resource: .* status of (401|403|404|409|422|429)")
# RFC 7636, appendix B.
_CHALLENGE: Final = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def chromium() -> str | None:
    """The path of a Chromium on this machine, if there is one."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


def in_ci() -> bool:
    return bool(os.environ.get("CI"))


def launch(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path=chromium(), args=list(_ARGUMENTS))


@dataclass
class Watched:
    """The requests and errors of the browsers of one test."""

    addresses: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def watch(self, context: BrowserContext) -> None:
        context.on("request", self._asked)
        context.on("console", self._said)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))

    def elsewhere(self) -> list[str]:
        """The requested addresses that are not on this machine's loopback interface."""
        return [one for one in self.addresses if urlsplit(one).hostname != "127.0.0.1"]

    def _asked(self, request: Request) -> None:
        self.addresses.append(request.url)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not _ANSWERED.match(message.text):
            self.complaints.append(f"{message.type}: {message.text}")


@dataclass
class Site:
    """The server, and the users who can sign in to it."""

    server: Server
    browser: Browser
    passwords: dict[str, str]
    consent: str
    states: dict[str, Any] = field(default_factory=dict)
    # Without the first one, which a client sees, the editor's, and those of `PLACES`.
    numbers: Iterator[int] = field(default_factory=lambda: chain(range(3, 30), range(37, 41)))

    @property
    def base(self) -> str:
        return self.server.base

    def next_workspace(self) -> int:
        """The id of a workspace that no other test writes in."""
        return next(self.numbers)

    @contextmanager
    def open(self, who: str = "", watched: Watched | None = None, **how: Any) -> Iterator[Page]:
        """A page of a browser with its own cookies, in which `who` is already signed in."""
        if who:
            how["storage_state"] = self._state(who)
        context = self.browser.new_context(**{"base_url": self.base, **how})
        context.set_default_timeout(_WAIT_MS)
        if watched is not None:
            watched.watch(context)
        try:
            yield context.new_page()
        finally:
            context.close()

    def sign_in(self, page: Page, who: str) -> None:
        page.goto("/sign-in")
        self.fill_sign_in(page, who)
        expect(page).to_have_url(f"{self.base}/")

    def fill_sign_in(self, page: Page, who: str) -> None:
        page.get_by_label("E-mail address").fill(who)
        page.get_by_label("Password").fill(self.passwords[who])
        page.get_by_role("button", name="Sign in").click()

    def _state(self, who: str) -> Any:
        """The cookies of a signed-in user, made once per module: checking a password is slow."""
        if who not in self.states:
            with self.open() as page:
                self.sign_in(page, who)
                self.states[who] = page.context.storage_state()
        return self.states[who]


@contextmanager
def running_site(database: Path, browser: Browser, port: int = 0) -> Iterator[Site]:
    """A server with the sample portfolio, an application, and an account without workspaces.

    With a `port`, the server listens on it and its public URL has the host name localhost.
    """
    upgrade(str(database))
    settings = Settings(database=str(database))
    password = demo.prepare(settings).password
    opened = open_database(settings)
    try:
        client_id = opened.write_here(lambda tx: _furnish(tx, password))
    finally:
        opened.close()
    asks = {
        "client_id": client_id,
        "response_type": "code",
        "redirect_uri": "https://app.example.org/cb",
        "state": "st-1",
        "code_challenge": _CHALLENGE,
        "code_challenge_method": "S256",
    }
    named = {"HEALTHREPORTS_PUBLIC_URL": f"http://localhost:{port}"} if port else {}
    server = Server(database, named, port=port).start()
    people_here = (ADMINISTRATOR, EDITOR, VIEWER, READER, NEWCOMER, GUARDED)
    try:
        yield Site(
            server,
            browser,
            dict.fromkeys(people_here, password),
            f"/oauth/authorize?{urlencode(asks)}",
        )
    finally:
        errors = server.stop()
    assert "Traceback" not in errors, errors


def _furnish(tx: Any, password: str) -> str:
    administrator = members.named_user(tx, ADMINISTRATOR)
    workspaces.make_workspace(tx, administrator, BARE_WORKSPACE, now())
    tokens.issue(tx, administrator, "a token that has its row", now())
    made, _ = applications.register(
        tx,
        administrator,
        now(),
        name="Reporter",
        redirect_uris=("https://app.example.org/cb",),
        confidential=True,
        scopes=tokens.scopes_for(read_only=False),
        acts_as=None,
        token_lifetime_s=None,
    )
    account_id = accounts.create_account(tx, "Nobody's yet", now())
    newcomer = members.create_user(
        tx,
        account_id,
        full_name="Nora Newcomer",
        email_address=NEWCOMER,
        permission=AccountPermission.ADMINISTRATOR,
        now=now(),
    )
    set_password(tx, newcomer, password, now())
    guarded = members.create_user(
        tx,
        account_id,
        full_name="Gus Guarded",
        email_address=GUARDED,
        permission=AccountPermission.ADMINISTRATOR,
        now=now(),
    )
    set_password(tx, guarded, password, now())
    factors.store(tx, guarded, factors.MadeFactor("phone", TOTP_SECRET, 0), now())
    return made.client_id


def days_ago(days: int) -> date:
    """A day in the past, in UTC like the days of the server."""
    return datetime.now(UTC).date() - timedelta(days=days)


def said(day: date) -> str:
    """A day as the pages write it."""
    return f"{day.day} {day:%b %Y}"


def menu(page: Page, name: str) -> Locator:
    """The menu whose label begins with `name`."""
    summary = page.locator("summary").filter(has_text=re.compile(rf"^\s*{re.escape(name)}"))
    return page.locator("details.menu").filter(has=summary)


def show_filters(page: Page) -> None:
    """Show the filters, which are behind a button on a phone and visible elsewhere."""
    button = page.get_by_text("Filters", exact=True)
    if button.is_visible():
        button.click()


def choose(page: Page, name: str, choice: str) -> None:
    """Open a menu and follow one of its links."""
    one = menu(page, name)
    one.locator("summary").click()
    one.get_by_role("link", name=re.compile(rf"^{re.escape(choice)}\b")).click()


def write(page: Page, text: str, color: str = "Green") -> None:
    """Fill in the required fields; the form takes the others from the previous report."""
    page.get_by_role("group", name="Overall status").get_by_label(color).check()
    page.locator("#description").fill(text)


def save(page: Page) -> None:
    page.get_by_role("button", name=re.compile("^(Publish|Save changes)$")).click()


def saved_report(page: Page, workspace: int, text: str) -> int:
    """Write a report in the browser. Returns its id."""
    page.goto(f"/workspaces/{workspace}/reports/new")
    write(page, text)
    save(page)
    page.wait_for_url("**/reports/*?saved=yes")
    return int(urlsplit(page.url).path.rpartition("/")[2])


def workspace_called(page: Page, title: str) -> int:
    """The id of a workspace, read from its link in the portfolio."""
    page.goto(f"/?{urlencode({'text': title})}")
    href = page.locator("table.portfolio tbody th a").first.get_attribute("href")
    return int(href.rpartition("/")[2])


def send_unchecked(page: Page) -> None:
    """Send the form of a report like a browser that does not support `required`."""
    page.locator("form.write").evaluate("form => { form.noValidate = true }")
    save(page)


class Look(NamedTuple):
    """What was observed on one page.

    `widths` maps the width of a narrow screen to the width of the document on it. `weight` is the
    size of all `requests` answers in bytes, and `shift` the browser's cumulative layout shift.
    """

    widths: dict[int, int]
    broken: list[str]
    elsewhere: list[str]
    complaints: list[str]
    links: list[str]
    barriers: dict[str, list[str]]
    weight: int
    requests: int
    shift: float


# The browser's own measurements of a page: bytes, requests, and cumulative layout shift.
_PERFORMANCE: Final = """new Promise(done => {
    const asked = ["navigation", "resource"].flatMap(kind => performance.getEntriesByType(kind));
    const weight = asked.reduce((sum, one) => sum + one.decodedBodySize, 0);
    let shift = 0;
    new PerformanceObserver(list => {
        for (const one of list.getEntries()) shift += one.value;
    }).observe({type: "layout-shift", buffered: true});
    requestAnimationFrame(() => setTimeout(() => done([weight, asked.length, shift]), 50));
})"""


def look_at(site: Site, place: "Place") -> Look:
    """Open a page once and observe everything that the tests require of every page."""
    watched = Watched()
    with site.open(place.who, watched) as page:
        page.add_init_script(
            "window.broken = [];"
            "addEventListener('securitypolicyviolation',"
            " event => broken.push(`${event.violatedDirective} ${event.blockedURI}`))"
        )
        place.go(page, site)
        links = page.locator("a[href^='/']").evaluate_all(
            "all => all.map(one => one.getAttribute('href'))"
        )
        weight, requests, shift = page.evaluate(_PERFORMANCE)
        widths = {}
        for size in (NARROW, NARROWEST):
            page.set_viewport_size(size)
            widths[size["width"]] = page.evaluate("document.documentElement.scrollWidth")
        page.set_viewport_size(WIDE)
        broken, complaints = page.evaluate("window.broken"), list(watched.complaints)
        barriers = barriers_of(page) if AXE.exists() else {}
    return Look(
        widths, broken, watched.elsewhere(), complaints, links, barriers, weight, requests, shift
    )


# The rows of a table are alike. Checking only the first ten takes a third of the time.
_AXE_RUN: Final = """how => axe.run(
    {exclude: ["table tbody tr:nth-child(n + 11)"]}, {resultTypes: ["violations"], ...how}
)"""


def barriers_of(page: Page) -> dict[str, list[str]]:
    """What axe-core finds in each theme; only the contrast depends on the theme."""
    page.evaluate(AXE.read_text("utf-8"))
    found = {}
    for scheme, how in {"light": {}, "dark": {"runOnly": "color-contrast"}}.items():
        page.emulate_media(color_scheme=scheme)
        found[scheme] = [
            f"{one['id']} ({one['impact']}) at {node['target']}: {node['failureSummary']}"
            for one in page.evaluate(_AXE_RUN, how)["violations"]
            for node in one["nodes"]
        ]
    return found


class Place(NamedTuple):
    """A page and how to get to it, with `who` signed in."""

    name: str
    go: Callable[[Page, Site], object]
    who: str = ADMINISTRATOR


def _at(name: str, path: str, who: str = ADMINISTRATOR) -> Place:
    return Place(name, lambda page, _site: page.goto(path), who)


def _refused(page: Page, _site: Site) -> None:
    page.goto("/sign-in")
    page.get_by_label("E-mail address").fill(NEWCOMER)
    page.get_by_label("Password").fill("not the one it is")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()


def _menu(page: Page, _site: Site) -> None:
    page.goto("/")
    show_filters(page)
    menu(page, "Category").locator("summary").click()
    expect(menu(page, "Category").get_by_role("link").first).to_be_visible()


def _view(page: Page, _site: Site) -> None:
    page.goto("/?status=red&text=portal")
    show_filters(page)
    if menu(page, "Save view").is_visible():
        menu(page, "Save view").locator("summary").click()
        page.get_by_label("Name of this view").fill("Red portals")
        page.get_by_role("button", name="Save", exact=True).click()
        show_filters(page)
    expect(page.get_by_role("link", name="Red portals")).to_be_visible()


def _bare(page: Page, _site: Site) -> None:
    page.goto(f"/workspaces/{workspace_called(page, BARE_WORKSPACE)}")


def _form_with_errors(page: Page, _site: Site) -> None:
    page.goto("/workspaces/28/reports/new")
    page.locator("#description").fill("")
    page.locator("#scope_description").fill("x")
    page.get_by_role("group", name="Scope").get_by_label("None").check()
    send_unchecked(page)
    expect(page.locator(".fault").first).to_be_visible()


def _form_with_conflict(page: Page, _site: Site) -> None:
    page.goto("/workspaces/30/reports/new")
    # Earlier text is stored as a draft, which the other window would show too.
    discard = page.get_by_role("button", name="Discard draft")
    if discard.is_visible():
        discard.click()
        expect(discard).to_be_hidden()
    write(page, f"Mine {next(_attempts)}.", "Red")
    with page.context.expect_page() as other:
        page.evaluate("window.open('/workspaces/30/reports/new')")
    write(other.value, f"Theirs {next(_attempts)}.")
    save(other.value)
    other.value.wait_for_url("**/reports/*?saved=yes")
    other.value.close()
    save(page)
    expect(page.locator(".conflict")).to_be_visible()


def _versions(page: Page, _site: Site) -> None:
    page.goto("/workspaces/33/reports/new")
    write(page, f"The track is late {next(_attempts)}.", "Red")
    save(page)
    page.wait_for_url("**/reports/*?saved=yes")
    page.get_by_role("link", name="Edit", exact=True).click()
    write(page, f"The track is two weeks late {next(_attempts)}.", "Yellow")
    save(page)
    page.wait_for_url("**/reports/*?saved=yes")
    page.get_by_role("link", name="Versions").click()
    expect(page.locator(".version")).to_have_count(2)


def _deleted(page: Page, _site: Site) -> None:
    page.goto("/workspaces/34/reports/new")
    write(page, f"Not for long {next(_attempts)}.", "Green")
    save(page)
    page.wait_for_url("**/reports/*?saved=yes")
    page.locator("details", has=page.locator("form[action$='/delete']")).locator("summary").click()
    page.get_by_role("button", name="Delete report").click()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()


def _trash(page: Page, site: Site) -> None:
    _deleted(page, site)
    page.goto("/workspaces/34/deleted")
    expect(page.get_by_role("button", name="Restore").first).to_be_visible()


def _compared(page: Page, _site: Site) -> None:
    page.goto("/workspaces/31")
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.locator("#compare .changed")).to_be_visible()


def _second_step(page: Page, site: Site) -> None:
    page.goto("/sign-in")
    site.fill_sign_in(page, GUARDED)
    expect(page.get_by_label("Code")).to_be_visible()


def _codes(page: Page, _site: Site) -> None:
    page.goto("/account")
    renew = page.get_by_role("button", name="Make new recovery codes")
    if renew.is_visible():
        renew.click()
    else:
        page.goto("/account/factors")
        secret = page.locator(".secret").inner_text().replace(" ", "")
        page.get_by_label("Six digits").fill(pyotp.TOTP(secret).now())
        page.get_by_role("button", name="Add the application").click()
    expect(page.locator(".secret")).to_be_visible()


def _asked_again(page: Page, site: Site) -> None:
    with site.open() as other:
        site.sign_in(other, EDITOR)
        state = other.context.storage_state()
    newest = "(SELECT max(id) FROM sessions)"
    execute(site.server.database, f"UPDATE sessions SET proven_at = 0 WHERE id = {newest}")
    page.context.clear_cookies()
    page.context.add_cookies(state["cookies"])
    page.goto("/developers")
    page.get_by_label("Name", exact=True).fill("a look at the page")
    page.get_by_role("button", name="Create token").click()
    expect(page.get_by_label("Password")).to_be_visible()


def _made_token(page: Page, _site: Site) -> None:
    page.goto("/developers")
    page.get_by_label("Name", exact=True).fill("a look at the page")
    page.get_by_role("button", name="Create token").click()
    expect(page.locator(".secret")).to_be_visible()


def _refused_application(page: Page, _site: Site) -> None:
    page.goto("/account/applications")
    page.get_by_label("Name, as people").fill("Wrong")
    page.get_by_label("Redirect URIs").fill("javascript:alert(1)")
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_role("alert")).to_be_visible()


def _invitation(page: Page) -> str:
    """Add a person. Returns the address of the invitation."""
    page.goto("/people")
    page.get_by_label("Name", exact=True).fill("Ida Invited")
    page.get_by_label("E-mail address").fill(f"invited{next(_attempts)}@example.org")
    page.get_by_role("button", name="Add and invite").click()
    return page.locator(".secret").inner_text()


def _welcome(page: Page, site: Site) -> None:
    with site.open(ADMINISTRATOR) as other:
        address = _invitation(other)
    page.goto(_from_root(address))
    expect(page.get_by_label("Password")).to_be_visible()


def _share(page: Page) -> str:
    """Share a report. Returns the address of the share."""
    page.goto("/reports/60")
    page.locator("details", has=page.locator("form[action$='/shares']")).locator("summary").click()
    page.locator("form[action$='/shares'] button").click()
    return page.locator(".secret").first.inner_text()


def _shared(page: Page, site: Site) -> None:
    with site.open(ADMINISTRATOR) as other:
        address = _share(other)
    page.goto(_from_root(address))
    expect(page.locator("article.report")).to_be_visible()


def _from_root(address: str) -> str:
    return address[address.index("/", len("https://")) :]


_attempts = count(1)

PLACES: Final = (
    _at("sign-in", "/sign-in", ""),
    Place("sign-in refused", _refused, ""),
    _at("portfolio", "/"),
    _at("portfolio with nothing in it", "/", NEWCOMER),
    _at("portfolio without a match", "/?text=no+such+programme"),
    _at("portfolio as of a day", f"/?as_of={days_ago(30)}&text=portal"),
    _at("portfolio with filters", "/?status=yellow&category=Budget&category_status=yellow"),
    _at("portfolio in groups", "/?group=client&text=portal"),
    _at("portfolio beside a week ago", "/?compare=week&text=portal"),
    Place("portfolio with a menu open", _menu),
    Place("portfolio with a saved view", _view, EDITOR),
    _at("portfolio of a client", "/", VIEWER),
    _at("portfolio that was published", "/?text=Programme", READER),
    _at("weeks", f"/?as_of={days_ago(30)}&text=portal&view=weeks"),
    _at("weeks of a category", "/?view=weeks&text=portal&lane=Budget"),
    _at("search", "/search"),
    _at("search with matches", "/search?q=in"),
    _at("search without a match", "/search?q=no+such+programme"),
    _at("workspace", "/workspaces/31"),
    _at("workspace of a client", "/workspaces/1", VIEWER),
    Place("workspace without a report", _bare),
    _at("report", "/reports/60"),
    _at("write form", "/workspaces/31/reports/new"),
    Place("write form with errors", _form_with_errors),
    Place("write form with a conflict", _form_with_conflict),
    _at("edit form", "/reports/60/edit"),
    Place("versions of a report", _versions),
    Place("workspace with an undo", _deleted),
    Place("deleted reports", _trash),
    _at("no deleted reports", "/workspaces/36/deleted"),
    _at("archived workspaces", "/workspaces/archived"),
    _at("account", "/account"),
    _at("second factor to set up", "/account/factors"),
    Place("second factor asked", _second_step, ""),
    Place("recovery codes", _codes, NEWCOMER),
    Place("confirm", _asked_again, EDITOR),
    _at("settings of the account", "/settings"),
    _at("delete the account", "/settings/delete"),
    _at("delete a workspace", "/workspaces/31/delete"),
    _at("new address", "/account/address?link=x"),
    _at("refused", "/settings", EDITOR),
    _at("developers", "/developers"),
    _at("audit log", "/audit"),
    _at("audit log without a match", "/audit?action=user.purged"),
    _at("cadence of several", "/cadence?status=red"),
    Place("two reports compared", _compared),
    Place("account with a new token", _made_token),
    _at("applications", "/account/applications"),
    Place("applications with an error", _refused_application),
    Place("consent", lambda page, site: page.goto(site.consent)),
    _at("people", "/people"),
    Place("people with an invitation", lambda page, _site: _invitation(page)),
    Place("welcome", _welcome, ""),
    _at("new workspace", "/workspaces/new"),
    _at("settings of a workspace", "/workspaces/31/settings"),
    Place("report with a new link", lambda page, _site: _share(page)),
    Place("shared report", _shared, ""),
    _at("failed", "/reports/999999"),
)
