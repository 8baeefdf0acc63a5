"""GATHER: all that match, then sorted. Counting by looking is the same without the sorting."""

from functools import lru_cache
from typing import Any, ClassVar, Final

from sqlalchemy import Select, select

from healthreports.core.query import Sort
from healthreports.store.engine.database import Transaction
from healthreports.store.engine.statement import InTurn, Statement, Values, unindexed
from healthreports.store.lists.plans.base import (
    Plan,
    counted,
    ordered,
    reports_with_ids,
    windowed,
)
from healthreports.store.lists.report_query import ReportQuery, conditions, in_reach, within
from healthreports.store.lists.selections import in_account
from healthreports.store.schema.tables import participations, status_reports

_s: Final = status_reports.c


class OverAccount(Plan, frozen=True, kw_only=True):
    """What the plans share that go through the account, or through all that the reader sees."""

    @classmethod
    def serves(cls, asked: ReportQuery, sort: Sort) -> bool:  # noqa: ARG003  in any order
        """Where the list is not limited to a few workspaces."""
        return asked.workspaces is None

    @property
    def narrowed(self) -> bool:
        """Whether each report is checked for whether the reader sees it."""
        return self.asked.narrowed or self.asked.workspaces is not None

    def total(self, _tx: Transaction) -> tuple[Statement, Values]:
        """All that the filters leave, looked at one by one."""
        statement = gather_count_statement(
            self.asked.names, narrowed=self.narrowed, by_filter=self.by_filter
        )
        return statement, self.asked.values


class Gather(OverAccount, frozen=True, kw_only=True):
    """Serves lists where few match among many: those of a time, or of many workspaces."""

    cost: ClassVar[str] = "All that match: chosen where that is less than the walk to the page."

    def page(self, _tx: Transaction) -> tuple[Statement, Values]:
        """All that match, sorted."""
        statement = gather_statement(
            self.asked.names, self.sort, narrowed=self.narrowed, by_filter=self.by_filter
        )
        return statement, self.values


@lru_cache(maxsize=128)
def gather_statement(
    names: tuple[str, ...], sort: Sort, *, narrowed: bool, by_filter: bool
) -> Statement:
    """A page of all that match. Parameters: the filters', `limit`, `offset`."""
    place = _s[sort.name].label("place")
    gathered = (
        _gathering(select(_s.id, place), names, narrowed=narrowed, by_filter=by_filter)
        .cte("gathered")
        .prefix_with("MATERIALIZED")
    )
    found = windowed(
        select(gathered.c.id).order_by(*ordered(sort, gathered.c.place, gathered.c.id))
    ).subquery("found")
    return Statement(reports_with_ids(found, sort))


@lru_cache(maxsize=128)
def gather_count_statement(names: tuple[str, ...], *, narrowed: bool, by_filter: bool) -> Statement:
    """How many match."""
    return Statement(_gathering(counted(), names, narrowed=narrowed, by_filter=by_filter))


def _gathering(
    statement: Select[Any], names: tuple[str, ...], *, narrowed: bool, by_filter: bool
) -> Select[Any]:
    """`statement` over all that match: first those of a time, or first the reader's workspaces."""
    if narrowed and by_filter:
        return statement.where(*within(narrowed=True), *conditions(names))
    if not narrowed:
        return statement.where(in_account(status_reports), *conditions(names))
    # With an index of reports by their color, SQLite would begin with all of the account.
    in_turn = InTurn(
        participations,
        status_reports,
        _s.workspace_id == unindexed(participations.c.workspace_id),
    )
    return statement.select_from(in_turn).where(
        in_reach, in_account(status_reports), *conditions(names, indexed=False)
    )
