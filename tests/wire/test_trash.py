"""Deleted reports: listed, restored, purged. Contract: 8.4."""

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from conftest import Account, Server
from expect import assert_envelope, assert_failure, only_record
from healthreports.app import now, open_database
from healthreports.core.vocabulary import Purged
from healthreports.service.sweeping import sweep
from healthreports.settings import Settings
from healthreports.store.engine.statement import Statement
from healthreports.store.lists import verify
from healthreports.store.reports import trash
from healthreports.store.schema.tables import metadata

KEY = "deleted_status_reports"
REFERENCE = {"service_name": "jira", "service_model": "issue", "service_model_ref": "K-1"}
DAY = 86_400_000_000


def delete(account: Account, report: str, role: str = "administrator") -> None:
    answer = account.clients[role].delete(f"/status_reports/{report}")
    assert answer.status_code == 204, answer.text


def deleted(account: Account, role: str = "administrator", **params: str) -> list[str]:
    body = assert_envelope(account.clients[role].get(f"/{KEY}", params=params), KEY)
    return [one["id"] for one in body["results"]]


def restore(account: Account, report: str, role: str = "administrator", **params: str) -> Any:
    return account.clients[role].post(f"/{KEY}/{report}/restore", params=params)


def purge(account: Account, report: str, role: str = "administrator") -> httpx.Response:
    return account.clients[role].delete(f"/{KEY}/{report}")


def everything(account: Account, report: str) -> list[object]:
    """Everything that the API shows of a report."""
    params = {"include": "creator,updater,workspace,external_references"}
    return [
        account.api.get(f"/status_reports/{report}", params=params).json(),
        account.api.get("/status_reports", params={"text": "Unique"}).json(),
        account.api.get("/status_reports", params={"has_external_references": "true"}).json(),
        account.api.get("/workspaces", params={"include": "current_status_report"}).json(),
        account.api.get("/external_references", params={"subject_type": "StatusReport"}).json(),
    ]


def purged(account: Account) -> list[tuple[Purged, int, int]]:
    return account.database.read_here(lambda tx: trash.purged(tx, account.id))


def counts_right(account: Account) -> bool:
    return account.database.read_here(verify.differences) == []


def test_what_was_deleted_comes_back_as_it_was(account: Account) -> None:
    account.report()
    report = account.report(
        description="Unique words.",
        details=[{"category": "Client", "color": "yellow", "description": "Asks."}],
        external_reference=REFERENCE,
    )
    before = everything(account, report)
    delete(account, report)
    assert_failure(account.api.get(f"/status_reports/{report}"), 404)
    assert account.api.get("/status_reports", params={"text": "Unique"}).json()["count"] == 0
    assert counts_right(account)
    restored = restore(account, report, include="external_references")
    body = assert_envelope(restored, "status_reports", [report])
    assert len(body["external_references"]) == 1
    assert everything(account, report) == before
    assert counts_right(account)
    assert deleted(account) == []


def test_the_list_says_what_was_deleted_by_whom_and_when(account: Account) -> None:
    reports = [account.report(description=str(number)) for number in range(3)]
    shown = only_record(account.api.get(f"/status_reports/{reports[0]}"))
    for report in reports:
        delete(account, report, "editor")
    body = assert_envelope(account.api.get(f"/{KEY}"), KEY, reports[::-1])
    one = body[KEY][reports[0]]
    assert one | shown == one
    assert one["deleter_id"] == str(account.users["editor"].id)
    assert one["deleted_at"] >= shown["created_at"]
    assert deleted(account, per_page="2", page="2") == reports[:1]


def test_a_deleted_report_is_gone_for_every_other_call(account: Account) -> None:
    report = account.report(external_reference=REFERENCE)
    reference = account.api.get(
        "/external_references", params={"subject_type": "StatusReport"}
    ).json()["results"][0]["id"]
    delete(account, report)
    change = {"status_report": {"color": "red"}}
    assert_failure(account.api.put(f"/status_reports/{report}", json=change), 404)
    assert_failure(account.api.delete(f"/status_reports/{report}"), 404)
    assert_failure(account.api.delete(f"/external_references/{reference}"), 404)
    attach = {"external_reference": {**REFERENCE, "subject_type": "StatusReport"}}
    attach["external_reference"]["subject_id"] = report
    again = account.api.post("/external_references/create_or_update", json=attach)
    assert_failure(again, 422, "validation", "subject_id")


@pytest.mark.parametrize("role", ["viewer", "outsider"])
def test_who_could_not_delete_it_does_not_know_of_it(account: Account, role: str) -> None:
    report = account.report()
    delete(account, report)
    assert deleted(account, role) == []
    assert_failure(restore(account, report, role), 404)
    assert_failure(purge(account, report, role), 404)
    assert deleted(account) == [report]


def test_who_could_delete_it_restores_it_and_does_not_purge_it(account: Account) -> None:
    report = account.report()
    delete(account, report)
    assert deleted(account, "editor") == [report]
    assert_failure(purge(account, report, "editor"), 403)
    assert restore(account, report, "editor").is_success


def test_an_author_brings_back_its_own(account: Account) -> None:
    place = {
        "workspace_id": account.workspaces[0],
        "user_id": str(account.users["outsider"].id),
        "permission": "edit",
    }
    assert account.api.post("/participations", json={"participation": place}).is_success
    sent = {"workspace_id": account.workspaces[0], "color": "red", "description": "Mine."}
    made = account.clients["outsider"].post("/status_reports", json={"status_report": sent})
    mine, others = only_record(made)["id"], account.report()
    for report in (mine, others):
        delete(account, report)
    assert deleted(account, "outsider") == [mine]
    assert_failure(restore(account, others, "outsider"), 404)
    assert restore(account, mine, "outsider").is_success


