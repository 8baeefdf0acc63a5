from functools import partial

import httpx
import pytest

from conftest import Account
from expect import assert_envelope, assert_failure, only_record
from healthreports.app import now
from healthreports.core.vocabulary import ParticipationPermission
from healthreports.service.people import workspaces

REFERENCE = {"service_name": "tracker", "service_model": "Issue", "service_model_ref": "1"}
ROLES = ["administrator", "editor", "viewer", "outsider"]


def whole(space_id: str) -> dict:
    return {"status_report": {"workspace_id": space_id, "color": "red", "description": "x"}}


def everything(account: Account) -> list[dict]:
    """Everything that the administrator sees."""
    include = "include=creator,updater,workspace,external_references"
    return [
        account.api.get(path).json()
        for path in (
            f"/status_reports?{include}",
            "/workspaces?include=creator,participants,status_reports,current_status_report",
            "/external_references?subject_type=StatusReport&include=subject",
            "/external_references?subject_type=Workspace&include=subject",
            "/users",
        )
    ]


SEEN = {"administrator": 2, "editor": 2, "viewer": 1, "outsider": 0}


# 4, 2.2
@pytest.mark.parametrize(("role", "spaces"), SEEN.items(), ids=SEEN)
def test_a_list_has_what_the_caller_sees(account: Account, role: str, spaces: int) -> None:
    ids = [account.report(workspace_id=space) for space in account.workspaces]
    api = account.clients[role]
    listed = api.get("/status_reports?include=workspace&order=created_at:asc")
    body = assert_envelope(listed, "status_reports", ids[:spaces], count=spaces)
    assert set(body["workspaces"]) == set(account.workspaces[:spaces])
    answer = api.get("/workspaces?include=status_reports,current_status_report&order=id")
    body = assert_envelope(answer, "workspaces", account.workspaces[:spaces], count=spaces)
    assert set(body["status_reports"]) == set(ids[:spaces])


# 4.3, 4.6
@pytest.mark.parametrize(("role", "spaces"), SEEN.items(), ids=SEEN)
def test_only_and_filters_do_not_reach_further(account: Account, role: str, spaces: int) -> None:
    ids = [
        account.report(workspace_id=space, external_reference=REFERENCE)
        for space in account.workspaces
    ]
    seen = ids[:spaces]
    for params in (
        {"only": ",".join(ids)},
        {"workspace_id": ",".join(account.workspaces)},
        {"has_external_references": "true"},
        {"external_reference_service_name": "tracker"},
        {"external_reference_service_model_refs": "1,2"},
        {"without_external_reference_service_name": "nobody"},
        {"created_after": "2001-01-01"},
        {"order": "id:asc", "limit": 10, "offset": 0},
    ):
        answer = account.clients[role].get("/status_reports", params=params)
        assert_envelope(answer, "status_reports", seen, count=len(seen))


# 5.1
@pytest.mark.parametrize(("role", "spaces"), SEEN.items(), ids=SEEN)
def test_show_is_404_for_what_the_caller_does_not_see(
    account: Account, role: str, spaces: int
) -> None:
    for place, space in enumerate(account.workspaces):
        report_id = account.report(workspace_id=space)
        shown = account.clients[role].get(f"/status_reports/{report_id}")
        space_shown = account.clients[role].get(f"/workspaces/{space}")
        if place < spaces:
            assert only_record(shown)["id"] == report_id
            assert only_record(space_shown, "workspaces")["id"] == space
        else:
            assert_failure(shown, 404)
            assert_failure(space_shown, 404)


def requests_for(space: str, report_id: str) -> list[tuple[str, str, dict]]:
    color = {"json": {"status_report": {"color": "red"}}}
    return [
        ("POST", "/status_reports", {"json": whole(space)}),
        ("PUT", f"/status_reports/{report_id}", color),
        ("PATCH", f"/status_reports/{report_id}", color),
        ("DELETE", f"/status_reports/{report_id}", {}),
    ]


# 5.2, 5.3, 5.5
@pytest.mark.parametrize("role", ["administrator", "editor"])
def test_who_may_write_writes(account: Account, role: str) -> None:
    for space in account.workspaces:
        for method, path, more in requests_for(space, account.report(workspace_id=space)):
            answer = account.clients[role].request(method, path, **more)
            assert answer.status_code == (204 if method == "DELETE" else 200), answer.text


