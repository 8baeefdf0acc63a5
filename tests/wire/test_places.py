"""Participations in the terms of the reference API, and several in one request (7.3)."""

from collections.abc import Iterator

import pytest
from sharing import open_account

from conftest import Account, Server
from expect import SIZE, assert_envelope, assert_failure, only_record
from healthreports.store.engine.database import Database

NAME = "participations"


def place(account: Account, who: str = "outsider", **sent: object):
    body = {"workspace_id": account.workspaces[0], "user_id": account.users[who].id, **sent}
    return account.api.post("/participations", json={"participation": body})


# 7.3
@pytest.mark.parametrize(
    ("sent", "side", "role"),
    [
        ({}, "provider", "maven"),
        ({"role": "maven"}, "provider", "maven"),
        ({"role": "buyer"}, "client", "buyer"),
        ({"side": "client"}, "client", "buyer"),
        ({"side": "provider"}, "provider", "maven"),
        ({"side": "client", "role": "buyer"}, "client", "buyer"),
        ({"side": "provider", "role": "maven"}, "provider", "maven"),
    ],
)
def test_role_and_side_say_the_same(account: Account, sent: dict, side: str, role: str) -> None:
    made = only_record(place(account, **sent), NAME)
    assert (made["side"], made["role"]) == (side, role)
    path = f"/participations/{made['id']}"
    assert only_record(account.api.get(path), NAME) == made
    other = {"provider": "buyer", "client": "maven"}[side]
    changed = only_record(account.api.put(path, json={"participation": {"role": other}}), NAME)
    assert (changed["side"], changed["role"]) == (
        {"buyer": "client", "maven": "provider"}[other],
        other,
    )


# 7.3, 5.6
@pytest.mark.parametrize(
    "sent", [{"role": "maven", "side": "client"}, {"role": "buyer", "side": "provider"}]
)
def test_a_role_and_a_side_that_contradict_are_refused(account: Account, sent: dict) -> None:
    assert_failure(place(account, **sent), 422, "validation", "role")
    [first, *_] = account.api.get("/participations").json()["results"]
    path = f"/participations/{first['id']}"
    before = only_record(account.api.get(path), NAME)
    answer = account.api.put(path, json={"participation": sent})
    assert_failure(answer, 422, "validation", "role")
    assert only_record(account.api.get(path), NAME) == before


@pytest.mark.parametrize("value", ["", "nobody", "client", None, 7, ["maven"]])
def test_a_wrong_role_is_refused(account: Account, value: object) -> None:
    assert_failure(place(account, role=value), 422, "validation", "role")
    assert_failure(place(account, role=value, side="x"), 422, "validation", "role", "side")


# 7.3
@pytest.mark.parametrize(
    ("role", "permission", "expected"),
    [
        ("maven", "admin", True),
        ("maven", "edit", True),
        ("maven", "view", False),
        ("buyer", "admin", False),
        ("buyer", "edit", False),
        ("buyer", "view", False),
    ],
)
@pytest.mark.parametrize("lead", [True, False])
def test_a_participation_says_who_leads_and_who_edits(
    account: Account, role: str, permission: str, expected: bool, lead: bool
) -> None:
    made = only_record(place(account, role=role, permission=permission, team_lead=lead), NAME)
    assert made["can_edit"] is expected
    assert made["team_lead"] is made["is_team_lead"] is lead
    sent = {"workspace_id": account.workspaces[0], "color": "red", "description": "Late."}
    answer = account.clients["outsider"].post("/status_reports", json={"status_report": sent})
    assert answer.is_success is expected


@pytest.fixture(scope="module")
def shelf(server: Server, database: Database) -> Iterator[tuple[Account, dict[str, str]]]:
    """Participations by name, in the order in which they were created."""
    with open_account(server, database) as account:
        listed = account.api.get("/participations?order=id").json()
        ids = [one["id"] for one in listed["results"]]
        names = dict(zip(("editor first", "editor second", "viewer"), ids, strict=True))
        names["client"] = only_record(place(account, role="buyer"), NAME)["id"]
        second = account.workspaces[1]
        names["outsider"] = only_record(place(account, workspace_id=second), NAME)["id"]
        yield account, names


ALL = ("editor first", "editor second", "viewer", "client", "outsider")
FILTERS = {
    "nothing": ("", ALL),
    "workspace": ("workspace_id=FIRST", ("editor first", "viewer", "client")),
    "workspaces": ("workspace_id=FIRST,SECOND", ALL),
    "no workspace": ("workspace_id=0", ()),
    "by_user": ("by_user=EDITOR", ("editor first", "editor second")),
    "user_id": ("user_id=EDITOR", ("editor first", "editor second")),
    "by_users": ("by_user=EDITOR,VIEWER", ("editor first", "editor second", "viewer")),
    "by_user and user_id": ("by_user=EDITOR&user_id=VIEWER", ()),
    "by_user in a workspace": ("by_user=OUTSIDER&workspace_id=FIRST", ("client",)),
    "mavens_only": ("mavens_only=true", ("editor first", "editor second", "viewer", "outsider")),
    "not mavens_only": ("mavens_only=false", ALL),
    "mavens of a workspace": ("mavens_only=true&workspace_id=FIRST", ("editor first", "viewer")),
    "created": ("created_after=2026&created_before=2999", ALL),
    "updated": ("updated_before=2026", ()),
}


