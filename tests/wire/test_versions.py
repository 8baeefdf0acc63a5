"""The earlier versions of a report. Contract: 8.3."""

from typing import Any

import httpx
import pytest
from sqlalchemy import text

from conftest import Account
from expect import assert_envelope, assert_failure, only_record
from healthreports.core.vocabulary import VersionEvent
from healthreports.store.engine.statement import Statement

KEY = "status_report_versions"


def versions(
    account: Account, report: str, role: str = "administrator", **params: str
) -> httpx.Response:
    return account.clients[role].get(f"/status_reports/{report}/versions", params=params)


def said(account: Account, report: str) -> list[dict[str, Any]]:
    body = assert_envelope(versions(account, report), KEY)
    return [body[KEY][one["id"]] for one in body["results"]]


def change(account: Account, report: str, role: str = "administrator", **changes: object) -> None:
    answer = account.clients[role].put(f"/status_reports/{report}", json={"status_report": changes})
    assert answer.is_success, answer.text


def test_a_report_that_was_never_changed_has_one_version(account: Account) -> None:
    report = account.report(details=[{"category": "Budget", "color": "red"}])
    shown = only_record(account.api.get(f"/status_reports/{report}"))
    [only] = said(account, report)
    assert only == {
        "id": "1",
        "number": 1,
        "event": "created",
        "user_id": shown["creator_id"],
        **{name: shown[name] for name in ("created_at", "color", "description", "details")},
    }


def test_every_change_keeps_what_was_before(account: Account) -> None:
    details = [{"category": "Scope", "color": "yellow", "description": "Wide."}]
    report = account.report(color="green", description="First.")
    change(account, report, color="red")
    change(account, report, role="editor", description="Third.", details=details)
    found = said(account, report)
    assert [(one["number"], one["event"]) for one in found] == [
        (3, "updated"),
        (2, "updated"),
        (1, "created"),
    ]
    assert [(one["color"], one["description"]) for one in found] == [
        ("red", "Third."),
        ("red", "First."),
        ("green", "First."),
    ]
    assert [one["details"] for one in found] == [details, [], []]
    users = [str(account.users[role].id) for role in ("editor", "administrator", "administrator")]
    assert [one["user_id"] for one in found] == users
    shown = only_record(account.api.get(f"/status_reports/{report}"))
    assert found[0]["created_at"] == shown["updated_at"]


def test_a_change_that_changes_nothing_makes_no_version(account: Account) -> None:
    report = account.report()
    change(account, report, color="green")
    assert len(said(account, report)) == 1


def test_a_change_that_is_refused_makes_no_version(account: Account) -> None:
    report = account.report()
    answer = account.api.put(f"/status_reports/{report}", json={"status_report": {"color": "x"}})
    assert_failure(answer, 422, "validation", "color")
    assert len(said(account, report)) == 1


def test_a_change_of_references_makes_no_version(account: Account) -> None:
    report = account.report()
    reference = {"service_name": "a", "service_model": "b", "service_model_ref": "c"}
    change(account, report, external_reference=reference)
    assert len(said(account, report)) == 1


def test_versions_have_pages(account: Account) -> None:
    report = account.report(description="0")
    for number in range(1, 8):
        change(account, report, description=str(number))
    for params, expected in (
        ({"per_page": "3"}, "765"),
        ({"per_page": "3", "page": "2"}, "432"),
        ({"per_page": "3", "page": "3"}, "10"),
        ({"per_page": "3", "page": "4"}, ""),
        ({"limit": "2", "offset": "5"}, "21"),
    ):
        body = assert_envelope(versions(account, report, **params), KEY)
        shown = [body[KEY][one["id"]]["description"] for one in body["results"]]
        assert "".join(shown) == expected
        assert body["count"] == 8


@pytest.mark.parametrize(("page", "rows"), [("1", 1), ("2", 0)])
def test_the_one_version_is_on_the_first_page(account: Account, page: str, rows: int) -> None:
    body = assert_envelope(versions(account, account.report(), page=page), KEY)
    assert (body["count"], len(body["results"])) == (1, rows)


def test_who_is_on_the_client_side_sees_the_report_and_not_its_versions(account: Account) -> None:
    report = account.report()
    workspace = account.workspaces[0]
    shows = {"workspace": {"clients_see_status_reports": True}}
    assert account.api.put(f"/workspaces/{workspace}", json=shows).is_success
    for role, side in (("outsider", "client"), ("viewer", "provider")):
        sent = {
            "workspace_id": workspace,
            "user_id": str(account.users[role].id),
            "side": side,
            "permission": "view",
        }
        if role == "outsider":
            joined = account.api.post("/participations", json={"participation": sent})
            assert joined.is_success, joined.text
    assert account.clients["outsider"].get(f"/status_reports/{report}").is_success
    assert_failure(versions(account, report, "outsider"), 404)
    assert versions(account, report, "viewer").is_success


def test_who_does_not_see_the_report_does_not_see_its_versions(
    account: Account, other_account: Account
) -> None:
    report = account.report()
    assert_failure(versions(account, report, "outsider"), 404)
    assert_failure(versions(other_account, report), 404)
    assert_failure(versions(account, "999999999"), 404)


def test_a_deleted_and_restored_report_says_so(account: Account) -> None:
    report = account.report(description="Here.")
    assert account.api.delete(f"/status_reports/{report}").status_code == 204
    assert_failure(versions(account, report), 404)
    assert account.api.post(f"/deleted_status_reports/{report}/restore").is_success
    found = said(account, report)
    assert [one["event"] for one in found] == ["restored", "deleted", "created"]
    assert {one["description"] for one in found} == {"Here."}
    change(account, report, description="There.")
    assert said(account, report)[0]["event"] == "updated"


def test_a_report_that_was_changed_before_versions_were_kept_has_what_it_says_now(
    account: Account,
) -> None:
    report = account.report(description="Lost.")
    change(account, report, description="Known.")
    forget = Statement(text("DELETE FROM report_versions WHERE report_id = :report"))
    account.database.write_here(lambda tx: tx.rows(forget, {"report": int(report)}))
    [only] = said(account, report)
    assert (only["event"], only["description"]) == ("updated", "Known.")
    change(account, report, description="Now.")
    assert [one["description"] for one in said(account, report)] == ["Now.", "Known."]


def test_a_create_writes_no_version(account: Account) -> None:
    account.report()
    rows = Statement(text("SELECT count(*) FROM report_versions WHERE account_id = :account"))
    count = account.database.read_here(lambda tx: tx.rows(rows, {"account": account.id})[0][0])
    assert count == 0


def test_every_event_can_be_told() -> None:
    assert set(VersionEvent) == {"created", "updated", "deleted", "restored"}
