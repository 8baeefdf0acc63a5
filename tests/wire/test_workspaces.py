"""Workspaces: filters, orders, includes and bodies added after the first release (7.1)."""

from collections.abc import Iterator

import pytest
from sharing import open_account

from conftest import Account, Server
from expect import assert_envelope, assert_failure, only_record
from healthreports.store.engine.database import Database

REFERENCE = {"service_name": "crm", "service_model": "Deal", "service_model_ref": "8"}


def make(account: Account, title: str = "New", role: str = "administrator", **sent: object) -> dict:
    body = {"workspace": {"title": title, **sent}}
    return only_record(account.clients[role].post("/workspaces", json=body), "workspaces")


def put(account: Account, space_id: str, query: str = "", **sent: object):
    return account.api.put(f"/workspaces/{space_id}{query}", json={"workspace": sent})


def let_in(account: Account, who: str, space_id: str, **sent: object) -> dict:
    place = {"workspace_id": space_id, "user_id": account.users[who].id, **sent}
    answer = account.api.post("/participations", json={"participation": place})
    return only_record(answer, "participations")


def group(account: Account, name: str, *ids: str) -> str:
    sent = {"name": name, "add_workspace_ids": list(ids)}
    answer = account.api.post("/workspace_groups", json={"workspace_group": sent})
    return only_record(answer, "workspace_groups")["id"]


def promote(account: Account, role: str, permission: str) -> None:
    user_id = account.users[role].id
    [found] = account.api.get(f"/account_memberships?by_user_id={user_id}").json()["results"]
    sent = {"account_membership": {"permission": permission}}
    path = f"/account_memberships/{found['id']}"
    only_record(account.api.put(path, json=sent), "account_memberships")


SHELF = {
    "bridge": {"title": "Brücke über die Aare", "start_date": "2026-01-01"},
    "tunnel": {"title": "tunnel Nord", "start_date": "2026-02-01", "due_date": "2026-05-01"},
    "tower": {"title": "Élan tower", "due_date": "2026-06-01", "description": "Nordwind"},
    "old": {"title": "Old bridge", "archived": True},
}


@pytest.fixture(scope="module")
def shelf(server: Server, database: Database) -> Iterator[tuple[Account, dict[str, str]]]:
    """Workspaces by name, with people, groups and references; the tests here only read them."""
    with open_account(server, database) as account:
        names = dict(zip(("first", "second"), account.workspaces, strict=True))
        promote(account, "editor", "project_creator")
        for name, sent in SHELF.items():
            names[name] = make(account, **sent)["id"]
        names["led"] = make(account, "Led", role="editor")["id"]
        put(account, names["bridge"], external_reference=REFERENCE)
        put(account, names["tower"], external_reference={**REFERENCE, "service_name": "jira"})
        names["group"] = group(account, "Rail", names["bridge"], names["old"])
        names["other group"] = group(account, "Road", names["tunnel"])
        let_in(account, "outsider", names["tunnel"], role="buyer")
        yield account, names


