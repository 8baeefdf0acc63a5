"""The current state of each workspace: its newest report, and the color of the report before it.

It is stored in `current_reports` in the transaction of each change, so that a portfolio need not
look it up in every workspace. For a time in the past, it is computed from the reports.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    and_,
    bindparam,
    case,
    delete,
    literal_column,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import Insert, insert

from healthreports.core.model import StatusReport
from healthreports.core.vocabulary import Category, Side
from healthreports.store.engine.database import Transaction
from healthreports.store.engine.statement import Statement, among
from healthreports.store.lists.overdue import overdue_at
from healthreports.store.lists.selections import REPORTS, in_account
from healthreports.store.schema.tables import (
    accounts,
    color_column,
    current_reports,
    participations,
    report_versions,
    status_reports,
    workspaces,
)

CATEGORY_COLORS: Final = tuple(color_column(category) for category in Category)


Columns = Mapping[str, ColumnElement[Any]]
# The name of the parameter with the time, in a query about the past.
_MOMENT: Final = "as_of"


def standing(*, as_of: bool, lateral: bool, narrowed: bool = False) -> tuple[FromClause, Columns]:
    """The FROM clause and columns of each workspace's state; same columns as `current_reports`.

    With `as_of`, the columns are of the report that was current at that time. It is looked up from
    the end of an index, workspace by workspace. On PostgreSQL this is a `lateral` join, which
    SQLite does not have. If `narrowed` to a user, the reports of workspaces in which that user is
    on the client side have their present colors, since a client may not see earlier versions
    (core/access, `SEE_VERSIONS`).
    """
    if not as_of:
        return current_reports, {column.name: column for column in current_reports.columns}
    report, is_newest = _found(as_of=True, lateral=lateral)
    return workspaces.outerjoin(report, is_newest), _columns(report, as_of=True, narrowed=narrowed)


def existed(kept: Columns) -> ColumnElement[bool]:
    """The workspace existed at the time `as_of`: it was created by then, or had a report."""
    was_made = workspaces.c.created_at <= bindparam(_MOMENT, type_=BigInteger)
    return or_(was_made, kept["report_id"].is_not(None))


def _found(*, as_of: bool, lateral: bool) -> tuple[FromClause, ColumnElement[bool]]:
    """The newest report of a workspace, and the condition that joins it to the workspace."""
    moment = _MOMENT if as_of else None
    if lateral:
        wanted = (status_reports.c[name] for name in ("id", "created_at", "updated_at", "color"))
        colors = (status_reports.c[name] for name in CATEGORY_COLORS)
        newest = _newest_of(status_reports, select(*wanted, *colors), 0, moment)
        return newest.lateral("newest"), true()
    sought = status_reports.alias("newest_0")
    newest_id = _newest_of(sought, select(sought.c.id), 0, moment).scalar_subquery()
    return status_reports, and_(in_account(status_reports), status_reports.c.id == newest_id)


def color_at(moment: str, *, narrowed: bool) -> ColumnElement[Any]:
    """The color of the row's workspace at the time in the parameter `moment`, or null."""
    report = status_reports.alias("newest_then")
    said = select(_said(report, "color", moment, narrowed=narrowed))
    return _newest_of(report, said, 0, moment).scalar_subquery()


def _columns(
    report: FromClause, *, as_of: bool, narrowed: bool = False
) -> dict[str, ColumnElement[Any]]:
    """The columns of `current_reports`, computed from `report`; with `as_of`, as of that time."""
    moment = _MOMENT if as_of else None
    before = status_reports.alias("newest_1")
    said_before = select(_said(before, "color", moment, narrowed=narrowed))
    previous = _newest_of(before, said_before, 1, moment)
    return {
        "account_id": workspaces.c.account_id,
        "workspace_id": workspaces.c.id,
        "archived": workspaces.c.archived,
        "report_id": report.c.id,
        "created_at": report.c.created_at,
        "updated_at": report.c.updated_at,
        "color": _said(report, "color", moment, narrowed=narrowed),
        "previous_color": previous.scalar_subquery(),
        **{name: _said(report, name, moment, narrowed=narrowed) for name in CATEGORY_COLORS},
        "overdue_at": overdue_at(report.c.created_at),
        "due_date": workspaces.c.due_date,
    }


def _said(
    report: FromClause, name: str, moment: str | None, *, narrowed: bool
) -> ColumnElement[Any]:
    """The color `name` of a report at `moment`: from a version if it was changed since (8.3)."""
    if moment is None:
        return report.c[name]
    at = bindparam(moment, type_=BigInteger)
    of_then = (
        in_account(report_versions),
        report_versions.c.report_id == report.c.id,
        report_versions.c.created_at <= at,
    )
    then = (
        select(report_versions.c[name])
        .where(*of_then)
        .order_by(report_versions.c.number.desc())
        .limit(literal_column("1"))
        .correlate(report)
        .scalar_subquery()
    )
    # A report that was changed before versions were stored has no version from that time.
    has_then = select(literal_column("1")).where(*of_then).correlate(report).exists()
    changed_since = [report.c.updated_at > at, has_then]
    if narrowed:
        is_client: Select[Any] = select(literal_column("1")).where(
            in_account(participations),
            participations.c.workspace_id == workspaces.c.id,
            participations.c.user_id == bindparam("reach_user", type_=BigInteger),
            participations.c.side == literal_column(f"'{Side.CLIENT}'"),
        )
        changed_since.append(not_(is_client.correlate(workspaces).exists()))
    return case((and_(*changed_since), then), else_=report.c[name])


