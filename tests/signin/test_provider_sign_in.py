"""Signing in through an OpenID Connect provider: a real one that can be made to lie.

`provider.mjs` is the provider: the npm package oidc-provider in its own process.
"""

import html
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest
from visitor import browser, form_on, send_form, who_is_at

from conftest import Account, Server, make_account
from healthreports.app import now, open_database
from healthreports.core.vocabulary import AccountPermission, FactorDemand
from healthreports.service.auth import factors
from healthreports.service.auth.invitations import invite_as_operator
from healthreports.service.people.accounts import account_name
from healthreports.service.people.members import create_user, disable, named_user
from healthreports.settings import Settings
from healthreports.store.engine.database import Database
from healthreports.store.schema.upgrade import upgrade
from raw import execute

FOLDER = Path(__file__).parent
OLDEST_NODE = 20
CLIENT = "healthreports"
SECRET = "a-secret-of-the-client"
NAME = "Example & Sons"
LISTENS = "healthreports listens on http://"
CALLBACK = "/sign-in/callback"
LONG_AGO = 1_000_000_000
BUTTON = re.compile(r'<a class="button" href="(?P<address>[^"]+)">Sign in with (?P<name>[^<]+)</a>')
OwnServer = Callable[..., Server]
OwnAccount = Callable[[Server], Account]
_numbers = count(1)


def why_not() -> str:
    """What this machine lacks, or an empty string."""
    missing = [command for command in ("node", "npm") if shutil.which(command) is None]
    if missing:
        return f"no {' and no '.join(missing)} on this machine"
    version = subprocess.check_output(["node", "--version"], text=True).strip()
    old = int(version.removeprefix("v").partition(".")[0]) < OLDEST_NODE
    return f"Node.js {version} is older than {OLDEST_NODE}" if old else ""


WHY = why_not()

if WHY and os.environ.get("CI") != "true":
    pytest.skip(
        f"{WHY}: sign-in was not tried with an OpenID Connect provider", allow_module_level=True
    )


@dataclass
class Provider:
    """`provider.mjs` in its own process."""

    log: Path
    process: subprocess.Popen[str] | None = None
    issuer: str = ""

    def start(self, port: int = 0) -> "Provider":
        assert not WHY, WHY
        made = (FOLDER / "node_modules").is_dir()
        assert made, "`npm ci` in tests/signin was not run; make does it"
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                ["node", FOLDER / "provider.mjs"],
                env={**os.environ, "PORT": str(port)},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        self.issuer = self.process.stdout.readline().strip()
        assert self.issuer, self.log.read_text()
        return self

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate(timeout=20)
            self.process = None

    def knows(
        self, claims: dict[str, object], *, subject: str = "", only_there: bool = False, **lies
    ) -> str:
        """Add a person to the provider. Returns the person's subject."""
        subject = subject or f"subject-{next(_numbers)}"
        person = {"claims": claims, "only_there": only_there, "lies": lies or None}
        self._keep(f"people/{subject}", person)
        return subject

    def serves(self, server: Server, client_id: str = CLIENT, secret: str = SECRET) -> None:
        """Add a server as a client. A client without a secret authenticates with PKCE alone."""
        proof = {"client_secret": secret} if secret else {"token_endpoint_auth_method": "none"}
        client = {
            "client_id": client_id,
            "redirect_uris": [server.base + CALLBACK],
            "response_types": ["code"],
            **proof,
        }
        self._keep(f"clients/{client_id}", client)

    def _keep(self, path: str, entry: object) -> None:
        with httpx.Client(verify=False) as client:
            client.put(f"{self.issuer}/test/{path}", json=entry).raise_for_status()


