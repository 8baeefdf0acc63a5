"""The server process: killed, without space or locks, stopped, too slow."""

import json
import resource
import signal
import socket
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import urlsplit

import httpx
import pytest

from conftest import Account, Server
from expect import assert_envelope, assert_failure

OwnServer = Callable[..., Server]
OwnAccount = Callable[[Server], Account]


def body(account: Account, description: str = "Fine.") -> dict[str, object]:
    report = {
        "workspace_id": account.workspaces[0],
        "color": "green",
        "description": description,
    }
    return {"status_report": report}


def test_what_was_answered_200_survives_a_kill(
    own_server: OwnServer, own_account: OwnAccount
) -> None:
    server = own_server()
    account = own_account(server)
    ids = [account.report(description=f"Report {number}") for number in range(30)]
    server.stop(signal.SIGKILL)
    restarted = own_server()
    with restarted.client(account.secrets["administrator"]) as api:
        answer = api.get("/status_reports?per_page=200")
    assert_envelope(answer, "status_reports", ids, count=30)


def test_a_write_waits_for_another_writer_and_then_says_503(
    own_server: OwnServer, own_account: OwnAccount
) -> None:
    server = own_server(HEALTHREPORTS_BUSY_TIMEOUT_S="0.2")
    account = own_account(server)
    with closing(sqlite3.connect(server.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        refused = account.api.post("/status_reports", json=body(account))
        assert_failure(refused, 503)
        assert int(refused.headers["retry-after"]) >= 1
        assert_envelope(account.api.get("/status_reports"), "status_reports", [], count=0)
        other.execute("ROLLBACK")
    assert account.api.post("/status_reports", json=body(account)).status_code == 200


def test_a_full_disk_is_a_503_and_leaves_nothing_half_written(
    own_server: OwnServer, own_account: OwnAccount
) -> None:
    server = own_server()
    account = own_account(server)
    kept = account.report()
    assert server.process is not None
    pid = server.process.pid
    unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, unlimited[1]))
    for number in range(3):
        large = body(account, f"{number}" * 40_000)
        assert_failure(account.api.post("/status_reports", json=large), 503)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
    assert_envelope(account.api.get("/status_reports"), "status_reports", [kept], count=1)
    assert account.api.post("/status_reports", json=body(account)).status_code == 200


def test_a_request_over_the_time_limit_is_a_504(
    own_server: OwnServer, own_account: OwnAccount
) -> None:
    server = own_server(HEALTHREPORTS_TIME_LIMIT_S="0.3")
    account = own_account(server)
    address = urlsplit(server.base)
    with socket.create_connection((address.hostname, address.port), timeout=10) as slow:
        slow.sendall(
            b"POST /api/v1/status_reports HTTP/1.1\r\nhost: x\r\n"
            b"content-type: application/json\r\ncontent-length: 100\r\n"
            b"authorization: Bearer " + account.secrets["editor"].encode() + b"\r\n\r\n{"
        )
        answer = slow.recv(65536).decode()
    assert answer.startswith("HTTP/1.1 504 ")
    [error] = json.loads(answer.partition("\r\n\r\n")[2])["errors"]
    assert error["type"] == "system"


def test_a_defect_is_a_500_that_says_nothing_and_is_logged_with_the_request_id(
    own_server: OwnServer, own_account: OwnAccount
) -> None:
    server = own_server()
    account = own_account(server)
    with closing(sqlite3.connect(server.database)) as other:
        other.execute("DROP TABLE report_blocks")
    answer = account.api.get("/status_reports", headers={"x-request-id": "find-me"})
    [error] = assert_failure(answer, 500)
    assert "report_blocks" not in error["message"]
    assert answer.headers["x-request-id"] == "find-me"
    log = server.stop()
    assert "id=find-me" in log
    assert "no such table" in log
    assert account.secrets["administrator"] not in log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_a_stop_ends_what_is_under_way_first(
    own_server: OwnServer, own_account: OwnAccount, number: int
) -> None:
    server = own_server()
    account = own_account(server)
    address = urlsplit(server.base)
    sent = json.dumps(body(account)).encode()
    with socket.create_connection((address.hostname, address.port), timeout=10) as under_way:
        under_way.sendall(
            b"POST /api/v1/status_reports HTTP/1.1\r\nhost: x\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n"
            b"authorization: Bearer %b\r\n\r\n"
            % (len(sent), account.secrets["administrator"].encode())
        )
        time.sleep(0.3)
        assert server.process is not None
        server.process.send_signal(number)
        time.sleep(0.3)
        under_way.sendall(sent)
        assert under_way.recv(65536).startswith(b"HTTP/1.1 200 ")
    server.process.wait(timeout=10)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_is_still_under_way_after_the_grace_time_is_a_503(
    own_server: OwnServer, own_account: OwnAccount, workers: str
) -> None:
    server = own_server(HEALTHREPORTS_GRACE_S="1", HEALTHREPORTS_WORKERS=workers)
    account = own_account(server)
    address = urlsplit(server.base)
    with socket.create_connection((address.hostname, address.port), timeout=10) as under_way:
        under_way.sendall(
            b"POST /api/v1/status_reports HTTP/1.1\r\nhost: x\r\n"
            b"content-type: application/json\r\ncontent-length: 100\r\n"
            b"authorization: Bearer %b\r\n\r\n{" % account.secrets["administrator"].encode()
        )
        time.sleep(0.3)
        log = server.stop()
        answer = b"".join(iter(lambda: under_way.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: " in answer.lower()
    assert b'"The server is stopping. Try again"' in answer
    assert "Traceback" not in log


def test_the_access_log_has_a_line_for_each_request_and_no_query(own_server: OwnServer) -> None:
    server = own_server(HEALTHREPORTS_ACCESS_LOG="true")
    with httpx.Client(base_url=server.base) as client:
        client.get("/api/v1/users?access_token=secret", headers={"x-request-id": "abc"})
    log = server.stop()
    [line] = [one for one in log.splitlines() if " INFO request " in one]
    assert "id=abc method=GET path=/api/v1/users operation=GetUsers status=401" in line
    assert "address=127.0.0.1" in line
    assert "secret" not in log


def test_many_clients_writing_at_once_lose_nothing(
    own_server: OwnServer, own_account: OwnAccount
) -> None:
    server = own_server()
    account = own_account(server)
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda n: account.report(description=f"Report {n}"), range(80)))
    assert len(set(ids)) == 80
    answer = account.api.get("/status_reports?per_page=200")
    assert_envelope(answer, "status_reports", sorted(ids, key=int), count=80)
