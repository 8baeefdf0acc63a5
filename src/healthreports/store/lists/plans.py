"""The list of status reports, at a cost that does not grow with what a page does not show.

`ask` tells what a query is about: few workspaces, or the account, or what a user sees of it; times;
external references. From that follows how it is counted (`store/lists/counting`) and which plan
finds the page here:

- MERGE, in few workspaces that are not most of the account: the lists of all of them, merged as
  far as the page goes;
- TERM, with an attribute of an external reference: along the reports that have its term, or those
  with the ids that counting met;
- SEEK, far into the account: past whole blocks, by what they are known to hold;
- BLOCKS, at some time, in the default order: only blocks in which that time occurs;
- GATHER, where few match among many: all that match, then sorted;
- WALK, else: in order, until the page is full.

GATHER and WALK cost the same where as many match as there are pages between two of them; `_gathers`
takes the cheaper, so a page costs no more than the square root of what the account holds, as long
as what matches is not all at the far end: two times may run against each other.
"""

import array  # noqa: TC003  Python 3.11 cannot name the type at run time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    and_,
    bindparam,
    func,
    literal,
    literal_column,
    select,
    true,
    union_all,
)

from healthreports.core.access import Reach
from healthreports.core.query import Filter, Query, Sort
from healthreports.core.vocabulary import REFERENCE_ATTRIBUTES, Kind
from healthreports.store.engine.database import Row, Transaction, Version
from healthreports.store.engine.statement import Statement, among
from healthreports.store.lists import counters as tally
from healthreports.store.lists.selections import (
    SELECTIONS,
    Condition,
    has_reference,
    in_account,
    shows_reports,
)
from healthreports.store.lists.statements import asked_by_id, page_statement, rowid_statement
from healthreports.store.schema.tables import (
    participations,
    report_blocks,
    report_counts,
    report_terms,
    status_reports,
)

# Beside the filters of a list: the id must be larger than this, where a stream goes on.
AFTER_ID: Final = "after_id"
# Workspaces whose lists are merged; more are looked at report by report.
FEW: Final = 256
# Rows that are skipped one by one before it pays to look for where a page begins.
_NEAR: Final = 1_000
# How much further than if evenly spread a page of a user may reach: workspaces begin and end.
_UNEVEN: Final = 3
_REPORTS: Final = SELECTIONS[Kind.STATUS_REPORTS]
TIME_FILTERS: Final = {
    f"{name}_{side}": f"{name}_at"
    for name in ("created", "updated")
    for side in ("after", "before")
}
_PREFIX: Final = "external_reference_"
REFS: Final = "external_reference_service_model_refs"
WITHOUT: Final = "without_external_reference_service_name"
_HAS: Final = "has_external_references"
HAS_NOT: Final = "no_external_references"
_s: Final = status_reports.c
_FILTERS: Final[dict[str, Condition]] = {
    **_REPORTS.filters,
    _HAS: has_reference(),
    HAS_NOT: ~has_reference(),
    AFTER_ID: _s.id > bindparam(AFTER_ID),
}
_b: Final = report_blocks.c
_t: Final = report_terms.c
_p: Final = participations.c


class ReportQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What a list is about.

    `workspaces` are the few that it is limited to, None where there is no such limit. `narrowed`
    says that only what the user of `reach` sees counts, which is in more than few workspaces.
    `names` are the filters that are left, `values` the parameters of all of them. `terms` are those
    that a report must have, each for a filter; `any_of` those of which it must have one.
    """

    reach: Reach
    workspaces: tuple[int, ...] | None
    narrowed: bool
    names: tuple[str, ...]
    values: Mapping[str, Any]
    terms: tuple[int, ...]
    any_of: tuple[int, ...] | None

    @property
    def times(self) -> tuple[str, ...]:
        """The filters by a time."""
        return tuple(name for name in self.names if name in TIME_FILTERS)


def ask(tx: Transaction, query: Query, reach: Reach, version: Version) -> ReportQuery:
    """What `query` is about, for who sees what is within `reach`."""
    values: dict[str, Any] = {"reach_account": reach.account_id, "reach_user": reach.user_id}
    for one in query.filters:
        values[one.name] = one.value
    names = tuple([_name(one) for one in query.filters if one.name != "workspace_id"])
    named: tuple[int, ...] | None = values.get("workspace_id")
    workspaces = named
    if reach.user_id is not None:
        key = ("reach", reach, version.reshaped, named)
        statement = _REACH_OF_NAMED if named is not None else _REACH
        workspaces = tx.remembered(
            key, lambda: tuple([row[0] for row in tx.rows(statement, values)])
        )
    narrowed = workspaces is not None and len(workspaces) > FEW
    any_of: tuple[str, ...] | None = values.get(REFS)
    return ReportQuery(
        reach=reach,
        workspaces=None if narrowed else workspaces,
        narrowed=narrowed,
        names=names,
        values=values,
        terms=tuple(_terms(values)),
        any_of=None
        if any_of is None
        else tuple(sorted(tally.term("service_model_ref", ref) for ref in any_of)),
    )


def _name(one: Filter) -> str:
    """The name of a filter; that there are no references is another one than that there are."""
    return HAS_NOT if one.name == _HAS and one.value is False else one.name


def _terms(values: Mapping[str, Any]) -> list[int]:
    found = [
        tally.term(name, values[_PREFIX + name])
        for name in REFERENCE_ATTRIBUTES
        if _PREFIX + name in values
    ]
    if values.get(_HAS) is True and not found:
        found.append(tally.REFERENCED)
    return found


Ids: TypeAlias = "array.array[int]"


class Found(NamedTuple):
    """What counting found.

    `matching` reports do match, of `total` in the account; `by_time` says that few are of the time
    that is asked for, whoever sees them. `ids` are those that match, ascending, where it met them.
    """

    matching: int
    total: int
    by_time: bool
    ids: "Ids | None" = None


def rows(tx: Transaction, query: Query, asked: ReportQuery, found: Found) -> list[Row]:
    """The rows of the page that `query` asks for."""
    window, sort = query.window, query.sort
    if found.matching <= window.offset:
        return []
    gathers = _gathers(found.matching, found.total, window.offset + window.limit)
    values = {**asked.values, "limit": window.limit, "offset": window.offset}
    if found.ids is not None and sort.name == "id":
        ids = found.ids[::-1] if sort.descending else found.ids
        some = tuple(ids[window.offset : window.offset + window.limit])
        return with_ids(tx, some, asked.values, sort, narrowed=False)
    if _is_dense(asked, found, window.offset + window.limit):
        statement = walk_statement(asked.names, sort, narrowed=True)
    elif asked.workspaces is not None:
        values |= _lists(asked.workspaces, window.offset + window.limit)
        statement = merge_statement(_size(asked.workspaces), asked.names, sort)
    elif asked.any_of is not None:
        values["terms"] = asked.any_of
        statement = any_term_statement(asked.names, sort, narrowed=asked.narrowed)
    elif asked.terms and (sort.name == "id" or gathers):
        values["term"] = rarest(tx, asked)
        statement = term_statement(asked.names, sort, narrowed=asked.narrowed)
    elif not asked.names and not asked.narrowed and window.offset > _NEAR:
        values |= _place(tx, asked, sort, window.offset)
        statement = seek_statement(sort)
    elif gathers and (asked.narrowed or asked.times):
        statement = gather_statement(
            asked.names, sort, narrowed=asked.narrowed, by_time=found.by_time
        )
    else:
        statement = _through(asked, asked.names, sort)
    return tx.rows(statement, values)


def with_ids(
    tx: Transaction, ids: tuple[int, ...], values: Mapping[str, Any], sort: Sort, *, narrowed: bool
) -> list[Row]:
    """The rows of the reports with `ids`, in order; with `narrowed` of those that the user sees."""
    wanted, only = asked_by_id(ids)
    values = {**values, **only}
    if tx.has_rowids:
        found = tx.rows(rowid_statement(sort, wanted, narrowed=narrowed), values)
        if len(found) == len(ids):
            return found
    statement = page_statement(Kind.STATUS_REPORTS, (), sort, wanted, narrowed=narrowed)
    return tx.rows(statement, values)


def rows_after(tx: Transaction, asked: ReportQuery, after_id: int, number: int) -> list[Row]:
    """The first `number` rows that match, by id, of those with a larger id."""
    names, by_id, narrowed = (*asked.names, AFTER_ID), Sort(), asked.narrowed
    values = {**asked.values, AFTER_ID: after_id, "limit": number, "offset": 0}
    if asked.workspaces is not None:
        values |= _lists(asked.workspaces, number)
        statement = merge_statement(_size(asked.workspaces), names, by_id)
    elif asked.any_of is not None:
        values["terms"] = asked.any_of
        statement = any_term_statement(names, by_id, narrowed=narrowed)
    elif asked.terms:
        values["term"] = rarest(tx, asked)
        statement = term_statement(names, by_id, narrowed=narrowed)
    else:
        statement = _through(asked, names, by_id)
    return tx.rows(statement, values)


def _through(asked: ReportQuery, names: tuple[str, ...], sort: Sort) -> Statement:
    """How to go through the account, or what a user sees in many workspaces of it."""
    go = blocks_statement if asked.times and sort.name == "id" else walk_statement
    return go(names, sort, narrowed=asked.narrowed)


def rarest(tx: Transaction, asked: ReportQuery) -> int:
    """Of the terms that a report must have, the one that the fewest have."""
    if len(asked.terms) == 1:
        return asked.terms[0]
    values = {"reach_account": asked.reach.account_id, "terms": asked.terms}
    known = {row[0]: row[1] for row in tx.rows(_TERM_COUNTS, values)}
    return min(asked.terms, key=lambda term: known.get(term, 0))


def _gathers(count: int, total: int, end: int) -> bool:
    """Whether to fetch all that match and sort them is less than to walk until the page is full."""
    return count * count < end * max(total, 1)


def _is_dense(asked: ReportQuery, found: Found, end: int) -> bool:
    """Whether to walk past what a user does not see is less than to look into each workspace."""
    if asked.workspaces is None or "workspace_id" in asked.values or asked.reach.user_id is None:
        return False
    return _UNEVEN * end * found.total <= found.matching * len(asked.workspaces)


def _size(workspaces: tuple[int, ...]) -> int:
    """The next power of two, so that there are few statements."""
    return 1 << max(len(workspaces) - 1, 0).bit_length()


def _lists(workspaces: tuple[int, ...], end: int) -> dict[str, Any]:
    """The parameters of MERGE for a page that ends at `end`; no workspace has the id 0."""
    padded = workspaces + (0,) * (_size(workspaces) - len(workspaces))
    numbered = {f"workspace_{number}": one for number, one in enumerate(padded)}
    return {"workspaces": workspaces, "end": end, **numbered}


def _order(sort: Sort, column: Any, report_id: Any) -> list[Any]:  # noqa: ANN401  of a table or subquery
    first = column.desc() if sort.descending else column.asc()
    return [first] if sort.name == "id" else [first, report_id.asc()]


def conditions(names: tuple[str, ...], *, hidden: bool = False) -> list[Condition]:
    """What the filters `names` demand.

    With `hidden`, times are written so that no index is used for them.
    """
    found = [
        _hidden(name) if hidden and name in TIME_FILTERS else _FILTERS[name]
        for name in names
        if name in _FILTERS
    ]
    together = [_REPORTS.on_reference[name] for name in names if name in _REPORTS.on_reference]
    return [*found, has_reference(*together)] if together else found


def along(names: tuple[str, ...], sort: Sort) -> list[Condition]:
    """What the filters `names` demand, where reports are gone through in the order of `sort`.

    No index is used for a time, but where it is what they are sorted by.
    """
    own = tuple(name for name in names if TIME_FILTERS.get(name) == sort.name)
    others = tuple(name for name in names if name not in own)
    return [*conditions(own), *conditions(others, hidden=True)]


def unindexed(column: ColumnElement[int]) -> ColumnElement[int]:
    """`column` so that no index on it is used: what it is compared with is looked up."""
    return column + literal_column("0")


def _hidden(name: str) -> Condition:
    moment = unindexed(_s[TIME_FILTERS[name]])
    return moment > bindparam(name) if name.endswith("after") else moment < bindparam(name)


def within(*, narrowed: bool) -> list[Condition]:
    """The report is in the account, and `narrowed` where the user sees it."""
    return [in_account(status_reports), *([_REPORTS.within_reach] if narrowed else [])]


def _window(statement: Select[Any]) -> Select[Any]:
    return statement.limit(bindparam("limit")).offset(bindparam("offset"))


in_reach: Final = and_(
    in_account(participations), _p.user_id == bindparam("reach_user"), shows_reports(participations)
)
_REACH: Final = Statement(
    select(_p.workspace_id)
    .where(in_reach)
    .order_by(_p.workspace_id)
    .limit(literal_column(str(FEW + 1)))
)
_REACH_OF_NAMED: Final = Statement(
    select(_p.workspace_id).where(in_reach, among(_p.workspace_id, "workspace_id"))
)
_TERM_COUNTS: Final = Statement(
    select(report_counts.c.bucket, report_counts.c.reports).where(
        in_account(report_counts),
        report_counts.c.dimension == literal(tally.Dimension.TERM, Integer),
        among(report_counts.c.bucket, "terms"),
    )
)


def _found(inner: Any, sort: Sort) -> Select[Any]:  # noqa: ANN401  a subquery
    """The reports that `inner` has the ids of, in order."""
    # An outer join, though all are there: so `inner` comes first, and not all of the account.
    statement = select(*_REPORTS.columns).join_from(
        inner, status_reports, and_(in_account(status_reports), _s.id == inner.c.id), isouter=True
    )
    return statement.order_by(*_order(sort, _s[sort.name], _s.id))


@lru_cache(maxsize=512)
def merge_statement(size: int, names: tuple[str, ...], sort: Sort) -> Statement:
    """MERGE. Parameters: those of `_lists`, the filters', `limit`, `offset`.

    SQLite merges sorted lists. PostgreSQL does not see that they are sorted, so there no more is
    taken of each than may be on the page.
    """
    place = _place_in_workspace(sort).label("place")
    if size == 1:
        one = select(*_REPORTS.columns).where(*_of_workspace(bindparam("workspace_0"), names, sort))
        return Statement(_window(one.order_by(*_order(sort, _place_in_workspace(sort), _s.id))))
    lists = union_all(
        *(
            select(_s.id, place).where(
                *_of_workspace(bindparam(f"workspace_{number}"), names, sort)
            )
            for number in range(size)
        )
    )
    by = _order(sort, literal_column("place", BigInteger), literal_column("id", BigInteger))
    merged = lists.order_by(*by).limit(bindparam("limit")).offset(bindparam("offset"))
    numbers = func.unnest(bindparam("workspaces", type_=ARRAY(BigInteger)))
    each = numbers.table_valued("id").render_derived("each")
    its = (
        select(_s.id, place)
        .where(*_of_workspace(each.c.id, names, sort))
        .order_by(*_order(sort, _place_in_workspace(sort), _s.id))
        .limit(bindparam("end"))
        .lateral("its")
    )
    first = select(its.c.id).select_from(each.join(its, true()))
    first = _window(first.order_by(*_order(sort, its.c.place, its.c.id)))
    return Statement(
        _found(merged.subquery("found"), sort), postgres=_found(first.subquery("found"), sort)
    )


def _of_workspace(
    workspace_id: ColumnElement[int], names: tuple[str, ...], sort: Sort
) -> list[Condition]:
    by = sort if sort.name == "created_at" else Sort()
    return [in_account(status_reports), _s.workspace_id == workspace_id, *along(names, by)]


def _place_in_workspace(sort: Sort) -> ColumnElement[int]:
    # The reports of a workspace have no index by when they were changed: they are sorted, and not
    # picked from all of the account in that order.
    column: ColumnElement[int] = _s[sort.name]
    return unindexed(column) if sort.name == "updated_at" else column


@lru_cache(maxsize=512)
def term_statement(names: tuple[str, ...], sort: Sort, *, narrowed: bool) -> Statement:
    """TERM. Parameters: `term`, the filters', `limit`, `offset`."""
    statement = with_term(select(*_REPORTS.columns), names, narrowed=narrowed)
    column = _t.report_id if sort.name == "id" else _s[sort.name]
    return Statement(_window(statement.order_by(*_order(sort, column, _t.report_id))))


