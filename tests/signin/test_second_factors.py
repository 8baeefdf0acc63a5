"""Second factors: who is asked for one, single use, asking again, and who must have one."""

import html
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import httpx
import pyotp
import pytest
from argon2 import PasswordHasher
from authenticator import Authenticator
from visitor import Form, all_forms, browser, form_on, send_form, who_is_at

from conftest import Account, Server, make_account
from healthreports.app import now, open_database
from healthreports.core.model import Instant
from healthreports.core.vocabulary import (
    CHALLENGE_LASTS_S,
    HALF_SIGN_IN_S,
    PROOF_LASTS_S,
    RECOVERY_CODES,
    SECOND_US,
    AccountPermission,
    FactorDemand,
    FactorKind,
)
from healthreports.service.auth import factors
from healthreports.service.auth.invitations import invite_as_operator
from healthreports.service.auth.passkeys import Passkeys, new_challenge
from healthreports.service.people import members as people
from healthreports.settings import Settings
from healthreports.store.auth import credentials
from healthreports.store.auth import factors as stored
from healthreports.store.engine.database import Database
from healthreports.store.people import accounts
from healthreports.store.schema.upgrade import upgrade
from raw import execute

pytestmark = pytest.mark.one_store

PASSWORD = "correct horse battery"
_addresses = count(1)


def elsewhere() -> str:
    """A client address that no other test uses, so that tests do not share rate limits."""
    number = next(_addresses)
    return f"198.51.{number // 250}.{number % 250 + 1}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path = tmp_path_factory.mktemp("factors") / "test.sqlite3"
    upgrade(str(path))
    settings = {
        "HEALTHREPORTS_TRUSTED_PROXIES": "127.0.0.1",
        "HEALTHREPORTS_PUBLIC_URL": "http://localhost:8000",
    }
    server = Server(path, settings).start()
    yield server
    errors = server.stop()
    assert "Traceback" not in errors, errors


@pytest.fixture(scope="module")
def site_database(site: Server) -> Iterator[Database]:
    with closing(open_database(Settings(database=str(site.database)))) as opened:
        yield opened


@pytest.fixture(scope="module")
def hashed() -> str:
    return PasswordHasher().hash(PASSWORD)


@dataclass
class Members:
    account: Account
    database: Database
    path: Path

    def email(self, role: str) -> str:
        return self.account.users[role].email_address

    def give_totp(self, role: str = "editor") -> tuple[str, list[str]]:
        """Give a user a TOTP factor. Returns its secret and its recovery codes."""
        secret = factors.new_totp_secret()
        # The code of the previous time step was used to set it up.
        before = Instant(now() - 30 * SECOND_US)
        made = factors.made_totp("phone", secret, code_of(secret, -1), before)
        user = self.account.users[role]
        return secret, self.database.write_here(lambda tx: factors.store(tx, user, made, now()))

    def demand(self, of: FactorDemand) -> None:
        self.database.write_here(lambda tx: factors.demand_of(tx, self.account.id, of))

    def age_sessions(self, role: str, seconds: float) -> None:
        """Move the times of a user's sessions back by so many seconds."""
        user_id, us = self.account.users[role].id, int(seconds * SECOND_US)
        changes = ", ".join(
            f"{name} = {name} - {us}" for name in ("created_at", "expires_at", "proven_at")
        )
        execute(self.path, f"UPDATE sessions SET {changes} WHERE user_id = {user_id}")


@pytest.fixture
def members(site: Server, site_database: Database, hashed: str) -> Iterator[Members]:
    account = make_account(site, site_database)
    made = Members(account, site_database, Path(site.database))
    for role in ("editor", "administrator"):
        user = account.users[role]
        site_database.write_here(
            lambda tx, user=user: credentials.store_password(
                tx, user.account_id, user.id, hashed, now()
            )
        )
    yield made
    account.close()


@pytest.fixture
def at(site: Server) -> Iterator[httpx.Client]:
    with browser(site, elsewhere()) as opened:
        yield opened


