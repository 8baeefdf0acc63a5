"""The rules of access over HTTP: sides, authors, archives, disabled users."""

import pytest

from conftest import Account
from expect import assert_envelope, assert_failure, only_record
from healthreports.app import now
from healthreports.service.people import members

RED = {"status_report": {"color": "red"}}


def place(account: Account, side: str, permission: str, workspace: int = 0) -> str:
    """Make the outsider participate. Returns the participation's id."""
    sent = {
        "workspace_id": account.workspaces[workspace],
        "user_id": account.users["outsider"].id,
        "side": side,
        "permission": permission,
    }
    answer = account.api.post("/participations", json={"participation": sent})
    return only_record(answer, "participations")["id"]


def show_to_clients(account: Account, shown: bool) -> None:
    path = f"/workspaces/{account.workspaces[0]}?optional_fields=clients_see_status_reports"
    sent = {"workspace": {"clients_see_status_reports": shown}}
    answer = account.api.put(path, json=sent)
    assert only_record(answer, "workspaces")["clients_see_status_reports"] is shown


def test_a_client_sees_the_workspace_and_no_report(account: Account) -> None:
    report_id = account.report(
        external_reference={"service_name": "s", "service_model": "m", "service_model_ref": "r"}
    )
    place(account, "client", "admin")
    client = account.clients["outsider"]
    assert_envelope(client.get("/status_reports"), "status_reports", [], count=0)
    assert_failure(client.get(f"/status_reports/{report_id}"), 404)
    assert_failure(client.put(f"/status_reports/{report_id}", json=RED), 404)
    assert_failure(client.delete(f"/status_reports/{report_id}"), 404)
    references = client.get("/external_references?subject_type=StatusReport")
    assert_envelope(references, "external_references", [], count=0)
    included = client.get("/workspaces?include=status_reports,current_status_report,participants")
    body = assert_envelope(included, "workspaces", account.workspaces[:1], count=1)
    assert body["status_reports"] == {}
    assert body["workspaces"][account.workspaces[0]]["status_report_ids"] == []
    assert body["workspaces"][account.workspaces[0]]["current_status_report_id"] is None


def test_a_client_sees_reports_where_the_workspace_shows_them_and_writes_none(
    account: Account,
) -> None:
    report_id = account.report()
    place(account, "client", "admin")
    client = account.clients["outsider"]
    show_to_clients(account, shown=True)
    assert_envelope(client.get("/status_reports"), "status_reports", [report_id], count=1)
    sent = {"workspace_id": account.workspaces[0], "color": "red", "description": "No."}
    assert_failure(client.post("/status_reports", json={"status_report": sent}), 403)
    assert_failure(client.put(f"/status_reports/{report_id}", json=RED), 403)
    show_to_clients(account, shown=False)
    assert_failure(client.get(f"/status_reports/{report_id}"), 404)


def test_who_may_edit_creates_and_changes_only_its_own(account: Account) -> None:
    others = account.report()
    place(account, "provider", "edit")
    api = account.clients["outsider"]
    sent = {"workspace_id": account.workspaces[0], "color": "green", "description": "Mine."}
    own = only_record(api.post("/status_reports", json={"status_report": sent}))["id"]
    assert only_record(api.put(f"/status_reports/{own}", json=RED))["color"] == "red"
    assert_failure(api.put(f"/status_reports/{others}", json=RED), 403)
    assert_failure(api.delete(f"/status_reports/{others}"), 403)
    assert api.delete(f"/status_reports/{own}").status_code == 204


def test_an_author_who_no_longer_participates_sees_its_report_no_more(account: Account) -> None:
    participation = place(account, "provider", "edit")
    api = account.clients["outsider"]
    sent = {"workspace_id": account.workspaces[0], "color": "green", "description": "Mine."}
    own = only_record(api.post("/status_reports", json={"status_report": sent}))["id"]
    assert account.api.delete(f"/participations/{participation}").status_code == 204
    assert_failure(api.put(f"/status_reports/{own}", json=RED), 404)


def test_an_archived_workspace_is_for_reading_and_can_be_brought_back(account: Account) -> None:
    report_id = account.report()
    path = f"/workspaces/{account.workspaces[0]}"
    only_record(account.api.put(path, json={"workspace": {"archived": True}}), "workspaces")
    assert only_record(account.api.get(f"/status_reports/{report_id}"))["id"] == report_id
    [error] = assert_failure(account.api.put(f"/status_reports/{report_id}", json=RED), 403)
    assert "archived" in error["message"]
    sent = {"workspace_id": account.workspaces[0], "color": "red", "description": "No."}
    assert_failure(account.api.post("/status_reports", json={"status_report": sent}), 403)
    assert_failure(account.api.put(path, json={"workspace": {"title": "New"}}), 403)
    only_record(account.api.put(path, json={"workspace": {"archived": False}}), "workspaces")
    assert only_record(account.api.put(f"/status_reports/{report_id}", json=RED))


