"""Users: who can find whom, with which filters, in which order (7.2)."""

from collections.abc import Iterator

import pytest
from sharing import open_account

from conftest import Account, Server
from expect import assert_envelope, assert_failure, only_record
from healthreports.store.engine.database import Database


def add(account: Account, full_name: str, address: str, **sent: object) -> str:
    body = {"full_name": full_name, "email_address": address, "permission": "collaborator"}
    answer = account.api.post("/account_memberships", json={"account_membership": {**body, **sent}})
    return only_record(answer, "account_memberships")["user_id"]


def let_in(account: Account, user_id: str, space_id: str, **sent: object) -> str:
    place = {"workspace_id": space_id, "user_id": user_id, **sent}
    answer = account.api.post("/participations", json={"participation": place})
    return only_record(answer, "participations")["id"]


PEOPLE = {
    "eva": ("Éva Müller", "eva@example.org"),
    "ewald": ("ewald Zürcher-Meier", "zuercher@firm.example"),
    "anna": ("Anna O'Neil", "a.o@firm.example"),
    "adam": ("ädam Smith", "smith@example.org"),
    "zoe": ("Zoë 山田太郎", "zoe+tag@example.org"),
    "gone": ("Gone Away", "gone@example.org"),
}


@pytest.fixture(scope="module")
def shelf(server: Server, database: Database) -> Iterator[tuple[Account, dict[str, str]]]:
    """People by name; the tests here only read them."""
    with open_account(server, database) as account:
        ids = {name: add(account, *who) for name, who in PEOPLE.items()}
        ids |= {role: str(user.id) for role, user in account.users.items()}
        first, second = account.workspaces
        for name, space in (("eva", first), ("ewald", second), ("gone", first)):
            let_in(account, ids[name], space)
        [found] = account.api.get(f"/account_memberships?by_user_id={ids['gone']}").json()[
            "results"
        ]
        account.api.put(f"/account_memberships/{found['id']}/disable")
        ids |= {"first": first, "second": second}
        yield account, ids


ROLES = ("administrator", "editor", "viewer", "outsider")
ALL = ("eva", "ewald", "anna", "adam", "zoe", *ROLES)
FILTERS = {
    "nothing": ({}, ALL),
    "address": ({"by_email_address": "eva@example.org"}, ("eva",)),
    "address in capitals": ({"by_email_address": " EVA@Example.org "}, ("eva",)),
    "part of an address": ({"by_email_address": "eva@example"}, ()),
    "address of a disabled one": ({"by_email_address": "gone@example.org"}, ()),
    "address of a disabled one, shown": (
        {"by_email_address": "gone@example.org", "show_disabled": "true"},
        ("gone",),
    ),
    "addresses": (
        {"by_email_addresses": "eva@example.org,smith@example.org,x@y.z"},
        ("eva", "adam"),
    ),
    "addresses in capitals": (
        {"by_email_addresses": "EVA@example.org, smith@Example.org"},
        ("eva", "adam"),
    ),
    "address with a plus": ({"by_email_address": "zoe+tag@example.org"}, ("zoe",)),
    "name": ({"by_full_name": "Éva Müller"}, ("eva",)),
    "name without accents": ({"by_full_name": "eva muller"}, ("eva",)),
    "name in capitals": ({"by_full_name": "EVA MÜLLER"}, ("eva",)),
    "part of a name": ({"by_full_name": "ülle"}, ("eva",)),
    "part over a blank": ({"by_full_name": "a m"}, ("eva",)),
    "part over a hyphen": ({"by_full_name": "cher-mei"}, ("ewald",)),
    "hyphen is no blank": ({"by_full_name": "zürcher meier"}, ()),
    "apostrophe": ({"by_full_name": "o'neil"}, ("anna",)),
    "words in another order": ({"by_full_name": "Müller Éva"}, ()),
    "name, not address": ({"by_full_name": "firm"}, ()),
    "one letter of a name": ({"by_full_name": "z"}, ("ewald", "zoe")),
    "characters of a name": ({"by_full_name": "田太"}, ("zoe",)),
    "search a name": ({"search": "mull"}, ("eva",)),
    "search an address": ({"search": "firm"}, ("ewald", "anna")),
    "search in both": ({"search": "ann firm"}, ("anna",)),
    "search in another order": ({"search": "müller éva"}, ("eva",)),
    "search a part": ({"search": "eil"}, ("anna",)),
    "matching a name": ({"matching": "SMITH"}, ("adam",)),
    "matching an address": ({"matching": "zuercher@firm.example"}, ("ewald",)),
    "matching a part": ({"matching": "太"}, ("zoe",)),
    "matching nobody": ({"matching": "nobody of that name"}, ()),
    "search and matching": ({"search": "firm", "matching": "ann"}, ("anna",)),
    "participant_in": ({"participant_in": "ID:first"}, ("eva", "editor", "viewer")),
    "participant_in, disabled too": (
        {"participant_in": "ID:first", "show_disabled": "true"},
        ("eva", "editor", "viewer", "gone"),
    ),
    "participant_in nothing": ({"participant_in": "0"}, ()),
    "not_participant_in": (
        {"not_participant_in": "ID:first"},
        ("administrator", "outsider", "ewald", "anna", "adam", "zoe"),
    ),
    "not_participant_in nothing": ({"not_participant_in": "0"}, ALL),
    "on_my_account": ({"on_my_account": "true"}, ALL),
    "not on_my_account": ({"on_my_account": "false"}, ALL),
    "with": ({"with_users": "ID:eva,ID:gone,0"}, ("eva",)),
    "without": ({"without_users": "ID:eva,ID:ewald"}, ("anna", "adam", "zoe", *ROLES)),
    "show_disabled": ({"show_disabled": "true"}, (*ALL, "gone")),
    "not show_disabled": ({"show_disabled": "false"}, ALL),
    "default filters off": ({"apply_default_filters": "false"}, (*ALL, "gone")),
    "created after": ({"created_after": "2026"}, ALL),
    "created before": ({"created_before": "2026"}, ()),
    "updated after": ({"updated_after": "2026-01"}, ALL),
    "updated before": ({"updated_before": "2000-01-01"}, ()),
}