USED = ("first", "second", "bridge", "tunnel", "tower", "led")
FILTERS = {
    "nothing": ({}, USED),
    "archived only": ({"archived": "only"}, ("old",)),
    "archived exclude": ({"archived": "exclude"}, USED),
    "archived include": ({"archived": "include"}, (*USED, "old")),
    "include_archived": ({"include_archived": "true"}, (*USED, "old")),
    "archived blank": ({"archived": ""}, USED),
    "matching": ({"matching": "brucke"}, ("bridge",)),
    "matching in capitals": ({"matching": "BRÜCKE"}, ("bridge",)),
    "matching the beginnings of words": ({"matching": "aar br"}, ("bridge",)),
    "matching no end of a word": ({"matching": "ridge", "archived": "include"}, ()),
    "matching no description": ({"matching": "nordwind"}, ()),
    "matching archived": ({"matching": "bridge", "include_archived": "true"}, ("old",)),
    "matching with accents": ({"matching": "elan"}, ("tower",)),
    "search": ({"search": "nord"}, ("tunnel", "tower")),
    "search both": ({"search": "nord tow"}, ("tower",)),
    "search an id": ({"search": "ID:tower"}, ("tower",)),
    "has_participant": ({"has_participant": "USER:outsider"}, ("tunnel",)),
    "user_not_participating": (
        {"user_not_participating": "USER:outsider"},
        ("first", "second", "bridge", "tower", "led"),
    ),
    "has_participant nobody": ({"has_participant": "0"}, ()),
    "user_not_participating nobody": ({"user_not_participating": "0"}, USED),
    "has_participation": ({"has_participation": "true"}, ("bridge", "tunnel", "tower")),
    "has no participation": ({"has_participation": "false"}, ("first", "second", "led")),
    "except": ({"except": "ID:first,ID:led"}, ("second", "bridge", "tunnel", "tower")),
    "creator": ({"creator": "USER:editor"}, ("led",)),
    "creators": ({"creator": "USER:editor,USER:administrator"}, USED),
    "provider_lead": ({"provider_lead": "USER:editor"}, ("led",)),
    "provider_lead of the client side": ({"provider_lead": "USER:outsider"}, ()),
    "on_my_account": ({"on_my_account": "true"}, USED),
    "not on_my_account": ({"on_my_account": "false"}, USED),
    "workspace_groups": ({"workspace_groups": "ID:group"}, ("bridge",)),
    "two groups": ({"workspace_groups": "ID:group,ID:other group"}, ("bridge", "tunnel")),
    "groups and archived": (
        {"workspace_groups": "ID:group", "archived": "include"},
        ("bridge", "old"),
    ),
    "start after": ({"start_date_after": "2026-01-01"}, ("tunnel",)),
    "start before": ({"start_date_before": "2026-02-01"}, ("bridge",)),
    "start between": (
        {"start_date_after": "2025-12-31", "start_date_before": "2026-02-02"},
        ("bridge", "tunnel"),
    ),
    "due after": ({"due_date_after": "2026-05-01"}, ("tower",)),
    "due before": ({"due_date_before": "2026-05-01"}, ()),
    "due before it": ({"due_date_before": "2026-05-02"}, ("tunnel",)),
    "created after": ({"created_after": "2999"}, ()),
    "updated before": ({"updated_before": "2999-01"}, USED),
    "has references": ({"has_external_references": "true"}, ("bridge", "tower")),
    "without references": (
        {"has_external_references": "false"},
        ("first", "second", "tunnel", "led"),
    ),
    "service": ({"external_reference_service_name": "crm"}, ("bridge",)),
    "service and ref": (
        {"external_reference_service_name": "crm", "external_reference_service_model_ref": "8"},
        ("bridge",),
    ),
    "refs": ({"external_reference_service_model_refs": "8,9"}, ("bridge", "tower")),
    "status": ({"external_reference_status": "successful"}, ("bridge", "tower")),
    "status fail": ({"external_reference_status": "fail"}, ()),
    "without service": (
        {"without_external_reference_service_name": "crm"},
        ("first", "second", "tunnel", "tower", "led"),
    ),
    "several": ({"search": "nord", "has_external_references": "true"}, ("tower",)),
    "several more": (
        {"has_participation": "true", "except": "ID:tower", "matching": "t"},
        ("tunnel",),
    ),
}


def filled(shelf: tuple[Account, dict[str, str]], params: dict[str, str]) -> dict[str, str]:
    account, names = shelf
    known = {f"ID:{name}": one for name, one in names.items()}
    known |= {f"USER:{role}": str(user.id) for role, user in account.users.items()}
    return {
        name: ",".join(known.get(part, part) for part in value.split(","))
        for name, value in params.items()
    }


