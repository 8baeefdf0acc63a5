"""One person in several accounts: to which user a proof belongs, and who may issue a new one."""

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx
import pytest
from visitor import browser, form_on, send_form, who_is_at

from command_line import execute
from conftest import Account, Server, make_account
from healthreports.app import now, open_database
from healthreports.core.model import User
from healthreports.core.vocabulary import AccountPermission
from healthreports.service.auth import sign_in
from healthreports.service.auth.invitations import invite_as_operator
from healthreports.service.people import accounts, members
from healthreports.settings import Settings
from healthreports.store.engine.database import Database
from healthreports.store.schema.upgrade import upgrade

MINE = "the horse of my own account"
YOURS = "quite another horse, elsewhere"
_addresses = count(1)
WRONG = "Incorrect e-mail or password"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path = tmp_path_factory.mktemp("accounts") / "test.sqlite3"
    upgrade(str(path))
    server = Server(path, {"HEALTHREPORTS_TRUSTED_PROXIES": "127.0.0.1"}).start()
    yield server
    errors = server.stop()
    assert "Traceback" not in errors, errors


@pytest.fixture(scope="module")
def database(site: Server) -> Iterator[Database]:
    with closing(open_database(Settings(database=str(site.database)))) as opened:
        yield opened


@dataclass
class Tenant:
    """An account and the name with which its users sign in to it."""

    account: Account
    name: str

    @contextmanager
    def at(self, site: Server, role: str, password: str = MINE) -> Iterator[httpx.Client]:
        """A browser in which a user of the account is signed in."""
        user = self.account.users[role]
        give(self.account.database, user, password)
        with elsewhere(site) as opened:
            enter(opened, user.email_address, password, self.name)
            assert who_is_at(opened) == user.email_address
            yield opened

    def hire(
        self, email: str, permission: AccountPermission = AccountPermission.COLLABORATOR
    ) -> User:
        return self.account.database.write_here(
            lambda tx: members.create_user(
                tx,
                self.account.id,
                full_name="Kim Somebody",
                email_address=email,
                permission=permission,
                now=now(),
            )
        )


def new_tenant(site: Server, database: Database) -> Tenant:
    account = make_account(site, database)
    name = database.read_here(lambda tx: accounts.account_name(tx, account.id))
    return Tenant(account, name)


@pytest.fixture
def ours(site: Server, database: Database) -> Iterator[Tenant]:
    made = new_tenant(site, database)
    yield made
    made.account.close()


@pytest.fixture
def theirs(site: Server, database: Database) -> Iterator[Tenant]:
    made = new_tenant(site, database)
    yield made
    made.account.close()


def elsewhere(site: Server) -> httpx.Client:
    """A browser at its own address, so that tests do not share rate limits."""
    return browser(site, f"198.18.{next(_addresses)}.1")


@pytest.fixture
def at(site: Server) -> Iterator[httpx.Client]:
    with elsewhere(site) as opened:
        yield opened


def give(database: Database, user: User, password: str) -> None:
    database.write_here(
        lambda tx: sign_in.set_password(tx, user, password, now(), keep_tokens=True)
    )


def enter(
    at: httpx.Client, email: str, password: str, account: str | None = None, named: str = ""
) -> httpx.Response:
    """Fill in the sign-in form; without `account`, that field is left as it is."""
    page = at.get("/sign-in", params={"another": "", "account": named})
    fields = {} if account is None else {"account": account}
    return send_form(at, page, "/sign-in", email_address=email, password=password, **fields)


def account_at(at: httpx.Client) -> str:
    """The name of the account that a browser shows; `make_account` puts it into the title."""
    page = at.get("/account")
    assert page.url.path == "/account", page.text
    return page.text.partition(", Account ")[2].partition(" ")[0]


def number(tenant: Tenant) -> str:
    return tenant.name.removeprefix("account-")


def rows(site: Server, question: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(site.database)) as connection:
        return connection.execute(question, values).fetchall()


# -- to which user a password belongs


