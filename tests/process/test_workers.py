"""Several processes behave like one: workers of a server, and servers on one database."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from conftest import Account, Server, make_account
from expect import assert_envelope, assert_failure, only_record
from healthreports.app import now, open_database
from healthreports.core.vocabulary import ParticipationPermission
from healthreports.service.auth import sign_in, tokens
from healthreports.service.people import workspaces
from healthreports.settings import Settings
from healthreports.store.engine.database import Database
from healthreports.store.lists import verify
from healthreports.store.schema.upgrade import upgrade
from postgres_kit import STORES
from signin.visitor import send_form, who_is_at

WORKERS = 3
WITH_WORKERS = {"HEALTHREPORTS_WORKERS": str(WORKERS)}
PASSWORD = "correct horse battery"


def new_database(request: pytest.FixtureRequest, store: str, folder: Path) -> str:
    if store == "sqlite":
        made = str(folder / "workers.sqlite3")
    else:
        made = request.getfixturevalue("cluster").make_database()
    upgrade(made)
    return made


def process_of(answer: httpx.Response) -> str:
    """The part of the request id that identifies the process."""
    return answer.headers["x-request-id"].rpartition("-")[0]


def wait_until(is_so: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@dataclass
class Fleet:
    """Servers on one database, with `size` processes in total."""

    servers: list[Server]
    size: int
    database: Database

    def each(self, opened: ExitStack, **headers: str) -> dict[str, httpx.Client]:
        """A client for each process: a connection stays with the process that accepted it."""
        found: dict[str, httpx.Client] = {}
        end = time.monotonic() + 30
        while len(found) < self.size:
            assert time.monotonic() < end, f"only {len(found)} of {self.size} processes answer"
            # A busy process leaves the next connection to others.
            many = [self._client(server, headers) for server in self.servers for _ in range(6)]
            with ThreadPoolExecutor(len(many)) as pool:
                answers = list(pool.map(lambda one: one.get("/api/v1/users/me"), many))
            for client, answer in zip(many, answers, strict=True):
                if found.setdefault(process_of(answer), client) is client:
                    opened.callback(client.close)
                else:
                    client.close()
        return found

    def _client(self, server: Server, headers: dict[str, str]) -> httpx.Client:
        return httpx.Client(base_url=server.base, headers=headers, timeout=30, verify=False)

    def apis(self, opened: ExitStack, secret: str) -> list[httpx.Client]:
        """An API client for each process."""
        clients = list(self.each(opened, authorization=f"Bearer {secret}").values())
        for one in clients:
            one.base_url = one.base_url.join("/api/v1/")
        return clients


def parents() -> dict[int, int]:
    """The parent of each running process."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # the process has ended
            state, parent, *_ = path.read_text().rpartition(")")[2].split()
            if state != "Z":
                found[int(path.parent.name)] = int(parent)
    return found


def below(server: Server) -> set[int]:
    """The processes that the server has started."""
    if server.process is None:
        return set()
    return {pid for pid, parent in parents().items() if parent == server.process.pid}


def is_worker(pid: int) -> bool:
    """Whether the process serves requests, and is not the one that cleans up after the others."""
    with suppress(OSError):
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def workers_of(server: Server) -> set[int]:
    return {pid for pid in below(server) if is_worker(pid)}


def are_gone(pids: set[int]) -> bool:
    return not pids & parents().keys()


@contextmanager
def running(address: str, **settings: str) -> Iterator[tuple[Server, set[int]]]:
    """A server, and all its known processes. No process is left at the end."""
    server = Server(address, settings).start()
    pids = below(server)
    try:
        yield server, pids
    finally:
        # A process that is left keeps the pipe open that is read to its end as the server's output.
        left = pids | below(server)
        if server.process is not None:
            server.process.kill()
        for pid in left & {one for one in parents() if is_worker(one)}:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if server.process is not None:
            server.stop(signal.SIGKILL)