# 7.1
@pytest.mark.parametrize(("params", "expected"), FILTERS.values(), ids=FILTERS)
def test_each_filter_finds_its_workspaces(
    shelf: tuple[Account, dict[str, str]], params: dict, expected: tuple[str, ...]
) -> None:
    account, names = shelf
    asked = filled(shelf, params)
    ids = sorted((names[name] for name in expected), key=int)
    answer = account.api.get("/workspaces", params={"order": "id", **asked})
    assert_envelope(answer, "workspaces", ids, count=len(ids))
    first = account.api.get("/workspaces", params={"order": "id", "per_page": 1, **asked})
    assert_envelope(first, "workspaces", ids[:1], count=len(ids))
    # 4.3: every filter also applies with `only`, but a search has no effect there (7).
    if "search" not in params:
        every = ",".join(names.values())
        only = account.api.get("/workspaces", params={"order": "id", **asked, "only": every})
        body = assert_envelope(only, "workspaces")
        found = [one["id"] for one in body["results"]]
        assert [one for one in found if one in names.values()] == ids


# 7
def test_a_search_does_nothing_to_only(shelf: tuple[Account, dict[str, str]]) -> None:
    account, names = shelf
    params = {"only": names["bridge"], "search": "nothing of that name"}
    answer = account.api.get("/workspaces", params=params)
    assert_envelope(answer, "workspaces", [names["bridge"]], count=1)
    answer = account.api.get("/workspaces", params={**params, "matching": "tower"})
    assert_envelope(answer, "workspaces", [], count=0)


# 7
def test_a_search_goes_by_id_unless_an_order_is_asked_for(
    shelf: tuple[Account, dict[str, str]],
) -> None:
    account, names = shelf
    ids = [names["tunnel"], names["tower"]]
    assert_envelope(account.api.get("/workspaces?search=nord"), "workspaces", ids)


# 4.5
def test_a_search_can_have_any_order(shelf: tuple[Account, dict[str, str]]) -> None:
    account, names = shelf
    ids = [names["tunnel"], names["tower"]]
    up = account.api.get("/workspaces?search=nord&order=title:asc")
    assert_envelope(up, "workspaces", ids[::-1])
    down = account.api.get("/workspaces?search=nord&order=id:desc")
    assert_envelope(down, "workspaces", ids[::-1])


# 7.1: case and accents are ignored; workspaces without a date are listed, too
@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("title:asc", ["bridge", "tower", "first", "led", "second", "tunnel"]),
        ("title:desc", ["tunnel", "second", "led", "first", "tower", "bridge"]),
        ("created_at:asc", ["first", "second", "bridge", "tunnel", "tower", "led"]),
    ],
)
def test_workspaces_have_orders(
    shelf: tuple[Account, dict[str, str]], order: str, expected: list[str]
) -> None:
    account, names = shelf
    answer = account.api.get(f"/workspaces?order={order}")
    assert_envelope(answer, "workspaces", [names[name] for name in expected])


@pytest.mark.parametrize("name", ["start_date", "due_date"])
@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_dates_are_ordered_and_nobody_without_one_is_lost(
    shelf: tuple[Account, dict[str, str]], name: str, direction: str
) -> None:
    account, names = shelf
    body = account.api.get(f"/workspaces?order={name}:{direction}").json()
    dates = [body["workspaces"][one["id"]][name] for one in body["results"]]
    assert len(dates) == len(USED)
    known = [one for one in dates if one is not None]
    assert known == sorted(known, reverse=direction == "desc")
    # Those without a date are together, ordered by id.
    without = [one["id"] for one in body["results"] if body["workspaces"][one["id"]][name] is None]
    assert without == sorted(without, key=int)
    assert dates in ([*known, *[None] * len(without)], [*[None] * len(without), *known])
    assert names["bridge"] in body["workspaces"]


# 7.1
def test_the_default_order_is_the_last_change_first(account: Account) -> None:
    first, second = account.workspaces
    for number, space in enumerate((first, second, first)):
        put(account, space, description=f"Changed {number}")
        answer = account.api.get("/workspaces")
        body = assert_envelope(answer, "workspaces")
        assert body["results"][0]["id"] == space
        # A write that changes nothing does not count as a change (3.5).
        other = second if space == first else first
        title = body["workspaces"][other]["title"]
        only_record(put(account, other, title=title), "workspaces")
        assert account.api.get("/workspaces").json()["results"][0]["id"] == space