@pytest.fixture
def kim(ours: Tenant, theirs: Tenant) -> tuple[User, User]:
    """One e-mail address in two accounts, with a different password in each."""
    email = f"kim{ours.account.id}@example.org"
    people = ours.hire(email), theirs.hire(email)
    for user, password in zip(people, (MINE, YOURS), strict=True):
        give(ours.account.database, user, password)
    return people


def test_each_password_opens_its_own_account(
    site: Server, ours: Tenant, theirs: Tenant, kim: tuple[User, User]
) -> None:
    for tenant, right, wrong in ((ours, MINE, YOURS), (theirs, YOURS, MINE)):
        with elsewhere(site) as at:
            page = enter(at, kim[0].email_address, wrong, tenant.name)
            assert (page.status_code, who_is_at(at)) == (401, None)
            assert WRONG in page.text
            enter(at, kim[0].email_address, right, f" {tenant.name.upper()} ")
            assert account_at(at) == number(tenant)


def test_an_address_of_several_accounts_opens_none_by_itself(
    site: Server, kim: tuple[User, User]
) -> None:
    unknown = "nobody@example.org"
    with elsewhere(site) as at:
        pages = [
            enter(at, email, password, "").text.replace(email, "").replace(unknown, "")
            for email in (kim[0].email_address, unknown)
            for password in (MINE, YOURS)
        ]
        assert len({page.partition('name="csrf"')[0] for page in pages}) == 1
        assert "If you are in several accounts" in pages[0]
        assert who_is_at(at) is None


def test_the_only_account_of_an_address_need_not_be_named(ours: Tenant, at: httpx.Client) -> None:
    user = ours.account.users["editor"]
    give(ours.account.database, user, MINE)
    enter(at, user.email_address, MINE)
    assert account_at(at) == number(ours)


@pytest.mark.parametrize("wrong", ["nobody-s", "x" * 61, "a\N{KELVIN SIGN}", "%00", "' OR 1=1"])
def test_an_account_that_is_not_there_says_no_more(
    ours: Tenant, at: httpx.Client, wrong: str
) -> None:
    user = ours.account.users["editor"]
    give(ours.account.database, user, MINE)
    page = enter(at, user.email_address, MINE, wrong)
    assert (page.status_code, who_is_at(at)) == (401, None)
    assert WRONG in page.text


def test_the_address_names_the_account_and_the_browser_remembers_it(
    site: Server, ours: Tenant, theirs: Tenant, kim: tuple[User, User], at: httpx.Client
) -> None:
    enter(at, kim[1].email_address, YOURS, named=theirs.name)
    assert account_at(at) == number(theirs)
    send_form(at, at.get("/account"), "/sign-out")
    assert who_is_at(at) is None
    enter(at, kim[1].email_address, YOURS)
    assert account_at(at) == number(theirs)
    with elsewhere(site) as fresh:
        enter(fresh, kim[0].email_address, MINE, named=ours.name)
        assert account_at(fresh) == number(ours)


def test_a_success_in_one_account_forgets_no_guess_at_another(
    site: Server, ours: Tenant, theirs: Tenant, kim: tuple[User, User]
) -> None:
    def try_it(address: str, password: str, account: str) -> int:
        with browser(site, address) as at:
            return enter(at, kim[0].email_address, password, account).status_code

    for one in range(10):
        assert try_it(f"203.0.113.{one}", "x" * 1001, ours.name) == 401
        assert try_it(f"203.0.113.{one + 20}", YOURS, theirs.name) == 200
    assert try_it("203.0.113.90", MINE, ours.name) == 429


# -- several accounts at one browser


def test_a_browser_is_in_several_accounts_and_switches(
    ours: Tenant, theirs: Tenant, kim: tuple[User, User], at: httpx.Client
) -> None:
    enter(at, kim[0].email_address, MINE, ours.name)
    enter(at, kim[1].email_address, YOURS, theirs.name)
    assert account_at(at) == number(theirs)
    page = at.get("/account")
    assert f"Go to {ours.name}" in page.text
    send_form(at, page, "/sign-in/switch", account=ours.name)
    assert account_at(at) == number(ours)
    at.get("/sign-in", params={"account": theirs.name})
    assert account_at(at) == number(theirs)
    # Signing out ends the sessions in all accounts, on the server, too.
    old = dict(at.cookies)
    send_form(at, at.get("/account"), "/sign-out")
    at.cookies.update(old)
    assert who_is_at(at) is None
    send_form(at, at.get("/sign-in"), "/sign-in/switch", account=ours.name)
    assert who_is_at(at) is None