@pytest.fixture(scope="module", params=[*STORES, "two servers on postgres"])
def fleet(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    store = request.param.rpartition(" ")[2]
    address = new_database(request, store, tmp_path_factory.mktemp("workers"))
    settings, number = ({}, 2) if "two" in request.param else (WITH_WORKERS, 1)
    with ExitStack() as stopping, closing(open_database(Settings(database=address))) as opened:
        servers = [stopping.enter_context(running(address, **settings))[0] for _ in range(number)]
        yield Fleet(servers, WORKERS if settings else len(servers), opened)
        said = "".join([server.stop() for server in servers])
        assert "Traceback" not in said, said
        assert opened.read_here(verify.differences) == []


@pytest.fixture
def shared(fleet: Fleet) -> Iterator[Account]:
    made = make_account(fleet.servers[0], fleet.database)
    yield made
    made.close()


def sent(account: Account, description: str) -> dict[str, object]:
    report = {
        "workspace_id": account.workspaces[0],
        "color": "green",
        "description": description,
    }
    return {"status_report": report}


def test_what_one_process_wrote_every_other_reads_at_once(fleet: Fleet, shared: Account) -> None:
    ids: list[str] = []
    with ExitStack() as opened:
        apis = fleet.apis(opened, shared.secrets["administrator"])
        for writer in apis:
            created = only_record(writer.post("/status_reports", json=sent(shared, "New")))
            ids.append(created["id"])
            path = f"/status_reports/{created['id']}"
            for reader in apis:
                assert only_record(reader.get(path)) == created
                listed = reader.get("/status_reports")
                assert_envelope(listed, "status_reports", ids, count=len(ids))
                lines = reader.get("/status_reports.ndjson").text.splitlines()
                assert [json.loads(line)["id"] for line in lines] == ids
            changed = only_record(writer.put(path, json=sent(shared, "Changed")))
            assert changed["description"] == "Changed"
            for reader in apis:
                assert only_record(reader.get(path)) == changed
        assert len({process_of(api.get("/users/me")) for api in apis}) == fleet.size
        for writer in apis:
            assert writer.delete(f"/status_reports/{ids.pop()}").status_code == 204
            for reader in apis:
                listed = reader.get("/status_reports")
                assert_envelope(listed, "status_reports", ids, count=len(ids))


def test_on_new_connections_one_reads_what_one_wrote(fleet: Fleet, shared: Account) -> None:
    secret, bases = shared.secrets["editor"], [server.base for server in fleet.servers]
    headers = {"authorization": f"Bearer {secret}"}

    def write_and_read(number: int) -> tuple[str, str]:
        base = f"{bases[number % len(bases)]}/api/v1/status_reports"
        other = f"{bases[(number + 1) % len(bases)]}/api/v1/status_reports"
        made = httpx.post(
            base, json=sent(shared, str(number)), headers=headers, verify=False, timeout=30
        )
        created = only_record(made)
        read = httpx.get(f"{other}/{created['id']}", headers=headers, verify=False, timeout=30)
        assert only_record(read) == created
        return process_of(made), process_of(read)

    with ThreadPoolExecutor(6) as pool:
        pairs = set(pool.map(write_and_read, range(48)))
    assert any(writer != reader for writer, reader in pairs)
    assert_envelope(shared.api.get("/status_reports?per_page=200"), "status_reports", count=48)


def test_a_revoked_token_is_worth_nothing_in_any_process(fleet: Fleet, shared: Account) -> None:
    user = shared.users["editor"]
    secret = fleet.database.write_here(lambda tx: tokens.issue(tx, user, "gone", now()))
    with ExitStack() as opened:
        apis = fleet.apis(opened, secret)
        for one in apis:
            assert one.get("/status_reports").status_code == 200

        def revoke(tx) -> None:
            actor = tokens.authenticate(tx, secret, now())
            tokens.revoke(tx, actor.token_id, now())

        fleet.database.write_here(revoke)
        for one in apis:
            assert_failure(one.get("/status_reports"), 401, "oauth")
            assert_failure(one.post("/status_reports", json=sent(shared, "No")), 401, "oauth")
    assert_envelope(shared.api.get("/status_reports"), "status_reports", [], count=0)


def test_a_user_who_is_disabled_in_one_process_is_in_all(fleet: Fleet, shared: Account) -> None:
    user = shared.users["editor"]
    with ExitStack() as opened:
        apis = fleet.apis(opened, shared.secrets["editor"])
        administrators = fleet.apis(opened, shared.secrets["administrator"])
        path = "/account_memberships"
        body = assert_envelope(administrators[0].get(path), "account_memberships")
        [membership] = [
            key
            for key, one in body["account_memberships"].items()
            if one["user_id"] == str(user.id)
        ]
        for administrator in administrators:
            for disabled, status in ((True, 401), (False, 200)):
                change = {"account_membership": {"disabled": disabled}}
                answer = administrator.put(f"{path}/{membership}", json=change)
                assert answer.status_code == 200, answer.text
                assert [one.get("/status_reports").status_code for one in apis] == [status] * len(
                    apis
                )


def test_what_a_user_may_see_changes_in_all_processes_at_once(
    fleet: Fleet, shared: Account
) -> None:
    ids = [shared.report() for _ in range(3)]
    space = int(shared.workspaces[0])
    with ExitStack() as opened:
        apis = fleet.apis(opened, shared.secrets["outsider"])
        for one in apis:
            assert_envelope(one.get("/status_reports"), "status_reports", [], count=0)
        outsider = shared.users["outsider"]
        fleet.database.write_here(
            lambda tx: workspaces.join(tx, space, outsider, ParticipationPermission.VIEW, now())
        )
        for one in apis:
            assert_envelope(one.get("/status_reports"), "status_reports", ids, count=3)


def test_who_signed_in_at_one_process_is_signed_in_at_all(fleet: Fleet, shared: Account) -> None:
    user = shared.users["viewer"]
    fleet.database.write_here(lambda tx: sign_in.set_password(tx, user, PASSWORD, now()))
    with ExitStack() as opened:
        browsers = list(fleet.each(opened).values())
        for one in browsers:
            one.follow_redirects = True
        first = browsers[0]
        page = first.get("/sign-in", params={"next": "/account"})
        send_form(first, page, email_address=user.email_address, password=PASSWORD)
        assert who_is_at(first) == user.email_address
        for one in browsers[1:]:
            assert who_is_at(one) is None
            one.cookies = first.cookies
            assert who_is_at(one) == user.email_address
        # A user who signs out at one process is signed out at all, whatever cookie is sent.
        last = browsers[-1]
        kept = dict(last.cookies)
        send_form(last, last.get("/account"), action="/sign-out")
        assert kept
        for one in browsers:
            one.cookies = kept
            assert who_is_at(one) is None


def test_counts_are_right_after_many_have_written_through_all(
    fleet: Fleet, shared: Account
) -> None:
    with ExitStack() as opened:
        apis = fleet.apis(opened, shared.secrets["administrator"])

        def write(number: int) -> str:
            api = apis[number % len(apis)]
            created = only_record(api.post("/status_reports", json=sent(shared, str(number))))
            if number % 3 == 0:
                path = f"/status_reports/{created['id']}"
                assert api.delete(path).status_code == 204
                return ""
            return str(created["id"])

        with ThreadPoolExecutor(len(apis)) as pool:
            ids = sorted(filter(None, pool.map(write, range(60))), key=int)
        for one in apis:
            listed = one.get("/status_reports?per_page=200")
            assert_envelope(listed, "status_reports", ids, count=40)
    assert fleet.database.read_here(verify.differences) == []


@dataclass
class Writer:
    """Writes reports, each on its own connection, and records which were acknowledged."""

    server: Server
    account: Account
    ids: list[str] = field(default_factory=list)
    statuses: set[int] = field(default_factory=set)

    def write(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                with self.server.client(self.account.secrets["editor"]) as api:
                    answer = api.post("/status_reports", json=sent(self.account, "Written"))
            except httpx.TransportError:
                continue
            self.statuses.add(answer.status_code)
            if answer.status_code == 200:
                self.ids.append(answer.json()["results"][0]["id"])


@pytest.fixture(params=STORES)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return new_database(request, request.param, tmp_path)


@pytest.fixture
def mortal(address: str) -> Iterator[tuple[Fleet, Account, set[int]]]:
    """Workers that a test may kill, an account, and the ids of all processes."""
    with (
        running(address, **WITH_WORKERS) as (server, pids),
        closing(open_database(Settings(database=address))) as opened,
    ):
        account = make_account(server, opened)
        yield Fleet([server], WORKERS, opened), account, pids
        account.close()


def test_a_worker_that_is_killed_is_replaced_and_then_all_end_in_order(
    mortal: tuple[Fleet, Account, set[int]],
) -> None:
    fleet, account, pids = mortal
    [server] = fleet.servers
    before = workers_of(server)
    assert len(before) == WORKERS
    assert before <= pids
    writers, stop = [Writer(server, account) for _ in range(4)], threading.Event()
    with ExitStack() as opened, ThreadPoolExecutor(4) as pool:
        apis = fleet.apis(opened, account.secrets["administrator"])
        writing = [pool.submit(one.write, stop) for one in writers]
        try:
            assert wait_until(lambda: all(len(one.ids) > 3 for one in writers), 20)
            victim = min(before)
            os.kill(victim, signal.SIGKILL)
            # The other workers continue at once; a client whose connection is closed opens another.
            answered = []
            for one in apis:
                with suppress(httpx.TransportError):
                    answered.append(one.get("/users/me").status_code)
            assert len(answered) >= WORKERS - 1
            assert set(answered) == {200}
            assert wait_until(lambda: len(workers_of(server) - {victim}) == WORKERS, 20)
            mark = len(writers[0].ids)
            assert wait_until(lambda: len(writers[0].ids) > mark + 3, 20)
        finally:
            stop.set()
        for one in writing:
            one.result()
    pids |= below(server)
    assert before - {victim} < workers_of(server)
    assert {status for one in writers for status in one.statuses} == {200}
    acknowledged = {key for one in writers for key in one.ids}
    lines = account.api.get("/status_reports.ndjson").text.splitlines()
    found = [json.loads(line)["id"] for line in lines]
    assert acknowledged <= set(found)
    # Each writer may have at most one stored report for which it got no answer.
    assert len(found) <= len(acknowledged) + len(writers)
    assert fleet.database.read_here(verify.differences) == []
    with ExitStack() as opened:
        fleet.apis(opened, account.secrets["administrator"])  # the new process answers, too
    end_in_order(server, account, pids)


def test_a_hangup_replaces_the_workers_while_others_write(
    mortal: tuple[Fleet, Account, set[int]],
) -> None:
    fleet, account, pids = mortal
    [server] = fleet.servers
    assert server.process is not None
    before = workers_of(server)
    writer, stop = Writer(server, account), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(writer.write, stop)
        try:
            assert wait_until(lambda: len(writer.ids) > 3, 20)
            server.process.send_signal(signal.SIGHUP)
            assert wait_until(lambda: not before & workers_of(server), 40)
            assert wait_until(lambda: len(workers_of(server)) == WORKERS, 20)
            mark = len(writer.ids)
            assert wait_until(lambda: len(writer.ids) > mark + 3, 20)
        finally:
            stop.set()
        writing.result()
    pids |= below(server)
    assert writer.statuses == {200}
    lines = account.api.get("/status_reports.ndjson").text.splitlines()
    assert set(writer.ids) <= {json.loads(line)["id"] for line in lines}
    assert fleet.database.read_here(verify.differences) == []
    end_in_order(server, account, pids)


def begun(server: Server, account: Account, body: bytes) -> socket.socket:
    """A connection on which a write has begun; its body is not sent yet."""
    address = urlsplit(server.base)
    connection = socket.create_connection((address.hostname, address.port), timeout=20)
    connection.sendall(
        b"POST /api/v1/status_reports HTTP/1.1\r\nhost: x\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n"
        b"authorization: Bearer %b\r\n\r\n" % (len(body), account.secrets["administrator"].encode())
    )
    return connection


def end_in_order(server: Server, account: Account, pids: set[int]) -> None:
    """Requests under way are answered; then all processes end, without a traceback in the log."""
    body = json.dumps(sent(account, "The last")).encode()
    assert server.process is not None
    with ExitStack() as opened:
        under_way = [opened.enter_context(begun(server, account, body)) for _ in range(6)]
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        # By now each worker has been told to stop.
        time.sleep(1.2)
        for one in under_way:
            one.sendall(body)
        for one in under_way:
            assert one.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert server.process.wait(timeout=15) == 0
    assert wait_until(lambda: are_gone(pids), 10)
    with pytest.raises(httpx.ConnectError):
        account.api.get("/status_reports")
    assert "Traceback" not in server.stop(), server.heard


def test_workers_do_not_outlive_the_process_that_started_them(
    mortal: tuple[Fleet, Account, set[int]],
) -> None:
    fleet, account, pids = mortal
    [server] = fleet.servers
    written = account.report()
    assert len(workers_of(server)) == WORKERS
    assert server.process is not None
    server.process.kill()
    server.process.wait(timeout=10)
    assert wait_until(lambda: are_gone(pids), 2)  # one second, and one more for a busy machine
    assert "Traceback" not in server.stop()
    with pytest.raises(httpx.ConnectError):
        account.api.get("/status_reports")
    # The next server can use what they held.
    again = Server(server.database).start()
    try:
        with again.client(account.secrets["editor"]) as api:
            assert_envelope(api.get("/status_reports"), "status_reports", [written], count=1)
    finally:
        again.stop()


def test_a_worker_that_needs_long_to_start_is_given_the_time(tmp_path: Path) -> None:
    path, slow = tmp_path / "slow.sqlite3", tmp_path / "slow"
    upgrade(str(path))
    (tmp_path / "sitecustomize.py").write_text(
        f"import os, time\nif os.path.exists({str(slow)!r}): time.sleep(8)\n"
    )
    settings = {"HEALTHREPORTS_WORKERS": "2", "PYTHONPATH": str(tmp_path)}
    server = Server(path, settings).start()
    try:
        slow.touch()
        before = workers_of(server)
        assert len(before) == 2
        os.kill(min(before), signal.SIGKILL)
        assert wait_until(lambda: "is ready" in "".join(server.heard), 30), server.heard
        assert len(workers_of(server) - before) == 1
    finally:
        log = server.stop()
    assert log.count("and is replaced") == 1, log


@contextmanager
def command(**environment: str) -> Iterator["subprocess.Popen[str]"]:
    """`healthreports serve`, which may fail to start. No process is left at the end."""
    started = subprocess.Popen(
        [sys.executable, "-m", "healthreports", "serve", "--port", "0"],
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield started
    finally:
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.communicate()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("HEALTHREPORTS_WORKERS", "0", "HEALTHREPORTS_WORKERS"),
        ("HEALTHREPORTS_WORKERS", "many", "HEALTHREPORTS_WORKERS"),
        ("HEALTHREPORTS_LIMIT_STORE", "nonsense", "memory, or valkey"),
    ],
)
def test_a_bad_setting_is_one_line_and_the_end_with_workers_too(
    tmp_path: Path, name: str, value: str, says: str
) -> None:
    database = str(tmp_path / "x.sqlite3")
    upgrade(database)
    settings = {"HEALTHREPORTS_DATABASE": database, **WITH_WORKERS, name: value}
    with command(**settings) as started:
        assert started.wait(timeout=10) == 1
        assert started.stderr is not None
        said = started.stderr.read()
    assert said.count("\n") == 1
    assert says in said
