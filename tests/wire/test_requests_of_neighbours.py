"""Request rules for resources next to reports: paths, bodies, arrays, times, statuses."""

import json
from collections.abc import Iterator

import pytest
from sharing import open_account

from conftest import Account, Server
from expect import assert_envelope, assert_failure, only_record
from healthreports.contract.failure import failure_of
from healthreports.core.errors import TooManyIncluded
from healthreports.core.model import Actor
from healthreports.core.query import Query
from healthreports.core.vocabulary import AccountPermission, Kind, Scope
from healthreports.service import lookup
from healthreports.store.engine.database import Database

pytestmark = pytest.mark.one_store

REFERENCE = {"service_name": "tracker", "service_model": "Issue", "service_model_ref": "1"}


@pytest.fixture(scope="module")
def read(server: Server, database: Database) -> Iterator[Account]:
    """An account that the tests only read."""
    with open_account(server, database) as account:
        yield account


# 1.1
@pytest.mark.parametrize("ending", ["", "/", ".json", ".json/"])
def test_every_path_may_end_in_json_and_in_a_slash(account: Account, ending: str) -> None:
    api = account.api
    lists = ("status_reports", "workspaces", "users", "participations", "account_memberships")
    for kind in (*lists, "workspace_groups"):
        body = assert_envelope(api.get(f"/{kind}{ending}?per_page=1"), kind)
        for one in body["results"]:
            shown = api.get(f"/{kind}/{one['id']}{ending}")
            assert only_record(shown, kind) == body[kind][one["id"]]
    references = api.get(f"/external_references{ending}?subject_type=Workspace")
    assert_envelope(references, "external_references", [])
    me = only_record(api.get(f"/users/me{ending}"), "users")
    assert me["id"] == str(account.users["administrator"].id)


# 1.1
@pytest.mark.parametrize("ending", ["", "/", ".json", ".json/"])
def test_every_path_of_a_write_may_end_so_too(account: Account, ending: str) -> None:
    api = account.api
    sent = {"workspace_id": account.workspaces[0], "color": "red", "description": "Late."}
    answer = api.post(f"/status_reports{ending}", json={"status_report": sent})
    path = f"/status_reports/{only_record(answer)['id']}{ending}"
    assert only_record(api.put(path, json={"status_report": {"color": "green"}}))
    assert api.delete(path).status_code == 204
    sent = {"external_reference": {**REFERENCE, "subject_type": "Workspace"}}
    sent["external_reference"]["subject_id"] = account.workspaces[0]
    made = api.post(f"/external_references/create_or_update{ending}", json=sent)
    reference = only_record(made, "external_references")["id"]
    assert api.delete(f"/external_references/{reference}{ending}").status_code == 204
    user = account.users["viewer"].id
    [found] = api.get(f"/account_memberships?by_user_id={user}").json()["results"]
    for verb in ("disable", "enable"):
        answer = api.put(f"/account_memberships/{found['id']}/{verb}{ending}")
        assert only_record(answer, "account_memberships")["id"] == found["id"]


# 1.1, 1.5
@pytest.mark.parametrize(
    "path", ["/workspaces//", "/workspaces.json.json", "//workspaces", "/workspaces/1/2", "/"]
)
def test_a_path_with_more_than_that_is_not_there(read: Account, path: str) -> None:
    assert_failure(read.api.get(path), 404)


# 1.4: documented attributes that would change permissions, and are not served
RIGHTS = {
    "workspaces": {
        "access_level": "open",
        "participations": [{"user_id": 1, "access": "admin"}],
    },
    "participations": {
        "access_level": "admin",
        "permissions": "edit,can_invite",
        "can_invite": True,
        "can_schedule_their_hours": False,
        "can_schedule_team_hours": True,
        "can_edit_todos": True,
    },
    "account_memberships": {"default_read_only": False},
}


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [(kind, name, value) for kind, names in RIGHTS.items() for name, value in names.items()],
)
def test_an_attribute_that_would_give_access_is_refused_by_name(
    account: Account, kind: str, name: str, value: object
) -> None:
    api, root = account.api, kind.removesuffix("s")
    new = {
        "workspaces": {"title": "New"},
        "participations": {
            "workspace_id": account.workspaces[0],
            "user_id": account.users["outsider"].id,
            "role": "maven",
        },
        "account_memberships": {
            "full_name": "N",
            "email_address": "n@example.org",
            "permission": "collaborator",
        },
    }[kind]
    before = api.get(f"/{kind}").json()
    made = api.post(f"/{kind}", json={root: {**new, name: value}})
    (error,) = assert_failure(made, 422, "validation", name)
    assert error["message"].startswith(name.replace("_", " ").capitalize())
    first = before["results"][0]["id"]
    assert_failure(api.put(f"/{kind}/{first}", json={root: {name: value}}), 422, "validation", name)
    assert api.get(f"/{kind}").json() == before


