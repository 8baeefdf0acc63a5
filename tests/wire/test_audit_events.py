"""The audit log over the API: each write adds its entries, and nothing else adds any."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import Account, Server
from expect import assert_failure
from healthreports.app import now
from healthreports.contract.operations import OPERATIONS, Gives
from healthreports.contract.resources import AUDIT_EVENTS, CHOICES, FieldType
from healthreports.core.model import Instant
from healthreports.core.vocabulary import DEFAULT_AUDIT_DAYS, AuditAction
from healthreports.service import auditing
from healthreports.service.purging import purge_user
from healthreports.service.sweeping import sweep
from healthreports.store.engine.database import Database

# After an account is deleted, nobody may read its log: see `test_lifecycle`.
WRITES = [one for one in OPERATIONS if one.method != "GET" and one.name != "DeleteAccount"]
[REFERENCES] = [one.path for one in WRITES if one.name == "CreateOrUpdateExternalReference"]
STREAMS = [one for one in OPERATIONS if one.gives is Gives.STREAM]


def events(account: Account, role: str = "administrator", **params: str) -> list[dict[str, Any]]:
    answer = account.clients[role].get("/audit_events", params={"per_page": "200", **params})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return [body["audit_events"][one["id"]] for one in body["results"]]


def since(account: Account, work: Callable[[], object]) -> list[dict[str, Any]]:
    """The entries that `work` adds, the oldest first."""
    before = {one["id"] for one in events(account)}
    work()
    return [one for one in reversed(events(account)) if one["id"] not in before]


class Calls:
    """A call of each operation that writes, on existing objects."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.api = account.api
        first, second = account.workspaces
        self.first, self.second = first, second
        self.report = account.report()
        self.deleted = account.report()
        self.api.delete(f"/status_reports/{self.deleted}")
        sent = {"workspace_id": second, "user_id": self.outsider, "permission": "view"}
        self.place = self.made("/participations", participation=sent)
        self.group = self.made("/workspace_groups", workspace_group={"name": "North"})
        self.membership = self.found("account_memberships", user_id=self.outsider)
        self.giver = self.found("account_memberships", user_id=str(account.users["editor"].id))
        self.reference = self.made(REFERENCES, external_reference=self.link("1"))

    @property
    def outsider(self) -> str:
        return str(self.account.users["outsider"].id)

    def link(self, ref: str) -> dict[str, Any]:
        return {
            "subject_type": "Workspace",
            "subject_id": self.first,
            "service_name": "tracker",
            "service_model": "issue",
            "service_model_ref": ref,
        }

    def made(self, path: str, **body: Any) -> str:
        answer = self.api.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()["results"][0]["id"]

    @property
    def title(self) -> str:
        return self.api.get(f"/workspaces/{self.first}").json()["workspaces"][self.first]["title"]

    def found(self, kind: str, **params: str) -> str:
        return self.api.get(f"/{kind}", params=params).json()["results"][0]["id"]

    def call(self, name: str) -> tuple[str, str, dict[str, Any] | None]:
        report = {"workspace_id": self.first, "color": "red", "description": "Late."}
        person = {"full_name": "New", "email_address": f"new{self.account.id}@example.org"}
        return {
            "CreateStatusReport": ("POST", "/status_reports", {"status_report": report}),
            "UpdateStatusReport": (
                "PUT",
                f"/status_reports/{self.report}",
                {"status_report": {"color": "red"}},
            ),
            "PatchStatusReport": (
                "PATCH",
                f"/status_reports/{self.report}",
                {"status_report": {"color": "yellow"}},
            ),
            "DeleteStatusReport": ("DELETE", f"/status_reports/{self.report}", None),
            "RestoreStatusReport": (
                "POST",
                f"/deleted_status_reports/{self.deleted}/restore",
                None,
            ),
            "PurgeStatusReport": ("DELETE", f"/deleted_status_reports/{self.deleted}", None),
            "CreateWorkspace": ("POST", "/workspaces", {"workspace": {"title": "New"}}),
            "UpdateWorkspace": (
                "PUT",
                f"/workspaces/{self.first}",
                {"workspace": {"title": "Other"}},
            ),
            "CreateParticipation": (
                "POST",
                "/participations",
                {"participation": {"workspace_id": self.first, "user_id": self.outsider}},
            ),
            "UpdateParticipation": (
                "PUT",
                f"/participations/{self.place}",
                {"participation": {"permission": "edit"}},
            ),
            "DeleteParticipation": ("DELETE", f"/participations/{self.place}", None),
            "CreateAccountMembership": (
                "POST",
                "/account_memberships",
                {"account_membership": {**person, "permission": "collaborator"}},
            ),
            "UpdateAccountMembership": (
                "PUT",
                f"/account_memberships/{self.membership}",
                {"account_membership": {"permission": "project_lead"}},
            ),
            "DisableAccountMembership": (
                "PUT",
                f"/account_memberships/{self.membership}/disable",
                None,
            ),
            "EnableAccountMembership": (
                "PUT",
                f"/account_memberships/{self.membership}/enable",
                None,
            ),
            "HandOverAccountMembership": (
                "POST",
                f"/account_memberships/{self.giver}/hand_over",
                {"account_membership": {"taker_id": self.outsider}},
            ),
            "ChangeAddressOfAccountMembership": (
                "POST",
                f"/account_memberships/{self.giver}/change_address",
                {"account_membership": {"email_address": "other@example.net"}},
            ),
            "DeleteWorkspaceForGood": (
                "POST",
                f"/workspaces/{self.first}/delete_for_good",
                {"workspace": {"title": self.title}},
            ),
            "CreateWorkspaceGroup": (
                "POST",
                "/workspace_groups",
                {"workspace_group": {"name": "S"}},
            ),
            "UpdateWorkspaceGroup": (
                "PUT",
                f"/workspace_groups/{self.group}",
                {"workspace_group": {"name": "W"}},
            ),
            "DeleteWorkspaceGroup": ("DELETE", f"/workspace_groups/{self.group}", None),
            "CreateOrUpdateExternalReference": (
                "POST",
                REFERENCES,
                {"external_reference": self.link("2")},
            ),
            "DeleteExternalReference": ("DELETE", f"/external_references/{self.reference}", None),
        }[name]


