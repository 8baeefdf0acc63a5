import re

import pytest

from conftest import Account
from expect import assert_envelope, assert_failure, only_record
from healthreports.app import now
from healthreports.service.people import workspaces

REFERENCE = {"service_name": "tracker", "service_model": "Issue", "service_model_ref": "1"}
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def archive(account: Account, space_id: str, *, archived: bool = True) -> None:
    account.database.write_here(
        lambda tx: workspaces.archive(tx, int(space_id), now(), archived=archived)
    )


def spaces(account: Account, query: str = "", ids: list[str] | None = None) -> dict:
    return assert_envelope(account.api.get(f"/workspaces{query}"), "workspaces", ids)


# 7
def test_a_workspace_has_its_attributes(account: Account) -> None:
    body = spaces(account, "?order=id", account.workspaces)
    record = body["workspaces"][account.workspaces[0]]
    expected = {
        "title": "First",
        "description": None,
        "archived": False,
        "start_date": None,
        "due_date": None,
        "account_id": account.id,
    }
    assert expected.items() <= record.items()
    assert record["access_level"]
    for name in ("created_at", "updated_at"):
        assert re.fullmatch(TIME, record[name])
    shown = account.api.get(f"/workspaces/{account.workspaces[0]}")
    assert only_record(shown, "workspaces") == record


# 7, 2.6
@pytest.mark.parametrize(
    ("include", "key"),
    [
        ("creator", "users"),
        ("participants", "users"),
        ("status_reports", "status_reports"),
        ("current_status_report", "status_reports"),
    ],
)
def test_an_association_of_a_workspace_opens_its_key(
    account: Account, include: str, key: str
) -> None:
    body = spaces(account, f"?include={include}&only=0", [])
    assert body[key] == {}
    assert set(body) == {"count", "results", "workspaces", "meta", key}


# 7
def test_a_workspace_has_its_people(account: Account) -> None:
    ids = {role: str(user.id) for role, user in account.users.items()}
    body = spaces(account, f"?include=participants&only={account.workspaces[0]}")
    record = body["workspaces"][account.workspaces[0]]
    assert set(record["participant_ids"]) == set(body["users"])
    assert {ids["editor"], ids["viewer"]} <= set(body["users"])
    assert ids["outsider"] not in body["users"]
    body = spaces(account, f"?include=creator&only={account.workspaces[0]}")
    assert set(body["users"]) == {ids["administrator"]}
    assert body["workspaces"][account.workspaces[0]]["creator_id"] == ids["administrator"]


# 7
def test_a_workspace_has_its_reports_and_the_newest_one(account: Account) -> None:
    first, second = account.workspaces
    ids = [account.report() for _ in range(3)]
    path = f"/status_reports/{ids[0]}"
    assert account.api.put(path, json={"status_report": {"color": "red"}}).is_success
    body = spaces(account, "?order=id&include=status_reports", account.workspaces)
    assert sorted(body["workspaces"][first]["status_report_ids"]) == sorted(ids)
    assert body["workspaces"][second]["status_report_ids"] == []
    assert set(body["status_reports"]) == set(ids)
    plain = account.api.get("/status_reports").json()["status_reports"]
    assert body["status_reports"] == plain
    while ids:
        body = spaces(account, "?order=id&include=current_status_report", account.workspaces)
        assert body["workspaces"][first]["current_status_report_id"] == ids[-1]
        assert body["workspaces"][second]["current_status_report_id"] is None
        assert set(body["status_reports"]) == {ids[-1]}
        assert account.api.delete(f"/status_reports/{ids.pop()}").status_code == 204
    body = spaces(account, "?order=id&include=current_status_report", account.workspaces)
    assert body["workspaces"][first]["current_status_report_id"] is None
    assert body["status_reports"] == {}


# 7
def test_archived_workspaces_are_left_out_until_asked_for(account: Account) -> None:
    first, second = account.workspaces
    archive(account, first)
    assert spaces(account, "", [second])["count"] == 1
    assert spaces(account, "?include_archived=", [second])["count"] == 1
    assert spaces(account, "?include_archived=false", [second])["count"] == 1
    body = spaces(account, "?order=id&include_archived=true&order=id", [first, second])
    assert body["workspaces"][first]["archived"] is True
    assert body["workspaces"][second]["archived"] is False
    spaces(account, "?order=id&include_archived=TRUE", [first, second])
    archive(account, first, archived=False)
    spaces(account, "?order=id", [first, second])