# 7.1
@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("administrator", (False, False, False, True)),
        ("editor", (True, False, False, True)),
        ("viewer", (True, False, False, False)),
    ],
)
def test_permissions_are_those_of_the_caller(
    account: Account, role: str, expected: tuple[bool, ...]
) -> None:
    api, space = account.clients[role], account.workspaces[0]
    names = ("is_participant", "team_lead", "user_is_client", "can_edit")
    wanted = dict(zip(names, expected, strict=True))
    assert only_record(api.get(f"/workspaces/{space}"), "workspaces")["permissions"] == wanted
    listed = api.get(f"/workspaces?only={space}").json()
    assert listed["workspaces"][space]["permissions"] == wanted
    account.report()
    beside = api.get("/status_reports?include=workspace").json()
    assert beside["workspaces"][space]["permissions"] == wanted


# 7.1
def test_permissions_of_a_client_and_of_a_lead(account: Account) -> None:
    space = account.workspaces[0]
    let_in(account, "outsider", space, role="buyer", permission="admin", team_lead=True)
    record = only_record(account.clients["outsider"].get(f"/workspaces/{space}"), "workspaces")
    assert record["permissions"] == {
        "is_participant": True,
        "team_lead": True,
        "user_is_client": True,
        "can_edit": False,
    }
    put(account, space, archived=True)
    path = f"/workspaces/{space}?include_archived=true"
    for role in ("administrator", "editor"):
        record = only_record(account.clients[role].get(path), "workspaces")
        assert record["permissions"]["can_edit"] is False


# 7.1
def test_two_who_see_as_much_each_have_their_own_participation(account: Account) -> None:
    promote(account, "viewer", "reports_viewer")
    first = account.workspaces[0]
    path = f"/workspaces?include=current_user_participation&only={first}"
    for _ in range(2):
        for role, found in (("administrator", 0), ("viewer", 1), ("editor", 1)):
            body = account.clients[role].get(path).json()
            assert len(body["participations"]) == found
            link = body["workspaces"][first]["current_user_participation_id"]
            users = {one["user_id"] for one in body["participations"].values()}
            assert users == ({str(account.users[role].id)} if found else set())
            assert (link is not None) == bool(found)


# 7.1, 2.2
@pytest.mark.parametrize("value", ["true", "false"])
def test_two_who_see_as_much_each_have_their_own_count(account: Account, value: str) -> None:
    promote(account, "viewer", "reports_viewer")
    first, second = account.workspaces
    places = {"administrator": [], "viewer": [first]}
    for role, ids in places.items():
        expected = ids if value == "true" else [one for one in (first, second) if one not in ids]
        listed = account.clients[role].get(f"/workspaces?has_participation={value}&order=id")
        assert_envelope(listed, "workspaces", expected, count=len(expected))


# 7.1
def test_who_leads_a_side_is_its_primary(account: Account) -> None:
    space = account.workspaces[0]
    path = f"/workspaces/{space}?include=primary_maven,primary_counterpart"
    record = only_record(account.api.get(path), "workspaces")
    assert record["primary_maven_id"] is None
    assert record["primary_counterpart_id"] is None
    client = let_in(account, "outsider", space, role="buyer", team_lead=True)
    listed = account.api.get(f"/participations?workspace_id={space}").json()["participations"]
    users = {role: str(user.id) for role, user in account.users.items()}
    of_editor = next(k for k, one in listed.items() if one["user_id"] == users["editor"])
    sent = {"participation": {"team_lead": True}}
    only_record(account.api.put(f"/participations/{of_editor}", json=sent), "participations")
    answer = account.api.get(path)
    record = only_record(answer, "workspaces")
    assert record["primary_maven_id"] == users["editor"]
    assert record["primary_counterpart_id"] == users["outsider"]
    assert set(answer.json()["users"]) == {users["editor"], users["outsider"]}
    # A lead who changes sides leads only the new side.
    moved = {"participation": {"role": "maven", "team_lead": True}}
    only_record(account.api.put(f"/participations/{client['id']}", json=moved), "participations")
    record = only_record(account.api.get(path), "workspaces")
    assert record["primary_maven_id"] == users["outsider"]
    assert record["primary_counterpart_id"] is None
    one = account.api.get(f"/participations/{of_editor}")
    assert only_record(one, "participations")["is_team_lead"] is False


