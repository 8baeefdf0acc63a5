from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from instants import exact, written
from sharing import open_account

from conftest import Account, Server
from expect import assert_envelope, assert_failure
from healthreports.app import now
from healthreports.service.people import workspaces
from healthreports.store.engine.database import Database

pytestmark = pytest.mark.every_store

TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)


@dataclass
class Shelf:
    """An account whose reports the tests here only read; `names` has their ids by name."""

    account: Account
    names: dict[str, str]

    def expect(self, params: dict[str, object], *names: str) -> None:
        """Exactly these reports pass the filters."""
        ids = sorted((self.names[name] for name in names), key=int)
        answer = self.account.api.get("/status_reports", params=params)
        assert_envelope(answer, "status_reports", ids, count=len(ids))

    def refuse(self, name: str, value: object) -> None:
        """The value is refused with 400, and the message names the parameter."""
        answer = self.account.api.get("/status_reports", params={name: value})
        (error,) = assert_failure(answer, 400)
        assert name in error["message"]


REFERENCES = {
    "jira": {
        "service_name": "jira",
        "service_model": "Issue",
        "service_model_ref": "7",
        "external_status": "open",
        "external_message": "Late, but fine",
    },
    "crm": {
        "service_name": "crm",
        "service_model": "Deal",
        "service_model_ref": "8",
        "external_status": "closed",
        "external_message": "100%",
    },
    "text": {"service_name": "jira", "service_model": "Issue", "service_model_ref": "PRJ-9"},
}
# The references of each report.
REPORTS = {
    "plain": [],
    "plain too": [],
    "in jira": ["jira"],
    "in crm": ["crm"],
    "in both": ["jira", "crm"],
    "by text": ["text"],
}
JIRA = ("in jira", "in both", "by text")
CRM = ("in crm", "in both")
WITH = ("in jira", "in crm", "in both", "by text")
WITHOUT = ("plain", "plain too")


@pytest.fixture(scope="module")
def shelf(server: Server, database: Database) -> Iterator[Shelf]:
    with open_account(server, database) as account:
        names = {}
        for name, references in REPORTS.items():
            space = account.workspaces[name == "plain too"]
            report_id = names[name] = account.report(workspace_id=space)
            for one in references:
                answer = account.api.put(
                    f"/status_reports/{report_id}",
                    json={"status_report": {"external_reference": REFERENCES[one]}},
                )
                assert answer.is_success, answer.text
        yield Shelf(account, names)


@dataclass
class Moments:
    """Three reports and the exact instants when they were created and updated."""

    shelf: Shelf
    instants: dict[str, datetime]


@pytest.fixture(scope="module", params=["created", "updated"])
def moments(
    request: pytest.FixtureRequest, server: Server, database: Database
) -> Iterator[Moments]:
    with open_account(server, database) as account:
        names = {name: account.report() for name in ("a", "b", "c")}
        for report_id in names.values():
            path = f"/status_reports/{report_id}"
            assert account.api.put(path, json={"status_report": {"color": "red"}}).is_success
        yield Moments(
            Shelf(account, names),
            {name: exact(account.api, one, request.param) for name, one in names.items()}
            | {"attribute": request.param},
        )


# 4.6, 3.4
def test_after_and_before_are_strict(moments: Moments) -> None:
    after, before = (f"{moments.instants['attribute']}_{way}" for way in ("after", "before"))
    instant, expect = moments.instants["b"], moments.shelf.expect
    expect({after: written(instant)}, "c")
    expect({after: written(instant - TICK)}, "b", "c")
    expect({before: written(instant)}, "a")
    expect({before: written(instant + TICK)}, "a", "b")
    expect({after: written(instant - TICK), before: written(instant + TICK)}, "b")
    expect({after: written(instant), before: written(instant)})