# 5.2, 5.3, 5.5, 6
def test_who_sees_and_may_not_write_gets_403(account: Account) -> None:
    report_id = account.report()
    before = everything(account)
    for method, path, more in requests_for(account.workspaces[0], report_id):
        assert_failure(account.clients["viewer"].request(method, path, **more), 403)
    assert everything(account) == before


# 5.1, 5.2
@pytest.mark.parametrize(("role", "place"), [("viewer", 1), ("outsider", 0), ("outsider", 1)])
def test_who_does_not_see_gets_the_same_as_for_nothing(
    account: Account, role: str, place: int
) -> None:
    space = account.workspaces[place]
    report_id = account.report(workspace_id=space)
    before = everything(account)
    asked = zip(requests_for(space, report_id), requests_for("0", "0"), strict=True)
    for (method, path, more), (_, nowhere, nothing) in asked:
        answer = account.clients[role].request(method, path, **more)
        if method == "POST":
            assert_failure(answer, 422, "validation", "workspace_id")
        else:
            assert_failure(answer, 404)
        assert answer.json() == account.clients[role].request(method, nowhere, **nothing).json()
    assert everything(account) == before


def own_reference(account: Account, **subject: str) -> tuple[dict, str]:
    """Add a reference. Returns what was sent, and the reference's id."""
    sent = {"external_reference": {**REFERENCE, **subject}}
    answer = account.api.post("/external_references/create_or_update", json=sent)
    return sent, only_record(answer, "external_references")["id"]


# 7
@pytest.mark.parametrize("kind", ["StatusReport", "Workspace"])
@pytest.mark.parametrize("role", ROLES)
def test_references_are_seen_with_their_subject(account: Account, role: str, kind: str) -> None:
    ids = []
    for space in account.workspaces:
        subject = space if kind == "Workspace" else account.report(workspace_id=space)
        ids.append(own_reference(account, subject_type=kind, subject_id=subject)[1])
    params = {"subject_type": kind, "order": "created_at:asc", "include": "subject"}
    answer = account.clients[role].get("/external_references", params=params)
    seen = ids[: SEEN[role]]
    body = assert_envelope(answer, "external_references", seen, count=len(seen))
    key = "workspaces" if kind == "Workspace" else "status_reports"
    assert len(body.get(key, {})) == len(seen)


# 7, 6
@pytest.mark.parametrize("kind", ["StatusReport", "Workspace"])
def test_references_are_written_by_who_may_write(account: Account, kind: str) -> None:
    subject = account.workspaces[0] if kind == "Workspace" else account.report()
    sent, reference_id = own_reference(account, subject_type=kind, subject_id=subject)
    before = everything(account)
    upsert, path = "/external_references/create_or_update", f"/external_references/{reference_id}"
    assert_failure(account.clients["viewer"].post(upsert, json=sent), 403)
    assert_failure(account.clients["viewer"].delete(path), 403)
    unseen = account.clients["outsider"].post(upsert, json=sent)
    assert unseen.status_code in (404, 422)
    assert_failure(account.clients["outsider"].delete(path), 404)
    assert everything(account) == before
    editor = account.clients["editor"]
    assert only_record(editor.post(upsert, json=sent), "external_references")["id"] == reference_id
    assert editor.delete(path).status_code == 204


def filled(account: Account) -> tuple[str, str]:
    """Create a report with a reference. Returns the ids of both."""
    report_id = account.report(external_reference=REFERENCE, description="A secret plan")
    answer = account.api.get("/external_references?subject_type=StatusReport")
    return report_id, answer.json()["results"][0]["id"]