def test_a_browser_does_not_switch_to_where_it_was_not_let_in(
    ours: Tenant, theirs: Tenant, kim: tuple[User, User], at: httpx.Client
) -> None:
    enter(at, kim[0].email_address, MINE, ours.name)
    proof = form_on(at.get("/account"), "/sign-out").fields
    page = at.post("/sign-in/switch", data=proof | {"account": theirs.name})
    assert page.url.path == "/sign-in"
    assert account_at(at) == number(ours)


def test_a_second_sign_in_to_an_account_ends_the_first_of_that_browser(
    site: Server, ours: Tenant, kim: tuple[User, User], at: httpx.Client
) -> None:
    for _ in range(3):
        enter(at, kim[0].email_address, MINE, ours.name)
    question = "SELECT count(*) FROM sessions WHERE user_id = ?"
    assert rows(site, question, kim[0].id) == [(1,)]


def test_a_cookie_with_many_accounts_is_one_that_browsers_keep(
    site: Server, database: Database, at: httpx.Client
) -> None:
    email = "many@example.org"
    for one in range(11):
        title = f"{'An account with a long name':.50} {one}".ljust(100, "x")
        account = database.write_here(lambda tx, t=title: accounts.create_account(tx, t, now()))
        user = Tenant(Account(account, {}, {}, {}, [], database), "").hire(email)
        give(database, user, MINE)
        name = database.read_here(lambda tx, of=account: accounts.account_name(tx, of))
        page = enter(at, email, MINE, name)
        assert page.url.path == "/"
        assert max(len(f"{cookie.name}={cookie.value}") for cookie in at.cookies.jar) < 4096
    assert rows(site, "SELECT count(*) FROM sessions s JOIN users USING (account_id)") != [(11,)]
    assert at.get("/account").text.count("Go to ") == 7  # in addition to the one that is shown


# -- no account learns who is in another


def test_an_account_adds_whom_another_one_has(site: Server, ours: Tenant, theirs: Tenant) -> None:
    with ours.at(site, "administrator") as at:
        answers = []
        for email in (theirs.account.users["viewer"].email_address, "never@example.org"):
            sent = {"full_name": "Kim", "email_address": email, "permission": "collaborator"}
            answers.append(send_form(at, at.get("/people"), "/people", **sent))
        assert [one.status_code for one in answers] == [200, 200]
        api = ours.account.clients["administrator"]
        sent = {"full_name": "Kim", "email_address": theirs.account.users["editor"].email_address}
        body = {"account_membership": {**sent, "permission": "collaborator"}}
        assert api.post("/account_memberships", json=body).status_code == 200
        again = api.post("/account_memberships", json=body)
        assert again.status_code == 422
        assert "already exists" in again.text


# -- who may issue a new proof for somebody else


def press(at: httpx.Client, action: str, on: str = "/people") -> httpx.Response:
    return send_form(at, at.get(on), action)


@pytest.fixture
def second(ours: Tenant) -> User:
    """Another administrator of the account."""
    return ours.hire(f"second{ours.account.id}@example.org", AccountPermission.ADMINISTRATOR)


def confirmed(page: httpx.Response) -> str:
    return page.text.partition('<code class="secret">')[2].partition("</code>")[0]