# 7.1
@pytest.mark.parametrize("value", ["open", "admins", "admin", "", None, True, ["invitation"]])
def test_a_workspace_is_open_by_invitation_alone(account: Account, value: object) -> None:
    path = f"/workspaces/{account.workspaces[0]}"
    for change in ({"access_level": value}, {"access_level": value, "title": "New"}):
        answer = account.api.put(path, json={"workspace": change})
        assert_failure(answer, 422, "validation", "access_level")
    same = account.api.put(path, json={"workspace": {"access_level": "invitation"}})
    record = only_record(same, "workspaces")
    assert (record["access_level"], record["title"]) == ("invitation", "First")


# 1.4: other attributes, documented or not
@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("workspaces", {"price": "7", "budgeted": True, "status_key": 305, "custom_fields": []}),
        ("workspaces", {"currency": "CHF", "stage": "project", "nobody": {"x": [1]}}),
        ("participations", {"cost_in_cents": 7, "rate_in_cents": 7, "workspace_role_id": 9}),
        ("account_memberships", {"bill_rate_in_cents": 7, "manager_id": 1, "nobody": None}),
    ],
)
def test_other_attributes_that_are_not_served_are_ignored(
    account: Account, kind: str, sent: dict
) -> None:
    listed = account.api.get(f"/{kind}").json()
    first = listed["results"][0]["id"]
    root = kind.removesuffix("s")
    answer = account.api.put(f"/{kind}/{first}", json={root: sent})
    assert only_record(answer, kind) == listed[kind][first]


# 1.4: brainstem-js does this: it sends back the whole record that it has
@pytest.mark.parametrize(
    ("kind", "include"),
    [
        ("workspaces", ""),
        ("workspaces", "creator,participants,participations,current_user_participation"),
        ("workspaces", "status_reports,current_status_report,external_references"),
        ("workspaces", "workspace_groups,primary_maven,primary_counterpart"),
        ("participations", "user,workspace"),
        ("account_memberships", "user"),
        ("workspace_groups", "workspaces"),
    ],
)
def test_a_record_can_be_sent_back_as_it_came(account: Account, kind: str, include: str) -> None:
    api, root = account.api, kind.removesuffix("s")
    user_id = account.users["administrator"].id
    sent = {"title": "Led", "external_reference": REFERENCE, "primary_maven_id": user_id}
    only_record(api.post("/workspaces", json={"workspace": sent}), "workspaces")
    group = {"name": "Group", "add_workspace_ids": account.workspaces}
    only_record(api.post("/workspace_groups", json={"workspace_group": group}), "workspace_groups")
    body = api.get(f"/{kind}?include={include}").json()
    for one in body["results"]:
        record = body[kind][one["id"]]
        if record.get("primary_maven_id", "") is None:
            continue  # see the next test
        answer = api.put(f"/{kind}/{one['id']}?include={include}", json={root: record})
        back = only_record(answer, kind)
        assert {**back, "updated_at": record["updated_at"]} == record


# 7.1: `primary_maven_id` of a workspace that nobody leads is null in answers
def test_a_workspace_without_a_lead_can_be_sent_back_as_it_came(account: Account) -> None:
    path = f"/workspaces/{account.workspaces[0]}?include=primary_maven"
    record = only_record(account.api.get(path), "workspaces")
    assert record["primary_maven_id"] is None
    only_record(account.api.put(path, json={"workspace": record}), "workspaces")