# 4.6
def test_an_offset_moves_the_instant(moments: Moments) -> None:
    after = f"{moments.instants['attribute']}_after"
    local = moments.instants["b"] + timedelta(hours=5, minutes=30)
    text = local.strftime("%Y-%m-%dT%H:%M:%S.%f")
    moments.shelf.expect({after: f"{text}+05:30"}, "c")
    moments.shelf.expect({after: f"{text}Z"})
    moments.shelf.expect({after: text})
    moments.shelf.expect({after: f"{text}-05:30"})
    local = moments.instants["b"] - timedelta(hours=8)
    text = local.strftime("%Y-%m-%dT%H:%M:%S.%f")
    moments.shelf.expect({after: f"{text}-08:00"}, "c")
    moments.shelf.expect({after: text}, "a", "b", "c")


# 4.6
def test_a_time_without_an_offset_is_in_utc(moments: Moments) -> None:
    after = f"{moments.instants['attribute']}_after"
    instant = moments.instants["b"]
    moments.shelf.expect({after: instant.strftime("%Y-%m-%dT%H:%M:%S.%f")}, "c")
    before = (instant - TICK).strftime("%Y-%m-%dT%H:%M:%S.%f")
    moments.shelf.expect({after: before}, "b", "c")


# 4.6
def test_a_date_is_its_first_instant(moments: Moments) -> None:
    attribute, day = moments.instants["attribute"], moments.instants["a"].date()
    every = ("a", "b", "c")
    moments.shelf.expect({f"{attribute}_after": (day - DAY).isoformat()}, *every)
    moments.shelf.expect({f"{attribute}_after": day.isoformat()}, *every)
    moments.shelf.expect({f"{attribute}_after": (day + 2 * DAY).isoformat()})
    moments.shelf.expect({f"{attribute}_before": day.isoformat()})
    moments.shelf.expect({f"{attribute}_before": (day + 2 * DAY).isoformat()}, *every)


TIMES = ["created_after", "created_before", "updated_after", "updated_before"]


# 4.6
@pytest.mark.parametrize(
    "text",
    [
        "2001-02-03T04:05:06Z",
        "2001-02-03T04:05:06",
        "2001-02-03T04:05:06.7Z",
        "2001-02-03T04:05:06.789Z",
        "2001-02-03T04:05:06.789012Z",
        "2001-02-03T04:05:06+02:00",
        "2001-02-03T04:05:06-12:00",
        "2001-02-03",
        "2000-02-29",
        "1970-01-01T00:00:00Z",
        "1901-01-01",
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-12:00",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+12:00",
    ],
)
def test_iso_8601_times_are_read(shelf: Shelf, text: str) -> None:
    early = not text.startswith("9999")
    for name in TIMES:
        passes = name.endswith("after") == early
        shelf.expect({name: text}, *(REPORTS if passes else ()))


BAD_TIMES = [
    "nonsense",
    "yesterday",
    "202",
    "2026-1",
    "2026-11T10:00:00Z",
    "2026-13-01",
    "2026-02-30",
    "2025-02-29",
    "2026-00-10",
    "2026-01-00",
    "2026-01-01T25:00:00Z",
    "2026-01-01T10:61:00Z",
    "2026-01-01T10:00:00X",
    "2026-01-01T10:00:00+99:00",
    "2026-01-01T",
    "01/02/2026",
    "2026/01/02",
    "Nov 24 2026",
    "2026-01-01T10:00:00Z and more",
    "10:00:00",
    "1760000000000000000000",
    "99999-01-01",
    "\uff12026-01-01",
    "2026-01-01T10:00:00Z\0",
    "'; DROP TABLE status_reports; --",
    "null",
    "NaN",
    "9" * 500,
]


# 4.6
@pytest.mark.parametrize("text", BAD_TIMES)
@pytest.mark.parametrize("name", TIMES)
def test_a_bad_time_gets_400_that_names_the_parameter(shelf: Shelf, name: str, text: str) -> None:
    shelf.refuse(name, text)


# 4.6: a bare + is a blank in a query; it is either understood or refused, never read as UTC.
def test_a_bare_plus_in_a_time_is_not_read_as_another_instant(moments: Moments) -> None:
    local = moments.instants["b"] + timedelta(hours=5)
    text = local.strftime("%Y-%m-%dT%H:%M:%S.%f+05:00")
    name = f"{moments.instants['attribute']}_after"
    answer = moments.shelf.account.api.get(f"/status_reports?{name}={text}")
    if answer.status_code == 200:
        assert_envelope(answer, "status_reports", [moments.shelf.names["c"]])
    else:
        assert_failure(answer, 400)


