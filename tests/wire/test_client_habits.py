"""What brainstem-js sends on its own, and Rails accepts."""

import pytest

from conftest import Account
from expect import assert_envelope, assert_failure
from healthreports.app import now
from healthreports.service.people import workspaces

# Requests are read before a store is used, so one store is enough.
pytestmark = pytest.mark.one_store


@pytest.mark.parametrize("form", [False, True], ids=["json", "form"])
def test_an_include_beside_the_root_key_counts(account: Account, form: bool) -> None:
    report = {"workspace_id": account.workspaces[0], "color": "red", "description": "Late."}
    if form:
        sent = {f"status_report[{name}]": value for name, value in report.items()}
        answer = account.api.post("/status_reports", data={**sent, "include": "workspace"})
    else:
        sent = {"status_report": report, "include": "workspace", "optional_fields": ""}
        answer = account.api.post("/status_reports", json=sent)
    body = assert_envelope(answer, "status_reports", count=1)
    assert set(body["workspaces"]) == {account.workspaces[0]}
    assert "users" not in body


def test_a_body_that_includes_nothing_wins_over_the_query(account: Account) -> None:
    sent = {"status_report": {"color": "red"}, "include": ""}
    path = f"/status_reports/{account.report()}?include=workspace"
    assert "workspaces" not in account.api.put(path, json=sent).json()


@pytest.mark.parametrize(
    ("value", "found"),
    [("false", True), ("0", True), ("no", True), ("", True), ("true", False), ("1", False)],
)
def test_default_filters_can_be_switched_off(account: Account, value: str, found: bool) -> None:
    space = account.workspaces[1]
    account.database.write_here(lambda tx: workspaces.archive(tx, int(space), now(), archived=True))
    params = {"apply_default_filters": value, "order": "id"}
    listed = account.api.get("/workspaces", params=params)
    expected = account.workspaces if found else account.workspaces[:1]
    assert_envelope(listed, "workspaces", expected)
    assert_envelope(account.api.get("/workspaces", params={**params, "only": space}), "workspaces")
    shown = account.api.get(f"/workspaces/{space}", params=params)
    assert shown.status_code == (200 if found else 404)


def test_references_named_by_id_need_no_subject_type(account: Account) -> None:
    reference = {"service_name": "s", "service_model": "m", "service_model_ref": "r"}
    account.report(external_reference=reference)
    assert_failure(account.api.get("/external_references"), 400)
    [found] = account.api.get("/external_references?subject_type=StatusReport").json()["results"]
    answer = account.api.get(f"/external_references?include=subject&only={found['id']}")
    assert_envelope(answer, "external_references", [found["id"]], count=1)


@pytest.mark.parametrize(("sent", "kept"), [(1234, "1234"), (-5, "-5"), ("00012", "00012")])
def test_the_id_of_something_elsewhere_may_be_a_number(
    account: Account, sent: object, kept: str
) -> None:
    reference = {"service_name": "s", "service_model": "m", "service_model_ref": sent}
    report_id = account.report(external_reference=reference)
    path = f"/status_reports?external_reference_service_model_ref={kept}"
    assert_envelope(account.api.get(path), "status_reports", [report_id])


def test_a_blank_link_of_a_form_is_no_link(account: Account) -> None:
    reference = {"service_name": "s", "service_model": "m", "service_model_ref": "r"}
    reference |= {"external_link": ""}
    account.report(external_reference=reference)
    listed = account.api.get("/external_references?subject_type=StatusReport").json()
    [found] = listed["external_references"].values()
    assert found["external_link"] is None
