"""brainstem-js, the JavaScript client of the original API, works unchanged with our server.

`brainstem.cjs` is a page that uses the client. It runs once; each test checks one of its steps.
"""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conftest import Account, Server, make_account
from healthreports.app import now
from healthreports.service.people import workspaces
from healthreports.store.engine.database import Database

# What these tests check is independent of the store, or other tests check it on both stores.
pytestmark = pytest.mark.one_store

FOLDER = Path(__file__).parent
MISSING = [command for command in ("node", "npm") if shutil.which(command) is None]
WHY = f"no {' and no '.join(MISSING)} on this machine: brainstem-js was not run against the server"
REPORTS = "/api/v1/status_reports"
EVERYTHING = "creator,updater,workspace,external_references"
# What the client adds to every body next to the root key.
BESIDE = {"include": "", "filters": "", "optional_fields": ""}

if MISSING and os.environ.get("CI") != "true":
    pytest.skip(WHY, allow_module_level=True)


@dataclass
class Told:
    """What the page reported about its steps."""

    steps: dict[str, dict[str, Any]]
    account: Account

    def of(self, step: str) -> Any:
        assert "failed" not in self.steps[step], self.steps[step]["failed"]
        return self.steps[step]["value"]

    def sent(self, step: str) -> list[dict[str, Any]]:
        return self.steps[step]["requests"]

    def last(self, step: str) -> dict[str, Any]:
        return self.sent(step)[-1]

    def name(self, role: str) -> str:
        return self.account.users[role].full_name

    @property
    def report(self) -> str:
        """The report that the page created first."""
        return self.of("create")["id"]

    @property
    def reports(self) -> list[str]:
        """All reports that the page created, in the order of their creation."""
        return [self.report, *self.of("create_more")]


