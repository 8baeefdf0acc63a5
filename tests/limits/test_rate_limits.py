"""Rate limits of one server: for tokens, and for addresses that send no valid token."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from limits.aio.strategies import FixedWindowRateLimiter
from sqlalchemy import text

from conftest import Account, Server, make_account
from expect import assert_envelope, assert_failure
from healthreports.app import now, open_database
from healthreports.core.errors import TooManyRequests
from healthreports.core.model import Actor
from healthreports.core.tags import Tags
from healthreports.service import limits as limits_module
from healthreports.service.auth import tokens
from healthreports.service.gateway import Gateway
from healthreports.service.limits import MEMORY, BadStore, Limits, SpentShare
from healthreports.settings import Settings
from healthreports.store.engine.database import Database, Transaction
from healthreports.store.engine.statement import Statement
from healthreports.store.schema.upgrade import is_server, upgrade

LIMIT = 5
HEADERS = ("retry-after", "ratelimit", "ratelimit-policy")
TOKEN_LIMIT = "HEALTHREPORTS_TOKEN_REQUESTS_PER_MINUTE"
ADDRESS_LIMIT = "HEALTHREPORTS_ADDRESS_REQUESTS_PER_MINUTE"
OwnServer = Callable[..., Server]
OwnAccount = Callable[[Server], Account]
Call = Callable[[httpx.Client, Account, str], httpx.Response]
_addresses = count(1)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with low limits, which trusts a proxy on this machine."""
    path = tmp_path_factory.mktemp("strict") / "test.sqlite3"
    upgrade(str(path))
    settings = {TOKEN_LIMIT: str(LIMIT), ADDRESS_LIMIT: str(LIMIT)}
    server = Server(path, settings | {"HEALTHREPORTS_TRUSTED_PROXIES": "127.0.0.1"}).start()
    yield server
    errors = server.stop()
    assert "Traceback" not in errors, errors


@pytest.fixture(scope="module")
def strict_database(strict: Server) -> Iterator[Database]:
    with closing(open_database(Settings(database=str(strict.database)))) as opened:
        yield opened


@pytest.fixture
def limited(strict: Server, strict_database: Database) -> Iterator[Account]:
    """An account whose tokens may send 5 requests per minute."""
    made = make_account(strict, strict_database)
    yield made
    made.close()


def elsewhere() -> str:
    """An address that no other test uses."""
    return f"198.51.100.{next(_addresses)}"


def stranger(server: Server, address: str = "", secret: str | None = None) -> httpx.Client:
    """A client whose address is reported by a proxy."""
    client = server.client(secret)
    if address:
        client.headers["x-forwarded-for"] = address
    return client


def assert_limited(response: httpx.Response, policy: str, limit: int = LIMIT) -> None:
    """The answer is a refusal in the contract's form, with the time to wait and the policy."""
    [error] = assert_failure(response, 429)
    wait = int(response.headers["retry-after"])
    assert 1 <= wait <= 60
    assert response.headers["ratelimit-policy"] == f'"{policy}";q={limit};w=60'
    assert response.headers["ratelimit"] == f'"{policy}";r=0;t={wait}'
    assert f"at most {limit} in 60 s" in error["message"]
    assert f"Wait {wait} s" in error["message"]


def assert_silent(response: httpx.Response) -> None:
    """The answer has no rate limit headers."""
    assert not set(HEADERS) & set(response.headers)


def sent(account: Account, **attributes: object) -> dict[str, object]:
    report = {"workspace_id": account.workspaces[0], "color": "green", "description": "Fine."}
    return {"status_report": report | attributes}


