"""A cache of status reports that were read before.

A report that has not changed is the same Python object each time. A plan finds the id and the time
of the last change of each report on the page. Only reports that are not cached with that time are
read from the database. Two changes of a report never have the same time (`core/model.later`).
Together with the JSON that `contract/envelope` caches for such an object, a list of 20 takes less
than half the time (`bench/RESULTS.md`, list-20).
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

# The positions of these columns in a row of a report.
_ID, _ACCOUNT_ID, _UPDATED_AT = (
    [one.name for one in REPORTS.columns].index(name) for name in ("id", "account_id", "updated_at")
)
# The size of a report in memory without its texts.
_REPORT_BYTES: Final = 900


def marked(
    tx: Transaction, account_id: int, marks: Sequence[Row], *, keeps: bool = True
) -> tuple[StatusReport, ...]:
    """The reports that a plan found, in the order of their `marks`.

    Without `keeps`, the cache is neither read nor written.
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
    """A function that makes a record from a whole row.

    For a report that is cached and has not changed, it returns the cached object.
    """
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
