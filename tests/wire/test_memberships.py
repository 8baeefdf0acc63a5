"""Account memberships in the terms of the reference API (7.4)."""

import re

import pytest

from conftest import Account
from expect import assert_envelope, assert_failure, only_record

NAME = "account_memberships"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def membership_of(account: Account, role: str) -> str:
    user_id = account.users[role].id
    path = f"/account_memberships?only_active=false&by_user_id={user_id}"
    [found] = account.api.get(path).json()["results"]
    return found["id"]


def disable(account: Account, role: str) -> str:
    one = membership_of(account, role)
    only_record(account.api.put(f"/account_memberships/{one}/disable"), NAME)
    return one


# 7.4: the attributes that follow from the permission
FLAGS = {
    "administrator": (True, True, True, True),
    "reports_viewer": (False, True, True, False),
    "project_lead": (False, True, False, True),
    "project_creator": (False, False, False, True),
    "collaborator": (False, False, False, False),
}
FLAG_NAMES = ("is_administrator", "is_project_lead", "can_view_reports", "can_create_workspace")


@pytest.mark.parametrize(("permission", "flags"), FLAGS.items(), ids=FLAGS)
def test_flags_follow_from_the_permission(
    account: Account, permission: str, flags: tuple[bool, ...]
) -> None:
    path = f"/account_memberships/{membership_of(account, 'outsider')}"
    sent = {"account_membership": {"permission": permission}}
    record = only_record(account.api.put(path, json=sent), NAME)
    assert record["permission"] == permission
    assert tuple(record[name] for name in FLAG_NAMES) == flags
    assert record == only_record(account.api.get(path), NAME)
    # And they match what the user may do.
    api = account.clients["outsider"]
    account.report()
    assert bool(api.get("/status_reports").json()["count"]) is record["can_view_reports"]
    made = api.post("/workspaces", json={"workspace": {"title": "New"}})
    assert made.is_success is record["can_create_workspace"]
    made = api.post("/workspace_groups", json={"workspace_group": {"name": "New"}})
    assert made.is_success is (permission in {"administrator", "project_lead"})


@pytest.mark.parametrize(
    "value", ["", "reports_viewer_with_cost", "external_collaborator", "punch_clock", "x", None]
)
def test_a_permission_that_is_not_served_is_refused(account: Account, value: object) -> None:
    path = f"/account_memberships/{membership_of(account, 'viewer')}"
    answer = account.api.put(path, json={"account_membership": {"permission": value}})
    assert_failure(answer, 422, "validation", "permission")


# 7.4
def test_inactive_memberships_are_left_out_by_default(account: Account) -> None:
    api = account.api
    gone = disable(account, "viewer")
    for query, count in (
        ("", 3),
        ("?only_active=true", 3),
        ("?only_active=", 3),
        ("?only_active=false", 4),
        ("?apply_default_filters=false", 4),
        ("?only_inactive=true", 1),
        ("?only_active=false&only_inactive=true", 1),
        ("?only_active=true&only_inactive=true", 0),
    ):
        body = assert_envelope(api.get(f"/account_memberships{query}"), NAME, count=count)
        inactive = {key for key, one in body[NAME].items() if one["disabled_at"] is not None}
        assert inactive == ({gone} if count in {1, 4} else set()), query
    user = account.users["viewer"].id
    for query in (f"only={gone}", f"by_user_id={user}", f"user_id={user}", "by_full_name=viewer"):
        assert_envelope(api.get(f"/account_memberships?{query}"), NAME, [], count=0)
        for shown in ("only_active=false", "only_inactive=true"):
            answer = api.get(f"/account_memberships?{query}&{shown}")
            assert_envelope(answer, NAME, [gone], count=1)


# 7.4: also on show
def test_an_inactive_membership_is_shown_only_when_asked_for(account: Account) -> None:
    path = f"/account_memberships/{disable(account, 'viewer')}"
    for query in ("", "?only_active=true", "?only_active="):
        assert_failure(account.api.get(path + query), 404)
    for query in ("?only_active=false", "?only_inactive=true", "?apply_default_filters=false"):
        record = only_record(account.api.get(path + query), NAME)
        assert re.fullmatch(TIME, record["disabled_at"])
    active = f"/account_memberships/{membership_of(account, 'editor')}"
    assert_failure(account.api.get(f"{active}?only_inactive=true"), 404)


# 7.4: only_inactive narrows the list if it is true; false has no effect
@pytest.mark.parametrize("value", ["false", "FALSE"])
def test_only_inactive_false_is_as_if_it_was_not_sent(account: Account, value: str) -> None:
    path = f"/account_memberships/{disable(account, 'viewer')}"
    answer = account.api.get(f"/account_memberships?only_inactive={value}")
    assert_envelope(answer, NAME, count=3)
    assert_failure(account.api.get(f"{path}?only_inactive={value}"), 404)


