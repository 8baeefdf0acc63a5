"""What every plan of a list of status reports has in common."""

from typing import Any, ClassVar, Final

import msgspec
from sqlalchemy import ColumnElement, FromClause, Select, and_, bindparam, func, select

from healthreports.core.query import Sort, Window
from healthreports.store.engine.database import Row, Transaction
from healthreports.store.engine.statement import Statement, Values
from healthreports.store.lists.report_query import ReportQuery
from healthreports.store.lists.selections import in_account
from healthreports.store.schema.tables import status_reports

# What a plan finds of each report: which it is, and when it was changed (`lists/kept`).
MARKS: Final = (status_reports.c.id, status_reports.c.updated_at)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One way to find a page of status reports, and to count all that match.

    `by_filter` says that few reports of the account match one of the filters that an index serves,
    whoever sees them: then it is less to look for those first.
    """

    # What a page costs, in a sentence.
    cost: ClassVar[str]

    asked: ReportQuery
    sort: Sort
    window: Window
    by_filter: bool = False

    @classmethod
    def serves(cls, asked: ReportQuery, sort: Sort) -> bool:
        """Whether this plan finds what is asked for; at what cost, is another question."""
        raise NotImplementedError

    def page(self, tx: Transaction) -> tuple[Statement, Values]:
        """The statement that finds the marks of the page, and its parameters."""
        raise NotImplementedError

    def total(self, tx: Transaction) -> tuple[Statement, Values]:
        """The statement that counts all that match, by looking at each, and its parameters."""
        raise NotImplementedError

    def rows(self, tx: Transaction) -> list[Row]:
        """The `MARKS` of the reports on the page, in order."""
        return tx.rows(*self.page(tx))

    def count(self, tx: Transaction) -> int:
        """How many reports match, by looking at each of them."""
        [[found]] = tx.rows(*self.total(tx))
        return int(found)

    @property
    def values(self) -> dict[str, Any]:
        """The parameters of every page: those of the filters, and its window."""
        window = {"limit": self.window.limit, "offset": self.window.offset}
        return {**self.asked.values, **window}


def counted() -> Select[Any]:
    """SELECT count(*)."""
    return select(func.count())


def windowed(statement: Select[Any]) -> Select[Any]:
    """`statement` from `offset` on, `limit` rows of it."""
    return statement.limit(bindparam("limit")).offset(bindparam("offset"))


def ordered(
    sort: Sort, column: ColumnElement[Any], report_id: ColumnElement[Any]
) -> list[ColumnElement[Any]]:
    """The ORDER BY of `sort`, whose column is `column`; ties go by id, ascending (4.5)."""
    first = column.desc() if sort.descending else column.asc()
    return [first] if sort.name == "id" else [first, report_id.asc()]


def marks_with_ids(inner: FromClause, sort: Sort) -> Select[Any]:
    """The marks of the reports whose ids `inner` has, in order."""
    # An outer join, though all are there: so `inner` comes first, and not all of the account.
    reports = status_reports.c
    its_report = and_(in_account(status_reports), reports.id == inner.c.id)
    statement = select(*MARKS).join_from(inner, status_reports, its_report, isouter=True)
    return statement.order_by(*ordered(sort, reports[sort.name], reports.id))