# The entries of each write. Texts of reports are stored as versions, links as themselves.
KEPT = {
    "CreateStatusReport": [],
    "UpdateStatusReport": [],
    "PatchStatusReport": [],
    "DeleteStatusReport": [AuditAction.REPORT_DELETED],
    "RestoreStatusReport": [AuditAction.REPORT_RESTORED],
    "PurgeStatusReport": [AuditAction.REPORT_PURGED],
    "CreateWorkspace": [AuditAction.WORKSPACE_CREATED, AuditAction.PARTICIPATION_CREATED],
    "UpdateWorkspace": [AuditAction.WORKSPACE_CHANGED],
    "CreateParticipation": [AuditAction.PARTICIPATION_CREATED],
    "UpdateParticipation": [AuditAction.PARTICIPATION_CHANGED],
    "DeleteParticipation": [AuditAction.PARTICIPATION_DELETED],
    "CreateAccountMembership": [AuditAction.USER_CREATED],
    "UpdateAccountMembership": [AuditAction.USER_PERMITTED],
    "DisableAccountMembership": [AuditAction.USER_DISABLED],
    "EnableAccountMembership": [],  # it is enabled already
    "HandOverAccountMembership": [
        AuditAction.PARTICIPATION_DELETED,
        AuditAction.PARTICIPATION_CREATED,
        AuditAction.PARTICIPATION_DELETED,
        AuditAction.PARTICIPATION_CHANGED,  # the taker already participates in the second workspace
        AuditAction.USER_HANDED_OVER,
    ],
    "ChangeAddressOfAccountMembership": [],  # the address changes when the link is opened
    "DeleteWorkspaceForGood": [AuditAction.WORKSPACE_CHANGED, AuditAction.WORKSPACE_DELETED],
    "CreateWorkspaceGroup": [AuditAction.GROUP_CREATED],
    "UpdateWorkspaceGroup": [AuditAction.GROUP_CHANGED],
    "DeleteWorkspaceGroup": [AuditAction.GROUP_DELETED],
    "CreateOrUpdateExternalReference": [],
    "DeleteExternalReference": [],
}