# 7
def test_show_and_only_leave_out_archived_workspaces_too(account: Account) -> None:
    first, second = account.workspaces
    archive(account, first)
    assert_failure(account.api.get(f"/workspaces/{first}"), 404)
    assert account.api.get(f"/workspaces/{second}").status_code == 200
    spaces(account, f"?only={first},{second}", [second])
    spaces(account, f"?only={first},{second}&include_archived=true&order=id", [first, second])


# 7, 4.6
def test_a_bad_include_archived_is_no_server_error(account: Account) -> None:
    for value in ("yes", "1", "\0", "true,false"):
        answer = account.api.get("/workspaces", params={"include_archived": value})
        assert answer.status_code in (200, 400)


# 7, 2.6
def test_an_archived_workspace_is_still_side_loaded(account: Account) -> None:
    report_id = account.report()
    archive(account, account.workspaces[0])
    answer = account.api.get(f"/status_reports/{report_id}?include=workspace")
    assert only_record(answer)["workspace_id"] == account.workspaces[0]
    assert answer.status_code == 200
    assert "workspaces" in answer.json()


# 7, 4.1, 4.2, 4.3
@pytest.mark.parametrize("path", ["/workspaces", "/users"])
def test_neighbours_are_paged_like_reports(account: Account, path: str) -> None:
    key = path[1:]
    every = assert_envelope(account.api.get(f"{path}?order=id"), key)
    ids, total = [result["id"] for result in every["results"]], every["count"]
    assert ids == sorted(ids, key=int)
    for query, rows, meta in (
        ("per_page=1&page=2", ids[1:2], {"page_size": 1, "page_number": 2, "page_count": total}),
        ("per_page=abc&page=abc", ids, {"page_size": 20, "page_number": 0}),
        ("per_page=1000", ids, {"page_size": 200}),
        ("page=99", [], {"page_number": 99}),
        ("limit=1&offset=1", ids[1:2], {"page_size": 20}),
        ("limit=1", ids, {"page_size": 20}),
        ("include=nobody&nobody=1", ids, {}),
    ):
        answer = account.api.get(f"{path}?order=id&{query}")
        assert_envelope(answer, key, rows, count=total, **meta)
    assert_envelope(account.api.get(f"{path}?only={ids[1]},abc,0"), key, [ids[1]], count=1)
    assert_envelope(account.api.get(f"{path}?only=abc"), key, [], count=0)


# 7, 5.1
@pytest.mark.parametrize("text", ["0", "abc", "-1", "1.5", "%EF%BC%91", "%00", "9" * 40, "mee"])
@pytest.mark.parametrize("path", ["/workspaces", "/users"])
def test_a_neighbour_that_is_not_there_gets_404(account: Account, path: str, text: str) -> None:
    assert_failure(account.api.get(f"{path}/{text}"), 404)


# 7
def test_a_user_has_its_attributes(account: Account) -> None:
    user = account.users["editor"]
    record = only_record(account.api.get(f"/users/{user.id}"), "users")
    expected = {
        "id": str(user.id),
        "full_name": user.full_name,
        "email_address": user.email_address,
        "headline": None,
    }
    assert expected.items() <= record.items()
    assert "photo_path" in record


# 7
@pytest.mark.parametrize("role", ["administrator", "editor", "viewer", "outsider"])
@pytest.mark.parametrize("ending", ["", ".json"])
def test_me_is_whose_token_it_is(account: Account, role: str, ending: str) -> None:
    record = only_record(account.clients[role].get(f"/users/me{ending}"), "users")
    assert record["id"] == str(account.users[role].id)
    assert record["email_address"] == account.users[role].email_address


def upsert(account: Account, role: str = "administrator", **sent: object):
    body = {"external_reference": {**REFERENCE, **sent}}
    return account.clients[role].post("/external_references/create_or_update", json=body)


def on_report(report_id: str) -> dict[str, str]:
    return {"subject_type": "StatusReport", "subject_id": report_id}


# 7
@pytest.mark.parametrize("query", ["", "?subject_type=", "?include=subject", "?only="])
def test_the_list_of_references_needs_a_subject_type(account: Account, query: str) -> None:
    (error,) = assert_failure(account.api.get(f"/external_references{query}"), 400)
    assert "subject_type" in error["message"]