def with_term(statement: Select[Any], names: tuple[str, ...], *, narrowed: bool) -> Select[Any]:
    """`statement` over the reports that have `term`."""
    return statement.join_from(
        report_terms, status_reports, _s.id == unindexed(_t.report_id)
    ).where(
        in_account(report_terms),
        _t.term == bindparam("term"),
        *([_t.report_id > bindparam(AFTER_ID)] if AFTER_ID in names else []),
        *within(narrowed=narrowed),
        *conditions(_beside_term(names), hidden=True),
    )


def _beside_term(names: tuple[str, ...]) -> tuple[str, ...]:
    """The filters that a term leaves: one by one attribute of a reference it answers by itself."""
    of_reference = [name for name in names if name in (*_REPORTS.on_reference, _HAS)]
    return names if len(of_reference) > 1 else tuple(n for n in names if n not in of_reference)


@lru_cache(maxsize=512)
def any_term_statement(names: tuple[str, ...], sort: Sort, *, narrowed: bool) -> Statement:
    """The reports with one of the `terms`, sorted. Parameters: as for TERM."""
    if names == (REFS,) and sort.name == "id" and not narrowed:
        ids = having_any_term()
        page = _window(select(ids.c.id).order_by(*_order(sort, ids.c.id, ids.c.id)))
        return Statement(_found(page.subquery("page"), sort))
    statement = with_any_term(select(*_REPORTS.columns), names, narrowed=narrowed)
    return Statement(_window(statement.order_by(*_order(sort, _s[sort.name], _s.id))))


