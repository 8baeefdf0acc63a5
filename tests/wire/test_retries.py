"""Idempotency-Key: a repeated request is done once and answered as before. Contract: 8.2."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from conftest import Account, Server
from expect import assert_failure, only_record
from healthreports.app import now
from healthreports.contract.operations import OPERATIONS, Operation
from healthreports.core.vocabulary import Kind
from healthreports.service import retries
from healthreports.service.sweeping import sweep
from healthreports.store.auth import answers
from healthreports.store.engine.statement import Statement

# Deleting the account deletes the token of the retry too, so that gets a 401 (test_lifecycle).
POSTS = [
    one
    for one in OPERATIONS
    if one.method == "POST" and "{id}" not in one.path and one.name != "DeleteAccount"
]
REPLAYED = "idempotency-replayed"
LONG_AGO = 25 * 3_600 * 1_000_000


def body_of(account: Account, operation: Operation) -> dict[str, Any]:
    """A valid body for each POST."""
    return {
        operation.resource.root: {
            Kind.STATUS_REPORTS: {
                "workspace_id": account.workspaces[0],
                "color": "red",
                "description": "Late.",
            },
            Kind.WORKSPACES: {"title": "Once"},
            Kind.PARTICIPATIONS: {
                "workspace_id": account.workspaces[1],
                "user_id": str(account.users["outsider"].id),
            },
            Kind.ACCOUNT_MEMBERSHIPS: {
                "full_name": "Once",
                "email_address": f"once{account.id}@example.org",
                "permission": "collaborator",
            },
            Kind.WORKSPACE_GROUPS: {"name": "Once"},
            Kind.EXTERNAL_REFERENCES: {
                "subject_type": "Workspace",
                "subject_id": account.workspaces[0],
                "service_name": "tracker",
                "service_model": "issue",
                "service_model_ref": "7",
            },
        }[operation.resource.kind]
    }


EVERY_POST = pytest.mark.parametrize("operation", POSTS, ids=[one.name for one in POSTS])


def send(
    account: Account,
    path: str,
    body: object,
    key: str = "k1",
    role: str = "administrator",
    **more: str,
) -> httpx.Response:
    return account.clients[role].post(
        path, json=body, params=more, headers={"idempotency-key": key}
    )


def number_of(account: Account, kind: Kind) -> int:
    params = {"subject_type": "Workspace"} if kind is Kind.EXTERNAL_REFERENCES else {}
    return int(account.api.get(f"/{kind}", params=params).json()["count"])


@EVERY_POST
def test_what_is_sent_again_is_done_once_and_answered_the_same(
    account: Account, operation: Operation
) -> None:
    body = body_of(account, operation)
    first = send(account, operation.path, body)
    assert first.is_success, first.text
    assert REPLAYED not in first.headers
    stored = number_of(account, operation.resource.kind)
    again = send(account, operation.path, body)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers[REPLAYED] == "true"
    assert again.headers["content-type"] == first.headers["content-type"]
    assert number_of(account, operation.resource.kind) == stored


@EVERY_POST
def test_another_request_with_the_key_is_refused(account: Account, operation: Operation) -> None:
    body = body_of(account, operation)
    assert send(account, operation.path, body).is_success
    assert_failure(send(account, operation.path, {**body, "more": 1}), 422)
    assert_failure(send(account, operation.path, body, include=""), 422)
    form = account.api.post(
        operation.path,
        content=json.dumps(body),
        headers={"idempotency-key": "k1", "content-type": "application/json; charset=utf-8"},
    )
    assert_failure(form, 422)
    # Nothing of it was stored: the right request is still answered.
    assert send(account, operation.path, body).headers[REPLAYED] == "true"


@EVERY_POST
def test_a_refusal_is_kept_as_well(account: Account, operation: Operation) -> None:
    first = send(account, operation.path, {operation.resource.root: {}})
    (again, other) = (
        send(account, operation.path, {operation.resource.root: {}}, key) for key in ("k1", "k2")
    )
    assert first.status_code == again.status_code == other.status_code == 422
    assert again.content == first.content
    assert (REPLAYED in first.headers, REPLAYED in again.headers) == (False, True)
    assert REPLAYED not in other.headers


@pytest.mark.parametrize("content", ["{", "[]", '{"status_report": 1}', ""])
def test_a_body_that_cannot_be_read_is_refused_the_same_again(
    account: Account, content: str
) -> None:
    headers = {"idempotency-key": "k1", "content-type": "application/json"}
    first, again = (
        account.api.post("/status_reports", content=content, headers=headers) for _ in range(2)
    )
    assert_failure(first, 400)
    assert (again.status_code, again.content) == (400, first.content)
    assert again.headers[REPLAYED] == "true"


@pytest.mark.parametrize(
    "key", ["", "a b", "x" * 256, "\u00e9", "a\tb"], ids=lambda key: ascii(key)[:12]
)
def test_what_cannot_be_a_key_is_refused(account: Account, key: str) -> None:
    body = body_of(account, POSTS[0])
    answer = account.api.post(
        "/status_reports", json=body, headers=[(b"idempotency-key", key.encode("latin-1"))]
    )
    assert_failure(answer, 400)
    assert number_of(account, Kind.STATUS_REPORTS) == 0


@pytest.mark.parametrize("key", ["x", "x" * 255, '"8e03978e-40d5-43e8-bc93-6894a57f9324"', "!~"])
def test_any_visible_characters_are_a_key(account: Account, key: str) -> None:
    body = body_of(account, POSTS[0])
    assert [REPLAYED in send(account, "/status_reports", body, key).headers for _ in range(2)] == [
        False,
        True,
    ]


def test_a_key_is_one_users_and_one_paths(account: Account) -> None:
    body = body_of(account, POSTS[0])
    for role in ("administrator", "editor"):
        assert REPLAYED not in send(account, "/status_reports", body, role=role).headers
    group = send(account, "/workspace_groups", {"workspace_group": {"name": "G"}})
    assert (group.is_success, REPLAYED in group.headers) == (True, False)
    assert number_of(account, Kind.STATUS_REPORTS) == 2


def test_without_a_key_what_is_sent_again_is_done_again(account: Account) -> None:
    for _ in range(2):
        account.report()
    assert number_of(account, Kind.STATUS_REPORTS) == 2


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_key_on_a_change_means_nothing(account: Account, method: str) -> None:
    path = f"/status_reports/{account.report()}"
    for color in ("red", "yellow"):
        answer = account.api.request(
            method, path, json={"status_report": {"color": color}}, headers={"idempotency-key": "k"}
        )
        assert only_record(answer)["color"] == color
        assert REPLAYED not in answer.headers


def test_who_does_not_see_any_more_what_was_made_is_not_told(account: Account) -> None:
    body = body_of(account, POSTS[0])
    made = send(account, "/status_reports", body, role="editor")
    place = next(
        one
        for one in account.api.get("/participations").json()["participations"].values()
        if one["user_id"] == str(account.users["editor"].id)
        and one["workspace_id"] == account.workspaces[0]
    )
    assert account.api.delete(f"/participations/{place['id']}").status_code == 204
    assert_failure(send(account, "/status_reports", body, role="editor"), 404)
    assert made.is_success


def test_what_was_deleted_is_not_told_again(account: Account) -> None:
    body = body_of(account, POSTS[0])
    made = only_record(send(account, "/status_reports", body))
    assert account.api.delete(f"/status_reports/{made['id']}").status_code == 204
    assert_failure(send(account, "/status_reports", body), 404)
    assert number_of(account, Kind.STATUS_REPORTS) == 0


def test_a_key_is_free_again_after_a_day(account: Account) -> None:
    body = body_of(account, POSTS[0])
    assert send(account, "/status_reports", body).is_success
    age(account)
    assert REPLAYED not in send(account, "/status_reports", body).headers
    assert number_of(account, Kind.STATUS_REPORTS) == 2


def age(account: Account) -> None:
    older = Statement(
        text(
            "UPDATE idempotency_keys SET created_at = created_at - :by WHERE account_id = :account"
        )
    )
    account.database.write_here(lambda tx: tx.rows(older, {"by": LONG_AGO, "account": account.id}))


def kept(account: Account) -> int:
    rows = Statement(text("SELECT count(*) FROM idempotency_keys WHERE account_id = :account"))
    return account.database.read_here(lambda tx: tx.rows(rows, {"account": account.id})[0][0])


def test_what_is_older_than_a_day_is_swept_away(account: Account) -> None:
    send(account, "/status_reports", body_of(account, POSTS[0]))
    age(account)
    send(account, "/status_reports", body_of(account, POSTS[0]), key="k2")
    sweep(account.database, now, 30)
    assert kept(account) == 1


def test_of_a_user_the_last_ones_are_kept(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "MOST_KEPT", 3)
    actor = account.users["editor"]
    for number in range(5):
        asked = answers.Asked("/p", f"k{number}", "f")
        account.database.write_here(
            lambda tx, asked=asked: retries.keep(tx, as_actor(actor), asked, 1, 200, b"{}")
        )
    assert kept(account) == 3
    assert [
        account.database.read_here(
            lambda tx, n=n: answers.find(
                tx, account.id, actor.id, answers.Asked("/p", f"k{n}", "f")
            )
        )
        is not None
        for n in range(5)
    ] == [False, False, True, True, True]


def as_actor(user: Any) -> Any:
    class Acting:
        account_id, user_id = user.account_id, user.id

    return Acting


def test_of_many_at_once_one_is_done(account: Account) -> None:
    body = body_of(account, POSTS[0])
    ready = threading.Barrier(8)

    def go(_number: int) -> httpx.Response:
        ready.wait()
        return send(account, "/status_reports", body)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(go, range(8)))
    assert {one.status_code for one in found} == {200}
    assert len({one.content for one in found}) == 1
    assert [REPLAYED in one.headers for one in found].count(False) == 1
    assert number_of(account, Kind.STATUS_REPORTS) == 1


@pytest.fixture
def two_workers(server: Server) -> Iterator[Server]:
    other = Server(server.database).start()
    yield other
    other.stop()


def test_another_process_knows_the_key(account: Account, two_workers: Server) -> None:
    body = body_of(account, POSTS[0])
    first = send(account, "/status_reports", body)
    with two_workers.client(account.secrets["administrator"]) as there:
        again = there.post("/status_reports", json=body, headers={"idempotency-key": "k1"})
    assert (again.content, again.headers[REPLAYED]) == (first.content, "true")
