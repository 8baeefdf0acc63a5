"""Requests of strangers do no harm: other clients are served, and memory use stays flat."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Thread

import httpx
import pytest
from attack_kit import (
    ATTACKER,
    ENOUGH,
    RESIDENT_BYTES,
    Bystander,
    Target,
    is_closed,
    many,
    new_target,
    open_target,
    wait_until,
)

from healthreports.app import now
from healthreports.core.vocabulary import AccountPermission
from healthreports.service.auth import tokens
from healthreports.service.people import accounts, members, workspaces
from healthreports.service.reports import reports
from healthreports.store.engine.database import Transaction

HEAD_LIMIT_S = 2.0
TIME_LIMIT_S = 4.0


@pytest.fixture
def attack(tmp_path: Path) -> Iterator[Callable[..., tuple[Target, Bystander]]]:
    """Start a server and a client that uses it: `attack(**environment)`."""
    started: list[Target] = []

    def start(**environment: str) -> tuple[Target, Bystander]:
        target = new_target(
            tmp_path,
            HEALTHREPORTS_HEAD_LIMIT_S=str(HEAD_LIMIT_S),
            HEALTHREPORTS_BODY_LIMIT_S=str(HEAD_LIMIT_S),
            HEALTHREPORTS_TIME_LIMIT_S=str(TIME_LIMIT_S),
            HEALTHREPORTS_TOKEN_REQUESTS_PER_MINUTE="0",
            **environment,
        )
        with closing(open_target(target)) as database:
            secret = database.write_here(an_account)
        started.append(target.start())
        return target, Bystander(target, secret)

    yield start
    for one in started:
        one.stop()


def an_account(tx: Transaction) -> str:
    user = members.create_user(
        tx,
        accounts.create_account(tx, "A", now()),
        full_name="U",
        email_address="u@example.org",
        permission=AccountPermission.ADMINISTRATOR,
        now=now(),
    )
    space = workspaces.make_workspace(tx, user, "W", now())
    actor = members.reader(tx, user.id)
    assert actor is not None
    sent = {"workspace_id": space, "color": "red", "description": "x" * 50_000}
    for _ in range(200):
        reports.create(tx, actor, sent, now())
    return tokens.issue(tx, user, "t", now())


HALVES = {
    "nothing": b"",
    "a byte": b"G",
    "half a head": b"GET / HTTP/1.1\r\nHost: a\r\n",
    "half a head of a form": b"POST /sign-in HTTP/1.1\r\nContent-Le",
}


@pytest.mark.parametrize("what", HALVES.values(), ids=HALVES)
def test_connections_that_say_nothing_keep_nobody_out(attack, what: bytes) -> None:
    target, bystander = attack()
    with bystander.asking(), many(target, 1_100, what):
        time.sleep(HEAD_LIMIT_S + 1)
    bystander.assert_served()
    assert target.resident_bytes < RESIDENT_BYTES
    assert wait_until(lambda: "connections closed" in target.log, 15), target.log


def test_who_sends_its_request_at_once_gets_in_from_the_same_address_too(attack) -> None:
    target, bystander = attack()
    bystander.source = ATTACKER
    with bystander.asking(), many(target, 600, b"GET"):
        time.sleep(1)
    bystander.assert_served()


@pytest.mark.parametrize("what", HALVES.values(), ids=HALVES)
def test_half_a_head_is_not_open_for_long(attack, what: bytes) -> None:
    target, _ = attack()
    with target.connect() as one:
        one.sendall(what)
        time.sleep(HEAD_LIMIT_S / 2)
        assert not is_closed(one)
        assert wait_until(lambda: is_closed(one), HEAD_LIMIT_S + 2)


def test_half_a_head_behind_a_whole_request_is_not_open_for_long(attack) -> None:
    target, _ = attack()
    with target.connect() as one:
        one.sendall(b"GET /sign-in HTTP/1.1\r\nHost: a\r\n\r\n")
        assert one.recv(15).startswith(b"HTTP/1.1 200")
        one.sendall(b"GET /sign-in HT")
        assert wait_until(lambda: is_closed(one), HEAD_LIMIT_S + 2)


def test_a_head_that_comes_byte_by_byte_has_the_same_time(attack) -> None:
    target, _ = attack()
    with target.connect() as one:
        begun = time.monotonic()
        for byte in b"GET / HTTP/1.1\r\nHost: " + b"a" * 100:
            try:
                one.sendall(bytes([byte]))
            except OSError:
                break
            time.sleep(0.1)
        assert time.monotonic() - begun < HEAD_LIMIT_S + 2


def test_a_body_that_stops_is_not_waited_for(attack) -> None:
    target, bystander = attack()
    head = b"POST /sign-in HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\nabc"
    with bystander.asking(), many(target, 150, head, "127.0.0.3") as made:
        assert wait_until(lambda: all(map(is_closed, made)), HEAD_LIMIT_S + 5)
    bystander.assert_served()


def test_answers_that_nobody_reads_end_and_take_little_memory(attack) -> None:
    target, bystander = attack()
    ask = (
        b"GET /api/v1/status_reports?per_page=200 HTTP/1.1\r\nHost: a\r\n"
        b"Authorization: Bearer " + bystander.secret.encode() + b"\r\n\r\n"
    )
    bystander_small = Bystander(target, "hr_unknown")

    with many(target, 60, ask, "127.0.0.3") as made:
        peak = 0
        end = time.monotonic() + TIME_LIMIT_S + 3
        while time.monotonic() < end:
            peak = max(peak, target.resident_bytes)
            bystander_small.ask()
            time.sleep(0.05)
        # 60 answers of 10 MB each: 600 MB if nothing limits them.
        assert peak < 250 * 10**6, peak
        # All sixty answers are made at the start, which takes seconds on a busy machine.
        assert sorted(bystander_small.times)[len(bystander_small.times) // 2] < 0.5
        assert max(bystander_small.times) < 10
        assert wait_until(lambda: all(map(is_closed, made)), TIME_LIMIT_S + 5)


FORM = {"content-type": "application/x-www-form-urlencoded"}
STRANGERS_FORMS = ("/sign-in", "/sign-out", "/welcome", "/oauth/token", "/oauth/revoke")


@pytest.mark.parametrize("path", STRANGERS_FORMS)
def test_a_long_form_of_a_stranger_is_refused_unread(attack, path: str) -> None:
    target, _ = attack()
    with httpx.Client(base_url=target.base) as client:
        answer = client.post(path, content=b"a=" + b"x" * 70_000, headers=FORM)
        assert answer.status_code == 413
        chunks = (b"a=" + b"x" * 9_999 for _ in range(20))
        answer = client.post(path, content=chunks, headers=FORM)  # without a Content-Length
        assert answer.status_code == 413
        assert client.post(path, content=b"a=b", headers=FORM).status_code in (400, 401, 403)


def test_forms_of_strangers_do_not_hold_up_others(attack) -> None:
    target, bystander = attack(HEALTHREPORTS_ADDRESS_REQUESTS_PER_MINUTE="0")
    fields = "&".join(f"a{number}=%20" for number in range(8_000)).encode()[:65_000]
    ends = time.monotonic() + 3

    def send() -> None:
        with httpx.Client(base_url=target.base) as client:
            while time.monotonic() < ends:
                client.post("/sign-in", content=fields, headers=FORM)

    senders = [Thread(target=send) for _ in range(2)]
    with bystander.asking():
        for one in senders:
            one.start()
        for one in senders:
            one.join()
    bystander.assert_served()


def test_refused_forms_count_for_their_address(attack) -> None:
    target, _ = attack(HEALTHREPORTS_ADDRESS_REQUESTS_PER_MINUTE="20")
    with httpx.Client(base_url=target.base) as client:
        found = [client.post("/sign-out", data={"csrf": "x"}).status_code for _ in range(25)]
    assert found == [403] * 20 + [429] * 5


def test_the_token_endpoint_counts_before_it_looks(attack) -> None:
    target, _ = attack(HEALTHREPORTS_ADDRESS_REQUESTS_PER_MINUTE="20")
    with httpx.Client(base_url=target.base) as client:
        form = {"grant_type": "authorization_code", "code": "x", "client_id": "c"}
        found = [client.post("/oauth/token", data=form).status_code for _ in range(25)]
    assert found[20:] == [429] * 5
    assert set(found[:20]) <= {400, 401}


def test_sign_ins_of_a_stranger_are_not_remembered(attack) -> None:
    target, _ = attack()
    with httpx.Client(base_url=target.base) as client:
        page = client.get("/sign-in").text
        proof = page.split('name="csrf" value="', 1)[1].split('"', 1)[0]
        before = target.resident_bytes
        for number in range(300):
            address = f"{number}" + "x" * 60_000 + "@example.org"
            form = {"csrf": proof, "email_address": address, "password": "p"}
            client.post("/sign-in", data=form)
        assert target.resident_bytes - before < 20 * 10**6


def test_a_client_that_leaves_in_the_middle_of_a_post_has_its_report_stored(attack) -> None:
    """A request that arrived whole is executed, as docs/explanation/security.md states."""
    target, bystander = attack()
    body = json.dumps(
        {"status_report": {"workspace_id": 1, "color": "red", "description": "gone"}}
    ).encode()
    head = (
        b"POST /api/v1/status_reports HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer %b\r\nContent-Length: %d\r\n\r\n"
        % (bystander.secret.encode(), len(body))
    )
    for _ in range(50):
        with target.connect() as one:
            one.sendall(head + body)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    def stored() -> int:
        with httpx.Client(base_url=target.base) as client:
            headers = {"authorization": f"Bearer {bystander.secret}"}
            answer = client.get("/api/v1/status_reports?per_page=1", headers=headers)
            return int(answer.json()["count"])

    assert wait_until(lambda: stored() == 250, 5), stored()


def test_many_connections_are_within_the_files_of_the_process(attack) -> None:
    target, bystander = attack(HEALTHREPORTS_CONNECTIONS="100000")
    with ExitStack() as stack:
        for source in ("127.0.0.4", "127.0.0.5", "127.0.0.6"):
            stack.enter_context(many(target, 200, b"GET / HTTP/1.1\r\n", source))
        for _ in range(ENOUGH + 1):
            bystander.ask()
    bystander.assert_served()
    assert "Too many open files" not in target.log