@pytest.mark.parametrize("operation", WRITES, ids=[one.name for one in WRITES])
def test_each_write_has_its_entries_and_no_others(account: Account, operation: Any) -> None:
    method, path, body = Calls(account).call(operation.name)

    def send() -> None:
        answer = account.api.request(method, path, json=body)
        assert answer.is_success, answer.text

    found = since(account, send)
    assert [one["action"] for one in found] == KEPT[operation.name]
    for one in found:
        assert one["user_id"] == str(account.users["administrator"].id)
        assert (one["through"], one["address"]) == ("token", "127.0.0.1")
        assert one["through_id"] is not None


@pytest.mark.parametrize("operation", WRITES, ids=[one.name for one in WRITES])
def test_what_is_refused_leaves_no_entry_of_what_was_asked(
    account: Account, operation: Any
) -> None:
    method, path, body = Calls(account).call(operation.name)

    def send() -> None:
        answer = account.clients["outsider"].request(method, path, json=body)
        assert 400 <= answer.status_code < 500, answer.text
        stale = account.api.request(method, path, json=body, headers={"if-match": '"other"'})
        if operation.method in ("PUT", "PATCH", "DELETE"):
            assert stale.status_code in (404, 412), stale.text

    found = since(account, send)
    if operation.method != "POST":
        assert found == []


@pytest.mark.parametrize("operation", STREAMS, ids=[one.name for one in STREAMS])
def test_a_stream_is_an_export(account: Account, operation: Any) -> None:
    def read() -> None:
        answer = account.clients["viewer"].get(operation.path, params={"color": "red"})
        assert answer.status_code == 200

    [entry] = since(account, read)
    assert entry["action"] == AuditAction.REPORTS_EXPORTED
    assert entry["user_id"] == str(account.users["viewer"].id)
    assert entry["after"]["filters"] == "color"


def test_what_was_changed_stands_before_and_after(account: Account) -> None:
    calls = Calls(account)
    path = f"/workspaces/{calls.first}"
    sent = {"title": "Other", "clients_see_status_reports": True, "description": "Words."}
    [entry] = since(account, lambda: account.api.put(path, json={"workspace": sent}))
    assert entry["subject_type"] == "workspace"
    assert entry["subject_id"] == calls.first
    assert entry["before"]["title"] == "First"
    assert entry["after"] == {
        "title": "Other",
        "clients_see_status_reports": True,
        "description": "6 characters",
        "title_key": entry["after"].get("title_key"),
    } or entry["after"] == {
        "title": "Other",
        "clients_see_status_reports": True,
        "description": "6 characters",
    }
    [again] = [since(account, lambda: account.api.put(path, json={"workspace": sent}))]
    assert again == [], "nothing was changed"


def test_the_list_is_the_newest_first_and_goes_on_from_a_cursor(account: Account) -> None:
    for number in range(5):
        path = f"/workspaces/{account.workspaces[0]}"
        account.api.put(path, json={"workspace": {"title": f"Title {number}"}})
    whole = events(account)
    ids = [int(one["id"]) for one in whole]
    assert ids == sorted(ids, reverse=True)
    assert ids == list(range(ids[0], 0, -1)), "numbers have no gaps"
    answer = account.api.get("/audit_events").json()
    assert answer["count"] == len(ids)
    older = events(account, before_id=str(ids[2]), per_page="2")
    assert [int(one["id"]) for one in older] == ids[3:5]
    page = account.api.get("/audit_events", params={"per_page": "2", "page": "2"}).json()
    assert [int(one["id"]) for one in page["results"]] == ids[2:4]


FILTERS = {
    "action": "workspace.changed",
    "subject_type": "workspace",
    "subject_id": None,
    "user_id": None,
    "created_after": "2020-01-01",
    "created_before": "2999-01-01",
    "before_id": "999999",
}


