import pytest

from conftest import Account
from expect import assert_envelope, assert_failure, only_record

pytestmark = pytest.mark.one_store

PLAIN = {"count", "results", "status_reports", "meta"}
KEYS = {
    "creator": "users",
    "updater": "users",
    "workspace": "workspaces",
    "external_references": "external_references",
}
REFERENCE = {"service_name": "tracker", "service_model": "Issue", "service_model_ref": "1"}


# 2.1
def test_a_list_has_these_keys_and_no_others(account: Account) -> None:
    account.report()
    assert set(assert_envelope(account.api.get("/status_reports"), "status_reports")) == PLAIN


# 2.1, 2.6
@pytest.mark.parametrize(("include", "key"), KEYS.items(), ids=KEYS)
def test_an_include_adds_its_key(account: Account, include: str, key: str) -> None:
    report_id = account.report(external_reference=REFERENCE)
    account.api.put(f"/status_reports/{report_id}", json={"status_report": {"color": "red"}})
    for path in ("/status_reports", f"/status_reports/{report_id}"):
        answer = account.api.get(path, params={"include": include})
        body = assert_envelope(answer, "status_reports", [report_id])
        assert set(body) == PLAIN | {key}
        (record,) = body[key].values()
        assert record["id"] in body[key]


# 2.6
@pytest.mark.parametrize(("include", "key"), KEYS.items(), ids=KEYS)
def test_an_include_opens_its_key_on_an_empty_page(
    account: Account, include: str, key: str
) -> None:
    body = assert_envelope(
        account.api.get("/status_reports", params={"include": include}), "status_reports", []
    )
    assert set(body) == PLAIN | {key}
    assert body[key] == {}


# 2.6
@pytest.mark.parametrize(
    ("include", "key"), [("updater", "users"), ("external_references", "external_references")]
)
def test_an_include_opens_its_key_when_a_report_has_none(
    account: Account, include: str, key: str
) -> None:
    report_id = account.report()
    answer = account.api.get(f"/status_reports/{report_id}", params={"include": include})
    only_record(answer)
    assert answer.json()[key] == {}


# 2.6
def test_all_includes_open_all_keys(account: Account) -> None:
    include = "creator,updater,workspace,external_references"
    body = assert_envelope(
        account.api.get("/status_reports", params={"include": include}), "status_reports", []
    )
    assert set(body) == PLAIN | set(KEYS.values())


# 2.6
def test_a_side_loaded_object_stands_once(account: Account) -> None:
    ids = [account.report(), account.report(), account.report(workspace_id=account.workspaces[1])]
    account.clients["editor"].put(
        f"/status_reports/{ids[0]}", json={"status_report": {"color": "red"}}
    )
    account.api.put(f"/status_reports/{ids[1]}", json={"status_report": {"color": "red"}})
    answer = account.api.get("/status_reports", params={"include": "creator,updater,workspace"})
    body = assert_envelope(answer, "status_reports", ids)
    people = {str(account.users[role].id) for role in ("administrator", "editor")}
    assert set(body["users"]) == people
    assert set(body["workspaces"]) == set(account.workspaces)


# 2.6
def test_the_key_of_users_holds_only_the_kind_asked_for(account: Account) -> None:
    report_id = account.report()
    account.clients["editor"].put(
        f"/status_reports/{report_id}", json={"status_report": {"color": "red"}}
    )
    for include, role in (("creator", "administrator"), ("updater", "editor")):
        body = account.api.get("/status_reports", params={"include": include}).json()
        assert set(body["users"]) == {str(account.users[role].id)}


# 2.6, 2.1
def test_side_loads_are_of_the_page_alone(account: Account) -> None:
    first, second = account.report(), account.report(workspace_id=account.workspaces[1])
    for number, report_id, space in (
        (1, first, account.workspaces[0]),
        (2, second, account.workspaces[1]),
    ):
        params = {"include": "workspace", "per_page": 1, "page": number}
        answer = account.api.get("/status_reports", params=params)
        body = assert_envelope(answer, "status_reports", [report_id], count=2)
        assert set(body["status_reports"]) == {report_id}
        assert set(body["workspaces"]) == {space}