# 1.4
def test_includes_and_optional_fields_may_stand_beside_every_root_key(account: Account) -> None:
    api, first = account.api, account.workspaces[0]
    sent = {
        "workspace": {"title": "First"},
        "include": "creator,participations",
        "optional_fields": ["clients_see_status_reports"],
        "filters": "",
    }
    body = assert_envelope(api.put(f"/workspaces/{first}", json=sent), "workspaces", [first])
    assert body["users"]
    assert body["participations"]
    assert body["workspaces"][first]["clients_see_status_reports"] is False
    form = {"workspace[title]": "First", "include[]": ["creator", "participants"]}
    body = api.put(f"/workspaces/{first}", data=form).json()
    assert len(body["users"]) == 3
    group = {"workspace_group": {"name": "G", "add_workspace_ids": [first]}}
    made = api.post("/workspace_groups", json={**group, "include": "workspaces"}).json()
    assert set(made["workspaces"]) == {first}
    place = {"workspace_id": first, "user_id": account.users["outsider"].id}
    sent = {"participation": place, "include": ["user", "workspace"]}
    made = api.post("/participations", json=sent).json()
    assert set(made["users"]) == {str(account.users["outsider"].id)}
    assert set(made["workspaces"]) == {first}


# 1.6
def test_a_repeated_parameter_counts_as_the_last_one(read: Account) -> None:
    pairs = [("only", "0"), ("only", read.workspaces[1])]
    assert_envelope(read.api.get("/workspaces", params=pairs), "workspaces", read.workspaces[1:])
    pairs = [("include", "creator"), ("include", "participations")]
    body = read.api.get("/workspaces", params=pairs).json()
    assert "participations" in body
    assert "users" not in body


# 1.6
@pytest.mark.parametrize("ending", ["", "[]"])
def test_what_is_documented_as_an_array_adds_up(read: Account, ending: str) -> None:
    ids = [str(user.id) for user in read.users.values()]
    pairs = [("order", "id"), *((f"with_users{ending}", one) for one in ids[:2])]
    assert_envelope(read.api.get("/users", params=pairs), "users", ids[:2])
    pairs = [("order", "id"), *((f"without_users{ending}", one) for one in ids[:2])]
    assert_envelope(read.api.get("/users", params=pairs), "users", ids[2:])
    names = ("nobody", "clients_see_status_reports", "title")
    pairs = [(f"optional_fields{ending}", name) for name in names]
    for path in ("/workspaces", f"/workspaces/{read.workspaces[0]}"):
        body = read.api.get(path, params=pairs).json()
        assert all("clients_see_status_reports" in one for one in body["workspaces"].values())


# 1.6
def test_repeats_with_commas_add_up_too(read: Account) -> None:
    ids = [str(user.id) for user in read.users.values()]
    query = f"order=id&with_users={ids[0]},{ids[1]}&with_users={ids[2]}"
    assert_envelope(read.api.get(f"/users?{query}"), "users", ids[:3])


# 1.6: a blank value counts as not sent
def test_a_blank_repeat_of_an_array_is_as_if_not_sent(read: Account) -> None:
    ids = [str(user.id) for user in read.users.values()]
    assert_envelope(read.api.get("/users?order=id&with_users=&with_users="), "users", ids)


@pytest.mark.parametrize("query", ["with_users={}&with_users=", "with_users[]=&with_users[]={}"])
def test_a_blank_among_the_repeats_of_an_array_is_left_out(read: Account, query: str) -> None:
    # Rails and jQuery send a blank first element for an array that may be empty.
    one = str(read.users["viewer"].id)
    assert_envelope(read.api.get(f"/users?{query.format(one)}"), "users", [one])


def find_at_most(account: Account, limit: int, kind: Kind, *includes: str) -> None:
    """List a kind through the service, where the limit of side-loaded objects can be set (2.8)."""
    actor = Actor(
        user_id=account.users["administrator"].id,
        account_id=account.id,
        permission=AccountPermission.ADMINISTRATOR,
        token_id=None,
        scopes=frozenset(Scope),
        last_used_at=None,
    )
    query = Query(kind, includes=includes, include_limit=limit)
    account.database.read_here(lambda tx: lookup.find(tx, actor, query))