def asked(ids: dict[str, str], params: dict[str, str]) -> dict[str, str]:
    known = {f"ID:{name}": one for name, one in ids.items()}
    return {
        name: ",".join(known.get(part, part) for part in value.split(","))
        for name, value in params.items()
    }


# 7.2
@pytest.mark.parametrize(("params", "expected"), FILTERS.values(), ids=FILTERS)
def test_each_filter_finds_its_users(
    shelf: tuple[Account, dict[str, str]], params: dict, expected: tuple[str, ...]
) -> None:
    account, ids = shelf
    filled = {"order": "id", **asked(ids, params)}
    found = sorted((ids[name] for name in expected), key=int)
    answer = account.api.get("/users", params=filled)
    assert_envelope(answer, "users", found, count=len(found))
    if "search" not in params:
        every = ",".join(ids[name] for name in (*PEOPLE, *ROLES))
        answer = account.api.get("/users", params={**filled, "only": every})
        assert_envelope(answer, "users", found, count=len(found))


# 7
def test_a_search_of_users_does_nothing_to_only(shelf: tuple[Account, dict[str, str]]) -> None:
    account, ids = shelf
    answer = account.api.get("/users", params={"only": ids["eva"], "search": "nobody"})
    assert_envelope(answer, "users", [ids["eva"]], count=1)


# 7
def test_a_search_of_users_goes_by_id(shelf: tuple[Account, dict[str, str]]) -> None:
    account, ids = shelf
    answer = account.api.get("/users?search=firm")
    assert_envelope(answer, "users", [ids["ewald"], ids["anna"]], count=2)


# 7.2: any part of the name, whatever its characters
@pytest.mark.xfail(strict=True, reason="a part without letters and digits is never found")
@pytest.mark.parametrize(("part", "name"), [("-", "ewald"), ("'", "anna")])
def test_a_part_of_a_name_may_be_a_sign(
    shelf: tuple[Account, dict[str, str]], part: str, name: str
) -> None:
    account, ids = shelf
    answer = account.api.get("/users", params={"by_full_name": part})
    assert_envelope(answer, "users", [ids[name]], count=1)


def test_blanks_around_a_part_of_a_name_do_not_count(
    shelf: tuple[Account, dict[str, str]],
) -> None:
    account, ids = shelf
    answer = account.api.get("/users", params={"by_full_name": " müller "})
    assert_envelope(answer, "users", [ids["eva"]], count=1)


@pytest.mark.xfail(
    strict=True, reason="only the first 64 letters of a word of a name are looked at"
)
def test_a_part_may_stand_far_inside_a_long_word_of_a_name(account: Account) -> None:
    made = add(account, "a" * 100 + "nadel", "long@example.org")
    answer = account.api.get("/users?by_full_name=nadel")
    assert_envelope(answer, "users", [made], count=1)


# 7.2, 7: case and accents are ignored
@pytest.mark.parametrize("name", ["alphabetical", "full_name"])
def test_users_are_in_the_order_of_their_names(
    shelf: tuple[Account, dict[str, str]], name: str
) -> None:
    account, ids = shelf
    expected = ["adam", "anna", "eva", "ewald", *ROLES[:2], "outsider", "viewer", "zoe"]
    up = [ids[one] for one in expected]
    for order, found in (
        (f"{name}:asc", up),
        (name, up),
        (f"{name}:desc", up[::-1]),
        ("", up),
        ("created_at:desc", up),  # not a valid order for users
    ):
        answer = account.api.get("/users", params={"order": order})
        assert_envelope(answer, "users", found, count=len(found))


