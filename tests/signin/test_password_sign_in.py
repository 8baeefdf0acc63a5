"""Signing in with a password: who is admitted, how many guesses are allowed, what is stored."""

import asyncio
import base64
import html
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import count

import httpx
import pytest
from argon2 import PasswordHasher, Type, extract_parameters
from visitor import browser, form_on, send_form, who_is_at

from command_line import execute
from conftest import Account, Server, make_account
from healthreports.app import now, open_database
from healthreports.core.errors import Invalid, SignInRefused, Unauthenticated
from healthreports.core.model import Actor, Instant, User
from healthreports.core.vocabulary import DAY_US, DEFAULT_SESSION_DAYS
from healthreports.service.auth import sessions, sign_in
from healthreports.service.auth.sessions import Lasting, Visitor
from healthreports.service.limits import MEMORY, Limits
from healthreports.service.people.accounts import account_name
from healthreports.service.people.members import disable
from healthreports.settings import Settings
from healthreports.store.auth import credentials
from healthreports.store.engine.database import Database
from healthreports.store.schema.upgrade import upgrade

PASSWORD = "correct horse battery"
NEW = "a new horse, another battery"
# Longer than a password may be, so that it is refused without the cost of a hash.
GUESS = "x" * 1001
QUARTER_HOUR_S = 900
_addresses = count(1)


def elsewhere() -> str:
    """A client address that no other test uses, so that tests do not share rate limits."""
    number = next(_addresses)
    return f"198.51.{number // 250}.{number % 250 + 1}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path = tmp_path_factory.mktemp("passwords") / "test.sqlite3"
    upgrade(str(path))
    server = Server(path, {"HEALTHREPORTS_TRUSTED_PROXIES": "127.0.0.1"}).start()
    yield server
    errors = server.stop()
    assert "Traceback" not in errors, errors


@pytest.fixture(scope="module")
def site_database(site: Server) -> Iterator[Database]:
    with closing(open_database(Settings(database=str(site.database)))) as opened:
        yield opened


@dataclass
class Members:
    """An account of the site; its editor has a password."""

    account: Account
    database: Database

    def email(self, role: str) -> str:
        return self.account.users[role].email_address

    def give(self, role: str, password: str) -> str:
        """Set a user's password. Returns the e-mail address."""
        user = self.account.users[role]
        self.database.write_here(lambda tx: sign_in.set_password(tx, user, password, now()))
        return user.email_address

    def keep(self, role: str, hashed: str) -> str:
        """Store a hash as a user's password. Returns the e-mail address."""
        user = self.account.users[role]
        self.database.write_here(
            lambda tx: credentials.store_password(tx, user.account_id, user.id, hashed, now())
        )
        return user.email_address

    def disable(self, role: str, *, disabled: bool = True) -> None:
        user = self.account.users[role]
        self.database.write_here(lambda tx: disable(tx, user, now(), disabled=disabled))


@pytest.fixture(scope="module")
def hashed() -> str:
    """The hash of `PASSWORD`, computed once."""
    return PasswordHasher().hash(PASSWORD)


@pytest.fixture
def members(site: Server, site_database: Database, hashed: str) -> Iterator[Members]:
    account = make_account(site, site_database)
    made = Members(account, site_database)
    made.keep("editor", hashed)
    yield made
    account.close()


@pytest.fixture
def at(site: Server) -> Iterator[httpx.Client]:
    """A browser."""
    with browser(site, elsewhere()) as opened:
        yield opened


def enter(
    at: httpx.Client, email: str, password: str = PASSWORD, wanted: str = "/account"
) -> httpx.Response:
    """Fill in the sign-in form. Returns the page to which this leads."""
    page = at.get("/sign-in", params={"next": wanted})
    return send_form(at, page, email_address=email, password=password)


def guess(site: Server, email: str, times: int = 1, address: str = "", **more: str) -> list[int]:
    """Guess a password, each time from another address unless one is given."""
    statuses = []
    for _ in range(times):
        with browser(site, address or elsewhere()) as at:
            page = at.get("/sign-in", params={"next": "/account"})
            sent = {"email_address": email, "password": GUESS, **more}
            statuses.append(send_form(at, page, **sent).status_code)
    return statuses


