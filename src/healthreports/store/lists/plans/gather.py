"""GATHER: finds all matching reports and sorts them. Counting is the same without the sort."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, ClassVar, Final

from sqlalchemy import FromClause, Select, select

from healthreports.core.query import Sort
from healthreports.store.engine.database import Transaction
from healthreports.store.engine.statement import InTurn, Statement, Values, among, unindexed
from healthreports.store.lists.plans.base import (
    Plan,
    counted,
    marks_with_ids,
    ordered,
    windowed,
)
from healthreports.store.lists.report_query import WORDS, ReportQuery, conditions, in_reach, within
from healthreports.store.lists.selections import REPORTS, in_account
from healthreports.store.lists.statements import written
from healthreports.store.schema.tables import participations, status_reports

_s: Final = status_reports.c


class OverAccount(Plan, frozen=True, kw_only=True):
    """Base class of the plans that read the account, or all reports that the reader sees."""

    @classmethod
    def serves(cls, asked: ReportQuery, sort: Sort) -> bool:  # noqa: ARG003  in any order
        """Whether the list is not merged from the lists of a few workspaces."""
        return not asked.is_merged

    @property
    def limited(self) -> bool:
        """Whether the list is limited to a few known workspaces and has a filter on words."""
        return self.asked.workspaces is not None and not self.asked.is_merged

    @property
    def narrowed(self) -> bool:
        """Whether each report is tested for whether the reader sees it."""
        return self.asked.narrowed or self.asked.is_merged

    @property
    def values(self) -> dict[str, Any]:
        """The parameters of every page, including the workspaces that the list is limited to."""
        values = super().values
        return {**values, "workspaces": self.asked.workspaces} if self.limited else values

    def total(self, _tx: Transaction) -> tuple[Statement, Values]:
        """The statement that reads each matching report and counts them, and its parameters."""
        asked = self.asked
        statement = gather_count_statement(
            asked.names, narrowed=self.narrowed, limited=self.limited, by_filter=self.by_filter
        )
        return statement, {**asked.values, "workspaces": asked.workspaces}


class Gather(OverAccount, frozen=True, kw_only=True):
    """Serves lists in which few of many reports match: by a time, or of many workspaces."""

    cost: ClassVar[str] = (
        "All matching reports; chosen if that costs less than the walk to the page."
    )

    def page(self, _tx: Transaction) -> tuple[Statement, Values]:
        """The page of all matching reports, sorted."""
        asked = self.asked
        statement = gather_statement(
            asked.names,
            self.sort,
            narrowed=self.narrowed,
            limited=self.limited,
            by_filter=self.by_filter,
        )
        return statement, self.values


@lru_cache(maxsize=128)
def gather_statement(
    names: tuple[str, ...], sort: Sort, *, narrowed: bool, limited: bool, by_filter: bool
) -> Statement:
    """A page of all matching reports. Parameters: those of the filters, `limit`, `offset`."""
    place = _s[sort.name].label("place")

    def page(matching: Select[Any]) -> Select[Any]:
        gathered = matching.cte("gathered").prefix_with("MATERIALIZED")
        window = windowed(
            select(gathered.c.id).order_by(*ordered(sort, gathered.c.place, gathered.c.id))
        )
        return marks_with_ids(window.subquery("found"), sort)

    found = select(_s.id, place)
    here, there = _gathering(
        found, names, page, narrowed=narrowed, limited=limited, by_filter=by_filter
    )
    return Statement(here, postgres=there)


@lru_cache(maxsize=128)
def gather_count_statement(
    names: tuple[str, ...], *, narrowed: bool, limited: bool, by_filter: bool
) -> Statement:
    """How many reports match."""
    here, there = _gathering(
        counted(),
        names,
        lambda matching: matching,
        narrowed=narrowed,
        limited=limited,
        by_filter=by_filter,
    )
    return Statement(here, postgres=there)


def _gathering(
    statement: Select[Any],
    names: tuple[str, ...],
    finish: Callable[[Select[Any]], Select[Any]],
    *,
    narrowed: bool,
    limited: bool,
    by_filter: bool,
) -> tuple[Select[Any], Select[Any] | None]:
    """`statement` over all matching reports, completed by `finish`; and the one for PostgreSQL.

    With `by_filter`, or if nothing limits the workspaces, it starts with the reports that match a
    filter. Otherwise it starts with the workspaces. PostgreSQL may have its own statement, as in
    `written`.
    """

    def write(origin: FromClause | None) -> Select[Any]:
        in_sight = within(narrowed=narrowed, limited=limited)
        if origin is None:
            return finish(statement.where(*in_sight, *conditions(names)))
        others = tuple(name for name in names if name != WORDS)
        return finish(
            statement.select_from(origin).where(*in_sight, *conditions(others, indexed=False))
        )

    if by_filter or not (narrowed or limited):
        return written(REPORTS, names, write, finding=True)
    demanded = [in_account(status_reports), *conditions(names, indexed=False)]
    if limited:
        found = statement.where(among(_s.workspace_id, "workspaces"), *demanded)
        return finish(found), None
    # Without InTurn, SQLite would use the index on the color and start with the whole account.
    in_turn = InTurn(
        participations,
        status_reports,
        _s.workspace_id == unindexed(participations.c.workspace_id),
    )
    return finish(statement.select_from(in_turn).where(in_reach, *demanded)), None