def test_one_administrator_alone_gives_nobody_another_password(
    site: Server, ours: Tenant, second: User
) -> None:
    target = ours.account.users["editor"]
    give(ours.account.database, target, YOURS)
    give(ours.account.database, second, MINE)
    with (
        ours.at(site, "administrator") as sender,
        elsewhere(site) as other,
        elsewhere(site) as victim,
    ):
        enter(other, second.email_address, MINE)
        enter(victim, target.email_address, YOURS)
        page = press(sender, f"/people/{target.id}/invite")
        assert not confirmed(page)
        assert "has to confirm" in page.text
        # Neither the sender nor the invited user can confirm it; the invited user sees it.
        proof = form_on(sender.get("/people"), "/sign-out").fields
        assert sender.post(f"/people/{target.id}/confirm", data=proof).status_code == 404
        proof = form_on(victim.get("/account"), "/sign-out").fields
        assert victim.post(f"/people/{target.id}/confirm", data=proof).status_code == 403
        assert "The administrator created an invitation for you" in victim.get("/account").text
        address = confirmed(press(other, f"/people/{target.id}/confirm"))
        assert f"{second.full_name} confirmed it" in victim.get("/account").text
        with elsewhere(site) as anew:
            send_form(anew, anew.get(address), password=MINE)
            assert who_is_at(anew) == target.email_address
        assert who_is_at(victim) is None
        # Everything that gave access before is revoked.
        assert ours.account.clients["editor"].get("/status_reports").status_code == 401
        assert enter(victim, target.email_address, YOURS).status_code == 401


def test_who_an_invitation_is_for_ends_it(site: Server, ours: Tenant, second: User) -> None:
    target = ours.account.users["editor"]
    give(ours.account.database, second, YOURS)
    with ours.at(site, "editor") as victim, ours.at(site, "administrator") as sender:
        press(sender, f"/people/{target.id}/invite")
        with elsewhere(site) as other:
            enter(other, second.email_address, YOURS)
            address = confirmed(press(other, f"/people/{target.id}/confirm"))
        press(victim, "/account/invitation/withdraw", "/account")
        assert "another way" not in victim.get("/account").text
        with elsewhere(site) as anew:
            assert anew.get(address).status_code == 404


def test_where_nobody_can_confirm_only_the_operator_invites(site: Server, ours: Tenant) -> None:
    target = ours.account.users["editor"]
    give(ours.account.database, target, YOURS)
    with ours.at(site, "administrator") as sender:
        page = press(sender, f"/people/{target.id}/invite")
        assert page.status_code == 422
        assert "healthreports user invite" in page.text
    said = command(site, "user", "invite", target.email_address, "--public-url", site.base)
    with elsewhere(site) as anew:
        send_form(anew, anew.get(said.stdout.strip()), password=MINE)
        assert who_is_at(anew) == target.email_address


@pytest.mark.parametrize("left", ["disabled", "demoted"])
def test_the_word_of_who_left_is_not_confirmed(
    site: Server, ours: Tenant, second: User, left: str
) -> None:
    target, database = ours.account.users["editor"], ours.account.database
    give(database, target, YOURS)
    give(database, second, YOURS)
    with ours.at(site, "administrator") as other, elsewhere(site) as sender:
        enter(sender, second.email_address, YOURS)
        press(sender, f"/people/{target.id}/invite")
        if left == "disabled":
            database.write_here(lambda tx: members.disable(tx, second, now(), disabled=True))
        else:
            permission = AccountPermission.COLLABORATOR
            database.write_here(lambda tx: members.change_permission(tx, second, permission, now()))
        proof = form_on(other.get("/people"), "/sign-out").fields
        assert other.post(f"/people/{target.id}/confirm", data=proof).status_code == 404


def test_an_invitation_of_before_does_not_outlive_the_first_sign_in(
    site: Server, ours: Tenant
) -> None:
    target = ours.account.users["editor"]
    with ours.at(site, "administrator") as sender:
        address = confirmed(press(sender, f"/people/{target.id}/invite"))
        assert address
        give(ours.account.database, target, YOURS)
        with elsewhere(site) as anew:
            assert anew.get(address).status_code == 404


# -- passwords


def test_a_change_of_password_ends_tokens_unless_they_are_to_stay(
    site: Server, ours: Tenant
) -> None:
    api = ours.account.clients["editor"]
    with ours.at(site, "editor") as at:
        page = at.get("/account")
        fields = form_on(page, "/account/password").fields
        del fields["end_tokens"]
        sent = fields | {"old_password": MINE, "password": YOURS}
        assert "is changed" in at.post("/account/password", data=sent).text
        assert api.get("/status_reports").status_code == 200
        sent |= {"old_password": YOURS, "password": MINE, "end_tokens": "on"}
        assert "is changed" in at.post("/account/password", data=sent).text
        assert api.get("/status_reports").status_code == 401


