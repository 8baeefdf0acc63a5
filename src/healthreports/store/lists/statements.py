"""Statements of lists, for every kind: the rows of a page, the count, and associated records.

A statement depends on the shape of a query (which filters, which order) and never on its values, so
each is built once and cached.
"""

from collections.abc import Callable
from enum import StrEnum, auto
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    Text,
    bindparam,
    func,
    literal_column,
    select,
)

from healthreports.core.model import Record
from healthreports.core.query import Sort
from healthreports.core.vocabulary import (
    Kind,
)
from healthreports.store.engine.statement import Statement, among, unindexed, unindexed_text
from healthreports.store.lists.selections import (
    SELECTIONS,
    Beside,
    Condition,
    Found,
    Selection,
    Worded,
    in_account,
    is_found,
    refers,
    walking,
)
from healthreports.store.lists.words import begin_with


class Rows(StrEnum):
    """Which of the matching rows are on a page: a window, one id, or several ids."""

    WINDOW = auto()
    ONE = auto()
    SOME = auto()


def asked_by_id(ids: tuple[int, ...]) -> tuple[Rows, dict[str, Any]]:
    """The kind of rows for `ids`, and the parameter with them. One id has its own statement."""
    return (Rows.ONE, {"only": ids[0]}) if len(ids) == 1 else (Rows.SOME, {"only": ids})


@lru_cache(maxsize=256)
def page_statement(
    kind: Kind,
    names: tuple[str, ...],
    sort: Sort,
    rows: Rows,
    *,
    narrowed: bool,
    finding: bool = False,
) -> Statement:
    """The rows of a page. `names` are the filters, `narrowed` means limited to what one user sees.

    Records are read in the requested order until the page is full. With `finding`, the records that
    match a filter, or that are in the user's workspaces, are found first and then sorted.
    Parameters: those of the filters, `reach_account`, `reach_user` when narrowed, `limit` and
    `offset` for a WINDOW, the id `only` for ONE, the tuple of ids `only` for SOME.
    """
    selection = SELECTIONS[kind]
    record_id = selection.table.c.id

    def write(origin: FromClause | None) -> Select[Any]:
        statement = _matching(
            select(*selection.columns),
            selection,
            names,
            origin,
            narrowed=narrowed,
            finding=finding,
            along=None if finding or rows is not Rows.WINDOW else _column(selection, sort),
        )
        if rows is Rows.ONE:
            return statement.where(record_id == bindparam("only"))
        statement = statement.order_by(*_order(selection, sort, record_id, indexed=not finding))
        if rows is Rows.SOME:
            return statement.where(among(record_id, "only"))
        return statement.limit(bindparam("limit")).offset(bindparam("offset"))

    by_reach = _is_by_reach(selection, narrowed=narrowed, finding=finding)
    here, there = written(selection, names, write, finding=finding and not by_reach)
    return Statement(here, postgres=there)


def _column(selection: Selection[Record], sort: Sort) -> ColumnElement[Any]:
    return selection.sorts[sort.name]


def _order(
    selection: Selection[Record],
    sort: Sort,
    record_id: ColumnElement[Any],
    *,
    indexed: bool = True,
) -> list[ColumnElement[Any]]:
    column = record_id if sort.name == "id" else _column(selection, sort)
    is_nullable = getattr(column, "nullable", False)
    if not indexed:
        hidden = unindexed_text if isinstance(column.type, Text) else unindexed
        column = hidden(column)
    order: ColumnElement[Any] = column.desc() if sort.descending else column.asc()
    if is_nullable:  # on both databases null sorts before every value
        order = order.nulls_last() if sort.descending else order.nulls_first()
    return [order] if sort.name == "id" else [order, record_id.asc()]


@lru_cache(maxsize=256)
def rowid_statement(sort: Sort, rows: Rows, *, narrowed: bool) -> Statement:
    """The status reports with the ids `only` whose rowid is their id.

    SQLite finds a row by its key in two steps, the first of which finds the rowid in an index. In a
    large account that reads twice as many pages. `store/reports/reports` gives a new row its id as
    rowid. This is only tried first, since rows of an older file, or rows after a VACUUM, may have
    other rowids. Parameters: as for `page_statement`.
    """
    selection = SELECTIONS[Kind.STATUS_REPORTS]
    table = selection.table
    rowid = literal_column(f"{table.name}.rowid", BigInteger)
    statement = select(*selection.columns).where(
        table.c.id == rowid,
        unindexed(table.c.account_id) == bindparam("reach_account"),
    )
    if narrowed:
        statement = statement.where(selection.within_reach)
    if rows is Rows.ONE:
        statement = statement.where(rowid == bindparam("only"))
    else:
        statement = statement.where(among(rowid, "only")).order_by(*_order(selection, sort, rowid))
    plain = page_statement(Kind.STATUS_REPORTS, (), sort, rows, narrowed=narrowed)
    return Statement(statement, postgres=plain.postgres)


@lru_cache(maxsize=256)
def count_statement(kind: Kind, names: tuple[str, ...], *, narrowed: bool) -> Statement:
    """How many records match. Parameters: as for `page_statement`, without the window."""
    selection = SELECTIONS[kind]
    counted = select(func.count()).select_from(selection.table)

    def write(origin: FromClause | None) -> Select[Any]:
        return _matching(counted, selection, names, origin, narrowed=narrowed, finding=True)

    by_reach = _is_by_reach(selection, narrowed=narrowed, finding=True)
    here, there = written(selection, names, write, finding=not by_reach)
    return Statement(here, postgres=there)


