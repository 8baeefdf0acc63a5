"""A running server on a real SQLite file, and accounts on it that no other test sees."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from command_line import Started, hash_with_less_work
from effort import RACES
from healthreports.app import now, open_database
from healthreports.core.model import User
from healthreports.core.vocabulary import AccountPermission, ParticipationPermission
from healthreports.service.auth import tokens
from healthreports.service.people import accounts, members, workspaces
from healthreports.settings import Settings
from healthreports.store.engine.database import Database
from healthreports.store.schema.upgrade import upgrade
from postgres_kit import EVERY_STORE, STORES, Cluster, older_binaries

# No test here uses TLS. The folder has no certificates: otherwise HTTPX would read all installed
# ones for each request, which took four fifths of the time of some tests.
# The former values stay in the environment, for other processes of this run and for `outside`.
for _name in ("SSL_CERT_DIR", "SSL_CERT_FILE"):
    os.environ.setdefault(f"OUTSIDE_{_name}", os.environ.get(_name, ""))
os.environ["SSL_CERT_DIR"] = str(Path(__file__).parent)
os.environ.pop("SSL_CERT_FILE", None)


def outside() -> dict[str, str]:
    """The environment of a program that fetches packages, as it was before the tests."""
    was = {name.removeprefix("OUTSIDE_"): value for name, value in os.environ.items()}
    return {name: value for name, value in {**os.environ, **was}.items() if value}


_LISTENS = re.compile(r"listens on (http://[^\s\"]+)")
_numbers = count(1)
# The folders with the slowest files. If these ran last, one of two processes would run alone.
_FIRST = ("generated", "browser", "store", "process")


def pytest_configure() -> None:
    """Let tests, and no script that uses their servers, spend less on starts and passwords."""
    Server.is_forked = True
    hash_with_less_work()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slowest folders; otherwise keep the order of pytest."""

    def place(item: pytest.Item) -> int:
        folder = item.path.parent.name
        return _FIRST.index(folder) if folder in _FIRST else len(_FIRST)

    items.sort(key=place)