# 7.1: at most one lead on each side
def test_there_is_one_lead_a_side_at_most(account: Account) -> None:
    space = make(account)["id"]  # its creator leads
    path = f"/workspaces/{space}?include=primary_maven,participations"
    for role in ("editor", "viewer"):
        let_in(account, role, space, team_lead=True, permission="admin")
        body = account.api.get(path).json()
        leads = [one for one in body["participations"].values() if one["is_team_lead"]]
        assert [one["user_id"] for one in leads] == [str(account.users[role].id)]
        assert body["workspaces"][space]["primary_maven_id"] == leads[0]["user_id"]
        filtered = account.api.get(f"/workspaces?provider_lead={account.users[role].id}")
        assert_envelope(filtered, "workspaces", [space], count=1)
    answer = account.api.get(f"/workspaces?provider_lead={account.users['editor'].id}")
    assert_envelope(answer, "workspaces", [], count=0)


# 7.1
def test_includes_of_a_workspace_lead_to_what_is_there(account: Account) -> None:
    first, second = account.workspaces
    put(account, first, external_reference=REFERENCE)
    groups = [group(account, name, first) for name in ("Rail", "Air")]
    query = "?include=workspace_groups,external_references,participations,participants,creator"
    for path in (f"/workspaces/{first}{query}", f"/workspaces{query}&only={first}"):
        body = assert_envelope(account.api.get(path), "workspaces", [first])
        record = body["workspaces"][first]
        assert sorted(record["workspace_group_ids"], key=int) == groups
        assert set(body["workspace_groups"]) == set(groups)
        assert set(record["external_reference_ids"]) == set(body["external_references"])
        [reference] = body["external_references"].values()
        assert REFERENCE.items() <= reference.items()
        assert reference["subject_type"] == "Workspace"
        assert set(record["participation_ids"]) == set(body["participations"])
        people = {one["user_id"] for one in body["participations"].values()}
        assert people == set(record["participant_ids"])
        # 2.7: only plain attributes.
        assert all("workspace_ids" not in one for one in body["workspace_groups"].values())
    record = only_record(account.api.get(f"/workspaces/{second}{query}"), "workspaces")
    assert record["workspace_group_ids"] == record["external_reference_ids"] == []


# 7.1, 7.6: only groups with a workspace that the user sees, which is the case here
def test_who_sees_a_workspace_sees_its_groups(account: Account) -> None:
    first, second = account.workspaces
    own = group(account, "Seen", first, second)
    hidden = group(account, "Hidden", second)
    body = account.clients["viewer"].get("/workspaces?include=workspace_groups").json()
    assert set(body["workspace_groups"]) == {own}
    assert hidden not in str(body["workspaces"][first]["workspace_group_ids"])


# 7.1
@pytest.mark.parametrize(
    ("sent", "side"),
    [
        ({}, "provider"),
        ({"creator_role": "maven"}, "provider"),
        ({"creator_role": "buyer"}, "client"),
        ({"creator_role": "consultant"}, "provider"),
        ({"creator_role": "client"}, "client"),
    ],
)
def test_the_creator_stands_on_the_side_that_it_says(
    account: Account, sent: dict, side: str
) -> None:
    space = make(account, **sent)
    body = account.api.get(f"/participations?workspace_id={space['id']}").json()
    [place] = body["participations"].values()
    expected = {"side": side, "team_lead": True, "permission": "admin"}
    expected["user_id"] = str(account.users["administrator"].id)
    assert expected.items() <= place.items()
    assert space["permissions"]["user_is_client"] is (side == "client")
    query = "?include=primary_maven,primary_counterpart"
    record = only_record(account.api.get(f"/workspaces/{space['id']}{query}"), "workspaces")
    lead = {"provider": "primary_maven_id", "client": "primary_counterpart_id"}[side]
    assert record[lead] == expected["user_id"]


