"""Users with browsers, OAuth applications, and a server for both."""

import ipaddress
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
from argon2 import PasswordHasher

from conftest import Server, make_account
from healthreports.app import now, open_database
from healthreports.service.auth import applications
from healthreports.service.auth.tokens import hash_of
from healthreports.settings import Settings
from healthreports.store.auth import credentials
from healthreports.store.engine.database import Database
from healthreports.store.schema.upgrade import upgrade
from raw import execute

PASSWORD = "correct horse battery"
REDIRECT = "https://app.example.org/cb"
STATE = "st-1"
# RFC 7636, appendix B.
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
PKCE = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
AUTHORIZE, TOKEN, REVOKE, INTROSPECT = (
    f"/oauth/{name}" for name in ("authorize", "token", "revoke", "introspect")
)

_addresses = count(1)


class Form(NamedTuple):
    """A form of a page, with its fields and their initial values."""

    action: str
    fields: dict[str, str]

    @property
    def kind(self) -> str:
        """The action, with the ids of records replaced by `{}`."""
        return re.sub(r"/(\d+|[0-9a-f]{32})/", "/{}/", self.action.partition("?")[0])


class _Forms(HTMLParser):
    """Collects the forms that change something; search forms need no CSRF token."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[Form] = []
        self.current: Form | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.current = None
            if values["method"] == "get":
                assert values["role"] == "search"
                return
            assert values["method"] == "post"
            self.current = Form(values["action"], {})
            self.found.append(self.current)
        elif tag == "input" and self.current:
            self.current.fields[values["name"]] = values.get("value", "")


def forms_of(answer: httpx.Response) -> list[Form]:
    return _Forms(answer.text).found


class Browser:
    """A browser that stores cookies and sends forms, and does not follow redirects by itself."""

    def __init__(self, base: str) -> None:
        # Sign-in attempts are counted by this address if the server trusts the header.
        address = ipaddress.ip_address("10.0.0.0") + next(_addresses)
        self.http = httpx.Client(
            base_url=base, timeout=10, verify=False, headers={"x-forwarded-for": str(address)}
        )

    @property
    def cookie(self) -> str:
        return self.http.cookies["healthreports"]

    def bears(self, cookie: str) -> "Browser":
        """Replace all cookies with this one. Returns the browser."""
        self.http.cookies.clear()
        self.http.cookies.set("healthreports", cookie, domain=self.http.base_url.host)
        return self

    def get(self, address: str, **more: Any) -> httpx.Response:
        return self.http.get(address, **more)

    def proof(self) -> str:
        """The CSRF token of this session."""
        page = self.http.get("/account", follow_redirects=True)
        return forms_of(page)[0].fields["csrf"]

    def post(self, address: str, **fields: str) -> httpx.Response:
        """Send a form with the CSRF token of this session."""
        return self.http.post(address, data={"csrf": self.proof(), **fields})

    def sign_in(
        self, email_address: str, password: str = PASSWORD, **fields: str
    ) -> httpx.Response:
        return self.post("/sign-in", email_address=email_address, password=password, **fields)

    def is_signed_in(self) -> bool:
        answer = self.http.get("/account")
        assert answer.status_code in (200, 303), answer.text
        return answer.status_code == 200

    def decide(self, address: str, decision: str) -> httpx.Response:
        """Open the consent page to which an application sends the browser, and press a button."""
        page = self.http.get(address)
        assert page.status_code == 200, page.text
        form = next(one for one in forms_of(page) if one.kind == AUTHORIZE)
        return self.http.post(form.action, data={**form.fields, "decision": decision})

    def consent(self, address: str) -> str:
        """Allow the request. Returns the address to which the browser is redirected."""
        return leads_to(self.decide(address, "allow"))

    def deny(self, address: str) -> str:
        """Deny the request. Returns the address to which the browser is redirected."""
        return leads_to(self.decide(address, "deny"))


@dataclass
class App:
    """A registered application. Its requests are valid unless a test changes them."""

    http: httpx.Client
    client_id: str
    secret: str | None
    redirect_uri: str

    def address(self, **changed: str | None) -> str:
        """The address of an authorization request; parameters that are None are left out."""
        sent = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": "read write",
            "state": STATE,
            **({} if self.secret else PKCE),
            **changed,
        }
        return f"{AUTHORIZE}?{urlencode(_without_none(sent))}"

    def call(self, path: str, **fields: str | None) -> httpx.Response:
        """Send a form, authenticated as this application."""
        if self.secret:
            auth = (self.client_id, self.secret)
            return self.http.post(path, data=_without_none(fields), auth=auth)
        return self.http.post(path, data={"client_id": self.client_id} | _without_none(fields))

    def code(self, browser: Browser, **changed: str | None) -> str:
        """The authorization code for which the user of a browser consents."""
        return query_of(browser.consent(self.address(**changed)))["code"]

    def exchange(self, code: str, **changed: str | None) -> httpx.Response:
        fields = {
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": None if self.secret else VERIFIER,
        }
        return self.call(TOKEN, grant_type="authorization_code", **{**fields, **changed})

    def granted(self, browser: Browser, **changed: str | None) -> dict[str, Any]:
        """The token response after the user of a browser consents."""
        answer = self.exchange(self.code(browser, **changed))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refresh(self, refresh_token: str, **more: str) -> httpx.Response:
        return self.call(TOKEN, grant_type="refresh_token", refresh_token=refresh_token, **more)

    def act_by_itself(self, **more: str) -> httpx.Response:
        return self.call(TOKEN, grant_type="client_credentials", **more)

    def introspect(self, token: str) -> dict[str, Any]:
        answer = self.call(INTROSPECT, token=token)
        assert answer.status_code == 200, answer.text
        return answer.json()


@dataclass
class Site:
    """An account on a server, the browsers of its people, and its applications."""

    server: Server
    database: Database
    _browsers: list[Browser] = field(default_factory=list)
    _signed_in: dict[str, Browser] = field(default_factory=dict)
    _with_password: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.account = make_account(self.server, self.database)
        self.program = httpx.Client(base_url=self.server.base, timeout=10, verify=False)

    def close(self) -> None:
        self.account.close()
        self.program.close()
        for one in self._browsers:
            one.http.close()

    def browser(self) -> Browser:
        """A new browser without cookies."""
        self._browsers.append(Browser(self.server.base))
        return self._browsers[-1]

    def email(self, role: str) -> str:
        """The e-mail address of a user, who gets a password if necessary."""
        user = self.account.users[role]
        if role not in self._with_password:
            self._with_password.add(role)
            self.database.write_here(
                lambda tx: credentials.store_password(
                    tx, user.account_id, user.id, _hash_of_password(), now()
                )
            )
        return user.email_address

    def sign_in(self, role: str = "administrator") -> Browser:
        """A new browser in which a user is signed in."""
        browser = self.browser()
        answer = browser.sign_in(self.email(role))
        assert answer.status_code == 303, answer.text
        return browser

    def person(self, role: str = "administrator") -> Browser:
        """The shared browser of a signed-in user, for tests that leave it signed in."""
        if role not in self._signed_in:
            self._signed_in[role] = self.sign_in(role)
        return self._signed_in[role]

    def app(self, *redirect_uris: str, **settings: Any) -> App:
        """Register an application; the settings are those of `applications.register`."""
        if "acts_as" in settings:
            settings["acts_as"] = self.account.users[settings["acts_as"]]
        made, secret = self.database.write_here(
            lambda tx: applications.register(
                tx,
                self.account.users["administrator"],
                now(),
                redirect_uris=redirect_uris or (REDIRECT,),
                **{"name": "Tracker", **settings},
            )
        )
        return App(self.program, made.client_id, secret, made.redirect_uris[0])

    def me(self, token: str) -> httpx.Response:
        """The answer of the API to a request with this token."""
        headers = {"authorization": f"Bearer {token}"}
        return self.program.get("/api/v1/users/me", headers=headers)

    def works(self, token: str) -> bool:
        answer = self.me(token)
        assert answer.status_code in (200, 401), answer.text
        return answer.status_code == 200

    def stored(self) -> dict[str, list[tuple]]:
        """Everything in the database, except the times when tokens were last used.

        Refusals are left out too, since they are added to the audit log with a delay.
        """
        with closing(sqlite3.connect(self.server.database)) as connection:
            tables = connection.execute(_TABLES)
            return {name: _rows(connection, name) for (name,) in tables.fetchall()}

    def age(self, table: str, column: str, secret: str, seconds: int) -> None:
        """Move a time of the record to which a secret belongs into the past."""
        hashed = "code_hash" if table == "oauth_grants" else "secret_hash"
        statement = f"UPDATE {table} SET {column} = {column} - ? WHERE {hashed} = ? RETURNING 1"
        changed = execute(self.server.database, statement, seconds * 1_000_000, hash_of(secret))
        assert changed == [(1,)]


@cache
def _hash_of_password() -> str:
    # As `sign_in.set_password` does, which is slow on purpose; the cache hashes only once.
    return PasswordHasher().hash(PASSWORD)


# Without the full-text index, which stores no texts; its internal tables are included.
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'search_words'"


def _rows(connection: sqlite3.Connection, table: str) -> list[tuple]:
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    counted = ", ".join(one for one in columns if one != "last_used_at")
    rows = connection.execute(f"SELECT {counted} FROM {table} ORDER BY 1")
    return [row for row in rows.fetchall() if "access.refused" not in row]


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server for one module, which trusts a proxy on this machine and must log no traceback."""
    path = folder / "oauth.sqlite3"
    upgrade(str(path))
    running = Server(path, {"HEALTHREPORTS_TRUSTED_PROXIES": "127.0.0.1"}).start()
    yield running
    said = running.stop()
    assert "Traceback" not in said, said


@contextmanager
def site_on(server: Server) -> Iterator[Site]:
    database = open_database(Settings(database=str(server.database)))
    made = Site(server, database)
    yield made
    made.close()
    database.close()


def query_of(location: str) -> dict[str, str]:
    """The query parameters of an address, none of which may occur twice."""
    pairs = parse_qsl(urlsplit(location).query, keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs), location
    return dict(pairs)


def leads_to(answer: httpx.Response) -> str:
    """The redirect address, to which a browser does not send its form (RFC 9700, 4.12)."""
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def assert_refused(answer: httpx.Response, error: str, status: int = 400) -> None:
    """The answer is an error in the form of RFC 6749 (5.2), and reveals nothing else."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body["error"] == error, body
    assert set(body) <= {"error", "error_description", "error_uri"}


def assert_nowhere(answer: httpx.Response, status: int = 400) -> None:
    """The answer is an error page that redirects nowhere."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    assert "location" not in answer.headers
    assert "refresh" not in answer.headers


def _without_none(sent: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in sent.items() if value is not None}
