"""The exact number of status reports that match the query of a list (2.2).

A number is remembered until something in the account changes. It is first computed from the stored
counts of `counters`, by the first of `SUMS` that applies. If none applies, the matching reports are
read one by one, with the plan that `plans/choice` has for that.
"""

from array import array
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final, NamedTuple, TypeVar

import msgspec
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

from healthreports.core.vocabulary import REFERENCE_ATTRIBUTES, Category, Color
from healthreports.store.engine.database import Transaction, Version, short
from healthreports.store.engine.statement import Statement, Values, among, unindexed
from healthreports.store.lists import words
from healthreports.store.lists.counters import (
    ALL,
    BLOCK_SHIFTS,
    CATEGORY_BUCKETS,
    COLOR_BUCKETS,
    OF_TIME,
    REFERENCED,
    TIME_SHIFTS,
    Dimension,
    term,
)
from healthreports.store.lists.plans.terms import having_any_term
from healthreports.store.lists.report_query import (
    CURRENT,
    HAS,
    HAS_NOT,
    NOT_CURRENT,
    PREFIX,
    REFS,
    TIME_FILTERS,
    WITHOUT,
    WORDS,
    ReportQuery,
    conditions,
    in_reach,
    within,
)
from healthreports.store.lists.selections import REPORTS, in_account
from healthreports.store.lists.words import WordsIn
from healthreports.store.schema.tables import (
    participations,
    report_blocks,
    report_counts,
    status_reports,
)

# Starting with a filter is worth it if at most one report in this many matches the filter.
_SCARCE: Final = 8
# The ids of up to this many reports are remembered, and not only their number: 2 kB.
_FEW_IDS: Final = 256
LOOKING: Final = "reading each report that matches the filters"

T = TypeVar("T")
_c: Final = report_counts.c
_sum: Final = func.coalesce(func.sum(_c.reports), literal_column("0"))


class Sizes(NamedTuple):
    """The result of counting.

    `matching` reports match, of `total` in the account. `by_filter` says that few reports of the
    account match one of the filters that have an index, regardless of who may see them. `ids` are
    the ids of the matching reports, ascending, if counting found them. `counted_by` says how they
    were counted.
    """

    matching: int
    total: int
    by_filter: bool
    ids: "array[int] | None"
    counted_by: str


def _of(dimension: Dimension) -> ColumnElement[bool]:
    return and_(in_account(report_counts), _c.dimension == literal(dimension, Integer))


_OF_ACCOUNT: Final = Statement(
    select(func.coalesce(func.sum(report_blocks.c.reports), literal_column("0"))).where(
        in_account(report_blocks), report_blocks.c.level == literal(BLOCK_SHIFTS[-1])
    )
)
_OF_WORKSPACES: Final = Statement(
    select(_sum).where(_of(Dimension.WORKSPACE), among(_c.bucket, "workspaces"))
)
_OF_REACH: Final = Statement(
    select(_sum)
    .join_from(participations, report_counts, _c.bucket == participations.c.workspace_id)
    .where(in_reach, _of(Dimension.WORKSPACE))
)
_LAST: Final = Statement(
    select(func.coalesce(func.max(status_reports.c.id), literal_column("0"))).where(
        in_account(status_reports)
    )
)
_OF_TERM: Final = Statement(select(_sum).where(_of(Dimension.TERM), _c.bucket == bindparam("term")))
_OF_BUCKETS: Final = Statement(
    select(_sum).where(
        in_account(report_counts),
        _c.dimension == bindparam("of_dimension"),
        among(_c.bucket, "buckets"),
    )
)
_having: Final = having_any_term()
_HAVING_ANY_TERM: Final = Statement(select(_having.c.id).limit(bindparam("limit")))