CALLS: dict[str, tuple[Call, int]] = {
    "list": (lambda api, _account, _report: api.get("/status_reports"), 200),
    "list of many things": (
        lambda api, _account, _report: api.get("/workspaces?include=participants,creator"),
        200,
    ),
    "show": (lambda api, _account, report: api.get(f"/status_reports/{report}"), 200),
    "show oneself": (lambda api, _account, _report: api.get("/users/me"), 200),
    "head": (lambda api, _account, _report: api.head("/status_reports"), 200),
    "create": (lambda api, account, _: api.post("/status_reports", json=sent(account)), 200),
    "change": (
        lambda api, account, report: api.put(f"/status_reports/{report}", json=sent(account)),
        200,
    ),
    "delete": (lambda api, _account, report: api.delete(f"/status_reports/{report}"), 204),
    "not there": (lambda api, _account, _report: api.get("/status_reports/999999"), 404),
    "bad parameter": (
        lambda api, _account, _report: api.get("/status_reports?created_after=x"),
        400,
    ),
    "bad body": (
        lambda api, account, _: api.post("/status_reports", json=sent(account, color="blue")),
        422,
    ),
    "no body": (lambda api, _account, _report: api.post("/status_reports"), 400),
}


@pytest.mark.parametrize(("call", "status"), CALLS.values(), ids=CALLS.keys())
def test_each_call_of_a_token_counts_once(limited: Account, call: Call, status: int) -> None:
    editor = limited.clients["editor"]
    reports = [
        editor.post("/status_reports", json=sent(limited)).json()["results"][0]["id"]
        for _ in range(LIMIT)
    ]
    for report in reports:
        answer = call(limited.api, limited, report)
        assert answer.status_code == status, answer.text
        assert_silent(answer)
    refused = call(limited.api, limited, reports[0])
    if refused.request.method == "HEAD":
        assert (refused.status_code, refused.content) == (429, b"")
    else:
        assert_limited(refused, "token")


def test_another_token_is_not_affected_even_of_the_same_user(
    strict: Server, limited: Account
) -> None:
    for _ in range(LIMIT + 1):
        answer = limited.api.get("/users")
    assert_limited(answer, "token")
    user = limited.users["administrator"]
    secret = limited.database.write_here(lambda tx: tokens.issue(tx, user, "second", now()))
    with strict.client(secret) as second:
        for api in (second, limited.clients["viewer"]):
            answer = api.get("/users/me")
            assert answer.status_code == 200
            assert_silent(answer)


def test_what_is_refused_is_not_done(limited: Account) -> None:
    statuses = [
        limited.api.post("/status_reports", json=sent(limited)).status_code for _ in range(8)
    ]
    assert statuses == [200] * LIMIT + [429] * 3
    assert_envelope(limited.clients["editor"].get("/status_reports"), "status_reports", count=5)


def test_a_body_is_not_awaited_from_whom_is_refused(limited: Account) -> None:
    for _ in range(LIMIT):
        assert limited.api.get("/users/me").status_code == 200
    heavy = sent(limited, description="x" * 2_000_000)
    assert_limited(limited.api.post("/status_reports", json=heavy), "token")


def test_0_is_no_limit(own_server: OwnServer, own_account: OwnAccount) -> None:
    server = own_server(**{TOKEN_LIMIT: "0", ADDRESS_LIMIT: "0"})
    api = own_account(server).api
    with server.client(None) as nobody:
        for _ in range(60):
            assert api.get("/users/me").status_code == 200
            assert nobody.get("/users/me").status_code == 401


def test_a_limit_that_shares_do_not_divide_is_exact(
    own_server: OwnServer, own_account: OwnAccount
) -> None:
    account = own_account(own_server(**{TOKEN_LIMIT: "123"}))
    statuses = [account.api.get("/users/me").status_code for _ in range(125)]
    assert statuses == [200] * 123 + [429] * 2
    with ThreadPoolExecutor(8) as threads:
        crowd = threads.map(
            lambda _: account.clients["editor"].get("/users/me").status_code, range(160)
        )
    assert sorted(crowd) == [200] * 123 + [429] * 37


