"""Reports that were read before: while one has not changed, it is the same value.

A plan finds the ids of a page and when each report was changed; only what is not known is read.
No two changes of a report have one time (`core/model.later`). With the JSON that
`contract/envelope` keeps of such a value, a list of 20 takes less than half the time
(`bench/RESULTS.md`, list-20).
"""

from collections.abc import Callable, Sequence
from functools import partial
from sys import getsizeof
from typing import Final

from healthreports.core.model import Record, StatusReport
from healthreports.core.query import Sort
from healthreports.core.vocabulary import Kind
from healthreports.store.engine.database import Row, Transaction
from healthreports.store.engine.memory import Memory
from healthreports.store.lists.plans.known import rows_with_ids
from healthreports.store.lists.selections import REPORTS, SELECTIONS

# Where a row of a report has these.
_ID, _ACCOUNT_ID, _UPDATED_AT = (
    [one.name for one in REPORTS.columns].index(name) for name in ("id", "account_id", "updated_at")
)
# What the value of a report takes beside its texts.
_REPORT_BYTES: Final = 900


def marked(
    tx: Transaction, account_id: int, marks: Sequence[Row], *, keeps: bool = True
) -> tuple[StatusReport, ...]:
    """The reports that a plan found by their `marks`, in that order.

    Nothing is remembered, or asked of what is, unless it `keeps` them.
    """
    kept = tx.records if keeps else None
    found: dict[int, StatusReport] = {}
    if kept is not None:
        for report_id, updated_at in marks:
            known = kept.get(report_id)
            if (
                known is not None
                and known.updated_at == updated_at
                and known.account_id == account_id
            ):
                found[report_id] = known
    if len(found) < len(marks):
        missing = tuple([mark[0] for mark in marks if mark[0] not in found])
        values = {"reach_account": account_id, "reach_user": None}
        for row in rows_with_ids(tx, missing, values, Sort(), narrowed=False):
            report = found[row[_ID]] = REPORTS.read(row)
            if kept is not None:
                _keep(kept, report)
    return tuple([found[mark[0]] for mark in marks])


def reader(tx: Transaction, kind: Kind) -> Callable[[Row], Record]:
    """What makes a record of a whole row: of a report that has not changed, the value of before."""
    if kind is not Kind.STATUS_REPORTS or tx.records is None:
        return SELECTIONS[kind].read
    return partial(_read, tx.records)


def _read(kept: Memory, row: Row) -> StatusReport:
    known: StatusReport | None = kept.get(row[_ID])
    if (
        known is not None
        and known.updated_at == row[_UPDATED_AT]
        and known.account_id == row[_ACCOUNT_ID]
    ):
        return known
    report = REPORTS.read(row)
    _keep(kept, report)
    return report


def _keep(kept: Memory, report: StatusReport) -> None:
    texts = (report.description, *(one.description for one in report.details))
    kept.keep(report.id, report, _REPORT_BYTES + sum(map(getsizeof, texts)))