def with_any_term(statement: Select[Any], names: tuple[str, ...], *, narrowed: bool) -> Select[Any]:
    """`statement` over the reports that have one of `terms`."""
    found = having_any_term()
    return statement.join_from(found, status_reports, _s.id == found.c.id).where(
        *within(narrowed=narrowed), *conditions(_beside_term(names), hidden=True)
    )


def having_any_term() -> CTE:
    """The ids of the reports that have one of `terms`, each once."""
    ids = select(_t.report_id.label("id")).where(in_account(report_terms), among(_t.term, "terms"))
    return ids.distinct().cte("found").prefix_with("MATERIALIZED")


@lru_cache(maxsize=512)
def gather_statement(
    names: tuple[str, ...], sort: Sort, *, narrowed: bool, by_time: bool
) -> Statement:
    """GATHER. Parameters: the filters', `limit`, `offset`."""
    column = _s[sort.name]
    gathered = (
        gathering(select(_s.id, column.label("place")), names, narrowed=narrowed, by_time=by_time)
        .cte("gathered")
        .prefix_with("MATERIALIZED")
    )
    found = _window(
        select(gathered.c.id).order_by(*_order(sort, gathered.c.place, gathered.c.id))
    ).subquery("found")
    return Statement(_found(found, sort))


def gathering(
    statement: Select[Any], names: tuple[str, ...], *, narrowed: bool, by_time: bool
) -> Select[Any]:
    """`statement` over all that match: those of a time, or in the workspaces that the user sees."""
    if narrowed and by_time:
        return statement.where(*within(narrowed=True), *conditions(names))
    if narrowed:
        statement = statement.join_from(
            participations, status_reports, _s.workspace_id == unindexed(_p.workspace_id)
        ).where(in_reach)
    return statement.where(in_account(status_reports), *conditions(names, hidden=narrowed))