def test_who_knows_the_password_lands_where_it_wanted(at: httpx.Client, members: Members) -> None:
    page = enter(at, members.email("editor"), wanted="/account?of=mine")
    assert page.status_code == 200
    assert page.url.raw_path == b"/account?of=mine"
    assert who_is_at(at) == members.email("editor")
    assert at.get("/sign-in?next=/account%3Fa").url.raw_path == b"/account?a"


def test_the_cookie_is_kept_from_scripts_and_from_forms_of_other_sites(
    at: httpx.Client, members: Members
) -> None:
    [entered] = enter(at, members.email("editor")).history
    attributes = entered.headers["set-cookie"].lower().split("; ")[1:]
    assert {
        "httponly",
        "samesite=lax",
        "path=/",
        f"max-age={DEFAULT_SESSION_DAYS * 86_400}",
    } <= set(attributes)


@pytest.mark.parametrize(
    "write",
    [str.upper, str.title, "  {}".format, "{}\t ".format],
    ids=["upper case", "mixed case", "blanks before", "blanks behind"],
)
def test_case_and_blanks_of_the_address_do_not_matter(
    at: httpx.Client, members: Members, write: Callable[[str], str]
) -> None:
    enter(at, write(members.email("editor")))
    assert who_is_at(at) == members.email("editor")


def without_what_differs(page: httpx.Response, email: str) -> str:
    """The text of a sign-in page without the tokens of its form and the e-mail address typed in."""
    text = page.text.replace(html.escape(email), "")
    for name in ("csrf", "once"):
        text = text.replace(form_on(page).fields[name], "")
    return text


@pytest.mark.parametrize(
    ("role", "password"),
    [
        ("editor", "another horse battery"),
        ("editor", f"{PASSWORD}\n"),
        ("editor", ""),
        ("viewer", PASSWORD),
        ("outsider", PASSWORD),
        (None, PASSWORD),
    ],
    ids=[
        "wrong",
        "line end behind",
        "nothing",
        "user without a password",
        "disabled user",
        "unknown",
    ],
)
def test_who_is_not_let_in_does_not_learn_why(
    at: httpx.Client, members: Members, hashed: str, role: str | None, password: str
) -> None:
    members.keep("outsider", hashed)
    members.disable("outsider")
    email = members.email(role) if role else "nobody@example.net"
    page = enter(at, email, password)
    assert page.status_code == 401
    assert form_on(page).fields["email_address"] == email
    assert who_is_at(at) is None
    wrong = enter(at, members.email("editor"), GUESS)
    assert "Incorrect e-mail or password." in wrong.text
    assert without_what_differs(page, email) == without_what_differs(wrong, members.email("editor"))
    assert dict(page.headers).keys() == dict(wrong.headers).keys()


def test_a_page_does_not_show_the_password_or_markup_that_was_typed_in(
    at: httpx.Client,
) -> None:
    page = enter(at, '"><script>alert(1)</script>', "a password to be kept secret")
    assert page.status_code == 401
    assert "<script>" not in page.text
    assert "to be kept secret" not in page.text


def test_after_10_wrong_guesses_not_even_the_right_password_is_tried(
    site: Server, at: httpx.Client, members: Members, hashed: str
) -> None:
    email, other = members.email("editor"), members.keep("viewer", hashed)
    assert guess(site, email, 5) + guess(site, email.upper(), 5) == [401] * 10
    page = enter(at, email)
    assert page.status_code == 429
    assert form_on(page).fields["email_address"] == email
    assert 1 <= int(page.headers["retry-after"]) <= QUARTER_HOUR_S
    assert page.headers["ratelimit-policy"] == f'"sign-in";q=10;w={QUARTER_HOUR_S}'
    assert page.headers["ratelimit"] == f'"sign-in";r=0;t={page.headers["retry-after"]}'
    assert who_is_at(at) is None
    enter(at, other)
    assert who_is_at(at) == other


def test_the_account_written_or_not_the_guesses_are_at_one_person(
    site: Server, members: Members
) -> None:
    email = members.email("editor")
    name = members.database.read_here(lambda tx: account_name(tx, members.account.id))
    assert guess(site, email, 5) == [401] * 5
    assert guess(site, email, 5, account=name) == [401] * 5
    assert guess(site, email, 1, account=name.upper()) == [429]
    assert guess(site, email, 1) == [429]


