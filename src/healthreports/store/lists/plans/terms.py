"""TERM and ANY TERM: read the reports that have an attribute of an external reference.

A term is a number that stands for an attribute with a value, such as a service name. The table
`report_terms` has the reports of each term in the order of their ids.
"""

from functools import lru_cache
from typing import Any, ClassVar, Final

from sqlalchemy import CTE, Integer, Select, bindparam, literal, select

from healthreports.core.query import Sort
from healthreports.store.engine.database import Transaction
from healthreports.store.engine.statement import Statement, Values, among, unindexed
from healthreports.store.lists.counters import Dimension
from healthreports.store.lists.plans.base import (
    MARKS,
    Plan,
    counted,
    marks_with_ids,
    ordered,
    windowed,
)
from healthreports.store.lists.report_query import (
    AFTER_ID,
    REFS,
    ReportQuery,
    beside_a_term,
    conditions,
    within,
)
from healthreports.store.lists.selections import in_account
from healthreports.store.schema.tables import report_counts, report_terms, status_reports

_s: Final = status_reports.c
_t: Final = report_terms.c

_TERM_COUNTS: Final = Statement(
    select(report_counts.c.bucket, report_counts.c.reports).where(
        in_account(report_counts),
        report_counts.c.dimension == literal(Dimension.TERM, Integer),
        among(report_counts.c.bucket, "terms"),
    )
)


class Term(Plan, frozen=True, kw_only=True):
    """Serves lists filtered by attributes of an external reference; uses the rarest of them."""

    cost: ClassVar[str] = (
        "By id, the reports with the term up to the end of the page; in another order all of them, "
        "which are then sorted."
    )

    @classmethod
    def serves(cls, asked: ReportQuery, sort: Sort) -> bool:  # noqa: ARG003  in any order
        """Whether reports must have a term and are not limited to a few workspaces."""
        return bool(asked.terms) and asked.workspaces is None

    def page(self, tx: Transaction) -> tuple[Statement, Values]:
        """The page, read from the reports of the rarest term."""
        values = {**self.values, "term": self._rarest(tx)}
        return term_statement(self.asked.names, self.sort, narrowed=self.asked.narrowed), values

    def total(self, tx: Transaction) -> tuple[Statement, Values]:
        """The statement that counts the matching reports of the term, and its parameters."""
        values = {**self.asked.values, "term": self._rarest(tx)}
        return term_count_statement(self.asked.names, narrowed=self.asked.narrowed), values

    def _rarest(self, tx: Transaction) -> int:
        terms = self.asked.terms
        if len(terms) == 1:
            return terms[0]
        values = {"reach_account": self.asked.reach.account_id, "terms": terms}
        known = {row[0]: row[1] for row in tx.rows(_TERM_COUNTS, values)}
        return min(terms, key=lambda term: known.get(term, 0))


class AnyTerm(Plan, frozen=True, kw_only=True):
    """Serves lists of reports that have at least one of many references."""

    cost: ClassVar[str] = "All reports that have one of the terms, which are then sorted."

    @classmethod
    def serves(cls, asked: ReportQuery, sort: Sort) -> bool:  # noqa: ARG003  in any order
        """Whether reports must have one of several terms and are not limited to few workspaces."""
        return asked.any_of is not None and asked.workspaces is None

    def page(self, _tx: Transaction) -> tuple[Statement, Values]:
        """The page of the reports that have one of the terms, each once."""
        values = {**self.values, "terms": self.asked.any_of}
        return any_term_statement(self.asked.names, self.sort, narrowed=self.asked.narrowed), values

    def total(self, _tx: Transaction) -> tuple[Statement, Values]:
        """The statement that counts the matching reports of the terms, and its parameters."""
        values = {**self.asked.values, "terms": self.asked.any_of}
        return any_term_count_statement(self.asked.names, narrowed=self.asked.narrowed), values


@lru_cache(maxsize=128)
def term_statement(names: tuple[str, ...], sort: Sort, *, narrowed: bool) -> Statement:
    """A page of the reports with `term`. Parameters: those of the filters, `limit`, `offset`."""
    statement = _with_term(select(*MARKS), names, narrowed=narrowed)
    column = _t.report_id if sort.name == "id" else _s[sort.name]
    return Statement(windowed(statement.order_by(*ordered(sort, column, _t.report_id))))


@lru_cache(maxsize=128)
def term_count_statement(names: tuple[str, ...], *, narrowed: bool) -> Statement:
    """How many reports with `term` match."""
    return Statement(_with_term(counted(), names, narrowed=narrowed))


def _with_term(statement: Select[Any], names: tuple[str, ...], *, narrowed: bool) -> Select[Any]:
    has_term = _s.id == unindexed(_t.report_id)
    return statement.join_from(report_terms, status_reports, has_term).where(
        in_account(report_terms),
        _t.term == bindparam("term"),
        *([_t.report_id > bindparam(AFTER_ID)] if AFTER_ID in names else []),
        *within(narrowed=narrowed),
        *conditions(beside_a_term(names), indexed=False),
    )


@lru_cache(maxsize=128)
def any_term_statement(names: tuple[str, ...], sort: Sort, *, narrowed: bool) -> Statement:
    """A page of the reports with one of `terms`.

    Parameters: those of the filters, `terms`, `limit`, `offset`.
    """
    if names == (REFS,) and sort.name == "id" and not narrowed:
        ids = having_any_term()
        page = windowed(select(ids.c.id).order_by(*ordered(sort, ids.c.id, ids.c.id)))
        return Statement(marks_with_ids(page.subquery("page"), sort))
    statement = _with_any_term(select(*MARKS), names, narrowed=narrowed)
    return Statement(windowed(statement.order_by(*ordered(sort, _s[sort.name], _s.id))))


@lru_cache(maxsize=128)
def any_term_count_statement(names: tuple[str, ...], *, narrowed: bool) -> Statement:
    """How many reports with one of `terms` match."""
    if names == (REFS,) and not narrowed:
        return Statement(counted().select_from(having_any_term()))
    return Statement(_with_any_term(counted(), names, narrowed=narrowed))


def _with_any_term(
    statement: Select[Any], names: tuple[str, ...], *, narrowed: bool
) -> Select[Any]:
    found = having_any_term()
    return statement.join_from(found, status_reports, _s.id == found.c.id).where(
        *within(narrowed=narrowed), *conditions(beside_a_term(names), indexed=False)
    )


def having_any_term() -> CTE:
    """The ids of the reports that have one of `terms`, each once."""
    ids = select(_t.report_id.label("id")).where(in_account(report_terms), among(_t.term, "terms"))
    return ids.distinct().cte("found").prefix_with("MATERIALIZED")
