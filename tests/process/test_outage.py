"""PostgreSQL stops, is replaced, lags behind or is locked: the server recovers from all of it.

The requirement for the recovery is a time, so a test here may have a deadline.
"""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Self

import httpx
import psycopg
import pytest

from conftest import Account, Server
from expect import assert_envelope, assert_failure, only_record
from healthreports.app import now, open_database
from healthreports.service.auth import sign_in, tokens
from healthreports.service.auth.sessions import Visitor
from healthreports.service.limits import MEMORY, Limits
from healthreports.service.people import members
from healthreports.settings import Settings
from healthreports.store.engine.database import Database
from healthreports.store.lists import verify
from healthreports.store.schema.upgrade import upgrade
from postgres_kit import Cluster

OwnAccount = Callable[[Server], Account]

RECOVERY_S = 5
# How many good answers in a row show a client that the outage is over.
IN_A_ROW = 20
PASSWORD = "s3cr3t-of-the-database"
LOST_AT_ONCE = {
    # PostgreSQL gives none of these guarantees by itself: the writer has to request them.
    "synchronous_commit": "off",
    "wal_writer_delay": "10s",
    # The tests stop a process, not the machine.
    "fsync": "off",
}


def sent(account: Account, description: str) -> dict[str, object]:
    report = {"workspace_id": account.workspaces[0], "color": "green", "description": description}
    return {"status_report": report}


def until(is_so: Callable[[], object], deadline_s: float = 20) -> None:
    end = time.monotonic() + deadline_s
    while not is_so():
        assert time.monotonic() < end, "it did not come to this in time"
        time.sleep(0.02)


@contextmanager
def serving(address: str, **environment: str) -> Iterator[Server]:
    """A server process that ends with the test and must not have met a defect."""
    server = Server(address, environment).start()
    try:
        yield server
        if server.process is not None:
            server.stop()
    finally:
        if server.process is not None:
            server.stop(signal.SIGKILL)
    log = "".join(server.heard)
    assert "Traceback" not in log, log


def start(running: ExitStack, folder: Path, *primary: Cluster, **settings: str) -> Cluster:
    """Start a PostgreSQL server, or a standby of `primary`, that ends with `running`."""
    made = Cluster(folder, *primary, **settings)
    running.callback(made.remove)
    return made.start()


def at(cluster: Cluster, address: str, other: Cluster) -> str:
    """The address at `cluster` of the database that has `address` at `other`."""
    return address.replace(str(other.sockets), str(cluster.sockets))


def differences(address: str) -> list[str]:
    with closing(open_database(Settings(database=address))) as database:
        return database.read_here(verify.differences)


def reports_of(account: Account, address: str) -> dict[str, str]:
    """The texts of the reports of an account, by id."""
    query = "SELECT id, description FROM status_reports WHERE account_id = %s"
    with psycopg.connect(address) as connection:
        rows = connection.execute(query, (account.id,)).fetchall()
    return {str(report): description for report, description in rows}


@dataclass
class Answer:
    """The answer to a request. `status` is 0 if the answer is not in the contract's form."""

    method: str
    began: float
    ended: float
    status: int


