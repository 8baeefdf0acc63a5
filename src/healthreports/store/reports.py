"""Writes of status reports: one row each, details included."""

from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, delete

from healthreports.core.model import StatusReport
from healthreports.core.vocabulary import Category, SubjectType
from healthreports.store.database import Transaction, compiled, deletion, insertion, replacement
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
_REPLACE: Final = replacement(status_reports, _CHANGED)
_DELETE: Final = deletion(status_reports)
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
    tx.rows(_REPLACE, _columns(report) | {"row_id": report.id})


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
