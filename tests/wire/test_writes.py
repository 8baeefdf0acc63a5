from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from sharing import open_account

from conftest import Account, Server
from expect import assert_envelope, assert_failure, only_record
from healthreports.store.engine.database import Database

pytestmark = pytest.mark.every_store

REFERENCE = {"service_name": "tracker", "service_model": "Issue", "service_model_ref": "1"}
UPDATES = ["PUT", "PATCH"]


@pytest.fixture(scope="module")
def shared(server: Server, database: Database) -> Iterator[Account]:
    with open_account(server, database) as account:
        yield account


def detail(category: str, color: str, description: str | None = None) -> dict[str, str | None]:
    return {"category": category, "color": color, "description": description}


def update(account: Account, report_id: str, method: str = "PUT", **sent: object) -> httpx.Response:
    path = f"/status_reports/{report_id}"
    return account.api.request(method, path, json={"status_report": sent})


def references(account: Account, report_id: str) -> list[dict]:
    """The external references of a report, the oldest first."""
    answer = account.api.get(f"/status_reports/{report_id}?include=external_references")
    record = only_record(answer)
    found = answer.json()["external_references"]
    assert sorted(record["external_reference_ids"]) == sorted(found)
    return sorted(found.values(), key=lambda one: int(one["id"]))


NO_IDS = [
    "abc",
    "0",
    "-1",
    "1.5",
    "1e1",
    "0x1",
    "{id}abc",
    "-{id}",
    "+{id}",
    "{id}.0",
    "%20{id}",
    "{id}%20",
    "{id}%00",
    "%00",
    "{id},{id}",
    "{id};",
    "%EF%BC%91",
    "%C2%B2",
    "%ff",
    "%F0%9F%98%80",
    "999999999",
    str(2**63 - 1),
    str(2**63),
    "9" * 400,
    "null",
    "' OR 1=1",
    "%25",
]


# 5.1
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_a_report_that_is_not_there_gets_404(account: Account, method: str) -> None:
    report_id = account.report()
    body = {"json": {"status_report": {"color": "red"}}} if method in UPDATES else {}
    for text in NO_IDS:
        path = f"/status_reports/{text.format(id=report_id)}"
        answer = account.api.request(method, path, **body)
        assert answer.status_code == 404, path
        assert_failure(answer, 404)
    assert_envelope(account.api.get("/status_reports"), "status_reports", [report_id])


# 5.1
@pytest.mark.parametrize(
    "query",
    [
        "only=0",
        "workspace_id=0",
        "workspace_id=abc",
        "created_after=9999-01-01",
        "updated_before=nonsense",
        "has_external_references=true",
        "has_external_references=nonsense",
        "external_reference_service_name=nobody",
        "page=9&per_page=1",
        "limit=1&offset=9",
        f"only={'1,' * 300}",
        "search=zzz",
        "optional_fields=color",
    ],
)
def test_list_filters_do_not_apply_to_show(shared: Account, query: str) -> None:
    report_id = shared.report()
    record = only_record(shared.api.get(f"/status_reports/{report_id}"))
    assert only_record(shared.api.get(f"/status_reports/{report_id}?{query}")) == record


# 5.2
def test_a_report_is_created_with_what_was_sent(account: Account) -> None:
    sent = {
        "workspace_id": account.workspaces[1],
        "color": "yellow",
        "description": "Late",
        "details": [detail("Client", "red", "Angry"), detail("Scope", "green")],
        "external_reference": REFERENCE,
    }
    record = only_record(account.api.post("/status_reports", json={"status_report": sent}))
    assert record["workspace_id"] == account.workspaces[1]
    assert record["color"] == "yellow"
    assert record["description"] == "Late"
    assert record["details"] == sent["details"][::-1]
    assert record["created_at"] == record["updated_at"]
    assert only_record(account.api.get(f"/status_reports/{record['id']}")) == record
    (reference,) = references(account, record["id"])
    assert REFERENCE.items() <= reference.items()


# 5.2
def test_details_and_reference_are_optional(account: Account) -> None:
    report_id = account.report()
    assert only_record(account.api.get(f"/status_reports/{report_id}"))["details"] == []
    assert references(account, report_id) == []


# 5.2
def test_equal_reports_are_different_reports(account: Account) -> None:
    ids = [account.report(), account.report()]
    assert_envelope(account.api.get("/status_reports"), "status_reports", ids)


# 5.3
@pytest.mark.parametrize("method", UPDATES)
@pytest.mark.parametrize(
    "sent",
    [
        {"color": "red"},
        {"description": "New"},
        {"details": [detail("Client", "red", "New")]},
        {"color": "yellow", "description": "New"},
        {},
    ],
    ids=["color", "description", "details", "two", "none"],
)
def test_update_keeps_what_is_not_sent(shared: Account, method: str, sent: dict) -> None:
    report_id = shared.report(details=[detail("Scope", "red", "Old")], external_reference=REFERENCE)
    before = only_record(shared.api.get(f"/status_reports/{report_id}"))
    kept = references(shared, report_id)
    answer = update(shared, report_id, method, **sent)
    record = only_record(answer)
    assert only_record(shared.api.get(f"/status_reports/{report_id}")) == record
    moving = {"updated_at": record["updated_at"], "updater_id": record["updater_id"]}
    assert record == {**before, **sent, **moving}
    assert references(shared, report_id) == kept