class Load:
    """Clients that constantly read and write an account while the `with` block lasts."""

    def __init__(self, server: Server, account: Account, clients: int = 3) -> None:
        self._account = account
        self._server = server
        self._ends = threading.Event()
        self.answers: list[list[Answer]] = [[] for _ in range(2 * clients)]
        self.faults: list[str] = []
        # What each report may say: the last acknowledged text, and texts that were tried since.
        self.may_say: dict[str, set[str]] = {}
        # Texts of new reports that were perhaps not stored.
        self.unsure: set[str] = set()
        known = account.report(description="Known.")
        self._threads = [
            threading.Thread(target=run, args=(answers, number))
            for number, answers in enumerate(self.answers)
            for run in [self._write if number % 2 else self._read]
        ]
        self._paths = ("/status_reports", f"/status_reports/{known}")
        self.may_say[known] = {"Known."}

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join()

    def _read(self, answers: list[Answer], _number: int) -> None:
        with self._client() as api:
            while not self._ends.is_set():
                for path in self._paths:
                    self._ask(api, answers, "GET", path)

    def _write(self, answers: list[Answer], number: int) -> None:
        with self._client() as api:
            for turn in count():
                if self._ends.is_set():
                    return
                text = f"Client {number}, turn {turn}."
                self.unsure.add(text)
                made = self._ask(api, answers, "POST", "/status_reports", text)
                if made is not None:
                    self.unsure.discard(text)
                    self.may_say[made] = {text}
                    changed = f"{text} Changed."
                    self.may_say[made].add(changed)
                    if self._ask(api, answers, "PUT", f"/status_reports/{made}", changed):
                        self.may_say[made] = {changed}

    def _client(self) -> httpx.Client:
        return self._server.client(self._account.secrets["administrator"])

    def _ask(
        self, api: httpx.Client, answers: list[Answer], method: str, path: str, text: str = ""
    ) -> str | None:
        """Send a request. Returns the id of the first report in the answer if its status is 200."""
        began = time.monotonic()
        report, status = None, 0
        try:
            response = api.request(method, path, json=sent(self._account, text) if text else None)
            if response.status_code == 200:
                body = assert_envelope(response, "status_reports")
                report = body["results"][0]["id"]
            else:
                assert_failure(response, 503)
                assert int(response.headers["retry-after"]) >= 1
            status = response.status_code
        except (httpx.HTTPError, AssertionError) as fault:
            self.faults.append(f"{method} {path}: {fault!r}")
        answers.append(Answer(method, began, time.monotonic(), status))
        time.sleep(0.002)  # the servers need the processor, too
        return report

    def statuses(self, begin: float, end: float, *, writes_only: bool = False) -> list[int]:
        """The statuses of the requests that began and ended between two moments."""
        return [
            one.status
            for answers in self.answers
            for one in answers[:]
            if begin <= one.began and one.ended <= end
            if not writes_only or one.method != "GET"
        ]

    def await_recovery(self, since: float) -> None:
        """Wait until every client gets good answers soon enough, and check that they continue."""

        def has_recovered() -> bool:
            return all(
                len(last) == IN_A_ROW
                and last[0].began >= since
                and {one.status for one in last} == {200}
                for last in (answers[-IN_A_ROW:] for answers in self.answers)
            )

        until(has_recovered, RECOVERY_S - (time.monotonic() - since))
        recovered = time.monotonic()
        time.sleep(0.5)
        assert set(self.statuses(recovered, time.monotonic())) == {200}

    def assert_nothing_lost(self, address: str) -> None:
        """Acknowledged writes are stored; every other write is stored once or not at all."""
        assert self.faults == []
        kept = reports_of(self._account, address)
        lost = {one: says for one, says in self.may_say.items() if kept.get(one) not in says}
        assert lost == {}
        others = [says for one, says in kept.items() if one not in self.may_say]
        assert len(set(others)) == len(others)
        assert set(others) <= self.unsure
        assert differences(address) == []


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A PostgreSQL server that a test may stop and start."""
    with ExitStack() as running:
        yield start(running, tmp_path_factory.mktemp("outage") / "data", **LOST_AT_ONCE)


@pytest.fixture(scope="module")
def own_address(postgres: Cluster) -> str:
    made = postgres.make_database()
    upgrade(made)
    return made


_SERVE = [sys.executable, "-m", "healthreports", "serve", "--port", "0"]


def test_a_start_waits_for_a_database_that_comes_later(postgres: Cluster, own_address: str) -> None:
    waits = {"HEALTHREPORTS_DATABASE": own_address, "HEALTHREPORTS_DATABASE_WAIT_S": "30"}
    with ThreadPoolExecutor(1) as pool, ExitStack() as away:
        away.enter_context(postgres.stopped("fast"))
        begun = subprocess.Popen(
            _SERVE,
            env={**os.environ, **waits},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert begun.stderr is not None
        heard = pool.submit(begun.stderr.readline)
        try:
            assert "the database does not answer yet" in heard.result(20)
            away.close()
            assert "healthreports listens on" in pool.submit(begun.stderr.readline).result(30)
        finally:
            begun.terminate()
            begun.communicate(timeout=20)


def test_a_start_waits_no_longer_than_it_is_told(postgres: Cluster, own_address: str) -> None:
    waits = {"HEALTHREPORTS_DATABASE": own_address, "HEALTHREPORTS_DATABASE_WAIT_S": "3"}
    with postgres.stopped("fast"):
        ended = subprocess.run(
            _SERVE,
            check=False,
            env={**os.environ, **waits},
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert ended.returncode != 0
    assert ended.stderr.count("the database does not answer yet") == 1
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_an_outage_under_load_is_a_503_and_then_over(
    postgres: Cluster, own_address: str, own_account: OwnAccount, mode: str
) -> None:
    with serving(own_address) as server:
        with Load(server, own_account(server)) as load:
            time.sleep(0.3)
            good = load.statuses(0, time.monotonic())
            with postgres.stopped(mode):
                gone = time.monotonic()
                time.sleep(1)
                refused = load.statuses(gone, time.monotonic())
            load.await_recovery(time.monotonic())
        assert set(good) == {200}
        assert len(refused) > IN_A_ROW
        assert set(refused) == {503}
        load.assert_nothing_lost(own_address)


def test_an_outage_that_no_request_met_is_over_as_soon(
    postgres: Cluster, own_address: str, own_account: OwnAccount
) -> None:
    with serving(own_address) as server:
        account = own_account(server)

        def ask(number: int) -> int:
            if number % 2:
                return account.api.get("/status_reports").status_code
            return account.api.post("/status_reports", json=sent(account, "Fine.")).status_code

        with ThreadPoolExecutor(16) as pool:  # so that the server opens all its connections
            assert set(pool.map(ask, range(160))) == {200}
        with postgres.stopped("fast"):
            pass
        time.sleep(RECOVERY_S)
        assert [ask(number) for number in range(32)] == [200] * 32


def test_a_server_stops_while_postgresql_is_away(
    postgres: Cluster, own_address: str, own_account: OwnAccount
) -> None:
    with serving(own_address) as server:
        account = own_account(server)
        account.report()
        with postgres.stopped("immediate"):
            assert_failure(account.api.get("/status_reports"), 503)
            assert server.process is not None
            server.process.terminate()
            server.process.wait(timeout=RECOVERY_S)


@pytest.fixture
def closed_ports() -> Iterator[list[int]]:
    """Ports of this machine on which nothing listens, and which nothing else can take."""
    taken = [socket.socket() for _ in range(2)]
    for one in taken:
        one.bind(("127.0.0.1", 0))
    yield [one.getsockname()[1] for one in taken]
    for one in taken:
        one.close()


@pytest.mark.parametrize(
    "form",
    [
        "postgresql://ann:{password}@/reports?host=/nowhere",
        "postgresql://ann:{password}@127.0.0.1:{0},127.0.0.1:{1}/reports?connect_timeout=2",
        "postgresql://127.0.0.1:{0}/reports?user=ann&password={password}",
        "postgresql://ann:{password}@[::1/reports",
    ],
    ids=["socket", "two-hosts", "password-in-the-query", "unreadable"],
)
def test_a_start_without_postgresql_is_one_line_that_keeps_the_password(
    closed_ports: list[int], form: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "healthreports", "serve", "--port", "0"],
        env={**os.environ, "HEALTHREPORTS_DATABASE": form.format(*closed_ports, password=PASSWORD)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert PASSWORD not in done.stderr
    assert "Traceback" not in done.stderr
    assert re.fullmatch(r"healthreports: \S.*\n", done.stderr), done.stderr


@pytest.mark.parametrize("is_cut_off", [False, True], ids=["at-once", "cut-off-before"])
def test_a_failover_loses_nothing_and_is_soon_over(
    tmp_path_factory: pytest.TempPathFactory, own_account: OwnAccount, is_cut_off: bool
) -> None:
    folder = tmp_path_factory.mktemp("failover")
    # `local` would not wait for the standby: the writer has to request it.
    settings = {"fsync": "off", "synchronous_commit": "local"}
    with ExitStack() as running:
        primary = start(running, folder / "a", synchronous_standby_names="*", **settings)
        first = primary.make_database()
        upgrade(first)
        standby = start(running, folder / "b", primary, synchronous_standby_names="", **settings)
        until(lambda: primary.ask("SELECT sync_state FROM pg_stat_replication") == "sync")
        both = first.replace(
            str(primary.sockets),
            f"{primary.sockets},{standby.sockets}&target_session_attrs=read-write",
        )
        server = running.enter_context(serving(both))
        account = own_account(server)
        with Load(server, account) as load:
            time.sleep(0.3)
            assert set(load.statuses(0, time.monotonic())) == {200}
            if is_cut_off:
                _cut_off(standby)
                cut_off = time.monotonic()
                time.sleep(0.5)
                assert 200 not in load.statuses(cut_off, time.monotonic(), writes_only=True)
            primary.stop("immediate")
            standby.promote()
            load.await_recovery(time.monotonic())
        load.assert_nothing_lost(at(standby, first, primary))


def _cut_off(standby: Cluster) -> None:
    standby.ask("ALTER SYSTEM SET primary_conninfo = ''")
    standby.ask("SELECT pg_reload_conf()")
    until(lambda: not standby.ask("SELECT count(*) FROM pg_stat_wal_receiver"))


@dataclass
class Pair:
    """A PostgreSQL server, a replica of it, and two server processes that read from the replica."""

    primary: Cluster
    replica: Cluster
    servers: list[Server]
    settings: Settings
    database: Database

    def is_behind(self) -> bool:
        reached = self.primary.ask("SELECT pg_current_wal_insert_lsn()")
        return bool(self.replica.ask(f"SELECT pg_last_wal_replay_lsn() < '{reached}'"))

    def catch_up(self) -> None:
        until(lambda: not self.is_behind())

    @contextmanager
    def behind(self) -> Iterator[None]:
        """The replica has everything that was written until now, and nothing that follows."""
        self.catch_up()
        self.replica.ask("SELECT pg_wal_replay_pause()")
        until(lambda: self.replica.ask("SELECT pg_get_wal_replay_pause_state()") == "paused")
        try:
            yield
            assert self.is_behind()
        finally:
            self.replica.ask("SELECT pg_wal_replay_resume()")

    @contextmanager
    def client(self, account: Account, role: str, process: int) -> Iterator[httpx.Client]:
        with self.servers[process].client(account.secrets[role]) as api:
            yield api

    def reads_of_reports(self) -> tuple[int, int]:
        """How often reports were read from the primary, and from the replica."""
        return self.primary.log().count("FROM status_reports"), self.replica.log().count(
            "FROM status_reports"
        )


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("replica")
    settings = {"fsync": "off", "log_statement": "all"}
    with ExitStack() as running:
        primary = start(running, folder / "a", **settings)
        first = primary.make_database()
        upgrade(first)
        replica = start(running, folder / "b", primary, **settings)
        named = Settings(database=first, read_database=at(replica, first, primary))
        servers = [
            running.enter_context(serving(first, HEALTHREPORTS_READ_DATABASE=named.read_database))
            for _ in range(2)
        ]
        database = running.enter_context(closing(open_database(Settings(database=first))))
        yield Pair(primary, replica, servers, named, database)


def _is_let_in(server: Server, secret: str) -> bool:
    with server.client(secret) as api:
        return api.get("/status_reports").status_code == 200


@pytest.fixture
def replicated(pair: Pair, own_account: OwnAccount) -> Account:
    """An account that is on the replica, and whose tokens both processes have seen."""
    made = own_account(pair.servers[0])
    for server in pair.servers:
        for secret in made.secrets.values():
            # After another test a connection may be broken; that is not tested here.
            until(lambda: _is_let_in(server, secret))  # noqa: B023  called at once
    pair.catch_up()
    return made


through_each_process = pytest.mark.parametrize("process", [0, 1], ids=["same", "other"])


def _create(account: Account, _old: str) -> str:
    return account.report(description="New.")


def _change(account: Account, old: str) -> str:
    changed = account.api.put(f"/status_reports/{old}", json=sent(account, "New."))
    return only_record(changed)["id"]


@through_each_process
@pytest.mark.parametrize(
    "path", ["/status_reports", "/status_reports?only={id}", "/status_reports/{id}"]
)
@pytest.mark.parametrize("write", [_create, _change], ids=["created", "changed"])
def test_what_was_written_is_read_at_once_though_the_replica_is_behind(
    pair: Pair, replicated: Account, write: Callable[..., str], path: str, process: int
) -> None:
    old = replicated.report(description="Old.")
    with pair.behind(), pair.client(replicated, "administrator", process) as api:
        new = write(replicated, old)
        found = api.get(path.format(id=new))
        body = assert_envelope(found, "status_reports")
        assert body["status_reports"][new]["description"] == "New."


@through_each_process
def test_what_was_deleted_is_gone_at_once_though_the_replica_is_behind(
    pair: Pair, replicated: Account, process: int
) -> None:
    old = replicated.report(description="Old.")
    with pair.behind(), pair.client(replicated, "administrator", process) as api:
        assert replicated.api.delete(f"/status_reports/{old}").status_code == 204
        listed = assert_envelope(api.get("/status_reports"), "status_reports")
        assert old not in listed["status_reports"]
        assert_failure(api.get(f"/status_reports/{old}"), 404)


@through_each_process
def test_who_no_longer_participates_sees_nothing_at_once_though_the_replica_is_behind(
    pair: Pair, replicated: Account, process: int
) -> None:
    report = replicated.report()
    found = replicated.api.get(f"/participations?workspace_id={replicated.workspaces[0]}")
    [gone] = [
        one["id"]
        for one in assert_envelope(found, "participations")["participations"].values()
        if one["user_id"] == str(replicated.users["viewer"].id)
    ]
    with pair.behind(), pair.client(replicated, "viewer", process) as api:
        assert replicated.api.delete(f"/participations/{gone}").status_code == 204
        assert_envelope(api.get("/status_reports"), "status_reports", [])
        assert_failure(api.get(f"/status_reports/{report}"), 404)


def _revoke(tx: Any, account: Account) -> None:
    address = account.users["editor"].email_address
    [token] = [one.id for owner, one in tokens.with_owners(tx) if owner == address]
    assert tokens.revoke(tx, token, now())


def _disable(tx: Any, account: Account) -> None:
    members.disable(tx, account.users["editor"], now(), disabled=True)


@through_each_process
@pytest.mark.parametrize("end", [_revoke, _disable], ids=["revoked", "disabled"])
def test_a_token_ends_at_once_though_the_replica_is_behind(
    pair: Pair, replicated: Account, end: Callable[..., None], process: int
) -> None:
    report = replicated.report()
    with pair.behind(), pair.client(replicated, "editor", process) as api:
        pair.database.write_here(lambda tx: end(tx, replicated))
        for path in ("/status_reports", f"/status_reports/{report}"):
            assert_failure(api.get(path), 401, "oauth")
        assert_failure(api.post("/status_reports", json=sent(replicated, "No.")), 401, "oauth")


@through_each_process
def test_a_new_token_works_at_once_though_the_replica_is_behind(
    pair: Pair, replicated: Account, process: int
) -> None:
    with pair.behind():
        user = replicated.users["viewer"]
        secret = pair.database.write_here(lambda tx: tokens.issue(tx, user, "new", now()))
        with pair.servers[process].client(secret) as api:
            assert api.get("/status_reports").status_code == 200


def test_a_new_password_is_the_password_at_once_though_the_replica_is_behind(
    pair: Pair, replicated: Account
) -> None:
    user = replicated.users["editor"]

    async def sign_in_with(password: str) -> str:
        with closing(open_database(pair.settings)) as database:
            way_in = sign_in.SignIn(database, now, Limits(MEMORY, 0, 0))
            with closing(way_in):
                return await way_in.with_password(
                    user.email_address, password, Visitor("127.0.0.1")
                )

    def give(password: str) -> None:
        pair.database.write_here(lambda tx: sign_in.set_password(tx, user, password, now()))

    give("the password it had before")
    with pair.behind():
        give("the password it has by now")
        assert asyncio.run(sign_in_with("the password it has by now"))


@pytest.mark.parametrize("path", ["/status_reports", "/status_reports/{id}"])
def test_the_replica_is_read_when_it_is_not_behind(
    pair: Pair, replicated: Account, path: str
) -> None:
    report = replicated.report()
    pair.catch_up()
    at_primary, at_replica = pair.reads_of_reports()
    for _ in range(10):
        assert_envelope(replicated.api.get(path.format(id=report)), "status_reports")
    assert pair.reads_of_reports()[0] == at_primary
    assert pair.reads_of_reports()[1] >= at_replica + 10


def test_the_primary_is_read_while_the_replica_is_behind(pair: Pair, replicated: Account) -> None:
    with pair.behind():
        replicated.report()
        at_primary, _ = pair.reads_of_reports()
        assert_envelope(replicated.api.get("/status_reports"), "status_reports")
        assert pair.reads_of_reports()[0] > at_primary


def test_an_outage_of_the_replica_is_answered_in_form_and_soon_over(
    pair: Pair, replicated: Account
) -> None:
    with Load(pair.servers[0], replicated) as load:
        time.sleep(0.3)
        with pair.replica.stopped("immediate"):
            time.sleep(0.7)
        load.await_recovery(time.monotonic())
    load.assert_nothing_lost(pair.settings.database)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_primary_does_it_all_while_the_replica_is_away(
    pair: Pair, replicated: Account, method: str
) -> None:
    body = sent(replicated, "Fine.") if method == "POST" else None
    with pair.replica.stopped("fast"):
        answers = [replicated.api.request(method, "/status_reports", json=body) for _ in range(10)]
    # The first requests may have used a connection that broke.
    assert [one.status_code for one in answers[-5:]] == [200] * 5, answers[-1].text
    until(lambda: replicated.api.get("/status_reports").status_code == 200, RECOVERY_S)


@pytest.fixture(scope="module")
def impatient(cluster: Cluster) -> Iterator[Server]:
    """A server with a very short timeout for locks."""
    made = cluster.make_database()
    upgrade(made)
    with serving(made, HEALTHREPORTS_BUSY_TIMEOUT_S="0.2") as server:
        yield server


@pytest.mark.parametrize(
    "lock",
    [
        "SELECT version FROM account_versions WHERE account_id = {account} FOR UPDATE",
        "SELECT pg_advisory_xact_lock(7310002)",
        "LOCK TABLE status_reports IN SHARE MODE",
    ],
    ids=["the-account", "everything", "a-table"],
)
def test_a_lock_held_for_too_long_is_a_503_until_it_is_released(
    impatient: Server, own_account: OwnAccount, lock: str
) -> None:
    account = own_account(impatient)
    with psycopg.connect(str(impatient.database)) as other:
        other.execute(lock.format(account=account.id))
        for _ in range(3):
            refused = account.api.post("/status_reports", json=sent(account, "Refused."))
            [error] = assert_failure(refused, 503)
            assert "busy" in error["message"]
            assert int(refused.headers["retry-after"]) >= 1
        assert_envelope(account.api.get("/status_reports"), "status_reports", [], count=0)
        other.rollback()
    written = [account.report() for _ in range(3)]
    assert_envelope(account.api.get("/status_reports"), "status_reports", written, count=3)
    assert differences(str(impatient.database)) == []
