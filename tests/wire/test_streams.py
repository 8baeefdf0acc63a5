"""A list as a stream, in both formats: the same reports, each once, ordered by id."""

import csv
import io
import json
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest
from sharing import open_account

from conftest import Account, Server, make_account
from expect import assert_envelope, assert_failure, assert_stamped
from healthreports.app import now
from healthreports.contract import lines
from healthreports.core.model import Detail, Instant, StatusReport
from healthreports.core.vocabulary import Category, Color, ParticipationPermission, Side
from healthreports.service.auth import tokens
from healthreports.service.people import workspaces
from healthreports.store.engine.database import Database
from healthreports.store.people import accounts
from healthreports.store.reports import reports

ATTRIBUTES = (
    "id",
    "workspace_id",
    "creator_id",
    "updater_id",
    "color",
    "description",
    "created_at",
    "updated_at",
)
CATEGORIES = ("Scope", "Budget", "Schedule", "Client")
HEAD = [
    *ATTRIBUTES,
    *("scope_color", "scope_description", "budget_color", "budget_description"),
    *("schedule_color", "schedule_description", "client_color", "client_description"),
]
# How many reports a stream reads at once.
PIECE = 1_000
DAY_US = 86_400 * 1_000_000
THEN = 1_600_000_000_000_000
Report = dict[str, Any]


def read_json_lines(text: str, _resumed: bool) -> list[Report]:
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.split("\n")[:-1]]


def read_csv(text: str, resumed: bool) -> list[Report]:
    """The rows as reports; a resumed stream has no header row."""
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    if not resumed:
        assert rows.pop(0) == HEAD
    return [as_report(dict(zip(HEAD, row, strict=True))) for row in rows]


def as_report(row: dict[str, str]) -> Report:
    details = [
        {
            "category": category,
            "color": row[f"{category.lower()}_color"],
            "description": row[f"{category.lower()}_description"] or None,
        }
        for category in CATEGORIES
        if row[f"{category.lower()}_color"]
    ]
    attributes = {name: row[name] for name in ATTRIBUTES}
    return {**attributes, "updater_id": row["updater_id"] or None, "details": details}


class Form(NamedTuple):
    path: str
    media_type: str
    read: Callable[[str, bool], list[Report]]

    def all(self, api: httpx.Client, **params: object) -> list[Report]:
        """The reports of a whole stream."""
        answer = api.get(self.path, params={"raw": "true", **params})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == self.media_type
        assert answer.headers["cache-control"] == "no-store"
        assert_stamped(answer)
        return self.read(answer.content.decode(), "after_id" in params)

    def ids(self, api: httpx.Client, **params: object) -> list[str]:
        return [report["id"] for report in self.all(api, **params)]


JSON_LINES = Form("/status_reports.ndjson", "application/x-ndjson; charset=utf-8", read_json_lines)
CSV = Form("/status_reports.csv", "text/csv; charset=utf-8; header=present", read_csv)


@pytest.fixture(params=[JSON_LINES, CSV], ids=["ndjson", "csv"])
def form(request: pytest.FixtureRequest) -> Form:
    return request.param


def walk(api: httpx.Client, **params: object) -> list[Report]:
    """The reports of the list, page by page."""
    found: list[Report] = []
    for page in count(1):
        answer = api.get("/status_reports", params={**params, "per_page": 200, "page": page})
        body = assert_envelope(answer, "status_reports")
        found += [body["status_reports"][one["id"]] for one in body["results"]]
        if page >= body["meta"]["page_count"]:
            assert len(found) == body["count"]
            return found
    raise AssertionError


def insert(database: Database, account: Account, *new: dict[str, Any]) -> list[str]:
    """Store reports directly in the database. Returns their ids."""
    blank = {
        "id": 0,
        "account_id": account.id,
        "workspace_id": int(account.workspaces[0]),
        "creator_id": account.users["editor"].id,
        "updater_id": None,
        "color": Color.GREEN,
        "description": "All is well.",
        "details": (),
        "created_at": Instant(THEN),
        "updated_at": Instant(THEN),
    }
    made = [StatusReport(**{**blank, **one}) for one in new]

    def work(tx) -> list[str]:
        stored = reports.insert(tx, account.id, made)
        accounts.touch(tx, account.id, only_reports=True)
        return [str(report.id) for report in stored]

    return database.write_here(work, account.id)