@lru_cache(maxsize=512)
def blocks_statement(names: tuple[str, ...], sort: Sort, *, narrowed: bool) -> Statement:
    """BLOCKS. Parameters: the filters', `limit`, `offset`."""
    small, large = tally.BLOCK_SHIFTS
    ratio = literal_column(str(1 << (large - small)), BigInteger)
    width = literal_column(str(1 << small), BigInteger)
    wide = report_blocks.alias("wide")
    first = (
        select(wide.c.block)
        .where(in_account(wide), wide.c.level == literal(large), *_may_hold(wide, names))
        .order_by(wide.c.block.desc() if sort.descending else wide.c.block.asc())
        .limit(literal_column("1"))
        .scalar_subquery()
    )
    bound = _b.block < (first + 1) * ratio if sort.descending else _b.block >= first * ratio
    statement = (
        select(*_REPORTS.columns)
        .join_from(
            report_blocks,
            status_reports,
            and_(_s.id >= _b.block * width, _s.id < (_b.block + 1) * width),
        )
        .where(
            in_account(report_blocks),
            _b.level == literal(small),
            bound,
            *([(_b.block + 1) * width > bindparam(AFTER_ID)] if AFTER_ID in names else []),
            *_may_hold(report_blocks, names),
            *within(narrowed=narrowed),
            *conditions(names, hidden=True),
        )
    )
    by = [_b.block, _s.id]
    return Statement(
        _window(statement.order_by(*(one.desc() if sort.descending else one.asc() for one in by)))
    )