STRANGERS = [
    {},
    {"authorization": "Bearer hr_unknown"},
    {"authorization": "Bearer"},
    {"authorization": "Basic YTpi"},
    {"authorization": ""},
]


def test_an_address_without_a_valid_token_is_told_to_wait(strict: Server, limited: Account) -> None:
    address = elsewhere()
    with stranger(strict, address) as nobody, stranger(strict, elsewhere()) as another:
        for headers in STRANGERS:
            answer = nobody.get("/users/me", headers=headers)
            assert_failure(answer, 401, "oauth")
            assert_silent(answer)
        for headers in STRANGERS:
            assert_limited(nobody.get("/users/me", headers=headers), "address")
        assert_failure(another.get("/users/me"), 401, "oauth")
    with stranger(strict, address, limited.secrets["viewer"]) as valid:
        answer = valid.get("/users/me")
        assert answer.status_code == 200
        assert_silent(answer)


def test_who_has_a_valid_token_does_not_use_up_its_address(
    strict: Server, limited: Account
) -> None:
    address = elsewhere()
    for secret in limited.secrets.values():
        with stranger(strict, address, secret) as valid:
            assert [valid.get("/users/me").status_code for _ in range(LIMIT)] == [200] * LIMIT
    with stranger(strict, address) as nobody:
        statuses = [nobody.get("/users/me").status_code for _ in range(LIMIT + 1)]
    assert statuses == [401] * LIMIT + [429]


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke", "/oauth/introspect"])
def test_a_call_of_an_application_counts_with_its_address(strict: Server, path: str) -> None:
    form = {"grant_type": "client_credentials", "client_id": "made-up", "token": "made-up"}
    with stranger(strict, elsewhere()) as nobody:
        for _ in range(3):
            assert nobody.get("/users/me").status_code == 401
        for _ in range(2):
            answer = nobody.post(strict.base + path, data=form)
            assert answer.status_code in (400, 401)
            assert_silent(answer)
        assert_limited(nobody.post(strict.base + path, data=form), "address")
        assert_limited(nobody.get("/users/me"), "address")


@pytest.mark.parametrize(
    ("first", "second", "are_one"),
    [
        ("203.0.113.1", "203.0.113.2", False),
        ("203.0.113.3:4001", "203.0.113.3:4002", True),
        ("203.0.113.4", "192.0.2.9, 203.0.113.4", True),
        ("192.0.2.10, 203.0.113.5", "192.0.2.10, 203.0.113.6", False),
        ("203.0.113.7, 127.0.0.1", "203.0.113.7", True),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("[2001:db8:0:2::1]:4001", "2001:db8:0:2::2", True),
        ("2001:db8:0:3::1", "2001:db8:0:4::1", False),
        ("::ffff:203.0.113.8", "::ffff:203.0.113.9", False),
        ("::ffff:203.0.113.10", "203.0.113.10", True),
    ],
    ids=[
        "IPv4",
        "ports",
        "what the client claims",
        "same claim",
        "the proxy itself",
        "one /64",
        "one /64 with a port",
        "two /64",
        "two IPv4 written as IPv6",
        "one IPv4 written as IPv6",
    ],
)
def test_what_counts_as_one_address(strict: Server, first: str, second: str, are_one: bool) -> None:
    with stranger(strict, first) as nobody:
        for _ in range(LIMIT):
            assert_failure(nobody.get("/users/me"), 401, "oauth")
        assert_limited(nobody.get("/users/me"), "address")
    with stranger(strict, second) as nobody:
        assert nobody.get("/users/me").status_code == (429 if are_one else 401)


def test_nobody_is_believed_about_its_address_unless_the_server_is_told_to(
    own_server: OwnServer,
) -> None:
    server = own_server(**{ADDRESS_LIMIT: str(LIMIT)})
    with server.client(None) as nobody:
        statuses = [
            nobody.get("/users/me", headers={"x-forwarded-for": elsewhere()}).status_code
            for _ in range(LIMIT + 1)
        ]
    assert statuses == [401] * LIMIT + [429]