def new_token(database: Database, account: Account, role: str = "administrator") -> str:
    return database.write_here(lambda tx: tokens.issue(tx, account.users[role], "test", now()))


@dataclass
class Shelf:
    """Reports that the tests here only read, ordered by id."""

    account: Account
    ids: list[str]


REFERENCES = {
    "jira": {
        "service_name": "jira",
        "service_model": "Issue",
        "service_model_ref": "7",
        "external_status": "open",
        "external_message": "Late",
    },
    "crm": {
        "service_name": "crm",
        "service_model": "Deal",
        "service_model_ref": "8",
        "external_status": "closed",
        "external_message": "Late",
    },
}
# For each report: its workspace, its age in days, and its references.
SHELVED = (
    (0, 9, ()),
    (1, 8, ("jira",)),
    (0, 7, ("crm",)),
    (0, 1, ("jira", "crm")),
    (1, 2, ()),
    (1, 3, ("crm",)),
    (0, 4, ("jira",)),
    (0, 5, ()),
)
SEEN_BY = {
    "administrator": (0, 1, 2, 3, 4, 5, 6, 7),
    "editor": (0, 1, 2, 3, 4, 5, 6, 7),
    "viewer": (0, 2, 3, 6, 7),
    "outsider": (),
}


@pytest.fixture(scope="module")
def shelf(server: Server, database: Database) -> Iterator[Shelf]:
    with open_account(server, database) as account:
        ids = []
        for space, days, references in SHELVED:
            details = tuple(
                Detail(category, color, text)
                for category, color, text in (
                    (Category.SCOPE, Color.RED, "Too much"),
                    (Category.SCHEDULE, Color.GREEN, None),
                    (Category.CLIENT, Color.YELLOW, "Asks, and asks"),
                )
            )
            ids += insert(
                database,
                account,
                {
                    "workspace_id": int(account.workspaces[space]),
                    "details": details[: days % 4],
                    "created_at": Instant(THEN - days * DAY_US),
                    "updated_at": Instant(THEN + days * DAY_US),
                },
            )
            for name in references:
                sent = {"status_report": {"external_reference": REFERENCES[name]}}
                assert account.api.put(f"/status_reports/{ids[-1]}", json=sent).is_success
        # Some of them have been changed.
        for one in ids[::3]:
            sent = {"status_report": {"color": "red", "description": f"Not so well: {one}"}}
            assert account.api.put(f"/status_reports/{one}", json=sent).is_success
        yield Shelf(account, ids)


def test_a_stream_has_the_reports_of_the_list_by_id(shelf: Shelf, form: Form) -> None:
    listed = walk(shelf.account.api)
    assert [one["id"] for one in listed] == shelf.ids
    assert {len(one["details"]) for one in listed} == {0, 1, 2, 3}
    assert {one["updater_id"] is None for one in listed} == {True, False}
    assert form.all(shelf.account.api) == listed


def test_a_json_line_is_the_report_to_the_letter(shelf: Shelf) -> None:
    page = shelf.account.api.get("/status_reports").text
    sent = shelf.account.api.get(JSON_LINES.path).text
    assert len(sent.splitlines()) == len(shelf.ids)
    for line in sent.splitlines():
        assert line in page


@pytest.mark.parametrize("role", SEEN_BY)
def test_everybody_gets_what_they_see(shelf: Shelf, form: Form, role: str) -> None:
    api = shelf.account.clients[role]
    assert form.ids(api) == [shelf.ids[place] for place in SEEN_BY[role]]
    assert form.all(api) == walk(api)


def test_nobody_gets_what_is_another_accounts(
    shelf: Shelf, other_account: Account, form: Form
) -> None:
    own = other_account.report()
    assert form.ids(other_account.api) == [own]
    assert form.ids(other_account.api, workspace_id=shelf.account.workspaces[0]) == []