def _newest_of(
    reports: FromClause, wanted: Select[Any], skipped: int, moment: str | None
) -> Select[Any]:
    """`wanted` of the newest report of the workspace, after skipping the first `skipped`."""
    found = wanted.where(in_account(reports), reports.c.workspace_id == workspaces.c.id)
    if moment is not None:
        found = found.where(reports.c.created_at <= bindparam(moment, type_=BigInteger))
    return (
        found.order_by(reports.c.created_at.desc(), reports.c.id.desc())
        .limit(literal_column("1"))
        .offset(literal_column(str(skipped)))
        .correlate(workspaces)
    )


_COLUMNS: Final = tuple(column.name for column in current_reports.columns)


def _truth(*conditions: ColumnElement[bool], lateral: bool) -> Select[Any]:
    report, is_newest = _found(as_of=False, lateral=lateral)
    found = _columns(report, as_of=False)
    return (
        select(*(found[name] for name in _COLUMNS))
        .join_from(workspaces, report, is_newest, isouter=True)
        .where(in_account(workspaces), *conditions)
    )


def _refresh(*, lateral: bool) -> Insert:
    this = workspaces.c.id == bindparam("of_workspace", type_=BigInteger)
    made = insert(current_reports).from_select(_COLUMNS, _truth(this, lateral=lateral))
    kept = [column.name for column in current_reports.columns if not column.primary_key]
    return made.on_conflict_do_update(
        index_elements=list(current_reports.primary_key),
        set_={name: made.excluded[name] for name in kept},
    )


def _fill(*, lateral: bool) -> Insert:
    return insert(current_reports).from_select(_COLUMNS, _truth(lateral=lateral))


_REFRESH: Final = Statement(_refresh(lateral=False), postgres=_refresh(lateral=True))
_ACCOUNTS: Final = Statement(select(accounts.c.id).order_by(accounts.c.id))
_FORGET_ALL: Final = Statement(delete(current_reports).where(in_account(current_reports)))
_FILL: Final = Statement(_fill(lateral=False), postgres=_fill(lateral=True))
_TRUE: Final = Statement(_truth(lateral=False), postgres=_truth(lateral=True))
_DROP: Final = Statement(
    delete(current_reports).where(
        in_account(current_reports), current_reports.c.workspace_id == bindparam("of_workspace")
    )
)
_REPORT_IDS: Final = Statement(
    select(current_reports.c.report_id).where(
        in_account(current_reports),
        among(current_reports.c.workspace_id, "workspace_ids"),
        current_reports.c.report_id.is_not(None),
    )
)
_REPORTS: Final = Statement(
    select(*REPORTS.columns).where(in_account(status_reports), among(status_reports.c.id, "ids"))
)
_KEPT: Final = Statement(select(current_reports).where(in_account(current_reports)))


def note(tx: Transaction, account_id: int, workspace_ids: Collection[int]) -> None:
    """Update the stored state of these workspaces, which changed or whose reports changed."""
    tx.run_each(
        _REFRESH,
        [
            {"reach_account": account_id, "of_workspace": workspace_id}
            for workspace_id in sorted(workspace_ids)
        ],
    )


def drop(tx: Transaction, account_id: int, workspace_id: int) -> None:
    """Delete the stored state of a workspace that is deleted."""
    tx.rows(_DROP, {"reach_account": account_id, "of_workspace": workspace_id})


def report_ids(tx: Transaction, account_id: int, workspace_ids: Collection[int]) -> list[int]:
    """The ids of the current reports of these workspaces, as stored."""
    values = {"reach_account": account_id, "workspace_ids": tuple(sorted(workspace_ids))}
    return [row[0] for row in tx.rows(_REPORT_IDS, values)]


def reports(tx: Transaction, account_id: int, ids: Collection[int]) -> dict[int, StatusReport]:
    """The reports with these ids, by id."""
    if not ids:
        return {}
    rows = tx.rows(_REPORTS, {"reach_account": account_id, "ids": tuple(sorted(ids))})
    return {row[0]: REPORTS.read(row) for row in rows}


def rebuild(tx: Transaction) -> None:
    """Compute all of `current_reports` again. Nobody may write at the same time."""
    for (account_id,) in tx.rows(_ACCOUNTS, {}):
        tx.rows(_FORGET_ALL, {"reach_account": account_id})
        tx.rows(_FILL, {"reach_account": account_id})


def differences(tx: Transaction) -> Iterator[str]:
    """A line for each workspace whose stored state differs from its reports."""
    for (account_id,) in tx.rows(_ACCOUNTS, {}):
        true, kept = (
            {row[:2]: row[2:] for row in tx.rows(statement, {"reach_account": account_id})}
            for statement in (_TRUE, _KEPT)
        )
        for key in sorted(true.keys() | kept.keys()):
            if true.get(key) != kept.get(key):
                yield f"current_reports {key}: {kept.get(key)} stored, {true.get(key)} expected"
