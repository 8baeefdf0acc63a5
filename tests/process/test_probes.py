"""The probes, with which a program checks the health of the server."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from conftest import Server
from healthreports import __version__
from healthreports.api.probes import LIVES, PROBES, READY, VERSION
from healthreports.service import health
from healthreports.store.schema.upgrade import upgrade
from postgres_kit import Cluster

Start = Callable[..., Server]


def ask(server: Server, path: str, method: str = "GET") -> httpx.Response:
    return httpx.request(method, server.base + path, timeout=10, verify=False)


@pytest.mark.both_stores
def test_a_server_that_works_says_so_to_everybody(server: Server) -> None:
    assert ask(server, LIVES).json() == {"status": "ok"}
    assert ask(server, VERSION).json() == {"version": __version__}
    ready = ask(server, READY)
    assert ready.status_code == 200
    checks = {"database": "ok", "schema": "ok", "disk": "ok"}
    assert ready.json() == {"status": "ok", "checks": checks}


@pytest.mark.one_store
@pytest.mark.parametrize("path", PROBES)
def test_a_probe_is_kept_nowhere_and_only_asked(server: Server, path: str) -> None:
    assert ask(server, path).headers["cache-control"] == "no-store"
    assert ask(server, path, "HEAD").status_code == 200
    refused = ask(server, path, "POST")
    assert refused.status_code == 405
    assert refused.headers["content-type"].startswith("application/json")
    assert "set-cookie" not in ask(server, path).headers


def test_probes_count_for_no_limit(own_server: Start) -> None:
    server = own_server(HEALTHREPORTS_ADDRESS_REQUESTS_PER_MINUTE="2")
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda _: ask(server, READY).status_code, range(60))
    assert set(answers) == {200}


def wait_for(server: Server, status: int) -> httpx.Response:
    until = time.monotonic() + 20
    while (answer := ask(server, READY)).status_code != status:
        assert time.monotonic() < until, answer.text
        time.sleep(0.2)
    return answer


def test_a_database_that_is_away_is_not_ready_and_the_server_lives(
    tmp_path: Path,
) -> None:
    own = Cluster(tmp_path / "data").start()
    try:
        address = own.make_database()
        upgrade(address)
        server = Server(address).start()
        try:
            wait_for(server, 200)
            with own.stopped("immediate"):
                answer = wait_for(server, 503)
                assert answer.json()["status"] == "unavailable"
                assert answer.json()["checks"]["database"] != "ok"
                assert ask(server, LIVES).status_code == 200
            wait_for(server, 200)
        finally:
            server.stop()
    finally:
        own.remove()


def test_another_schema_is_not_ready(own_server: Start) -> None:
    server = own_server()
    with closing(sqlite3.connect(server.database)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
        connection.commit()
    answer = wait_for(server, 503)
    assert answer.json()["checks"]["schema"].startswith("is 0001, but")
    assert ask(server, LIVES).status_code == 200


def test_a_full_disk_is_not_ready() -> None:
    class Full:
        def free_bytes(self) -> int:
            return health.LEAST_FREE_BYTES - 1

        async def read_long(self, _work: object) -> str:
            return "7"

    found = asyncio.run(health.Health(Full(), "7").checks())  # type: ignore[arg-type]
    assert found == {
        "database": "ok",
        "schema": "ok",
        "disk": "63 MiB are free, but 64 MiB are needed",
    }