@lru_cache
def by_ids_statement(kind: Kind) -> Statement:
    """The records of the account with these `ids`."""
    selection = SELECTIONS[kind]
    return Statement(
        select(*selection.columns).where(
            in_account(selection.table), among(selection.table.c.id, "ids")
        )
    )


@lru_cache
def beside_statement(kind: Kind, name: str, *, narrowed: bool) -> Statement:
    """The owner's id and the record, for each record associated with one of the `owners`.

    There is no ORDER BY: with one, a query planner may read the whole account in that order to find
    the records.

    If `narrowed`, only records that the user `reach_user` sees, except for people: a user who sees
    a record also sees the people who take part in it.
    """
    beside = SELECTIONS[kind].associations[name]
    assert isinstance(beside, Beside)
    target = SELECTIONS[beside.kind]
    statement = (
        select(beside.owner, *target.columns)
        .select_from(beside.origin)
        .where(in_account(beside.owner.table), beside.condition, among(beside.owner, "owners"))
    )
    if narrowed and beside.kind is not Kind.USERS:
        statement = statement.where(target.within_reach)
    return Statement(statement)


@lru_cache
def beside_count_statement(kind: Kind, name: str, *, narrowed: bool) -> Statement:
    """The number of records that `beside_statement` finds, up to `most`."""
    found = beside_statement(kind, name, narrowed=narrowed).clause
    assert isinstance(found, Select)
    # A person is included once, however many records refer to that person (2.6).
    target = SELECTIONS[kind].associations[name].kind  # type: ignore[union-attr]  # as above
    one: Select[Any] = (
        found.with_only_columns(SELECTIONS[target].table.c.id.label("one")).distinct()
        if target is Kind.USERS
        else found.with_only_columns(literal_column("1").label("one"))
    )
    some = one.limit(bindparam("most")).subquery("some")
    return Statement(select(func.count()).select_from(some))


def written(
    selection: Selection[Record],
    names: tuple[str, ...],
    write: Callable[[FromClause | None], Select[Any]],
    *,
    finding: bool,
) -> tuple[Select[Any], Select[Any] | None]:
    """The statement that `write` builds, and another one for PostgreSQL or None.

    With `finding`, if one of the filters `names` is for words, the statement starts with the
    records that have these words. Then PostgreSQL has its own statement. Otherwise the statement
    starts with the table, and both databases have the same one.
    """
    worded = _first_worded(selection, names) if finding else None
    if worded is None:
        return write(None), None
    name, (scope, record_id, _) = worded
    here, there = begin_with(record_id, scope, name)
    return write(here), write(there)


def _first_worded(
    selection: Selection[Record], names: tuple[str, ...]
) -> tuple[str, Worded] | None:
    filters = ((name, selection.filters.get(name)) for name in names)
    return next(((name, one) for name, one in filters if isinstance(one, Worded)), None)


def _matching(
    statement: Select[Any],
    selection: Selection[Record],
    names: tuple[str, ...],
    origin: FromClause | None,
    *,
    narrowed: bool,
    finding: bool,
    along: ColumnElement[Any] | None = None,
) -> Select[Any]:
    """`statement` limited to the account and to records that match the filters `names`.

    `origin` is what `written` passes to `write`. `along` is the column in whose order the rows are
    read, if any: a filter on that column uses its index, all other filters are tested row by row.
    """
    statement = statement.where(in_account(selection.table))
    by_reach = _is_by_reach(selection, narrowed=narrowed, finding=finding)
    if by_reach and selection.reached is not None:
        statement = statement.where(selection.reached)
    if narrowed:
        statement = statement.where(selection.within_reach)
    asked = {name: selection.filters[name] for name in names if name in selection.filters}
    if origin is not None:
        statement = statement.select_from(origin)
        name, first = _first_worded(selection, names) or ("", None)
        assert first is not None  # otherwise `origin` would be None
        statement = statement.where(*first.others)
        del asked[name]
    together = [selection.on_reference[name] for name in names if name in selection.on_reference]
    conditions = [
        _condition(name, one, along, row_by_row=by_reach or not finding)
        for name, one in asked.items()
    ]
    if together and selection.refers_as is not None:
        found = refers(selection.table.c.id, selection.refers_as, *together)
        by_index = any(is_found(name, None) for name in names)
        conditions.append(found.finding if by_index and finding and not by_reach else found.walking)
    return statement.where(*conditions)


def _is_by_reach(selection: Selection[Record], *, narrowed: bool, finding: bool) -> bool:
    """Whether the records in the user's workspaces are found first."""
    return narrowed and finding and selection.reached is not None


def _condition(
    name: str,
    one: Condition | Found | Worded,
    along: ColumnElement[Any] | None,
    *,
    row_by_row: bool,
) -> Condition:
    is_in_order = isinstance(one, Found) and along is not None and along is one.column
    if isinstance(one, Found) and (is_in_order or not row_by_row):
        return one.finding
    return walking(name, one)
