"""The versions of reports (8.3).

A report that was never changed has no rows here: its only version is the report itself. The first
change writes two rows, the state before and the state after it. Each later change writes one.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import bindparam, delete, func, literal_column, select

from healthreports.core.model import Detail, Instant, ReportVersion, StatusReport
from healthreports.core.vocabulary import Category, Color, VersionEvent
from healthreports.store.engine.database import Row, Transaction
from healthreports.store.engine.statement import Statement, insertion
from healthreports.store.reports.contents import contents_of
from healthreports.store.schema.tables import color_column, description_column, report_versions

_table: Final = report_versions.c
_OF_REPORT: Final = (
    _table.account_id == bindparam("of_account"),
    _table.report_id == bindparam("of_report"),
)
_COLUMNS: Final = (
    _table.number,
    _table.event,
    _table.user_id,
    _table.created_at,
    _table.color,
    _table.description,
    *(
        _table[name(category)]
        for category in Category
        for name in (color_column, description_column)
    ),
)
_LAST: Final = Statement(select(func.max(_table.number)).where(*_OF_REPORT))
_PAGE: Final = Statement(
    select(*_COLUMNS)
    .where(*_OF_REPORT, _table.number <= bindparam("last"))
    .order_by(_table.number.desc())
    .limit(bindparam("rows"))
)
_AT: Final = Statement(
    select(*_COLUMNS)
    .where(*_OF_REPORT, _table.created_at <= bindparam("moment"))
    .order_by(_table.number.desc())
    .limit(literal_column("1"))
)
_INSERT: Final = insertion(report_versions)
_DELETE: Final = Statement(delete(report_versions).where(*_OF_REPORT))


def note(  # noqa: PLR0917  the old and the new state, and the change
    tx: Transaction,
    before: StatusReport,
    after: StatusReport,
    event: VersionEvent,
    user_id: int,
    at: Instant,
) -> None:
    """Store the version `after`, made from `before` at the time `at` by `event` of this user."""
    last = _last(tx, before)
    if last == 0:
        last = 1
        _insert(tx, before, only_version(before))
    version = ReportVersion(
        id=last + 1,
        account_id=after.account_id,
        event=event,
        user_id=user_id,
        created_at=at,
        color=after.color,
        description=after.description,
        details=after.details,
    )
    _insert(tx, after, version)


def only_version(report: StatusReport) -> ReportVersion:
    """The only version of a report that has no rows here.

    If the report was changed before versions were stored, its event is UPDATED: the first state is
    not known.
    """
    is_new = report.updater_id is None
    return ReportVersion(
        id=1,
        account_id=report.account_id,
        event=VersionEvent.CREATED if is_new else VersionEvent.UPDATED,
        user_id=report.creator_id if report.updater_id is None else report.updater_id,
        created_at=report.created_at if is_new else report.updated_at,
        color=report.color,
        description=report.description,
        details=report.details,
    )


def page(
    tx: Transaction, report: StatusReport, offset: int, limit: int
) -> tuple[list[ReportVersion], int]:
    """A page of the versions of a report, the newest first, and their total number."""
    last = _last(tx, report)
    if last == 0:
        return [only_version(report)][offset : offset + limit], 1
    values = {**_key(report), "last": last - offset, "rows": limit}
    return [_read(report.account_id, row) for row in tx.rows(_PAGE, values)], last


def find(tx: Transaction, report: StatusReport, number: int) -> ReportVersion | None:
    """The version of a report with this number, or None."""
    found, last = page(tx, report, 0, 1)
    if 0 < number < last:
        found, _ = page(tx, report, last - number, 1)
    return found[0] if 0 < number <= last else None


def at(tx: Transaction, report: StatusReport, moment: Instant) -> ReportVersion | None:
    """The stored version of a report at the time `moment`; None if all versions are newer."""
    row = tx.row(_AT, {**_key(report), "moment": moment})
    return None if row is None else _read(report.account_id, row)


def forget(tx: Transaction, report: StatusReport) -> None:
    """Delete all versions of a report."""
    tx.rows(_DELETE, _key(report))


def _last(tx: Transaction, report: StatusReport) -> int:
    [[last]] = tx.rows(_LAST, _key(report))
    return int(last or 0)


def _key(report: StatusReport) -> dict[str, int]:
    return {"of_account": report.account_id, "of_report": report.id}


def _insert(tx: Transaction, report: StatusReport, version: ReportVersion) -> None:
    values: dict[str, Any] = {
        "account_id": report.account_id,
        "report_id": report.id,
        "number": version.number,
        "event": version.event,
        "user_id": version.user_id,
        "created_at": version.created_at,
        **contents_of(version),
    }
    tx.rows(_INSERT, values)


def _read(account_id: int, row: Row) -> ReportVersion:
    number, event, user_id, created_at, color, description, *details = row
    return ReportVersion(
        id=number,
        account_id=account_id,
        event=VersionEvent(event),
        user_id=user_id,
        created_at=created_at,
        color=Color(color),
        description=description,
        details=_details(details),
    )


def _details(columns: Sequence[Any]) -> tuple[Detail, ...]:
    pairs = zip(Category, columns[::2], columns[1::2], strict=True)
    return tuple(
        Detail(category, Color(color), text) for category, color, text in pairs if color is not None
    )