DETAILS = {
    "one of two": [detail("Scope", "red", "Late")],
    "the other of two": [detail("Budget", "green")],
    "another": [detail("Client", "yellow")],
    "color alone": [detail("Scope", "green", "Late"), detail("Budget", "green")],
    "description left out": [detail("Scope", "red"), detail("Budget", "green")],
    "all": [detail(name, "red", name) for name in ("Scope", "Budget", "Schedule", "Client")],
    "none": [],
}


# 5.3
@pytest.mark.parametrize("method", UPDATES)
@pytest.mark.parametrize("details", DETAILS.values(), ids=DETAILS)
def test_update_drops_categories_left_out(
    shared: Account, method: str, details: list[dict]
) -> None:
    report_id = shared.report(details=[detail("Scope", "red", "Late"), detail("Budget", "green")])
    sent = [{name: value for name, value in one.items() if value} for one in details]
    record = only_record(update(shared, report_id, method, details=sent))
    assert record["details"] == details
    assert only_record(shared.api.get(f"/status_reports/{report_id}"))["details"] == details


# 5.3
@pytest.mark.parametrize("method", UPDATES)
def test_update_ignores_another_workspace(shared: Account, method: str) -> None:
    report_id = shared.report()
    for value in (shared.workspaces[1], 0, "abc", None, [], {}, 10**30):
        record = only_record(update(shared, report_id, method, workspace_id=value, color="red"))
        assert record["workspace_id"] == shared.workspaces[0]
        assert record["color"] == "red"


# 5.3
def test_a_report_can_be_updated_by_form(account: Account) -> None:
    report_id = account.report(details=[detail("Scope", "red", "Late")])
    record = only_record(
        account.api.put(
            f"/status_reports/{report_id}",
            data={
                "status_report[details][][category]": "Budget",
                "status_report[details][][color]": "green",
            },
        )
    )
    assert record["details"] == [detail("Budget", "green")]
    assert record["color"] == "green"


# 5.4
def test_a_reference_starts_as_successful_and_synced(account: Account) -> None:
    (reference,) = references(account, account.report(external_reference=REFERENCE))
    assert reference["status"] == "successful"
    assert reference["last_synced_at"] == reference["created_at"] == reference["updated_at"]
    assert isinstance(reference["id"], str)
    for name in ("external_link", "external_message", "external_status"):
        assert reference[name] is None


# 5.4
def test_a_reference_keeps_all_that_was_sent(account: Account) -> None:
    sent = {
        **REFERENCE,
        "external_link": "https://tracker.example.org/issues/1?a=b&c=%20#d",
        "external_message": "Übernommen 😀",
        "external_status": "open",
        "locked": True,
    }
    report_id = account.report(external_reference=sent)
    (reference,) = references(account, report_id)
    assert sent.items() <= reference.items()
    assert str(reference["subject_id"]) == report_id
    assert reference["subject_type"] == "StatusReport"


# 5.4
@pytest.mark.parametrize("method", UPDATES)
def test_a_reference_is_updated_by_its_service_name(shared: Account, method: str) -> None:
    report_id = shared.report(external_reference=REFERENCE)
    (before,) = references(shared, report_id)
    changed = {**REFERENCE, "service_model": "Bug", "service_model_ref": "2", "locked": False}
    only_record(update(shared, report_id, method, external_reference=changed))
    (after,) = references(shared, report_id)
    assert after["id"] == before["id"]
    assert after["created_at"] == before["created_at"]
    assert changed.items() <= after.items()


# 5.4
@pytest.mark.parametrize("name", ["other", "Tracker", "tracker2", "trackér"])
def test_another_service_name_is_another_reference(shared: Account, name: str) -> None:
    report_id = shared.report(external_reference=REFERENCE)
    only_record(update(shared, report_id, external_reference={**REFERENCE, "service_name": name}))
    assert [one["service_name"] for one in references(shared, report_id)] == ["tracker", name]


# 5.4
def test_a_service_name_is_unique_per_object_only(account: Account) -> None:
    first = account.report(external_reference=REFERENCE)
    second = account.report(external_reference={**REFERENCE, "service_model_ref": "2"})
    assert references(account, first)[0]["service_model_ref"] == "1"
    assert references(account, second)[0]["service_model_ref"] == "2"


