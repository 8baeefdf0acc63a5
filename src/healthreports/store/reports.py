"""Writes of status reports: one row each, details included."""

from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, delete, update

from healthreports.core.model import StatusReport
from healthreports.core.vocabulary import Category, SubjectType
from healthreports.store.database import Transaction, compiled, insertion
from healthreports.store.schema import (
    color_column,
    description_column,
    external_references,
    status_reports,
)

_CHANGED: Final = (
    "updater_id",
    "color",
    "description",
    "updated_at",
    *(name(category) for category in Category for name in (color_column, description_column)),
)
_INSERT: Final = insertion(status_reports)
_UPDATE: Final = compiled(
    update(status_reports)
    .where(status_reports.c.id == bindparam("row_id"))
    .values({name: bindparam(f"new_{name}") for name in _CHANGED})
)
_DELETE: Final = compiled(delete(status_reports).where(status_reports.c.id == bindparam("row_id")))
_DELETE_REFERENCES: Final = compiled(
    delete(external_references).where(
        external_references.c.subject_type == SubjectType.STATUS_REPORT,
        external_references.c.subject_id == bindparam("row_id"),
    )
)


def insert(tx: Transaction, report: StatusReport) -> int:
    """Store a new report, whose `id` is not used. Returns the id it was given."""
    [[report_id]] = tx.rows(_INSERT, _columns(report))
    assert isinstance(report_id, int)
    return report_id


def replace(tx: Transaction, report: StatusReport) -> None:
    """Store `report` in place of what had its id."""
    values = _columns(report)
    tx.rows(_UPDATE, {"row_id": report.id} | {f"new_{name}": values[name] for name in _CHANGED})


def delete_with_references(tx: Transaction, report_id: int) -> None:
    """Delete a report and its external references (5.5)."""
    tx.rows(_DELETE_REFERENCES, {"row_id": report_id})
    tx.rows(_DELETE, {"row_id": report_id})


def _columns(report: StatusReport) -> dict[str, Any]:
    values = msgspec.structs.asdict(report)
    details = {detail.category: detail for detail in values.pop("details")}
    for category in Category:
        detail = details.get(category)
        values[color_column(category)] = detail.color if detail else None
        values[description_column(category)] = detail.description if detail else None
    return values