def sizes(
    tx: Transaction, asked: ReportQuery, version: Version, look: Callable[[bool], int]
) -> Sizes:
    """The number of reports that match, and facts that help to find them.

    `version` is that of the account in this snapshot. `look(by_filter)` counts by reading each
    report.
    """
    by_filter = _is_by_filter(tx, asked, version)
    total = account_total(tx, asked, version)
    ids = _few_ids(tx, asked, version) if _is_lone_refs(asked) else None
    if ids is not None:
        return Sizes(
            len(ids), total, by_filter, ids, "the ids of the reports with one of the terms"
        )
    for one in SUMS:
        if one.applies(asked):
            return Sizes(one.add_up(tx, asked, version), total, by_filter, None, one.says)
    find = partial(look, by_filter)
    # A report that matched a filter may no longer match it, unless the filter is steady.
    steady = {name.partition("=")[0] for name in asked.names} <= _STEADY
    matching = _grown(tx, asked, version, find) if steady else find()
    return Sizes(matching, total, by_filter, None, LOOKING)


def account_total(tx: Transaction, asked: ReportQuery, version: Version) -> int:
    """How many reports the account has."""
    key = ("total", asked.reach.account_id, version)
    return tx.remembered(key, partial(_one, tx, _OF_ACCOUNT, asked.values))


def _of_workspaces(tx: Transaction, asked: ReportQuery, version: Version) -> int:
    find = partial(_one, tx, _OF_WORKSPACES, {**asked.values, "workspaces": asked.workspaces})
    return find() if asked.reach.user_id is None else _grown(tx, asked, version, find)


def _of_reader(tx: Transaction, asked: ReportQuery, version: Version) -> int:
    return _grown(tx, asked, version, partial(_one, tx, _OF_REACH, asked.values))


def _of_time(tx: Transaction, asked: ReportQuery, version: Version) -> int:
    return _in_time(tx, asked, TIME_FILTERS[asked.names[0]], version)


def _of_term(tx: Transaction, asked: ReportQuery, version: Version) -> int:
    """Count by one filter on external references: the reports with a term, or without it."""
    if asked.terms:
        return _one(tx, _OF_TERM, {**asked.values, "term": asked.terms[0]})
    name = asked.values.get(WITHOUT)
    absent = REFERENCED if name is None else term("service_name", name)
    having = _one(tx, _OF_TERM, {**asked.values, "term": absent})
    return account_total(tx, asked, version) - having


_words, _words_on_server = words.count_of(WordsIn.REPORT, WORDS)
_WITH_WORDS: Final = Statement(_words, postgres=_words_on_server)


def _of_words(tx: Transaction, asked: ReportQuery, version: Version) -> int:
    """The number of reports of the account that have the words."""
    key = ("words", asked.values[WORDS], asked.reach.account_id, version)
    return tx.remembered(key, partial(_one, tx, _WITH_WORDS, asked.values))


def _sees_account(asked: ReportQuery) -> bool:
    return asked.workspaces is None and not asked.narrowed


def _is_lone_refs(asked: ReportQuery) -> bool:
    return asked.names == (REFS,) and _sees_account(asked)


_STEADY: Final = {name.partition("=")[0] for name in REPORTS.steady}
# Filters that, used alone, ask for the reports with a term, or for those without it.
_BY_A_TERM: Final = frozenset(
    {HAS, HAS_NOT, WITHOUT, *(PREFIX + name for name in REFERENCE_ATTRIBUTES)}
)


class Sum(NamedTuple):
    """A way to count by stored counts; `applies` is for which queries, `says` is what it does."""

    says: str
    applies: Callable[[ReportQuery], bool]
    add_up: Callable[[Transaction, ReportQuery, Version], int]


def _of_buckets(tx: Transaction, asked: ReportQuery, _version: Version) -> int:
    """Count by one filter on an attribute whose values are counted."""
    dimension, buckets = _buckets(asked.names[0], asked.values)
    values = {**asked.values, "of_dimension": dimension, "buckets": buckets}
    return _one(tx, _OF_BUCKETS, values)


def _buckets(name: str, values: Values) -> tuple[Dimension, tuple[int, ...]]:
    """The dimension and the buckets that count the reports of one of the filters `_IN_BUCKETS`."""
    what = name.partition("=")[0]
    if what == "color":
        return Dimension.COLOR, tuple(COLOR_BUCKETS[color] for color in values[what])
    if what == "creator_id":
        return Dimension.CREATOR, values[what]
    if name == CURRENT:
        return Dimension.CURRENT, (ALL,)
    category, _, color = name.partition("=")[2].partition(":")
    return Dimension.CATEGORY_COLOR, (CATEGORY_BUCKETS[Category(category), Color(color)],)


