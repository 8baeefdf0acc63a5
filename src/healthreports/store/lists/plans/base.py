"""The base class of the plans for lists of status reports."""

from typing import Any, ClassVar, Final

import msgspec
from sqlalchemy import ColumnElement, FromClause, Select, and_, bindparam, func, select

from healthreports.core.query import Sort, Window
from healthreports.store.engine.database import Row, Transaction
from healthreports.store.engine.statement import Statement, Values
from healthreports.store.lists.report_query import ReportQuery
from healthreports.store.lists.selections import in_account
from healthreports.store.schema.tables import status_reports

# The columns that a plan selects: the report's id and the time of its last change (`lists/kept`).
MARKS: Final = (status_reports.c.id, status_reports.c.updated_at)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One way to find a page of status reports, and to count all that match.

    `by_filter` says that few reports of the account match one of the filters that have an index,
    regardless of who may see them. Then it is cheaper to find these first.
    """

    # What a page costs, in one sentence.
    cost: ClassVar[str]

    asked: ReportQuery
    sort: Sort
    window: Window
    by_filter: bool = False

    @classmethod
    def serves(cls, asked: ReportQuery, sort: Sort) -> bool:
        """Whether this plan can find the reports, at whatever cost."""
        raise NotImplementedError

    def page(self, tx: Transaction) -> tuple[Statement, Values]:
        """The statement that finds the marks of the page, and its parameters."""
        raise NotImplementedError

    def total(self, tx: Transaction) -> tuple[Statement, Values]:
        """The statement that counts all matching reports by reading each, and its parameters."""
        raise NotImplementedError

    def rows(self, tx: Transaction) -> list[Row]:
        """The `MARKS` of the reports on the page, in order."""
        return tx.rows(*self.page(tx))

    def count(self, tx: Transaction) -> int:
        """How many reports match, counted by reading each of them."""
        [[found]] = tx.rows(*self.total(tx))
        return int(found)

    @property
    def values(self) -> dict[str, Any]:
        """The parameters of every page: those of the filters and of the window."""
        window = {"limit": self.window.limit, "offset": self.window.offset}
        return {**self.asked.values, **window}


def counted() -> Select[Any]:
    """SELECT count(*)."""
    return select(func.count())


def windowed(statement: Select[Any]) -> Select[Any]:
    """`statement` with LIMIT and OFFSET, from the parameters `limit` and `offset`."""
    return statement.limit(bindparam("limit")).offset(bindparam("offset"))


def ordered(
    sort: Sort, column: ColumnElement[Any], report_id: ColumnElement[Any]
) -> list[ColumnElement[Any]]:
    """The ORDER BY of `sort`, whose column is `column`; ties are sorted by id, ascending (4.5)."""
    first = column.desc() if sort.descending else column.asc()
    return [first] if sort.name == "id" else [first, report_id.asc()]


def marks_with_ids(inner: FromClause, sort: Sort) -> Select[Any]:
    """The marks of the reports whose ids `inner` has, in the order of `sort`."""
    # An outer join, although each id has a report: it makes the database start with `inner` and
    # not with all reports of the account.
    reports = status_reports.c
    its_report = and_(in_account(status_reports), reports.id == inner.c.id)
    statement = select(*MARKS).join_from(inner, status_reports, its_report, isouter=True)
    return statement.order_by(*ordered(sort, reports[sort.name], reports.id))
