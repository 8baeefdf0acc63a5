"""The current report of each workspace: the newest, with the color of the one before it.

Kept in `current_reports` in the transaction of each change, so that a portfolio need not look for
it in every workspace; looked for where the question is how things stood at some time.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    ScalarSelect,
    and_,
    bindparam,
    delete,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import insert

from healthreports.core.vocabulary import Category
from healthreports.store import people
from healthreports.store.database import Transaction
from healthreports.store.schema import color_column, current_reports, status_reports, workspaces
from healthreports.store.select import in_account
from healthreports.store.statement import compiled

CATEGORY_COLORS: Final = tuple(color_column(category) for category in Category)


Columns = Mapping[str, ColumnElement[Any]]


def beside(origin: FromClause, *, as_of: bool = False) -> tuple[FromClause, Columns]:
    """The workspaces of `origin`, each with its current report if it has one; the report's columns.

    They are those of `current_reports`; with `as_of` they are of what was current at that time,
    sought from the end of an index, workspace by workspace.
    """
    if not as_of:
        is_it = and_(in_account(current_reports), current_reports.c.workspace_id == workspaces.c.id)
        kept = {column.name: column for column in current_reports.columns}
        return origin.outerjoin(current_reports, is_it), kept
    return origin.outerjoin(status_reports, _is_newest(as_of=True)), _sought(as_of=True)


def _is_newest(*, as_of: bool) -> ColumnElement[bool]:
    return and_(in_account(status_reports), status_reports.c.id == _newest("id", 0, as_of=as_of))


def _sought(*, as_of: bool) -> dict[str, ColumnElement[Any]]:
    """The columns of `current_reports`, of the report itself."""
    return {
        "account_id": workspaces.c.account_id,
        "workspace_id": workspaces.c.id,
        "report_id": status_reports.c.id,
        "created_at": status_reports.c.created_at,
        "color": status_reports.c.color,
        "previous_color": _newest("color", 1, as_of=as_of),
        **{name: status_reports.c[name] for name in CATEGORY_COLORS},
    }


def _newest(column: str, skipped: int, *, as_of: bool) -> ScalarSelect[Any]:
    """A column of the newest report of the workspace but `skipped`, or null."""
    report = status_reports.alias(f"newest_{skipped}")
    found = select(report.c[column]).where(
        in_account(report), report.c.workspace_id == workspaces.c.id
    )
    if as_of:
        found = found.where(report.c.created_at <= bindparam("as_of", type_=BigInteger))
    return (
        found.order_by(report.c.created_at.desc(), report.c.id.desc())
        .limit(literal_column("1"))
        .offset(literal_column(str(skipped)))
        .correlate(workspaces)
        .scalar_subquery()
    )


_COLUMNS: Final = tuple(column.name for column in current_reports.columns)


_TRUTH: Final = (
    select(*_sought(as_of=False).values())
    .join_from(workspaces, status_reports, _is_newest(as_of=False))
    .where(in_account(workspaces))
)
_made: Final = insert(current_reports).from_select(
    _COLUMNS, _TRUTH.where(workspaces.c.id == bindparam("of_workspace", type_=BigInteger))
)
_REFRESH: Final = compiled(
    _made.on_conflict_do_update(
        index_elements=list(current_reports.primary_key),
        set_={
            name: _made.excluded[name]
            for name in _COLUMNS
            if not current_reports.c[name].primary_key
        },
    )
)
_FORGET: Final = compiled(
    delete(current_reports).where(
        in_account(current_reports),
        current_reports.c.workspace_id == bindparam("of_workspace", type_=BigInteger),
    )
)
_FORGET_ALL: Final = compiled(delete(current_reports).where(in_account(current_reports)))
_FILL: Final = compiled(insert(current_reports).from_select(_COLUMNS, _TRUTH))
_TRUE: Final = compiled(_TRUTH)
_KEPT: Final = compiled(select(current_reports).where(in_account(current_reports)))


def note(
    tx: Transaction, account_id: int, workspace_ids: Collection[int], *, gone: bool = False
) -> None:
    """Note that reports of these workspaces have changed; maybe one is `gone`."""
    each = [
        {"reach_account": account_id, "of_workspace": workspace_id}
        for workspace_id in sorted(workspace_ids)
    ]
    if gone:  # it may have been the only one
        tx.run_each(_FORGET, each)
    tx.run_each(_REFRESH, each)


def rebuild(tx: Transaction) -> None:
    """Look for all of them anew. While it does, nobody may write."""
    for account_id, _ in people.accounts_by_id(tx):
        tx.rows(_FORGET_ALL, {"reach_account": account_id})
        tx.rows(_FILL, {"reach_account": account_id})


def differences(tx: Transaction) -> Iterator[str]:
    """Where what is kept is not what is there: a line for each."""
    for account_id, _ in people.accounts_by_id(tx):
        true, kept = (
            {row[:2]: row[2:] for row in tx.rows(statement, {"reach_account": account_id})}
            for statement in (_TRUE, _KEPT)
        )
        for key in sorted(true.keys() | kept.keys()):
            if true.get(key) != kept.get(key):
                yield f"current_reports {key}: {kept.get(key)} kept, {true.get(key)} there"