def code_of(secret: str, steps: int = 0) -> str:
    """The code that an authenticator app shows, so many time steps from now."""
    return pyotp.TOTP(secret).generate_otp(int(time.time()) // 30 + steps)


def enter(at: httpx.Client, email: str, wanted: str = "/account") -> httpx.Response:
    """Enter the right password. Returns the page to which this leads."""
    page = at.get("/sign-in", params={"next": wanted})
    return send_form(at, page, "/sign-in", email_address=email, password=PASSWORD)


def finish(at: httpx.Client, page: httpx.Response, code: str) -> httpx.Response:
    return send_form(at, page, "/sign-in/second", code=code)


def options_in(page: httpx.Response, what: str = "use") -> str:
    """The options that a page passes to an authenticator."""
    [found] = re.findall(rf'data-passkey="{what}"[^>]*data-options="([^"]*)"', page.text)
    return html.unescape(found)


def add_passkey(at: httpx.Client, device: Authenticator) -> httpx.Response:
    page = at.get("/account/factors")
    sent = [one for one in forms_with(page, "passkey") if one.action.endswith("/account/factors")]
    answer = device.make(options_in(page, "make"))
    return at.post(sent[0].action, data=sent[0].fields | {"passkey": answer, "name": "laptop"})


def forms_with(page: httpx.Response, name: str) -> list[Form]:
    return [one for one in all_forms(page) if name in one.fields]


def here() -> Authenticator:
    return Authenticator("http://localhost:8000")


# After the password


def test_who_has_no_second_factor_is_let_in_by_the_password(
    at: httpx.Client, members: Members
) -> None:
    assert enter(at, members.email("editor")).url.path == "/account"


def test_a_password_alone_opens_nothing_for_who_has_one(at: httpx.Client, members: Members) -> None:
    members.give_totp()
    page = enter(at, members.email("editor"), "/developers")
    assert page.url.path == "/sign-in/second"
    assert who_is_at(at) is None
    assert at.get("/").url.path == "/sign-in"


def test_the_code_leads_to_where_one_wanted(at: httpx.Client, members: Members) -> None:
    secret, _ = members.give_totp()
    page = finish(at, enter(at, members.email("editor"), "/developers"), code_of(secret))
    assert page.url.path == "/developers"
    assert who_is_at(at) == members.email("editor")


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(lambda _: "", id="none"),
        pytest.param(lambda _: "000000", id="wrong"),
        pytest.param(lambda secret: code_of(secret, -3), id="of before"),
        pytest.param(lambda secret: code_of(secret, 2), id="of later"),
        pytest.param(lambda secret: secret, id="the secret itself"),
        pytest.param(lambda _: "\uff11\uff12\uff13\uff14\uff15\uff16", id="other digits"),
        pytest.param(lambda _: "x" * 10_000, id="long"),
    ],
)
def test_a_code_that_is_not_right_opens_nothing(
    at: httpx.Client, members: Members, code: Callable[[str], str]
) -> None:
    secret, _ = members.give_totp()
    page = finish(at, enter(at, members.email("editor")), code(secret))
    assert page.status_code == 401
    assert "not correct" in page.text
    assert who_is_at(at) is None


def test_a_code_is_good_once(site: Server, at: httpx.Client, members: Members) -> None:
    secret, _ = members.give_totp()
    code = code_of(secret)
    assert finish(at, enter(at, members.email("editor")), code).url.path == "/account"
    with browser(site, elsewhere()) as other:
        assert finish(other, enter(other, members.email("editor")), code).status_code == 401
        assert who_is_at(other) is None


def test_a_recovery_code_is_good_once(site: Server, at: httpx.Client, members: Members) -> None:
    _, codes = members.give_totp()
    assert len(set(codes)) == RECOVERY_CODES
    page = finish(at, enter(at, members.email("editor")), codes[3].lower())
    assert "with a recovery code" in page.text
    assert f"{RECOVERY_CODES - 1} recovery codes are left" in page.text
    with browser(site, elsewhere()) as other:
        assert finish(other, enter(other, members.email("editor")), codes[3]).status_code == 401


def test_no_recovery_code_stands_in_the_database(members: Members) -> None:
    _, codes = members.give_totp()
    raw = members.path.read_bytes() + Path(f"{members.path}-wal").read_bytes()
    for one in codes:
        assert one.encode() not in raw
        assert one.replace("-", "").encode() not in raw


def test_guesses_end_whatever_address_they_come_from(site: Server, members: Members) -> None:
    secret, _ = members.give_totp()
    answers = []
    for _ in range(11):
        with browser(site, elsewhere()) as other:
            # The password is right; it has its own limit.
            answers.append(finish(other, enter(other, members.email("editor")), "000000"))
    assert [one.status_code for one in answers] == [401] * 10 + [429]
    with browser(site, elsewhere()) as other:
        right = finish(other, enter(other, members.email("editor")), code_of(secret))
        assert right.status_code == 429


