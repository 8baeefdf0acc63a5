"""How many status reports match a list's query, exactly (2.2).

A count is remembered until something in the account changes. What a first call costs:

- workspaces, the account, a time, one attribute of external references: a sum of what `store/tally`
  keeps, of some hundred rows, or one for each workspace that the user sees;
- few workspaces with filters: the reports of those workspaces that match, by an index;
- several attributes of external references: the reports that have the rarest of them;
- else, all that the filters leave are looked at.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Final

from sqlalchemy import and_, bindparam, func, literal, literal_column, select

from healthreports.core.query import Query
from healthreports.store import tally
from healthreports.store.database import Transaction
from healthreports.store.listing import (
    TIME_FILTERS,
    WITHOUT,
    Asked,
    conditions,
    gathering,
    in_reach,
    rarest,
    with_any_term,
    with_term,
)
from healthreports.store.schema import (
    participations,
    report_blocks,
    report_counts,
    status_reports,
)
from healthreports.store.select import in_account
from healthreports.store.statement import Statement, Values, among, compiled

# A count asked for with more than this is not worth the memory of its question.
_SMALL: Final = 500
_c: Final = report_counts.c
_sum: Final = func.coalesce(func.sum(_c.reports), literal_column("0"))


def _of(dimension: str) -> Any:  # noqa: ANN401  a condition
    return and_(in_account(report_counts), _c.dimension == literal(dimension))


_OF_ACCOUNT: Final = compiled(
    select(func.coalesce(func.sum(report_blocks.c.reports), literal_column("0"))).where(
        in_account(report_blocks), report_blocks.c.level == literal(tally.BLOCK_SHIFTS[-1])
    )
)
_OF_WORKSPACES: Final = compiled(
    select(_sum).where(_of(tally.WORKSPACE), among(_c.bucket, "workspaces"))
)
_OF_REACH: Final = compiled(
    select(_sum)
    .join_from(participations, report_counts, _c.bucket == participations.c.workspace_id)
    .where(in_reach, _of(tally.WORKSPACE))
)
_OF_TERM: Final = compiled(select(_sum).where(_of(tally.TERM), _c.bucket == bindparam("term")))


def in_account_at_all(tx: Transaction, asked: Asked, version: int) -> int:
    """How many reports the account has."""
    key = ("total", asked.reach.account_id, version)
    return remembered(tx, key, partial(_one, tx, _OF_ACCOUNT, asked.values))


def matching(tx: Transaction, query: Query, asked: Asked, version: int) -> int:
    """How many reports match `query`. `version` is that of the account in this snapshot."""
    key = ("count", query.kind, query.filters, asked.reach, version)
    return remembered(tx, key, partial(_counted, tx, asked, version))


def remembered(tx: Transaction, key: tuple[object, ...], find: Callable[[], int]) -> int:
    """What `find` counts, or counted before for the same `key`, which has the version in it."""
    found: int | None = tx.counts.get(key)
    if found is None:
        found = find()
        if len(str(key)) <= _SMALL:
            tx.counts[key] = found
    return found


def _one(tx: Transaction, statement: Statement, values: Values) -> int:
    [[found]] = tx.rows(statement, values)
    return int(found)


def _counted(tx: Transaction, asked: Asked, version: int) -> int:
    if not asked.names:
        if asked.workspaces is not None:
            values = {**asked.values, "workspaces": asked.workspaces}
            return _one(tx, _OF_WORKSPACES, values)
        if asked.narrowed:
            return _one(tx, _OF_REACH, asked.values)
        return in_account_at_all(tx, asked, version)
    if asked.workspaces is None and not asked.narrowed:
        columns = {TIME_FILTERS.get(name) for name in asked.names}
        [column, *others] = columns
        if column is not None and not others:
            return _in_time(tx, asked, column, version)
        if len(asked.names) == 1 and asked.any_of is None:
            return _by_terms(tx, asked, version)
    return _looked_at(tx, asked)


def _by_terms(tx: Transaction, asked: Asked, version: int) -> int:
    """By one filter on external references: that they have a term, or have not."""
    if asked.terms:
        return _one(tx, _OF_TERM, {**asked.values, "term": asked.terms[0]})
    name = asked.values.get(WITHOUT)
    absent = tally.REFERENCED if name is None else tally.term("service_name", name)
    having = _one(tx, _OF_TERM, {**asked.values, "term": absent})
    return in_account_at_all(tx, asked, version) - having


def _in_time(tx: Transaction, asked: Asked, column: str, version: int) -> int:
    """By when they were created, or changed: strictly after and before (4.6)."""
    name = column.removesuffix("_at")
    after, before = (asked.values.get(f"{name}_{side}") for side in ("after", "before"))
    until = (
        in_account_at_all(tx, asked, version)
        if before is None
        else _earlier(tx, asked, column, before)
    )
    return max(until - (0 if after is None else _earlier(tx, asked, column, after + 1)), 0)


def _earlier(tx: Transaction, asked: Asked, column: str, moment: int) -> int:
    """How many reports of the account have a time in `column` before `moment`."""
    narrow, wide = tally.TIME_SHIFTS
    values = {
        "reach_account": asked.reach.account_id,
        "wide": moment >> wide,
        "first": (moment >> wide) << (wide - narrow),
        "narrow": moment >> narrow,
        "edge": (moment >> narrow) << narrow,
        "moment": moment,
    }
    [parts] = tx.rows(_earlier_statement(column), values)
    return int(sum(parts))  # of numbers that PostgreSQL adds up as decimals


@lru_cache
def _earlier_statement(column: str) -> Statement:
    narrow, wide = (_of(tally.time_dimension(column, shift)) for shift in tally.TIME_SHIFTS)
    kept = status_reports.c[column]
    parts = (
        select(_sum).where(wide, _c.bucket < bindparam("wide")),
        select(_sum).where(
            narrow, _c.bucket >= bindparam("first"), _c.bucket < bindparam("narrow")
        ),
        select(func.count()).where(
            in_account(status_reports), kept >= bindparam("edge"), kept < bindparam("moment")
        ),
    )
    return compiled(select(*(part.scalar_subquery() for part in parts)))


def _looked_at(tx: Transaction, asked: Asked) -> int:
    """By looking at each report that the best of the indexes leaves."""
    values = dict(asked.values)
    if asked.workspaces is not None:
        values["workspaces"] = asked.workspaces
        return _one(tx, _in_workspaces(asked.names), values)
    if asked.terms:
        values["term"] = rarest(tx, asked)
        return _one(tx, _with_term(asked.names, narrowed=asked.narrowed), values)
    if asked.any_of is not None:
        values["terms"] = asked.any_of
        return _one(tx, _with_any_term(asked.names, narrowed=asked.narrowed), values)
    return _one(tx, _of_all(asked.names, narrowed=asked.narrowed), values)


@lru_cache(maxsize=512)
def _in_workspaces(names: tuple[str, ...]) -> Statement:
    return compiled(
        select(func.count()).where(
            in_account(status_reports),
            among(status_reports.c.workspace_id, "workspaces"),
            *conditions(names),
        )
    )


@lru_cache(maxsize=512)
def _with_term(names: tuple[str, ...], *, narrowed: bool) -> Statement:
    return compiled(with_term(select(func.count()), names, narrowed=narrowed))


@lru_cache(maxsize=512)
def _with_any_term(names: tuple[str, ...], *, narrowed: bool) -> Statement:
    return compiled(with_any_term(select(func.count()), names, narrowed=narrowed))


@lru_cache(maxsize=512)
def _of_all(names: tuple[str, ...], *, narrowed: bool) -> Statement:
    return compiled(gathering(select(func.count()), names, narrowed=narrowed))