# 2.8
def test_more_side_loaded_objects_than_the_limit_are_refused(account: Account) -> None:
    for _ in range(4):
        account.report()
    find_at_most(account, 4, Kind.WORKSPACES, "status_reports")
    with pytest.raises(TooManyIncluded) as caught:
        find_at_most(account, 3, Kind.WORKSPACES, "status_reports")
    failure = failure_of(caught.value)
    assert failure.status == 400
    [error] = json.loads(failure.body)["errors"]
    assert error["type"] == "system"
    assert "association status_reports" in error["message"]
    assert "list of status_reports" in error["message"]
    # The limit is for all associations of an answer together: four reports and their creator.
    find_at_most(account, 5, Kind.WORKSPACES, "status_reports", "creator")
    with pytest.raises(TooManyIncluded) as caught:
        find_at_most(account, 4, Kind.WORKSPACES, "status_reports", "creator")
    assert "list of users" in json.loads(failure_of(caught.value).body)["errors"][0]["message"]


# 2.8, 2.6: an object that is included once counts once
def test_what_is_referred_to_twice_counts_once(account: Account) -> None:
    for _ in range(4):
        account.report()
    find_at_most(account, 1, Kind.STATUS_REPORTS, "creator")
    find_at_most(account, 2, Kind.STATUS_REPORTS, "creator", "workspace")


def test_who_participates_twice_counts_once(account: Account) -> None:
    find_at_most(account, 2, Kind.WORKSPACES, "participants")


# 2.8: over HTTP, an answer within the limit is sent
def test_a_page_with_every_include_is_answered(account: Account) -> None:
    account.report()
    names = "creator,participants,participations,status_reports,external_references,nobody"
    body = assert_envelope(account.api.get(f"/workspaces?include={names}"), "workspaces")
    assert len(body["status_reports"]) == 1


# 4.6
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026", True),
        ("2026-11", True),
        ("2000", True),
        ("2999", False),
        ("2999-12", False),
    ],
)
def test_a_year_or_a_month_is_the_start_of_that_period(
    account: Account, text: str, found: bool
) -> None:
    report_id = account.report()
    space = account.workspaces[0]
    for path, key, one in (
        ("/status_reports", "status_reports", report_id),
        (f"/workspaces?only={space}", "workspaces", space),
    ):
        for name in ("created", "updated"):
            params = {"only": one}
            after = account.api.get(path, params={**params, f"{name}_after": text})
            assert_envelope(after, key, [one] if found else [])
            before = account.api.get(path, params={**params, f"{name}_before": text})
            assert_envelope(before, key, [] if found else [one])


# 4.6
@pytest.mark.parametrize("text", ["2026-00", "2026-13", "202611", "26", "2026-", "2026-1", "20261"])
def test_what_is_not_quite_a_month_is_refused(read: Account, text: str) -> None:
    (error,) = assert_failure(read.api.get("/status_reports", params={"created_after": text}), 400)
    assert "created_after" in error["message"]


@pytest.fixture(scope="module")
def told(server: Server, database: Database) -> Iterator[tuple[Account, dict[str, str]]]:
    """Reports by name, for those filters of 4.6 that are this server's own."""
    with open_account(server, database) as account:
        names = {
            "old": account.report(color="red", details=[{"category": "Budget", "color": "red"}]),
            "new": account.report(
                color="yellow",
                description="Der Überblick über die Brücke",
                details=[
                    {"category": "Budget", "color": "green"},
                    {"category": "Scope", "color": "red", "description": "Pont à péage"},
                ],
            ),
            "other": account.report(workspace_id=account.workspaces[1], color="green"),
        }
        sent = {"workspace_id": account.workspaces[1], "color": "red", "description": "By editor"}
        answer = account.clients["editor"].post("/status_reports", json={"status_report": sent})
        names["editors"] = only_record(answer)["id"]
        yield account, names