@pytest.mark.parametrize(
    "easy",
    [
        "passwordpassword",
        "123456789012345",
        "qwertyuiopasdfgh",
        "The editor 2026!",
        "{email}",
        "healthreports-2026",
        "HealthReports2026!",
        "{account} {account}",
    ],
)
def test_a_password_that_many_have_or_that_names_its_owner_is_refused(
    site: Server, ours: Tenant, easy: str
) -> None:
    email = ours.account.users["editor"].email_address
    password = easy.format(email=email, account=ours.name)
    with ours.at(site, "editor") as at:
        page = at.get("/account")
        sent = {"old_password": MINE, "password": password}
        answer = send_form(at, page, "/account/password", **sent)
        assert answer.status_code == 422
        assert "easy to guess" in answer.text


def test_passwords_can_be_switched_off_only_with_a_provider(tmp_path) -> None:
    path = tmp_path / "test.sqlite3"
    upgrade(str(path))
    said = command(Server(path), "serve", "--port", "0", "--passwords", "off", code=1)
    assert "HEALTHREPORTS_PASSWORDS" in said.stderr


def test_where_passwords_are_off_none_opens_anything(tmp_path) -> None:
    path = tmp_path / "test.sqlite3"
    upgrade(str(path))
    provider = {
        "HEALTHREPORTS_PASSWORDS": "off",
        "HEALTHREPORTS_OIDC_ISSUER": "http://127.0.0.1:9",
        "HEALTHREPORTS_OIDC_CLIENT_ID": "c",
    }
    server = Server(path, provider).start()
    try:
        with closing(open_database(Settings(database=str(path)))) as database:
            account = make_account(server, database)
            user = account.users["editor"]
            give(database, user, MINE)
            secret = database.write_here(lambda tx: invite_as_operator(tx, user, now()))
            with browser(server) as at:
                page = at.get("/sign-in")
                assert "password" not in page.text
                proof = form_on(at.get(f"/welcome?invitation={secret}")).fields
                sent = proof | {"email_address": user.email_address, "password": MINE}
                assert at.post("/sign-in", data=sent).status_code == 401
                answer = at.post(f"/welcome?invitation={secret}", data=sent)
                assert answer.status_code == 401
                assert who_is_at(at) is None
            account.close()
    finally:
        server.stop()


# -- the command line


def command(site: Server, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    said = execute(*words, "--database", site.database)
    assert said.returncode == code, said.stderr
    return said


def test_a_command_asks_for_the_account_where_several_know_an_address(
    site: Server, ours: Tenant, theirs: Tenant, kim: tuple[User, User]
) -> None:
    asked = ("token", "create", "--user", kim[0].email_address, "--name", "t")
    assert "--account" in command(site, *asked, code=1).stderr
    for tenant, user in zip((ours, theirs), kim, strict=True):
        secret = command(site, *asked, "--account", tenant.name).stdout.strip()
        with site.client(secret) as api:
            assert list(api.get("/users/me").json()["users"]) == [str(user.id)]


def test_an_account_has_a_name_of_its_own(site: Server) -> None:
    first, second = (command(site, "account", "create", "Ünique & Co.").stdout for _ in range(2))
    assert first.strip().endswith("named unique-co")
    assert second.strip().endswith("named unique-co-2")
    assert (
        "already exists"
        in command(site, "account", "create", "Other", "--name", "unique-co", code=1).stderr
    )
    for wrong in ("", "12", "A", "a--b", "a-", "a b", "x" * 61):
        command(site, "account", "rename", "unique-co", wrong, code=1)
    command(site, "account", "rename", "unique-co", "unique")
    assert "\tunique\t" in command(site, "account", "list").stdout


def test_a_proxy_that_speaks_tls_without_a_public_url_is_a_warning(tmp_path) -> None:
    path = tmp_path / "test.sqlite3"
    upgrade(str(path))
    server = Server(path).start()
    with browser(server) as at:
        for _ in range(2):
            at.get("/sign-in", headers={"x-forwarded-proto": "https"})
    assert server.stop().count("HEALTHREPORTS_PUBLIC_URL does not begin with https") == 1
