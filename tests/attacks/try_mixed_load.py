"""Attackers of every kind and normal users at once, for fifteen minutes: memory use stays flat.

`make fuzz` runs this. HEALTHREPORTS_MIXED_LOAD_S sets another duration, in seconds.
"""

import os
import random
import string
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import httpx
import pytest
from attack_kit import Bystander, Target, new_target, open_target
from test_strangers import an_account

SECONDS = float(os.environ.pop("HEALTHREPORTS_MIXED_LOAD_S", "900"))
SEED = 20_261_126
# The number of strangers of each kind; each has its own address.
OF_EACH = 2
# Here users with tokens request answers of 10 MB, several at once, and each takes about 40 MB while
# it is made. `test_strangers` limits the memory that strangers alone can use.
MOST_RESIDENT_BYTES = 350 * 10**6
# The peak of the last third of the run, relative to that of the first. The heap keeps some freed
# pages for reuse, so it is above 1.
MOST_GROWTH = 1.10

Stranger = Callable[[Target, random.Random, str], None]


def text(dice: random.Random, most: int) -> str:
    return "".join(dice.choices(string.printable, k=dice.randrange(1, most)))


def odd_heads(target: Target, dice: random.Random, source: str) -> None:
    lines = [
        f"{dice.choice(['GET', 'POST', 'BREW', text(dice, 9)])} /{text(dice, 60)} HTTP/1.1",
        *(f"{text(dice, 20)}: {text(dice, dice.choice([20, 9_000]))}" for _ in range(9)),
    ]
    end = dice.choice([b"\r\n\r\n", b"\n", b""])
    with target.connect(source) as one:
        one.sendall("\r\n".join(lines).encode() + end)
        with suppress(TimeoutError):
            one.settimeout(0.2)
            one.recv(65_536)


def odd_bodies(target: Target, dice: random.Random, source: str) -> None:
    path = dice.choice(
        ["/sign-in", "/welcome", "/oauth/token", "/oauth/introspect", "/api/v1/status_reports"]
    )
    kinds = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data", ""]
    body = dice.choice(
        [text(dice, 300).encode(), dice.randbytes(70_000), b"a=" * 30_000, b"[" * 9_000]
    )
    with stranger(target, source) as client:
        client.post(path, content=body, headers={"content-type": dice.choice(kinds)})


def guesses(target: Target, dice: random.Random, source: str) -> None:
    with stranger(target, source) as client:
        page = client.get("/sign-in")
        proof = page.text.partition('name="csrf" value="')[2].partition('"')[0]
        sent = {
            "csrf": proof,
            "email_address": f"{text(dice, 200)}@example.org",
            "password": text(dice, 60),
            "account": text(dice, 60),
        }
        client.post("/sign-in", data=sent)


def tokens(target: Target, dice: random.Random, source: str) -> None:
    with stranger(target, source) as client:
        for _ in range(20):
            bearer = {"authorization": f"Bearer hr_{dice.random()}"}
            client.get("/api/v1/status_reports", params={"x": text(dice, 99)}, headers=bearer)


def silence(target: Target, dice: random.Random, source: str) -> None:
    with ExitStack() as stack:
        for _ in range(60):
            with suppress(OSError):
                one = stack.enter_context(target.connect(source))
                one.sendall(dice.choice([b"", b"G", b"GET / HTTP/1.1\r\nHost: a\r\n"]) or b"G")
        time.sleep(1)


def never_reads(target: Target, dice: random.Random, source: str, secret: str) -> None:
    ask = (
        "GET /api/v1/status_reports?per_page=200 HTTP/1.1\r\nHost: a\r\n"
        f"Authorization: Bearer {secret}\r\n\r\n"
    ).encode()
    with ExitStack() as stack:
        for _ in range(8):
            with suppress(OSError):
                stack.enter_context(target.connect(source)).sendall(ask)
        time.sleep(dice.random())


def lists(target: Target, dice: random.Random, source: str, secret: str) -> None:
    """A normal user, who requests a different list each time."""
    with stranger(target, source) as client:
        for _ in range(20):
            params = {
                "created_after": f"20{dice.randrange(10, 27)}-01-{dice.randrange(1, 29):02}",
                "page": dice.randrange(1, 5),
                "per_page": dice.randrange(1, 20),
            }
            bearer = {"authorization": f"Bearer {secret}"}
            client.get("/api/v1/status_reports", params=params, headers=bearer)


def stranger(target: Target, source: str) -> httpx.Client:
    return httpx.Client(
        base_url=target.base, transport=httpx.HTTPTransport(local_address=source), timeout=20
    )


def test_memory_is_flat_and_others_are_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = new_target(
        tmp_path,
        HEALTHREPORTS_HEAD_LIMIT_S="2",
        HEALTHREPORTS_BODY_LIMIT_S="2",
        HEALTHREPORTS_TIME_LIMIT_S="5",
        HEALTHREPORTS_TOKEN_REQUESTS_PER_MINUTE="0",
    )
    with closing(open_target(target)) as database:
        secret = database.write_here(an_account)
    target.start()
    bystander = Bystander(target, secret)
    ends = threading.Event()

    def go_on(what: Stranger, number: int) -> None:
        dice = random.Random(SEED + number)
        while not ends.is_set():
            with suppress(httpx.HTTPError, OSError):
                what(target, dice, f"127.0.1.{number}")
            time.sleep(0.05)

    kinds: list[Stranger] = [odd_heads, odd_bodies, guesses, tokens, silence]
    kinds += [
        lambda target, dice, source: never_reads(target, dice, source, secret),
        lambda target, dice, source: lists(target, dice, source, secret),
    ]
    threads = [
        threading.Thread(target=go_on, args=(what, 1 + number * OF_EACH + again))
        for number, what in enumerate(kinds)
        for again in range(OF_EACH)
    ]
    resident: list[int] = []
    try:
        with bystander.asking():
            for one in threads:
                one.start()
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                resident.append(target.resident_bytes)
                time.sleep(0.5)
            ends.set()
    finally:
        ends.set()
        for one in threads:
            one.join()
        target.stop()
    bystander.assert_served()
    assert "Traceback" not in target.log
    assert max(resident) < MOST_RESIDENT_BYTES
    third = len(resident) // 3
    first, last = max(resident[:third]), max(resident[-third:])
    grown = f"{first / 1e6:.0f} MB at first, {last / 1e6:.0f} MB in the end"
    with capsys.disabled():
        sys.stdout.write(f"\nresident memory: {grown}\n")
    assert last < first * MOST_GROWTH, grown
