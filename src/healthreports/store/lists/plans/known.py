"""KNOWN: the ids of the matching reports are already known, since counting found them."""

import array  # noqa: TC003  Python 3.11 cannot name the type at run time
from functools import lru_cache
from typing import ClassVar

from sqlalchemy import select

from healthreports.core.query import Sort
from healthreports.core.vocabulary import Kind
from healthreports.store.engine.database import Row, Transaction
from healthreports.store.engine.statement import Statement, Values, among
from healthreports.store.lists.plans.base import MARKS, Plan, ordered
from healthreports.store.lists.report_query import ReportQuery
from healthreports.store.lists.selections import in_account
from healthreports.store.lists.statements import asked_by_id, page_statement, rowid_statement
from healthreports.store.schema.tables import status_reports


class Known(Plan, frozen=True, kw_only=True):
    """Serves a list with only a filter by many references, by id, if few reports match."""

    cost: ClassVar[str] = "One look-up for each row of the page."

    ids: "array.array[int]"

    @classmethod
    def serves(cls, asked: ReportQuery, sort: Sort) -> bool:
        """Whether there is a filter by many references and the order is by id, as that of `ids`."""
        return asked.any_of is not None and sort.name == "id"

    def page(self, _tx: Transaction) -> tuple[Statement, Values]:
        """The marks of the ids that are on the page."""
        return known_statement(self.sort), {**self.asked.values, "only": self._on_page}

    def count(self, _tx: Transaction) -> int:
        """The number of ids."""
        return len(self.ids)

    @property
    def _on_page(self) -> tuple[int, ...]:
        ids = self.ids[::-1] if self.sort.descending else self.ids
        return tuple(ids[self.window.offset : self.window.offset + self.window.limit])


@lru_cache
def known_statement(sort: Sort) -> Statement:
    """The marks of the reports with the ids `only`, in order."""
    statement = select(*MARKS).where(in_account(status_reports), among(status_reports.c.id, "only"))
    return Statement(statement.order_by(*ordered(sort, status_reports.c.id, status_reports.c.id)))


def rows_with_ids(
    tx: Transaction, ids: tuple[int, ...], values: Values, sort: Sort, *, narrowed: bool
) -> list[Row]:
    """The rows of the reports with `ids`, sorted; if `narrowed`, only those the reader sees."""
    wanted, only = asked_by_id(ids)
    values = {**values, **only}
    if tx.has_rowids:
        found = tx.rows(rowid_statement(sort, wanted, narrowed=narrowed), values)
        if len(found) == len(ids):
            return found
    statement = page_statement(Kind.STATUS_REPORTS, (), sort, wanted, narrowed=narrowed)
    return tx.rows(statement, values)
