"""`healthreports import`: each report of a file is imported once, whatever interrupts it."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import raw
from conftest import Account, Server, make_account
from expect import assert_envelope
from healthreports.app import open_database
from healthreports.cli.main import main
from healthreports.settings import Settings
from healthreports.store.engine.database import Database
from healthreports.store.lists import verify
from healthreports.store.schema.upgrade import upgrade
from postgres_kit import Cluster

COMMAND = [sys.executable, "-m", "healthreports", "import"]
HEAD = "workspace_id,color,description\n"
Line = dict[str, Any]
SUFFIXES = ["ndjson", "csv"]


class Said(NamedTuple):
    out: str
    err: str

    @property
    def bad(self) -> dict[int, str]:
        """The reasons why lines are bad, by line number."""
        found = re.findall(r"^line (\d+): (.+)$", self.err, re.MULTILINE)
        return {int(number): reason for number, reason in found}


class Loading(NamedTuple):
    """An account, a folder for files, and the command."""

    account: Account
    address: str
    folder: Path
    capsys: pytest.CaptureFixture[str]

    def write(self, name: str, content: bytes | str) -> Path:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def arguments(self, file: Path, *flags: str) -> list[str]:
        by = [] if "--by" in flags else ["--by", self.account.users["editor"].email_address]
        return [str(file), "--database", self.address, *by, *flags]

    def load(self, file: Path, *flags: str, code: int = 0) -> Said:
        self.capsys.readouterr()
        ended = main(["import", *self.arguments(file, *flags)])
        said = Said(*self.capsys.readouterr())
        assert ended == code, said
        assert "Traceback" not in said.err
        return said

    def start(self, file: Path, *flags: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*COMMAND, *self.arguments(file, *flags)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def reports(self) -> list[Line]:
        """The reports of the account, ordered by id."""
        answer = self.account.api.get("/status_reports.ndjson")
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.split("\n")[:-1]]

    @property
    def texts(self) -> list[str]:
        return [report["description"] for report in self.reports]

    def line(self, description: str = "Fine.", **more: object) -> Line:
        return {
            "workspace_id": self.account.workspaces[0],
            "color": "green",
            "description": description,
            **more,
        }

    def json_lines(self, *lines: Line | str) -> str:
        return "".join(
            (one if isinstance(one, str) else json.dumps(one, ensure_ascii=False)) + "\n"
            for one in lines
        )

    def row(self, description: str = "Fine.", color: str = "green") -> str:
        return f"{self.account.workspaces[0]},{color},{description}\n"

    def file(self, suffix: str, texts: list[str], name: str = "reports") -> Path:
        """A valid file with one report for each text."""
        if suffix == "csv":
            content = HEAD + "".join(map(self.row, texts))
        else:
            content = self.json_lines(*map(self.line, texts))
        return self.write(f"{name}.{suffix}", content)


@pytest.fixture(scope="module")
def counted(address: str, database: Database) -> Iterator[str]:
    """A database whose stored counts of reports must be right after all tests here."""
    yield address
    assert database.read_here(verify.differences) == []


@pytest.fixture
def loading(
    counted: str, account: Account, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Loading:
    return Loading(account, counted, tmp_path, capsys)


def texts(number: int) -> list[str]:
    return [f"Report {place}" for place in range(1, number + 1)]


def as_csv(lines: list[Line]) -> str:
    columns = list(lines[0])
    rows = [",".join(str(line.get(name, "")) for name in columns) for line in lines]
    return "\n".join([",".join(columns), *rows]) + "\n"


@pytest.mark.parametrize("suffix", ["ndjson", "jsonl", "NDJSON", "csv", "CSV"])
def test_each_line_becomes_a_report_in_the_order_of_the_file(loading: Loading, suffix: str) -> None:
    file = loading.write(
        f"reports.{suffix}",
        HEAD + "".join(map(loading.row, texts(5)))
        if suffix.lower() == "csv"
        else loading.json_lines(*map(loading.line, texts(5))),
    )
    said = loading.load(file)
    assert said.out == f"5 reports imported, up to line {5 + (suffix.lower() == 'csv')}\n"
    assert said.err == ""
    assert loading.texts == texts(5)
    assert_envelope(loading.account.api.get("/status_reports"), "status_reports", count=5)


def test_who_and_when_are_kept(loading: Loading) -> None:
    users = {role: str(user.id) for role, user in loading.account.users.items()}
    told = {
        "creator_id": users["viewer"],
        "updater_id": users["outsider"],
        "created_at": "2020-02-29T12:34:56Z",
        "updated_at": "2021-01-01T00:00:00+02:00",
    }
    file = loading.write(
        "told.ndjson",
        loading.json_lines(
            loading.line(**told),
            loading.line("Created", created_at="2019-05-06", creator_id=int(users["viewer"])),
        ),
    )
    loading.load(file)
    table = loading.write("told.csv", as_csv([loading.line(**told)]))
    loading.load(table)
    whole, created, of_table = loading.reports
    expected = told | {"updated_at": "2020-12-31T22:00:00Z"}
    assert {name: whole[name] for name in told} == expected
    assert {name: of_table[name] for name in told} == expected
    assert created["created_at"] == created["updated_at"] == "2019-05-06T00:00:00Z"
    assert (created["creator_id"], created["updater_id"]) == (users["viewer"], None)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_line_may_say_since_when_its_workspace_exists(loading: Loading, suffix: str) -> None:
    """The earliest time counts; a time later than the known one changes nothing."""
    times = ("2021-03-04T00:00:00Z", "2019-05-06T00:00:00Z", "2030-01-01T00:00:00Z")
    lines = [loading.line(workspace_created_at=one) for one in times]
    whole = loading.json_lines(*lines) if suffix == "ndjson" else as_csv(lines)
    loading.load(loading.write(f"aged.{suffix}", whole))
    later = loading.json_lines(loading.line(workspace_created_at="2020-01-01T00:00:00Z"))
    loading.load(loading.write("later.ndjson", later))
    [one, *_] = loading.account.workspaces
    answer = loading.account.api.get("/workspaces", params={"created_before": "2019-05-07T00:00Z"})
    body = assert_envelope(answer, "workspaces", count=1)
    assert body["workspaces"][one]["created_at"] == "2019-05-06T00:00:00Z"
    assert loading.account.database.read_here(verify.differences) == []


def test_an_instant_is_kept_to_the_microsecond(loading: Loading) -> None:
    line = loading.line(created_at="2020-02-29T12:34:56.123457Z")
    loading.load(loading.write("exact.ndjson", loading.json_lines(line)))
    for last, number in (("6", 1), ("7", 0)):
        params = {"created_after": f"2020-02-29T12:34:56.12345{last}Z"}
        answer = loading.account.api.get("/status_reports", params=params)
        assert_envelope(answer, "status_reports", count=number)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_who_imports_reports_now_where_a_line_does_not_say(loading: Loading, suffix: str) -> None:
    before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    loading.load(loading.file(suffix, ["One"]), "--by", " EDITOR@nowhere ", code=1)
    email = loading.account.users["viewer"].email_address
    loading.load(loading.file(suffix, ["One"]), "--by", email.upper())
    [report] = loading.reports
    assert report["creator_id"] == str(loading.account.users["viewer"].id)
    assert report["updater_id"] is None
    assert report["created_at"] == report["updated_at"] >= before


DETAILS = [
    {"category": "Scope", "color": "red", "description": "Too much, far\ntoo much"},
    {"category": "Client", "color": "green", "description": None},
]


def test_details_and_references_come_with_a_line(loading: Loading) -> None:
    reference = {
        "service_name": "jira",
        "service_model": "Issue",
        "service_model_ref": "7",
        "external_link": "https://jira.example.org/7",
    }
    sent = loading.line(details=DETAILS[::-1], external_reference=reference)
    loading.load(loading.write("a.ndjson", loading.json_lines(sent, loading.line())))
    columns = "workspace_id,scope_color,scope_description,client_color,client_description,color"
    columns += ",description," + ",".join(f"external_reference_{name}" for name in reference)
    row = f'{loading.account.workspaces[0]},red,"Too much, far\ntoo much",green,,green,Fine.,'
    content = f"{columns}\n{row}{','.join(reference.values())}\n{row},,,\n"
    loading.load(loading.write("a.csv", content))
    answer = loading.account.api.get("/status_reports?include=external_references")
    body = assert_envelope(answer, "status_reports", count=4)
    found = list(body["status_reports"].values())
    assert [one["details"] for one in found] == [DETAILS, [], DETAILS, DETAILS]
    assert [len(one["external_reference_ids"]) for one in found] == [1, 0, 1, 0]
    for one in body["external_references"].values():
        assert {name: one[name] for name in reference} == reference
        assert one["status"] == "successful"
    params = {"external_reference_service_name": "jira"}
    answer = loading.account.api.get("/status_reports", params=params)
    assert_envelope(answer, "status_reports", [found[0]["id"], found[2]["id"]], count=2)


A, B, C = '{"workspace_id":W,"color":"red","description":"A"}', "W,red,B", "W,red,C"
SHAPES = {
    "no newline at the end": ("ndjson", f"{A}\n{A}", ["A", "A"], 2),
    "no newline at the end of csv": ("csv", f"{HEAD}{B}\n{C}", ["B", "C"], 3),
    "CRLF": ("ndjson", f"{A}\r\n{A}\r\n", ["A", "A"], 2),
    "CRLF in csv": ("csv", f"{HEAD}{B}\r\n{C}\r\n".replace("\n", "\r\n", 1), ["B", "C"], 3),
    "blank lines": ("ndjson", f"\n\n{A}\n \t\n{A}\n", ["A", "A"], 5),
    "blank lines in csv": ("csv", f"{HEAD}\n{B}\n\n\n{C}\n", ["B", "C"], 6),
    "BOM": ("ndjson", f"\ufeff{A}\n{A}\n", ["A", "A"], 2),
    "BOM in csv": ("csv", f"\ufeff{HEAD}{B}\n", ["B"], 2),
    "blanks around": ("ndjson", f"  {A}  \n", ["A"], 1),
    "quotes": (
        "csv",
        '"workspace_id","color","description"\n"W","red","say ""B"", ok"\n',
        ['say "B", ok'],
        2,
    ),
    "other order and more columns": (
        "csv",
        "x,description,color,workspace_id\n1,B,red,W\n",
        ["B"],
        2,
    ),
    "nothing": ("ndjson", "", [], 0),
    "only blank lines": ("ndjson", "\n\n", [], 0),
    "nothing of csv": ("csv", "", [], 0),
    "only a head": ("csv", HEAD, [], 0),
    "unicode": ("ndjson", A.replace('"A"', '"\\u00e9 😀\u2028x"'), ["é 😀\u2028x"], 1),
    "unicode in csv": ("csv", f"{HEAD}W,red,é 😀\u2028x\n", ["é 😀\u2028x"], 2),
}


@pytest.mark.parametrize(("suffix", "content", "expected", "lines"), SHAPES.values(), ids=SHAPES)
def test_files_of_many_shapes(
    loading: Loading, suffix: str, content: str, expected: list[str], lines: int
) -> None:
    text = re.sub(r"\bW\b", loading.account.workspaces[0], content)
    said = loading.load(loading.write(f"shape.{suffix}", text))
    assert said.out == f"{len(expected)} reports imported, up to line {lines}\n"
    assert loading.texts == expected


JSON_FAULTS: dict[str, tuple[str | bytes, str]] = {
    "not JSON": ("nonsense", "Line is not valid"),
    "half": ('{"workspace_id": ', "Line is not valid"),
    "two objects": ("{} {}", "Line is not valid"),
    "an array": ("[]", "Line is not valid"),
    "text": ('"text"', "Line is not valid"),
    "null": ("null", "Line is not valid"),
    "a number": ("1", "Line is not valid"),
    "no UTF-8": (b'{"description": "\xff"}', "Line is not valid"),
    "half a surrogate pair": ('{"description": "\\ud800"}', "Line is not valid"),
    "too deep": ('{"a":' + "[" * 50_000, "Line is not valid"),
    "nothing said": ("{}", "Workspace is required.*Description is required.*Color is required"),
}


@pytest.mark.one_store
@pytest.mark.parametrize(("line", "reason"), JSON_FAULTS.values(), ids=JSON_FAULTS)
def test_a_line_that_is_no_report_is_named(
    loading: Loading, line: str | bytes, reason: str
) -> None:
    line = line if isinstance(line, bytes) else line.encode()
    good = loading.json_lines(loading.line()).encode()
    said = loading.load(loading.write("bad.ndjson", good + line + b"\n" + good), code=1)
    assert list(said.bad) == [2]
    assert re.search(reason, said.bad[2])
    assert loading.reports == []


ATTRIBUTE_FAULTS: dict[str, tuple[dict[str, object], str]] = {
    "color": ({"color": "blue"}, "Color must be green, yellow or red"),
    "workspace": ({"workspace_id": 999_999_999}, "Workspace was not found"),
    "workspace that is none": ({"workspace_id": "abc"}, "Workspace"),
    "workspace too large": ({"workspace_id": 10**30}, "Workspace"),
    "workspace of another account": ({"workspace_id": "OTHER"}, "Workspace was not found"),
    "creator": ({"creator_id": 999_999_999}, "Creator was not found"),
    "creator that is none": ({"creator_id": "ann"}, "Creator was not found"),
    "creator of another account": ({"creator_id": "STRANGER"}, "Creator was not found"),
    "updater": ({"updater_id": 999_999_999}, "Updater was not found"),
    "created": ({"created_at": "yesterday"}, "Created at must be an ISO 8601"),
    "updated": ({"updated_at": "2026-02-30"}, "Updated at must be an ISO 8601"),
    "before all years": ({"created_at": "0001-01-01T00:00:00+05:00"}, "Created at must be"),
    "after all years": ({"updated_at": "9999-12-31T23:59:59-05:00"}, "Updated at must be"),
    "too long": ({"description": "x" * 50_001}, "Description must have at most 50,000"),
    "blank": ({"description": " "}, "Description is required"),
}


def told(loading: Loading, other: Account, attributes: dict[str, object]) -> Line:
    names = {"OTHER": other.workspaces[0], "STRANGER": str(other.users["editor"].id)}
    return loading.line(
        **{name: names.get(str(value), value) for name, value in attributes.items()}
    )


@pytest.mark.one_store
@pytest.mark.parametrize(("attributes", "reason"), ATTRIBUTE_FAULTS.values(), ids=ATTRIBUTE_FAULTS)
def test_a_line_with_a_wrong_attribute_is_named(
    loading: Loading, other_account: Account, attributes: dict[str, object], reason: str
) -> None:
    line = told(loading, other_account, attributes)
    files = {
        1: loading.write("bad.ndjson", loading.json_lines(line)),
        2: loading.write("bad.csv", as_csv([line])),
    }
    for number, file in files.items():
        said = loading.load(file, code=1)
        assert list(said.bad) == [number]
        assert said.bad[number].startswith(reason)
        assert ";" not in said.bad[number]
        assert "bad lines: 1." in said.err
        assert said.out.startswith("0 reports imported")
    assert loading.reports == []


NESTED_FAULTS: dict[str, tuple[dict[str, object], str]] = {
    "time is a number": ({"created_at": 1_600_000_000}, "Created at must be an ISO 8601"),
    "creator is true": ({"creator_id": True}, "Creator was not found"),
    "creator is a fraction": ({"creator_id": 1.0}, "Creator was not found"),
    "description is a number": ({"description": 5}, "Description must be text"),
    "color is null": ({"color": None}, "Color must be green, yellow or red"),
    "details are none": ({"details": {}}, "Details must be an array"),
    "a category twice": (
        {"details": [{"category": "Scope", "color": "red"}] * 2},
        "Category appears more than once",
    ),
    "no such category": ({"details": [{"category": "Fun", "color": "red"}]}, "Category must be"),
    "a detail's color": ({"details": [{"category": "Scope"}]}, "Color is required"),
    "a detail too long": (
        {"details": [{"category": "Scope", "color": "red", "description": "x" * 10_001}]},
        "Description must have at most 10,000",
    ),
    "half a reference": (
        {"external_reference": {"service_name": "s"}},
        r"model: Service model is required; \S*model_ref: Service model ref is required",
    ),
    "a link": (
        {
            "external_reference": {
                "service_name": "s",
                "service_model": "m",
                "service_model_ref": "r",
                "external_link": "javascript:x",
            }
        },
        "External link must be an http or https address",
    ),
    "U+0000": ({"description": "a\0b"}, "Description must not contain"),
    "everything at once": (
        {"color": "blue", "creator_id": 0, "created_at": "x"},
        "Color must .*Created at must .*Creator was not found",
    ),
}


@pytest.mark.one_store
@pytest.mark.parametrize(("attributes", "reason"), NESTED_FAULTS.values(), ids=NESTED_FAULTS)
def test_a_line_with_a_wrong_value_inside_is_named(
    loading: Loading, attributes: dict[str, object], reason: str
) -> None:
    content = loading.json_lines("", loading.line(**attributes))
    said = loading.load(loading.write("bad.ndjson", content), code=1)
    assert list(said.bad) == [2]
    assert re.search(reason, said.bad[2])
    assert loading.reports == []


TABLE_FAULTS: dict[str, tuple[bytes, int, str]] = {
    "too many cells": (b"W,red,B,more\n", 2, "Line is not valid"),
    "too few cells": (b"W,red\n", 2, "Line is not valid"),
    "no UTF-8": (b"W,red,\xff\xfe\n", 2, "Line is not valid"),
    "a quote in the middle": (b'W,red,"B"x\n', 2, "Line is not valid"),
    "a cell that does not end": (b'W,red,"B\n', 2, "Line is not valid"),
    "no color": (b"W,,B\n", 2, "Color is required"),
    "empty cells": (b",,\n", 2, "Workspace is required.*Description is required"),
    "U+0000": (b"W,red,a\0b\n", 2, "Description must not contain"),
    "behind newlines in quotes": (b'W,red,"a\nb\n\nc"\n\nW,blue,"d\ne"\n', 8, "Color must be"),
}


@pytest.mark.one_store
@pytest.mark.parametrize(("rows", "number", "reason"), TABLE_FAULTS.values(), ids=TABLE_FAULTS)
def test_a_row_that_is_no_report_is_named(
    loading: Loading, rows: bytes, number: int, reason: str
) -> None:
    content = HEAD.encode() + rows.replace(b"W", loading.account.workspaces[0].encode())
    said = loading.load(loading.write("bad.csv", content), code=1)
    assert list(said.bad) == [number]
    assert re.search(reason, said.bad[number])
    assert loading.reports == []


def test_a_detail_without_a_color_is_named_in_a_row(loading: Loading) -> None:
    content = f"workspace_id,color,description,scope_description\n{loading.row('B')[:-1]},Much\n"
    said = loading.load(loading.write("bad.csv", content), code=1)
    assert list(said.bad) == [2]
    assert said.bad[2].startswith("details[0].color: Color")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_of_a_line_that_cannot_be_read_nothing_else_is_said(loading: Loading, suffix: str) -> None:
    whole = loading.row() if suffix == "csv" else loading.json_lines(loading.line())
    content = (HEAD if suffix == "csv" else "\n") + whole[:-1] + ",more\n"
    said = loading.load(loading.write(f"bad.{suffix}", content), code=1)
    assert said.bad == {2: "Line is not valid"}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_all_bad_lines_are_told_but_not_endlessly(loading: Loading, suffix: str) -> None:
    wrong = [loading.line(color="blue")] * 250
    content = as_csv(wrong) if suffix == "csv" else loading.json_lines(*wrong)
    said = loading.load(loading.write(f"bad.{suffix}", content), "--batch", "60", code=1)
    first = 1 + (suffix == "csv")
    assert list(said.bad) == list(range(first, first + 100))
    assert "bad lines: 250." in said.err


def spoilt(loading: Loading, suffix: str, number: int, *bad: int) -> Path:
    """A file of `number` reports, of which those at the places `bad` are invalid."""
    path = loading.file(suffix, texts(number))
    lines = path.read_text().splitlines(keepends=True)
    for place in bad:
        at = place - 1 + (suffix == "csv")
        lines[at] = lines[at].replace("green", "blue")
    path.write_text("".join(lines))
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_is_stored_up_to_the_batch_with_the_first_bad_line_and_mended_it_goes_on(
    loading: Loading, suffix: str
) -> None:
    head = suffix == "csv"
    file = spoilt(loading, suffix, 20, 11, 18)
    said = loading.load(file, "--batch", "4", code=1)
    assert list(said.bad) == [11 + head, 18 + head]
    assert said.out == f"8 reports imported, up to line {8 + head}\n"
    assert loading.texts == texts(8)
    # One line is fixed, the other is not, and the batch size differs.
    said = loading.load(spoilt(loading, suffix, 20, 18), "--batch", "5", code=1)
    assert f"resuming after line {8 + head}\n" in said.err
    assert list(said.bad) == [18 + head]
    assert said.out == f"5 reports imported, up to line {13 + head}\n"
    assert loading.texts == texts(13)
    said = loading.load(spoilt(loading, suffix, 20))
    assert said.bad == {}
    assert said.out == f"7 reports imported, up to line {20 + head}\n"
    assert loading.texts == texts(20)


def test_a_bad_batch_leaves_nothing_not_even_references(loading: Loading) -> None:
    reference = {"service_name": "s", "service_model": "m", "service_model_ref": "r"}
    lines = [loading.line("A", external_reference=reference), loading.line(color="blue")]
    loading.load(loading.write("bad.ndjson", loading.json_lines(*lines)), code=1)
    assert loading.reports == []
    answer = loading.account.api.get("/external_references?subject_type=StatusReport")
    assert_envelope(answer, "external_references", [], count=0)


def test_a_csv_goes_on_behind_newlines_in_quotes(loading: Loading) -> None:
    said = ["one", '"two\nlines"', '"three\r\nand\nlines"', "\n\nafter blank lines", '"x\ny"']
    head, space = HEAD.encode(), loading.account.workspaces[0]
    rows = b""
    for text in said:
        blank = len(text) - len(text.lstrip("\n"))
        rows += f"{text[:blank]}{space},green,{text[blank:]}\n".encode()
    bad = loading.write("quoted.csv", head + rows + f"{space},blue,last\n".encode())
    first = loading.load(bad, "--batch", "2", code=1)
    assert list(first.bad) == [13]
    assert first.out == "4 reports imported, up to line 10\n"
    loading.write("quoted.csv", head + rows + f"{space},green,last\n".encode())
    second = loading.load(bad, "--batch", "2")
    assert "resuming after line 10" in second.err
    assert second.out == "2 reports imported, up to line 13\n"
    expected = ["one", "two\nlines", "three\r\nand\nlines", "after blank lines", "x\ny", "last"]
    assert loading.texts == expected


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_finished_file_adds_nothing_and_one_that_has_grown_what_is_new(
    loading: Loading, suffix: str
) -> None:
    head = suffix == "csv"
    loading.load(loading.file(suffix, texts(3)))
    again = loading.load(loading.file(suffix, texts(3)))
    assert again.out == f"0 reports imported, up to line {3 + head}\n"
    assert loading.texts == texts(3)
    grown = loading.load(loading.file(suffix, texts(5)))
    assert grown.out == f"2 reports imported, up to line {5 + head}\n"
    assert loading.texts == texts(5)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_lines_are_counted_right_behind_one_that_did_not_end(loading: Loading, suffix: str) -> None:
    path = loading.file(suffix, texts(2))
    whole = path.read_text()
    path.write_text(whole.removesuffix("\n"))
    loading.load(path)
    path.write_text(whole + (loading.row("x") if suffix == "csv" else "{}\n").replace("green", "-"))
    said = loading.load(path, code=1)
    assert list(said.bad) == [3 + (suffix == "csv")]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("change", ["another", "shorter"])
def test_another_file_of_the_same_name_is_refused_and_has_a_name_of_its_own(
    loading: Loading, suffix: str, change: str
) -> None:
    loading.load(loading.file(suffix, texts(3)))
    other = ["Report 1", "Else", "Report 3"] if change == "another" else texts(2)
    file = loading.file(suffix, other)
    said = loading.load(file, code=1)
    assert said.err.count("\n") == 1
    assert "a different file was imported as reports." in said.err
    assert "--name" in said.err
    assert loading.texts == texts(3)
    loading.load(file, "--name", "second")
    assert loading.texts == texts(3) + other
    # The name counts, not the path of the file.
    moved = loading.write(f"moved.{suffix}", file.read_bytes())
    assert loading.load(moved, "--name", "second").out.startswith("0 reports")
    assert loading.texts == texts(3) + other


def test_a_name_is_the_accounts_own(loading: Loading, other_account: Account) -> None:
    loading.load(loading.file("ndjson", texts(2)))
    other = loading._replace(account=other_account)
    other.load(other.file("ndjson", texts(3)))
    assert (loading.texts, other.texts) == (texts(2), texts(3))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_check_stores_nothing(loading: Loading, suffix: str) -> None:
    head = suffix == "csv"
    said = loading.load(spoilt(loading, suffix, 9, 2, 8), "--check", "--batch", "3", code=1)
    assert list(said.bad) == [2 + head, 8 + head]
    said = loading.load(spoilt(loading, suffix, 9), "--check")
    assert said.bad == {}
    assert loading.reports == []
    loading.load(spoilt(loading, suffix, 9, 8), "--batch", "3", code=1)
    assert loading.texts == texts(6)
    said = loading.load(spoilt(loading, suffix, 9, 8), "--check", code=1)
    assert list(said.bad) == [8 + head]
    assert loading.texts == texts(6)


@pytest.mark.one_store
@pytest.mark.parametrize("size", ["0", "-1", "100001", "many"])
def test_a_batch_has_a_size_that_can_be(loading: Loading, size: str) -> None:
    assert main(["import", *loading.arguments(loading.file("csv", texts(1)), "--batch", size)]) == 2
    assert "--batch" in loading.capsys.readouterr().err


def no_such(loading: Loading) -> tuple[Path, list[str]]:
    return loading.folder / "no-such.csv", []


def a_folder(loading: Loading) -> tuple[Path, list[str]]:
    (loading.folder / "folder.csv").mkdir()
    return loading.folder / "folder.csv", []


def a_text(loading: Loading) -> tuple[Path, list[str]]:
    return loading.write("reports.txt", HEAD), []


def no_suffix(loading: Loading) -> tuple[Path, list[str]]:
    return loading.write("csv", HEAD), []


def a_stranger(loading: Loading) -> tuple[Path, list[str]]:
    return loading.file("csv", texts(1)), ["--by", "nobody@example.org"]


def a_table_of_excel(loading: Loading) -> tuple[Path, list[str]]:
    content = (HEAD + loading.row()).encode("utf-16")
    return loading.write("excel.csv", content), []


def no_database(loading: Loading) -> tuple[Path, list[str]]:
    return loading.file("csv", texts(1)), ["--database", str(loading.folder / "no.sqlite3")]


MISTAKES = {
    "no-such.csv": no_such,
    "folder.csv": a_folder,
    ".ndjson": a_text,
    ".jsonl": no_suffix,
    "User was not found": a_stranger,
    "excel.csv": a_table_of_excel,
    "healthreports db upgrade": no_database,
}


@pytest.mark.parametrize(("says", "make"), MISTAKES.items(), ids=MISTAKES)
def test_a_mistake_is_one_line_that_names_it(
    loading: Loading, says: str, make: Callable[[Loading], tuple[Path, list[str]]]
) -> None:
    file, flags = make(loading)
    said = loading.load(file, *flags, code=1)
    assert said.err.startswith("healthreports: ")
    assert said.err.count("\n") == 1
    assert says in said.err
    assert loading.reports == []


def test_a_progress_bar_is_for_a_terminal(
    loading: Loading, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert loading.load(loading.file("ndjson", texts(50)), "--batch", "10").err == ""
    file = loading.file("ndjson", texts(50), name="watched")
    reader, writer = pty.openpty()
    termios.tcsetwinsize(writer, (24, 80))
    with (
        closing(os.fdopen(reader, "rb", buffering=0)) as shown,
        os.fdopen(writer, "w") as terminal,
        monkeypatch.context() as patched,
    ):
        patched.setattr(sys, "stderr", terminal)
        assert main(["import", *loading.arguments(file, "--batch", "10")]) == 0
        terminal.flush()
        said = ""
        while "100%" not in said:  # a terminal delivers the output gradually
            ready, _, _ = select.select([shown], [], [], 10)
            assert ready, said
            said += shown.read(65536).decode()


def stored(loading: Loading) -> int:
    [[number]] = raw.execute(
        loading.address,
        "SELECT COALESCE(SUM(reports), 0) FROM imports WHERE account_id = ?",
        loading.account.id,
    )
    return int(number)


MANY = 600


@pytest.mark.parametrize(("suffix", "share"), [("ndjson", 0.1), ("csv", 0.5)], ids=SUFFIXES)
def test_an_import_that_was_killed_goes_on_and_ends_with_each_report_once(
    loading: Loading, suffix: str, share: float
) -> None:
    file = loading.file(suffix, texts(MANY))
    importing = loading.start(file, "--batch", "10")
    try:
        end = time.monotonic() + 30
        while stored(loading) < share * MANY:
            assert importing.poll() is None, importing.communicate()
            assert time.monotonic() < end
            time.sleep(0.002)
    finally:
        importing.kill()
        importing.communicate()
    assert importing.returncode == -signal.SIGKILL
    number = stored(loading)
    assert share * MANY <= number < MANY
    assert loading.texts == texts(number)
    said = loading.load(file)
    assert said.out.startswith(f"{MANY - number} reports imported")
    assert loading.texts == texts(MANY)


def test_two_imports_of_a_file_at_once_store_each_report_once(loading: Loading) -> None:
    file = loading.file("ndjson", texts(MANY))
    both = [loading.start(file, "--batch", "3") for _ in range(2)]
    said = [one.communicate(timeout=60)[1] for one in both]
    assert "Traceback" not in "".join(said)
    assert 0 in [one.returncode for one in both]
    assert len(loading.reports) == MANY
    assert sorted(loading.texts) == sorted(texts(MANY))


def test_an_import_that_is_interrupted_says_so_in_a_line(loading: Loading) -> None:
    # So many reports that the import is interrupted before its end, however busy the machine is.
    importing = loading.start(loading.file("ndjson", texts(MANY * 5)), "--batch", "1")
    try:
        end = time.monotonic() + 30
        while not stored(loading):
            assert time.monotonic() < end
            time.sleep(0.01)
        importing.send_signal(signal.SIGINT)
        _, said = importing.communicate(timeout=20)
    finally:
        importing.kill()
    assert importing.returncode != 0
    assert "Traceback" not in said
    assert loading.texts == texts(stored(loading))


@pytest.fixture
def two_servers(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[tuple[Loading, Loading]]:
    """One server on each store, with the same workspaces and people under the same ids."""
    servers: list[Server] = []
    made: list[Loading] = []
    try:
        for address in (str(tmp_path / "other.sqlite3"), cluster.make_database()):
            upgrade(address)
            servers.append(Server(address).start())
            with closing(open_database(Settings(database=address))) as opened:
                made.append(Loading(make_account(servers[-1], opened), address, tmp_path, capsys))
        yield made[0], made[1]
    finally:
        for one in made:
            one.account.close()
        for server in servers:
            server.stop()


def streamed(loading: Loading, suffix: str) -> bytes:
    return loading.account.api.get(f"/status_reports.{suffix}").content


def bare(report: Line) -> Line:
    return {name: value for name, value in report.items() if name != "id"}


def without_ids(lines: bytes, suffix: str) -> bytes:
    """The lines of a stream without its header and without the ids of reports."""
    if suffix == "csv":
        rows = lines.partition(b"\r\n")[2]
        return re.sub(rb"^\d+,(?=\d+,)", b"", rows, flags=re.MULTILINE)
    return re.sub(rb'"id":"\d+",', b"", lines)


def test_what_a_stream_of_one_server_wrote_another_imports_and_streams_the_same(
    two_servers: tuple[Loading, Loading],
) -> None:
    one, other = two_servers
    first, second = one.account.workspaces
    one.account.report(details=DETAILS, description='Quotes ", and\r\nlines\n😀 =1')
    changed = one.account.report(workspace_id=second, description="  \ttrimmed, =1+1 ")
    gone = one.account.report(workspace_id=first)
    one.account.report(color="yellow", details=[{"category": "Budget", "color": "red"}])
    path, sent = f"/status_reports/{changed}", {"status_report": {"color": "red"}}
    assert one.account.clients["editor"].put(path, json=sent).is_success
    assert one.account.api.delete(f"/status_reports/{gone}").is_success
    times = {"created_at": "2001-02-03T04:05:06Z", "updated_at": "2002-02-03T04:05:06Z"}
    one.load(one.write("old.ndjson", one.json_lines(one.line("Old", **times))))
    expected = [bare(report) for report in one.reports]
    assert len(expected) == 4
    for suffix in SUFFIXES:
        other.load(other.write(f"streamed.{suffix}", streamed(one, suffix)))
    assert [bare(report) for report in other.reports] == expected * 2
    for suffix in SUFFIXES:
        whole = without_ids(streamed(one, suffix), suffix)
        assert without_ids(streamed(other, suffix), suffix) == whole * 2
    one.load(one.write("back.csv", streamed(other, "csv")))
    assert [bare(report) for report in one.reports] == expected * 3
    for loading in two_servers:
        with closing(open_database(Settings(database=loading.address))) as opened:
            assert opened.read_here(verify.differences) == []