# 7.3
@pytest.mark.parametrize(("query", "expected"), FILTERS.values(), ids=FILTERS)
def test_each_filter_finds_its_participations(
    shelf: tuple[Account, dict[str, str]], query: str, expected: tuple[str, ...]
) -> None:
    account, names = shelf
    for word, one in zip(("FIRST", "SECOND"), account.workspaces, strict=True):
        query = query.replace(word, one)
    for role, user in account.users.items():
        query = query.replace(role.upper(), str(user.id))
    ids = [names[name] for name in names if name in expected]
    answer = account.api.get(f"/participations?order=id&{query}")
    assert_envelope(answer, NAME, ids, count=len(ids))
    every = ",".join(names.values())
    answer = account.api.get(f"/participations?order=id&{query}&only={every}")
    assert_envelope(answer, NAME, ids, count=len(ids))


# 7.3
@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("", ["outsider", "client"]),
        ("updated_at:desc", ["outsider", "client"]),
        ("updated_at:asc", ["client", "outsider"]),
        ("created_at:desc", ["outsider", "client"]),
        ("created_at:asc", ["client", "outsider"]),
    ],
)
def test_participations_have_orders(
    shelf: tuple[Account, dict[str, str]], order: str, expected: list[str]
) -> None:
    account, names = shelf
    body = account.api.get(f"/participations?order={order}").json()
    found = [one["id"] for one in body["results"]]
    assert [one for one in found if one in (names["client"], names["outsider"])] == [
        names[name] for name in expected
    ]
    assert len(found) == len(names)


# 7.3, 7
def test_participations_are_in_the_order_of_the_names_of_users(
    shelf: tuple[Account, dict[str, str]],
) -> None:
    account, names = shelf
    up = ["editor first", "editor second", "client", "outsider", "viewer"]
    answer = account.api.get("/participations?order=user_name:asc")
    assert_envelope(answer, NAME, [names[name] for name in up])
    down = ["viewer", "client", "outsider", "editor first", "editor second"]  # ties by id
    answer = account.api.get("/participations?order=user_name:desc")
    assert_envelope(answer, NAME, [names[name] for name in down])


# 7.3
def test_the_last_changed_participation_is_first(account: Account) -> None:
    ids = [one["id"] for one in account.api.get("/participations?order=id").json()["results"]]
    for number, one in enumerate((*ids, *ids)):
        sent = {"participation": {"permission": ("edit", "admin")[number >= len(ids)]}}
        only_record(account.api.put(f"/participations/{one}", json=sent), NAME)
        assert account.api.get("/participations").json()["results"][0]["id"] == one


# 7.3
def test_only_participations_of_seen_workspaces_are_listed(account: Account) -> None:
    second = account.workspaces[1]
    api = account.clients["viewer"]
    body = assert_envelope(api.get("/participations"), NAME, count=2)
    assert {one["workspace_id"] for one in body[NAME].values()} == set(account.workspaces[:1])
    assert_envelope(api.get(f"/participations?workspace_id={second}"), NAME, [], count=0)
    editor = account.users["editor"].id
    body = assert_envelope(api.get(f"/participations?by_user={editor}"), NAME, count=1)
    hidden = account.api.get(f"/participations?workspace_id={second}").json()["results"][0]["id"]
    assert_failure(api.get(f"/participations/{hidden}"), 404)
    assert_envelope(api.get(f"/participations?only={hidden}"), NAME, [], count=0)


def add_users(account: Account, number: int) -> list[str]:
    ids = []
    for one in range(number):
        sent = {"full_name": f"U {one}", "email_address": f"u{one}@example.org"}
        sent["permission"] = "collaborator"
        answer = account.api.post("/account_memberships", json={"account_membership": sent})
        ids.append(only_record(answer, "account_memberships")["user_id"])
    return ids


def bulk(account: Account, many: object, **beside: object):
    return account.api.post("/participations", json={NAME: many, **beside})


# 7.3
def test_many_are_let_in_at_once(account: Account) -> None:
    users = add_users(account, 4)
    sent = [
        {"workspace_id": account.workspaces[0], "user_id": one, "role": role}
        for one, role in zip(users, ("maven", "buyer", "maven", "buyer"), strict=True)
    ]
    answer = bulk(account, sent, include="user")
    body = assert_envelope(answer, NAME, count=4, page_number=1, page_count=1, page_size=SIZE)
    made = [body[NAME][one["id"]] for one in body["results"]]
    assert [(one["user_id"], one["role"]) for one in made] == [
        (one["user_id"], one["role"]) for one in sent
    ]
    assert set(body["users"]) == set(users)
    listed = account.api.get(f"/participations?workspace_id={account.workspaces[0]}")
    assert_envelope(listed, NAME, count=6)