def test_a_limit_does_not_tell_whether_there_is_such_a_user(site: Server) -> None:
    assert guess(site, "nobody-at-all@example.net", 11) == [401] * 10 + [429]


def test_a_success_starts_the_count_of_an_account_anew(site: Server, members: Members) -> None:
    email = members.email("editor")
    for _ in range(2):
        assert guess(site, email, 9) == [401] * 9
        with browser(site, elsewhere()) as at:
            enter(at, email)
            assert who_is_at(at) == email


def test_a_right_password_of_a_disabled_user_starts_no_count_anew(
    site: Server, members: Members
) -> None:
    email = members.email("editor")
    members.disable("editor")
    assert guess(site, email, 9) == [401] * 9
    with browser(site, elsewhere()) as at:
        assert enter(at, email).status_code == 401
        assert enter(at, email).status_code == 429


@pytest.mark.parametrize(
    ("addresses", "another"),
    [
        (["192.0.2.1"], "192.0.2.2"),
        ([f"2001:db8:1:2::{number:x}" for number in range(1, 51)], "2001:db8:1:3::1"),
    ],
    ids=["IPv4", "a network of IPv6"],
)
def test_from_one_address_50_guesses_are_made_whoever_they_are_at(
    site: Server, members: Members, addresses: list[str], another: str
) -> None:
    email = members.email("editor")
    guesses = [
        guess(site, f"guess{number}@example.net", 1, addresses[number % len(addresses)])
        for number in range(50)
    ]
    assert guesses == [[401]] * 50
    with browser(site, addresses[0]) as at:
        page = enter(at, email)
        assert page.status_code == 429
        assert page.headers["ratelimit-policy"] == f'"sign-in-address";q=50;w={QUARTER_HOUR_S}'
    with browser(site, another) as at:
        enter(at, email)
        assert who_is_at(at) == email


@pytest.mark.parametrize(
    "password",
    ["", "x" * 14, "ä" * 14, "x" * 1001, "x" * 15 + "\ud800", "x" * 15 + "\0"],
    ids=["nothing", "14", "14 that are 28 bytes", "1001", "half a surrogate pair", "U+0000"],
)
def test_a_password_that_cannot_be_one_is_refused(members: Members, password: str) -> None:
    with pytest.raises(Invalid) as refused:
        members.give("viewer", password)
    assert [problem.field for problem in refused.value.problems] == ["password"]


@pytest.mark.parametrize(
    "password",
    [
        "qhwvtzrkxpjmlgd",
        "zß" + "äöüéèñçøåþđłşž",
        "qhwvtzrkxpjmlgd " * 62,
        " &=%+#\t\r\n\"'<>;\\ß🐎 ",
    ],
    ids=["15", "not ASCII", "1000", "every kind"],
)
def test_any_password_of_a_right_length_works(
    at: httpx.Client, members: Members, password: str
) -> None:
    email = members.give("viewer", password)
    enter(at, email, password)
    assert who_is_at(at) == email


def stored(site: Server, user: User) -> str:
    with closing(sqlite3.connect(site.database)) as connection:
        asked = "SELECT hash FROM passwords WHERE user_id = ?"
        [[found]] = connection.execute(asked, [user.id]).fetchall()
    return found


def test_a_password_is_kept_as_an_argon2id_hash(site: Server, members: Members) -> None:
    for role in ("editor", "viewer"):
        # Not as most tests hash, which is with less work.
        subprocess.run(
            [sys.executable, "-m", "healthreports", "user", "password", members.email(role)],
            env={**os.environ, "HEALTHREPORTS_DATABASE": str(site.database)},
            input=PASSWORD,
            text=True,
            check=True,
        )
    first, second = (stored(site, members.account.users[role]) for role in ("editor", "viewer"))
    assert first != second
    kept = extract_parameters(first)
    assert kept.type is Type.ID
    # RFC 9106, section 4, the second recommended set.
    assert (kept.memory_cost, kept.time_cost, kept.parallelism) == (64 * 1024, 3, 4)
    assert (kept.salt_len, kept.hash_len) == (16, 32)


