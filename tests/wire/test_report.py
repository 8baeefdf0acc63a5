import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from instants import exact, shown
from sharing import open_account

from conftest import Account, Server
from expect import assert_failure, only_record
from healthreports.store.engine.database import Database

NAMES = ["Scope", "Budget", "Schedule", "Client"]
ALWAYS = {
    "id",
    "color",
    "description",
    "details",
    "created_at",
    "updated_at",
    "workspace_id",
    "creator_id",
    "updater_id",
}


@pytest.fixture(scope="module")
def shared(server: Server, database: Database) -> Iterator[Account]:
    with open_account(server, database) as account:
        yield account


def show(account: Account, report_id: str, **params: str) -> dict:
    return only_record(account.api.get(f"/status_reports/{report_id}", params=params))


# 3.1, 3.2
def test_a_report_has_these_attributes_and_no_others(account: Account) -> None:
    report_id = account.report(details=[{"category": "Scope", "color": "red"}])
    record = show(account, report_id)
    assert set(record) == ALWAYS
    assert record["id"] == report_id
    assert set(record["details"][0]) == {"category", "color", "description"}
    listed = account.api.get("/status_reports").json()["status_reports"]
    assert listed == {report_id: record}


# 3.1
@pytest.mark.parametrize("color", ["green", "yellow", "red"])
def test_a_color_is_kept(shared: Account, color: str) -> None:
    report_id = shared.report(color=color, details=[{"category": "Client", "color": color}])
    record = show(shared, report_id)
    assert record["color"] == record["details"][0]["color"] == color


# 3.1
@pytest.mark.parametrize(
    "text",
    [
        "x",
        "Größe",
        "😀👩‍👩‍👧‍👦🇦🇹",
        "e\u0301 is not \xe9",
        "line\nline\r\nline\ttab",
        "<script>alert(1)</script>",
        "'; DROP TABLE status_reports; --",
        "a\u2028b\ufeffc\u200dd",
        "\u0001\u001b[31m\u007f.",
        "\U0010ffff.",
        'quote " and \\ backslash \\u0000',
        "مرحبا بالعالم",
        "%s %d {0} {name} $1",
        "null",
        "0",
    ],
)
def test_a_text_is_kept_as_it_is(shared: Account, text: str) -> None:
    details = [{"category": "Scope", "color": "red", "description": text}]
    record = show(shared, shared.report(description=text, details=details))
    assert record["description"] == text
    assert record["details"][0]["description"] == text


# 3.2
def test_the_ids_beside_a_report_are_text_or_null(account: Account) -> None:
    record = show(account, account.report())
    assert record["workspace_id"] == account.workspaces[0]
    assert record["creator_id"] == str(account.users["administrator"].id)
    assert record["updater_id"] is None


# 3.2
def test_reference_ids_are_there_only_when_included(account: Account) -> None:
    for reference in (None, {"service_name": "a", "service_model": "b", "service_model_ref": "c"}):
        more = {"external_reference": reference} if reference else {}
        report_id = account.report(**more)
        assert "external_reference_ids" not in show(account, report_id)
        assert "external_reference_ids" not in show(account, report_id, include="workspace")
        ids = show(account, report_id, include="external_references")["external_reference_ids"]
        assert len(ids) == (1 if reference else 0)
        assert all(isinstance(one, str) for one in ids)


# 3.3
@pytest.mark.parametrize("names", list(permutations(NAMES)), ids="-".join)
def test_details_are_answered_in_one_order(shared: Account, names: tuple[str, ...]) -> None:
    report_id = shared.report(details=[{"category": name, "color": "red"} for name in names])
    assert [one["category"] for one in show(shared, report_id)["details"]] == NAMES


# 3.3
@pytest.mark.parametrize(
    "name",
    ["scope", "SCOPE", "Scope ", " Scope", "Scopes", "Sc\u043epe", "Other", "", None, 1, [], {}],
)
def test_a_category_is_written_exactly_so(shared: Account, name: object) -> None:
    sent = {
        "workspace_id": shared.workspaces[0],
        "color": "green",
        "description": "x",
        "details": [{"category": name, "color": "red"}],
    }
    answer = shared.api.post("/status_reports", json={"status_report": sent})
    assert_failure(answer, 422, "validation", "details[0].category")