def test_half_a_sign_in_does_not_wait_for_ever(at: httpx.Client, members: Members) -> None:
    secret, _ = members.give_totp()
    page = enter(at, members.email("editor"))
    members.age_sessions("editor", HALF_SIGN_IN_S)
    assert finish(at, page, code_of(secret)).url.path == "/sign-in"
    assert at.get("/sign-in/second").url.path == "/sign-in"


def test_a_stranger_is_asked_for_the_password_first(at: httpx.Client) -> None:
    page = at.get("/sign-in/second", params={"next": "/developers"})
    assert page.url.path == "/sign-in"
    assert page.url.params["next"] == "/developers"


def test_half_a_session_is_no_session(at: httpx.Client, members: Members) -> None:
    """Until the second factor is given, no session exists."""
    members.give_totp()
    enter(at, members.email("editor"))
    user = members.account.users["editor"]
    seen = members.database.read_here(lambda tx: credentials.sessions_of(tx, user.id, now()))
    assert seen == []


# Passkeys


def signed_in(at: httpx.Client, members: Members, role: str = "editor") -> None:
    assert enter(at, members.email(role)).url.path == "/account"


def test_a_passkey_follows_the_password_or_stands_alone(
    site: Server, at: httpx.Client, members: Members
) -> None:
    device = here()
    signed_in(at, members)
    codes = add_passkey(at, device)
    assert codes.text.count("-") >= RECOVERY_CODES
    with browser(site, elsewhere()) as other:
        page = enter(other, members.email("editor"), "/developers")
        answer = device.use(options_in(page))
        page = send_form(other, page, "/sign-in/second", passkey=answer)
        assert page.url.path == "/developers"
    with browser(site, elsewhere()) as other:
        page = other.get("/sign-in", params={"next": "/developers"})
        page = send_form(other, page, "/sign-in/passkey", passkey=device.use(options_in(page)))
        assert page.url.path == "/developers"
        assert who_is_at(other) == members.email("editor")