@pytest.mark.parametrize("value", ["", "nobody", None, 7, "MAVEN"])
def test_a_wrong_side_of_the_creator_is_refused(account: Account, value: object) -> None:
    sent = {"workspace": {"title": "New", "creator_role": value}}
    answer = account.api.post("/workspaces", json=sent)
    assert_failure(answer, 422, "validation", "creator_role")
    assert_envelope(account.api.get("/workspaces"), "workspaces", count=2)


# 7.1
def test_the_provider_lead_can_be_named(account: Account) -> None:
    users = {role: user.id for role, user in account.users.items()}
    space = make(account, primary_maven_id=users["outsider"])["id"]
    path = f"/workspaces/{space}?include=primary_maven,participations"
    body = account.api.get(path).json()
    assert body["workspaces"][space]["primary_maven_id"] == str(users["outsider"])
    places = {one["user_id"]: one for one in body["participations"].values()}
    assert set(places) == {str(users["administrator"]), str(users["outsider"])}
    assert places[str(users["administrator"])]["is_team_lead"] is False
    # PUT sets another lead, with the id as a string.
    answer = put(account, space, "?include=primary_maven", primary_maven_id=str(users["editor"]))
    assert only_record(answer, "workspaces")["primary_maven_id"] == str(users["editor"])
    body = account.api.get(path).json()
    assert sum(one["is_team_lead"] for one in body["participations"].values()) == 1
    # A creator on the client side and a lead on the provider side.
    sent = {"creator_role": "buyer", "primary_maven_id": users["editor"]}
    space = make(account, **sent)["id"]
    query = "?include=primary_maven,primary_counterpart"
    record = only_record(account.api.get(f"/workspaces/{space}{query}"), "workspaces")
    assert record["primary_maven_id"] == str(users["editor"])
    assert record["primary_counterpart_id"] == str(users["administrator"])


@pytest.mark.parametrize("value", ["0", 999999999, "me", "", True, [1], 10**30])
def test_a_lead_who_is_not_there_is_refused(account: Account, value: object) -> None:
    sent = {"workspace": {"title": "New", "primary_maven_id": value}}
    answer = account.api.post("/workspaces", json=sent)
    assert_failure(answer, 422, "validation", "primary_maven_id")
    assert_envelope(account.api.get("/workspaces"), "workspaces", count=2)
    answer = put(account, account.workspaces[0], title="New", primary_maven_id=value)
    assert_failure(answer, 422, "validation", "primary_maven_id")
    record = only_record(account.api.get(f"/workspaces/{account.workspaces[0]}"), "workspaces")
    assert record["title"] == "First"


# 7.1, 5.6: if anything is wrong, nothing is stored
def test_a_client_cannot_lead_the_provider_side(account: Account) -> None:
    space = account.workspaces[0]
    let_in(account, "outsider", space, role="buyer")
    user_id = account.users["outsider"].id
    answer = put(account, space, title="New", primary_maven_id=user_id)
    assert_failure(answer, 422, "validation", "primary_maven_id")
    record = only_record(account.api.get(f"/workspaces/{space}"), "workspaces")
    assert record["title"] == "First"
    sent = {"creator_role": "buyer", "primary_maven_id": account.users["administrator"].id}
    answer = account.api.post("/workspaces", json={"workspace": {"title": "New", **sent}})
    assert_failure(answer, 422, "validation", "primary_maven_id")
    assert_envelope(account.api.get("/workspaces"), "workspaces", count=2)


# 7.1: otherwise an admin of one workspace could read names by making users lead it
def test_nobody_is_made_lead_by_who_does_not_see_it(account: Account) -> None:
    path, api = (
        f"/workspaces/{account.workspaces[0]}?include=participants",
        account.clients["editor"],
    )
    answers = [
        api.put(path, json={"workspace": {"primary_maven_id": user_id}})
        for user_id in (account.users["outsider"].id, 999_999_999)
    ]
    for answer in answers:
        assert_failure(answer, 422, "validation", "primary_maven_id")
    assert answers[0].content == answers[1].content


