"""How many status reports match a list's query, exactly (2.2).

A count is remembered until something in the account changes. What a first call costs:

- workspaces, the account, a time, one attribute of external references: a sum of what
  `store/lists/counters` keeps, of some hundred rows, or one for each workspace that the user sees;
- few workspaces with filters: the reports of those workspaces that match, by an index;
- several attributes of external references: the reports that have the rarest of them;
- else, all that the filters leave are looked at.
"""

from array import array
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Final, TypeVar

from sqlalchemy import (
    ColumnElement,
    Integer,
    and_,
    bindparam,
    func,
    literal,
    literal_column,
    select,
)

from healthreports.store.engine.database import Transaction, Version, short
from healthreports.store.engine.statement import Statement, Values, among
from healthreports.store.lists import counters as tally
from healthreports.store.lists.plans import (
    REFS,
    TIME_FILTERS,
    WITHOUT,
    Found,
    Ids,
    ReportQuery,
    conditions,
    gathering,
    having_any_term,
    in_reach,
    rarest,
    with_any_term,
    with_term,
    within,
)
from healthreports.store.lists.selections import in_account
from healthreports.store.schema.tables import (
    participations,
    report_blocks,
    report_counts,
    status_reports,
)

# One report in so many is of a time that is rather looked for than who sees the reports.
_SCARCE: Final = 8
# Of so many reports the ids are kept, and not just their number: 2 kB.
_FEW: Final = 256
T = TypeVar("T")
_c: Final = report_counts.c
_sum: Final = func.coalesce(func.sum(_c.reports), literal_column("0"))


def _of(dimension: tally.Dimension) -> Any:  # noqa: ANN401  a condition
    return and_(in_account(report_counts), _c.dimension == literal(dimension, Integer))


_OF_ACCOUNT: Final = Statement(
    select(func.coalesce(func.sum(report_blocks.c.reports), literal_column("0"))).where(
        in_account(report_blocks), report_blocks.c.level == literal(tally.BLOCK_SHIFTS[-1])
    )
)
_OF_WORKSPACES: Final = Statement(
    select(_sum).where(_of(tally.Dimension.WORKSPACE), among(_c.bucket, "workspaces"))
)
_OF_REACH: Final = Statement(
    select(_sum)
    .join_from(participations, report_counts, _c.bucket == participations.c.workspace_id)
    .where(in_reach, _of(tally.Dimension.WORKSPACE))
)
_LAST: Final = Statement(
    select(func.coalesce(func.max(status_reports.c.id), literal_column("0"))).where(
        in_account(status_reports)
    )
)
_OF_TERM: Final = Statement(
    select(_sum).where(_of(tally.Dimension.TERM), _c.bucket == bindparam("term"))
)


_having: Final = having_any_term()
_HAVING_ANY_TERM: Final = Statement(select(_having.c.id).limit(bindparam("limit")))


def account_total(tx: Transaction, asked: ReportQuery, version: Version) -> int:
    """How many reports the account has."""
    key = ("total", asked.reach.account_id, version)
    return tx.remembered(key, partial(_one, tx, _OF_ACCOUNT, asked.values))


def _one(tx: Transaction, statement: Statement, values: Values) -> int:
    [[found]] = tx.rows(statement, values)
    return int(found)


def _counted(tx: Transaction, asked: ReportQuery, version: Version) -> int:
    if not asked.names:
        return _in_sight(tx, asked, version)
    if asked.workspaces is None and not asked.narrowed:
        columns = {TIME_FILTERS.get(name) for name in asked.names}
        [column, *others] = columns
        if column is not None and not others:
            return _in_time(tx, asked, column, version)
        if len(asked.names) == 1 and asked.any_of is None:
            return _by_terms(tx, asked, version)
    find = partial(_looked_at, tx, asked, version)
    changes = any(name.startswith("updated") for name in asked.names)
    return find() if changes else _grown(tx, asked, version, find)


def _in_sight(tx: Transaction, asked: ReportQuery, version: Version) -> int:
    """All that is in the workspaces, or what the user sees, or the account."""
    if asked.workspaces is not None:
        values = {**asked.values, "workspaces": asked.workspaces}
        find = partial(_one, tx, _OF_WORKSPACES, values)
        is_named = asked.reach.user_id is None
        return find() if is_named else _grown(tx, asked, version, find)
    if asked.narrowed:
        return _grown(tx, asked, version, partial(_one, tx, _OF_REACH, asked.values))
    return account_total(tx, asked, version)


def _grown(tx: Transaction, asked: ReportQuery, version: Version, find: Callable[[], int]) -> int:
    """What `find` counts, or counted before, with the new reports since."""

    def add(found: int, values: Values) -> int:
        limited = asked.workspaces is not None
        statement = _since(asked.names, limited=limited, narrowed=asked.narrowed)
        return found + _one(tx, statement, values)

    return _with_new(tx, "count", asked, version, find=find, add=add)


def _few(tx: Transaction, asked: ReportQuery, version: Version) -> "Ids | None":
    """The ids of the reports that have one of the terms asked for, ascending, if they are few."""

    def ids(statement: Statement, values: Values) -> Ids:
        rows = tx.rows(statement, {**values, "limit": _FEW + 1})
        return array("q", sorted(row[0] for row in rows))

    def find() -> Ids:
        return ids(_HAVING_ANY_TERM, {**asked.values, "terms": asked.any_of})

    def add(found: Ids, values: Values) -> Ids:
        return found if len(found) > _FEW else found + ids(_since_ids(asked.names), values)

    found = _with_new(tx, "ids", asked, version, find=find, add=add)
    return found if len(found) <= _FEW else None