@dataclass
class Site:
    """A server that signs people in through a provider."""

    server: Server
    provider: Provider

    def begin(self, at: httpx.Client, wanted: str = "/account") -> httpx.Response:
        """Go to the provider. Returns the page to which this leads."""
        return at.get("/sign-in/provider", params={"next": wanted})

    def way_back(
        self, at: httpx.Client, subject: str, wanted: str = "/account", **asked: str
    ) -> str:
        """The address to which the provider redirects after `subject` has signed in and agreed."""
        asked["next"] = wanted
        page = at.get("/sign-in/provider", params=asked, follow_redirects=False)
        return self._signed_in(at, subject, page)

    def _signed_in(self, at: httpx.Client, subject: str, page: httpx.Response) -> str:
        page = self._walk(at, page)
        while page.next_request is None:
            assert not str(page.url).startswith(self.server.base), page.text
            form = form_on(page)
            fields = form.fields | {"login": subject, "password": "not read"}
            page = at.post(form.action, data=fields, follow_redirects=False)
            page = self._walk(at, page)
        return str(page.next_request.url)

    def _walk(self, at: httpx.Client, page: httpx.Response) -> httpx.Response:
        """Follow redirects until the next one leads back to the server."""
        while page.next_request and not str(page.next_request.url).startswith(self.server.base):
            page = at.send(page.next_request, follow_redirects=False)
        return page

    def sign_in(
        self, at: httpx.Client, subject: str, wanted: str = "/account", **asked: str
    ) -> httpx.Response:
        """Sign in. Returns the page to which this leads."""
        return at.get(self.way_back(at, subject, wanted, **asked))

    def accept(
        self, at: httpx.Client, email: str, subject: str, account: int | None = None
    ) -> httpx.Response:
        """Accept an invitation as `subject`. Returns the page to which this leads."""
        return at.get(self.way_to_accept(at, email, subject, account))

    def way_to_accept(
        self, at: httpx.Client, email: str, subject: str, account: int | None = None
    ) -> str:
        with closing(open_database(Settings(database=str(self.server.database)))) as database:
            secret = database.write_here(
                lambda tx: invite_as_operator(tx, named_user(tx, email, account), now())
            )
        form = form_on(
            at.get("/welcome", params={"invitation": secret}),
            f"/welcome/provider?invitation={secret}",
        )
        page = at.post(form.action, data=form.fields, follow_redirects=False)
        return self._signed_in(at, subject, page)

    def joins(self, email: str, **lies: object) -> str:
        """Add a person who has accepted an invitation, and apply `lies`. Returns the subject."""
        return self.joins_in(email, None, **lies)

    def joins_in(self, email: str, account: int | None, **lies: object) -> str:
        """Do as above if several accounts have the e-mail address."""
        subject = self.provider.knows({})
        with browser(self.server) as at:
            self.accept(at, email, subject, account)
            assert who_is_at(at) == email
        if lies:
            self.provider.knows({}, subject=subject, **lies)
        return subject


def vouched(email_address: str) -> dict[str, object]:
    return {"email": email_address, "email_verified": True}


def name_of(database: Database, account: int) -> str:
    return database.read_here(lambda tx: account_name(tx, account))


def account_at(at: httpx.Client) -> str:
    """The name of the account that a browser is signed in to."""
    found = re.search(r"@\S+, Account (\d+)", at.get("/account").text)
    assert found
    return f"account-{found[1]}"


def assert_refused(page: httpx.Response, at: httpx.Client, *says: str) -> None:
    """The sign-in page is shown again, and nobody is signed in."""
    assert page.status_code == 401, page.text
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert 'role="alert"' in page.text
    for sentence in says:
        assert sentence in page.text
    assert who_is_at(at) is None


