"""SEEK: finds a page far into an account by the stored counts of blocks of ids or of periods."""

from functools import lru_cache
from typing import Any, ClassVar, Final

from sqlalchemy import Integer, Select, bindparam, literal, select

from healthreports.core.query import Sort
from healthreports.store.engine.database import Transaction
from healthreports.store.engine.statement import Statement, Values
from healthreports.store.lists.counters import BLOCK_SHIFTS, OF_TIME, TIME_SHIFTS
from healthreports.store.lists.plans.base import MARKS, ordered, windowed
from healthreports.store.lists.plans.gather import OverAccount
from healthreports.store.lists.report_query import ReportQuery
from healthreports.store.lists.selections import in_account
from healthreports.store.schema.tables import report_blocks, report_counts, status_reports

_s: Final = status_reports.c
_b: Final = report_blocks.c
_c: Final = report_counts.c


class Seek(OverAccount, frozen=True, kw_only=True):
    """Serves the list of the whole account without a filter, in any order."""

    cost: ClassVar[str] = (
        "The page, the reports of one block or period, and one count for each before it: some "
        "hundred rows for any page."
    )

    @classmethod
    def serves(cls, asked: ReportQuery, sort: Sort) -> bool:  # noqa: ARG003  in any order
        """Whether the reader sees all reports and there is no filter."""
        return not asked.names and asked.workspaces is None and not asked.narrowed

    def page(self, tx: Transaction) -> tuple[Statement, Values]:
        """The page, read from the place where it begins."""
        return seek_statement(self.sort), {**self.values, **self._place(tx)}

    def _place(self, tx: Transaction) -> dict[str, int]:
        """The value of the sorted column to start from, and the number of rows to skip from there.

        First the wide blocks or periods are added up, then the narrow ones in one of these.
        """
        shifts = BLOCK_SHIFTS if self.sort.name == "id" else TIME_SHIFTS
        low, high, offset = 0, 0, self.window.offset
        values = {"reach_account": self.asked.reach.account_id}
        for shift in reversed(shifts):
            bounds = {} if shift == shifts[-1] else {"low": low >> shift, "high": high >> shift}
            statement = stretches_statement(self.sort, shift, bounded=bool(bounds))
            for bucket, reports in tx.rows(statement, values | bounds):
                if offset < reports:
                    low, high = bucket << shift, (bucket + 1) << shift
                    break
                offset -= reports
        return {"edge": high if self.sort.descending else low, "offset": offset}


@lru_cache
def seek_statement(sort: Sort) -> Statement:
    """A page after `edge`. Parameters: `edge`, `limit`, and the `offset` from there."""
    column = _s[sort.name]
    behind = column < bindparam("edge") if sort.descending else column >= bindparam("edge")
    statement = select(*MARKS).where(in_account(status_reports), behind)
    return Statement(windowed(statement.order_by(*ordered(sort, column, _s.id))))


@lru_cache
def stretches_statement(sort: Sort, shift: int, *, bounded: bool) -> Statement:
    """The report count of each block or period, in order; if `bounded`, from `low` to `high`."""
    statement = _stretches(sort.name, shift)
    bucket = next(iter(statement.selected_columns))
    if bounded:
        statement = statement.where(bucket >= bindparam("low"), bucket < bindparam("high"))
    return Statement(statement.order_by(bucket.desc() if sort.descending else bucket.asc()))


def _stretches(name: str, shift: int) -> Select[Any]:
    """The number and the report count of each block of ids, or of each period of another column."""
    if name == "id":
        return select(_b.block, _b.reports).where(
            in_account(report_blocks), _b.level == literal(shift)
        )
    return select(_c.bucket, _c.reports).where(
        in_account(report_counts), _c.dimension == literal(OF_TIME[name, shift], Integer)
    )