@pytest.fixture(scope="module")
def told(server: Server, database: Database) -> Told:
    assert not MISSING, WHY
    assert (FOLDER / "node_modules").is_dir(), "`npm ci` in tests/client was not run; make does it"
    account = make_account(server, database)
    live, archived = account.workspaces
    archived_report = account.report(workspace_id=archived)
    for client in account.clients.values():
        client.close()
    database.write_here(lambda tx: workspaces.archive(tx, int(archived), now(), archived=True))
    page = subprocess.run(
        ["node", FOLDER / "brainstem.cjs"],
        env={
            **os.environ,
            "NODE_NO_WARNINGS": "1",
            "BASE_URL": server.base,
            "TOKEN": account.secrets["administrator"],
            "EDITOR_TOKEN": account.secrets["editor"],
            "WORKSPACE_ID": live,
            "ARCHIVED_REPORT_ID": archived_report,
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert page.returncode == 0, page.stderr
    assert not page.stderr, "the client complained"
    return Told(json.loads(page.stdout), account)


def test_a_report_is_created_in_the_form_that_the_client_sends(told: Told) -> None:
    created = told.of("create")
    (request,) = told.sent("create")
    assert request == {
        "method": "POST",
        "path": REPORTS,
        "query": {},
        "content_type": "application/json",
        "status": 200,
        "body": {
            **BESIDE,
            "status_report": {
                "workspace_id": told.account.workspaces[0],
                "color": "green",
                "description": "From a client that nobody here wrote.",
                "details": [
                    {"category": "Budget", "color": "red", "description": "Spent."},
                    {"category": "Scope", "color": "yellow"},
                ],
                "external_reference": {
                    "service_name": "tracker",
                    "service_model": "Issue",
                    "service_model_ref": "ISSUE-7",
                },
            },
        },
    }
    assert created["id"].isdigit()
    assert not created["is_new"]
    assert created["is_stored"]
    assert created["creator_id"] == str(told.account.users["administrator"].id)
    assert created["updater_id"] is None
    assert created["details"] == [
        {"category": "Scope", "color": "yellow", "description": None},
        {"category": "Budget", "color": "red", "description": "Spent."},
    ]


def test_the_client_reads_our_times_as_times(told: Told) -> None:
    created = told.of("create")
    # The client converts values that it takes for times to milliseconds; all others stay strings.
    assert created["created_at"] == created["updated_at"]
    assert abs(created["created_at"] / 1000 - now() / 1_000_000) < 600


def test_a_report_just_created_is_saved_again(told: Told) -> None:
    assert told.of("save_again") == {"description": "Saved again.", "services": ["tracker"]}
    put, _ = told.sent("save_again")
    assert put["method"] == "PUT"
    assert put["body"]["status_report"]["external_reference"]["service_name"] == "tracker"


def test_a_created_report_comes_with_what_the_client_asks_to_include(told: Told) -> None:
    # The client sends `include` in the body, next to the root key, as Rails allows.
    assert told.last("create_and_include")["body"]["include"] == EVERYTHING
    assert told.of("create_and_include") == {
        "id": told.reports[1],
        "workspace": "First",
        "creator": told.name("administrator"),
        "updater": None,
        "services": ["ledger"],
    }


def test_a_report_is_shown_with_its_associations(told: Told) -> None:
    shown = told.of("show")
    assert told.sent("show") == [
        {
            "method": "GET",
            "path": f"{REPORTS}/{told.report}",
            "query": {"include": EVERYTHING},
            "body": None,
            "content_type": None,
            "status": 200,
        }
    ]
    assert shown["color"] == "green"
    assert shown["around"] == {
        "id": told.report,
        "workspace": "First",
        "creator": told.name("administrator"),
        "updater": told.name("administrator"),
        "services": ["tracker"],
    }


def test_a_list_resolves_the_associations_of_every_report(told: Told) -> None:
    listed = told.of("list")
    (request,) = told.sent("list")
    assert request["query"] == {"include": EVERYTHING, "page": "1", "per_page": "20"}
    assert listed["count"] == len(told.reports) + 1
    assert [one["id"] for one in listed["around"]] == told.reports
    assert {one["workspace"] for one in listed["around"]} == {"First"}
    assert {one["creator"] for one in listed["around"]} == {told.name("administrator")}
    services = [one["services"] for one in listed["around"]]
    assert services == [["tracker"], ["ledger"], [], [], [], [], []]
    assert (listed["workspaces"], listed["users"]) == (2, 1)


def test_includes_of_includes_are_followed(told: Told) -> None:
    nested = told.of("list_nested")
    assert [one["path"] for one in told.sent("list_nested")] == [REPORTS, "/api/v1/workspaces"]
    assert told.last("list_nested")["query"] == {
        "include": "participants,current_status_report",
        "only": told.account.workspaces[0],
        "apply_default_filters": "false",
    }
    assert sorted(nested["participants"]) == [told.name("editor"), told.name("viewer")]
    assert nested["current"] == told.reports[-1]


def test_includes_of_an_archived_workspace_are_followed(told: Told) -> None:
    # The client always requests the next level of includes without the default filters.
    assert told.last("show_nested_in_archived")["query"]["apply_default_filters"] == "false"
    assert told.of("show_nested_in_archived") == {
        "archived": True,
        "participants": [told.name("editor")],
    }


def test_the_neighbours_are_read(told: Told) -> None:
    neighbours = told.of("neighbours")
    names = sorted(user.full_name for user in told.account.users.values())
    assert neighbours["users"] == names
    assert neighbours["workspaces"] == [
        {"title": "First", "creator": told.name("administrator"), "reports": told.reports}
    ]
    assert neighbours["subjects"] == [["tracker", told.report], ["ledger", told.reports[1]]]


@pytest.mark.parametrize(
    ("step", "queries"),
    [
        ("pages", [{"per_page": "3", "page": str(page)} for page in (1, 2, 3)]),
        ("offsets", [{"limit": "3", "offset": str(offset)} for offset in (0, 3, 6)]),
    ],
)
def test_the_client_leafs_through_pages(
    told: Told, step: str, queries: list[dict[str, str]]
) -> None:
    went = told.of(step)
    workspace = {"workspace_id": told.account.workspaces[0]}
    assert [one["query"] for one in told.sent(step)] == [workspace | query for query in queries]
    expected = [told.reports[:3], told.reports[3:6], told.reports[6:]]
    assert [page["ids"] for page in went["forward"]] == expected
    assert [page["index"] for page in went["forward"]] == [1, 2, 3]
    assert [page["next"] for page in went["forward"]] == [True, True, False]
    assert {page["count"] for page in went["forward"]} == {len(told.reports)}
    assert went["back"]["ids"] == expected[1]
    assert went["first"]["ids"] == expected[0]
    assert went["last"]["ids"] == expected[2]


def test_the_client_loads_more(told: Told) -> None:
    assert told.of("load_more") == {
        "first": told.reports[:3],
        "then": told.reports[:6],
        "another": True,
    }


def test_only_some_reports_are_read(told: Told) -> None:
    wanted = [told.report, told.of("create_more")[2]]
    assert told.of("only") == {"ids": wanted, "count": 2}
    query = told.last("only")["query"]
    assert sorted(query) == ["include", "only"]
    assert set(query["only"].split(",")) == {*wanted, "999999999"}


def test_reports_are_sorted(told: Told) -> None:
    assert told.of("sort") == {
        "id:desc": told.reports[::-1],
        "created_at:desc": told.reports[::-1],
        "created_at:asc": told.reports,
    }


def test_reports_are_filtered(told: Told) -> None:
    assert told.of("filter") == {
        "has_external_references=true": told.reports[:2],
        "has_external_references=false": told.reports[2:],
        "external_reference_service_name=ledger": told.reports[1:2],
        "created_after=2999-01-01": [],
    }


def test_a_report_is_updated_with_everything_that_the_client_holds(told: Told) -> None:
    updated = told.of("update")
    put = told.last("update")
    assert (put["method"], put["path"]) == ("PUT", f"{REPORTS}/{told.report}")
    held = put["body"].pop("status_report")
    assert put["body"] == BESIDE
    # Everything but the id and the times, including read-only attributes.
    assert set(held) == {
        "color",
        "description",
        "details",
        "workspace_id",
        "creator_id",
        "updater_id",
        "external_reference_ids",
    }
    assert updated["color"] == "yellow"
    assert updated["details"] == held["details"]
    assert updated["updater_id"] == str(told.account.users["administrator"].id)
    assert updated["updated_at"] >= updated["before"]
    assert updated["services"] == ["tracker"]


def test_an_updated_report_comes_with_what_the_client_asks_to_include(told: Told) -> None:
    assert told.last("update_and_include")["body"]["include"] == EVERYTHING
    assert told.of("update_and_include") == {
        "id": told.report,
        "workspace": "First",
        "creator": told.name("administrator"),
        "updater": told.name("editor"),
        "services": ["tracker"],
    }


def test_a_report_is_patched(told: Told) -> None:
    patch = told.last("patch")
    assert (patch["method"], patch["status"]) == ("PATCH", 200)
    patched, shown = told.of("patch"), told.of("show_updated")
    for report in patched, shown:
        assert report["color"] == "red"
        assert report["description"] == "Patched."
        assert report["details"] == []
    assert shown["updated_at"] == patched["updated_at"]


def assert_refused(heard: dict[str, Any], status: int, kind: str, *fields: str) -> None:
    """The client reported the same failure on each of its error paths."""
    failure = heard["rejection"]
    assert heard["events"] == [failure]
    assert heard["callbacks"] == [failure]
    assert failure["status"] == status
    assert {error["type"] for error in failure["errors"]} == {kind}
    assert sorted(error["field"] for error in failure["errors"] if "field" in error) == sorted(
        fields
    )


def test_a_report_that_is_not_valid_is_refused(told: Told) -> None:
    created, updated = told.of("refuse_create"), told.of("refuse_update")
    assert_refused(created, 422, "validation", "color", "description")
    assert created["is_new"]
    assert_refused(updated, 422, "validation", "details[0].category")
    assert updated["details"] == []


def test_a_filter_that_makes_no_sense_is_refused(told: Told) -> None:
    assert_refused(told.of("refuse_list"), 400, "system")


def test_an_unknown_token_is_refused(told: Told) -> None:
    assert_refused(told.of("refuse_token"), 401, "oauth")


def test_a_report_is_destroyed_and_then_gone(told: Told) -> None:
    left = [one for one in told.reports if one != told.report]
    assert (told.last("destroy")["method"], told.last("destroy")["status"]) == ("DELETE", 204)
    assert told.of("destroy") == {"heard": 2, "is_stored": False, "left": left}
    gone = told.of("destroyed")
    assert_refused(gone["shown"], 404, "system")
    assert_refused(gone["again"], 404, "system")
    assert gone["left"] == left


def test_the_client_looks_up_a_user(told: Told) -> None:
    found, asked = told.of("look_up_user"), told.sent("look_up_user")
    editor = [told.name("editor")]
    assert found == {
        "address": editor,
        "addresses": editor,
        "nobody": [],
        "name": editor,
        "search": editor,
        "with_users": editor,
    }
    assert all(request["status"] == 200 for request in asked)
    assert asked[1]["query"]["by_email_address"].startswith("EDITOR")


def test_the_client_looks_up_a_workspace_by_title_and_by_reference(told: Told) -> None:
    bridge = ["Brücke über die Aare"]
    assert told.of("look_up_workspace") == {
        "title": bridge,
        "no_title": [],
        "search": bridge,
        "reference": bridge,
        "no_reference": [],
    }
    # The client sent back the whole record as received, with the changes.
    (saved,) = [one for one in told.sent("look_up_workspace") if one["method"] == "PUT"]
    assert saved["status"] == 200
    assert saved["body"]["workspace"]["access_level"] == "invitation"
    assert saved["body"]["workspace"]["permissions"]["can_edit"] is True
