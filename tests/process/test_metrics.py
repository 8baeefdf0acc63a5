"""The metrics for Prometheus, read with its own parser, from one process and from several."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from conftest import Account, Server
from healthreports import __version__, figures
from healthreports.edge.connections import Closed

pytestmark = pytest.mark.one_store

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "metrics.md").read_text("utf-8")
Start = Callable[..., Server]


def free_port() -> int:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Watched:
    """A server, and the port on which Prometheus reads its metrics."""

    def __init__(self, start: Start, **settings: str) -> None:
        self.port = free_port()
        self.server = start(HEALTHREPORTS_METRICS_PORT=str(self.port), **settings)

    def read(self) -> dict[str, Metric]:
        answer = httpx.get(f"http://127.0.0.1:{self.port}/metrics", verify=False)
        assert answer.headers["content-type"].startswith("text/plain")
        return {one.name: one for one in text_string_to_metric_families(answer.text)}

    def value(self, name: str, sample: str = "", **labels: str) -> float:
        """The value of one sample, or 0 if there is none."""
        found = self.read().get(name)
        samples = [] if found is None else found.samples
        return sum(
            one.value
            for one in samples
            if one.name == name + sample and labels.items() <= one.labels.items()
        )

    def comes_to(self, expected: float, name: str, sample: str = "", **labels: str) -> bool:
        end = time.monotonic() + 15
        while self.value(name, sample, **labels) != expected:
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True


@pytest.fixture(params=["1", "2"], ids=["one process", "two workers"])
def watched(request: pytest.FixtureRequest, own_server: Start) -> Iterator[Watched]:
    made = Watched(own_server, HEALTHREPORTS_WORKERS=request.param)
    yield made
    made.server.stop()  # a clean stop, so that it leaves no folder behind


def declared() -> Iterator[MetricWrapperBase]:
    for value in vars(figures).values():
        if isinstance(value, MetricWrapperBase):
            yield value


def test_the_page_lists_each_metric_with_its_kind_and_labels() -> None:
    rows = re.findall(r"^\| `(healthreports_\w+)` \| (\w+) \|([^|]*)\|", PAGE, re.MULTILINE)
    listed = {
        name.removesuffix("_total"): (kind, re.findall(r"`(\w+)`", labels))
        for name, kind, labels in rows
    }
    assert listed == {
        one._name: (one._type, list(one._labelnames))  # noqa: SLF001  its declaration
        for one in declared()
    }
    for why in Closed:
        assert f"`{why.name.lower()}`" in PAGE


def test_requests_are_counted_by_operation_and_status(
    watched: Watched, own_account: Callable[[Server], Account]
) -> None:
    account = own_account(watched.server)
    for _ in range(8):
        assert account.api.get("/status_reports").status_code == 200
        httpx.get(f"{watched.server.base}/api/v1/status_reports", verify=False)
    for number in range(4):
        httpx.get(f"{watched.server.base}/nowhere/{number}?q=secret", verify=False)
    account.report()
    seconds = "healthreports_request_seconds"
    assert watched.comes_to(8, seconds, "_count", operation="GetStatusReports", status="200")
    assert watched.comes_to(1, "healthreports_transaction_seconds", "_count", does="write")
    # Each process reports its own figures.
    assert watched.comes_to(8, seconds, "_count", operation="GetStatusReports", status="401")
    assert watched.comes_to(4, seconds, "_count", operation="unknown", status="404")
    assert watched.value(seconds, "_count", operation="GetStatusReports") == 16
    assert 0 < watched.value(seconds, "_sum", operation="GetStatusReports") < 16
    assert watched.value("healthreports_transaction_seconds", "_count", does="write") == 1
    assert watched.value("healthreports_transaction_seconds", "_count", does="read") >= 8
    assert watched.value("healthreports_commit_writes", "_count") >= 1
    assert watched.value("healthreports_build", version=__version__) == 1
    text = httpx.get(f"http://127.0.0.1:{watched.port}/metrics", verify=False).text
    for word in ("nowhere", "secret", str(watched.server.database)):
        assert word not in text


def test_what_is_open_and_kept_is_looked_at(
    watched: Watched, own_account: Callable[[Server], Account]
) -> None:
    account = own_account(watched.server)
    assert account.api.get("/status_reports").status_code == 200
    kept = [
        socket.create_connection(("127.0.0.1", int(watched.server.base.rpartition(":")[2])))
        for _ in range(3)
    ]
    # And the connection of the client above.
    assert watched.comes_to(4, "healthreports_connections")
    for one in kept:
        one.close()
    account.close()
    assert watched.comes_to(0, "healthreports_connections")
    assert watched.value("healthreports_memory_bytes", memory="counts") > 0
    assert watched.value("healthreports_event_loop_lag_seconds", "_count") >= 1


def test_a_wrong_password_is_counted(watched: Watched) -> None:
    with httpx.Client(base_url=watched.server.base, verify=False) as at:
        proof = re.findall(r'name="csrf" value="([^"]+)"', at.get("/sign-in").text)[0]
        sent = {"csrf": proof, "email_address": "a@b.c", "password": "x" * 1001}
        assert at.post("/sign-in", data=sent).status_code == 401
    assert watched.value("healthreports_sign_in_failures", "_total", what="password") == 1


def test_what_a_worker_counted_stays_when_it_is_replaced(own_server: Start) -> None:
    watched = Watched(own_server, HEALTHREPORTS_WORKERS="2")
    for _ in range(10):
        httpx.get(f"{watched.server.base}/healthz", verify=False)
    assert watched.comes_to(10, "healthreports_request_seconds", "_count", status="200")
    assert watched.server.process is not None
    parent = watched.server.process.pid
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    workers = [
        int(one) for one in children if "spawn_main" in Path(f"/proc/{one}/cmdline").read_text()
    ]
    os.kill(workers[0], signal.SIGKILL)
    assert watched.comes_to(1, "healthreports_replaced_workers", "_total")
    assert watched.value("healthreports_request_seconds", "_count", status="200") == 10
    watched.server.stop()


def test_it_is_not_at_the_address_of_clients_and_off_unless_asked_for(own_server: Start) -> None:
    watched = Watched(own_server)
    assert httpx.get(f"{watched.server.base}/metrics", verify=False).status_code == 404
    script = (
        "import sys; from healthreports.app import build; from healthreports.settings import "
        "Settings; build(Settings(database=sys.argv[1]), 'http://localhost'); "
        "assert 'prometheus_client' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script, str(watched.server.database)], check=True)


def test_a_port_that_is_taken_stops_the_start_in_one_line(own_server: Start) -> None:
    watched = Watched(own_server)
    settings = {
        "HEALTHREPORTS_METRICS_PORT": str(watched.port),
        "HEALTHREPORTS_DATABASE": str(watched.server.database),
    }
    ended = subprocess.run(
        [sys.executable, "-m", "healthreports", "serve", "--port", "0"],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 1
    [line] = [one for one in ended.stderr.splitlines() if one]
    assert f"cannot listen for metrics on 127.0.0.1 port {watched.port}" in line


def test_a_scrape_of_all_that_there_can_be_costs_little(own_server: Start) -> None:
    """Measures the server's processor time for figures of every operation; the limit is high."""
    watched = Watched(own_server)
    for path in ("/healthz", "/readyz", "/version", "/sign-in", "/api/v1/users", "/openapi.json"):
        httpx.get(f"{watched.server.base}{path}", verify=False)
    assert watched.server.process is not None
    stat = Path(f"/proc/{watched.server.process.pid}/stat")
    before = ticks(stat)
    for _ in range(100):
        watched.read()
    spent_s = (ticks(stat) - before) / os.sysconf("SC_CLK_TCK")
    assert spent_s / 100 < 0.005


def ticks(stat: Path) -> int:
    fields = stat.read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