def _may_hold(blocks: Any, names: tuple[str, ...]) -> list[Condition]:  # noqa: ANN401  the table or an alias
    """The times between which a block lies do not rule out what the filters want."""
    found: list[Condition] = []
    for name in names:
        if name in TIME_FILTERS:
            what, side = name.rsplit("_", 1)
            if side == "after":
                found.append(blocks.c[f"{what}_to"] > bindparam(name))
            else:
                found.append(blocks.c[f"{what}_from"] < bindparam(name))
    return found


@lru_cache(maxsize=512)
def walk_statement(names: tuple[str, ...], sort: Sort, *, narrowed: bool) -> Statement:
    """WALK. Parameters: the filters', `limit`, `offset`."""
    statement = select(*_REPORTS.columns).where(*within(narrowed=narrowed), *along(names, sort))
    return Statement(_window(statement.order_by(*_order(sort, _s[sort.name], _s.id))))


@lru_cache
def seek_statement(sort: Sort) -> Statement:
    """SEEK. Parameters: `edge` of the place where the page begins, `limit`, `offset` from it."""
    column = _s[sort.name]
    behind = column < bindparam("edge") if sort.descending else column >= bindparam("edge")
    statement = select(*_REPORTS.columns).where(in_account(status_reports), behind)
    return Statement(_window(statement.order_by(*_order(sort, column, _s.id))))


def _place(tx: Transaction, asked: ReportQuery, sort: Sort, offset: int) -> dict[str, int]:
    """Past which value of the sorted column to begin, and how many rows behind it."""
    shifts = tally.BLOCK_SHIFTS if sort.name == "id" else tally.TIME_SHIFTS
    low, high = 0, 0
    values = {"reach_account": asked.reach.account_id}
    for shift in reversed(shifts):
        bounds = {} if shift == shifts[-1] else {"low": low >> shift, "high": high >> shift}
        for bucket, reports in tx.rows(
            stretches_statement(sort, shift, bounded=bool(bounds)), values | bounds
        ):
            if offset < reports:
                low, high = bucket << shift, (bucket + 1) << shift
                break
            offset -= reports
    return {"edge": high if sort.descending else low, "offset": offset}


@lru_cache
def stretches_statement(sort: Sort, shift: int, *, bounded: bool) -> Statement:
    """How many reports there are in each stretch, in order; `bounded` from `low` to `high`."""
    statement = stretches(sort.name, shift)
    bucket = next(iter(statement.selected_columns))
    if bounded:
        statement = statement.where(bucket >= bindparam("low"), bucket < bindparam("high"))
    return Statement(statement.order_by(bucket.desc() if sort.descending else bucket.asc()))


def stretches(name: str, shift: int) -> Select[Any]:
    """The number of each stretch of the column `name` in the account, and its reports."""
    if name == "id":
        return select(_b.block, _b.reports).where(
            in_account(report_blocks), _b.level == literal(shift)
        )
    counts = report_counts.c
    return select(counts.bucket, counts.reports).where(
        in_account(report_counts), counts.dimension == literal(tally.OF_TIME[name, shift], Integer)
    )
