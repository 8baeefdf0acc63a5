"""WALK: in the order of an index, until the page is full."""

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
        "The page and what is before it, and what does not match on the way: little where many "
        "match."
    )

    @classmethod
    def serves(cls, asked: ReportQuery, sort: Sort) -> bool:  # noqa: ARG003  in any order
        """Also where a reader's workspaces are few."""
        return not asked.is_of_named_workspaces or not asked.is_merged

    def page(self, _tx: Transaction) -> tuple[Statement, Values]:
        """In order."""
        asked = self.asked
        statement = walk_statement(
            asked.names, self.sort, narrowed=self.narrowed, limited=self.limited
        )
        return statement, self.values


@lru_cache(maxsize=128)
def walk_statement(
    names: tuple[str, ...], sort: Sort, *, narrowed: bool, limited: bool
) -> Statement:
    """A page, in the order of an index. Parameters: the filters', `limit`, `offset`."""
    statement = select(*MARKS).where(
        *within(narrowed=narrowed, limited=limited), *along(names, sort)
    )
    return Statement(windowed(statement.order_by(*ordered(sort, _s[sort.name], _s.id))))


def along(names: tuple[str, ...], sort: Sort) -> list[Condition]:
    """What the filters `names` demand, where reports are gone through in the order of `sort`.

    No index is used but for the time that they are sorted by, or, by id, for one filter whose
    reports an index has in that order.
    """
    own = tuple(name for name in names if TIME_FILTERS.get(name) == sort.name)
    if sort.name == "id":
        own = tuple(name for name in names if name in IN_ORDER_OF_IDS)[:1]
    others = tuple(name for name in names if name not in own)
    return [*conditions(own), *conditions(others, indexed=False)]
