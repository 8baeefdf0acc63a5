"""A write answers the same as a read after it. Contract: 2.5."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from conftest import Account

_numbers = count(1)
REFERENCE = {
    "service_name": "tracker",
    "service_model": "issue",
    "service_model_ref": "T-1",
    "external_link": "https://example.org/T-1",
    "locked": True,
}


def first(answer: Any) -> str:
    assert answer.status_code == 200, answer.text
    return answer.json()["results"][0]["id"]


def new_report(account: Account) -> tuple[str, str, dict[str, Any]]:
    sent = {
        "workspace_id": account.workspaces[0],
        "color": "red",
        "description": " Two lines,\r\nand ümläuts.\n",
        "details": [
            {"category": "Client", "color": "yellow"},
            {"category": "Scope", "color": "red"},
        ],
        "external_reference": REFERENCE,
    }
    return "POST", "/status_reports", {"status_report": sent}


def changed_report(account: Account) -> tuple[str, str, dict[str, Any]]:
    made = account.report(external_reference=REFERENCE)
    sent = {"details": [{"category": "Budget", "color": "red", "description": "Over."}]}
    return "PUT", f"/status_reports/{made}", {"status_report": sent}


def same_report(account: Account) -> tuple[str, str, dict[str, Any]]:
    return "PUT", f"/status_reports/{account.report()}", {"status_report": {"color": "green"}}


def new_reference(account: Account) -> tuple[str, str, dict[str, Any]]:
    sent = {**REFERENCE, "subject_type": "StatusReport", "subject_id": account.report()}
    return "POST", "/external_references/create_or_update", {"external_reference": sent}


def changed_reference(account: Account) -> tuple[str, str, dict[str, Any]]:
    method, path, body = new_reference(account)
    first(account.api.request(method, path, json=body))
    sent = {**body["external_reference"], "service_model_ref": "T-2", "status": "failed"}
    return method, path, {"external_reference": sent}


def new_workspace(_account: Account) -> tuple[str, str, dict[str, Any]]:
    sent = {"title": " Bridge ", "description": "Over the river.", "due_date": "2030-01-31"}
    return "POST", "/workspaces", {"workspace": sent}


def changed_workspace(account: Account) -> tuple[str, str, dict[str, Any]]:
    return "PUT", f"/workspaces/{account.workspaces[1]}", {"workspace": {"title": "Harbour"}}


def new_participation(account: Account) -> tuple[str, str, dict[str, Any]]:
    sent = {
        "workspace_id": account.workspaces[1],
        "user_id": str(account.users["outsider"].id),
        "side": "client",
        "permission": "view",
    }
    return "POST", "/participations", {"participation": sent}


def changed_participation(account: Account) -> tuple[str, str, dict[str, Any]]:
    method, path, body = new_participation(account)
    made = first(account.api.request(method, path, json=body))
    sent = {"side": "provider", "permission": "edit", "team_lead": True}
    return "PUT", f"/participations/{made}", {"participation": sent}


def new_membership(_account: Account) -> tuple[str, str, dict[str, Any]]:
    sent = {
        "full_name": "Nora New",
        "email_address": f"Nora{next(_numbers)}@Written.example",
        "permission": "project_lead",
        "disabled": True,
    }
    return "POST", "/account_memberships", {"account_membership": sent}


def changed_membership(account: Account) -> tuple[str, str, dict[str, Any]]:
    method, path, body = new_membership(account)
    made = first(account.api.request(method, path, json=body))
    sent = {"permission": "collaborator", "disabled": False}
    return "PUT", f"/account_memberships/{made}", {"account_membership": sent}


INCLUDES = {
    "status_reports": "workspace,creator,updater,external_references",
    "external_references": "subject",
    "workspaces": "creator,participants,participations,current_user_participation,primary_maven",
    "participations": "user,workspace",
    "account_memberships": "user",
}
EVERY = {"apply_default_filters": "false"}


@pytest.mark.parametrize("includes", [False, True], ids=["alone", "with all that it may include"])
@pytest.mark.parametrize(
    "write",
    [
        new_report,
        changed_report,
        same_report,
        new_reference,
        changed_reference,
        new_workspace,
        changed_workspace,
        new_participation,
        changed_participation,
        new_membership,
        changed_membership,
    ],
)
def test_a_write_answers_what_a_read_says(
    account: Account,
    write: Callable[[Account], tuple[str, str, dict[str, Any]]],
    *,
    includes: bool,
) -> None:
    method, path, body = write(account)
    collection = path.split("/")[1]
    include = {"include": INCLUDES[collection]} if includes else {}
    answer = account.api.request(method, path, json=body, params=include)
    written = answer.json()
    read = account.api.get(
        f"/{collection}", params={"only": first(answer), **EVERY, **include}
    ).json()
    assert written["results"] == read["results"]
    assert written == read