OWN_FILTERS = {
    "color": ({"color": "red"}, ["old", "editors"]),
    "colors": ({"color": "red,yellow"}, ["old", "new", "editors"]),
    "colors as an array": ({"color[]": ["red", "yellow"]}, ["old", "new", "editors"]),
    "creator": ({"creator_id": "EDITOR"}, ["editors"]),
    "creators": ({"creator_id": "EDITOR,ADMINISTRATOR"}, ["old", "new", "other", "editors"]),
    "category": ({"category_color": "Budget:red"}, ["old"]),
    "category green": ({"category_color": "Budget:green"}, ["new"]),
    "category scope": ({"category_color": "Scope:red"}, ["new"]),
    "category none": ({"category_color": "Client:red"}, []),
    "current": ({"current": "true"}, ["new", "editors"]),
    "not current": ({"current": "false"}, ["old", "other"]),
    "current and color": ({"current": "true", "color": "red"}, ["editors"]),
    "current and category": ({"current": "true", "category_color": "Budget:red"}, []),
    "text": ({"text": "uberblick"}, ["new"]),
    "text of a detail": ({"text": "PEAGE"}, ["new"]),
    "texts of both": ({"text": "brück péa"}, ["new"]),
    "text and current": ({"text": "well", "current": "true"}, []),
    "text in none": ({"text": "brücken"}, []),
    "text and color": ({"text": "all", "color": "green"}, ["other"]),
}


# 4.6
@pytest.mark.parametrize(("params", "expected"), OWN_FILTERS.values(), ids=OWN_FILTERS)
@pytest.mark.parametrize("role", ["administrator", "editor"])
def test_reports_have_filters_of_our_own(
    told: tuple[Account, dict[str, str]], params: dict, expected: list[str], role: str
) -> None:
    account, names = told
    ids = {one.upper(): str(user.id) for one, user in account.users.items()}
    if "creator_id" in params:
        for one, user_id in ids.items():
            params = {"creator_id": params["creator_id"].replace(one, user_id)}
    found = [names[name] for name in names if name in expected]
    answer = account.clients[role].get("/status_reports", params=params)
    assert_envelope(answer, "status_reports", found, count=len(found))
    body = account.clients[role].get("/status_reports", params={**params, "only": names["new"]})
    assert body.json()["count"] == int("new" in expected)


# 4.6, 2.2: each creator has a separate count
@pytest.mark.parametrize(
    ("role", "more"), [("editor", {}), ("administrator", {"created_after": "2026"})]
)
def test_each_creator_has_a_count_of_its_own(account: Account, role: str, more: dict) -> None:
    account.report()
    sent = {"workspace_id": account.workspaces[0], "color": "red", "description": "By editor"}
    own = only_record(
        account.clients["editor"].post("/status_reports", json={"status_report": sent})
    )
    for asked, ids in ((account.users["editor"].id, [own["id"]]), (0, [])):
        answer = account.clients[role].get("/status_reports", params={"creator_id": asked, **more})
        assert_envelope(answer, "status_reports", ids, count=len(ids))


# 4.6, 7.5: a user who sees the workspace but not its reports finds none, with any filter
def test_a_client_finds_no_report_by_any_filter(account: Account) -> None:
    first = account.workspaces[0]
    report = account.report(
        color="red",
        description="Geheim",
        details=[{"category": "Budget", "color": "red"}],
        external_reference=REFERENCE,
    )
    place = {"workspace_id": first, "user_id": account.users["outsider"].id, "role": "buyer"}
    only_record(
        account.api.post("/participations", json={"participation": place}), "participations"
    )
    user = account.users["administrator"].id
    for query in (
        "",
        "text=geheim",
        "current=true",
        "current=true&text=geheim",
        "color=red",
        "category_color=Budget:red",
        f"creator_id={user},0",
        f"workspace_id={first}",
        f"only={report}",
        "has_external_references=true",
        "external_reference_service_name=tracker",
    ):
        for client, ids in ((account.api, [report]), (account.clients["outsider"], [])):
            answer = client.get(f"/status_reports?{query}")
            assert_envelope(answer, "status_reports", ids, count=len(ids))
        if not query.startswith("only"):
            stream = account.clients["outsider"].get(f"/status_reports.ndjson?{query}")
            assert stream.status_code == 200
            assert stream.text == ""
    path = f"/external_references?subject_type=StatusReport&subject_id={report}"
    assert_envelope(account.clients["outsider"].get(path), "external_references", [], count=0)