def membership_of(account: Account, role: str) -> str:
    user_id = account.users[role].id
    [found] = account.api.get(f"/account_memberships?user_id={user_id}").json()["results"]
    return found["id"]


def test_a_disabled_users_token_stops_at_once_and_works_again(account: Account) -> None:
    viewer = account.clients["viewer"]
    assert viewer.get("/users/me").status_code == 200
    path = f"/account_memberships/{membership_of(account, 'viewer')}"
    answer = account.api.put(path, json={"account_membership": {"disabled": True}})
    assert only_record(answer, "account_memberships")["disabled_at"] is not None
    assert_failure(viewer.get("/users/me"), 401, "oauth")
    account.api.put(path, json={"account_membership": {"disabled": False}})
    assert viewer.get("/users/me").status_code == 200


def test_a_reports_viewer_reads_all_and_writes_nothing(account: Account) -> None:
    report_id = account.report(workspace_id=account.workspaces[1])
    path = f"/account_memberships/{membership_of(account, 'outsider')}"
    sent = {"account_membership": {"permission": "reports_viewer"}}
    assert account.api.put(path, json=sent).status_code == 200
    api = account.clients["outsider"]
    assert_envelope(api.get("/status_reports"), "status_reports", [report_id], count=1)
    assert_failure(api.put(f"/status_reports/{report_id}", json=RED), 403)
    assert_failure(api.post("/workspaces", json={"workspace": {"title": "W"}}), 403)


def test_the_last_administrator_stays_one(account: Account) -> None:
    path = f"/account_memberships/{membership_of(account, 'administrator')}"
    for change in ({"permission": "collaborator"}, {"disabled": True}):
        answer = account.api.put(path, json={"account_membership": change})
        assert_failure(answer, 422, "validation", *change)
    second = f"/account_memberships/{membership_of(account, 'editor')}"
    promote = {"account_membership": {"permission": "administrator"}}
    assert account.api.put(second, json=promote).status_code == 200
    demote = {"account_membership": {"permission": "collaborator"}}
    assert account.api.put(path, json=demote).status_code == 200


@pytest.mark.parametrize("role", ["editor", "viewer", "outsider"])
def test_only_an_administrator_manages_memberships(account: Account, role: str) -> None:
    api = account.clients[role]
    new = {"full_name": "N", "email_address": "n@example.org", "permission": "administrator"}
    answer = api.post("/account_memberships", json={"account_membership": new})
    assert_failure(answer, 403)
    own = membership_of(account, role)
    assert_envelope(api.get("/account_memberships"), "account_memberships", [own], count=1)
    promote = {"account_membership": {"permission": "administrator"}}
    assert_failure(api.put(f"/account_memberships/{own}", json=promote), 403)
    others = membership_of(account, "administrator")
    assert_failure(api.put(f"/account_memberships/{others}", json=promote), 404)


def test_a_new_user_can_be_created_and_seen(account: Account) -> None:
    sent = {"full_name": "Nora", "email_address": "Nora@Example.org ", "permission": "collaborator"}
    answer = account.api.post(
        "/account_memberships?include=user", json={"account_membership": sent}
    )
    made = only_record(answer, "account_memberships")
    user = answer.json()["users"][made["user_id"]]
    assert (user["full_name"], user["email_address"]) == ("Nora", "nora@example.org")
    again = account.api.post("/account_memberships", json={"account_membership": sent})
    assert_failure(again, 422, "validation", "email_address")


@pytest.mark.parametrize(
    ("path", "root", "sent", "fields"),
    [
        ("workspaces", "workspace", {}, ["title"]),
        (
            "workspaces",
            "workspace",
            {"title": " ", "start_date": "20260101", "due_date": "2026-02-30", "archived": "x"},
            ["title", "start_date", "due_date", "archived"],
        ),
        ("workspaces", "workspace", {"title": "W", "archived": None}, ["archived"]),
        ("participations", "participation", {}, ["workspace_id", "user_id"]),
        (
            "participations",
            "participation",
            {"workspace_id": 999999, "user_id": 999999, "permission": "own", "side": "both"},
            ["workspace_id", "user_id", "permission", "side"],
        ),
        (
            "account_memberships",
            "account_membership",
            {"full_name": "", "email_address": "nobody", "permission": "boss"},
            ["full_name", "email_address", "permission"],
        ),
    ],
)
def test_every_fault_of_a_managed_thing_is_named(
    account: Account, path: str, root: str, sent: dict, fields: list[str]
) -> None:
    answer = account.api.post(f"/{path}", json={root: sent})
    assert_failure(answer, 422, "validation", *fields)


