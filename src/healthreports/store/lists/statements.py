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
from healthreports.store.engine.statement import Statement, among, unindexed
from healthreports.store.lists.selections import (
    SELECTIONS,
    Beside,
    Selection,
    has_reference,
    in_account,
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
    kind: Kind, names: tuple[str, ...], sort: Sort, rows: Rows, *, narrowed: bool
) -> Statement:
    """The rows of a page. `names` are the filters, `narrowed` to the workspaces of one user.

    Parameters: those of the filters, `reach_account`, `reach_user` when narrowed, `limit` and
    `offset` for a WINDOW, the id `only` for ONE, the tuple of ids `only` for SOME.
    """
    selection = SELECTIONS[kind]
    statement = matching(select(*selection.columns), selection, names, narrowed=narrowed)
    if rows is Rows.ONE:
        return Statement(statement.where(selection.table.c.id == bindparam("only")))
    statement = statement.order_by(*_order(selection, sort, selection.table.c.id))
    if rows is Rows.SOME:
        return Statement(statement.where(among(selection.table.c.id, "only")))
    return Statement(statement.limit(bindparam("limit")).offset(bindparam("offset")))


def _order(
    selection: Selection[Record], sort: Sort, record_id: ColumnElement[Any]
) -> list[ColumnElement[Any]]:
    column = record_id if sort.name == "id" else selection.sorts[sort.name]
    order: ColumnElement[Any] = column.desc() if sort.descending else column.asc()
    if getattr(column, "nullable", False):  # what has no value is the least, on both databases
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
    return Statement(matching(counted, selection, names, narrowed=narrowed))


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
    one: Select[Any] = found.with_only_columns(literal_column("1").label("one"))
    some = one.limit(bindparam("most")).subquery("some")
    return Statement(select(func.count()).select_from(some))


def matching(
    statement: Select[Any], selection: Selection[Record], names: tuple[str, ...], *, narrowed: bool
) -> Select[Any]:
    """`statement` narrowed to what is in the account and matches the filters `names`."""
    statement = statement.where(in_account(selection.table))
    if narrowed:
        statement = statement.where(selection.within_reach)
    statement = statement.where(*(selection.filters[n] for n in names if n in selection.filters))
    together = [selection.on_reference[name] for name in names if name in selection.on_reference]
    if not together or selection.refers_as is None:
        return statement
    subject = selection.table.c.id
    return statement.where(
        has_reference(*together, subject=subject, subject_type=selection.refers_as)
    )