_IN_BUCKETS: Final = frozenset(
    {"color", "color=one", "creator_id", "creator_id=one", CURRENT}
    | {name for name in REPORTS.filters if name.startswith("category_color=")}
)

# The first one that applies is used.
SUMS: Final = (
    Sum(
        "the sum of the account's blocks of ids",
        lambda asked: not asked.names and _sees_account(asked),
        account_total,
    ),
    Sum(
        "the sum of the counters of the workspaces",
        lambda asked: not asked.names and asked.workspaces is not None,
        _of_workspaces,
    ),
    Sum(
        "the sum of the counters of the reader's workspaces",
        lambda asked: not asked.names,
        _of_reader,
    ),
    Sum(
        "the sum of the counters of periods",
        lambda asked: (
            _sees_account(asked)
            and len({TIME_FILTERS.get(name, name) for name in asked.names}) == 1
            and asked.names[0] in TIME_FILTERS
        ),
        _of_time,
    ),
    Sum(
        "the counter of a term",
        lambda asked: (
            _sees_account(asked) and len(asked.names) == 1 and asked.names[0] in _BY_A_TERM
        ),
        _of_term,
    ),
    Sum(
        "the counters of a color, a creator or the current reports",
        lambda asked: (
            _sees_account(asked) and len(asked.names) == 1 and asked.names[0] in _IN_BUCKETS
        ),
        _of_buckets,
    ),
    Sum(
        "the index of words",
        lambda asked: _sees_account(asked) and asked.names == (WORDS,),
        _of_words,
    ),
    Sum(
        "the counters of reports that are not current",
        lambda asked: _sees_account(asked) and asked.names == (NOT_CURRENT,),
        lambda tx, asked, version: (
            account_total(tx, asked, version)
            - _of_buckets(tx, msgspec.structs.replace(asked, names=(CURRENT,)), version)
        ),
    ),
)


def _one(tx: Transaction, statement: Statement, values: Values) -> int:
    [[found]] = tx.rows(statement, values)
    return int(found)


def _grown(tx: Transaction, asked: ReportQuery, version: Version, find: Callable[[], int]) -> int:
    """The number that `find` counts, or a remembered one plus the reports that are new since."""

    def add(found: int, values: Values) -> int:
        limited = asked.workspaces is not None
        statement = _since(asked.names, limited=limited, narrowed=asked.narrowed)
        return found + _one(tx, statement, values)

    return _with_new(tx, "count", asked, version, find=find, add=add)


def _few_ids(tx: Transaction, asked: ReportQuery, version: Version) -> "array[int] | None":
    """The ids of the reports that have one of the terms, ascending; None if they are not few."""

    def ids(statement: Statement, values: Values) -> "array[int]":
        rows = tx.rows(statement, {**values, "limit": _FEW_IDS + 1})
        return array("q", sorted(row[0] for row in rows))

    def find() -> "array[int]":
        return ids(_HAVING_ANY_TERM, {**asked.values, "terms": asked.any_of})

    def add(found: "array[int]", values: Values) -> "array[int]":
        return found if len(found) > _FEW_IDS else found + ids(_since_ids(asked.names), values)

    found = _with_new(tx, "ids", asked, version, find=find, add=add)
    return found if len(found) <= _FEW_IDS else None


def _with_new(
    tx: Transaction,
    what: str,
    asked: ReportQuery,
    version: Version,
    *,
    find: Callable[[], T],
    add: Callable[[T, Values], T],
) -> T:
    """The result of `find`, or a remembered one to which `add` adds the reports that are new.

    New reports have larger ids, since the writes of an account run one after another. `add` is
    given the parameters of a statement that finds the reports with ids above `known_last`.
    """
    # The value of a condition is stored under the name of its filter, or is a part of its own name.
    filters = tuple(asked.values.get(name.partition("=")[0]) for name in asked.names)
    named = asked.values.get("workspace_id")
    key = short((what, asked.names, filters, named, asked.reach, version.reshaped))
    known: tuple[T, int] | None = tx.counts.get(key)
    last = _one(tx, _LAST, asked.values)
    if known is None or last < known[1]:  # another read had a newer snapshot
        found = find()
    else:
        found, known_last = known
        if last > known_last:
            values = {**asked.values, "known_last": known_last, "workspaces": asked.workspaces}
            found = add(found, values)
    tx.counts[key] = (found, last)
    return found