# 2.7
def test_side_loads_are_plain(account: Account) -> None:
    report_id = account.report(external_reference=REFERENCE)
    answer = account.api.get(
        f"/status_reports/{report_id}",
        params={"include": "creator,workspace,external_references"},
    )
    body = answer.json()
    user_id, space_id = str(account.users["administrator"].id), account.workspaces[0]
    user = only_record(account.api.get(f"/users/{user_id}"), "users")
    assert body["users"] == {user_id: user}
    space = only_record(account.api.get(f"/workspaces/{space_id}"), "workspaces")
    assert body["workspaces"] == {space_id: space}
    assert not {"participant_ids", "status_report_ids"} & set(space)
    references = account.api.get("/external_references?subject_type=StatusReport").json()
    assert body["external_references"] == references["external_references"]
    assert all("subject_ref" not in one for one in body["external_references"].values())


# 2.2
@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_count_is_of_the_whole_query(account: Account, count: int) -> None:
    for _ in range(count):
        account.report()
    account.report(workspace_id=account.workspaces[1])
    params = {"workspace_id": account.workspaces[0], "per_page": 1}
    answer = account.api.get("/status_reports", params=params)
    assert_envelope(answer, "status_reports", count=count, page_count=count, page_size=1)


# 2.2
def test_the_count_follows_every_write(account: Account) -> None:
    ids: list[str] = []

    def counted() -> None:
        for role in ("administrator", "editor", "viewer"):
            answer = account.clients[role].get("/status_reports")
            assert_envelope(answer, "status_reports", ids, count=len(ids))

    counted()
    for _ in range(3):
        ids.append(account.report())
        counted()
    while ids:
        assert account.api.delete(f"/status_reports/{ids.pop(0)}").status_code == 204
        counted()


# 2.3
def test_results_are_in_order_and_the_objects_by_id(account: Account) -> None:
    ids = [account.report() for _ in range(12)]
    body = assert_envelope(account.api.get("/status_reports"), "status_reports", ids)
    assert set(body["status_reports"]) == set(ids)
    assert all(isinstance(result["id"], str) for result in body["results"])
    turned = account.api.get("/status_reports?order=id:desc")
    assert_envelope(turned, "status_reports", ids[::-1])


# 2.3, 2.4
def test_an_empty_page_has_empty_results_and_records(account: Account) -> None:
    body = assert_envelope(
        account.api.get("/status_reports"),
        "status_reports",
        [],
        count=0,
        page_count=0,
        page_number=0,
        page_size=20,
    )
    assert body["status_reports"] == {}
    assert body["count"] == 0


# 2.4
@pytest.mark.parametrize("page", ["1", "2", "7", "-3", "abc"])
def test_the_page_number_is_0_when_nothing_is_found(account: Account, page: str) -> None:
    answer = account.api.get("/status_reports", params={"page": page})
    assert_envelope(answer, "status_reports", [], count=0, page_count=0, page_number=0)


# 2.5
@pytest.mark.parametrize("query", ["", "?page=7&per_page=3", "?limit=1&offset=9", "?order=id:desc"])
def test_show_create_and_update_answer_with_an_envelope_of_one(
    account: Account, query: str
) -> None:
    sent = {"workspace_id": account.workspaces[0], "color": "red", "description": "New"}
    made = account.api.post(f"/status_reports{query}", json={"status_report": sent})
    assert made.status_code == 200
    record = only_record(made)
    assert set(made.json()) == PLAIN
    path = f"/status_reports/{record['id']}{query}"
    assert only_record(account.api.get(path)) == record
    for method in ("PUT", "PATCH"):
        answer = account.api.request(method, path, json={"status_report": {"color": "green"}})
        assert only_record(answer)["id"] == record["id"]
        assert set(answer.json()) == PLAIN


# 2.5, 2.6
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_write_side_loads_what_is_asked_for(account: Account, method: str) -> None:
    path = "/status_reports" if method == "POST" else f"/status_reports/{account.report()}"
    sent = {
        "workspace_id": account.workspaces[0],
        "color": "red",
        "description": "New",
        "external_reference": REFERENCE,
    }
    answer = account.api.request(
        method,
        path,
        params={"include": "creator,updater,workspace,external_references"},
        json={"status_report": sent},
    )
    record, body = only_record(answer), answer.json()
    assert set(body["users"]) == {str(account.users["administrator"].id)}
    assert set(body["workspaces"]) == {account.workspaces[0]}
    assert list(body["external_references"]) == record["external_reference_ids"]
    (reference,) = body["external_references"].values()
    assert reference["service_model_ref"] == "1"


# 2.1
def test_a_failure_has_no_envelope(account: Account) -> None:
    assert_failure(account.api.get("/status_reports/0?include=creator"), 404)
