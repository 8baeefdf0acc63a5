"""What is written to a connection in one turn of the event loop is sent together."""

import asyncio
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from conftest import Account, Server
from healthreports.edge.protocol import _Gathering


class Line:
    """A transport that records the calls on it."""

    def __init__(self) -> None:
        self.did: list[bytes | str] = []
        self.closing = False

    def write(self, data: bytes) -> None:
        self.did.append(data)

    def close(self) -> None:
        self.closing = True
        self.did.append("closed")

    def is_closing(self) -> bool:
        return self.closing


def in_one_turn(act: Callable[[_Gathering], None]) -> list[bytes | str]:
    line = Line()

    async def turn() -> None:
        act(_Gathering(line))
        await asyncio.sleep(0)

    asyncio.run(turn())
    return line.did


def test_a_head_and_its_body_are_one_write() -> None:
    def act(gathering: _Gathering) -> None:
        gathering.write(b"head")
        gathering.write(b"body")

    assert in_one_turn(act) == [b"headbody"]


def test_each_turn_writes_its_own() -> None:
    line = Line()

    async def turns() -> None:
        gathering = _Gathering(line)
        for data in (b"one", b"two"):
            gathering.write(data)
            await asyncio.sleep(0)

    asyncio.run(turns())
    assert line.did == [b"one", b"two"]


def test_much_does_not_wait_for_the_end_of_the_turn() -> None:
    written: list[int] = []

    def act(gathering: _Gathering) -> None:
        for _ in range(10):
            gathering.write(b"x" * 40_000)
            written.append(sum(len(data) for data in gathering._transport.did))  # noqa: SLF001  the bytes sent so far

    assert sum(map(len, in_one_turn(act))) == 400_000
    assert max(40_000 * (n + 1) - through for n, through in enumerate(written)) <= 64 * 1024


def test_what_was_written_before_a_close_goes_out_before_it() -> None:
    def act(gathering: _Gathering) -> None:
        gathering.write(b"last words")
        gathering.close()

    assert in_one_turn(act) == [b"last words", "closed"]


def test_nothing_is_written_to_a_connection_that_is_gone() -> None:
    def act(gathering: _Gathering) -> None:
        gathering.write(b"too late")
        gathering._transport.closing = True  # noqa: SLF001  the caller hung up

    assert in_one_turn(act) == []


def test_requests_sent_together_are_answered_in_their_order(
    server: Server, account: Account
) -> None:
    ids = [account.report() for _ in range(3)]
    head = f"Host: x\r\nAuthorization: Bearer {account.secrets['administrator']}\r\n"
    sent = "".join(f"GET /api/v1/status_reports/{one} HTTP/1.1\r\n{head}\r\n" for one in ids)
    last = f"GET /api/v1/users/me HTTP/1.1\r\n{head}Connection: close\r\n\r\n"
    parts = urlsplit(server.base)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as raw:
        raw.sendall((sent + last).encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b"")).decode()
    places = [answer.index(f'"results":[{{"key":"status_reports","id":"{one}"}}]') for one in ids]
    assert places == sorted(places)
    assert answer.count("HTTP/1.1 200 OK") == 4