def test_the_client_side_gets_what_the_workspace_lets_it_see(
    account: Account, database: Database, form: Form
) -> None:
    first, second = (account.report(workspace_id=space) for space in account.workspaces)
    outsider, edit = account.users["outsider"], ParticipationPermission.EDIT
    spaces = list(map(int, account.workspaces))

    def join(tx) -> None:
        for space in spaces:
            workspaces.join(tx, space, outsider, edit, now(), side=Side.CLIENT)

    database.write_here(join)
    assert form.ids(account.clients["outsider"]) == []
    database.write_here(lambda tx: workspaces.show_to_clients(tx, spaces[1], now(), shown=True))
    assert form.ids(account.clients["outsider"]) == [second]
    database.write_here(lambda tx: workspaces.show_to_clients(tx, spaces[1], now(), shown=False))
    assert form.ids(account.clients["outsider"]) == []
    assert form.ids(account.api) == [first, second]


def day(offset: float) -> str:
    at = time.gmtime(THEN / 1_000_000 + offset * 86_400)
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", at)


REF = "external_reference_"
FILTERS: dict[str, dict[str, object]] = {
    "created after": {"created_after": day(-5)},
    "created before": {"created_before": day(-2)},
    "created between": {"created_after": day(-8), "created_before": day(-2)},
    "updated after": {"updated_after": day(30)},
    "updated before": {"updated_before": day(6)},
    "both times": {"created_before": day(-2), "updated_before": day(4)},
    "a workspace": {"workspace_id": "{0}"},
    "two workspaces, one unknown": {"workspace_id": "{1},999999999"},
    "with references": {"has_external_references": "true"},
    "without references": {"has_external_references": "FALSE"},
    "service": {f"{REF}service_name": "jira"},
    "model": {f"{REF}service_model": "Deal"},
    "ref": {f"{REF}service_model_ref": "7"},
    "external status": {f"{REF}external_status": "closed"},
    "message": {f"{REF}external_message": "Late"},
    "status": {f"{REF}status": "successful"},
    "refs": {f"{REF}service_model_refs": "8,9"},
    "without service": {"without_external_reference_service_name": "jira"},
    "one reference": {f"{REF}service_name": "jira", f"{REF}service_model_ref": "7"},
    "with one, without another": {
        f"{REF}service_name": "crm",
        "without_external_reference_service_name": "jira",
    },
    "refs at a time": {f"{REF}service_model_refs": "7,8", "created_after": day(-6)},
    "term in a workspace": {f"{REF}service_name": "crm", "workspace_id": "{0}"},
    "time in a workspace": {"created_after": day(-6), "workspace_id": "{0}"},
    "all at once": {
        "created_after": day(-8),
        f"{REF}service_name": "crm",
        f"{REF}service_model_refs": "8",
        "has_external_references": "true",
        "workspace_id": "{0},{1}",
    },
}


@pytest.mark.parametrize("role", ["administrator", "viewer"])
@pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS)
def test_filters_are_those_of_the_list(shelf: Shelf, filters: dict[str, str], role: str) -> None:
    api = shelf.account.clients[role]
    params = {
        name: value.format(*shelf.account.workspaces) if name == "workspace_id" else value
        for name, value in filters.items()
    }
    listed = walk(api, **params)
    assert len(listed) < len(shelf.ids)
    assert listed or role == "viewer"
    for form in (JSON_LINES, CSV):
        assert form.all(api, **params) == listed
    for number, report in enumerate(listed, 1):
        assert JSON_LINES.all(api, **params, after_id=report["id"]) == listed[number:]


def test_filters_that_nothing_passes_leave_a_head_at_most(shelf: Shelf) -> None:
    api, params = shelf.account.api, {"created_after": day(100)}
    assert api.get(JSON_LINES.path, params=params).content == b""
    assert api.get(CSV.path, params=params).content == ",".join(HEAD).encode() + b"\r\n"


def test_parameters_are_read_as_those_of_the_list(shelf: Shelf, form: Form) -> None:
    api, ids = shelf.account.api, shelf.ids
    for query in (
        "search=nothing&include=creator&nonsense=1",
        "workspace_id=&created_after=%20&has_external_references=",
        "order=id&page=&limit=%20&offset=&only=",
        "order=id:asc",
        "order=nonsense:desc",
        "workspace_id=abc&workspace_id=",
    ):
        answer = api.get(f"{form.path}?{query}")
        assert answer.status_code == 200, query
        assert [one["id"] for one in form.read(answer.text, False)] == ids, query  # noqa: FBT003  not resumed