# 4.6
@pytest.mark.parametrize(
    "value", ["Budget", "Budget:blue", "budget:red", ":red", "Budget:", "Budget:red,Scope:red", "x"]
)
def test_a_wrong_color_of_a_category_is_refused(read: Account, value: str) -> None:
    (error,) = assert_failure(read.api.get("/status_reports?category_color=" + value), 400)
    assert "category_color" in error["message"]


# 4.6: after each write, another report is the newest of the workspace
def test_the_current_report_follows_every_write(account: Account) -> None:
    first, second = account.workspaces
    ids = [account.report() for _ in range(2)]
    for _ in range(2):
        path = "/status_reports?current=true"
        assert_envelope(account.api.get(path), "status_reports", [ids[-1]], count=1)
        assert_envelope(account.api.get(f"{path}&text=well"), "status_reports", [ids[-1]], count=1)
        ids.append(account.report())
    other = account.report(workspace_id=second, color="red")
    assert_envelope(account.api.get(path), "status_reports", [ids[-1], other], count=2)
    assert_envelope(account.api.get(f"{path}&color=red"), "status_reports", [other], count=1)
    assert_envelope(account.api.get(f"{path}&workspace_id={first}"), "status_reports", [ids[-1]])
    while ids:
        assert account.api.delete(f"/status_reports/{ids.pop()}").status_code == 204
        expected = [*ids[-1:], other]
        assert_envelope(account.api.get(path), "status_reports", expected, count=len(expected))


# 4.6, 5.4
@pytest.mark.parametrize("word", ["failed", "fail"])
def test_a_status_of_a_reference_may_be_sent_and_asked_for(account: Account, word: str) -> None:
    sent = {**REFERENCE, "status": word}
    failed = account.report(external_reference=sent)
    good = account.report(external_reference=REFERENCE)
    late = account.report(external_reference={**REFERENCE, "status": "pending"})
    body = account.api.get(f"/status_reports?only={failed}&include=external_references").json()
    [reference] = body["external_references"].values()
    assert reference["status"] == "failed"
    for asked, expected in (
        ("failed", [failed]),
        ("fail", [failed]),
        ("successful", [good]),
        ("pending", [late]),
        ("nobody", []),
    ):
        answer = account.api.get(f"/status_reports?external_reference_status={asked}")
        assert_envelope(answer, "status_reports", expected, count=len(expected))
        answer = account.api.get(f"/external_references?subject_type=StatusReport&status={asked}")
        assert_envelope(answer, "external_references", count=len(expected))
    # If no status is sent, it stays.
    path = f"/status_reports/{failed}?include=external_references"
    again = account.api.put(path, json={"status_report": {"external_reference": REFERENCE}})
    [reference] = again.json()["external_references"].values()
    assert reference["status"] == "failed"
    sent = {"status_report": {"external_reference": {**REFERENCE, "status": "successful"}}}
    [reference] = account.api.put(path, json=sent).json()["external_references"].values()
    assert reference["status"] == "successful"


# 5.4, 5.6
@pytest.mark.parametrize("status", ["", "broken", "FAILED", None, 7, ["failed"]])
def test_a_wrong_status_of_a_reference_is_refused(account: Account, status: object) -> None:
    reference = {**REFERENCE, "status": status}
    sent = {"workspace_id": account.workspaces[0], "color": "red", "description": "Late."}
    sent["external_reference"] = reference
    answer = account.api.post("/status_reports", json={"status_report": sent})
    assert_failure(answer, 422, "validation", "external_reference.status")
    subject = {"subject_type": "Workspace", "subject_id": account.workspaces[0]}
    answer = account.api.post(
        "/external_references/create_or_update",
        json={"external_reference": {**reference, **subject}},
    )
    assert_failure(answer, 422, "validation", "status")
    answer = account.api.post(
        "/workspaces", json={"workspace": {"title": "New", "external_reference": reference}}
    )
    assert_failure(answer, 422, "validation", "external_reference.status")
    assert_envelope(account.api.get("/workspaces"), "workspaces", count=2)