# 4.6
def test_workspace_id_keeps_the_reports_of_those_workspaces(shelf: Shelf) -> None:
    first, second = shelf.account.workspaces
    rest = [name for name in REPORTS if name != "plain too"]
    shelf.expect({"workspace_id": first}, *rest)
    shelf.expect({"workspace_id": second}, "plain too")
    shelf.expect({"workspace_id": f"{first},{second}"}, *REPORTS)
    shelf.expect({"workspace_id": f"{second},{first},{second}"}, *REPORTS)
    shelf.expect({"workspace_id": f"{second},0"}, "plain too")


# 4.6
@pytest.mark.parametrize("value", ["0", "-1", "999999999", str(2**63), "-" + "9" * 30, "9" * 400])
def test_an_unknown_workspace_has_no_reports(shelf: Shelf, value: str) -> None:
    shelf.expect({"workspace_id": value})
    shelf.expect({"workspace_id": f"{value},{shelf.account.workspaces[1]}"}, "plain too")


# 4.6
@pytest.mark.parametrize(
    "value",
    ["abc", "1abc", "1.5", "1;2", "1,abc", "1e3", "0x1", "-", "1-2", "*", "true", "[1]", "\0"],
)
def test_a_workspace_id_that_is_no_integer_gets_400(shelf: Shelf, value: str) -> None:
    shelf.refuse("workspace_id", value)


BOOLEANS = {"true": WITH, "TRUE": WITH, "false": WITHOUT, "FALSE": WITHOUT}


# 4.6
@pytest.mark.parametrize(("value", "names"), BOOLEANS.items(), ids=BOOLEANS)
def test_has_external_references_takes_a_boolean(
    shelf: Shelf, value: str, names: tuple[str, ...]
) -> None:
    shelf.expect({"has_external_references": value}, *names)


# 4.6
@pytest.mark.parametrize(
    "value", ["yes", "no", "1", "0", "True", "tRUE", "t", "truefalse", "null", "2", "\0"]
)
def test_has_external_references_refuses_the_rest(shelf: Shelf, value: str) -> None:
    shelf.refuse("has_external_references", value)


E = "external_reference_"
EXACT = {
    "service name": ({E + "service_name": "jira"}, JIRA),
    "other service name": ({E + "service_name": "crm"}, CRM),
    "service name of another case": ({E + "service_name": "JIRA"}, ()),
    "service name with a blank": ({E + "service_name": " jira"}, ()),
    "beginning of a service name": ({E + "service_name": "jir"}, ()),
    "wildcard": ({E + "service_name": "%"}, ()),
    "other wildcard": ({E + "service_name": "jir_"}, ()),
    "quote": ({E + "service_name": "' OR '1'='1"}, ()),
    "list": ({E + "service_name": "jira,crm"}, ()),
    "service model": ({E + "service_model": "Issue"}, JIRA),
    "other service model": ({E + "service_model": "Deal"}, CRM),
    "ref": ({E + "service_model_ref": "7"}, ("in jira", "in both")),
    "ref that is text": ({E + "service_model_ref": "PRJ-9"}, ("by text",)),
    "ref with a zero": ({E + "service_model_ref": "07"}, ()),
    "ref as a decimal": ({E + "service_model_ref": "7.0"}, ()),
    "refs": ({E + "service_model_refs": "7,8"}, ("in jira", "in crm", "in both")),
    "one of refs": ({E + "service_model_refs": "PRJ-9"}, ("by text",)),
    "refs repeated": ({E + "service_model_refs": "8,8,8"}, CRM),
    "unknown refs": ({E + "service_model_refs": "x,y"}, ()),
    "external status": ({E + "external_status": "open"}, ("in jira", "in both")),
    "message": ({E + "external_message": "Late, but fine"}, ("in jira", "in both")),
    "message with a percent sign": ({E + "external_message": "100%"}, CRM),
    "part of a message": ({E + "external_message": "Late"}, ()),
    "status": ({E + "status": "successful"}, WITH),
    "another status": ({E + "status": "failed"}, ()),
    "unknown status": ({E + "status": "nobody"}, ()),
    "without": ({"without_" + E + "service_name": "jira"}, ("plain", "plain too", "in crm")),
    "without another": (
        {"without_" + E + "service_name": "crm"},
        ("plain", "plain too", "in jira", "by text"),
    ),
    "without an unknown one": ({"without_" + E + "service_name": "nobody"}, tuple(REPORTS)),
    "without a wildcard": ({"without_" + E + "service_name": "%"}, tuple(REPORTS)),
}


