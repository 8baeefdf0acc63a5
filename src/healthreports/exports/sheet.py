"""A portfolio as a spreadsheet: CSV, or a workbook with dates and colors."""

import csv
import io
from datetime import date
from typing import Final, NamedTuple

from healthreports.contract.lines import escaped
from healthreports.core.cadence import day_of
from healthreports.core.model import Instant
from healthreports.core.portfolio import Standing, State, state_of
from healthreports.core.vocabulary import Category

Cell = str | date | None
# The number of characters of a long text that a cell shows; the report itself has all of it.
_MOST_TEXT: Final = 1_000
_COLORS: Final = {State.RED: "#FDE9E7", State.YELLOW: "#FDF1D6", State.GREEN: "#E4F4EA"}
_WIDTHS: Final = {"Workspace": 36, "Summary": 70, "Client": 24, "Programme": 24}
_WIDTH: Final = 13
CSV: Final = "text/csv; charset=utf-8"
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class Sheet(NamedTuple):
    """The rows of a portfolio, below `COLUMNS`; `title` says what it shows."""

    title: str
    rows: list[tuple[Cell, ...]]


COLUMNS: Final = (
    "Workspace",
    "Client",
    "Programme",
    "Owner",
    "Status",
    "Was",
    *(f"{category} status" for category in Category),
    "Summary",
    "Reported",
    "Author",
    "Overdue since",
    "Start date",
    "Due date",
)


def row_of(standing: Standing, at: Instant) -> tuple[Cell, ...]:
    """The row for one workspace, at the time `at`."""
    workspace, report, before = standing.workspace, standing.report, standing.previous_color
    is_overdue = standing.overdue_at is not None and standing.overdue_at <= at
    return (
        workspace.title,
        ", ".join(one.name for one in standing.clients),
        ", ".join(one.name for one in standing.programmes),
        standing.owner.full_name if standing.owner else "",
        _word(state_of(report)),
        before.value.capitalize() if before else "",
        *(_word(state_of(report, category)) for category in Category),
        report.description[:_MOST_TEXT] if report else "",
        day_of(report.created_at) if report else None,
        standing.author.full_name if standing.author else "",
        day_of(standing.overdue_at) if standing.overdue_at is not None and is_overdue else None,
        _date(workspace.start_date),
        _date(workspace.due_date),
    )


def csv_of(sheet: Sheet) -> bytes:
    """The sheet as CSV in UTF-8, with a byte order mark so that spreadsheets detect UTF-8."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in sheet.rows:
        writer.writerow([escaped(cell) if isinstance(cell, str) else cell for cell in row])
    return text.getvalue().encode("utf-8-sig")


def xlsx_of(sheet: Sheet) -> bytes:
    """The sheet as a workbook with a header that stays visible and a filter for each column."""
    from xlsxwriter import (  # type: ignore[import-untyped]  # noqa: PLC0415  imported only if needed
        Workbook,
    )

    content = io.BytesIO()
    # Texts of people stay text, even if they look like a formula, an address or a number.
    as_text = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with Workbook(content, {"in_memory": True, **as_text}) as book:
        page = book.add_worksheet("Portfolio")
        head = book.add_format({"bold": True, "bottom": 1})
        day = book.add_format({"num_format": "d mmm yyyy", "valign": "top"})
        wrapped = book.add_format({"text_wrap": True, "valign": "top"})
        colors = {
            _word(state): book.add_format({"bg_color": color, "valign": "top"})
            for state, color in _COLORS.items()
        }
        for place, name in enumerate(COLUMNS):
            page.set_column(place, place, _WIDTHS.get(name, _WIDTH))
            page.write_string(0, place, name, head)
        for number, row in enumerate(sheet.rows, 1):
            for place, cell in enumerate(row):
                if isinstance(cell, date):
                    page.write_datetime(number, place, cell, day)
                elif cell:
                    page.write_string(number, place, cell, colors.get(cell, wrapped))
        page.freeze_panes(1, 1)
        page.autofilter(0, 0, max(len(sheet.rows), 1), len(COLUMNS) - 1)
        page.set_landscape()
        page.fit_to_pages(1, 0)
        page.repeat_rows(0)
        page.set_footer(f"&L{sheet.title.replace('&', '&&')}&RPage &P of &N")
    return content.getvalue()


def _word(state: State) -> str:
    return "" if state is State.NONE else state.value.capitalize()


def _date(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
