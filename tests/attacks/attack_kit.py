"""A server with few file descriptors, and a client that uses it during an attack."""

import os
import re
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from effort import P99_S
from healthreports.app import open_database
from healthreports.settings import Settings
from healthreports.store.schema.upgrade import upgrade

_LISTENS = re.compile(r"listens on http://127\.0\.0\.1:(\d+)")
MOST_FILES = 256
# Not 127.0.0.1: other tests look for free ports there.
ATTACKER = "127.0.0.9"
ENOUGH = 20
RESIDENT_BYTES = 150 * 10**6


@dataclass
class Target:
    """`healthreports serve` under `ulimit -n 256`, on the embedded database."""

    database: Path
    environment: dict[str, str]
    process: subprocess.Popen[str] | None = None
    port: int = 0
    heard: list[str] = field(default_factory=list)
    listener: threading.Thread | None = None

    def start(self) -> "Target":
        serve = [sys.executable, "-m", "healthreports", "serve", "--port", "0"]
        self.process = subprocess.Popen(
            ["sh", "-c", f'ulimit -n {MOST_FILES}; exec "$@"', "sh", *serve],
            env={**os.environ, "HEALTHREPORTS_DATABASE": str(self.database), **self.environment},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        match = _LISTENS.search(self.process.stderr.readline())
        assert match is not None
        self.port = int(match[1])
        self.listener = threading.Thread(target=self.heard.extend, args=(self.process.stderr,))
        self.listener.start()
        return self

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(timeout=20)
        assert self.listener is not None
        self.listener.join()
        assert self.process.stderr is not None
        self.process.stderr.close()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return "".join(self.heard)

    @property
    def resident_bytes(self) -> int:
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return int(fields[1]) * resource.getpagesize()

    def connect(self, source: str = ATTACKER) -> socket.socket:
        made = socket.socket()
        made.bind((source, 0))
        made.settimeout(5)
        made.connect(("127.0.0.1", self.port))
        return made


@dataclass
class Bystander:
    """A client that sends requests during an attack, from another address.

    Each request uses a new connection.
    """

    target: Target
    secret: str
    times: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    source: str = "127.0.0.2"

    def ask(self) -> None:
        transport = httpx.HTTPTransport(local_address=self.source)
        headers = {"authorization": f"Bearer {self.secret}"}
        begun = time.monotonic()
        try:
            with httpx.Client(transport=transport, timeout=10) as client:
                answer = client.get(f"{self.target.base}/api/v1/status_reports", headers=headers)
                if answer.status_code != 200:
                    self.failures.append(str(answer.status_code))
        except httpx.HTTPError as error:
            self.failures.append(repr(error))
        self.times.append(time.monotonic() - begun)

    @contextmanager
    def asking(self) -> Iterator[None]:
        ends = threading.Event()

        def go_on() -> None:
            while not ends.is_set():
                self.ask()
                time.sleep(0.01)

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            yield
            # Enough requests to judge, even on a slow machine.
            wait_until(lambda: len(self.times) > ENOUGH)
        finally:
            ends.set()
            thread.join()

    def assert_served(self) -> None:
        assert len(self.times) > ENOUGH
        assert self.failures == []
        p99 = sorted(self.times)[int(len(self.times) * 0.99)]
        assert p99 < P99_S, p99


def wait_until(holds: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.05)
    return False


def is_closed(one: socket.socket) -> bool:
    """Whether the server has closed its end. What it sent before that is discarded."""
    one.setblocking(False)  # noqa: FBT003  the signature is the socket's
    try:
        while one.recv(65536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


@contextmanager
def many(target: Target, number: int, what: bytes, source: str = ATTACKER) -> Iterator[list]:
    """Open `number` connections that each send `what`, and then nothing."""
    with ExitStack() as stack:
        made = []
        for _ in range(number):
            with suppress(OSError):
                one = stack.enter_context(target.connect(source))
                with suppress(OSError):
                    one.sendall(what)
                made.append(one)
        yield made


def new_target(folder: Path, **environment: str) -> Target:
    path = folder / "attacked.sqlite3"
    upgrade(str(path))
    return Target(path, environment)


def open_target(target: Target):
    return open_database(Settings(database=str(target.database)))
