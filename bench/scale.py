"""Measures whether lists take as long with ten million reports as with ten thousand.

On each store, both databases are generated and both servers run at the same time. Each list is
requested from one and then from the other, many times; the median of the server's response times
(`x-runtime`) counts. In a case that is `changed`, a report is created before each request, so that
no cached count is used. Then ten million rows are streamed, and a file is imported. Writes the
scale part of RESULTS.md.
"""

import argparse
import json
import os
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import psycopg

from postgres_kit import Cluster
from results import write_part
from scale_data import FIRST_AT, SPAN_US, Built, build

HERE = Path(__file__).parent
ROOT = HERE.parent
SMALL, LARGE = 10_000, 10_000_000
VAR = HERE / "var"
ASKED = 21
WARM = 3
FAR_PAGE = 50_000
IMPORTED = 200_000
IMPORT_LEAST = 20_000
STREAM_MOST_MB = 150
WORKER_MEMORY = {
    "shared_buffers": "2GB",
    "maintenance_work_mem": "1GB",
    "max_wal_size": "20GB",
}


def written(share: float) -> str:
    """The time at a share of the period that the reports span, as a value for a filter."""
    seconds = (FIRST_AT + SPAN_US * share) / 1_000_000
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


HALF = written(0.5)


@dataclass(frozen=True)
class Case:
    """A list, who requests it, and how many times longer it may take at ten million.

    It is compared with itself at ten thousand or, if `against` is set, with that case at ten
    million. If `changed`, a report is created before each request.
    """

    name: str
    role: str
    query: Callable[[Built], str]
    most: float | None
    changed: bool = True
    against: str = ""


def _same(text: str) -> Callable[[Built], str]:
    return lambda _built: text


def _refs(built: Built) -> str:
    refs = ",".join(f"REF-{one // 10 * 10}" for one in built.some_ids[:100])
    return f"external_reference_service_model_refs={refs}"


def _one_workspace(more: str = "") -> Callable[[Built], str]:
    return lambda built: f"workspace_id={built.last_workspace}{more}"


AFTER, BEFORE = f"created_after={HALF}", f"created_before={HALF}"
UPDATED = f"updated_after={HALF}"
CASES = (
    Case("first page", "administrator", _same(""), 1.5),
    Case("first page", "in 50", _same(""), 1.5),
    Case("first page of one workspace", "administrator", _one_workspace(), 1.5),
    Case("first page", "in 10,000", _same(""), 10),
    Case("first page, nothing changed", "in 10,000", _same(""), 1.5, changed=False),
    *(
        Case(f"first page, {text.split('=')[0]}", role, _same(text), 3)
        for role in ("administrator", "in 50")
        for text in (AFTER, BEFORE, UPDATED)
    ),
    Case("one workspace, created_after", "administrator", _one_workspace(f"&{AFTER}"), 3),
    Case("first page, newest first", "administrator", _same("order=created_at:desc"), 1.5),
    Case("page 1", "administrator", _same("page=1"), None, changed=False),
    Case(
        f"page {FAR_PAGE:,}",
        "administrator",
        _same(f"page={FAR_PAGE}"),
        5,
        changed=False,
        against="page 1",
    ),
    Case(
        "only, 200 ids",
        "administrator",
        lambda built: f"only={','.join(map(str, built.some_ids))}",
        1.5,
    ),
    *(
        Case(text.split("=")[0], "administrator", _same(text), 1.5)
        for text in (
            "has_external_references=true",
            "has_external_references=false",
            "external_reference_service_name=tracker",
            "external_reference_service_model=issue",
            "external_reference_service_model_ref=REF-5000",
            "external_reference_external_status=open",
            "external_reference_external_message=Synchronised.",
            "external_reference_status=failed",
            "without_external_reference_service_name=ledger",
        )
    ),
    Case("external_reference_service_model_refs, 100", "administrator", _refs, 1.5),
    # Without a limit: lists that cost more if more is stored, to show by how much.
    Case("created and updated", "administrator", _same(f"{AFTER}&{UPDATED}"), None),
    Case(
        "two attributes of a reference",
        "administrator",
        _same("external_reference_service_name=tracker&external_reference_status=failed"),
        None,
    ),
    Case("first page, created_after", "in 10,000", _same(AFTER), None),
)