# 7
def test_a_reference_has_its_attributes(account: Account) -> None:
    report_id = account.report()
    record = only_record(upsert(account, **on_report(report_id)), "external_references")
    assert REFERENCE.items() <= record.items()
    assert record["subject_type"] == "StatusReport"
    assert record["subject_id"] == int(report_id)
    assert record["status"] == "successful"
    for name in ("created_at", "updated_at", "last_synced_at"):
        assert re.fullmatch(TIME, record[name])
    assert "subject_ref" not in record
    answer = account.api.get("/external_references?subject_type=StatusReport")
    body = assert_envelope(answer, "external_references", [record["id"]], count=1)
    assert body["external_references"][record["id"]] == record


# 7
def test_references_are_listed_by_the_type_of_their_subject(account: Account) -> None:
    of_report = upsert(account, **on_report(account.report()))
    of_space = upsert(account, subject_type="Workspace", subject_id=account.workspaces[0])
    for answer, kind in ((of_report, "StatusReport"), (of_space, "Workspace")):
        record = only_record(answer, "external_references")
        listed = account.api.get("/external_references", params={"subject_type": kind})
        assert_envelope(listed, "external_references", [record["id"]], count=1)


# 7, 2.6
def test_a_reference_names_its_subject_when_it_is_included(account: Account) -> None:
    report_id = account.report(external_reference=REFERENCE)
    path = "/external_references?subject_type=StatusReport"
    body = assert_envelope(account.api.get(f"{path}&include=subject"), "external_references")
    (record,) = body["external_references"].values()
    assert record["subject_ref"] == {"key": "status_reports", "id": report_id}
    shown = only_record(account.api.get(f"/status_reports/{report_id}"))
    assert body["status_reports"] == {report_id: shown}
    upsert(account, subject_type="Workspace", subject_id=account.workspaces[1])
    path = "/external_references?subject_type=Workspace"
    body = assert_envelope(account.api.get(f"{path}&include=subject"), "external_references")
    (record,) = body["external_references"].values()
    assert record["subject_ref"] == {"key": "workspaces", "id": account.workspaces[1]}
    assert set(body["workspaces"]) == {account.workspaces[1]}
    body = assert_envelope(account.api.get(path), "external_references")
    assert "subject_ref" not in body["external_references"][record["id"]]
    assert "workspaces" not in body


# 7, 2.5, 2.6
def test_an_upsert_side_loads_its_subject(account: Account) -> None:
    report_id = account.report()
    answer = account.api.post(
        "/external_references/create_or_update?include=subject",
        json={"external_reference": {**REFERENCE, **on_report(report_id)}},
    )
    record = only_record(answer, "external_references")
    assert record["subject_ref"] == {"key": "status_reports", "id": report_id}
    assert set(answer.json()["status_reports"]) == {report_id}


# 7, 4.1, 4.2, 4.3
def test_references_are_paged_like_reports(account: Account) -> None:
    ids = []
    for number in range(3):
        answer = upsert(account, **on_report(account.report()), service_model_ref=str(number))
        ids.insert(0, only_record(answer, "external_references")["id"])
    for query, rows, meta in (
        ("per_page=2&page=2", ids[2:], {"page_size": 2, "page_count": 2, "page_number": 2}),
        ("limit=1&offset=1", ids[1:2], {"page_size": 20}),
        ("limit=1&offset=", ids, {"page_size": 20}),
        ("page=9", [], {"page_number": 9}),
    ):
        answer = account.api.get(f"/external_references?subject_type=StatusReport&{query}")
        assert_envelope(answer, "external_references", rows, count=3, **meta)
    params = {"subject_type": "StatusReport", "only": f"{ids[2]},{ids[0]},abc,0"}
    answer = account.api.get("/external_references", params=params)
    assert_envelope(answer, "external_references", [ids[0], ids[2]], count=2)
    answer = account.api.get("/external_references", params={**params, "subject_type": "Workspace"})
    assert_envelope(answer, "external_references", [], count=0)


ORDERS = {
    "": [0, 2, 1],
    "last_synced_at:desc": [0, 2, 1],
    "last_synced_at:asc": [1, 2, 0],
    "last_synced_at": [1, 2, 0],
    "created_at:asc": [0, 1, 2],
    "created_at": [0, 1, 2],
    "created_at:desc": [2, 1, 0],
    "nobody:asc": [0, 2, 1],
}


# 7, 4.5
def test_references_have_their_own_orders(account: Account) -> None:
    ids = []
    for _ in range(3):
        answer = upsert(account, **on_report(account.report()))
        ids.append(only_record(answer, "external_references")["id"])
    first = account.api.get("/status_reports").json()["results"][0]["id"]
    only_record(upsert(account, **on_report(first)), "external_references")
    for order, places in ORDERS.items():
        params = {"subject_type": "StatusReport", "order": order}
        answer = account.api.get("/external_references", params=params)
        assert_envelope(answer, "external_references", [ids[place] for place in places])
        paged = account.api.get("/external_references", params={**params, "per_page": 1, "page": 2})
        assert_envelope(paged, "external_references", [ids[places[1]]], count=3)


