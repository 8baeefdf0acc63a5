"""Status reports as lines of a stream: JSON lines, or CSV. An extension (see README).

A line has the same attributes of a report as the envelope. A stream is ordered by id, so a client
can resume it after the last line that it has. Files of such lines are read here too, for
`healthreports import`.
"""

import codecs
import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

from healthreports.contract.envelope import write_record
from healthreports.contract.moments import as_datetime, read_instant
from healthreports.contract.params import read_id
from healthreports.contract.resources import AUDIT_EVENTS
from healthreports.core.errors import Fault, Problem
from healthreports.core.model import Record
from healthreports.core.rules.reports import ReportLine
from healthreports.core.vocabulary import Category, Kind

_encode_lines: Final = msgspec.json.Encoder().encode_lines

# The columns of a CSV file, in order.
ATTRIBUTES: Final = (
    "id",
    "workspace_id",
    "creator_id",
    "updater_id",
    "color",
    "description",
    "created_at",
    "updated_at",
)
DETAIL_COLUMNS: Final = {
    (category, what): f"{category.lower()}_{what}"
    for category in Category
    for what in ("color", "description")
}
COLUMNS: Final = (*ATTRIBUTES, *DETAIL_COLUMNS.values())
AUDIT_COLUMNS: Final = tuple(one.name for one in AUDIT_EVENTS.fields)


class NoHead(Exception):
    """The first line of a CSV file does not name the columns of reports."""


class LineFormat(NamedTuple):
    """The format of a stream: its media type, and a function that encodes some of the reports.

    `write` takes the reports, and whether they are the first ones of the stream.
    """

    media_type: str
    write: Callable[[Sequence[Record], bool], bytes]


def _json_lines(reports: Sequence[Record], _first: bool) -> bytes:  # noqa: FBT001  as LineFormat has it
    return _encode_lines([write_record(report) for report in reports])


def _raw_csv(reports: Sequence[Record], first: bool) -> bytes:  # noqa: FBT001  as LineFormat has it
    return _written(map(_row, reports), first=first)


def _csv(reports: Sequence[Record], first: bool) -> bytes:  # noqa: FBT001  as LineFormat has it
    rows = ({name: escaped(cell) for name, cell in _row(one).items()} for one in reports)
    return _written(rows, first=first)


def _written(rows: Iterable[dict[str, Any]], *, first: bool) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    if first:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


# A spreadsheet runs a cell that begins with one of these as a formula (OWASP, CSV injection).
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_QUOTE: Final = "'"


def escaped(cell: Any) -> Any:  # noqa: ANN401  a cell of any type
    """The cell, escaped so that no spreadsheet runs it as a formula; `_unescaped` reverses this."""
    if isinstance(cell, str) and cell.lstrip(_QUOTE).startswith(_FORMULA):
        return _QUOTE + cell
    return cell


def _unescaped(cell: str) -> str:
    if cell.startswith(_QUOTE) and cell.lstrip(_QUOTE).startswith(_FORMULA):
        return cell.removeprefix(_QUOTE)
    return cell


def _row(report: Record) -> dict[str, Any]:
    written: dict[str, Any] = msgspec.to_builtins(write_record(report))
    row = {name: written[name] for name in ATTRIBUTES}
    for detail in written["details"]:
        for what in ("color", "description"):
            row[DETAIL_COLUMNS[Category(detail["category"]), what]] = detail[what]
    return row


def _audit_json_lines(events: Sequence[Record], _first: bool) -> bytes:  # noqa: FBT001  as LineFormat has it
    return _encode_lines([write_record(one, Kind.AUDIT_EVENTS) for one in events])


def _audit_csv(events: Sequence[Record], first: bool) -> bytes:  # noqa: FBT001  as LineFormat has it
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, AUDIT_COLUMNS)
    if first:
        writer.writeheader()
    for one in events:
        row: dict[str, Any] = msgspec.to_builtins(write_record(one, Kind.AUDIT_EVENTS))
        for name in ("before", "after"):
            row[name] = None if row[name] is None else msgspec.json.encode(row[name]).decode()
        writer.writerow({name: escaped(cell) for name, cell in row.items()})
    return text.getvalue().encode()


JSON_LINES: Final = LineFormat("application/x-ndjson; charset=utf-8", _json_lines)
CSV: Final = LineFormat("text/csv; charset=utf-8; header=present", _csv)
# For programs: cells are not escaped, even if a spreadsheet would run them.
RAW_CSV: Final = CSV._replace(write=_raw_csv)
# The audit log, for pages and the command line.
AUDIT_JSON_LINES: Final = JSON_LINES._replace(write=_audit_json_lines)
AUDIT_CSV: Final = CSV._replace(write=_audit_csv)