# 4.6
@pytest.mark.parametrize(("params", "names"), EXACT.values(), ids=EXACT)
def test_external_references_match_exactly(
    shelf: Shelf, params: dict[str, str], names: tuple[str, ...]
) -> None:
    shelf.expect(params, *names)


ONE_AND_THE_SAME = {
    "name and ref of one": (
        {E + "service_name": "jira", E + "service_model_ref": "7"},
        ("in jira", "in both"),
    ),
    "name and ref of two": ({E + "service_name": "jira", E + "service_model_ref": "8"}, ()),
    "name and model of two": ({E + "service_name": "crm", E + "service_model": "Issue"}, ()),
    "name and status of two": ({E + "service_name": "crm", E + "external_status": "open"}, ()),
    "name and message of two": ({E + "service_name": "jira", E + "external_message": "100%"}, ()),
    "model and status of two": ({E + "service_model": "Deal", E + "external_status": "open"}, ()),
    "name and refs": (
        {E + "service_name": "jira", E + "service_model_refs": "7,8"},
        ("in jira", "in both"),
    ),
    "name and refs of two": ({E + "service_name": "crm", E + "service_model_refs": "7,PRJ-9"}, ()),
    "ref and refs": ({E + "service_model_ref": "7", E + "service_model_refs": "7,8"}, JIRA[:2]),
    "ref and other refs": ({E + "service_model_ref": "7", E + "service_model_refs": "8"}, ()),
    "all of one": (
        {
            E + "service_name": "crm",
            E + "service_model": "Deal",
            E + "service_model_ref": "8",
            E + "service_model_refs": "1,8",
            E + "external_status": "closed",
            E + "external_message": "100%",
            E + "status": "successful",
        },
        CRM,
    ),
    "one with and one without": (
        {E + "service_name": "crm", "without_" + E + "service_name": "jira"},
        ("in crm",),
    ),
    "with and without the same": (
        {E + "service_name": "crm", "without_" + E + "service_name": "crm"},
        (),
    ),
    "any and without": (
        {"has_external_references": "true", "without_" + E + "service_name": "jira"},
        ("in crm",),
    ),
    "none and a name": ({"has_external_references": "false", E + "service_name": "jira"}, ()),
    "any and a name": ({"has_external_references": "true", E + "service_name": "jira"}, JIRA),
}


# 4.6
@pytest.mark.parametrize(("params", "names"), ONE_AND_THE_SAME.values(), ids=ONE_AND_THE_SAME)
def test_several_filters_hold_for_one_and_the_same_reference(
    shelf: Shelf, params: dict[str, str], names: tuple[str, ...]
) -> None:
    shelf.expect(params, *names)


# 4.6
def test_refs_are_200_at_most(shelf: Shelf) -> None:
    name = "external_reference_service_model_refs"
    refs = [f"x{number}" for number in range(199)]
    shelf.expect({name: ",".join([*refs, "8"])}, *CRM)
    shelf.refuse(name, ",".join([*refs, "8", "7"]))


# 4.6
def test_filters_of_different_kinds_combine_with_and(shelf: Shelf) -> None:
    first, second = shelf.account.workspaces
    shelf.expect({"workspace_id": first, "has_external_references": "false"}, "plain")
    shelf.expect({"workspace_id": second, "has_external_references": "true"})
    shelf.expect(
        {"workspace_id": first, E + "service_name": "jira", "created_after": "2001-01-01"}, *JIRA
    )
    shelf.expect({E + "service_name": "jira", "created_before": "2001-01-01"})
    shelf.expect({"created_after": "9999-01-01", "created_before": "2001-01-01"})
    shelf.expect({"workspace_id": first, "updated_after": "2001-01-01", "only": "0"})


