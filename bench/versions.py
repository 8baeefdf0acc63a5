"""Measures what storing the version before an update costs (`store/reports/versions`).

Sends updates to the server's application in this process, 32 at the same time, in turns with and
without versions. Prints the processor time of an update with and without, in microseconds, and
their ratio.
"""

import asyncio
import json
import random
import statistics
import tempfile
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any
from unittest.mock import patch

import uvloop

from healthreports.app import build, now, open_database
from healthreports.core.vocabulary import AccountPermission
from healthreports.service.auth import tokens
from healthreports.service.people import accounts, members, workspaces
from healthreports.service.reports import reports
from healthreports.settings import Settings
from healthreports.store.engine.database import Transaction
from healthreports.store.reports import versions
from healthreports.store.schema.upgrade import upgrade

REPORTS = 200
AT_ONCE = 32
EACH = 60
TURNS = 15
TEXT = "The supplier confirmed the date. " * 10


def fill(tx: Transaction) -> tuple[str, list[int]]:
    """Create reports. Returns the token of a user who may change them, and their ids."""
    account_id = accounts.create_account(tx, "Bench", now())
    user = members.create_user(
        tx,
        account_id,
        full_name="The administrator",
        email_address="administrator@example.org",
        permission=AccountPermission.ADMINISTRATOR,
        now=now(),
    )
    secret = tokens.issue(tx, user, "bench", now())
    actor = tokens.authenticate(tx, secret, now())
    workspace = workspaces.make_workspace(tx, user, "Bench", now())
    sent = {"workspace_id": str(workspace), "color": "green", "description": TEXT}
    return secret, [reports.create(tx, actor, sent, now()).id for _ in range(REPORTS)]


async def update(app: Any, secret: str, report_id: int, text: str) -> None:  # noqa: ANN401  ASGI
    """Change the description of a report."""
    body = json.dumps({"status_report": {"description": f"{text} {TEXT}"}}).encode()
    headers = {
        b"host": b"127.0.0.1",
        b"authorization": f"Bearer {secret}".encode(),
        b"content-type": b"application/json",
        b"content-length": b"%d" % len(body),
    }

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        assert message.get("status") in {None, HTTPStatus.OK}, message

    scope = {
        "type": "http",
        "method": "PUT",
        "path": f"/api/v1/status_reports/{report_id}",
        "query_string": b"",
        "headers": list(headers.items()),
        "client": ("127.0.0.1", 1),
        "scheme": "http",
        "http_version": "1.1",
        "abort": lambda: None,
    }
    await app(scope, receive, send)


async def measure(settings: Settings) -> None:
    """Send the updates, and print what they cost."""
    database = open_database(settings)
    secret, ids = database.write_here(fill)
    app = build(settings, "http://127.0.0.1")

    async def one_client() -> None:
        for number in range(EACH):
            await update(app, secret, random.choice(ids), str(number))

    async def turn() -> float:
        start = time.process_time()
        await asyncio.gather(*(one_client() for _ in range(AT_ONCE)))
        return (time.process_time() - start) / (EACH * AT_ONCE) * 1e6

    with_us, without_us = [], []
    await turn()
    for _ in range(TURNS):
        with_us.append(await turn())
        with patch.object(versions, "note", lambda *_: None):
            without_us.append(await turn())
    ratio = statistics.median(a / b for a, b in zip(with_us, without_us, strict=True))
    medians = statistics.median(with_us), statistics.median(without_us)
    print(f"with {medians[0]:.0f} us, without {medians[1]:.0f} us: {ratio - 1:+.1%}")
    database.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        address = str(Path(folder) / "bench.sqlite3")
        upgrade(address)
        uvloop.run(measure(Settings(database=address, token_requests_per_minute=0)))
