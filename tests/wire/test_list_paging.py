from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from sharing import open_account

from conftest import Account, Server
from expect import assert_envelope, assert_failure
from healthreports.store.engine.database import Database
from healthreports.store.lists import verify
from raw import execute

pytestmark = pytest.mark.one_store

TOTAL = 45
BEYOND = 2**63


@dataclass
class Shelf:
    """An account with 45 reports, the same for every test here."""

    account: Account
    ids: list[str]

    def expect(self, query: str, ids: list[str], **meta: int) -> dict:
        answer = self.account.api.get(f"/status_reports?{query}")
        return assert_envelope(answer, "status_reports", ids, **meta)


@pytest.fixture(scope="module")
def shelf(server: Server, database: Database) -> Iterator[Shelf]:
    with open_account(server, database) as account:
        ids = [account.report(description=f"Report {number}") for number in range(TOTAL)]
        yield Shelf(account, ids)


PER_PAGE = {
    "5": 5,
    "1": 1,
    "200": 200,
    "201": 200,
    "1000000": 200,
    "9" * 30: 200,
    "0": 20,
    "-1": 20,
    "-9" * 30: 20,
    "abc": 20,
    "12abc": 12,
    "7.9": 7,
    "1e2": 1,
    "0x10": 20,
    "%205": 5,
    "%20%09%0A5": 5,
    "5%20": 5,
    "+5": 5,
    "%2B5": 5,
    "%2B%2B5": 20,
    "-%205": 20,
    "--5": 20,
    "1_0": 10,
    "1__0": 1,
    "_10": 20,
    "10_": 10,
    "1,000": 1,
    "007": 7,
    "%EF%BC%95": 20,
    "%D9%A5": 20,
    "5%EF%BC%95": 5,
    "%C2%B2": 20,
    "null": 20,
    "[]": 20,
    "%00": 20,
    "5%00": 5,
}


# 4.1, 2.4
@pytest.mark.parametrize(("sent", "size"), PER_PAGE.items(), ids=PER_PAGE)
def test_per_page_is_read_as_ruby_reads_an_integer(shelf: Shelf, sent: str, size: int) -> None:
    shelf.expect(f"per_page={sent}", shelf.ids[:size], count=TOTAL, page_size=size, page_number=1)


PAGES = {
    "1": (1, 1),
    "2": (2, 2),
    "3": (3, 3),
    "5": (5, 5),
    "6": (6, 6),
    "0": (1, 0),
    "-3": (1, -3),
    "abc": (1, 0),
    "2abc": (2, 2),
    "%202": (2, 2),
    "%0D%0A2": (2, 2),
    "+2": (2, 2),
    "%2B2": (2, 2),
    "1_0": (10, 10),
    "0_2": (2, 2),
    "2__0": (2, 2),
    "_2": (1, 0),
    "2.99": (2, 2),
    "2e9": (2, 2),
    "0b10": (1, 0),
    "%EF%BC%92": (1, 0),
    "02": (2, 2),
    "-0": (1, 0),
    "-2abc": (1, -2),
    "- 2": (1, 0),
    str(BEYOND): (BEYOND, BEYOND),
    "9" * 25: (10**25 - 1, 10**25 - 1),
    f"-{BEYOND + 1}": (1, -BEYOND - 1),
}


# 4.1, 2.4
@pytest.mark.parametrize(("sent", "read"), PAGES.items(), ids=PAGES)
def test_page_is_read_as_ruby_reads_an_integer(
    shelf: Shelf, sent: str, read: tuple[int, int]
) -> None:
    page, number = read
    rows = shelf.ids[(page - 1) * 10 : page * 10]
    shelf.expect(
        f"per_page=10&page={sent}",
        rows,
        count=TOTAL,
        page_size=10,
        page_count=5,
        page_number=number,
    )


# 4.1
def test_a_very_long_page_is_no_error(shelf: Shelf) -> None:
    answer = shelf.account.api.get(f"/status_reports?page={'9' * 5000}")
    assert answer.status_code == 200, answer.text
    assert answer.json()["results"] == []


# 4.1, 4.6
@pytest.mark.parametrize("query", ["page=", "per_page=", "page=&per_page=", "page", "per_page"])
def test_a_blank_page_is_the_first_of_20(shelf: Shelf, query: str) -> None:
    shelf.expect(query, shelf.ids[:20], count=TOTAL, page_size=20, page_count=3)