class Server:
    """`healthreports serve` on one database."""

    def __init__(self, built: Built) -> None:
        self.built = built
        environment = {
            **os.environ,
            "HEALTHREPORTS_DATABASE": built.address,
            "HEALTHREPORTS_TOKEN_REQUESTS_PER_MINUTE": "1000000000",
        }
        command = [sys.executable, "-m", "healthreports", "serve", "--port", "0"]
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        self.base = self.process.stderr.readline().split()[-1]

    def call(self, path: str, role: str, body: object = None) -> tuple[float, int]:
        """The server's response time in milliseconds, and the count in the response."""
        request = urllib.request.Request(
            f"{self.base}/api/v1/{path}",
            None if body is None else json.dumps(body).encode(),
            {
                "Authorization": f"Bearer {self.built.secrets[role]}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request) as answer:
            found = json.load(answer)
            return float(answer.headers["x-runtime"]) * 1000, found["count"]

    def change(self) -> None:
        """Create a report in the measured account."""
        report = {"workspace_id": 1, "color": "green", "description": "New."}
        self.call("status_reports", "administrator", {"status_report": report})

    def stream(self, form: str) -> tuple[int, float]:
        """The number of lines of a stream, and its duration in seconds."""
        request = urllib.request.Request(
            f"{self.base}/api/v1/status_reports.{form}",
            headers={"Authorization": f"Bearer {self.built.secrets['administrator']}"},
        )
        lines, started = 0, time.perf_counter()
        with urllib.request.urlopen(request) as answer:
            while piece := answer.read(1 << 20):
                lines += piece.count(b"\n")
        return lines, time.perf_counter() - started

    def peak_mb(self) -> float:
        """The peak of the resident memory, in MB (10^6 bytes)."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        return int(fields["VmHWM"].split()[0]) * 1024 / 1e6

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)


@dataclass(frozen=True)
class Row:
    """The times of one case, in milliseconds, and whether it is within its limit."""

    case: Case
    small_ms: float
    large_ms: float
    count: int
    ratio: float

    @property
    def reached(self) -> bool:
        return self.case.most is None or self.ratio <= self.case.most


def ask(case: Case, small: Server, large: Server) -> tuple[list[float], int]:
    """The medians of a case at both sizes, and the number of matches at the large size."""
    times: dict[Server, list[float]] = {small: [], large: []}
    count = 0
    for number in range(ASKED + WARM):
        for server in (small, large):
            if case.changed:
                server.change()
            path = f"status_reports?{quote(case.query(server.built), safe='=&,:-')}"
            took, count = server.call(path, case.role)
            if number >= WARM:
                times[server].append(took)
    return [statistics.median(times[server]) for server in (small, large)], count


def measure(small: Server, large: Server) -> list[Row]:
    rows: list[Row] = []
    for case in CASES:
        (small_ms, large_ms), count = ask(case, small, large)
        base = next((row.large_ms for row in rows if row.case.name == case.against), small_ms)
        rows.append(Row(case, small_ms, large_ms, count, large_ms / base))
        print(f"{case.name}, {case.role}: {small_ms:.2f} {large_ms:.2f} {rows[-1].ratio:.2f}")
    return rows


def import_rate(built: Built, folder: Path) -> float:
    """Reports per second that `healthreports import` loads, including the program start."""
    file = folder / "imported.ndjson"
    with file.open("w") as lines:
        for number in range(IMPORTED):
            report = {
                "workspace_id": str(1 + 2 * (number % 50)),
                "color": ("green", "yellow", "red")[number % 3],
                "description": f"Imported week {number}: all milestones stand as planned so far.",
                "details": [{"category": "Scope", "color": "green", "description": "As planned."}],
                "created_at": "2024-01-01T00:00:00Z",
            }
            lines.write(json.dumps(report) + "\n")
    command = [sys.executable, "-m", "healthreports", "import", str(file)]
    started = time.perf_counter()
    subprocess.run(
        [*command, "--by", "user0@example.org", "--database", built.address],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return IMPORTED / (time.perf_counter() - started)


def part(store: str, large: int, facts: list[str], rows: list[Row], more: list[str]) -> str:
    table = "\n".join(
        f"| {row.case.name} | {row.case.role} | {row.count:,} | {row.small_ms:.2f} | "
        f"{row.large_ms:.2f} | {row.ratio:.2f} | {_wanted(row)} |"
        for row in rows
    )
    return f"""## {large:,} reports on {store}

Written by `make bench-scale`. The data has one workspace for each 100
reports, half of them in one account; it is compared with {SMALL:,} reports of the same kind. The
times are medians of {ASKED} answer times of the server (`x-runtime`); each list was requested from
the small and the large database in turn. Except where the table says that nothing changed, a report
was created before each call, so that no cached result that it invalidates was used.

{chr(10).join(f"- {fact}" for fact in facts)}

| list | who asks | reports that match | at {SMALL:,}, ms | at {large:,}, ms | times | to reach |
| --- | --- | --- | --- | --- | --- | --- |
{table}

{chr(10).join(f"- {one}" for one in more)}
"""


def _wanted(row: Row) -> str:
    if row.case.most is None:
        return ""
    against = f" of {row.case.against}" if row.case.against else ""
    return f"{row.case.most:g}{against}: {'yes' if row.reached else '**no**'}"


@contextmanager
def databases(store: str, folder: Path) -> Iterator[Callable[[int], str]]:
    """Yields a function that returns the address of a new database for a number of reports."""
    if store == "SQLite":
        yield lambda reports: str(folder / f"{reports}.sqlite3")
        return
    cluster = Cluster(folder / "postgres", **WORKER_MEMORY).start()
    try:
        yield lambda _reports: cluster.make_database()
    finally:
        cluster.remove()


def run(store: str, large: int) -> tuple[str, list[str]]:
    """The part of RESULTS.md for one store, and the limits that were not met."""
    folder = VAR / store.lower()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with databases(store, folder) as address:
        started = time.perf_counter()
        built = [build(address(number), number) for number in (SMALL, large)]
        facts = [
            f"built in {time.perf_counter() - started:.0f} s, {_size_mb(built[1].address):,.0f} MB",
            version(built[1].address),
        ]
        servers = [Server(one) for one in built]
        try:
            rows = measure(*servers)
            servers[1].stop()
            streaming = servers[1] = Server(built[1])
            streams = [(form, *streaming.stream(form)) for form in ("ndjson", "csv")]
            peak = streaming.peak_mb()
        finally:
            for server in servers:
                server.stop()
        rate = import_rate(built[0], folder)
    shutil.rmtree(folder)
    lines = sum(lines for _, lines, _ in streams)
    more = [
        f"streamed {lines:,} lines by one server ("
        + ", ".join(f"{form} {number / took:,.0f} a second" for form, number, took in streams)
        + f"): at most {peak:.0f} MB resident (to reach: under {STREAM_MOST_MB})",
        f"imported {rate:,.0f} reports a second from {IMPORTED:,} JSON lines"
        + (f" (to reach: {IMPORT_LEAST:,})" if store == "SQLite" else ""),
    ]
    missed = [f"{row.case.name}, {row.case.role}" for row in rows if not row.reached]
    if peak >= STREAM_MOST_MB:
        missed.append("memory of a stream")
    if store == "SQLite" and rate < IMPORT_LEAST:
        missed.append("import")
    return part(store, large, facts, rows, more), [f"{store}: {one}" for one in missed]


def version(address: str) -> str:
    if address.startswith("postgresql"):
        with psycopg.connect(address) as connection:
            [[found]] = connection.execute("SHOW server_version").fetchall()
        return f"PostgreSQL {found}, shared_buffers 2 GB, on a socket of the same machine"
    return f"SQLite {sqlite3.sqlite_version}, in the page cache of the machine"


def _size_mb(address: str) -> float:
    if address.startswith("postgresql"):
        with psycopg.connect(address) as connection:
            [[size]] = connection.execute("SELECT pg_database_size(current_database())").fetchall()
        return size / 1e6
    return Path(address).stat().st_size / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure whether lists stay flat.")
    parser.add_argument("--store", choices=["SQLite", "PostgreSQL"], action="append")
    parser.add_argument("--reports", type=int, default=LARGE, help="of the large one, to try it")
    options = parser.parse_args()
    missed = []
    for store in options.store or ["SQLite", "PostgreSQL"]:
        text, some = run(store, options.reports)
        print(text)
        missed += some
        if options.reports == LARGE:
            write_part(f"scale of {store}", text)
    for one in missed:
        print(f"bench: not reached: {one}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