def test_a_hash_of_another_cost_is_made_again_at_sign_in(
    site: Server, at: httpx.Client, members: Members
) -> None:
    other = PasswordHasher(time_cost=2, memory_cost=64, parallelism=1)
    enter(at, members.keep("editor", other.hash(PASSWORD)))
    kept = stored(site, members.account.users["editor"])
    # The parameters of this server, which a test lowers (`command_line`).
    assert extract_parameters(kept).memory_cost == 8
    assert PasswordHasher().verify(kept, PASSWORD)


def test_neither_password_nor_session_stands_in_the_database(
    site: Server, at: httpx.Client, members: Members
) -> None:
    enter(at, members.email("editor"))
    session = json.loads(base64.b64decode(at.cookies["healthreports"].partition(".")[0]))
    assert len(session["secret"]) > 20
    kept = b"".join(path.read_bytes() for path in site.database.parent.glob("test.sqlite3*"))
    assert members.email("editor").encode() in kept
    assert PASSWORD.encode() not in kept
    assert session["secret"].encode() not in kept
    assert session["secret"].removeprefix("hrw_").encode() not in kept


def command(site: Server, *arguments: str, says: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "HEALTHREPORTS_DATABASE": str(site.database)}
    return execute("user", "password", *arguments, env=env, given=says)


