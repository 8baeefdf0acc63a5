"""What each resource declares is true over HTTP: filters, orders, includes, what is not served."""

from collections.abc import Iterator

import pytest
from sharing import fill_account, open_account

from conftest import Account, Server
from expect import assert_envelope, assert_failure
from healthreports.contract.resources import RESOURCES, FilterType, Resource
from healthreports.core.query import Sort
from healthreports.core.vocabulary import Kind
from healthreports.store.engine.database import Database

KINDS = pytest.mark.parametrize("resource", RESOURCES.values(), ids=list(RESOURCES))
# 7.5: the list of references requires it.
ALWAYS = {Kind.EXTERNAL_REFERENCES: {"subject_type": "StatusReport"}}


@pytest.fixture(scope="module")
def full(server: Server, database: Database) -> Iterator[Account]:
    """An account with a few objects of every kind; the tests here only read it."""
    with open_account(server, database) as account:
        fill_account(account)
        yield account


def ask(account: Account, resource: Resource, **params: str):
    asked = {**ALWAYS.get(resource.kind, {}), **params}
    return account.api.get(f"/{resource.kind}", params=asked)


def listed(account: Account, resource: Resource, **params: str) -> list[str]:
    body = assert_envelope(ask(account, resource, **params), resource.kind)
    return [one["id"] for one in body["results"]]


# 1.6
@KINDS
def test_a_filter_that_is_not_served_is_refused_by_name(full: Account, resource: Resource) -> None:
    for name in resource.not_served:
        for sent in (name, f"{name}[]"):
            (error,) = assert_failure(ask(full, resource, **{sent: "7"}), 400)
            assert name in error["message"]
        # Also with `only`: all filters apply there (4.3).
        assert_failure(ask(full, resource, **{name: "true", "only": "1"}), 400)


# 1.6
@KINDS
def test_a_filter_that_is_not_served_may_be_blank_or_its_default(
    full: Account, resource: Resource
) -> None:
    whole = listed(full, resource)
    assert whole
    for name, default in resource.not_served.items():
        for value in {"", " ", default}:
            assert listed(full, resource, **{name: value}) == whole, (name, value)
            assert listed(full, resource, **{f"{name}[]": value}) == whole, (name, value)


# 1.6, 4.6: FALSE is the same boolean as false
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Kind.WORKSPACES, "financials_viewable_by_user"),
        (Kind.USERS, "managers"),
        (Kind.USERS, "with_created_estimates"),
    ],
)
def test_the_default_of_a_filter_that_is_not_served_may_be_in_capitals(
    full: Account, kind: Kind, name: str
) -> None:
    resource = RESOURCES[kind]
    assert listed(full, resource, **{name: "FALSE"}) == listed(full, resource)


# 1.6
@KINDS
def test_a_parameter_that_nobody_knows_is_ignored(full: Account, resource: Resource) -> None:
    whole = listed(full, resource)
    for name in ("nobody", "nobody[]", "filters", "search_by", "[]", "order[]"):
        assert listed(full, resource, **{name: "7"}) == whole, name


VALUES = {
    FilterType.TIME: "2026-01-01T00:00:00Z",
    FilterType.DATE: "2026-01-01",
    FilterType.FLAG: "true",
    FilterType.ONLY: "true",
    FilterType.ID: "7",
    FilterType.IDS: "7,8",
    FilterType.TEXT: "text",
    FilterType.TEXTS: "one,two",
    FilterType.ADDRESS: "a@example.org",
    FilterType.ADDRESSES: "a@example.org,b@example.org",
    FilterType.WORDS: "words",
    FilterType.SYNC_STATUS: "failed",
}
BAD = {
    FilterType.TIME: (
        "yesterday",
        "2026-13",
        "20260101",
        "2026-1-1",
        "1",
        "\0",
        "2026-11-24T25:00",
    ),
    FilterType.DATE: ("yesterday", "2026-02-30", "1", "\0"),
    FilterType.FLAG: ("yes", "1", "\0", "true,false", "True"),
    FilterType.ONLY: ("yes", "1", "\0", "true,false", "True"),
    FilterType.ID: ("me", "1.5", "1,2", "\0", "\u0661"),
    FilterType.IDS: ("me", "1,,2", "1.5", "\0", ",".join(["1"] * 201)),
    FilterType.TEXTS: (",".join(map(str, range(201))),),
    FilterType.ADDRESSES: (",".join(f"{n}@a.b" for n in range(201)),),
}


# 4.6
@KINDS
def test_every_filter_alone_is_answered(full: Account, resource: Resource) -> None:
    for spec in resource.filters:
        value = spec.choices[-1] if spec.choices else VALUES[spec.type]
        body = assert_envelope(ask(full, resource, **{spec.name: value}), resource.kind)
        assert body["count"] == len(body["results"]), spec.name


