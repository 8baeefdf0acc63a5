"""Traces as a collector receives them. Without a collector, the library is not imported."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from conftest import Account, Server
from healthreports.store.schema.upgrade import upgrade

Start = Callable[..., Server]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ABOVE = "00f067aa0ba902b7"


@dataclass
class Collector:
    """A trace collector on a free port of this machine."""

    spans: list[Any] = field(default_factory=list)
    endpoint: str = ""

    def of(self, trace: str, count: int) -> list[Any]:
        """Wait up to 20 seconds for `count` spans of a trace. Returns those that arrived."""
        end = time.monotonic() + 20
        while True:
            found = [one for one in self.spans if one.trace_id.hex() == trace]
            if len(found) >= count or time.monotonic() > end:
                return found
            time.sleep(0.1)


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            sent = ExportTraceServiceRequest()
            sent.ParseFromString(self.rfile.read(int(self.headers["content-length"])))
            for resource in sent.resource_spans:
                for scope in resource.scope_spans:
                    made.spans.extend(scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_said: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield made
        server.shutdown()


@pytest.mark.one_store
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_request_its_use_case_and_its_statements_are_one_trace(
    own_server: Start,
    own_account: Callable[[Server], Account],
    collector: Collector,
    workers: str,
) -> None:
    server = own_server(
        HEALTHREPORTS_OTLP_ENDPOINT=collector.endpoint, HEALTHREPORTS_WORKERS=workers
    )
    account = own_account(server)
    headers = {"traceparent": f"00-{TRACE}-{ABOVE}-01"}
    sent = {"workspace_id": account.workspaces[0], "color": "red", "description": "A needle."}
    answer = account.api.post("/status_reports", json={"status_report": sent}, headers=headers)
    assert answer.status_code == 200
    spans = collector.of(TRACE, 8)
    [request] = [one for one in spans if one.parent_span_id.hex() == ABOVE]
    assert request.name == "CreateStatusReport"
    status = {one.key: one.value.int_value for one in request.attributes}
    assert status["http.response.status_code"] == 200
    [write] = [one for one in spans if one.name == "write"]
    assert write.parent_span_id == request.span_id
    statements = [one for one in spans if one.parent_span_id == write.span_id]
    assert any(one.name == "INSERT" for one in statements)
    for one in spans:
        assert request.start_time_unix_nano <= one.start_time_unix_nano
        assert one.end_time_unix_nano <= request.end_time_unix_nano
        for attribute in one.attributes:
            assert "needle" not in attribute.value.string_value
    server.stop()


@pytest.mark.one_store
def test_a_collector_that_does_not_answer_costs_no_request(
    own_server: Start, own_account: Callable[[Server], Account]
) -> None:
    server = own_server(HEALTHREPORTS_OTLP_ENDPOINT="http://127.0.0.1:9")
    account = own_account(server)
    for _ in range(5):
        assert account.api.get("/status_reports").elapsed.total_seconds() < 2


def test_without_a_collector_the_library_is_not_read(tmp_path: Path) -> None:
    upgrade(str(tmp_path / "x.sqlite3"))
    script = (
        "import sys; from healthreports.app import build; from healthreports.settings import "
        "Settings; build(Settings(database=sys.argv[1]), 'http://localhost'); "
        "assert not [one for one in sys.modules if one.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "x.sqlite3")], check=True)


@pytest.mark.one_store
def test_the_address_of_a_collector_has_no_path_of_its_own(own_server: Start) -> None:
    with pytest.raises(pytest.fail.Exception, match="without /v1/traces"):
        own_server(HEALTHREPORTS_OTLP_ENDPOINT="http://127.0.0.1:4318/")