def test_a_stream_goes_on_behind_any_line(shelf: Shelf, form: Form) -> None:
    api, whole = shelf.account.api, form.all(shelf.account.api)
    for number, report in enumerate(whole, 1):
        assert form.all(api, after_id=report["id"]) == whole[number:]
    assert api.get(form.path, params={"after_id": 2**63 - 1}).content == b""


def test_a_stream_from_nothing_is_a_stream_from_the_start(shelf: Shelf, form: Form) -> None:
    whole = shelf.account.api.get(form.path).content
    for nothing in ("", " ", "0"):
        assert shelf.account.api.get(form.path, params={"after_id": nothing}).content == whole


def test_a_stream_goes_on_behind_a_report_that_was_deleted(account: Account, form: Form) -> None:
    ids = [account.report() for _ in range(3)]
    assert account.api.delete(f"/status_reports/{ids[1]}").status_code == 204
    assert form.ids(account.api, after_id=ids[1]) == ids[2:]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("page", "2"),
        ("page", "1"),
        ("limit", "5"),
        ("offset", "5"),
        ("only", "1"),
        ("order", "created_at"),
        ("order", "updated_at:desc"),
        ("order", "id:desc"),
        ("after_id", "x"),
        ("after_id", "-1"),
        ("after_id", "1.5"),
        ("after_id", "1,2"),
        ("after_id", str(2**63)),
        ("created_after", "yesterday"),
        ("created_before", "2026-13-01"),
        ("updated_after", "1"),
        ("updated_before", "24:00"),
        ("workspace_id", "abc"),
        ("workspace_id", ",".join(map(str, range(201)))),
        ("has_external_references", "perhaps"),
        ("external_reference_service_model_refs", ",".join(map(str, range(201)))),
    ],
    ids=lambda value: value[:24],
)
def test_what_a_stream_cannot_do_is_a_400_that_names_the_parameter(
    shelf: Shelf, name: str, value: str
) -> None:
    for form in (JSON_LINES, CSV):
        [error] = assert_failure(shelf.account.api.get(form.path, params={name: value}), 400)
        assert re.search(rf"\b{name}\b", error["message"])


def test_a_stranger_learns_nothing_not_even_of_parameters(server: Server, form: Form) -> None:
    for secret in (None, "hr_wrong"):
        with server.client(secret) as api:
            for query in ("", "?page=2"):
                answer = api.get(form.path + query)
                assert_failure(answer, 401, "oauth")
                assert answer.headers["www-authenticate"] == "Bearer"


def test_a_token_that_may_only_read_may_stream(
    server: Server, database: Database, shelf: Shelf, form: Form
) -> None:
    user, scopes = shelf.account.users["viewer"], tokens.scopes_for(read_only=True)
    secret = database.write_here(lambda tx: tokens.issue(tx, user, "r", now(), scopes=scopes))
    with server.client(secret) as api:
        assert form.all(api) == form.all(shelf.account.clients["viewer"])


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_stream_can_only_be_got(shelf: Shelf, form: Form, method: str) -> None:
    answer = shelf.account.api.request(method, form.path)
    assert_failure(answer, 405)
    assert answer.headers["allow"] == "GET, HEAD"


# RFC 9110, 8.6: Content-Length in an answer to HEAD is that of GET, or it is left out.
def test_head_is_a_get_without_its_body(shelf: Shelf, form: Form) -> None:
    headers = []
    for method in ("GET", "HEAD"):
        answer = shelf.account.api.request(method, form.path)
        assert answer.status_code == 200
        assert (answer.content == b"") is (method == "HEAD")
        headers.append(
            {
                name: value
                for name, value in answer.headers.items()
                if name not in {"date", "x-request-id", "x-runtime", "transfer-encoding"}
            }
        )
    assert headers[0] == headers[1]


def test_head_fails_as_get_does(shelf: Shelf, form: Form) -> None:
    assert shelf.account.api.head(form.path, params={"page": 2}).status_code == 400
    assert (
        shelf.account.api.head(form.path, headers={"authorization": "Bearer x"}).status_code == 401
    )