def test_who_creates_a_workspace_is_an_admin_of_it(account: Account) -> None:
    path = f"/account_memberships/{membership_of(account, 'outsider')}"
    account.api.put(path, json={"account_membership": {"permission": "project_creator"}})
    api = account.clients["outsider"]
    sent = {"title": "New bridge", "start_date": "2026-01-31", "description": "Over the river."}
    made = only_record(api.post("/workspaces", json={"workspace": sent}), "workspaces")
    assert (made["start_date"], made["due_date"]) == ("2026-01-31", None)
    listed = api.get(f"/participations?workspace_id={made['id']}").json()
    [own] = listed["participations"].values()
    assert (own["side"], own["permission"], own["team_lead"]) == ("provider", "admin", True)
    changed = api.put(f"/workspaces/{made['id']}", json={"workspace": {"title": "Old bridge"}})
    assert only_record(changed, "workspaces")["title"] == "Old bridge"


@pytest.mark.parametrize("role", ["viewer", "outsider"])
def test_who_is_no_admin_changes_no_workspace_and_no_participation(
    account: Account, role: str
) -> None:
    status = 403 if role == "viewer" else 404
    api = account.clients[role]
    path = f"/workspaces/{account.workspaces[0]}"
    assert_failure(api.put(path, json={"workspace": {"title": "Mine"}}), status)
    of_editor = f"/participations?order=id&user_id={account.users['editor'].id}"
    listed = account.api.get(of_editor).json()
    participation = listed["results"][0]["id"]
    change = {"participation": {"permission": "view"}}
    assert_failure(api.put(f"/participations/{participation}", json=change), status)
    assert_failure(api.delete(f"/participations/{participation}"), status)


def test_nobody_of_another_account_can_be_let_in(account: Account, other_account: Account) -> None:
    sent = {
        "workspace_id": account.workspaces[0],
        "user_id": other_account.users["viewer"].id,
        "permission": "view",
    }
    answer = account.api.post("/participations", json={"participation": sent})
    assert_failure(answer, 422, "validation", "user_id")


def test_only_an_administrator_lets_in_somebody_whom_an_admin_does_not_see(
    account: Account,
) -> None:
    """Otherwise an admin of one workspace could read everybody's name by adding them."""
    sent = {
        "workspace_id": account.workspaces[0],
        "user_id": account.users["outsider"].id,
        "permission": "view",
    }
    unknown = {**sent, "user_id": 999_999}
    path, editor = "/participations?include=user", account.clients["editor"]
    answers = [editor.post(path, json={"participation": one}) for one in (sent, unknown)]
    assert_failure(answers[0], 422, "validation", "user_id")
    assert answers[0].content == answers[1].content
    only_record(account.api.post(path, json={"participation": sent}), "participations")


def test_the_answer_to_a_stranger_does_not_tell_who_is_of_its_account(account: Account) -> None:
    api = account.clients["outsider"]
    answers = {
        api.post(
            "/participations", json={"participation": {"user_id": user_id, "permission": "view"}}
        ).content
        for user_id in (account.users["administrator"].id, 999_999)
    }
    assert len(answers) == 1


def test_a_user_can_be_disabled_where_nobody_administers(account: Account) -> None:
    def work(tx) -> None:
        for role in ("viewer", "outsider"):
            members.disable(tx, account.users[role], now(), disabled=True)

    account.database.write_here(work)
    assert_failure(account.clients["viewer"].get("/users/me"), 401, "oauth")


def test_people_see_whom_they_work_with(account: Account) -> None:
    def seen(role: str) -> set[str]:
        return set(account.clients[role].get("/users").json()["users"])

    ids = {role: str(user.id) for role, user in account.users.items()}
    assert seen("administrator") == set(ids.values())
    assert seen("viewer") == {ids["viewer"], ids["editor"]}
    assert seen("outsider") == {ids["outsider"]}
    assert_failure(account.clients["outsider"].get(f"/users/{ids['viewer']}"), 404)


def test_an_optional_field_is_there_for_those_who_ask(account: Account) -> None:
    path = f"/workspaces/{account.workspaces[0]}"
    assert "clients_see_status_reports" not in only_record(account.api.get(path), "workspaces")
    asked = account.api.get(f"{path}?optional_fields=nothing, clients_see_status_reports ,title")
    assert only_record(asked, "workspaces")["clients_see_status_reports"] is False