# 5.1, 7
def test_nothing_of_another_account_is_shown(account: Account, other_account: Account) -> None:
    report_id, reference_id = filled(other_account)
    space, user = other_account.workspaces[0], other_account.users["editor"]
    for role in ROLES:
        api = account.clients[role]
        for path in (f"/status_reports/{report_id}", f"/workspaces/{space}", f"/users/{user.id}"):
            assert_failure(api.get(path), 404)
        for path in (
            f"/status_reports?only={report_id}",
            f"/status_reports?workspace_id={space}",
            "/status_reports?external_reference_service_name=tracker",
            "/status_reports?has_external_references=true",
            "/status_reports?include=creator,updater,workspace,external_references",
        ):
            body = assert_envelope(api.get(path), "status_reports", [], count=0)
            assert body["status_reports"] == {}
        assert_envelope(api.get(f"/workspaces?only={space}"), "workspaces", [], count=0)
        assert_envelope(api.get(f"/users?only={user.id}"), "users", [], count=0)
        for kind in ("StatusReport", "Workspace"):
            answer = api.get(f"/external_references?subject_type={kind}&include=subject")
            assert_envelope(answer, "external_references", [], count=0)
            answer = api.get(f"/external_references?subject_type={kind}&only={reference_id}")
            assert_envelope(answer, "external_references", [], count=0)


# 5.2, 5.3, 5.5, 7
def test_nothing_of_another_account_is_written(account: Account, other_account: Account) -> None:
    report_id, reference_id = filled(other_account)
    space = other_account.workspaces[0]
    before = everything(other_account)

    def same_as_nothing(api: httpx.Client, method: str, path: str, nothing: str) -> None:
        more = {"json": {"status_report": {"color": "red"}}} if method != "DELETE" else {}
        answer = api.request(method, path, **more)
        assert_failure(answer, 404)
        assert answer.json() == api.request(method, nothing, **more).json()

    for role in ROLES:
        api = account.clients[role]
        for method in ("PUT", "PATCH", "DELETE"):
            same_as_nothing(api, method, f"/status_reports/{report_id}", "/status_reports/0")
        reference = f"/external_references/{reference_id}"
        same_as_nothing(api, "DELETE", reference, "/external_references/0")
        answer = api.post("/status_reports", json=whole(space))
        assert_failure(answer, 422, "validation", "workspace_id")
        assert answer.json() == api.post("/status_reports", json=whole("0")).json()
        for kind, subject in (("StatusReport", report_id), ("Workspace", space)):
            sent = {**REFERENCE, "subject_type": kind, "subject_id": subject}
            upsert = "/external_references/create_or_update"
            answer = api.post(upsert, json={"external_reference": sent})
            assert answer.status_code in (404, 422)
            sent["subject_id"] = "0"
            nothing = api.post(upsert, json={"external_reference": sent})
            assert answer.json() == nothing.json()
    assert everything(other_account) == before


# 2.2, 7
def test_accounts_count_for_themselves(account: Account, other_account: Account) -> None:
    mine = [account.report(), account.report()]
    theirs = [other_account.report()]
    assert_envelope(account.api.get("/status_reports"), "status_reports", mine, count=2)
    assert_envelope(other_account.api.get("/status_reports"), "status_reports", theirs, count=1)
    for one in (account, other_account):
        emails = {user.email_address for user in one.users.values()}
        body = assert_envelope(one.api.get("/users"), "users", count=len(emails))
        assert {user["email_address"] for user in body["users"].values()} == emails
        assert_envelope(one.api.get("/workspaces?order=id"), "workspaces", one.workspaces)


# 4, 2.2
def test_a_new_participant_sees_and_writes_at_once(account: Account) -> None:
    api, ids = account.clients["outsider"], []
    permissions = (ParticipationPermission.VIEW, ParticipationPermission.ADMIN)
    for place, permission in enumerate(permissions):
        space = account.workspaces[place]
        report_id = account.report(workspace_id=space)
        assert_envelope(api.get("/status_reports"), "status_reports", ids, count=place)
        assert_envelope(api.get("/workspaces"), "workspaces", count=place)
        account.database.write_here(
            partial(join, space_id=int(space), account=account, permission=permission)
        )
        ids.append(report_id)
        assert_envelope(api.get("/status_reports"), "status_reports", ids, count=place + 1)
        assert_envelope(api.get("/workspaces"), "workspaces", count=place + 1)
    color = {"status_report": {"color": "red"}}
    assert_failure(api.put(f"/status_reports/{ids[0]}", json=color), 403)
    assert only_record(api.put(f"/status_reports/{ids[1]}", json=color))["color"] == "red"


def join(tx, *, space_id: int, account: Account, permission: ParticipationPermission) -> None:
    workspaces.join(tx, space_id, account.users["outsider"], permission, now())