def free_port() -> int:
    """A port of this machine on which nothing listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        return int(listening.getsockname()[1])


@dataclass
class Server:
    """`healthreports serve` in its own process.

    Without a `command` it is the program as users start it. In a test it is a fork
    (`command_line.Started`), unless it has several workers.
    """

    is_forked: ClassVar[bool] = False
    database: Path | str
    environment: dict[str, str] = field(default_factory=dict)
    command: Sequence[str] = ()
    port: int = 0  # any free port
    process: subprocess.Popen[str] | Started | None = None
    base: str = ""
    heard: list[str] = field(default_factory=list)
    listener: threading.Thread | None = None

    def start(self) -> "Server":
        self.process = self._run(
            "serve",
            *("--port", str(self.port)),
            env={
                **os.environ,
                "HEALTHREPORTS_DATABASE": str(self.database),
                # Requests are counted as on any server, but a test meets only limits that it sets.
                "HEALTHREPORTS_TOKEN_REQUESTS_PER_MINUTE": "1000000",
                "HEALTHREPORTS_ADDRESS_REQUESTS_PER_MINUTE": "1000000",
                "HEALTHREPORTS_DOCUMENT_REQUESTS_PER_MINUTE": "1000000",
                **self.environment,
            },
        )
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        match = _LISTENS.search(line)
        if match is None:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=5)  # so that all of its output is read
            self.process.kill()
            self.process.wait()
            with self.process.stderr as rest:
                pytest.fail(line + rest.read())
        self.base = match[1]
        # If nobody read its output, the server would block when the pipe is full.
        self.heard = []
        self.listener = threading.Thread(target=self.heard.extend, args=(self.process.stderr,))
        self.listener.start()
        return self

    def _run(self, *words: str, env: dict[str, str]) -> "subprocess.Popen[str] | Started":
        has_workers = "HEALTHREPORTS_WORKERS" in self.environment
        if self.is_forked and not self.command and not has_workers:
            return Started(*words, env=env)
        command = self.command or (sys.executable, "-m", "healthreports")
        return subprocess.Popen([*command, *words], env=env, stderr=subprocess.PIPE, text=True)

    def stop(self, number: int = signal.SIGTERM) -> str:
        """End the process. Returns what it wrote to standard error since it started."""
        assert self.process is not None
        assert self.listener is not None
        self.process.send_signal(number)
        self.process.wait(timeout=20)
        self.listener.join()
        assert self.process.stderr is not None
        self.process.stderr.close()
        self.process = None
        return "".join(self.heard)

    def client(self, secret: str | None) -> httpx.Client:
        headers = {"authorization": f"Bearer {secret}"} if secret else {}
        # No test here uses TLS, and preparing it takes longer than most tests.
        return httpx.Client(
            base_url=f"{self.base}/api/v1", headers=headers, timeout=30, verify=False
        )


@dataclass
class Account:
    """An account for a test: a client for each role, and two workspaces.

    The administrator of the account and the editor, an admin of both workspaces, may write there;
    the viewer sees the first, the outsider none.
    """

    id: int
    users: dict[str, User]
    secrets: dict[str, str]
    clients: dict[str, httpx.Client]
    workspaces: list[str]
    database: Database

    def close(self) -> None:
        for client in self.clients.values():
            client.close()

    @property
    def api(self) -> httpx.Client:
        return self.clients["administrator"]

    def report(self, **attributes: object) -> str:
        """Create a report through the API. Returns its id."""
        sent = {
            "workspace_id": self.workspaces[0],
            "color": "green",
            "description": "All is well.",
            **attributes,
        }
        response = self.api.post("/status_reports", json={"status_report": sent})
        assert response.status_code == 200, response.text
        return response.json()["results"][0]["id"]


ROLES = {
    "administrator": AccountPermission.ADMINISTRATOR,
    "editor": AccountPermission.COLLABORATOR,
    "viewer": AccountPermission.COLLABORATOR,
    "outsider": AccountPermission.COLLABORATOR,
}


def make_account(server: Server, database: Database) -> Account:
    number = next(_numbers)

    def work(tx) -> tuple[int, dict[str, User], dict[str, str], list[str]]:
        account_id = accounts.create_account(tx, f"Account {number}", now())
        users = {
            role: members.create_user(
                tx,
                account_id,
                full_name=f"The {role}",
                email_address=f"{role}{number}@example.org",
                permission=permission,
                now=now(),
            )
            for role, permission in ROLES.items()
        }
        secrets = {role: tokens.issue(tx, user, "test", now()) for role, user in users.items()}
        spaces = [
            workspaces.make_workspace(tx, users["administrator"], title, now())
            for title in ("First", "Second")
        ]
        for space in spaces:
            workspaces.join(tx, space, users["editor"], ParticipationPermission.ADMIN, now())
        workspaces.join(tx, spaces[0], users["viewer"], ParticipationPermission.VIEW, now())
        return account_id, users, secrets, list(map(str, spaces))

    account_id, users, secrets, spaces = database.write_here(work)
    clients = {role: server.client(secret) for role, secret in secrets.items()}
    return Account(account_id, users, secrets, clients, spaces, database)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server whose data need not survive a crash of the machine."""
    # Not in pytest's own folder: another run may deny the server's user access to it.
    with tempfile.TemporaryDirectory(prefix="hr") as folder:
        started = Cluster(Path(folder) / "data", fsync="off").start()
        yield started
        started.remove()


@pytest.fixture(scope="session")
def older_cluster() -> Iterator[Cluster]:
    """The oldest PostgreSQL that we support, if the machine has one."""
    binaries = older_binaries()
    assert binaries is not None  # otherwise no test asks for it
    with tempfile.TemporaryDirectory(prefix="hr") as folder:
        started = Cluster(Path(folder) / "data", binaries=binaries, fsync="off").start()
        yield started
        started.remove()


