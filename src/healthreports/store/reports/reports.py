"""Writes of status reports: one row each, including the details, and the stored counts."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    bindparam,
    column,
    delete,
    literal_column,
    select,
    table,
    tuple_,
)
from sqlalchemy import insert as plain_insert

from healthreports.core.model import ExternalReference, StatusReport
from healthreports.core.vocabulary import Kind, SubjectType, VersionEvent
from healthreports.store.engine.database import Transaction
from healthreports.store.engine.statement import Statement, Values, deletion, one_row, replacement
from healthreports.store.lists import counters as tally
from healthreports.store.lists import tallies, words
from healthreports.store.lists.selections import REPORTS
from healthreports.store.reports import references, versions
from healthreports.store.reports.contents import CONTENTS, contents_of
from healthreports.store.schema.tables import external_references, status_reports

_CHANGED: Final = ("updater_id", "updated_at", *CONTENTS)
_VALUES: Final[dict[str, Any]] = {
    column.name: bindparam(column.name) for column in status_reports.columns
}
_WITH_ROWID: Final = table(status_reports.name, *map(column, (*_VALUES, "rowid")))
# See `rowid_statement` of `store/lists/selections`.
_INSERT: Final = Statement(
    plain_insert(_WITH_ROWID).values({**_VALUES, "rowid": bindparam("id")}),
    postgres=plain_insert(status_reports).values(_VALUES),
)
_REPLACE: Final = replacement(status_reports, _CHANGED)
_DELETE: Final = deletion(status_reports)
_DELETE_REFERENCES: Final = Statement(
    delete(external_references).where(
        external_references.c.account_id == bindparam("of_account"),
        external_references.c.subject_type == SubjectType.STATUS_REPORT,
        external_references.c.subject_id == bindparam("row_id"),
    )
)


_OF_WORKSPACE: Final = (
    select(*REPORTS.columns)
    .where(
        status_reports.c.account_id == bindparam("of_account", type_=BigInteger),
        status_reports.c.workspace_id == bindparam("of_workspace", type_=BigInteger),
    )
    .limit(literal_column("1"))
)
_TIME: Final = tuple_(status_reports.c.created_at, status_reports.c.id)
_THAT_TIME: Final = tuple_(
    bindparam("created", type_=BigInteger), bindparam("row_id", type_=BigInteger)
)
_LATEST_FIRST: Final = (status_reports.c.created_at.desc(), status_reports.c.id.desc())
_NEWEST: Final = Statement(_OF_WORKSPACE.order_by(*_LATEST_FIRST))
_BEFORE: Final = Statement(_OF_WORKSPACE.where(_TIME < _THAT_TIME).order_by(*_LATEST_FIRST))
_AFTER: Final = Statement(
    _OF_WORKSPACE.where(_TIME > _THAT_TIME).order_by(
        status_reports.c.created_at, status_reports.c.id
    )
)


def newest(tx: Transaction, account_id: int, workspace_id: int) -> StatusReport | None:
    """The current report of a workspace, or None."""
    return _one(tx, _NEWEST, {"of_account": account_id, "of_workspace": workspace_id})


def before(tx: Transaction, report: StatusReport) -> StatusReport | None:
    """The previous report of the workspace, which was current until `report`; or None."""
    return _one(tx, _BEFORE, _beside(report))


def after(tx: Transaction, report: StatusReport) -> StatusReport | None:
    """The next report of the workspace, which replaced `report` as the current one; or None."""
    return _one(tx, _AFTER, _beside(report))


def _beside(report: StatusReport) -> dict[str, int]:
    return {
        "of_account": report.account_id,
        "of_workspace": report.workspace_id,
        "created": report.created_at,
        "row_id": report.id,
    }


def _one(tx: Transaction, statement: Statement, values: Values) -> StatusReport | None:
    row = tx.row(statement, values)
    return None if row is None else REPORTS.read(row)


def insert(tx: Transaction, account_id: int, new: Sequence[StatusReport]) -> list[StatusReport]:
    """Store new reports of an account; their `id` is ignored. Returns them with the new ids."""
    ids = tx.new_ids("status_reports", len(new))
    stored = [
        msgspec.structs.replace(report, id=report_id)
        for report, report_id in zip(new, ids, strict=True)
    ]
    _insert(tx, account_id, stored)
    return stored


def put_back(tx: Transaction, report: StatusReport, having: Sequence[ExternalReference]) -> None:
    """Restore a deleted report and its references, with their old ids."""
    _insert(tx, report.account_id, [report])
    references.put_back(tx, having)


def _insert(tx: Transaction, account_id: int, stored: Sequence[StatusReport]) -> None:
    tx.run_each(_INSERT, list(map(_columns, stored)))
    tally.note(tx, account_id, come=stored)
    words.note(tx, come=list(map(words.of_report, stored)))


def replace(
    tx: Transaction,
    report: StatusReport,
    changed: StatusReport,
    event: VersionEvent = VersionEvent.UPDATED,
) -> None:
    """Replace `report` with `changed`, which has the same id; stores a version of the change."""
    writer = changed.creator_id if changed.updater_id is None else changed.updater_id
    versions.note(tx, report, changed, event, writer, changed.updated_at)
    tx.rows(_REPLACE, _columns(changed) | one_row(changed))
    tally.note(tx, changed.account_id, gone=[report], come=[changed])
    words.note(tx, gone=[words.of_report(report)], come=[words.of_report(changed)])


def delete_with_references(tx: Transaction, report: StatusReport) -> list[ExternalReference]:
    """Delete a report and its external references (5.5). Returns the references."""
    having = references.of_subject(tx, report.account_id, SubjectType.STATUS_REPORT, report.id)
    tx.rows(_DELETE_REFERENCES, one_row(report))
    tx.rows(_DELETE, one_row(report))
    tallies.note(tx, report.account_id, Kind.EXTERNAL_REFERENCES, gone=having)
    gone = tally.terms_of(having)
    tally.note_terms(tx, report.account_id, report.id, gone, frozenset())
    tally.note(tx, report.account_id, gone=[report])
    words.note(tx, gone=[words.of_report(report)])
    return having


def _columns(report: StatusReport) -> dict[str, Any]:
    values = msgspec.structs.asdict(report) | contents_of(report)
    del values["details"]
    return values