# 4.6
@KINDS
def test_a_bad_value_of_a_filter_is_refused_by_name(full: Account, resource: Resource) -> None:
    for spec in resource.filters:
        bad = ("nobody", f"{spec.choices[0]}x", "\0") if spec.choices else BAD.get(spec.type, ())
        for value in bad:
            (error,) = assert_failure(ask(full, resource, **{spec.name: value}), 400)
            assert spec.name in error["message"]


# 4.6: a blank value counts as not sent
@KINDS
def test_every_filter_may_be_blank(full: Account, resource: Resource) -> None:
    whole = listed(full, resource)
    for spec in resource.filters:
        if not spec.required:
            assert listed(full, resource, **{spec.name: ""}) == whole, spec.name
            assert listed(full, resource, **{spec.name: " "}) == whole, spec.name


ODD = ("\0", "'", '"', "%", "_", "\\", "*", "a" * 3000, "9" * 60, "-1", "😀", "🇨🇭", "AND", "NEAR(")
ODD += ("1 OR 1=1", "a,b", "[]", "{}", "\u202e", "\ufffe")


# 4.6, 6
@KINDS
@pytest.mark.parametrize("array", [False, True], ids=["plain", "array"])
def test_no_odd_value_of_a_filter_is_a_server_error(
    full: Account, resource: Resource, array: bool
) -> None:
    for spec in resource.filters:
        for value in ODD[::5] if array else ODD:
            name = f"{spec.name}[]" if array else spec.name
            asked = {**ALWAYS.get(resource.kind, {}), name: value}
            answer = full.api.get(f"/{resource.kind}", params=asked)
            assert answer.status_code in {200, 400}, (name, value, answer.text)


# 1.6
@KINDS
def test_a_list_of_values_may_be_an_array(full: Account, resource: Resource) -> None:
    for spec in resource.filters:
        if spec.type in {FilterType.IDS, FilterType.TEXTS, FilterType.ADDRESSES}:
            values = VALUES[spec.type].split(",")
        elif spec.type is FilterType.CHOICES:
            values = list(spec.choices[:2])
        else:
            continue
        plain = listed(full, resource, **{spec.name: ",".join(values)})
        pairs = [*ALWAYS.get(resource.kind, {}).items(), *((f"{spec.name}[]", v) for v in values)]
        answer = full.api.get(f"/{resource.kind}", params=pairs)
        assert_envelope(answer, resource.kind, plain, count=len(plain))


# 1.6, 4.3, 4.4
@KINDS
def test_only_and_include_may_be_arrays(full: Account, resource: Resource) -> None:
    ids = listed(full, resource)[:2]
    pairs = [*ALWAYS.get(resource.kind, {}).items(), *(("only[]", one) for one in ids)]
    names = [one.name for one in resource.associations]
    pairs += [("include[]", name) for name in names]
    body = assert_envelope(full.api.get(f"/{resource.kind}", params=pairs), resource.kind, ids)
    plain = ask(full, resource, only=",".join(ids), include=",".join(names))
    assert plain.json() == body
    for association in resource.associations:
        if not association.is_polymorphic:
            assert set(association.kinds) <= set(body), association.name


# The default orders that the contract states (7 and 4.5)
DEFAULT_ORDERS = {
    Kind.STATUS_REPORTS: ("id", False),
    Kind.WORKSPACES: ("updated_at", True),
    Kind.USERS: ("alphabetical", False),
    Kind.EXTERNAL_REFERENCES: ("last_synced_at", True),
    Kind.PARTICIPATIONS: ("updated_at", True),
    Kind.ACCOUNT_MEMBERSHIPS: ("created_at", True),
    Kind.WORKSPACE_GROUPS: ("name", False),
}


@KINDS
def test_every_kind_has_the_default_order_of_the_contract(
    full: Account, resource: Resource
) -> None:
    name, descending = DEFAULT_ORDERS[resource.kind]
    assert resource.default_sort == Sort(name, descending=descending)
    whole = listed(full, resource)
    assert listed(full, resource, order=f"{name}:{'desc' if descending else 'asc'}") == whole
    for order in ("", "nobody", "nobody:desc", "\0:desc", ":desc", f"{name.upper()}:asc"):
        assert listed(full, resource, order=order) == whole, order


# 7
ORDERS = {
    Kind.STATUS_REPORTS: ("created_at", "updated_at", "id"),
    Kind.WORKSPACES: ("created_at", "updated_at", "title", "start_date", "due_date"),
    Kind.USERS: ("alphabetical", "full_name"),
    Kind.EXTERNAL_REFERENCES: ("created_at", "last_synced_at"),
    Kind.PARTICIPATIONS: ("created_at", "updated_at", "user_name"),
    Kind.ACCOUNT_MEMBERSHIPS: ("created_at",),
    Kind.WORKSPACE_GROUPS: ("name", "created_at", "updated_at"),
}


