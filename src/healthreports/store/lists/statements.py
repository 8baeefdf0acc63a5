"""Statements of lists, for every kind: the rows of a page, how many match, what stands beside.

A statement depends on the shape of a query (which filters, which order) and never on its values, so
each is written once and kept.
"""

from enum import StrEnum, auto
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
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
    in_account,
    is_found,
    refers,
)


class Rows(StrEnum):
    """Which of the matching rows a page takes."""

    WINDOW = auto()
    ONE = auto()
    SOME = auto()


def asked_by_id(ids: tuple[int, ...]) -> tuple[Rows, dict[str, Any]]:
    """Which rows those with `ids` are, and the parameter for them: one is looked up by itself."""
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
    """The rows of a page. `names` are the filters, `narrowed` to the workspaces of one user.

    Records are gone through in the order that is asked for until the page is full, unless
    `finding`: then those of a filter, or of the user's workspaces, are found and sorted.
    Parameters: those of the filters, `reach_account`, `reach_user` when narrowed, `limit` and
    `offset` for a WINDOW, the id `only` for ONE, the tuple of ids `only` for SOME.
    """
    selection = SELECTIONS[kind]
    statement = matching(
        select(*selection.columns),
        selection,
        names,
        narrowed=narrowed,
        finding=finding,
        along=None if finding or rows is not Rows.WINDOW else _column(selection, sort),
    )
    if rows is Rows.ONE:
        return Statement(statement.where(selection.table.c.id == bindparam("only")))
    statement = statement.order_by(
        *_order(selection, sort, selection.table.c.id, indexed=not finding)
    )
    if rows is Rows.SOME:
        return Statement(statement.where(among(selection.table.c.id, "only")))
    return Statement(statement.limit(bindparam("limit")).offset(bindparam("offset")))


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
    if is_nullable:  # what has no value is the least, on both databases
        order = order.nulls_last() if sort.descending else order.nulls_first()
    return [order] if sort.name == "id" else [order, record_id.asc()]


@lru_cache(maxsize=256)
def rowid_statement(sort: Sort, rows: Rows, *, narrowed: bool) -> Statement:
    """The status reports with the ids `only`, of those whose rowid is their id.

    SQLite finds a row by its key in two steps, first its rowid in an index: in a large account
    that is twice as many pages. `store/reports/reports` gives a new row its id as rowid, but it is
    no more than a place to look first: a file of before, or a VACUUM, may have others.
    Parameters: as for `page_statement`.
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
    return Statement(matching(counted, selection, names, narrowed=narrowed, finding=True))


@lru_cache
def by_ids_statement(kind: Kind) -> Statement:
    """The records of the account with the `ids`."""
    selection = SELECTIONS[kind]
    return Statement(
        select(*selection.columns).where(
            in_account(selection.table), among(selection.table.c.id, "ids")
        )
    )


@lru_cache
def beside_statement(kind: Kind, name: str, *, narrowed: bool) -> Statement:
    """The owner's id and the record, for each record that stands beside one of the `owners`.

    In no order: asked for one, a planner reads the whole account in that order to find them.

    `narrowed` to what the user `reach_user` sees, but for people: who takes part in something that
    is seen is seen there.
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
    """How many records `beside_statement` finds, up to `most`."""
    found = beside_statement(kind, name, narrowed=narrowed).clause
    assert isinstance(found, Select)
    # A person stands there once, however often it is referred to (2.6).
    target = SELECTIONS[kind].associations[name].kind  # type: ignore[union-attr]  # as above
    one: Select[Any] = (
        found.with_only_columns(SELECTIONS[target].table.c.id.label("one")).distinct()
        if target is Kind.USERS
        else found.with_only_columns(literal_column("1").label("one"))
    )
    some = one.limit(bindparam("most")).subquery("some")
    return Statement(select(func.count()).select_from(some))


def matching(
    statement: Select[Any],
    selection: Selection[Record],
    names: tuple[str, ...],
    *,
    narrowed: bool,
    finding: bool,
    along: ColumnElement[Any] | None = None,
) -> Select[Any]:
    """`statement` narrowed to what is in the account and matches the filters `names`.

    Where it goes `along` a column in order, each filter is asked row by row.
    """
    statement = statement.where(in_account(selection.table))
    by_reach = narrowed and finding and selection.reached is not None
    if selection.reached is not None and by_reach:
        statement = statement.where(selection.reached)
    if narrowed:
        statement = statement.where(selection.within_reach)
    asked = [selection.filters[name] for name in names if name in selection.filters]
    together = [selection.on_reference[name] for name in names if name in selection.on_reference]
    if together and selection.refers_as is not None:
        found = refers(selection.table.c.id, selection.refers_as, *together)
        by_index = any(is_found(name, None) for name in names)
        asked.append(found if by_index else found.walking)
    row_by_row = along is not None or by_reach
    return statement.where(*(_condition(one, along, row_by_row=row_by_row) for one in asked))


def _condition(
    one: Condition | Found, along: ColumnElement[Any] | None, *, row_by_row: bool
) -> Condition:
    if not isinstance(one, Found):
        return one
    is_in_order = along is not None and along is one.column
    return one.walking if row_by_row and not is_in_order else one.finding
