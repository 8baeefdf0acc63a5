"""A portfolio as a spreadsheet: its contents can be read back, and no cell is a formula."""

import csv
import io
import xml.etree.ElementTree as ET
import zipfile
from datetime import date

import pytest
from hypothesis import given, settings
from msgspec.structs import replace
from test_exports import THEN, anything, report, user, workspace

from healthreports.core.model import Detail, Instant
from healthreports.core.portfolio import Standing
from healthreports.core.vocabulary import DAY_US, Category, Color
from healthreports.exports import sheet

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def standing(title: str = "Bridge", text: str = "Late.") -> Standing:
    details = Detail(Category.BUDGET, Color.YELLOW, "Over.")
    return Standing(
        workspace=replace(workspace(title), due_date="2024-12-24"),
        report=report(text, Color.RED, details),
        author=user(),
        previous_color=Color.GREEN,
        overdue_at=Instant(THEN + 14 * DAY_US),
        owner=user("Olga Owner"),
    )


def table(title: str = "Bridge", text: str = "Late.", days: int = 30) -> sheet.Sheet:
    at = Instant(THEN + days * DAY_US)
    return sheet.Sheet("Portfolio", [sheet.row_of(standing(title, text), at)])


def read_csv(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def read_xlsx(content: bytes) -> tuple[list[str], str]:
    """The shared strings of the workbook, and the XML of its first sheet."""
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        shared = ET.fromstring(book.read("xl/sharedStrings.xml"))
        xml = book.read("xl/worksheets/sheet1.xml").decode()
    return ["".join(one.itertext()) for one in shared.iter(f"{MAIN}si")], xml


def test_a_row_says_how_a_workspace_stands() -> None:
    [row] = read_csv(sheet.csv_of(table()))
    wanted = {
        "Workspace": "Bridge",
        "Owner": "Olga Owner",
        "Status": "Red",
        "Was": "Green",
        "Scope status": "",
        "Budget status": "Yellow",
        "Summary": "Late.",
        "Reported": "2024-10-04",
        "Overdue since": "2024-10-18",
        "Due date": "2024-12-24",
    }
    assert {name: row[name] for name in wanted} == wanted
    assert list(row) == list(sheet.COLUMNS)
    assert len(set(sheet.COLUMNS)) == len(sheet.COLUMNS)


def test_what_is_not_overdue_yet_does_not_say_so() -> None:
    [row] = read_csv(sheet.csv_of(table(days=3)))
    assert row["Overdue since"] == ""


def test_a_workbook_holds_the_same_with_dates_as_dates() -> None:
    texts, xml = read_xlsx(sheet.xlsx_of(table()))
    assert {"Bridge", "Red", "Late.", "Olga Owner", *sheet.COLUMNS} <= set(texts)
    # Workbooks count days since 1899-12-30.
    assert f"<v>{(date(2024, 12, 24) - date(1899, 12, 30)).days}</v>" in xml


@pytest.mark.parametrize("begins", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_a_formula(begins: str) -> None:
    evil = f'{begins}HYPERLINK("http://evil.example")'
    [row] = read_csv(sheet.csv_of(table(evil, evil)))
    assert row["Workspace"].startswith("'")
    assert row["Summary"].startswith("'")
    texts, xml = read_xlsx(sheet.xlsx_of(table(evil, evil)))
    assert "<f>" not in xml
    assert any("HYPERLINK" in one for one in texts)


@settings(max_examples=60, deadline=None)
@given(anything)
def test_any_text_can_be_in_a_sheet(text: str) -> None:
    assert len(read_csv(sheet.csv_of(table(text[:255], text)))) == 1
    assert read_xlsx(sheet.xlsx_of(table(text[:255], text)))


def test_an_empty_portfolio_is_a_sheet_with_a_head() -> None:
    empty = sheet.Sheet("Portfolio", [])
    assert read_csv(sheet.csv_of(empty)) == []
    texts, _ = read_xlsx(sheet.xlsx_of(empty))
    assert texts == list(sheet.COLUMNS)
