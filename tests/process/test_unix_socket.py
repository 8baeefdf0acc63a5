"""A Unix socket instead of a port: who may connect, whose address counts, what is left over."""

import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from healthreports.store.schema.upgrade import upgrade

pytestmark = pytest.mark.one_store


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """The path of the socket. It must be short, and the path of a test's folder may be long."""
    upgrade(str(tmp_path / "test.sqlite3"))
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "socket"


@contextmanager
def start(place: Path, database: Path, **settings: str) -> Iterator[subprocess.Popen[str]]:
    environment = {
        "HEALTHREPORTS_SOCKET": str(place),
        "HEALTHREPORTS_PUBLIC_URL": "https://reports.example.org",
        "HEALTHREPORTS_DATABASE": str(database / "test.sqlite3"),
        **settings,
    }
    command = [sys.executable, "-m", "healthreports", "serve"]
    with subprocess.Popen(
        command, env=os.environ | environment, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def says(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return process.stderr.readline()


def ask(place: Path, path: str, **headers: str) -> httpx.Response:
    transport = httpx.HTTPTransport(uds=str(place))
    with httpx.Client(transport=transport, base_url="http://here") as client:
        return client.get(path, headers=headers)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_is_served_for_owner_and_group_and_goes_with_the_server(
    place: Path, tmp_path: Path, workers: str
) -> None:
    with start(place, tmp_path, HEALTHREPORTS_WORKERS=workers) as process:
        assert says(process) == f"healthreports listens on {place}\n"
        mode = place.stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o660
        assert ask(place, "/readyz").status_code == 200
        metadata = ask(place, "/.well-known/oauth-authorization-server").json()
        assert metadata["issuer"] == "https://reports.example.org"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) in (0, -signal.SIGTERM)
    assert not place.exists()


def test_one_that_a_killed_server_left_is_replaced(place: Path, tmp_path: Path) -> None:
    with start(place, tmp_path) as process:
        says(process)
        process.kill()
    assert place.exists()
    with start(place, tmp_path) as process:
        says(process)
        assert ask(place, "/healthz").status_code == 200
        process.terminate()


def test_one_that_is_served_is_left_alone(place: Path, tmp_path: Path) -> None:
    with start(place, tmp_path) as process:
        says(process)
        with start(place, tmp_path) as other:
            assert other.wait(timeout=20) == 1
            assert f"cannot listen at {place}: Address already in use" in says(other)
        assert ask(place, "/healthz").status_code == 200
        process.terminate()


def test_what_is_no_socket_is_left_alone(place: Path, tmp_path: Path) -> None:
    place.write_text("mine")
    with start(place, tmp_path) as process:
        assert process.wait(timeout=20) == 1
    assert place.read_text() == "mine"


@pytest.mark.parametrize(("trusted", "limited"), [("*", False), ("", True)])
def test_the_proxy_says_whose_a_request_is(
    place: Path, tmp_path: Path, trusted: str, limited: bool
) -> None:
    settings = {"HEALTHREPORTS_ADDRESS_REQUESTS_PER_MINUTE": "3"}
    if trusted:
        settings["HEALTHREPORTS_TRUSTED_PROXIES"] = trusted
    with start(place, tmp_path, **settings) as process:
        says(process)
        answers = [
            ask(place, "/api/v1/users", **{"x-forwarded-for": f"192.0.2.{number}"}).status_code
            for number in range(6)
        ]
        assert (429 in answers) is limited
        process.terminate()


def test_many_connections_are_of_no_address(place: Path, tmp_path: Path) -> None:
    with start(place, tmp_path, HEALTHREPORTS_CONNECTIONS_FROM_ADDRESS="2") as process:
        says(process)
        kept = [socket.socket(socket.AF_UNIX) for _ in range(6)]
        for one in kept:
            one.connect(str(place))
        time.sleep(0.2)
        for one in kept:
            with closing(one):
                one.sendall(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")
                assert one.recv(100).startswith(b"HTTP/1.1 200")
        process.terminate()