@KINDS
def test_every_order_can_be_asked_for_in_both_directions(full: Account, resource: Resource) -> None:
    assert set(ORDERS[resource.kind]) <= set(resource.sorts)
    whole = sorted(listed(full, resource))
    for name in resource.sorts:
        up = listed(full, resource, order=name)
        assert up == listed(full, resource, order=f"{name}:asc")
        assert up == listed(full, resource, order=f"{name}:upwards")
        assert sorted(up) == whole
        assert sorted(listed(full, resource, order=f"{name}:desc")) == whole


# 4.5, 7: ties are ordered by id ascending, also across pages
@KINDS
def test_pages_of_one_fit_together_in_every_order(full: Account, resource: Resource) -> None:
    for name in resource.sorts:
        for direction in ("asc", "desc"):
            order = f"{name}:{direction}"
            whole = listed(full, resource, order=order)
            for number, one in enumerate(whole, 1):
                page = listed(full, resource, order=order, per_page="1", page=str(number))
                assert page == [one], order


# 2.6
@KINDS
def test_every_association_opens_its_keys_and_links(full: Account, resource: Resource) -> None:
    for association in resource.associations:
        body = assert_envelope(ask(full, resource, include=association.name), resource.kind)
        for record in body[resource.kind].values():
            assert association.link in record, association.name
        empty = ask(full, resource, include=association.name, only="0").json()
        if not association.is_polymorphic:
            assert set(empty) == {"count", "results", "meta", resource.kind, *association.kinds}
        if not association.column:
            plain = ask(full, resource).json()[resource.kind]
            assert not any(association.link in record for record in plain.values())


# 7: no query finds anything of another account
@KINDS
def test_no_filter_finds_anything_of_another_account(
    full: Account, other_account: Account, resource: Resource
) -> None:
    ours = set(listed(full, resource))
    for spec in resource.filters:
        if spec.type in {FilterType.ID, FilterType.IDS}:
            for value in (*full.workspaces, *(str(user.id) for user in full.users.values()), *ours):
                found = listed(other_account, resource, **{spec.name: value})
                assert ours.isdisjoint(found), spec.name


# 2.2: filters whose counts are known to be wrong; tests in other files cover them.
WRONG_COUNTS = {"creator_id", "has_participation"}


def values_of(account: Account, kept: FilterType, ids: list[str]) -> list[str]:
    """A few values of a filter; some find something, and others find nothing."""
    users = [str(user.id) for user in account.users.values()]
    everything = [*ids[:2], *users[:2], *account.workspaces, "0"]
    return {
        FilterType.TIME: ["2026", "2026-11", "2999"],
        FilterType.DATE: ["2026-01-01", "2999-01-01"],
        FilterType.FLAG: ["true", "false"],
        FilterType.ONLY: ["true", "false"],
        FilterType.ID: everything,
        FilterType.IDS: [*everything, ",".join(everything), f"{users[0]},0"],
        FilterType.TEXT: ["tracker", "Issue", "1", "2", "none"],
        FilterType.TEXTS: ["1", "2", "1,2", "none"],
        FilterType.ADDRESS: [one.email_address for one in account.users.values()],
        FilterType.ADDRESSES: [one.email_address for one in account.users.values()],
        FilterType.WORDS: ["well", "first", "alpha", "editor", "e", "none"],
        FilterType.SYNC_STATUS: ["successful", "failed", "pending"],
    }[kept]


# 2.2, 6: the count is right for the caller and the query, whatever was asked before
@KINDS
def test_every_count_is_the_number_of_rows(full: Account, resource: Resource) -> None:
    ids = listed(full, resource)
    questions = [{}]
    for spec in resource.filters:
        if spec.name not in WRONG_COUNTS and spec.name != "subject_type":
            choices = [*spec.choices] if spec.choices else None
            values = choices or values_of(full, spec.type, ids)
            questions += [{spec.name: value} for value in values]
    # And pairs of them.
    step = 7
    questions += [
        one | other for one, other in zip(questions, questions[step:], strict=False) if one
    ]
    for number in range(2):
        for asked in questions if number == 0 else reversed(questions):
            for role in ("editor", "administrator", "viewer", "outsider"):
                params = {**ALWAYS.get(resource.kind, {}), **asked, "per_page": "200"}
                answer = full.clients[role].get(f"/{resource.kind}", params=params)
                body = assert_envelope(answer, resource.kind)
                assert body["count"] == len(body["results"]), (role, asked)