NO_STORES = [
    "nonsense",
    "redis",
    "postgres://localhost/0",
    "memcached://127.0.0.1:1",
    "valkey://:secret@127.0.0.1:port/0",
    "valkey://127.0.0.1:99999/0",
    "",
]


@pytest.mark.parametrize("store", NO_STORES)
def test_a_store_that_there_is_not_is_refused(store: str) -> None:
    with pytest.raises(BadStore) as refused:
        Limits(store, 1, 1)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("store", ["valkey://:secret@127.0.0.1:port/0", "mongodb://127.0.0.1:1"])
def test_a_server_with_a_store_that_there_is_not_says_so_in_one_line(
    tmp_path: Path, store: str
) -> None:
    path = tmp_path / "test.sqlite3"
    upgrade(str(path))
    settings = {"HEALTHREPORTS_DATABASE": str(path), "HEALTHREPORTS_LIMIT_STORE": store}
    done = subprocess.run(
        [sys.executable, "-m", "healthreports", "serve", "--port", "0"],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("healthreports: bad setting: ")
    assert "valkey://" in line
    assert "secret" not in line


@pytest.mark.parametrize(
    ("store", "asked"),
    [
        ("valkey://store.example:6380/2", "async+valkey://store.example:6380/2"),
        ("redis://store.example/0", "async+valkey://store.example/0"),
        ("rediss://:secret@store.example/0", "async+valkeys://:secret@store.example/0"),
        ("valkey://redis:6379/0", "async+valkey://redis:6379/0"),
        ("valkey://:redis@store.example/0", "async+valkey://:redis@store.example/0"),
        ("redis://redis:6379/0", "async+valkey://redis:6379/0"),
    ],
)
def test_the_store_is_the_one_that_is_named(
    monkeypatch: pytest.MonkeyPatch, store: str, asked: str
) -> None:
    opened: list[str] = []
    real = limits_module.storage_from_string

    def note(address: str, **options: object):
        opened.append(address)
        return real("async+memory://", **options)

    monkeypatch.setattr(limits_module, "storage_from_string", note)
    Limits(store, 1, 1)
    assert opened == [asked]


class Hours:
    """A clock that the test moves, for the limits and the library that they use."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Hours:
    return Hours()


async def ask(limits: Limits, token_id: int = 1) -> bool:
    """Whether a request of a token is admitted; asks in the same way as the gateway."""
    while True:
        try:
            limits.spend(token_id)
        except SpentShare as spent:
            try:
                await limits.take_share(spent.of)
            except TooManyRequests:
                return False
        else:
            return True


async def passed(limits: Limits, times: int, token_id: int = 1) -> int:
    return sum([await ask(limits, token_id) for _ in range(times)])


@pytest.mark.parametrize("limit", [1, 2, 49, 50, 51, 99, 100, 123, 3000])
def test_every_limit_is_exact(clock: Hours, limit: int) -> None:
    limits = Limits(MEMORY, limit, 0, monotonic=clock.monotonic)
    assert asyncio.run(passed(limits, limit + 10)) == limit


def test_a_limit_is_exact_for_requests_at_once(
    clock: Hours, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = Limits(MEMORY, 123, 0, monotonic=clock.monotonic)
    hit = FixedWindowRateLimiter.hit

    async def hit_later(*arguments: Any, **options: Any) -> bool:
        await asyncio.sleep(0)  # like a store across a network
        return await hit(*arguments, **options)

    monkeypatch.setattr(FixedWindowRateLimiter, "hit", hit_later)

    async def at_once() -> list[bool]:
        return await asyncio.gather(*(ask(limits) for _ in range(300)))

    assert sum(asyncio.run(at_once())) == 123


def test_a_minute_later_a_token_may_ask_as_often_again(clock: Hours) -> None:
    limits = Limits(MEMORY, 200, 0, monotonic=clock.monotonic)

    async def minutes() -> list[int]:
        counts = [await passed(limits, 150), await passed(limits, 100)]
        clock.seconds += 59
        counts.append(await passed(limits, 1))
        clock.seconds += 2
        return [*counts, await passed(limits, 250)]

    assert asyncio.run(minutes()) == [150, 50, 0, 200]


def test_what_is_left_of_a_minute_does_not_add_to_the_next(clock: Hours) -> None:
    limits = Limits(MEMORY, 500, 0, monotonic=clock.monotonic)

    async def minutes() -> list[int]:
        first = await passed(limits, 1)  # the process now holds a share with nine more
        clock.seconds += 61
        return [first, await passed(limits, 600)]

    assert asyncio.run(minutes()) == [1, 500]


def test_however_many_tokens_there_are_none_may_ask_more(clock: Hours) -> None:
    limits = Limits(MEMORY, 100, 0, monotonic=clock.monotonic, most_shares=10)

    async def crowd() -> list[int]:
        totals = [0] * 40
        for _ in range(110):
            for token_id in range(40):
                totals[token_id] += await ask(limits, token_id)
        return totals

    assert max(asyncio.run(crowd())) <= 100


def test_how_long_to_wait_is_the_rest_of_the_minute_rounded_up(clock: Hours) -> None:
    limits = Limits(MEMORY, 0, 1, monotonic=clock.monotonic)

    async def waits() -> list[int]:
        await limits.admit_stranger("192.0.2.1")
        found = []
        for passes in (0, 10, 0.5, 49):
            clock.seconds += passes
            with pytest.raises(TooManyRequests) as refused:
                await limits.admit_stranger("192.0.2.1")
            found.append(refused.value.retry_after_s)
        clock.seconds += 0.6
        await limits.admit_stranger("192.0.2.1")
        return found

    assert asyncio.run(waits()) == [60, 50, 50, 1]


def test_a_quarter_of_an_hour_later_one_may_guess_again(clock: Hours) -> None:
    limits = Limits(MEMORY, 0, 0, monotonic=clock.monotonic)

    async def attempts(user: str, times: int) -> int:
        admitted = 0
        for number in range(times):
            try:
                await limits.admit_sign_in(f"192.0.2.{number}", user)
                admitted += 1
            except TooManyRequests:
                break
        return admitted

    async def quarters() -> list[int]:
        counts = [await attempts("ann", 12)]
        clock.seconds += 890
        counts.append(await attempts("ann", 1))
        clock.seconds += 11
        counts.append(await attempts("ann", 9))
        await limits.forget_sign_ins("ann")
        return [*counts, await attempts("ann", 12), await attempts("bob", 1)]

    assert asyncio.run(quarters()) == [10, 0, 9, 10, 1]


def test_a_read_that_is_begun_again_in_a_thread_counts_once(
    server: Server, account: Account
) -> None:
    tried: list[str] = []
    heavy = Statement(
        text(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) "
            "SELECT count(*) FROM n"
        )
    )

    def work(tx: Transaction, _actor: Actor) -> int:
        tried.append(threading.current_thread().name)
        return tx.rows(heavy, {})[0][0]

    async def reads(opened: Database) -> list[int]:
        gateway = Gateway(opened, now, Limits(MEMORY, LIMIT, 0), Tags("test"))
        secret = account.secrets["viewer"]
        found = [await gateway.read(secret, work) for _ in range(LIMIT)]
        with pytest.raises(TooManyRequests):
            await gateway.read(secret, work)
        return found

    with closing(open_database(Settings(database=str(server.database)))) as opened:
        assert asyncio.run(reads(opened)) == [50000] * LIMIT
    in_threads = [name for name in tried if name.startswith("reader")]
    assert len(in_threads) >= LIMIT
    if not is_server(server.database):  # PostgreSQL never reads on the loop, but may retry
        assert len(tried) == 2 * LIMIT