# 7.4
@pytest.mark.parametrize(
    ("text", "roles"),
    [
        ("the viewer", ["viewer"]),
        ("THE", ["administrator", "editor", "viewer", "outsider"]),
        ("e e", ["editor"]),
        ("outs", ["outsider"]),
        ("side", ["outsider"]),
        ("example", []),
        ("viewer the", []),
        ("", ["administrator", "editor", "viewer", "outsider"]),
    ],
)
def test_memberships_are_found_by_name(account: Account, text: str, roles: list[str]) -> None:
    ids = [membership_of(account, role) for role in roles]
    params = {"order": "id", "by_full_name": text}
    answer = account.api.get("/account_memberships", params=params)
    assert_envelope(answer, NAME, ids, count=len(ids))


# 7.4
def test_memberships_are_found_by_users_and_dates(account: Account) -> None:
    users = {role: user.id for role, user in account.users.items()}
    editor, viewer = (membership_of(account, role) for role in ("editor", "viewer"))
    for query, ids in (
        (f"by_user_id={users['editor']}", [editor]),
        (f"by_user_id={users['editor']},{users['viewer']}", [editor, viewer]),
        (f"by_user_id[]={users['editor']}&by_user_id[]={users['viewer']}", [editor, viewer]),
        (f"by_user_id={users['editor']}&user_id={users['viewer']}", []),
        (f"by_user_id={users['editor']}&created_after=2026", [editor]),
        ("created_before=2026", []),
        ("updated_after=2999-01-01", []),
    ):
        answer = account.api.get(f"/account_memberships?order=id&{query}")
        assert_envelope(answer, NAME, ids, count=len(ids))


# 7.4
def test_the_newest_membership_is_first(account: Account) -> None:
    sent = {"full_name": "Nora", "email_address": "n@example.org", "permission": "collaborator"}
    answer = account.api.post("/account_memberships", json={"account_membership": sent})
    new = only_record(answer, NAME)["id"]
    assert account.api.get("/account_memberships").json()["results"][0]["id"] == new
    changed = membership_of(account, "viewer")
    path = f"/account_memberships/{changed}"
    account.api.put(path, json={"account_membership": {"permission": "project_lead"}})
    assert account.api.get("/account_memberships").json()["results"][0]["id"] == new
    first = account.api.get("/account_memberships?order=updated_at:desc").json()["results"][0]
    assert first["id"] == changed


# 7.4
@pytest.mark.parametrize("body", [{}, {"json": {}}, {"json": {"account_membership": {}}}])
def test_a_membership_is_disabled_and_enabled_by_paths(account: Account, body: dict) -> None:
    path = f"/account_memberships/{membership_of(account, 'viewer')}"
    viewer = account.clients["viewer"]
    for _ in range(2):  # doing it twice has the same effect as once
        record = only_record(account.api.put(f"{path}/disable", **body), NAME)
        assert re.fullmatch(TIME, record["disabled_at"])
        assert_failure(viewer.get("/users/me"), 401, "oauth")
    again = account.api.put(f"{path}/disable?include=user")
    assert only_record(again, NAME) == record
    assert set(again.json()["users"]) == {record["user_id"]}
    for _ in range(2):
        record = only_record(account.api.put(f"{path}/enable", **body), NAME)
        assert record["disabled_at"] is None
        assert viewer.get("/users/me").status_code == 200


# 1.5
@pytest.mark.parametrize(
    ("content", "media", "status"), [("{", "application/json", 400), ("x", "text/plain", 415)]
)
def test_a_malformed_body_disables_nobody(
    account: Account, content: str, media: str, status: int
) -> None:
    path = f"/account_memberships/{membership_of(account, 'viewer')}/disable"
    answer = account.api.put(path, content=content, headers={"content-type": media})
    assert_failure(answer, status)
    assert account.clients["viewer"].get("/users/me").status_code == 200


# 7.4
@pytest.mark.parametrize("verb", ["disable", "enable"])
def test_only_an_administrator_disables_and_enables(account: Account, verb: str) -> None:
    own, other = (membership_of(account, role) for role in ("viewer", "editor"))
    api = account.clients["viewer"]
    assert_failure(api.put(f"/account_memberships/{own}/{verb}"), 403)
    assert_failure(api.put(f"/account_memberships/{other}/{verb}"), 404)
    for one in ("0", "abc", "-1", "9" * 40):
        assert_failure(account.api.put(f"/account_memberships/{one}/{verb}"), 404)
    for method in ("GET", "POST", "DELETE"):
        answer = account.api.request(method, f"/account_memberships/{own}/{verb}")
        assert_failure(answer, 405)
        assert answer.headers["allow"] == "PUT"
    assert_failure(account.api.put(f"/account_memberships/{own}/rename"), 404)


# 7.4
def test_the_last_administrator_is_not_disabled_by_the_path(account: Account) -> None:
    path = f"/account_memberships/{membership_of(account, 'administrator')}/disable"
    assert_failure(account.api.put(path), 422, "validation", "disabled")
    assert account.api.get("/users/me").status_code == 200


# 7.4
@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_nothing_of_another_account_is_managed(
    account: Account, other_account: Account, method: str
) -> None:
    path = f"/account_memberships/{membership_of(account, 'viewer')}"
    if method == "put":
        for verb in ("", "/disable", "/enable"):
            answer = other_account.api.put(path + verb, json={"account_membership": {}})
            assert_failure(answer, 404)
    else:  # neither is served
        assert_failure(getattr(other_account.api, method)(path), 405)
    assert account.clients["viewer"].get("/users/me").status_code == 200