# 7.2: show_disabled also applies to show, and side-loads stay complete
def test_a_disabled_user_is_shown_only_when_asked_for(
    shelf: tuple[Account, dict[str, str]],
) -> None:
    account, ids = shelf
    path = f"/users/{ids['gone']}"
    for query in ("", "?show_disabled=false", "?show_disabled="):
        assert_failure(account.api.get(path + query), 404)
    for query in ("?show_disabled=true", "?show_disabled=TRUE", "?apply_default_filters=false"):
        assert only_record(account.api.get(path + query), "users")["full_name"] == "Gone Away"
    (error,) = assert_failure(account.api.get(f"{path}?show_disabled=1"), 400)
    assert "show_disabled" in error["message"]
    body = account.api.get(f"/workspaces/{ids['first']}?include=participants").json()
    assert ids["gone"] in body["users"]
    assert ids["gone"] in body["workspaces"][ids["first"]]["participant_ids"]
    body = account.api.get(f"/participations?by_user={ids['gone']}&include=user").json()
    assert set(body["users"]) == {ids["gone"]}


# 7.2
@pytest.mark.parametrize("path", ["/users", "/users/me"])
def test_a_user_leads_to_its_membership(account: Account, path: str) -> None:
    body = account.api.get(f"{path}?include=account_membership").json()
    for user in body["users"].values():
        membership = body["account_memberships"][user["account_membership_id"]]
        assert membership["user_id"] == user["id"]
    own = body["users"][str(account.users["administrator"].id)]["account_membership_id"]
    assert body["account_memberships"][own]["permission"] == "administrator"
    # A user who is not an administrator sees only their own membership (7.4).
    body = account.clients["viewer"].get("/users?include=account_membership").json()
    [membership] = body["account_memberships"].values()
    assert membership["user_id"] == str(account.users["viewer"].id)
    others = body["users"][str(account.users["editor"].id)]
    assert others["account_membership_id"] is None


# 7.2: nobody finds a user whom they do not see
@pytest.mark.parametrize("role", ["viewer", "outsider"])
def test_nobody_finds_whom_it_does_not_see(
    shelf: tuple[Account, dict[str, str]], role: str
) -> None:
    account, ids = shelf
    api = account.clients[role]
    seen = {"viewer": {"eva", "editor", "viewer"}, "outsider": {"outsider"}}[role]
    for name, (full_name, address) in PEOPLE.items():
        found = [ids[name]] if name in seen else []
        for params in (
            {"by_email_address": address},
            {"by_email_addresses": address},
            {"by_full_name": full_name},
            {"search": full_name},
            {"matching": address},
            {"with_users": ids[name]},
            {"only": ids[name]},
        ):
            answer = api.get("/users", params={"on_my_account": "true", **params})
            assert_envelope(answer, "users", found, count=len(found))
        assert api.get(f"/users/{ids[name]}").status_code == (200 if found else 404)


# 7.2: participant_in with a workspace that the caller does not see reveals nothing
def test_who_is_in_a_hidden_workspace_is_not_told(shelf: tuple[Account, dict[str, str]]) -> None:
    account, ids = shelf
    api = account.clients["viewer"]  # sees the first, and there eva and the editor
    seen = sorted((ids[name] for name in ("eva", "editor", "viewer")), key=int)
    for space in (ids["second"], "999999999", "0"):  # the editor is in the second
        answer = api.get(f"/users?order=id&participant_in={space}")
        assert_envelope(answer, "users", [], count=0)
        answer = api.get(f"/users?order=id&not_participant_in={space}")
        assert_envelope(answer, "users", seen, count=len(seen))
    answer = api.get(f"/users?order=id&participant_in={ids['first']}")
    assert_envelope(answer, "users", seen, count=len(seen))
    assert_envelope(api.get(f"/users?not_participant_in={ids['first']}"), "users", [], count=0)


# 7.2, 2.2: counts follow every change
def test_counts_of_users_follow_every_change(account: Account) -> None:
    space = account.workspaces[1]
    path = f"/users?participant_in={space}"
    assert_envelope(account.api.get(path), "users", count=1)
    new = add(account, "Nora New", "nora@example.org")
    for query in ("matching=nora", "by_email_address=nora@example.org"):
        assert_envelope(account.api.get(f"/users?{query}"), "users", [new], count=1)
    place = let_in(account, new, space)
    assert_envelope(account.api.get(path), "users", count=2)
    [found] = account.api.get(f"/account_memberships?by_user_id={new}").json()["results"]
    for verb, count in (("disable", 1), ("enable", 2), ("disable", 1)):
        account.api.put(f"/account_memberships/{found['id']}/{verb}")
        assert_envelope(account.api.get(path), "users", count=count)
        assert_envelope(account.api.get("/users"), "users", count=count + 3)
        assert_envelope(account.api.get("/users?matching=nora"), "users", count=count - 1)
    assert account.api.delete(f"/participations/{place}").status_code == 204
    assert_envelope(account.api.get(f"{path}&show_disabled=true"), "users", count=1)


# 7.2
def test_users_are_not_written(account: Account) -> None:
    path = f"/users/{account.users['viewer'].id}"
    for answer in (
        account.api.post("/users", json={"user": {"full_name": "X"}}),
        account.api.put(path, json={"user": {"full_name": "X"}}),
        account.api.delete(path),
    ):
        assert_failure(answer, 405)
        assert "GET" in answer.headers["allow"]
