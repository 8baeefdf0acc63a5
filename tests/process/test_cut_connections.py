"""Clients behind a proxy that cuts connections: each report is stored once. Contract: 8.2."""

import random
import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest

from conftest import Account, Server
from effort import effort

WANTED = effort(150, 10_000).max_examples
CLIENTS = 8


def whole_request(client: socket.socket) -> bytes:
    asked = b""
    while b"\r\n\r\n" not in asked:
        asked += client.recv(1 << 16)
    head, _, body = asked.partition(b"\r\n\r\n")
    [length] = re.findall(rb"(?i)content-length: (\d+)", head)
    while len(body) < int(length):
        body += client.recv(1 << 16)
    return head + b"\r\n\r\n" + body


class CuttingProxy:
    """Forwards a request and its answer, or closes the connection at a random point."""

    def __init__(self, port: int, seed: int) -> None:
        self.dice = random.Random(seed)
        self.port = port
        self.cuts = 0
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        self.is_over = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while not self.is_over:
            with suppress(OSError):
                client, _ = self.listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """Serve one request on one connection, which is how the clients here send them."""
        fate = self.dice.random()
        with client, suppress(OSError):
            asked = whole_request(client)
            if fate < 0.1:  # before anything is forwarded
                self.cuts += 1
                return
            with socket.create_connection(("127.0.0.1", self.port)) as server:
                if fate < 0.2:  # in the middle of the request
                    server.sendall(asked[: len(asked) - 20])
                    self.cuts += 1
                    return
                server.sendall(asked)
                if fate < 0.3:  # the server does the work, but the client gets no answer
                    self.cuts += 1
                    return
                while piece := server.recv(1 << 16):
                    if fate < 0.4:  # in the middle of the answer
                        client.sendall(piece[: len(piece) // 2])
                        self.cuts += 1
                        return
                    client.sendall(piece)

    def close(self) -> None:
        self.is_over = True
        self.listening.close()


@pytest.fixture
def proxy(server: Server) -> Iterator[CuttingProxy]:
    made = CuttingProxy(int(server.base.rpartition(":")[2]), seed=15)
    yield made
    made.close()


def insist(send: Callable[[], httpx.Response]) -> httpx.Response:
    """Do what a persistent client does: send the request until it gets an answer other than 409."""
    while True:
        with suppress(httpx.TransportError):
            answer = send()
            if answer.status_code != 409:
                return answer


def test_what_is_sent_until_it_is_answered_is_stored_once(
    account: Account, proxy: CuttingProxy
) -> None:
    def write(number: int) -> str:
        sent = {
            "workspace_id": account.workspaces[0],
            "color": "red",
            "description": f"Wanted {number}.",
        }
        headers = {
            "authorization": f"Bearer {account.secrets['administrator']}",
            "idempotency-key": f"wanted-{number}",
            "connection": "close",
        }
        answer = insist(
            lambda: httpx.post(
                f"{proxy.address}/api/v1/status_reports",
                json={"status_report": sent},
                headers=headers,
                timeout=30,
            )
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["results"][0]["id"]

    with ThreadPoolExecutor(CLIENTS) as pool:
        told = list(pool.map(write, range(WANTED)))
    lines = account.api.get("/status_reports.ndjson").text.splitlines()
    stored = [httpx.Response(200, text=line).json() for line in lines]
    assert sorted(one["description"] for one in stored) == sorted(
        f"Wanted {number}." for number in range(WANTED)
    )
    assert {one["id"] for one in stored} == set(told)
    assert proxy.cuts > WANTED / 5