def test_the_command_line_gives_a_password_and_ends_every_session(
    site: Server, at: httpx.Client, members: Members
) -> None:
    email = members.email("editor")
    enter(at, email)
    assert who_is_at(at) == email
    new = f"{NEW} "
    done = command(site, email.upper(), says=f"{new}\nnot read\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert new.strip() not in done.stdout
    assert who_is_at(at) is None
    assert enter(at, email).status_code == 401
    enter(at, email, new)
    assert who_is_at(at) == email


@pytest.mark.parametrize(
    ("email", "says"),
    [("editor", ""), ("nobody", PASSWORD)],
    ids=["too short", "unknown user"],
)
def test_the_command_line_refuses_in_one_line(
    site: Server, at: httpx.Client, members: Members, email: str, says: str
) -> None:
    address = members.email("editor") if email == "editor" else "nobody@example.net"
    done = command(site, address, says=says)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("healthreports: ")
    enter(at, members.email("editor"))
    assert who_is_at(at) == members.email("editor")


def change(at: httpx.Client, old: str, new: str) -> httpx.Response:
    page = at.get("/account")
    return send_form(at, page, "/account/password", old_password=old, password=new)


def test_who_changes_its_password_stays_and_its_other_sessions_end(
    site: Server, at: httpx.Client, members: Members
) -> None:
    email = members.email("editor")
    with browser(site, elsewhere()) as other:
        for one in (at, other):
            enter(one, email)
        assert change(at, PASSWORD, NEW).status_code == 200
        assert [who_is_at(at), who_is_at(other)] == [email, None]
        assert enter(other, email).status_code == 401
        enter(other, email, NEW)
        assert who_is_at(other) == email


@pytest.mark.parametrize(
    ("old", "new"),
    [("not the old one", "x" * 15), (PASSWORD, "x" * 14)],
    ids=["wrong", "too short"],
)
def test_a_change_of_password_that_is_not_right_changes_nothing(
    at: httpx.Client, members: Members, old: str, new: str
) -> None:
    enter(at, members.email("editor"))
    page = change(at, old, new)
    assert page.status_code == 422
    assert 'role="alert"' in page.text
    at.cookies.clear()
    enter(at, members.email("editor"))
    assert who_is_at(at) == members.email("editor")


def test_who_sits_at_somebodys_browser_does_not_guess_the_old_password_for_long(
    at: httpx.Client, members: Members
) -> None:
    enter(at, members.email("editor"))
    guesses = [change(at, GUESS, "x" * 15).status_code for _ in range(11)]
    assert guesses == [422] * 10 + [429]


def test_who_signs_out_is_out_on_the_server_too(
    site: Server, at: httpx.Client, members: Members
) -> None:
    page = enter(at, members.email("editor"))
    with browser(site, elsewhere()) as thief:
        thief.cookies.update(at.cookies)
        assert who_is_at(thief) == members.email("editor")
        send_form(at, page, "/sign-out")
        assert [who_is_at(at), who_is_at(thief)] == [None, None]


def test_who_is_disabled_is_out_at_once(at: httpx.Client, members: Members) -> None:
    enter(at, members.email("editor"))
    assert who_is_at(at) == members.email("editor")
    members.disable("editor")
    assert who_is_at(at) is None


@pytest.mark.parametrize("proof", ["", "made-up", "another's"])
def test_a_form_that_is_not_of_this_session_signs_nobody_in(
    site: Server, at: httpx.Client, members: Members, proof: str
) -> None:
    page = at.get("/sign-in")
    if proof == "another's":
        with browser(site, elsewhere()) as another:
            proof = form_on(another.get("/sign-in")).fields["csrf"]
    email = members.email("editor")
    refused = send_form(at, page, csrf=proof, email_address=email, password=PASSWORD)
    assert refused.status_code == 403
    assert who_is_at(at) is None


def test_a_form_of_before_signing_in_is_not_of_the_session_after(
    at: httpx.Client, members: Members
) -> None:
    before = form_on(at.get("/sign-in")).fields["csrf"]
    page = enter(at, members.email("editor"))
    assert send_form(at, page, "/sign-out", csrf=before).status_code == 403
    assert who_is_at(at) == members.email("editor")


@pytest.mark.parametrize("wanted", ["https://example.net/", "//example.net", "/\\example.net", ""])
def test_nobody_is_led_to_another_host_from_a_form(
    at: httpx.Client, members: Members, wanted: str
) -> None:
    page = at.get("/sign-in")
    fields = {"email_address": members.email("editor"), "password": PASSWORD, "next": wanted}
    assert str(send_form(at, page, **fields).url) == f"{str(at.base_url).rstrip('/')}/"


def test_a_session_ends_by_itself(members: Members) -> None:
    user, began = members.account.users["editor"], now()
    lasting = Lasting(idle_us=10 * DAY_US, whole_us=DEFAULT_SESSION_DAYS * DAY_US)

    secret = members.database.write_here(
        lambda tx: sessions.open_session(tx, user, began, lasting=lasting)
    )

    def who(at_time: int, lasting: Lasting = lasting) -> Actor:
        return members.database.read_here(
            lambda tx: sessions.actor_of_session(tx, secret, Instant(at_time), lasting)
        )

    idle_ends, ends = began + lasting.idle_us, began + lasting.whole_us
    assert who(idle_ends - 1).user_id == user.id
    with pytest.raises(Unauthenticated):
        who(idle_ends)
    # The session was used in between.
    used = Instant(idle_ends - 1)
    actor = who(used)
    assert sessions.last_use_is_stale(actor, used)
    members.database.write_here(lambda tx: sessions.note_use(tx, actor, used))
    assert not sessions.last_use_is_stale(who(used), used)
    assert who(ends - 1).user_id == user.id
    with pytest.raises(Unauthenticated):
        who(ends)


@pytest.fixture
def overtaken(site: Server, members: Members, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """The result of signing in if the password becomes `NEW` while the old one is checked.

    It is the secret of a session, or None if signing in was refused.
    """
    email = members.email("editor")
    check = sign_in._is_right  # noqa: SLF001  the step between reading the hash and signing in

    def check_and_change(hashed: str | None, password: str) -> bool:
        right = check(hashed, password)
        members.give("editor", NEW)
        return right

    monkeypatch.setattr(sign_in, "_is_right", check_and_change)
    with closing(open_database(Settings(database=str(site.database)))) as opened:
        way_in = sign_in.SignIn(opened, now, Limits(MEMORY, 0, 0))
        with closing(way_in), suppress(SignInRefused):
            return asyncio.run(way_in.with_password(email, PASSWORD, Visitor("192.0.2.77")))
    return None


def test_a_password_that_is_changed_while_the_old_one_is_checked_stays_changed(
    site: Server, members: Members, overtaken: str | None
) -> None:
    kept = stored(site, members.account.users["editor"])
    assert PasswordHasher().verify(kept, NEW), overtaken


def test_who_is_overtaken_by_a_change_of_password_is_not_signed_in(overtaken: str | None) -> None:
    assert overtaken is None
