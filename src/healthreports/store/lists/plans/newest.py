"""NEWEST: reads `current_reports`, the current report of each workspace, in the sort order."""

from functools import lru_cache
from typing import Any, ClassVar, Final

from sqlalchemy import Select, and_, select

from healthreports.core.query import Sort
from healthreports.store.engine.database import Transaction
from healthreports.store.engine.statement import Statement, Values
from healthreports.store.lists.plans.base import MARKS, Plan, counted, ordered, windowed
from healthreports.store.lists.report_query import (
    CURRENT,
    ReportQuery,
    conditions,
    within,
)
from healthreports.store.lists.selections import in_account
from healthreports.store.schema.tables import current_reports, status_reports

_c: Final = current_reports.c
_SORTS: Final = {
    "id": _c.report_id,
    "created_at": _c.created_at,
    "updated_at": _c.updated_at,
}


class Newest(Plan, frozen=True, kw_only=True):
    """Serves lists of current reports; each workspace has at most one."""

    cost: ClassVar[str] = (
        "The page and the rows before it, and the rows between them that other filters exclude."
    )

    @classmethod
    def serves(cls, asked: ReportQuery, sort: Sort) -> bool:  # noqa: ARG003  in any order
        """Whether the list has only current reports and is not limited to a few workspaces."""
        return CURRENT in asked.names and asked.workspaces is None

    def page(self, _tx: Transaction) -> tuple[Statement, Values]:
        """The page, read in the sort order."""
        return newest_statement(self._names, self.sort, narrowed=self.asked.narrowed), self.values

    def total(self, _tx: Transaction) -> tuple[Statement, Values]:
        """The statement that counts the matching current reports, and its parameters."""
        statement = newest_count_statement(self._names, narrowed=self.asked.narrowed)
        return statement, self.asked.values

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(name for name in self.asked.names if name != CURRENT)


@lru_cache(maxsize=128)
def newest_statement(names: tuple[str, ...], sort: Sort, *, narrowed: bool) -> Statement:
    """A page of current reports. Parameters: those of the filters, `limit`, `offset`."""
    statement = _current(select(*MARKS), names, narrowed=narrowed)
    return Statement(windowed(statement.order_by(*ordered(sort, _SORTS[sort.name], _c.report_id))))


@lru_cache(maxsize=128)
def newest_count_statement(names: tuple[str, ...], *, narrowed: bool) -> Statement:
    """How many current reports match."""
    return Statement(_current(counted(), names, narrowed=narrowed))


def _current(statement: Select[Any], names: tuple[str, ...], *, narrowed: bool) -> Select[Any]:
    """`statement` over the matching current reports, each looked up by its key."""
    its_report = and_(in_account(status_reports), status_reports.c.id == _c.report_id)
    return statement.join_from(current_reports, status_reports, its_report).where(
        in_account(current_reports),
        *within(narrowed=narrowed),
        *conditions(names),
    )