# 4.1
@pytest.mark.parametrize("size", [1, 7, 20, 44, 45, 46, 200])
def test_pages_cover_the_list_once(shelf: Shelf, size: int) -> None:
    seen = []
    for number in range(1, -(-TOTAL // size) + 1):
        rows = shelf.ids[(number - 1) * size : number * size]
        body = shelf.expect(f"page={number}&per_page={size}", rows, page_number=number)
        seen += [result["id"] for result in body["results"]]
    assert seen == shelf.ids
    shelf.expect(f"page={-(-TOTAL // size) + 1}&per_page={size}", [], count=TOTAL)


WINDOWS = {
    "both": ("limit=5&offset=10", 5, 10),
    "the other way round": ("offset=10&limit=5", 5, 10),
    "from the start": ("limit=3&offset=0", 3, 0),
    "the end": ("limit=10&offset=40", 10, 40),
    "past the end": ("limit=10&offset=45", 10, 45),
    "far past the end": (f"limit=10&offset={'9' * 30}", 10, TOTAL),
    "limit 0": ("limit=0&offset=2", 1, 2),
    "limit below 0": ("limit=-5&offset=2", 1, 2),
    "limit is no number": ("limit=abc&offset=2", 1, 2),
    "limit 200": ("limit=200&offset=0", 200, 0),
    "limit over 200": ("limit=201&offset=0", 200, 0),
    "huge limit": (f"limit={'9' * 30}&offset=0", 200, 0),
    "offset below 0": ("limit=5&offset=-7", 5, 0),
    "offset is no number": ("limit=5&offset=abc", 5, 0),
    "pages beside it": ("limit=5&offset=10&page=3&per_page=2", 5, 10),
    "bad pages beside it": ("limit=5&offset=10&page=abc&per_page=-1", 5, 10),
}


# 4.2
@pytest.mark.parametrize(("query", "limit", "offset"), WINDOWS.values(), ids=WINDOWS)
def test_limit_and_offset_choose_the_rows(
    shelf: Shelf, query: str, limit: int, offset: int
) -> None:
    shelf.expect(query, shelf.ids[offset : offset + limit], count=TOTAL)


# 2.4
def test_page_size_stays_that_of_per_page_with_limit_and_offset(shelf: Shelf) -> None:
    rows = shelf.ids[1:6]
    shelf.expect("limit=5&offset=1", rows, page_size=20, page_count=3, page_number=1)
    shelf.expect(
        "limit=5&offset=1&per_page=7&page=4", rows, page_size=7, page_count=7, page_number=4
    )


# 4.2
@pytest.mark.parametrize(
    "query",
    ["limit=5", "offset=5", "limit=5&offset=", "limit=&offset=5", "limit=&offset=", "limit&offset"],
)
def test_limit_or_offset_alone_does_not_count(shelf: Shelf, query: str) -> None:
    shelf.expect(query, shelf.ids[:20], count=TOTAL, page_number=1, page_size=20)
    shelf.expect(f"{query}&page=2&per_page=10", shelf.ids[10:20], page_number=2, page_size=10)


# 4.3
def test_only_brings_those_ids_in_the_order_of_the_list(shelf: Shelf) -> None:
    a, b, c = shelf.ids[3], shelf.ids[30], shelf.ids[7]
    shelf.expect(f"only={a},{b},{c}", [a, c, b], count=3)
    shelf.expect(f"only={a},{b},{c}&order=id:desc", [b, c, a], count=3)
    shelf.expect(f"only={a}", [a], count=1)
    shelf.expect(f"only={a}%2C{b}", [a, b], count=2)


# 4.3
@pytest.mark.parametrize(
    "paging",
    ["", "&page=2", "&page=9&per_page=3", "&per_page=1", "&limit=2&offset=40", "&page=0"],
)
def test_only_is_not_paged(shelf: Shelf, paging: str) -> None:
    shelf.expect(f"only={','.join(shelf.ids)}{paging}", shelf.ids, count=TOTAL)


JUNK = ["abc", "", "-1", "1.5", "0x1", "%201", "1%20", "%2B1", "1_0", "%EF%BC%91", "%C2%B2", "*"]


# 4.3
@pytest.mark.parametrize("junk", [*JUNK, "{id}abc", "-{id}", "%20{id}", "{id}.0", "{id};"])
def test_only_drops_parts_that_are_not_plain_digits(shelf: Shelf, junk: str) -> None:
    part, kept = junk.format(id=shelf.ids[2]), shelf.ids[5]
    shelf.expect(f"only={part},{kept},{part}", [kept], count=1)


# 4.3
@pytest.mark.parametrize("junk", [part for part in JUNK if part] + [",", ",,,", "abc,,-1"])
def test_only_with_nothing_left_is_empty(shelf: Shelf, junk: str) -> None:
    body = shelf.expect(f"only={junk}", [], count=0, page_count=0, page_number=0)
    assert body["status_reports"] == {}


# 4.3
@pytest.mark.parametrize("missing", ["0", "999999999", str(BEYOND - 1), str(BEYOND), "9" * 400])
def test_only_leaves_out_what_is_not_there(shelf: Shelf, missing: str) -> None:
    shelf.expect(f"only={missing}", [], count=0)
    shelf.expect(f"only={missing},{shelf.ids[0]}", [shelf.ids[0]], count=1)


# 4.3
def test_only_brings_a_repeated_id_once(shelf: Shelf) -> None:
    shelf.expect(f"only={shelf.ids[1]},{shelf.ids[0]},{shelf.ids[1]}", shelf.ids[:2], count=2)


# 4.3
@pytest.mark.parametrize("start", [10**9, BEYOND, 10**30], ids=["small", "64 bits", "huge"])
def test_only_takes_as_many_ids_as_a_request_line_holds(shelf: Shelf, start: int) -> None:
    missing = [str(start + number) for number in range(60_000 // len(f"{start},"))]
    shelf.expect(f"only={','.join([shelf.ids[0], *missing, shelf.ids[1]])}", shelf.ids[:2], count=2)


# 1.6, 4.3
def test_a_list_may_be_written_as_an_array(shelf: Shelf) -> None:
    shelf.expect(f"only[]={shelf.ids[0]}&only[]={shelf.ids[1]}", shelf.ids[:2], count=2)


# 4.3
def test_only_keeps_the_filters(account: Account) -> None:
    first, second = account.report(), account.report(workspace_id=account.workspaces[1])
    params = {"only": f"{first},{second}", "workspace_id": account.workspaces[1]}
    answer = account.api.get("/status_reports", params=params)
    assert_envelope(answer, "status_reports", [second], count=1)
    params = {"only": first, "created_before": "2001-01-01"}
    assert_envelope(account.api.get("/status_reports", params=params), "status_reports", [])
    params = {"only": first, "created_before": "nonsense"}
    assert_failure(account.api.get("/status_reports", params=params), 400)


PLAIN = {"count", "results", "status_reports", "meta"}
INCLUDES = {
    "one": ("creator", {"users"}),
    "two": ("creator,workspace", {"users", "workspaces"}),
    "two of one kind": ("creator,updater", {"users"}),
    "repeated": ("creator,creator,creator", {"users"}),
    "unknown": ("nobody", set()),
    "unknown beside": ("nobody,creator,", {"users"}),
    "space before": ("creator, workspace", {"users"}),
    "space after": ("creator ,workspace", {"workspaces"}),
    "space around": (" creator ", set()),
    "another case": ("Creator,WORKSPACE", set()),
    "name of the kind": ("users,workspaces,status_reports", set()),
    "name of an id": ("creator_id,workspace_id", set()),
    "nested": ("creator.workspaces,workspace.creator", set()),
    "blank": ("", set()),
    "commas": (",,,", set()),
    "semicolon": ("creator;workspace", set()),
    "inside": ("__class__,id,count,results,meta", set()),
    "very many": (",".join(["creator"] * 3000), {"users"}),
}


# 4.4
@pytest.mark.parametrize(("include", "keys"), INCLUDES.values(), ids=INCLUDES)
def test_include_names_associations_with_commas(shelf: Shelf, include: str, keys: set[str]) -> None:
    for path in ("/status_reports", f"/status_reports/{shelf.ids[0]}"):
        answer = shelf.account.api.get(path, params={"include": include})
        assert set(assert_envelope(answer, "status_reports")) == PLAIN | keys


# 4.4
@pytest.mark.parametrize("fields", ["", "color", " color , nobody", ",,", "creator", "%00"])
def test_optional_fields_that_nobody_knows_are_ignored(shelf: Shelf, fields: str) -> None:
    plain = shelf.account.api.get("/status_reports").json()
    answer = shelf.account.api.get("/status_reports", params={"optional_fields": fields})
    assert answer.json() == plain


# 4.5
def test_the_order_is_by_id_whatever_was_changed(account: Account) -> None:
    ids = [account.report() for _ in range(11)]
    for report_id in (ids[3], ids[0]):
        path = f"/status_reports/{report_id}"
        assert account.api.put(path, json={"status_report": {"color": "red"}}).is_success
    assert_envelope(account.api.get("/status_reports"), "status_reports", ids)


ORDERS = {
    "created_at:desc": [4, 3, 2, 1, 0],
    "created_at:asc": [0, 1, 2, 3, 4],
    "created_at": [0, 1, 2, 3, 4],
    "updated_at:desc": [0, 3, 4, 2, 1],
    "updated_at:asc": [1, 2, 4, 3, 0],
    "updated_at": [1, 2, 4, 3, 0],
    "id:desc": [4, 3, 2, 1, 0],
    "id:asc": [0, 1, 2, 3, 4],
    "id": [0, 1, 2, 3, 4],
    "updated_at:DESC": [1, 2, 4, 3, 0],
    "updated_at:down": [1, 2, 4, 3, 0],
    "updated_at:": [1, 2, 4, 3, 0],
    "updated_at: desc": [1, 2, 4, 3, 0],
    "color:desc": [0, 1, 2, 3, 4],
    "nobody:asc": [0, 1, 2, 3, 4],
    "Updated_at:desc": [0, 1, 2, 3, 4],
    " updated_at:desc": [0, 1, 2, 3, 4],
    "-updated_at": [0, 1, 2, 3, 4],
    "updated_at desc": [0, 1, 2, 3, 4],
    ":desc": [0, 1, 2, 3, 4],
    ":": [0, 1, 2, 3, 4],
    "": [0, 1, 2, 3, 4],
    "updated_at;DROP TABLE status_reports": [0, 1, 2, 3, 4],
}


@pytest.fixture(scope="module")
def ordered(server: Server, database: Database) -> Iterator[Shelf]:
    """Five reports; the fourth was updated, and then the first."""
    with open_account(server, database) as account:
        ids = [account.report() for _ in range(5)]
        for report_id in (ids[3], ids[0]):
            path = f"/status_reports/{report_id}"
            assert account.api.put(path, json={"status_report": {"color": "red"}}).is_success
        yield Shelf(account, ids)


# 4.5
@pytest.mark.parametrize(("order", "places"), ORDERS.items(), ids=ORDERS)
def test_order_takes_a_name_and_a_direction(ordered: Shelf, order: str, places: list[int]) -> None:
    answer = ordered.account.api.get("/status_reports", params={"order": order})
    assert_envelope(answer, "status_reports", [ordered.ids[place] for place in places])


# 4.5, 4.1
@pytest.mark.parametrize("role", ["administrator", "editor", "viewer"])
def test_an_order_goes_on_over_the_pages(ordered: Shelf, role: str) -> None:
    expected = [ordered.ids[place] for place in ORDERS["updated_at:desc"]]
    for number, report_id in enumerate(expected, 1):
        params = {"order": "updated_at:desc", "per_page": 1, "page": number}
        answer = ordered.account.clients[role].get("/status_reports", params=params)
        assert_envelope(answer, "status_reports", [report_id], count=5)


# 4.5
@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("name", ["created_at", "updated_at"])
def test_ties_go_by_id_ascending(
    account: Account, server: Server, name: str, direction: str
) -> None:
    ids = [account.report() for _ in range(6)]
    execute(
        server.database,
        "UPDATE status_reports SET created_at = 0, updated_at = 0 WHERE account_id = ?",
        account.id,
    )
    account.database.write_here(verify.rebuild)
    params = {"order": f"{name}:{direction}"}
    assert_envelope(account.api.get("/status_reports", params=params), "status_reports", ids)
    for number in (1, 2, 3):
        answer = account.api.get(
            "/status_reports", params={**params, "per_page": 2, "page": number}
        )
        assert_envelope(answer, "status_reports", ids[number * 2 - 2 : number * 2])


# 4.1
def test_a_page_holds_200_reports_at_most(account: Account) -> None:
    ids = [account.report() for _ in range(203)]
    for query in ("per_page=200", "per_page=500", "limit=500&offset=0"):
        answer = account.api.get(f"/status_reports?{query}")
        assert_envelope(answer, "status_reports", ids[:200], count=203)
    answer = account.api.get("/status_reports?per_page=500&page=2")
    assert_envelope(answer, "status_reports", ids[200:], page_size=200, page_count=2)
    answer = account.api.get("/status_reports?limit=500&offset=201")
    assert_envelope(answer, "status_reports", ids[201:], count=203)