LIES: dict[str, Callable[[Authenticator], None]] = {
    "another origin": lambda device: setattr(device, "origin", "https://evil.example"),
    "another server": lambda device: setattr(device, "rp_id", "evil.example"),
    "nobody verified": lambda device: setattr(device, "verifies", False),
    "another key": lambda device: setattr(device, "key", here().key),
    "another passkey": lambda device: setattr(device, "credential_id", b"x" * 32),
    "a counter set back": lambda device: setattr(device, "counter", 0),
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("alone", [True, False])
def test_an_answer_that_lies_opens_nothing(
    site: Server, at: httpx.Client, members: Members, lie: str, *, alone: bool
) -> None:
    device = here()
    device.counter = 5
    signed_in(at, members)
    add_passkey(at, device)
    LIES[lie](device)
    with browser(site, elsewhere()) as other:
        page = other.get("/sign-in") if alone else enter(other, members.email("editor"))
        action = "/sign-in/passkey" if alone else "/sign-in/second"
        answer = send_form(other, page, action, passkey=device.use(options_in(page)))
        assert answer.status_code == 401
        assert who_is_at(other) is None


@pytest.mark.parametrize("lie", ["another origin", "another server", "nobody verified"])
def test_a_passkey_that_lies_is_not_added(at: httpx.Client, members: Members, lie: str) -> None:
    device = here()
    LIES[lie](device)
    signed_in(at, members)
    assert add_passkey(at, device).status_code == 422
    assert (
        members.database.read_here(
            lambda tx: factors.of_user(tx, members.account.users["editor"].id)
        )
        == []
    )


NOT_ANSWERS = ["{}", "[]", "null", "x", "", '{"id": 1}', "[" * 10_000, "x" * 30_000]


@pytest.mark.parametrize("sent", NOT_ANSWERS, ids=range(len(NOT_ANSWERS)))
def test_what_is_no_answer_is_refused(
    site: Server, at: httpx.Client, members: Members, sent: str
) -> None:
    device = here()
    signed_in(at, members)
    add_passkey(at, device)
    with browser(site, elsewhere()) as other:
        page = other.get("/sign-in")
        assert send_form(other, page, "/sign-in/passkey", passkey=sent).status_code == 401
        page = enter(other, members.email("editor"))
        assert send_form(other, page, "/sign-in/second", passkey=sent).status_code == 401


def test_an_answer_that_was_overheard_is_good_once(
    site: Server, at: httpx.Client, members: Members
) -> None:
    device = here()
    signed_in(at, members)
    add_passkey(at, device)
    with browser(site, elsewhere()) as other:
        page = other.get("/sign-in")
        cookies = dict(other.cookies)
        answer = device.use(options_in(page))
        form = next(one for one in all_forms(page) if one.action.endswith("/sign-in/passkey"))
        sent = form.fields | {"passkey": answer}
        assert other.post(form.action, data=sent).url.path == "/"
        # An attacker who has everything that was sent, including the cookie, is too late.
        with browser(site, elsewhere()) as thief:
            thief.cookies.update(cookies)
            assert thief.post(form.action, data=sent).status_code == 401


def test_a_challenge_does_not_last(at: httpx.Client, members: Members) -> None:
    """The passkey library verifies the answer; our code limits the age of a challenge."""
    device = here()
    signed_in(at, members)
    add_passkey(at, device)
    passkeys = Passkeys("http://localhost:8000")
    made_at = now()
    challenge = new_challenge(made_at)
    answer = device.use(passkeys.to_use((), challenge))
    user_id = members.account.users["editor"].id
    [kept] = [
        one
        for one in members.database.read_here(lambda tx: stored.of_user(tx, user_id))
        if one.credential_id
    ]
    last = Instant(made_at + CHALLENGE_LASTS_S * SECOND_US)
    for moment, counter in ((Instant(last - 1), device.counter), (last, None)):
        used = passkeys.used(answer, challenge, kept.secret, kept.counter, moment)
        assert used == counter


def test_nobody_takes_a_passkey_of_somebody_else(
    site: Server, at: httpx.Client, members: Members
) -> None:
    """The editor's passkey cannot finish the administrator's sign-in, nor be added there."""
    device = here()
    signed_in(at, members)
    add_passkey(at, device)
    members.give_totp("administrator")
    with browser(site, elsewhere()) as other:
        page = enter(other, members.email("administrator"))
        own = Passkeys("http://localhost:8000").to_use((), new_challenge(now()))
        answer = send_form(other, page, "/sign-in/second", passkey=device.use(own))
        assert answer.status_code == 401
    with browser(site, elsewhere()) as other:
        members.database.write_here(
            lambda tx: factors.reset(tx, members.account.users["administrator"])
        )
        signed_in(other, members, "administrator")
        assert add_passkey(other, device).status_code == 422


def test_who_is_disabled_is_not_let_in_by_a_passkey(
    site: Server, at: httpx.Client, members: Members
) -> None:
    device = here()
    signed_in(at, members)
    add_passkey(at, device)
    editor = members.account.users["editor"]
    members.database.write_here(lambda tx: people.disable(tx, editor, now(), disabled=True))
    with browser(site, elsewhere()) as other:
        page = other.get("/sign-in")
        page = send_form(other, page, "/sign-in/passkey", passkey=device.use(options_in(page)))
        assert page.status_code == 401


ORIGINS = [
    ("https://reports.example.org", "reports.example.org"),
    ("https://reports.example.org:8443", "reports.example.org"),
    ("http://localhost:8000", "localhost"),
    ("http://reports.example.org", None),
    ("http://127.0.0.1:8000", None),
    ("https://192.0.2.1", None),
    ("https://[2001:db8::1]", None),
]


@pytest.mark.parametrize(("origin", "name"), ORIGINS)
def test_where_browsers_have_passkeys(origin: str, name: str | None) -> None:
    assert Passkeys(origin).here == name


# Asking for a proof again

ASKED_AGAIN = [
    ("/developers", "/developers/tokens", {"name": "mine", "scope": "read", "days": "7"}),
    (
        "/account/applications",
        "/account/applications",
        {"name": "x", "redirect_uris": "https://x.example/"},
    ),
    ("/settings", "/settings/second-factor", {"second_factor": "nobody"}),
    (
        "/people",
        "/people",
        {"full_name": "N", "email_address": "new@example.org", "permission": "administrator"},
    ),
]


@pytest.mark.parametrize(
    ("place", "action", "sent"), ASKED_AGAIN, ids=[one[1] for one in ASKED_AGAIN]
)
def test_what_gives_power_away_asks_again_and_then_does_it(
    at: httpx.Client, members: Members, place: str, action: str, sent: dict[str, str]
) -> None:
    signed_in(at, members, "administrator")
    members.age_sessions("administrator", PROOF_LASTS_S)
    before = events(members)
    page = send_form(at, at.get(place), action, **sent)
    assert "Confirm that it is you" in page.text
    assert events(members) == before
    wrong = send_form(at, page, action, proof_password="not the one it is")
    assert wrong.status_code == 422
    assert events(members) == before
    done = send_form(at, wrong, action, proof_password=PASSWORD)
    assert done.status_code == 200
    assert "Confirm that it is you" not in done.text
    # The proof is valid for some minutes.
    assert "Confirm" not in send_form(at, at.get(place), action, **sent).text


def test_who_has_a_second_factor_confirms_with_it(at: httpx.Client, members: Members) -> None:
    secret, _ = members.give_totp()
    finish(at, enter(at, members.email("editor")), code_of(secret))
    members.age_sessions("editor", PROOF_LASTS_S)
    page = send_form(at, at.get("/developers"), "/developers/tokens", name="mine", days="7")
    assert "proof_password" not in page.text
    page = send_form(at, page, "/developers/tokens", proof_password=PASSWORD, proof_code="")
    assert "Confirm that it is you" in page.text
    # The code of this moment was used to sign in.
    execute(members.path, "UPDATE factors SET counter = 0")
    page = send_form(at, page, "/developers/tokens", proof_code=code_of(secret))
    assert "Your new token" in page.text


def test_what_reads_and_reports_asks_nobody_again(at: httpx.Client, members: Members) -> None:
    signed_in(at, members)
    members.age_sessions("editor", PROOF_LASTS_S * 3)
    page = at.get("/account")
    assert send_form(at, page, "/account/profile", full_name="Another name").status_code == 200


# Adding and removing


def test_an_application_is_added_with_the_code_it_shows(at: httpx.Client, members: Members) -> None:
    signed_in(at, members)
    page = at.get("/account/factors")
    secret = secret_on(page)
    assert "<svg" in page.text
    [form] = [one for one in all_forms(page) if "code" in one.fields]
    wrong = at.post(form.action, data=form.fields | {"code": "000000"})
    assert wrong.status_code == 422
    assert secret_on(wrong) == secret
    [form] = [one for one in all_forms(wrong) if "code" in one.fields]
    codes = at.post(form.action, data=form.fields | {"code": code_of(secret), "name": "phone"})
    assert "Recovery codes" in codes.text
    page = at.get("/account")
    assert ">phone<" in page.text
    assert secret_on(at.get("/account/factors")) != secret


def test_with_the_last_one_go_the_codes(at: httpx.Client, members: Members) -> None:
    secret, _ = members.give_totp()
    page = finish(at, enter(at, members.email("editor")), code_of(secret))
    [action] = re.findall(r'action="(/account/factors/\d+/remove)"', page.text)
    send_form(at, page, action)
    user = members.account.users["editor"]
    assert members.database.read_here(lambda tx: stored.of_user(tx, user.id)) == []


def test_nobody_removes_one_of_somebody_else(at: httpx.Client, members: Members) -> None:
    members.give_totp("administrator")
    [of_other] = members.database.read_here(
        lambda tx: factors.of_user(tx, members.account.users["administrator"].id)
    )
    secret, _ = members.give_totp()
    page = finish(at, enter(at, members.email("editor")), code_of(secret))
    [action] = re.findall(r'action="(/account/factors/\d+/remove)"', page.text)
    form = form_on(page, action)
    path = form.action.replace(action, f"/account/factors/{of_other.id}/remove")
    assert at.post(path, data=form.fields).status_code == 404
    assert members.database.read_here(
        lambda tx: factors.of_user(tx, members.account.users["administrator"].id)
    )


def test_new_codes_take_the_place_of_the_old(at: httpx.Client, members: Members) -> None:
    secret, old = members.give_totp()
    page = finish(at, enter(at, members.email("editor")), code_of(secret))
    page = send_form(at, page, "/account/factors/codes")
    new = re.search(r'class="secret codes">([^<]*)<', page.text)[1].split()
    assert len(new) == RECOVERY_CODES
    assert not set(new) & set(old)


# What an account requires

DEMANDED = {
    FactorDemand.NOBODY: {"administrator": False, "editor": False},
    FactorDemand.ADMINISTRATORS: {"administrator": True, "editor": False},
    FactorDemand.EVERYBODY: {"administrator": True, "editor": True},
}


@pytest.mark.parametrize("of", FactorDemand)
@pytest.mark.parametrize("role", ["administrator", "editor"])
def test_of_whom_an_account_demands_one(
    site: Server, at: httpx.Client, members: Members, of: FactorDemand, role: str
) -> None:
    signed_in(at, members, role)
    members.demand(of)
    is_demanded = DEMANDED[of][role]
    # A session that was opened with a password alone ends at once.
    assert (who_is_at(at) is None) == is_demanded
    with browser(site, elsewhere()) as other:
        page = enter(other, members.email(role))
        assert (page.url.path == "/sign-in/second") == is_demanded
        if is_demanded:
            assert "Set up a second factor" in page.text
            secret = secret_on(page)
            [form] = [one for one in all_forms(page) if "code" in one.fields]
            codes = other.post(form.action, data=form.fields | {"code": code_of(secret)})
            assert "Recovery codes" in codes.text
            assert who_is_at(other) == members.email(role)


def test_a_password_alone_sets_up_no_second_one(at: httpx.Client, members: Members) -> None:
    """A user who has a factor is asked for it; setting up a first factor does not bypass this."""
    members.give_totp()
    page = enter(at, members.email("editor"))
    form = form_on(page, "/sign-in/second")
    own = factors.new_totp_secret()
    sent = form.fields | {"code": code_of(own), "totp_secret": own}
    answer = at.post(f"{form.action}/new", data=sent)
    assert answer.status_code == 422
    assert who_is_at(at) is None


def test_who_becomes_an_administrator_needs_one_too(at: httpx.Client, members: Members) -> None:
    members.demand(FactorDemand.ADMINISTRATORS)
    signed_in(at, members)
    editor = members.account.users["editor"]
    members.database.write_here(
        lambda tx: people.change_permission(tx, editor, AccountPermission.ADMINISTRATOR, now())
    )
    assert who_is_at(at) is None


def test_who_demands_one_has_one(at: httpx.Client, members: Members) -> None:
    signed_in(at, members, "administrator")
    for of, status in ((FactorDemand.ADMINISTRATORS, 422), (FactorDemand.NOBODY, 200)):
        page = at.get("/settings")
        page = send_form(at, page, "/settings/second-factor", second_factor=of)
        assert page.status_code == status
    secret = members.give_totp("administrator")[0]
    at.post("/sign-out", data=form_on(at.get("/account"), "/sign-out").fields)
    finish(at, enter(at, members.email("administrator")), code_of(secret))
    page = at.get("/settings")
    page = send_form(at, page, "/settings/second-factor", second_factor=FactorDemand.EVERYBODY)
    assert page.status_code == 200
    assert who_is_at(at) == members.email("administrator")
    account_id = members.account.id
    demanded = members.database.read_here(lambda tx: accounts.second_factor(tx, account_id))
    assert demanded is FactorDemand.EVERYBODY


def test_the_last_one_stays_where_one_is_demanded(at: httpx.Client, members: Members) -> None:
    secret, _ = members.give_totp()
    members.demand(FactorDemand.EVERYBODY)
    page = finish(at, enter(at, members.email("editor")), code_of(secret))
    [action] = re.findall(r'action="(/account/factors/\d+/remove)"', page.text)
    assert send_form(at, page, action).status_code == 422
    assert "Add another before" in send_form(at, page, action).text


def test_an_invitation_takes_the_place_of_what_was_lost(at: httpx.Client, members: Members) -> None:
    members.give_totp()
    editor = members.account.users["editor"]
    secret = members.database.write_here(lambda tx: invite_as_operator(tx, editor, now()))
    page = at.get("/welcome", params={"invitation": secret})
    [form] = [one for one in all_forms(page) if "password" in one.fields]
    page = at.post(form.action, data=form.fields | {"password": "an entirely new horse, too"})
    assert page.url.path == "/"
    assert members.database.read_here(lambda tx: factors.of_user(tx, editor.id)) == []


def test_every_kind_has_its_place() -> None:
    """A new kind must be stored in the table, or be excluded here."""
    kept = {FactorKind.PASSKEY, FactorKind.TOTP, FactorKind.RECOVERY_CODE}
    assert set(FactorKind) - kept == {FactorKind.PROVIDER}


def events(members: Members) -> int:
    found = execute(
        members.path, f"SELECT count(*) FROM audit_events WHERE account_id = {members.account.id}"
    )
    return found[0][0]


def secret_on(page: httpx.Response) -> str:
    return re.search(r'<code class="secret">([A-Z2-7 ]+)</code>', page.text)[1].replace(" ", "")