@pytest.fixture(scope="module")
def first_words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What a server with a provider writes to standard error, from its start to its stop."""
    path = tmp_path_factory.mktemp("words") / "test.sqlite3"
    upgrade(str(path))
    settings = settings_for("http://127.0.0.1:9") | {"HEALTHREPORTS_DATABASE": str(path)}
    with subprocess.Popen(
        [sys.executable, "-m", "healthreports", "serve", "--port", "0"],
        env=os.environ | settings,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        process.terminate()
        _, others = process.communicate(timeout=20)
    return [first, *others.splitlines()]


@pytest.fixture(scope="module")
def provider(
    tmp_path_factory: pytest.TempPathFactory, first_words: list[str]
) -> Iterator[Provider]:
    # `Server.start` would wait forever if the server's first lines were different.
    assert first_words[0].startswith(LISTENS), first_words
    running = Provider(tmp_path_factory.mktemp("provider") / "log").start()
    yield running
    running.stop()


def settings_for(issuer: str, client_id: str = CLIENT, secret: str = SECRET) -> dict[str, str]:
    return {
        "HEALTHREPORTS_OIDC_ISSUER": issuer,
        "HEALTHREPORTS_OIDC_CLIENT_ID": client_id,
        "HEALTHREPORTS_OIDC_CLIENT_SECRET": secret,
        "HEALTHREPORTS_OIDC_NAME": NAME,
    }


@pytest.fixture(scope="module")
def site(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    path = tmp_path_factory.mktemp("site") / "test.sqlite3"
    upgrade(str(path))
    server = Server(path, settings_for(provider.issuer)).start()
    provider.serves(server)
    yield Site(server, provider)
    errors = server.stop()
    assert "Traceback" not in errors, errors


@pytest.fixture(scope="module")
def site_database(site: Site) -> Iterator[Database]:
    with closing(open_database(Settings(database=str(site.server.database)))) as opened:
        yield opened


@pytest.fixture
def members(site: Site, site_database: Database) -> Iterator[Account]:
    """An account of the site."""
    made = make_account(site.server, site_database)
    yield made
    made.close()


@pytest.fixture
def email(members: Account) -> str:
    """The e-mail address of the editor."""
    return members.users["editor"].email_address


@pytest.fixture
def at(site: Site) -> Iterator[httpx.Client]:
    """A browser."""
    with browser(site.server) as opened:
        yield opened


@pytest.fixture
def other_browser(site: Site) -> Iterator[httpx.Client]:
    with browser(site.server) as opened:
        yield opened


def test_a_server_with_a_provider_says_where_it_listens_and_nothing_else(
    first_words: list[str],
) -> None:
    line, *others = first_words
    assert line.startswith(LISTENS)
    assert all(one.rstrip().endswith("INFO stopped") for one in others)


def test_a_known_person_signs_in_and_lands_where_it_wanted(
    site: Site, at: httpx.Client, email: str
) -> None:
    subject = site.joins(email)
    page = site.sign_in(at, subject, "/account?of=mine&n=1")
    assert page.status_code == 200
    assert str(page.url) == f"{site.server.base}/account?of=mine&n=1"
    assert who_is_at(at) == email


def test_who_asks_for_a_page_gets_it_after_signing_in(
    site: Site, at: httpx.Client, email: str
) -> None:
    subject = site.joins(email)
    asked = at.get("/account?tab=2")
    button = BUTTON.search(asked.text)
    assert button
    assert button["name"] == "Example &amp; Sons"
    page = at.get(html.unescape(button["address"]))
    assert str(page.url).startswith(site.provider.issuer)
    page = site.sign_in(at, subject, parse_qs(urlsplit(button["address"]).query)["next"][0])
    assert str(page.url) == f"{site.server.base}/account?tab=2"


def test_a_client_without_a_secret_is_enough(
    provider: Provider, own_server: OwnServer, own_account: OwnAccount
) -> None:
    server = own_server(**settings_for(provider.issuer, "public", ""))
    provider.serves(server, "public", "")
    email = own_account(server).users["viewer"].email_address
    with browser(server) as at:
        site = Site(server, provider)
        site.sign_in(at, site.joins(email))
        assert who_is_at(at) == email


def test_a_secret_may_have_any_character(
    provider: Provider, own_server: OwnServer, own_account: OwnAccount
) -> None:
    # RFC 6749, 2.3.1: the secret is encoded like a form value before it is joined to the id.
    secret = "a+b/c%41 d:e&f=g"
    server = own_server(**settings_for(provider.issuer, "odd", secret))
    provider.serves(server, "odd", secret)
    email = own_account(server).users["viewer"].email_address
    with browser(server) as at:
        site = Site(server, provider)
        site.sign_in(at, site.joins(email))
        assert who_is_at(at) == email


def test_the_provider_is_asked_with_a_state_a_nonce_and_a_challenge(
    site: Site, at: httpx.Client
) -> None:
    answers = [at.get("/sign-in/provider", follow_redirects=False) for _ in range(2)]
    first, second = (
        dict(parse_qsl(urlsplit(answer.headers["location"]).query)) for answer in answers
    )
    for once in ("state", "nonce", "code_challenge"):
        assert len(first[once]) >= 20
        assert first.pop(once) != second.pop(once), once
    assert first == {
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": site.server.base + CALLBACK,
        "scope": "openid",
        "code_challenge_method": "S256",
    }


def test_without_a_provider_there_is_no_button_and_nowhere_to_go(server: Server) -> None:
    with browser(server) as at:
        assert "/sign-in/provider" not in at.get("/sign-in").text
        for path in ("/sign-in/provider", f"{CALLBACK}?code=c&state=s"):
            page = at.get(path)
            assert (page.status_code, page.url.path) == (200, "/sign-in")
            assert len(page.history) == 1


def test_an_equal_address_opens_nothing(site: Site, at: httpx.Client, email: str) -> None:
    for claims in (vouched(email), vouched(email.upper()), {"email": email}):
        assert_refused(
            site.sign_in(at, site.provider.knows(claims)),
            at,
            "not signed in here with this provider",
        )


def test_who_accepted_an_invitation_is_known_by_its_subject_whatever_it_is_called(
    site: Site, at: httpx.Client, email: str
) -> None:
    subject = site.joins(email)
    site.provider.knows(vouched("elsewhere@example.net"), subject=subject)
    site.sign_in(at, subject)
    assert who_is_at(at) == email


def test_the_way_to_a_sign_in_accepts_no_invitation_that_was_left(
    site: Site, at: httpx.Client, email: str
) -> None:
    subject = site.provider.knows({})
    site.way_to_accept(at, email, subject)  # the last redirect is not followed
    assert_refused(site.sign_in(at, subject), at, "not signed in here with this provider")


def test_an_invitation_is_accepted_once(
    site: Site, at: httpx.Client, other_browser: httpx.Client, email: str
) -> None:
    there = site.way_to_accept(at, email, site.provider.knows({}))
    other_browser.cookies.update(at.cookies)
    at.get(there)
    assert who_is_at(at) == email
    assert_refused(other_browser.get(there), other_browser)


def test_an_identity_is_one_person_s_in_an_account(
    site: Site, at: httpx.Client, members: Account
) -> None:
    subject = site.joins(members.users["editor"].email_address)
    page = site.accept(at, members.users["viewer"].email_address, subject)
    assert_refused(page, at, "Another user of this account")


def test_an_identity_is_a_proof_in_each_account_that_it_accepted(
    site: Site, site_database: Database, at: httpx.Client, members: Account, email: str
) -> None:
    other = make_account(site.server, site_database)
    site_database.write_here(
        lambda tx: create_user(
            tx,
            other.id,
            full_name="The same person",
            email_address=email,
            permission=AccountPermission.COLLABORATOR,
            now=now(),
        )
    )
    subject = site.joins_in(email, members.id)
    names = [name_of(site_database, one) for one in (members.id, other.id)]
    for _ in range(2):
        page = site.sign_in(at, subject, account=names[1])
        assert_refused(page, at, "not signed in here with this provider")
        site.sign_in(at, subject)
        assert account_at(at) == names[0]
        at.cookies.clear()
    with browser(site.server) as accepting:
        site.accept(accepting, email, subject, other.id)
    page = site.sign_in(at, subject)
    assert_refused(page, at, "You are in several accounts here", *names)
    site.sign_in(at, subject, account=names[1])
    assert account_at(at) == names[1]
    other.close()


def test_a_disabled_user_is_refused(
    site: Site, at: httpx.Client, members: Account, email: str
) -> None:
    subject = site.joins(email)
    user = members.users["editor"]
    members.database.write_here(lambda tx: disable(tx, user, now(), disabled=True))
    assert_refused(site.sign_in(at, subject), at, "not signed in here with this provider")
    members.database.write_here(lambda tx: disable(tx, user, now(), disabled=False))
    site.sign_in(at, subject)
    assert who_is_at(at) == email


@pytest.mark.parametrize("began", [False, True], ids=["fresh", "on its own way"])
def test_the_way_back_of_one_browser_leads_no_other_in(
    site: Site, at: httpx.Client, other_browser: httpx.Client, email: str, began: bool
) -> None:
    way_back = site.way_back(at, site.joins(email))
    if began:
        site.begin(other_browser)
    assert_refused(other_browser.get(way_back), other_browser)
    at.get(way_back)
    assert who_is_at(at) == email


def test_a_way_back_that_was_gone_is_not_gone_again(
    site: Site, at: httpx.Client, email: str
) -> None:
    way_back = site.way_back(at, site.joins(email))
    at.get(way_back)
    assert at.get(way_back).status_code == 401
    assert who_is_at(at) == email


def test_a_code_works_once_even_for_who_has_the_cookies_too(
    site: Site, at: httpx.Client, other_browser: httpx.Client, email: str
) -> None:
    way_back = site.way_back(at, site.joins(email))
    other_browser.cookies.update(at.cookies)
    at.get(way_back)
    assert who_is_at(at) == email
    assert_refused(other_browser.get(way_back), other_browser)


@pytest.mark.parametrize(
    "wrong",
    [
        {"code": "made-up"},
        {"code": ""},
        {"code": None},
        {"state": "made-up"},
        {"state": ""},
        {"state": None},
        {"code": None, "state": None},
    ],
    ids=repr,
)
def test_a_code_or_state_that_is_not_right_is_refused(
    site: Site, at: httpx.Client, email: str, wrong: dict[str, str | None]
) -> None:
    way_back = httpx.URL(site.way_back(at, site.joins(email)))
    sent = {**way_back.params, **wrong}
    params = {name: value for name, value in sent.items() if value is not None}
    assert_refused(at.get(way_back.copy_with(params=params)), at, "did not confirm who you are")


def test_who_turns_back_at_the_provider_is_not_signed_in(site: Site, at: httpx.Client) -> None:
    page = site.begin(at)
    back = at.get(f"{page.url}/abort")
    assert back.url.params["error"] == "access_denied"
    assert_refused(back, at, "did not confirm who you are")


@pytest.mark.parametrize(
    "query",
    [
        "error=access_denied",
        "error=server_error&error_description=%3Cscript%3E&state=made-up",
        "error=%00&error_uri=javascript:alert(1)",
        "",
        "state=a&state=b&code=c&code=d",
    ],
)
def test_whatever_comes_back_is_answered_with_a_page(at: httpx.Client, query: str) -> None:
    page = at.get(f"{CALLBACK}?{query}")
    assert_refused(page, at)
    assert "<script>" not in page.text


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://example.net/",
        "//example.net/",
        "/\\example.net/",
    ],
)
def test_nobody_is_led_to_another_host(
    site: Site, at: httpx.Client, email: str, elsewhere: str
) -> None:
    page = site.sign_in(at, site.joins(email), elsewhere)
    assert str(page.url) == f"{site.server.base}/"


@pytest.mark.parametrize(("length", "kept"), [(1_000, True), (6_000, False)])
def test_a_long_way_to_the_page_that_was_wanted_still_fits_a_cookie(
    site: Site, at: httpx.Client, email: str, length: int, kept: bool
) -> None:
    wanted = "/account?".ljust(length, "x")
    page = site.sign_in(at, site.joins(email), wanted)
    assert str(page.url) == site.server.base + (wanted if kept else "/")
    begun = at.get("/sign-in/provider", params={"next": wanted}, follow_redirects=False)
    cookie = begun.headers["set-cookie"].partition(";")[0]
    assert len(cookie) <= 4096  # RFC 6265, 6.1: a browser need not store more
    assert who_is_at(at) == email


@pytest.mark.parametrize(
    "lies",
    [
        {"id_token": {"nonce": "of-another-request"}},
        {"id_token": {"nonce": None}},
        {"id_token": {"iss": "https://another.example"}},
        {"id_token": {"iss": None}},
        {"id_token": {"aud": "another-client"}},
        {"id_token": {"aud": [CLIENT, "another-client"], "azp": "another-client"}},
        {"id_token": {"exp": LONG_AGO}},
        {"id_token": {"iat": LONG_AGO * 10}},
        {"id_token": {"at_hash": "of-another-token"}},
        {"id_token": {"sub": None}},
        {"signed_by": "another"},
        {"signed_by": "nobody"},
        {"signed_by": "nobody", "header": {"alg": "none"}},
        {"signed_by": "the_public_key", "header": {"alg": "HS256"}},
        {"header": {"kid": "unknown"}},
        {"withheld": True},
    ],
    ids=repr,
)
def test_an_id_token_that_is_not_right_is_refused(
    site: Site, at: httpx.Client, email: str, lies: dict[str, object]
) -> None:
    subject = site.joins(email, **lies)
    assert_refused(site.sign_in(at, subject), at, "did not confirm who you are")


def test_an_id_token_that_the_test_signs_is_as_good_as_the_provider_s_own(
    site: Site, at: httpx.Client, email: str
) -> None:
    site.sign_in(at, site.joins(email, id_token={"name": "Ann"}))
    assert who_is_at(at) == email


def test_an_issuer_by_another_name_than_the_configured_one_is_refused(
    provider: Provider, own_server: OwnServer, own_account: OwnAccount
) -> None:
    server = own_server(**settings_for(provider.issuer.replace("127.0.0.1", "localhost"), "local"))
    provider.serves(server, "local")
    own_account(server)
    with browser(server) as at:
        site = Site(server, provider)
        # Nothing was sent to the addresses in the provider's document.
        assert_refused(site.begin(at), at, "did not confirm who you are")


def test_a_wrong_secret_of_the_client_is_answered_with_a_page_and_not_told(
    provider: Provider, own_server: OwnServer, own_account: OwnAccount
) -> None:
    server = own_server(**settings_for(provider.issuer, "another", "not-the-secret"))
    provider.serves(server, "another", "the-secret")
    email = own_account(server).users["viewer"].email_address
    site = Site(server, provider)
    with browser(server) as at:
        way_back = site.way_to_accept(at, email, provider.knows({}))
        assert_refused(at.get(way_back), at, "did not confirm who you are")
    log = server.stop()
    assert log.count("sign-in through the provider failed") == 1
    for hidden in ("Traceback", "not-the-secret", httpx.URL(way_back).params["code"], email):
        assert hidden not in log


@pytest.mark.usefixtures("provider")
def test_the_way_to_the_provider_is_limited_by_address(own_server: OwnServer) -> None:
    settings = settings_for(f"http://127.0.0.1:{free_port()}")
    server = own_server(HEALTHREPORTS_ADDRESS_REQUESTS_PER_MINUTE="4", **settings)
    with browser(server) as at:
        paths = ["/sign-in/provider", f"{CALLBACK}?code=made-up&state=made-up"] * 2
        assert [at.get(path).status_code for path in paths] == [401] * 4
        for path in paths[:2]:
            page = at.get(path)
            assert page.status_code == 429
            assert page.headers["content-type"] == "text/html; charset=utf-8"
            assert 1 <= int(page.headers["retry-after"]) <= 60
        assert at.get("/sign-in").status_code == 200


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        return listening.getsockname()[1]


@pytest.mark.usefixtures("provider")
def test_a_provider_may_come_and_go(
    own_server: OwnServer, own_account: OwnAccount, tmp_path: Path
) -> None:
    port = free_port()
    server = own_server(**settings_for(f"http://127.0.0.1:{port}"))
    email = own_account(server).users["viewer"].email_address
    provider = Provider(tmp_path / "log", issuer=f"http://127.0.0.1:{port}")
    site = Site(server, provider)
    try:
        with browser(server) as at:
            assert_refused(site.begin(at), at, "did not confirm who you are")
            provider.start(port)
            provider.serves(server)
            subject = site.joins(email)
            way_back = site.way_back(at, subject)
            provider.stop()
            assert_refused(at.get(way_back), at, "did not confirm who you are")
            provider.start(port)
            provider.serves(server)
            provider.knows({}, subject=subject)
            site.sign_in(at, subject)
            assert who_is_at(at) == email
    finally:
        provider.stop()
    assert "Traceback" not in server.stop()


# A second factor, and asking for a proof again


@pytest.mark.parametrize(
    ("methods", "is_enough"),
    [(["pwd", "mfa"], True), (["pwd"], False), (None, False)],
)
def test_a_second_factor_is_the_provider_s_where_it_says_so(
    site: Site,
    at: httpx.Client,
    members: Account,
    site_database: Database,
    methods: object,
    *,
    is_enough: bool,
) -> None:
    email = members.users["editor"].email_address
    subject = site.joins(email, id_token={"amr": methods})
    site_database.write_here(lambda tx: factors.demand_of(tx, members.id, FactorDemand.EVERYBODY))
    page = site.sign_in(at, subject, "/developers")
    assert page.url.path == ("/developers" if is_enough else "/sign-in/second")


def old_session(site: Site, at: httpx.Client, members: Account) -> tuple[str, httpx.Response]:
    """The subject, and the page that asks the editor, who has no password, for a new proof."""
    email = members.users["editor"].email_address
    subject = site.joins(email)
    site.sign_in(at, subject)
    execute(
        site.server.database,
        "UPDATE sessions SET proven_at = 0 WHERE user_id = ?",
        members.users["editor"].id,
    )
    page = send_form(at, at.get("/developers"), "/developers/tokens", name="mine", days="7")
    assert f"Confirm with {html.escape(NAME)}" in page.text
    return subject, page


def test_who_has_the_provider_alone_confirms_there(
    site: Site, at: httpx.Client, members: Account
) -> None:
    subject, _ = old_session(site, at, members)
    page = site.sign_in(at, subject, "/developers", again="yes")
    assert page.url.path == "/developers"
    page = send_form(at, page, "/developers/tokens", name="mine", days="7")
    assert "Your new token" in page.text


@pytest.mark.parametrize(
    "lies", [{"auth_time": 1_000_000_000}, {"auth_time": None}], ids=["long ago", "not said"]
)
def test_a_provider_that_did_not_ask_again_confirms_nothing(
    site: Site, at: httpx.Client, members: Account, lies: dict[str, object]
) -> None:
    subject, _ = old_session(site, at, members)
    site.provider.knows({}, subject=subject, id_token=lies)
    assert site.sign_in(at, subject, "/developers", again="yes").status_code == 401
    page = send_form(at, at.get("/developers"), "/developers/tokens", name="mine", days="7")
    assert f"Confirm with {html.escape(NAME)}" in page.text


def test_somebody_else_at_the_provider_confirms_nothing(
    site: Site, at: httpx.Client, members: Account
) -> None:
    old_session(site, at, members)
    other = site.joins(members.users["viewer"].email_address)
    answer = at.get(site.way_back(at, other, "/developers", again="yes"))
    assert answer.status_code == 401
    assert "a different user" in answer.text