# 7.1
def test_the_groups_of_a_workspace_can_be_said(account: Account) -> None:
    one, two, three = (group(account, name) for name in ("One", "Two", "Three"))
    space = make(account, workspace_group_ids=[one, int(two)])["id"]
    path = f"/workspaces/{space}?include=workspace_groups"

    def groups() -> set[str]:
        return set(only_record(account.api.get(path), "workspaces")["workspace_group_ids"])

    assert groups() == {one, two}
    put(account, space, workspace_group_ids=[two, three])
    assert groups() == {two, three}
    listed = account.api.get(f"/workspaces?workspace_groups={one}")
    assert_envelope(listed, "workspaces", [], count=0)
    listed = account.api.get(f"/workspaces?workspace_groups={three}")
    assert_envelope(listed, "workspaces", [space], count=1)
    put(account, space, title="Other")
    assert groups() == {two, three}
    put(account, space, workspace_group_ids=[])
    assert groups() == set()
    for wrong in ([one, "999999999"], ["x"], "1", [None]):
        answer = put(account, space, workspace_group_ids=wrong, title="Wrong")
        assert_failure(answer, 422, "validation", "workspace_group_ids")
    assert groups() == set()
    assert only_record(account.api.get(path), "workspaces")["title"] == "Other"


# 7.1, 7.6: a user who does not manage groups may not put workspaces into them
def test_who_does_not_manage_groups_does_not_change_those_of_a_workspace(account: Account) -> None:
    space = account.workspaces[0]
    one = group(account, "One", space)
    api = account.clients["editor"]  # an admin of the workspace
    sent = {"workspace": {"workspace_group_ids": []}}
    assert_failure(api.put(f"/workspaces/{space}", json=sent), 403)
    promote(account, "editor", "project_creator")
    sent = {"workspace": {"title": "New", "workspace_group_ids": [one]}}
    assert_failure(api.post("/workspaces", json=sent), 403)
    promote(account, "editor", "project_lead")
    made = only_record(api.post("/workspaces?include=workspace_groups", json=sent), "workspaces")
    assert made["workspace_group_ids"] == [one]


# 7.1, 5.4
def test_a_workspace_has_a_reference_by_its_body(account: Account) -> None:
    answer = account.api.post(
        "/workspaces?include=external_references",
        json={"workspace": {"title": "New", "external_reference": REFERENCE}},
    )
    [reference] = answer.json()["external_references"].values()
    assert REFERENCE.items() <= reference.items()
    assert reference["status"] == "successful"
    space = only_record(answer, "workspaces")["id"]
    changed = {**REFERENCE, "service_model_ref": "9", "external_link": "https://example.org/9"}
    query = "?include=external_references"
    [same] = (
        put(account, space, query, external_reference=changed)
        .json()["external_references"]
        .values()
    )
    assert same["id"] == reference["id"]
    assert changed.items() <= same.items()
    filtered = account.api.get("/workspaces?external_reference_service_model_ref=9")
    assert_envelope(filtered, "workspaces", [space], count=1)
    wrong = {"service_name": "crm", "external_link": "javascript:x"}
    answer = put(account, space, external_reference=wrong)
    names = ("service_model", "service_model_ref", "external_link")
    assert_failure(answer, 422, "validation", *(f"external_reference.{name}" for name in names))


# 7.1
def test_all_that_a_body_of_a_workspace_may_say_is_kept(account: Account) -> None:
    sent = {
        "title": "  New  ",
        "description": "Text",
        "start_date": "2026-01-01",
        "due_date": "2026-12-31",
        "access_level": "invitation",
        "clients_see_status_reports": True,
        "archived": False,
    }
    query = "?optional_fields=clients_see_status_reports"
    answer = account.api.post(f"/workspaces{query}", json={"workspace": sent})
    made = only_record(answer, "workspaces")
    assert {**sent, "title": "New"}.items() <= made.items()
    assert made["creator_id"] == str(account.users["administrator"].id)
    changed = {"description": None, "start_date": None, "due_date": "", "archived": True}
    record = only_record(put(account, made["id"], query, **changed), "workspaces")
    expected = {"description": None, "start_date": None, "due_date": None, "archived": True}
    assert expected.items() <= record.items()
    assert_failure(account.api.get(f"/workspaces/{made['id']}"), 404)
    record = only_record(account.api.get(f"/workspaces/{made['id']}?archived=only"), "workspaces")
    assert record["archived"] is True


