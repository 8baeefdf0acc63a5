"""Entity tags, If-None-Match and If-Match. Contract: 8.1."""

from collections.abc import Iterator

import httpx
import pytest
from sharing import fill_account, open_account

from conftest import Account, Server
from expect import assert_failure, only_record
from healthreports.contract.operations import OPERATIONS, Gives, Operation
from healthreports.contract.resources import AUDIT_EVENTS, RESOURCES
from healthreports.core.vocabulary import Kind
from healthreports.store.engine.database import Database

READS = [one for one in OPERATIONS if one.method == "GET" and one.gives is not Gives.STREAM]
LISTS = [one for one in READS if one.gives is Gives.LIST]
SHOWS = [one for one in READS if one.gives is Gives.RECORD]
CHANGES = [
    one for one in OPERATIONS if one.method in ("PUT", "PATCH", "DELETE") and "{id}" in one.path
]
# Paths of records whose entity tag a client can send with a change.
SHOWN = {one.path for one in SHOWS}
ALWAYS = {Kind.EXTERNAL_REFERENCES: {"subject_type": "StatusReport"}}


def by_name(operations: list[Operation]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("operation", operations, ids=[one.name for one in operations])


@pytest.fixture(scope="module")
def full(server: Server, database: Database) -> Iterator[Account]:
    with open_account(server, database) as account:
        fill_account(account)
        yield account


def params_of(operation: Operation) -> dict[str, str]:
    kind = operation.resource.kind
    return ALWAYS.get(kind, {}) if operation.gives is Gives.LIST else {}


def an_id(account: Account, kind: Kind) -> str:
    """The id of the record that was created last, or deleted last."""
    if kind is Kind.STATUS_REPORT_VERSIONS:
        kind = Kind.STATUS_REPORTS
    answer = account.api.get(f"/{kind}", params=ALWAYS.get(kind, {}))
    return max((one["id"] for one in answer.json()["results"]), key=int)


def path_of(account: Account, operation: Operation) -> str:
    if "{id}" not in operation.path:
        return operation.path
    return operation.path.replace("{id}", an_id(account, operation.resource.kind))


def read(account: Account, operation: Operation, known: str = "", **params: str) -> httpx.Response:
    headers = {"if-none-match": known} if known else {}
    asked = params_of(operation) | params
    return account.api.get(path_of(account, operation), params=asked, headers=headers)


@by_name(READS)
def test_who_has_the_answer_is_told_so(full: Account, operation: Operation) -> None:
    first = read(full, operation)
    tag = first.headers["etag"]
    assert tag.startswith('"')
    assert tag.endswith('"')
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = read(full, operation, known)
        assert (again.status_code, again.content) == (304, b"")
        for name in ("etag", "cache-control", "vary"):
            assert again.headers[name] == first.headers[name]
        assert "content-length" not in again.headers
    other = read(full, operation, '"other"')
    assert (other.status_code, other.content) == (200, first.content)


@by_name(READS)
def test_another_question_has_another_tag(full: Account, operation: Operation) -> None:
    questions = [{}, *({"include": one.name} for one in operation.resource.associations)]
    if operation.gives is Gives.LIST:
        questions.append({"per_page": "1"})
    tags = [read(full, operation, **one).headers["etag"] for one in questions]
    assert len(set(tags)) == len(tags)


@by_name(LISTS)
def test_a_list_has_another_tag_for_each_who_asks(full: Account, operation: Operation) -> None:
    path = path_of(full, operation)
    answers = [client.get(path, params=params_of(operation)) for client in full.clients.values()]
    tags = [one.headers["etag"] for one in answers if one.is_success]
    # Some of them are visible only to the administrator.
    assert len(set(tags)) == len(tags) > (operation.resource is not AUDIT_EVENTS)


@by_name(LISTS)
def test_a_list_has_another_tag_after_a_change(full: Account, operation: Operation) -> None:
    before = read(full, operation).headers["etag"]
    full.report()
    after = read(full, operation, before)
    assert (after.status_code, after.headers["etag"] != before) == (200, True)


@by_name(READS)
def test_an_error_has_no_tag(full: Account, operation: Operation) -> None:
    with httpx.Client(base_url=full.api.base_url) as stranger:
        answer = stranger.get(path_of(full, operation), headers={"if-none-match": "*"})
    assert_failure(answer, 401, "oauth")
    assert "etag" not in answer.headers


def test_what_is_beside_a_record_changes_the_tag_with_it_alone(full: Account) -> None:
    path = f"/status_reports/{full.report()}"
    plain, with_more = (
        full.api.get(path, params=params).headers["etag"]
        for params in ({}, {"include": "workspace"})
    )
    renamed = full.api.put(
        f"/workspaces/{full.workspaces[0]}", json={"workspace": {"title": "Another title"}}
    )
    assert renamed.is_success
    kept = full.api.get(path, headers={"if-none-match": plain})
    assert kept.status_code == 304
    other = full.api.get(
        path, params={"include": "workspace"}, headers={"if-none-match": with_more}
    )
    assert other.status_code == 200


def bodies(kind: Kind) -> dict[str, object]:
    """A change for a record of each kind that can be changed."""
    return {
        Kind.STATUS_REPORTS: {"description": "Changed."},
        Kind.WORKSPACES: {"description": "Changed."},
        Kind.PARTICIPATIONS: {"permission": "view"},
        Kind.ACCOUNT_MEMBERSHIPS: {"permission": "project_lead"},
        Kind.WORKSPACE_GROUPS: {"notes": "Changed."},
    }[kind]


def ask(account: Account, operation: Operation, record_id: str, tag: str) -> httpx.Response:
    body = None
    if operation.method != "DELETE" and operation.path.endswith("{id}"):
        body = {operation.resource.root: bodies(operation.resource.kind)}
    path = operation.path.replace("{id}", record_id)
    return account.api.request(operation.method, path, json=body, headers={"if-match": tag})


@by_name([one for one in CHANGES if f"/{one.resource.kind}/{{id}}" in SHOWN])
def test_a_record_is_changed_only_in_the_state_that_was_named(
    account: Account, operation: Operation
) -> None:
    fill_account(account)
    record_id = an_id(account, operation.resource.kind)
    show = f"/{operation.resource.kind}/{record_id}"
    shown = account.api.get(show)
    for wrong in ('"other"', f"W/{shown.headers['etag']}"):
        assert_failure(ask(account, operation, record_id, wrong), 412)
    assert account.api.get(show).content == shown.content
    right = f'"other", {shown.headers["etag"]}'
    assert ask(account, operation, record_id, right).is_success
    if account.api.get(show).headers.get("etag") != shown.headers["etag"]:
        again = ask(account, operation, record_id, right)
        assert again.status_code == (404 if operation.method == "DELETE" else 412)


@by_name([one for one in CHANGES if f"/{one.resource.kind}/{{id}}" in SHOWN])
def test_what_stood_beside_it_does_not_matter_for_a_change(
    account: Account, operation: Operation
) -> None:
    fill_account(account)
    resource = RESOURCES[operation.resource.kind]
    record_id = an_id(account, resource.kind)
    for one in resource.associations[:1]:
        shown = account.api.get(f"/{resource.kind}/{record_id}", params={"include": one.name})
        assert ask(account, operation, record_id, shown.headers["etag"]).is_success


@by_name(CHANGES)
def test_what_is_not_seen_is_not_there_whatever_its_tag(
    account: Account, operation: Operation
) -> None:
    fill_account(account)
    record_id = an_id(account, operation.resource.kind)
    path = operation.path.replace("{id}", record_id)
    body = {operation.resource.root: {}} if operation.path.endswith("{id}") else None
    answer = account.clients["outsider"].request(
        operation.method,
        path,
        json=None if operation.method == "DELETE" else body,
        headers={"if-match": '"other"'},
    )
    seen = account.clients["outsider"].get(f"/{operation.resource.kind}/{record_id}")
    assert_failure(answer, 412 if seen.is_success else 404)


def test_of_two_who_change_one_report_the_second_is_told(account: Account) -> None:
    path = f"/status_reports/{account.report()}"
    tag = account.api.get(path).headers["etag"]
    mine, theirs = (
        account.clients[role].put(
            path, json={"status_report": {"description": text}}, headers={"if-match": tag}
        )
        for role, text in (("administrator", "Mine."), ("editor", "Theirs."))
    )
    assert only_record(mine)["description"] == "Mine."
    assert_failure(theirs, 412)
    assert only_record(account.api.get(path))["description"] == "Mine."


@by_name(LISTS)
def test_any_tag_will_do_only_where_there_is_an_answer(full: Account, operation: Operation) -> None:
    if "{id}" in operation.path:
        path, status = operation.path.replace("{id}", "999999999"), 404
    elif operation.resource.not_served:
        path, status = f"{operation.path}?{next(iter(operation.resource.not_served))}=7", 400
    else:
        return
    answer = full.api.get(path, headers={"if-none-match": "*"})
    assert_failure(answer, status)