# 5.4
def test_each_write_of_a_reference_syncs_it(account: Account) -> None:
    ids = [account.report(external_reference=REFERENCE) for _ in range(3)]
    only_record(update(account, ids[0], external_reference=REFERENCE))
    answer = account.api.get("/external_references?subject_type=StatusReport")
    found = answer.json()
    subjects = [
        str(found["external_references"][result["id"]]["subject_id"]) for result in found["results"]
    ]
    assert subjects == [ids[0], ids[2], ids[1]]


LINKS = {
    "https": "https://example.org/a",
    "http": "http://example.org",
    "port and path": "http://localhost:8080/x?y=z#w",
    "scheme of another case": "HTTPS://example.org",
}


# 5.4
@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
def test_a_link_may_be_http_or_https(shared: Account, link: str) -> None:
    report_id = shared.report(external_reference={**REFERENCE, "external_link": link})
    assert references(shared, report_id)[0]["external_link"] == link


NO_LINKS = {
    "javascript": "javascript:alert(1)",
    "javascript after a blank": " javascript:alert(1)",
    "javascript with a tab": "java\tscript:alert(1)",
    "data": "data:text/html,<script>alert(1)</script>",
    "ftp": "ftp://example.org/a",
    "file": "file:///etc/passwd",
    "mailto": "mailto:a@example.org",
    "httpx": "httpx://example.org",
    "no scheme": "example.org/a",
    "only slashes": "//example.org/a",
    "path": "/a/b",
    "scheme alone": "https://",
    "scheme word": "http",
    "scheme in the path": "javascript:http://example.org",
    "text": "see the tracker",
}


# 5.4
@pytest.mark.parametrize("link", NO_LINKS.values(), ids=NO_LINKS)
def test_any_other_link_gets_422(shared: Account, link: str) -> None:
    report_id = shared.report()
    answer = update(shared, report_id, external_reference={**REFERENCE, "external_link": link})
    assert_failure(answer, 422, "validation", "external_reference.external_link")
    assert references(shared, report_id) == []


# 5.5
@pytest.mark.parametrize("ending", ["", ".json"])
def test_a_deleted_report_is_gone_for_every_call(account: Account, ending: str) -> None:
    kept, gone = account.report(), account.report(external_reference=REFERENCE)
    path = f"/status_reports/{gone}{ending}"
    answer = account.api.delete(path)
    assert answer.status_code == 204
    assert answer.content == b""
    assert_failure(account.api.delete(path), 404)
    assert_failure(account.api.get(path), 404)
    for method in UPDATES:
        assert_failure(update(account, gone, method, color="red"), 404)
    listed = account.api.get("/status_reports")
    assert_envelope(listed, "status_reports", [kept], count=1)
    assert_envelope(account.api.get(f"/status_reports?only={gone}"), "status_reports", [], count=0)


# 5.5
def test_the_references_of_a_deleted_report_go_with_it(account: Account) -> None:
    kept = account.report(external_reference=REFERENCE)
    gone = account.report(external_reference=REFERENCE)
    (stays,), (goes,) = references(account, kept), references(account, gone)
    assert account.api.delete(f"/status_reports/{gone}").status_code == 204
    listed = account.api.get("/external_references?subject_type=StatusReport")
    assert_envelope(listed, "external_references", [stays["id"]], count=1)
    assert_failure(account.api.delete(f"/external_references/{goes['id']}"), 404)


# 5.5
def test_the_id_of_a_deleted_report_is_not_used_again(account: Account) -> None:
    last = 0
    for _ in range(3):
        report_id = account.report(external_reference=REFERENCE)
        assert int(report_id) > last
        last = int(report_id)
        assert references(account, report_id)
        assert account.api.delete(f"/status_reports/{report_id}").status_code == 204
    assert references(account, account.report()) == []


# 5.5
def test_a_delete_ignores_its_body(account: Account) -> None:
    path = f"/status_reports/{account.report()}"
    answer = account.api.request("DELETE", path, json={"status_report": {}})
    assert answer.status_code == 204


# 5.2, 5.3, 5.5
def test_writes_at_the_same_time_are_all_kept(account: Account) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: account.report(details=[detail("Scope", "red")]), range(40)))
        assert len(set(made)) == 40
        answers = pool.map(lambda one: update(account, one, description=one), made)
        assert [only_record(answer)["description"] for answer in answers] == made
        codes = pool.map(
            lambda one: account.api.delete(f"/status_reports/{one}").status_code, made[:10] * 2
        )
        assert sorted(codes) == [204] * 10 + [404] * 10
    ids = sorted(made[10:], key=int)
    answer = account.api.get("/status_reports?per_page=200")
    assert_envelope(answer, "status_reports", ids, count=30)


# 5.4
def test_the_same_reference_at_the_same_time_stands_once(account: Account) -> None:
    report_id = account.report()
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(
            lambda number: update(
                account,
                report_id,
                external_reference={**REFERENCE, "service_model_ref": str(number)},
            ),
            range(16),
        )
        assert {answer.status_code for answer in answers} == {200}
    assert len(references(account, report_id)) == 1