def new_address(store: str, request: pytest.FixtureRequest, folder: Path) -> str:
    """The address of a new database on a store."""
    if store == "sqlite":
        return str(folder / "test.sqlite3")
    cluster = "cluster" if store == "postgres" else "older_cluster"
    return request.getfixturevalue(cluster).make_database()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes `address` on both stores; marks select one store, or all of them.

    The mark nearest to the test counts: `one_store` of a module, `both_stores` of a test in it.
    """
    if metafunc.definition.get_closest_marker("race"):
        metafunc.fixturenames.append("race")
        metafunc.parametrize("race", range(RACES))
    # A module or a test may have its own `address`.
    given = {
        name for mark in metafunc.definition.iter_markers("parametrize") for name in mark.args[:1]
    }
    own = hasattr(metafunc.module, "address") or "address" in given
    if "address" in metafunc.fixturenames and not own:
        marks = (one.name for one in metafunc.definition.iter_markers())
        nearest = next((name for name in marks if name in _ON), "both_stores")
        metafunc.parametrize("address", _ON[nearest], indirect=True, scope="session")


_ON = {"one_store": ("sqlite",), "both_stores": STORES, "every_store": EVERY_STORE}


def pytest_report_header() -> str:
    """List the stores in the header of the run."""
    return f"stores: {', '.join(EVERY_STORE)} (PostgreSQL 15 or newer of the machine's own)"


class Kept:
    """A database on a store, and its server; each starts when it is first used.

    They last until the end of the run; fixtures with parameters are created again for each file.
    """

    def __init__(self, address: str) -> None:
        upgrade(address)
        self.address = address

    @cached_property
    def server(self) -> Server:
        return Server(self.address).start()

    @cached_property
    def database(self) -> Database:
        return open_database(Settings(database=self.address))

    def close(self) -> None:
        if "database" in vars(self):
            self.database.close()
        if "server" in vars(self):
            self.server.stop()


def _kept_on(store: str) -> Any:
    @pytest.fixture(scope="session", name=f"kept on {store}")
    def kept(
        request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Kept]:
        made = Kept(new_address(store, request, tmp_path_factory.mktemp("server")))
        yield made
        made.close()

    return kept


_kept: dict[str, Kept] = {}
_on_sqlite, _on_postgres, _on_older = map(_kept_on, ("sqlite", "postgres", "older postgres"))


@pytest.fixture(scope="session")
def address(request: pytest.FixtureRequest) -> str:
    """The address of the database of a store, which all tests on that store share."""
    kept = request.getfixturevalue(f"kept on {request.param}")
    _kept[kept.address] = kept
    return kept.address


@pytest.fixture(scope="session")
def server(address: str) -> Iterator[Server]:
    """A server on `address`: the shared one, or a new one if a module has its own address."""
    if address in _kept:
        running = _kept[address].server
        yield running
        errors = "".join(running.heard)
    else:
        running = Server(address).start()
        yield running
        errors = running.stop()
    assert "Traceback" not in errors, errors


@pytest.fixture(scope="session")
def database(server: Server) -> Iterator[Database]:
    address = str(server.database)
    if address in _kept:
        yield _kept[address].database
        return
    opened = open_database(Settings(database=address))
    yield opened
    opened.close()


@pytest.fixture
def account(server: Server, database: Database) -> Iterator[Account]:
    made = make_account(server, database)
    yield made
    made.close()


@pytest.fixture
def other_account(server: Server, database: Database) -> Iterator[Account]:
    made = make_account(server, database)
    yield made
    made.close()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start a server that the test may stop, kill or starve: `own_server(**environment)`."""
    started: list[Server] = []

    def start(**environment: str) -> Server:
        path = tmp_path / "own.sqlite3"
        if not path.exists():
            upgrade(str(path))
        started.append(Server(path, environment).start())
        return started[-1]

    yield start
    for one in started:
        if one.process is not None:
            one.stop(signal.SIGKILL)


@pytest.fixture
def own_account() -> Iterator[Callable[[Server], Account]]:
    """Make an account on a test's own server."""
    made: list[Account] = []

    def make(server: Server) -> Account:
        opened = open_database(Settings(database=str(server.database)))
        try:
            made.append(make_account(server, opened))
        finally:
            opened.close()
        return made[-1]

    yield make
    for one in made:
        one.close()