def test_the_list_and_the_reports_answer_as_before(shelf: Shelf) -> None:
    api, ids = shelf.account.api, shelf.ids
    for path in ("/status_reports", "/status_reports.json"):
        assert_envelope(api.get(path), "status_reports", ids, count=len(ids))
        # A list ignores the parameters that only a stream has.
        assert_envelope(api.get(path, params={"after_id": ids[3]}), "status_reports", ids)
        assert_envelope(api.get(path, params={"after_id": "x"}), "status_reports", ids)
    # `Accept` does not turn a list into a stream, or a stream into a list.
    accept = {"accept": "text/csv, application/x-ndjson"}
    assert_envelope(api.get("/status_reports", headers=accept), "status_reports", ids)
    answer = api.get(CSV.path, headers={"accept": "application/json"})
    assert answer.headers["content-type"] == CSV.media_type
    for path in (f"/status_reports/{ids[0]}.ndjson", f"/status_reports/{ids[0]}.csv"):
        assert_failure(api.get(path), 404)
    for path in ("/workspaces.ndjson", "/users.csv", "/status_reports.xml"):
        assert_failure(api.get(path), 404)


TEXTS = (
    'He said "no", twice',
    "two\nlines",
    "two\r\nlines, and\r\n\r\nmore",
    "an old\rreturn",
    "😀 ünïcödé 漢字 \u202emirrored",
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1:A9)",
    '="',
    '"',
    ",",
    "''",
    "a\tb;c|d",
    "\ufeffmarked",
    "line\u2028separator\u0085next",
    "\\n",
    "null",
)


def test_any_text_survives(account: Account, form: Form) -> None:
    for text in TEXTS:
        details = [
            {"category": "Budget", "color": "red", "description": text},
            {"category": "Client", "color": "green"},
        ]
        account.report(description=text, details=details)
    found = form.all(account.api)
    assert [one["description"] for one in found] == list(TEXTS)
    assert [one["details"][0]["description"] for one in found] == list(TEXTS)
    assert {one["details"][1]["description"] for one in found} == {None}


FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1", "''+1")