@lru_cache(maxsize=128)
def _since(names: tuple[str, ...], *, limited: bool, narrowed: bool) -> Statement:
    statement = select(func.count()).where(*_new(names, narrowed=narrowed))
    if limited:
        workspace = unindexed(status_reports.c.workspace_id)
        statement = statement.where(among(workspace, "workspaces"))
    return Statement(statement)


@lru_cache(maxsize=128)
def _since_ids(names: tuple[str, ...]) -> Statement:
    report_id = status_reports.c.id
    found = select(report_id).where(*_new(names, narrowed=False))
    return Statement(found.limit(bindparam("limit")))


def _new(names: tuple[str, ...], *, narrowed: bool) -> list[ColumnElement[bool]]:
    return [
        *within(narrowed=narrowed),
        status_reports.c.id > bindparam("known_last"),
        *conditions(names, indexed=False),
    ]


def _in_time(tx: Transaction, asked: ReportQuery, column: str, version: Version) -> int:
    """Count by the time of creation or of the last change: strictly after and before (4.6)."""
    name = column.removesuffix("_at")
    after, before = (asked.values.get(f"{name}_{side}") for side in ("after", "before"))
    until = (
        account_total(tx, asked, version) if before is None else _earlier(tx, asked, column, before)
    )
    return max(until - (0 if after is None else _earlier(tx, asked, column, after + 1)), 0)


def _earlier(tx: Transaction, asked: ReportQuery, column: str, moment: int) -> int:
    """How many reports of the account have a time in `column` before `moment`."""
    narrow, wide = TIME_SHIFTS
    values = {
        "reach_account": asked.reach.account_id,
        "wide": moment >> wide,
        "first": (moment >> wide) << (wide - narrow),
        "narrow": moment >> narrow,
        "edge": (moment >> narrow) << narrow,
        "moment": moment,
    }
    [parts] = tx.rows(_earlier_statement(column), values)
    return int(sum(parts))  # PostgreSQL gives these sums as decimals


@lru_cache
def _earlier_statement(column: str) -> Statement:
    narrow, wide = (_of(OF_TIME[column, shift]) for shift in TIME_SHIFTS)
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


def _is_by_filter(tx: Transaction, asked: ReportQuery, version: Version) -> bool:
    """Whether few reports of the account match one indexed filter, whoever may see them.

    Few compared to all reports of the account, and to those with the rarest of the terms.
    """
    limited = asked.workspaces is not None and not asked.is_merged
    if not asked.is_found or not (asked.narrowed or limited or asked.terms):
        return asked.is_found
    columns = sorted({TIME_FILTERS[name] for name in asked.times})
    named = [name for name in asked.names if name in _IN_BUCKETS and name != CURRENT]

    def count() -> int:
        alone = [msgspec.structs.replace(asked, names=(name,)) for name in named]
        return min(
            [account_total(tx, asked, version)]
            + [_in_time(tx, asked, column, version) for column in columns]
            + [_of_buckets(tx, one, version) for one in alone]
        )

    filters = (*(asked.values[name] for name in asked.times), *named)
    values = tuple(asked.values.get(name.partition("=")[0]) for name in named)
    fewest = tx.remembered(("filter", filters, values, asked.reach.account_id, version), count)
    others = [_one(tx, _OF_TERM, {**asked.values, "term": one}) for one in asked.terms]
    if WORDS in asked.names:
        fewest = min(fewest, _of_words(tx, asked, version))
        everything = msgspec.structs.replace(asked, names=())
        if limited:
            others.append(_of_workspaces(tx, everything, version))
        elif asked.narrowed:
            others.append(_of_reader(tx, everything, version))
    return fewest * _SCARCE < min([account_total(tx, asked, version), *others])