def _with_new(
    tx: Transaction,
    what: str,
    asked: ReportQuery,
    version: Version,
    *,
    find: Callable[[], T],
    add: Callable[[T, Values], T],
) -> T:
    """What `find` finds, or found before, with the new reports since: `add` adds them.

    An account gives out ascending ids, since its writes come one after another. `add` is given the
    parameters of a statement that finds those above `known_last`.
    """
    filters = tuple(asked.values.get(name) for name in asked.names)
    named = asked.values.get("workspace_id")
    key = short((what, asked.names, filters, named, asked.reach, version.reshaped))
    known: tuple[T, int] | None = tx.counts.get(key)
    last = _one(tx, _LAST, asked.values)
    if known is None or last < known[1]:  # somebody else's snapshot was newer than this
        found = find()
    else:
        found, known_last = known
        if last > known_last:
            values = {**asked.values, "known_last": known_last, "workspaces": asked.workspaces}
            found = add(found, values)
    tx.counts[key] = (found, last)
    return found


@lru_cache(maxsize=512)
def _since(names: tuple[str, ...], *, limited: bool, narrowed: bool) -> Statement:
    statement = select(func.count()).where(*_new(names, narrowed=narrowed))
    if limited:
        # Written so that no index is used for it.
        workspace = status_reports.c.workspace_id + literal_column("0")
        statement = statement.where(among(workspace, "workspaces"))
    return Statement(statement)


@lru_cache(maxsize=512)
def _since_ids(names: tuple[str, ...]) -> Statement:
    report_id = status_reports.c.id
    found = select(report_id).where(*_new(names, narrowed=False))
    return Statement(found.limit(bindparam("limit")))


def _new(names: tuple[str, ...], *, narrowed: bool) -> list[ColumnElement[bool]]:
    return [
        *within(narrowed=narrowed),
        status_reports.c.id > bindparam("known_last"),
        *conditions(names, hidden=True),
    ]


def _by_terms(tx: Transaction, asked: ReportQuery, version: Version) -> int:
    """By one filter on external references: that they have a term, or have not."""
    if asked.terms:
        return _one(tx, _OF_TERM, {**asked.values, "term": asked.terms[0]})
    name = asked.values.get(WITHOUT)
    absent = tally.REFERENCED if name is None else tally.term("service_name", name)
    having = _one(tx, _OF_TERM, {**asked.values, "term": absent})
    return account_total(tx, asked, version) - having


def _in_time(tx: Transaction, asked: ReportQuery, column: str, version: Version) -> int:
    """By when they were created, or changed: strictly after and before (4.6)."""
    name = column.removesuffix("_at")
    after, before = (asked.values.get(f"{name}_{side}") for side in ("after", "before"))
    until = (
        account_total(tx, asked, version) if before is None else _earlier(tx, asked, column, before)
    )
    return max(until - (0 if after is None else _earlier(tx, asked, column, after + 1)), 0)


def _earlier(tx: Transaction, asked: ReportQuery, column: str, moment: int) -> int:
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
    narrow, wide = (_of(tally.OF_TIME[column, shift]) for shift in tally.TIME_SHIFTS)
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
    return Statement(select(*(part.scalar_subquery() for part in parts)))


def found(tx: Transaction, asked: ReportQuery, version: Version) -> Found:
    """How many reports match, and what helps to find them.

    `version` is that of the account in this snapshot.
    """
    ids = None
    if asked.names == (REFS,) and asked.workspaces is None and not asked.narrowed:
        ids = _few(tx, asked, version)
    return Found(
        _counted(tx, asked, version) if ids is None else len(ids),
        account_total(tx, asked, version),
        is_by_time(tx, asked, version),
        ids,
    )


def is_by_time(tx: Transaction, asked: ReportQuery, version: Version) -> bool:
    """Whether few reports of the account are of the time that is asked for, whoever sees them."""
    columns = sorted({TIME_FILTERS[name] for name in asked.times})
    if not columns or not asked.narrowed:
        return bool(columns)
    key = ("time", *(asked.values[name] for name in asked.times), asked.reach.account_id, version)
    of_time = tx.remembered(
        key, lambda: min(_in_time(tx, asked, column, version) for column in columns)
    )
    return of_time * _SCARCE < account_total(tx, asked, version)


def _looked_at(tx: Transaction, asked: ReportQuery, version: Version) -> int:
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
    by_time = is_by_time(tx, asked, version)
    return _one(tx, _of_all(asked.names, narrowed=asked.narrowed, by_time=by_time), values)


@lru_cache(maxsize=512)
def _in_workspaces(names: tuple[str, ...]) -> Statement:
    return Statement(
        select(func.count()).where(
            in_account(status_reports),
            among(status_reports.c.workspace_id, "workspaces"),
            *conditions(names, hidden=True),
        )
    )


@lru_cache(maxsize=512)
def _with_term(names: tuple[str, ...], *, narrowed: bool) -> Statement:
    return Statement(with_term(select(func.count()), names, narrowed=narrowed))


@lru_cache(maxsize=512)
def _with_any_term(names: tuple[str, ...], *, narrowed: bool) -> Statement:
    if names == (REFS,) and not narrowed:
        return Statement(select(func.count()).select_from(having_any_term()))
    return Statement(with_any_term(select(func.count()), names, narrowed=narrowed))


@lru_cache(maxsize=512)
def _of_all(names: tuple[str, ...], *, narrowed: bool, by_time: bool) -> Statement:
    counted = gathering(select(func.count()), names, narrowed=narrowed, by_time=by_time)
    return Statement(counted)