def test_another_account_does_not_know_of_it(account: Account, other_account: Account) -> None:
    report = account.report()
    delete(account, report)
    assert deleted(other_account) == []
    assert_failure(restore(other_account, report), 404)
    assert_failure(purge(other_account, report), 404)


def test_nothing_is_restored_into_an_archived_workspace(account: Account) -> None:
    report = account.report()
    delete(account, report)
    archive(account, archived=True)
    assert_failure(restore(account, report), 403)
    assert_failure(restore(account, report, "editor"), 404)
    assert deleted(account) == [report]
    archive(account, archived=False)
    assert restore(account, report).is_success


def archive(account: Account, *, archived: bool) -> None:
    sent = {"workspace": {"archived": archived}}
    assert account.api.put(f"/workspaces/{account.workspaces[0]}", json=sent).is_success


def test_what_is_restored_twice_is_there_once(account: Account) -> None:
    report = account.report()
    delete(account, report)
    assert restore(account, report).is_success
    assert_failure(restore(account, report), 404)


def holds(account: Account, words: str) -> list[str]:
    """The tables that have `words` in one of their texts; all tables are searched."""
    found = []
    for name in metadata.tables:
        select = Statement(text(f'SELECT * FROM "{name}"'))
        rows = account.database.read_here(lambda tx, select=select: tx.rows(select, {}))
        if any(words in as_text(one) for row in rows for one in row):
            found.append(name)
    return found


def as_text(one: object) -> str:
    return (
        bytes(one).decode("utf-8", "replace") if isinstance(one, bytes | memoryview) else str(one)
    )


def test_what_is_purged_leaves_no_word_behind(account: Account) -> None:
    words = "Xylophone quartet"
    sent = {
        "workspace_id": account.workspaces[0],
        "color": "red",
        "description": f"{words} one.",
        "details": [{"category": "Scope", "color": "red", "description": f"{words} two."}],
        "external_reference": {**REFERENCE, "external_message": f"{words} three."},
    }
    kept = {"idempotency-key": "k"}
    made = account.api.post("/status_reports", json={"status_report": sent}, headers=kept)
    report = only_record(made)["id"]
    change = {"status_report": {"description": "Harmless."}}
    assert account.api.put(f"/status_reports/{report}", json=change).is_success
    delete(account, report)
    assert set(holds(account, words)) == {"deleted_reports", "report_versions", "idempotency_keys"}
    assert purge(account, report).status_code == 204
    assert holds(account, words) == []
    assert deleted(account) == []
    assert_failure(restore(account, report), 404)
    again = account.api.post("/status_reports", json={"status_report": sent}, headers=kept)
    assert_failure(again, 404)
    [(what, number, _)] = purged(account)
    assert (what, number) == (Purged.STATUS_REPORT, int(report))


def test_a_purge_leaves_other_answers_alone(account: Account) -> None:
    sent = {"workspace_id": account.workspaces[0], "color": "red", "description": "D"}
    first, second = (
        account.api.post(
            "/status_reports", json={"status_report": sent}, headers={"idempotency-key": key}
        )
        for key in ("k1", "k2")
    )
    report = only_record(first)["id"]
    delete(account, report)
    assert purge(account, report).status_code == 204
    again = account.api.post(
        "/status_reports", json={"status_report": sent}, headers={"idempotency-key": "k2"}
    )
    assert again.content == second.content


def test_after_its_time_it_is_purged_by_itself(account: Account) -> None:
    old, new = account.report(), account.report()
    for report in (old, new):
        delete(account, report)
    age = Statement(text("UPDATE deleted_reports SET deleted_at = deleted_at - :by WHERE id = :id"))
    account.database.write_here(lambda tx: tx.rows(age, {"by": 30 * DAY, "id": int(old)}))
    sweep(account.database, now, 31)
    assert deleted(account) == [new, old]
    sweep(account.database, now, 30)
    assert deleted(account) == [new]
    assert [number for _, number, _ in purged(account)] == [int(old)]


def test_an_id_of_a_deleted_report_is_not_given_out_again(account: Account) -> None:
    report = account.report()
    delete(account, report)
    assert purge(account, report).status_code == 204
    assert int(account.report()) > int(report)


def test_a_restore_that_is_sent_again_is_answered_as_before(account: Account) -> None:
    report = account.report()
    delete(account, report)
    first, again = (
        account.api.post(f"/{KEY}/{report}/restore", headers={"idempotency-key": "k"})
        for _ in range(2)
    )
    assert (first.status_code, again.content) == (200, first.content)
    assert json.loads(again.content)["results"] == [{"key": "status_reports", "id": report}]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("UPDATE report_versions SET color = 'yellow' WHERE number = 2", "differs from it"),
        ("DELETE FROM report_versions WHERE number = 1", "a version is missing"),
        ("UPDATE report_versions SET report_id = report_id + 1000000", "its versions do"),
        ("UPDATE deleted_reports SET id = :alive", "among the deleted ones"),
    ],
)
def test_what_does_not_belong_together_is_found(
    own_server: Callable[..., Server],
    own_account: Callable[[Server], Account],
    change: str,
    says: str,
) -> None:
    server = own_server()
    account = own_account(server)
    alive, gone = account.report(), account.report()
    sent = {"status_report": {"color": "red"}}
    assert account.api.put(f"/status_reports/{alive}", json=sent).is_success
    delete(account, gone)
    with closing(open_database(Settings(database=str(server.database)))) as database:
        assert database.read_here(verify.differences) == []
        values = {"alive": int(alive)} if ":alive" in change else {}
        database.write_here(lambda tx: tx.rows(Statement(text(change)), values))
        assert any(says in line for line in database.read_here(verify.differences))
