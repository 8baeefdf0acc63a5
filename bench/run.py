"""Compares our server with two peers and writes RESULTS.md: speed, memory, start, durability.

The peers are `bare` (sends the same bytes on the same server program) and `plain` (the same reads
as tutorials write them). All run at the same time on one core. wrk, on the other core, calls one
after the other in short turns, so that other load on the machine affects all of them. A ratio is
calculated within a round, and the median over the rounds counts. The processor time of the server
process is also read for each turn, since requests per second of processor time do not depend on
other programs that use the core.
"""

import argparse
import contextlib
import functools
import http.client
import importlib.metadata
import json
import os
import platform
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

import data
from postgres_kit import Cluster
from results import RESULTS, THRESHOLDS, Measurements, Turn, report, write_part

HERE = Path(__file__).parent
ROOT = HERE.parent
VAR = HERE / "var"
QUICK_RESULTS = VAR / "RESULTS-quick.md"

LIST_PATH = "/api/v1/status_reports"
SHOW_PATH = LIST_PATH + "/%d"
INCLUDE_PATH = LIST_PATH + "?include=creator,workspace,external_references"
WORKSPACES_PATH = "/api/v1/workspaces?include=current_status_report"
REFERENCES_PATH = "/api/v1/external_references?subject_type=StatusReport"
# The query has a word that one report has, and one that all have.
SEARCH_PATH = LIST_PATH + "?text=4217+team"
CONNECTIONS = 16
WRITING_CONNECTIONS = 32
PAGE = 20
OK, UNAUTHORIZED, NOT_FOUND = 200, 401, 404

START_LIMIT_S = 30
FSYNC_S = 0.5
# About what the commit of one report writes to SQLite's WAL: four pages.
FSYNC_BYTES = 4 * 4096
FSYNC_BLOCKS = 250
STARTS = 7
UVICORN = (
    *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--no-server-header"),
    *("--log-level", "warning"),
    *("--header", "x-content-type-options:nosniff", "--header", "referrer-policy:no-referrer"),
)


class Stop(Exception):
    """The benchmark cannot continue; the message is one line."""


@dataclass(frozen=True)
class Case:
    """One kind of request to measure; `apps` are the servers that can answer it."""

    name: str
    user: str
    path: str
    apps: tuple[str, ...]
    ids: int = 1

    @property
    def label(self) -> str:
        return f"{self.name}, {self.user}"


CASES = [
    Case(name, user, path, apps, ids)
    for name, path, apps, ids in (
        ("get-one", SHOW_PATH, ("ours", "bare", "plain", "postgres"), data.REPORTS),
        ("list-20", LIST_PATH, ("ours", "bare", "plain", "postgres"), 1),
        ("list-20-include", INCLUDE_PATH, ("ours", "bare"), 1),
        ("workspaces-current", WORKSPACES_PATH, ("ours", "bare"), 1),
        ("references", REFERENCES_PATH, ("ours", "bare"), 1),
        ("search", SEARCH_PATH, ("ours", "bare"), 1),
    )
    for user in ("participant", "administrator")
]
# The first page again, from a client that has it already: answered with 304.
UNCHANGED = [
    Case("list-304", user, LIST_PATH, ("ours",)) for user in ("participant", "administrator")
]
CREATES = [
    Case(name, user, LIST_PATH, ("writer",))
    for name in ("create", "create-key")
    for user in ("participant", "administrator")
]
# Each update also stores the version before it.
UPDATES = [Case("update", "administrator", SHOW_PATH, ("writer",), data.REPORTS)]


