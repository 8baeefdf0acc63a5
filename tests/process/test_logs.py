"""The lines of the log: their format, their fields, and what none of them may contain."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from conftest import Account, Server

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "logs.md").read_text("utf-8")
Start = Callable[..., Server]


def lines_of(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.stop().splitlines()]


def test_every_line_is_json_with_what_the_page_says(
    own_server: Start, own_account: Callable[[Server], Account]
) -> None:
    server = own_server(HEALTHREPORTS_ACCESS_LOG="true", HEALTHREPORTS_LOG_FORMAT="json")
    account = own_account(server)
    viewer = account.clients["viewer"]
    assert viewer.get("/status_reports", params={"text": "needle"}).status_code == 200
    path = f"/workspaces/{account.workspaces[0]}"
    assert viewer.put(path, json={"workspace": {"title": "haystack"}}).status_code == 403
    secret = account.secrets["viewer"]
    with httpx.Client(base_url=server.base, verify=False) as browser:
        page = browser.get("/sign-in")
        [proof] = re.findall(r'name="csrf" value="([^"]+)"', page.text)[:1]
        sent = {"csrf": proof, "email_address": "editor@nowhere", "password": "guess"}
        browser.post("/sign-in", data=sent)
        browser.get("/welcome", params={"invitation": "hri_secret"})
    whole = "".join(server.heard)
    lines = lines_of(server)
    for one in lines:
        assert datetime.fromisoformat(one["timestamp"]).tzinfo is not None
        assert one["timestamp"].endswith("Z")
        assert one["level"] in ("info", "warning")
    requests = [one for one in lines if one["event"] == "request"]
    assert [one["operation"] for one in requests] == [
        "GetStatusReports",
        "UpdateWorkspace",
        "GET /sign-in",
        "POST /sign-in",
        "GET /welcome",
    ]
    assert [one["status"] for one in requests[:2]] == [200, 403]
    ids = {one["user"] for one in requests[:2]}
    assert ids == {account.users["viewer"].id}
    assert requests[0]["token"] is not None
    assert {one["address"] for one in requests} == {"127.0.0.1"}
    table = PAGE.split("| field | what it is |", 1)[1].split("\n\n", 1)[0]
    assert set(
        re.findall(
            r"`(\w+)`(?=[,\s|])",
            "\n".join(row.split("|")[1] for row in table.splitlines() if row.startswith("| `"))
            + " ",
        )
    ) == set(requests[0])
    events = [one["event"] for one in lines]
    for event in ("refused", "sign-in refused", "stopped"):
        assert event in events
        assert f"`{event}`" in PAGE
    for word in ("needle", "haystack", "guess", "hri_secret", secret, proof, "editor@nowhere"):
        assert word not in whole


@pytest.mark.parametrize(("level", "said"), [("warning", False), ("debug", True)])
def test_the_level_says_what_is_left_out(own_server: Start, level: str, said: bool) -> None:
    server = own_server(HEALTHREPORTS_ACCESS_LOG="true", HEALTHREPORTS_LOG_LEVEL=level)
    httpx.get(f"{server.base}/sign-in", verify=False)
    assert (" INFO request " in server.stop()) is said


def test_a_path_cannot_pretend_to_be_other_fields(own_server: Start) -> None:
    server = own_server(HEALTHREPORTS_ACCESS_LOG="true")
    httpx.get(f"{server.base}/x%20status=200%20user=1%0A2026%20INFO%20%22", verify=False)
    [line] = [one for one in server.stop().splitlines() if " request " in one]
    assert ' path="/x status=200 user=1\\\\n2026 INFO \\"" ' in line
    assert line.count(" status=404 ") == 1


def test_a_page_that_a_limit_refuses_is_told_too(own_server: Start) -> None:
    server = own_server(HEALTHREPORTS_LOG_FORMAT="json", HEALTHREPORTS_TRUSTED_PROXIES="127.0.0.1")
    with httpx.Client(base_url=server.base, verify=False) as at:
        proof = re.findall(r'name="csrf" value="([^"]+)"', at.get("/sign-in").text)[0]
        sent = {"csrf": proof, "email_address": "nobody@example.org", "password": "x" * 1001}
        for _ in range(12):
            status = at.post("/sign-in", data=sent).status_code
    assert status == 429
    assert [one for one in lines_of(server) if one["event"] == "too many requests"]


def test_many_refusals_are_one_line(own_server: Start) -> None:
    server = own_server(
        HEALTHREPORTS_LOG_FORMAT="json", HEALTHREPORTS_ADDRESS_REQUESTS_PER_MINUTE="3"
    )
    for _ in range(30):
        httpx.get(f"{server.base}/api/v1/users", verify=False)
    lines = [one for one in lines_of(server) if one["event"] == "too many requests"]
    assert len(lines) == 1
    assert lines[0]["address"] == "127.0.0.1"