# 7.3
def test_a_hundred_are_let_in_at_once_and_no_more(account: Account) -> None:
    users = add_users(account, 101)
    sent = [{"workspace_id": account.workspaces[0], "user_id": one} for one in users]
    answer = bulk(account, sent)
    assert_failure(answer, 422, "validation", "participations")
    assert_envelope(account.api.get("/participations"), NAME, count=3)
    answer = bulk(account, sent[:100])
    assert answer.status_code == 200
    assert len(answer.json()["results"]) == answer.json()["count"] == 100
    assert_envelope(account.api.get("/participations"), NAME, count=103)


# 7.3, 5.6
def test_all_are_let_in_or_none_and_every_problem_has_its_place(account: Account) -> None:
    first = account.workspaces[0]
    good = {"workspace_id": first, "user_id": account.users["outsider"].id}
    sent = [
        good,
        {"workspace_id": first},
        {**good, "user_id": "999999999"},
        {**good, "user_id": account.users["viewer"].id},
        {**good, "user_id": account.users["administrator"].id, "role": "x", "permission": "own"},
        "nobody",
        {**good, "user_id": account.users["administrator"].id, "can_invite": True},
        good,
    ]
    answer = bulk(account, sent)
    expected = [
        "[1].user_id",
        "[2].user_id",
        "[3].user_id",
        "[4].role",
        "[4].permission",
        "[5]",
        "[6].can_invite",
        "[7].user_id",
    ]
    errors = assert_failure(
        answer, 422, "validation", *(f"participations{name}" for name in expected)
    )
    assert [error["field"] for error in errors] == [f"participations{name}" for name in expected]
    assert_envelope(account.api.get("/participations"), NAME, count=3)
    assert_envelope(account.api.get(f"/participations?by_user={good['user_id']}"), NAME, [])


@pytest.mark.parametrize("value", [[], None, {}, "text", 7])
def test_many_that_are_none_are_refused(account: Account, value: object) -> None:
    answer = bulk(account, value)
    assert answer.status_code in {400, 422}, answer.text
    assert_failure(
        answer, answer.status_code, *(() if answer.status_code == 400 else ("validation", NAME))
    )
    assert_envelope(account.api.get("/participations"), NAME, count=3)


# 7.3: a user who may not add anybody adds nobody with a list either
@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("outsider", 422)])
def test_who_is_no_admin_lets_nobody_in_among_many(
    account: Account, role: str, status: int
) -> None:
    api, users = account.clients[role], account.users
    sent = [
        {"workspace_id": account.workspaces[0], "user_id": users[one].id}
        for one in ("administrator", "outsider")
    ]
    assert api.post("/participations", json={NAME: sent}).status_code == status
    assert_envelope(account.api.get("/participations"), NAME, count=3)


# 7.3, 7.1: one lead on each side, also with a list; the answer shows the final state
def test_the_answer_to_many_says_who_leads_in_the_end(account: Account) -> None:
    users = add_users(account, 2)
    sent = [
        {"workspace_id": account.workspaces[0], "user_id": one, "team_lead": True} for one in users
    ]
    made = assert_envelope(bulk(account, sent), NAME, count=2)[NAME]
    listed = account.api.get(f"/participations?only={','.join(made)}").json()[NAME]
    assert [one["user_id"] for one in listed.values() if one["is_team_lead"]] == users[1:]
    assert {one["id"]: one["is_team_lead"] for one in made.values()} == {
        one["id"]: one["is_team_lead"] for one in listed.values()
    }


# 7.3: nobody can find out by trying which users exist
def test_an_admin_does_not_let_in_many_whom_it_does_not_see(account: Account) -> None:
    answers = []
    for user_id in (account.users["outsider"].id, 999_999_999):
        sent = [{"workspace_id": account.workspaces[0], "user_id": user_id}]
        answers.append(account.clients["editor"].post("/participations", json={NAME: sent}))
        assert_failure(answers[-1], 422, "validation", "participations[0].user_id")
    assert answers[0].content == answers[1].content


# 7.3, 1.3
def test_many_can_be_sent_by_form(account: Account) -> None:
    users = add_users(account, 2)
    form = {}
    for number, one in enumerate(users):
        form[f"participations[{number}][workspace_id]"] = account.workspaces[0]
        form[f"participations[{number}][user_id]"] = one
    body = assert_envelope(account.api.post("/participations", data=form), NAME, count=2)
    assert {one["user_id"] for one in body[NAME].values()} == set(users)


# 7.3: only participations can be created with a list
def test_other_kinds_are_not_created_by_the_array(account: Account) -> None:
    for kind in ("workspaces", "status_reports", "account_memberships", "workspace_groups"):
        answer = account.api.post(f"/{kind}", json={kind: [{"title": "A", "name": "A"}]})
        assert_failure(answer, 400)