# 7, 5.4
def test_a_reference_is_keyed_by_subject_and_service_name(account: Account) -> None:
    first, second = account.report(external_reference=REFERENCE), account.report()
    answer = account.api.get("/external_references?subject_type=StatusReport")
    (before,) = answer.json()["external_references"].values()
    same = upsert(account, **on_report(first), service_model_ref="2")
    record = only_record(same, "external_references")
    assert record["id"] == before["id"]
    assert record["service_model_ref"] == "2"
    for other in (
        upsert(account, **on_report(second)),
        upsert(account, **on_report(first), service_name="other"),
        upsert(account, subject_type="Workspace", subject_id=account.workspaces[0]),
    ):
        assert only_record(other, "external_references")["id"] != before["id"]
    answer = account.api.get(f"/status_reports/{first}?include=external_references")
    assert len(only_record(answer)["external_reference_ids"]) == 2
    answer = account.api.get("/external_references?subject_type=StatusReport")
    assert_envelope(answer, "external_references", count=3)


BAD = {
    "no service name": ({"service_name": ""}, ["service_name"]),
    "no model": ({"service_model": None}, ["service_model"]),
    "no ref": ({"service_model_ref": " "}, ["service_model_ref"]),
    "long name": ({"service_name": "a" * 256}, ["service_name"]),
    "link": ({"external_link": "javascript:alert(1)"}, ["external_link"]),
    "long link": ({"external_link": "https://a.b/" + "c" * 2000}, ["external_link"]),
    "long message": ({"external_message": "a" * 2001}, ["external_message"]),
    "NUL": ({"external_message": "a\0"}, ["external_message"]),
    "subject type": ({"subject_type": "Nobody"}, ["subject_type"]),
    "subject": ({"subject_id": "0"}, ["subject_id"]),
    "subject is text": ({"subject_id": "abc"}, ["subject_id"]),
    "huge subject": ({"subject_id": 10**30}, ["subject_id"]),
    "two": ({"service_name": "", "external_link": "x"}, ["service_name", "external_link"]),
}


# 7, 5.6
@pytest.mark.parametrize(("sent", "fields"), BAD.values(), ids=BAD)
def test_a_wrong_reference_gets_422_and_is_not_stored(
    account: Account, sent: dict, fields: list[str]
) -> None:
    answer = upsert(account, **{**on_report(account.report()), **sent})
    assert_failure(answer, 422, "validation", *fields)
    for kind in ("StatusReport", "Workspace"):
        listed = account.api.get(f"/external_references?subject_type={kind}")
        assert_envelope(listed, "external_references", [], count=0)


# 7, 1.4
def test_a_reference_needs_its_root(account: Account) -> None:
    path = "/external_references/create_or_update"
    for body in ({}, REFERENCE, {"external_reference": []}):
        (error,) = assert_failure(account.api.post(path, json=body), 400)
        assert "external_reference" in error["message"]


# 7, 1.3
def test_a_reference_can_be_sent_by_form(account: Account) -> None:
    sent = {**REFERENCE, **on_report(account.report())}
    form = {f"external_reference[{name}]": value for name, value in sent.items()}
    answer = account.api.post("/external_references/create_or_update", data=form)
    assert REFERENCE.items() <= only_record(answer, "external_references").items()


# 7
def test_a_deleted_reference_is_gone_and_its_subject_stays(account: Account) -> None:
    report_id = account.report(external_reference=REFERENCE)
    answer = account.api.get("/external_references?subject_type=StatusReport")
    (reference_id,) = answer.json()["external_references"]
    deleted = account.api.delete(f"/external_references/{reference_id}")
    assert deleted.status_code == 204
    assert deleted.content == b""
    assert_failure(account.api.delete(f"/external_references/{reference_id}"), 404)
    answer = account.api.get(f"/status_reports/{report_id}?include=external_references")
    assert only_record(answer)["external_reference_ids"] == []
    assert answer.json()["external_references"] == {}


# 7, 5.1
@pytest.mark.parametrize("text", ["0", "abc", "-1", "%00", "9" * 40])
def test_a_reference_that_is_not_there_cannot_be_deleted(account: Account, text: str) -> None:
    assert_failure(account.api.delete(f"/external_references/{text}"), 404)
