"""WALK: reads reports in the order of an index until the page is full."""

from functools import lru_cache
from typing import ClassVar, Final

from sqlalchemy import select

from healthreports.core.query import Sort
from healthreports.store.engine.database import Transaction
from healthreports.store.engine.statement import Statement, Values
from healthreports.store.lists.plans.base import MARKS, ordered, windowed
from healthreports.store.lists.plans.gather import OverAccount
from healthreports.store.lists.report_query import (
    IN_ORDER_OF_IDS,
    TIME_FILTERS,
    ReportQuery,
    conditions,
    within,
)
from healthreports.store.lists.selections import Condition
from healthreports.store.schema.tables import status_reports

_s: Final = status_reports.c


class Walk(OverAccount, frozen=True, kw_only=True):
    """Serves every list that does not name workspaces."""

    cost: ClassVar[str] = (
        "The page and the rows before it, and the rows between them that do not match: few if "
        "many match."
    )

    @classmethod
    def serves(cls, asked: ReportQuery, sort: Sort) -> bool:  # noqa: ARG003  in any order
        """Whether no workspaces are named, or the list is not merged.

        So it also serves a reader with few workspaces.
        """
        return not asked.is_of_named_workspaces or not asked.is_merged

    def page(self, _tx: Transaction) -> tuple[Statement, Values]:
        """The page, read in the sort order."""
        asked = self.asked
        statement = walk_statement(
            asked.names, self.sort, narrowed=self.narrowed, limited=self.limited
        )
        return statement, self.values


@lru_cache(maxsize=128)
def walk_statement(
    names: tuple[str, ...], sort: Sort, *, narrowed: bool, limited: bool
) -> Statement:
    """A page in the order of an index. Parameters: those of the filters, `limit`, `offset`."""
    statement = select(*MARKS).where(
        *within(narrowed=narrowed, limited=limited), *along(names, sort)
    )
    return Statement(windowed(statement.order_by(*ordered(sort, _s[sort.name], _s.id))))


def along(names: tuple[str, ...], sort: Sort) -> list[Condition]:
    """The conditions of the filters `names`, if reports are read in the order of `sort`.

    An index is used only for filters on the time that the reports are sorted by. If they are sorted
    by id, it is used for one filter whose index has its reports in that order.
    """
    own = tuple(name for name in names if TIME_FILTERS.get(name) == sort.name)
    if sort.name == "id":
        own = tuple(name for name in names if name in IN_ORDER_OF_IDS)[:1]
    others = tuple(name for name in names if name not in own)
    return [*conditions(own), *conditions(others, indexed=False)]