# 3.3
def test_a_detail_without_a_description_has_null(account: Account) -> None:
    report_id = account.report(
        details=[
            {"category": "Scope", "color": "red"},
            {"category": "Budget", "color": "red", "description": None},
        ]
    )
    assert [one["description"] for one in show(account, report_id)["details"]] == [None, None]


# 3.3
def test_a_report_without_details_has_an_empty_array(account: Account) -> None:
    assert show(account, account.report())["details"] == []
    assert show(account, account.report(details=[]))["details"] == []


# 3.4
def test_times_are_in_utc_with_seconds(account: Account) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    record = show(account, account.report())
    after = datetime.now(UTC)
    for name in ("created_at", "updated_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record[name])
        assert before <= shown(record[name]) <= after
    assert record["created_at"] == record["updated_at"]


# 3.4
def test_times_are_stored_with_microseconds(account: Account) -> None:
    instants = [exact(account.api, account.report(), "created") for _ in range(4)]
    assert any(one.microsecond % 1000 for one in instants)
    assert instants == sorted(set(instants))


# 3.5
def test_the_updater_is_null_until_the_first_update(account: Account) -> None:
    report_id = account.report()
    assert show(account, report_id)["updater_id"] is None
    for role, color in (("editor", "red"), ("administrator", "yellow"), ("editor", "green")):
        changed = account.clients[role].put(
            f"/status_reports/{report_id}", json={"status_report": {"color": color}}
        )
        assert only_record(changed)["updater_id"] == str(account.users[role].id)
        record = show(account, report_id)
        assert record["updater_id"] == str(account.users[role].id)
        assert record["creator_id"] == str(account.users["administrator"].id)


# 3.5
def test_a_refused_update_does_not_change_the_updater(account: Account) -> None:
    path = f"/status_reports/{account.report()}"
    bad = account.clients["editor"].put(path, json={"status_report": {"color": "blue"}})
    assert_failure(bad, 422, "validation", "color")
    assert only_record(account.api.get(path))["updater_id"] is None


SAME = {
    "nothing": {},
    "only unknown attributes": {"mood": "good"},
    "the same color": {"color": "green"},
    "the same description": {"description": "As it was."},
    "the same with blanks around": {"description": "  As it was.\n"},
    "the same details": {
        "details": [
            {"category": "Budget", "color": "red", "description": "Over"},
            {"category": "Scope", "color": "green"},
        ]
    },
    "the same details in another order": {
        "details": [
            {"category": "Scope", "color": "green", "description": None},
            {"category": "Budget", "color": "red", "description": "Over"},
        ]
    },
    "a workspace, which cannot change": {"workspace_id": "0"},
}


# 3.5
@pytest.mark.parametrize("sent", SAME.values(), ids=SAME)
def test_an_update_that_changes_nothing_leaves_the_time(shared: Account, sent: dict) -> None:
    details = SAME["the same details"]["details"]
    report_id = shared.report(description="As it was.", details=details)
    before, instant = show(shared, report_id), exact(shared.api, report_id)
    answer = shared.api.put(f"/status_reports/{report_id}", json={"status_report": sent})
    only_record(answer)
    assert exact(shared.api, report_id) == instant
    after = show(shared, report_id)
    assert {**after, "updater_id": None} == before


CHANGES = {
    "color": {"color": "red"},
    "description": {"description": "New"},
    "details": {"details": [{"category": "Client", "color": "red"}]},
    "description of a detail": {
        "details": [{"category": "Budget", "color": "red", "description": "New"}]
    },
    "color of a detail": {
        "details": [{"category": "Budget", "color": "green", "description": "Over"}]
    },
    "no details": {"details": []},
}


# 3.5
@pytest.mark.parametrize("sent", CHANGES.values(), ids=CHANGES)
def test_an_update_that_changes_something_moves_the_time(shared: Account, sent: dict) -> None:
    report_id = shared.report(
        details=[{"category": "Budget", "color": "red", "description": "Over"}]
    )
    created, before = exact(shared.api, report_id, "created"), exact(shared.api, report_id)
    assert created == before
    only_record(shared.api.put(f"/status_reports/{report_id}", json={"status_report": sent}))
    after = exact(shared.api, report_id)
    assert timedelta(0) < after - before < timedelta(minutes=1)
    assert exact(shared.api, report_id, "created") == created