FILTERS = [
    *TIMES,
    "workspace_id",
    "has_external_references",
    "external_reference_service_name",
    "external_reference_service_model",
    "external_reference_service_model_ref",
    "external_reference_service_model_refs",
    "external_reference_external_status",
    "external_reference_external_message",
    "external_reference_status",
    "without_external_reference_service_name",
]


# 4.6
@pytest.mark.parametrize("name", FILTERS)
def test_a_blank_filter_is_as_if_not_sent(shelf: Shelf, name: str) -> None:
    for query in (f"{name}=", name, f"{name}=%20%20", f"{name}=nonsense&{name}="):
        answer = shelf.account.api.get(f"/status_reports?{query}")
        body = assert_envelope(answer, "status_reports")
        assert body["count"] == len(REPORTS), query


# 4.6
@pytest.mark.parametrize("value", ["\0", "\U0010ffff", "%s", "'", '"', "\\", "a" * 3000, "{}"])
@pytest.mark.parametrize("name", [name for name in FILTERS if "external_reference_" in name])
def test_an_odd_text_in_a_filter_matches_nothing(shelf: Shelf, name: str, value: str) -> None:
    names = REPORTS if name.startswith("without") else ()
    shelf.expect({name: value}, *names)


# 4.6, 5.5
def test_filters_follow_the_writes(account: Account) -> None:
    report_id = account.report()
    path = f"/status_reports/{report_id}"

    def found(params: dict[str, str]) -> bool:
        return account.api.get("/status_reports", params=params).json()["count"] == 1

    assert found({"has_external_references": "false"})
    sent = {"status_report": {"external_reference": REFERENCES["jira"]}}
    assert account.api.put(path, json=sent).is_success
    assert found({"has_external_references": "true"})
    assert found({E + "service_model_ref": "7"})
    sent = {"status_report": {"external_reference": REFERENCES["text"]}}
    assert account.api.put(path, json=sent).is_success
    assert not found({E + "service_model_ref": "7"})
    assert found({E + "service_model_ref": "PRJ-9"})
    assert account.api.delete(path).status_code == 204
    assert not found({E + "service_model_ref": "PRJ-9"})
    assert not found({"has_external_references": "true"})


# 4.6, 2.2
@pytest.mark.parametrize("role", ["administrator", "editor", "viewer"])
def test_a_filtered_list_is_paged_and_counted(shelf: Shelf, role: str) -> None:
    ids = sorted((shelf.names[name] for name in JIRA), key=int)
    for number, report_id in enumerate(ids, 1):
        params = {E + "service_name": "jira", "per_page": 1, "page": number}
        answer = shelf.account.clients[role].get("/status_reports", params=params)
        assert_envelope(answer, "status_reports", [report_id], count=len(ids), page_count=3)


# 4.7
@pytest.mark.parametrize("value", ["zzz", "All", "", "%", "\0"])
def test_search_is_ignored(shelf: Shelf, value: str) -> None:
    shelf.expect({"search": value}, *REPORTS)


# 4.7
def test_reports_of_an_archived_workspace_are_listed(account: Account) -> None:
    ids = [account.report(), account.report(workspace_id=account.workspaces[1])]
    space_id = int(account.workspaces[1])
    account.database.write_here(lambda tx: workspaces.archive(tx, space_id, now(), archived=True))
    assert_envelope(account.api.get("/status_reports"), "status_reports", ids)
    answer = account.api.get("/status_reports", params={"workspace_id": space_id})
    assert_envelope(answer, "status_reports", ids[1:])
    assert account.api.get(f"/status_reports/{ids[1]}").status_code == 200


# 4.7
@pytest.mark.parametrize("name", ["updater_id", "description", "id", "include_archived"])
def test_an_attribute_is_no_filter(shelf: Shelf, name: str) -> None:
    shelf.expect({name: "nobody"}, *REPORTS)