def test_no_cell_is_a_formula_unless_a_program_asks_for_cells_as_they_are(
    account: Account,
) -> None:
    for text in (*FORMULAS, "'quoted'", "fine = fine"):
        details = [{"category": "Budget", "color": "red", "description": text}]
        account.report(description=f"{text} and more", details=details)
    plain, raw = (
        account.api.get("/status_reports.csv", params=params) for params in ({}, {"raw": "true"})
    )
    for answer in (plain, raw):
        named = answer.headers["content-disposition"]
        assert named == 'attachment; filename="status_reports.csv"'
    cells = [cell for row in csv.reader(io.StringIO(plain.text, newline="")) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert "'quoted'" in cells
    as_they_are = read_csv(raw.text, resumed=False)
    assert [one["details"][0]["description"] for one in as_they_are[:8]] == list(FORMULAS)
    # Text that was escaped is imported as it was before.
    imported = [one.sent for one in lines.read_csv(io.BytesIO(plain.content), 0)]
    assert [one["description"] for one in imported[:8]] == [
        f"{one} and more".strip() for one in FORMULAS
    ]


@dataclass
class Big:
    """Small reports that fill about three pieces; exactly two pieces are in one workspace."""

    account: Account
    ids: list[str]
    odd: list[str]


@pytest.fixture(scope="module")
def big(server: Server, database: Database) -> Iterator[Big]:
    with open_account(server, database) as account:
        spaces = [int(one) for one in account.workspaces]
        # Of the first 150 reports, every third is in the second workspace; none of the others is.
        of_second = [place % 3 == 2 for place in range(3 * 50)] + [False] * (2 * PIECE - 100)
        ids = insert(
            database,
            account,
            *(
                {"workspace_id": spaces[second], "description": f"Report {place}"}
                for place, second in enumerate(of_second)
            ),
        )
        firsts = [one for one, second in zip(ids, of_second, strict=True) if not second]
        assert len(firsts) == 2 * PIECE
        yield Big(account, ids, firsts)


def test_a_stream_of_many_pieces_has_each_report_once(big: Big, form: Form) -> None:
    assert form.ids(big.account.api) == big.ids
    # This stream ends exactly at the end of a piece.
    assert form.ids(big.account.clients["viewer"]) == big.odd
    assert form.ids(big.account.api, workspace_id=big.account.workspaces[1]) == [
        one for one in big.ids if one not in set(big.odd)
    ]


@pytest.mark.parametrize("place", [0, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, -2, -1])
def test_a_stream_goes_on_wherever_pieces_met(big: Big, form: Form, place: int) -> None:
    after = big.ids[place]
    assert form.ids(big.account.api, after_id=after) == big.ids[big.ids.index(after) + 1 :]


class Slow:
    """A client that reads a stream only as far as the test tells it to."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.read = 0
        self._pieces = answer.iter_raw(16 * 1024)
        self._kept: list[bytes] = []

    def take(self, size: int) -> None:
        """Read until `size` more bytes have arrived."""
        end = self.read + size
        while self.read < end:
            piece = next(self._pieces)
            self.read += len(piece)
            self._kept.append(piece)

    def rest(self) -> str:
        """Read to the end. Returns everything that was read."""
        self._kept += self._pieces
        return b"".join(self._kept).decode()


@contextmanager
def slow_reader(server: Server, secret: str, form: Form) -> Iterator[Slow]:
    """A client for which the machine buffers little unread data."""
    transport = httpx.HTTPTransport(
        verify=False, socket_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)]
    )
    headers = {"authorization": f"Bearer {secret}"}
    with (
        httpx.Client(transport=transport, headers=headers, timeout=30) as client,
        client.stream("GET", f"{server.base}/api/v1{form.path}") as answer,
    ):
        assert answer.status_code == 200
        yield Slow(answer)


LIMIT_S = 1.0
LONG = "long " * 1_200
# One piece of these reports is larger than what the machine buffers of written, unread data.
PIECE_BYTES = len(LONG) * PIECE
KEPT_BYTES = 5_000_000
PIECES = 4
REQUESTS = 40


@pytest.fixture(scope="module")
def strict(address: str) -> Iterator[Server]:
    """A second server on the database, with a short time limit and a rate limit."""
    running = Server(
        address,
        {
            "HEALTHREPORTS_TIME_LIMIT_S": str(LIMIT_S),
            "HEALTHREPORTS_TOKEN_REQUESTS_PER_MINUTE": str(REQUESTS),
        },
    ).start()
    yield running
    running.stop()


@dataclass
class Long:
    """Long reports that fill several pieces."""

    account: Account
    ids: list[str]


@pytest.fixture(scope="module")
def long(strict: Server, database: Database) -> Iterator[Long]:
    with open_account(strict, database) as account:
        ids = insert(database, account, *[{"description": LONG.strip()}] * (PIECES * PIECE))
        yield Long(account, ids)


def test_a_stream_may_take_longer_than_the_limit_while_it_gets_on(
    strict: Server, database: Database, long: Long
) -> None:
    began = time.monotonic()
    with slow_reader(strict, new_token(database, long.account), JSON_LINES) as reader:
        pause = LIMIT_S / 20
        steps = 8 * PIECES
        for _ in range(steps):
            reader.take(PIECES * PIECE_BYTES // steps - 1)
            if PIECES * PIECE_BYTES - reader.read > KEPT_BYTES:
                took = time.monotonic() - began
            time.sleep(pause)
        ids = [one["id"] for one in read_json_lines(reader.rest(), False)]  # noqa: FBT003  the same arguments as `read_csv`
    # After its time limit, the server still had data to send.
    assert took > 1.15 * LIMIT_S
    assert ids == long.ids


def connections_of(server: Server) -> int:
    """How many connections the server has open."""
    port = f":{urlsplit(server.base).port:04X}"
    established = "01"
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(
        local.endswith(port) and state == established
        for _, local, _, state, *_ in map(str.split, lines)
    )


def wait_until(is_so: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_a_reader_that_stops_is_ended(strict: Server, database: Database, long: Long) -> None:
    with strict.client(new_token(database, long.account)) as api:
        with slow_reader(strict, new_token(database, long.account), JSON_LINES) as reader:
            reader.take(1_000)
            time.sleep(1.4 * LIMIT_S)
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                reader.rest()
        assert api.get("/status_reports?per_page=1").status_code == 200


def test_nothing_is_kept_for_a_reader_that_stops(
    strict: Server, database: Database, long: Long
) -> None:
    assert wait_until(lambda: connections_of(strict) <= len(long.account.clients))
    before = connections_of(strict)
    with slow_reader(strict, new_token(database, long.account), JSON_LINES) as reader:
        reader.take(1_000)
        assert wait_until(lambda: connections_of(strict) == before + 1)
        assert wait_until(lambda: connections_of(strict) == before, 4 * LIMIT_S)


def revoke(database: Database, secret: str) -> None:
    def work(tx) -> None:
        actor = tokens.authenticate(tx, secret, now())
        assert tokens.revoke(tx, actor.token_id, now())

    database.write_here(work)


def test_a_token_revoked_under_way_ends_the_stream_without_its_end(
    strict: Server, database: Database, long: Long, form: Form
) -> None:
    secret = new_token(database, long.account)
    with slow_reader(strict, secret, form) as reader:
        reader.take(1_000)
        revoke(database, secret)
        with pytest.raises(httpx.RemoteProtocolError):
            reader.rest()
        assert reader.read < 2 * PIECE_BYTES


def test_a_stream_that_is_refused_under_way_is_no_defect_in_the_log(
    strict: Server, database: Database, long: Long
) -> None:
    secret = new_token(database, long.account)
    heard = len(strict.heard)
    with slow_reader(strict, secret, JSON_LINES) as reader:
        reader.take(1_000)
        revoke(database, secret)
        with pytest.raises(httpx.RemoteProtocolError):
            reader.rest()
    time.sleep(0.1)
    assert "Traceback" not in "".join(strict.heard[heard:])


def test_a_reader_that_goes_away_is_not_read_for(
    strict: Server, database: Database, long: Long
) -> None:
    heard = len(strict.heard)
    with slow_reader(strict, new_token(database, long.account), JSON_LINES) as reader:
        reader.take(1_000)
    with strict.client(new_token(database, long.account)) as api:
        assert api.get("/status_reports?per_page=1").status_code == 200
    assert strict.heard[heard:] == []


def test_what_was_there_all_the_time_is_there_once(strict: Server, database: Database) -> None:
    form = JSON_LINES
    account = make_account(strict, database)
    with closing(account):
        ids = insert(database, account, *[{"description": LONG.strip()}] * (2 * PIECE + 10))
        gone = [ids[5], ids[PIECE + 5], ids[2 * PIECE - 1], ids[-1]]
        with slow_reader(strict, account.secrets["administrator"], form) as reader:
            reader.take(1_000)
            for one in gone:
                assert account.clients["editor"].delete(f"/status_reports/{one}").is_success
            sent = {"status_report": {"description": "Another", "color": "red"}}
            changed = account.clients["editor"].put(f"/status_reports/{ids[PIECE + 9]}", json=sent)
            assert changed.is_success
            new = insert(database, account, *[{}] * 3)
            found = form.read(reader.rest(), False)  # noqa: FBT003  not resumed
    numbers = [int(one["id"]) for one in found]
    assert numbers == sorted(set(numbers))
    stayed = [one for one in ids if one not in gone]
    assert [one["id"] for one in found if one["id"] in set(stayed)] == stayed
    assert {one["id"] for one in found} - set(stayed) <= {*gone, *new}
    # A piece is read after the pieces before it are sent: the last one has the newest reports.
    assert [one["id"] for one in found][-len(new) :] == new
    assert ids[-1] not in {one["id"] for one in found}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_stream_is_one_request_however_long(
    strict: Server, database: Database, big: Big, form: Form, method: str
) -> None:
    with strict.client(new_token(database, big.account)) as api:
        params: Sequence[tuple[str, str]] = [("after_id", big.ids[-PIECE - 2])]
        statuses = [api.request(method, form.path, params=params).status_code for _ in range(4)]
        assert statuses == [200] * 4
        statuses = [api.get("/users/me").status_code for _ in range(REQUESTS - 4 + 1)]
        assert statuses == [200] * (REQUESTS - 4) + [429]
        refused = api.get(form.path)
        assert_failure(refused, 429)
        assert int(refused.headers["retry-after"]) >= 1