# 5.5, 7.1: in an archived workspace every other write is 403
def test_an_archived_workspace_gets_no_lead_group_or_reference(account: Account) -> None:
    space = account.workspaces[0]
    one = group(account, "One")
    only_record(put(account, space, archived=True), "workspaces")
    editor = account.users["editor"].id
    subject = {"subject_type": "Workspace", "subject_id": space}
    place = {"workspace_id": space, "user_id": account.users["outsider"].id}
    for answer in (
        put(account, space, workspace_group_ids=[one]),
        put(account, space, primary_maven_id=editor),
        put(account, space, external_reference=REFERENCE),
        account.api.post(
            "/external_references/create_or_update",
            json={"external_reference": {**REFERENCE, **subject}},
        ),
        account.api.post("/participations", json={"participations": [place]}),
    ):
        (error,) = assert_failure(answer, 403)
        assert "archived" in error["message"]
    # All of this is allowed in the request that also restores the workspace.
    sent = {"workspace_group_ids": [one], "primary_maven_id": editor, "archived": False}
    query = "?include=primary_maven,workspace_groups"
    record = only_record(put(account, space, query, **sent), "workspaces")
    assert record["workspace_group_ids"] == [one]
    assert record["primary_maven_id"] == str(editor)


# 1.3: in a form, one blank element means an empty array
def test_the_groups_of_a_workspace_can_be_sent_by_form(account: Account) -> None:
    one, two = group(account, "One"), group(account, "Two")
    path = f"/workspaces/{account.workspaces[0]}?include=workspace_groups"
    for values in ([one, two], [two], [""]):
        answer = account.api.put(path, data={"workspace[workspace_group_ids][]": values})
        found = only_record(answer, "workspaces")["workspace_group_ids"]
        assert sorted(found, key=int) == [one for one in values if one]


# 7.1
def test_a_workspace_cannot_be_deleted(account: Account) -> None:
    answer = account.api.delete(f"/workspaces/{account.workspaces[0]}")
    assert_failure(answer, 405)
    assert "DELETE" not in answer.headers["allow"]
    assert {"GET", "PUT"} <= set(answer.headers["allow"].split(", "))
    assert_envelope(account.api.get("/workspaces"), "workspaces", count=2)


# 7.1: counts follow every change
def test_counts_follow_who_joins_and_who_leaves(account: Account) -> None:
    first, second = account.workspaces
    user = account.users["outsider"].id
    for filters, before, after in (
        (f"has_participant={user}", [], [first]),
        (f"user_not_participating={user}", [first, second], [second]),
    ):
        path = f"/workspaces?order=id&{filters}"
        assert_envelope(account.api.get(path), "workspaces", before, count=len(before))
        place = let_in(account, "outsider", first)["id"]
        assert_envelope(account.api.get(path), "workspaces", after, count=len(after))
        assert account.api.delete(f"/participations/{place}").status_code == 204
        assert_envelope(account.api.get(path), "workspaces", before, count=len(before))


# 7.1: a filter about a user whom the caller does not see reveals nothing
def test_filters_about_others_tell_of_no_hidden_workspace(account: Account) -> None:
    api = account.clients["viewer"]
    first, second = account.workspaces
    editor = account.users["editor"].id
    for query, ids in (
        (f"has_participant={editor}", [first]),
        (f"user_not_participating={editor}", []),
        (f"creator={account.users['administrator'].id}", [first]),
        (f"except={first}", []),
        (f"only={first},{second}", [first]),
        ("archived=include", [first]),
        ("matching=second", []),
        ("search=second", []),
        (f"search={second}", []),
    ):
        assert_envelope(api.get(f"/workspaces?{query}"), "workspaces", ids, count=len(ids))