def read_json_lines(file: BinaryIO, number: int) -> Iterator[ReportLine]:
    """Read the lines of a file of JSON objects from its position, which is after line `number`."""
    end = file.tell()
    number = _behind(file, number)
    for raw in file:
        number += 1
        text = raw if end else raw.removeprefix(codecs.BOM_UTF8)
        end += len(raw)
        if not text or text.isspace():
            continue
        try:
            sent = _decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            yield _unread(number, end)
        else:
            yield _line(number, end, sent)


def read_csv(file: BinaryIO, number: int) -> Iterator[ReportLine]:
    """Read the records of a CSV file from its position, which is after line `number`.

    The first line of the file names the columns. An attribute without a column, or with an empty
    cell, counts as not sent. A record of several lines has the number of its last line. Raises
    NoHead.
    """
    stands = file.tell()
    number = _behind(file, number)
    file.seek(0)
    head = _Lines(file, 0)
    try:
        names = next(csv.reader(head, strict=True), [])
    except (csv.Error, UnicodeDecodeError):
        names = []
    if head.end and "workspace_id" not in names:
        raise NoHead
    if stands > head.end:
        file.seek(stands)
    lines = _Lines(file, max(number, head.number))
    records = csv.reader(lines, strict=True)
    while True:
        try:
            cells = next(records, None)
        except (csv.Error, UnicodeDecodeError):
            yield _unread(lines.number, lines.end)
            continue
        if cells is None:
            return
        if not cells:
            continue
        if len(cells) != len(names):
            yield _unread(lines.number, lines.end)
            continue
        said = {name: _unescaped(cell) for name, cell in zip(names, cells, strict=True) if cell}
        yield _line(lines.number, lines.end, _nested(said))


def _behind(file: BinaryIO, number: int) -> int:
    """The number of the last complete line before the position of the file.

    A file that had no newline at its end may have grown; the next bytes then end its last line.
    """
    stands = file.tell()
    if not stands:
        return number
    file.seek(stands - 1)
    return number if file.read(1) == b"\n" else number - 1


class _Lines:
    """The lines of a file as text, with the number and the end of the last line returned."""

    def __init__(self, file: BinaryIO, number: int) -> None:
        self._file = file
        self.number = number
        self.end = file.tell()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        raw = self._file.readline()
        if not raw:
            raise StopIteration
        self.number += 1
        self.end += len(raw)
        return raw.decode("utf-8-sig" if self.end == len(raw) else "utf-8")


def _nested(said: dict[str, str]) -> dict[str, Any]:
    """The values of a row, in the form of a JSON object."""
    details = [
        {
            "category": category.value,
            "color": said.pop(f"{category.lower()}_color", None),
            "description": said.pop(f"{category.lower()}_description", None),
        }
        for category in Category
        if f"{category.lower()}_color" in said or f"{category.lower()}_description" in said
    ]
    reference = {
        name.removeprefix(_REFERENCE): said.pop(name)
        for name in [name for name in said if name.startswith(_REFERENCE)]
    }
    return {**said, "details": details, **({"external_reference": reference} if reference else {})}


def _line(number: int, end: int, sent: dict[str, Any]) -> ReportLine:
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    for names, read, fault in _OWN:
        for name in names:
            if sent.get(name) is not None:
                try:
                    values[name] = read(sent[name])
                except (ValueError, TypeError, OverflowError):
                    problems.append(Problem(name, fault))
    return ReportLine(number=number, end=end, sent=sent, problems=tuple(problems), **values)


def _id(value: object) -> int:
    found = read_id(str(value))
    if found is None or isinstance(value, bool):
        raise ValueError(value)
    return found


def _moment(value: object) -> int:
    if not isinstance(value, str):
        raise TypeError(value)
    moment = read_instant(value)
    as_datetime(moment)  # raises if answers cannot show the year
    return moment


def _unread(number: int, end: int) -> ReportLine:
    return ReportLine(
        number=number, end=end, sent={}, problems=(Problem("line", Fault.NOT_A_LINE),)
    )


_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode
_REFERENCE: Final = "external_reference_"
# The attributes that a line may have but a request may not.
_OWN: Final = (
    (("created_at", "updated_at", "workspace_created_at"), _moment, Fault.NOT_A_TIME),
    (("creator_id", "updater_id"), _id, Fault.UNKNOWN_OBJECT),
)