class Server:
    """A server in its own process, on the first core."""

    def __init__(self, name: str, command: tuple[str, ...], environment: dict[str, str]) -> None:
        self.name = name
        self.command = command
        self.environment = environment
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, secret: str) -> float:
        """Start the server. Returns the seconds until the first 200."""
        self.port = _free_port()
        log = (VAR / f"{self.name}.log").open("wb")
        with log:
            started = time.perf_counter()
            self.process = subprocess.Popen(
                # The server is killed when this process ends, for whatever reason.
                [
                    *("setpriv", "--pdeathsig", "KILL", "taskset", "-c", str(cores()[0])),
                    *(*self.command, "--port", str(self.port)),
                ],
                cwd=ROOT,
                env=_environment() | self.environment,
                stdout=log,
                stderr=log,
            )
        while not self._answers(secret):
            if self.process.poll() is not None or time.perf_counter() - started > START_LIMIT_S:
                says = (VAR / f"{self.name}.log").read_text().strip().splitlines()
                raise Stop(f"{self.name} does not start: {says[-1] if says else 'no word'}")
            time.sleep(0.001)
        return time.perf_counter() - started

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is None:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout=15)
        self.process = None

    def get(self, path: str, secret: str) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_LIMIT_S)
        try:
            connection.request("GET", path, headers={"authorization": f"Bearer {secret}"})
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    def memory_mb(self) -> tuple[float, float]:
        """The resident memory now and its peak, in MB (10^6 bytes)."""
        assert self.process is not None
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        return tuple(int(fields[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM"))

    def cpu_s(self) -> float:
        """The processor time that the process has used, in seconds."""
        assert self.process is not None
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        user, system = int(stat[11]), int(stat[12])
        return (user + system) / os.sysconf("SC_CLK_TCK")

    def _answers(self, secret: str) -> bool:
        try:
            return self.get(SHOW_PATH % 1, secret)[0] == OK
        except OSError:
            return False


def main() -> int:
    options = _options()
    try:
        with _content() as content:
            found = measure(content, options)
    except Stop as stop:
        print(f"bench: {stop}", file=sys.stderr)
        return 2
    text = report(found, facts(options), options.rounds)
    print(text)
    if options.quick:
        QUICK_RESULTS.write_text(text)
    else:
        write_part("speed", text)
    print(f"written to {(QUICK_RESULTS if options.quick else RESULTS).relative_to(ROOT)}")
    missed = [one.says for one in THRESHOLDS if not one.measured(found)[-1]]
    for says in missed:
        print(f"bench: not reached: {says}", file=sys.stderr)
    return 1 if missed and not options.quick else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure our server beside two peers.")
    parser.add_argument("--seconds", type=int, default=2, help="of each turn, whole (default: 2)")
    parser.add_argument("--rounds", type=int, default=7, help="at least 3 (default: 7)")
    parser.add_argument(
        "--quick", action="store_true", help="3 rounds of 1 s, not written to RESULTS.md"
    )
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.rounds = 1, 3
    if not (1 <= options.seconds <= 60 and 3 <= options.rounds <= 50):  # noqa: PLR2004
        parser.error("--seconds from 1 to 60, --rounds from 3 to 50")
    for tool in ("wrk", "taskset", "setpriv"):
        if shutil.which(tool) is None:
            parser.exit(2, f"bench: {tool} is missing (Debian: apt-get install wrk util-linux)\n")
    if len(cores()) < 2:  # noqa: PLR2004
        parser.exit(2, "bench: two cores are needed, one for the server and one for wrk\n")
    os.sched_setaffinity(0, {cores()[1]})  # must not use the core of the servers
    return options


@functools.cache
def cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Content:
    """The servers, their databases, and the token of each user; `postgres` has its own tokens."""

    secrets: dict[str, str]
    postgres_secrets: dict[str, str]
    servers: dict[str, Server]
    written: Path

    def secret(self, app: str, user: str) -> str:
        return (self.postgres_secrets if app == "postgres" else self.secrets)[user]


@contextlib.contextmanager
def _content() -> Iterator[Content]:
    """Fill new databases; at the end stop every server."""
    shutil.rmtree(VAR, ignore_errors=True)
    (VAR / "bodies").mkdir(parents=True)
    python, ours = Path(sys.executable), Path(sys.executable).with_name("healthreports")
    read, written, plain = (VAR / f"{name}.sqlite3" for name in ("ours", "writer", "plain"))
    # All modules are compiled to bytecode before a start is timed, even those that run only once.
    _run(str(python), "-m", "compileall", "-q", str(ROOT / "src"), str(HERE))
    _run(str(ours), "db", "upgrade", "--database", str(read))
    secrets = data.fill_ours(str(read))
    cluster = Cluster(VAR / "postgres").start()
    address = cluster.make_database()
    _run(str(ours), "db", "upgrade", "--database", address)
    postgres_secrets = data.fill_ours(address)
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    data.fill_plain(plain, secrets)
    shutil.copyfile(read, written)
    uvicorn = (str(python), "-m", "uvicorn", "--app-dir", str(HERE))
    # Requests are counted as usual, with a limit that no load here reaches.
    unlimited = {"HEALTHREPORTS_TOKEN_REQUESTS_PER_MINUTE": "1000000000"}
    servers = {
        "ours": Server("ours", (str(ours), "serve", "--database", str(read)), unlimited),
        "writer": Server("writer", (str(ours), "serve", "--database", str(written)), unlimited),
        "postgres": Server("postgres", (str(ours), "serve", "--database", address), unlimited),
        "bare": Server(
            "bare", (*uvicorn, "bare:app", *UVICORN), {"BENCH_BARE_BODIES": str(VAR / "bodies")}
        ),
        "plain": Server(
            "plain", (*uvicorn, "plain:app", *UVICORN), {"BENCH_PLAIN_DATABASE": str(plain)}
        ),
    }
    try:
        yield Content(secrets, postgres_secrets, servers, written)
    finally:
        for server in servers.values():
            server.stop()
        cluster.remove()


def measure(content: Content, options: argparse.Namespace) -> Measurements:
    found = Measurements()
    secret = content.secrets["participant"]
    content.servers["ours"].start(secret)
    save_bodies(content)
    for app in ("plain", "bare", "writer"):
        content.servers[app].start(secret)
    content.servers["postgres"].start(content.secret("postgres", "participant"))
    check_answers(content)
    print("the answers are right; warming up", flush=True)
    for case in CASES + UNCHANGED + CREATES + UPDATES:
        for app in case.apps:
            turn(content, case, app, 1)
    for number in range(options.rounds):
        play_round(content, found, number, options.seconds)
        print(f"round {number + 1} of {options.rounds}", flush=True)
    found.memory_mb = {name: one.memory_mb() for name, one in content.servers.items()}
    found.creates = check_creates(content, len(CREATES) * (options.rounds + 1))
    for server in content.servers.values():
        server.stop()
    for _ in range(3 if options.quick else STARTS):
        for app in ("ours", "bare", "plain"):
            found.starts_s.setdefault(app, []).append(content.servers[app].start(secret))
            content.servers[app].stop()
    return found


def play_round(content: Content, found: Measurements, number: int, seconds: int) -> None:
    """One turn of each application in each case; the first one changes from round to round."""
    for case in CASES + UNCHANGED:
        for place in range(len(case.apps)):
            app = case.apps[(place + number) % len(case.apps)]
            found.add(case.label, app, turn(content, case, app, seconds))
    for case in CREATES + UPDATES:
        found.fsync_rates.setdefault(case.label, []).append(fsync_rate())
        found.add(case.label, "writer", turn(content, case, "writer", seconds))


def save_bodies(content: Content) -> None:
    """Save the response bodies of `ours` for `bare` to send."""
    for case in CASES:
        path = case.path % 1 if case.ids > 1 else case.path
        body = content.servers["ours"].get(path, content.secrets["participant"])[2]
        (VAR / "bodies" / case.name).write_bytes(body)
    lists = {case.name: case.path.partition("?")[::2] for case in CASES if case.ids == 1}
    (VAR / "bodies" / "lists.json").write_text(json.dumps(lists))


def check_answers(content: Content) -> None:
    """Raise Stop unless each application gives the right answers and checks permissions."""
    servers, secrets = content.servers, content.secrets
    for user in ("participant", "administrator"):
        for path in (LIST_PATH, *(SHOW_PATH % number for number in range(1, data.REPORTS, 501))):
            ours, *others = (
                _json(servers[app], path, content.secret(app, user))
                for app in ("ours", "plain", "postgres")
            )
            if others != [ours, ours]:
                raise Stop(f"ours, plain and ours on PostgreSQL answer {path} differently")
        page = _json(servers["ours"], INCLUDE_PATH, secrets[user])
        _demand_page(page)
        beside = {name: len(page[name]) for name in ("users", "workspaces", "external_references")}
        if beside != {"users": 1, "workspaces": PAGE, "external_references": PAGE}:
            raise Stop(f"the includes are not what they should be: {beside}")
        for app in ("ours", "plain"):
            _demand_page(_json(servers[app], LIST_PATH, secrets[user]))
    for app in ("ours", "plain"):
        nothing = _json(servers[app], LIST_PATH, secrets["outsider"])
        refused = servers[app].get(SHOW_PATH % 1, secrets["outsider"])[0]
        unknown = servers[app].get(LIST_PATH, "unknown")[0]
        if (nothing["count"], refused, unknown) != (0, NOT_FOUND, UNAUTHORIZED):
            raise Stop(f"{app} does not check permissions")
    for case in CASES:
        path = case.path % 1 if case.ids > 1 else case.path
        ours, bare = (servers[app].get(path, secrets["participant"]) for app in ("ours", "bare"))
        names = [[name for name, _ in headers] for _, headers, _ in (ours, bare)]
        if (ours[0], ours[2]) != (bare[0], bare[2]) or names[0] != names[1]:
            raise Stop(f"bare does not send what ours sends for {path}")


def _json(server: Server, path: str, secret: str) -> Any:  # noqa: ANN401  JSON
    status, _, body = server.get(path, secret)
    if status != OK:
        raise Stop(f"{server.name} answers {path} with {status}")
    return json.loads(body)


def _demand_page(page: dict[str, Any]) -> None:
    sizes = page["count"], page["meta"]["count"], len(page["results"]), len(page["status_reports"])
    if sizes != (data.REPORTS, data.REPORTS, PAGE, PAGE):
        raise Stop(f"a page is not what it should be: {sizes}")
    if any(len(one["details"]) not in (3, 4) for one in page["status_reports"].values()):
        raise Stop("a report does not have its details")


def turn(content: Content, case: Case, app: str, seconds: int) -> Turn:
    """Let wrk call one application. Raises Stop if an answer is not 200."""
    server = content.servers[app]
    if case in CREATES:
        script, connections = "create.lua", WRITING_CONNECTIONS
        arguments = [case.path, str(_create_body()), str(_acknowledged())]
        if case.name == "create-key":
            arguments.append(f"{time.time_ns()}")
    elif case in UPDATES:
        script, connections = "update.lua", WRITING_CONNECTIONS
        arguments = [case.path, str(case.ids)]
    else:
        script, connections = "read.lua", CONNECTIONS
        arguments = [case.path, str(case.ids)]
        if case in UNCHANGED:
            headers = dict(server.get(case.path, content.secret(app, case.user))[1])
            arguments.append(headers["etag"])
    before, wrk_before, start = server.cpu_s(), _children_cpu_s(), time.perf_counter()
    printed = _run(
        *("taskset", "-c", str(cores()[1]), "wrk", "-t1", f"-c{connections}"),
        *(f"-d{seconds}s", "-H", f"Authorization: Bearer {content.secret(app, case.user)}"),
        *("-s", str(HERE / script), server.base, "--", *arguments),
        timeout_s=seconds + 30,
    )
    cpu_s, wrk_cpu_s = server.cpu_s() - before, _children_cpu_s() - wrk_before
    passed_s = time.perf_counter() - start
    told = json.loads(printed.strip().splitlines()[-1])
    if told["refused"] or told["broken"] or not told["requests"]:
        raise Stop(f"{app} failed in {case.label}: {told}")
    return Turn(
        requests=told["requests"],
        rate=told["requests"] / told["duration_us"] * 1e6,
        rate_cpu=told["requests"] / cpu_s,
        busy=cpu_s / passed_s,
        wrk_busy=wrk_cpu_s / passed_s,
        p50_ms=told["p50_us"] / 1000,
        p99_ms=told["p99_us"] / 1000,
    )


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _acknowledged() -> Path:
    return VAR / "acknowledged"


def _create_body() -> Path:
    path = VAR / "create.json"
    if not path.exists():
        sent = data.report(1)
        del sent["external_reference"]
        path.write_text(json.dumps({"status_report": sent}))
    return path


def check_creates(content: Content, runs: int) -> list[str]:
    """Kill the writer, then look for each acknowledged report. Returns what was found.

    Raises Stop if one is lost. When a run of wrk ends, one request of each connection may still be
    under way, so the database may have that many reports more than were acknowledged, never fewer.
    """
    content.servers["writer"].stop(signal.SIGKILL)
    told = _acknowledged().read_text().split()
    acknowledged = set(map(int, told))
    with contextlib.closing(sqlite3.connect(content.written)) as connection:
        rows = connection.execute("SELECT id FROM status_reports WHERE id > ?", (data.REPORTS,))
        stored = {number for (number,) in rows}
        [[total]] = connection.execute("SELECT count(*) FROM status_reports")
        [[intact]] = connection.execute("PRAGMA integrity_check")
    lost, unheard = acknowledged - stored, stored - acknowledged
    if lost or len(told) != len(acknowledged) or intact != "ok":
        raise Stop(f"creates: {len(lost)} acknowledged but not stored, integrity {intact}")
    if len(unheard) > runs * WRITING_CONNECTIONS or total != data.REPORTS + len(stored):
        raise Stop(f"creates: {len(unheard)} stored that wrk did not ask for")
    hung_up = f"wrk hung up {runs} times, with {WRITING_CONNECTIONS} connections"
    return [
        f"answered 200: {len(acknowledged):,}",
        f"new in the database after SIGKILL: {len(stored):,}",
        f"the difference, under way when wrk hung up: {len(unheard)} ({hung_up})",
        f"answered and lost: {len(lost)}; integrity check: {intact}",
    ]


def fsync_rate() -> float:
    """How often per second the disk can store what one create writes.

    It does what SQLite does once the WAL has its full size: overwrite the next part, fdatasync.
    """
    block = os.urandom(FSYNC_BYTES)
    path = VAR / "fsync"
    path.write_bytes(block * FSYNC_BLOCKS)
    file = os.open(path, os.O_WRONLY)
    try:
        os.fsync(file)
        number, start = 0, time.perf_counter()
        while (passed := time.perf_counter() - start) < FSYNC_S:
            os.pwrite(file, block, number % FSYNC_BLOCKS * len(block))
            os.fdatasync(file)
            number += 1
        return number / passed
    finally:
        os.close(file)


def facts(options: argparse.Namespace) -> list[str]:
    """The command and the machine, as far as readers of the numbers need them."""
    quick = " --quick" if options.quick else ""
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in (
            *("uvicorn", "uvloop", "httptools", "starlette", "msgspec"),
            *("fastapi", "pydantic", "sqlalchemy"),
        )
    )
    wrk = subprocess.run(["wrk", "-v"], capture_output=True, text=True, timeout=10, check=False)
    load = os.getloadavg()
    command = f"bench/run.py --seconds {options.seconds} --rounds {options.rounds}{quick}"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    tool = " ".join(wrk.stdout.split()[:2])
    pinned = (
        f"servers on one, `wrk -t1 -c{CONNECTIONS}` on another (creates: `-c{WRITING_CONNECTIONS}`)"
    )
    return [
        f"command: `.venv/bin/python {command}`",
        f"{os.cpu_count()} cores ({platform.machine()}): {pinned}",
        f"load average at the end: {load[0]:.1f} over 1 minute, {load[2]:.1f} over 15",
        f"{python}, SQLite {sqlite3.sqlite_version}, {tool}",
        versions,
    ]


def _environment() -> dict[str, str]:
    dropped = ("HEALTHREPORTS_", "PYTHON", "WEB_CONCURRENCY")
    return {name: text for name, text in os.environ.items() if not name.startswith(dropped)}


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _run(*command: str, timeout_s: float = 120) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Stop(f"{Path(command[0]).name} took over {timeout_s:g} s") from error
    if done.returncode:
        says = (done.stderr or done.stdout).strip().splitlines()
        raise Stop(f"{Path(command[0]).name} failed: {says[-1] if says else 'no word'}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