@pytest.mark.parametrize("spec", AUDIT_EVENTS.filters, ids=lambda spec: spec.name)
def test_each_filter_finds_what_it_says(account: Account, spec: Any) -> None:
    first = account.workspaces[0]
    account.api.put(f"/workspaces/{first}", json={"workspace": {"title": "Other"}})
    value = FILTERS[spec.name]
    if value is None:
        value = first if spec.name == "subject_id" else str(account.users["administrator"].id)
    whole, found = events(account), events(account, **{spec.name: value})
    assert found
    attribute = {"created_after": None, "created_before": None, "before_id": None}
    if spec.name not in attribute:
        assert found == [one for one in whole if one[spec.name] == value]
    answer = account.api.get("/audit_events", params={spec.name: "\0"})
    assert_failure(answer, 400)
    assert spec.name in answer.text


@pytest.mark.parametrize("role", ["editor", "viewer", "outsider"])
def test_only_who_administers_reads_it(account: Account, role: str) -> None:
    assert_failure(account.clients[role].get("/audit_events"), 403)


def test_no_other_account_is_seen(account: Account, other_account: Account) -> None:
    known = {one.id for one in account.users.values()}
    for one in events(other_account):
        assert one["user_id"] is None or int(one["user_id"]) not in known
        assert "First" not in json.dumps(one) or one["action"].startswith("workspace")
    assert_failure(account.api.get("/audit_events/1"), 404)


def test_the_tag_follows_entries_that_change_nothing_else(account: Account) -> None:
    tag = account.api.get("/audit_events").headers["etag"]
    known = {"if-none-match": tag}
    assert account.api.get("/audit_events", headers=known).status_code == 304
    assert account.clients["viewer"].get("/status_reports.ndjson").status_code == 200
    assert account.api.get("/audit_events", headers=known).status_code == 200


def test_refusals_are_added_up(own_server: Any, own_account: Any) -> None:
    server: Server = own_server()
    account: Account = own_account(server)
    path = f"/workspaces/{account.workspaces[0]}"
    for _ in range(7):
        answer = account.clients["viewer"].put(path, json={"workspace": {"title": "Mine"}})
        assert answer.status_code == 403
    server.stop()  # the stop writes what was counted
    server.start()
    account.api.base_url = f"{server.base}/api/v1"
    [entry] = events(account, action="access.refused")
    assert entry["after"]["times"] == 7
    assert "admin permission" in entry["after"]["needs"]
    assert entry["user_id"] == str(account.users["viewer"].id)


def verified(database: Database, account: Account) -> list[str]:
    return database.read_here(lambda tx: list(auditing.verify(tx, account.id)))


def test_who_is_purged_is_removed_and_the_chain_verifies(
    account: Account, database: Database
) -> None:
    editor = account.users["editor"]
    calls = Calls(account)
    sent = {"workspace": {"title": "By the editor"}}
    assert account.clients["editor"].put(f"/workspaces/{calls.first}", json=sent).is_success
    assert events(account, user_id=str(editor.id))
    database.write_here(lambda tx: purge_user(tx, editor, now()))
    assert events(account, user_id=str(editor.id)) == []
    assert editor.email_address not in json.dumps(events(account))
    assert verified(database, account) == []


def test_what_is_past_its_time_is_emptied_and_the_chain_verifies(
    account: Account, database: Database
) -> None:
    Calls(account)
    before = events(account)
    later = Instant(now() + DEFAULT_AUDIT_DAYS * 86_400_000_000 + 1)
    auditing_days = DEFAULT_AUDIT_DAYS
    while database.read_here(lambda tx: auditing.has_older(tx, account.id, later, auditing_days)):
        database.write_here(lambda tx: auditing.empty_older(tx, account.id, later, auditing_days))
    after = events(account)
    assert [one["id"] for one in after] == [one["id"] for one in before]
    for one in after:
        left = {name: value for name, value in one.items() if value is not None}
        assert left.keys() == {"id", "created_at"}
    assert verified(database, account) == []
    assert sweep(database, now, 30) >= 0


def test_every_action_is_one_that_something_does() -> None:
    """An action that nothing records would be a false promise."""
    source = Path(auditing.__file__).parents[1]
    text = "\n".join(one.read_text() for one in source.rglob("*.py") if one.name != "vocabulary.py")
    for one in AuditAction:
        assert f"AuditAction.{one.name}" in text, one
    assert CHOICES[FieldType.AUDIT_ACTION] == tuple(AuditAction)
