"""The trash: deleted reports with their references, until they are purged (8.4)."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import and_, bindparam, exists, func, literal_column, or_, select

from healthreports.core.model import DeletedReport, ExternalReference, Instant, StatusReport
from healthreports.core.vocabulary import ParticipationPermission, Purged, Side
from healthreports.store.engine.database import Row, Transaction
from healthreports.store.engine.statement import Statement, deletion, insertion, one_row
from healthreports.store.lists.selections import REPORTS, shows_reports
from healthreports.store.reports import versions
from healthreports.store.reports.contents import contents_of
from healthreports.store.schema.tables import (
    deleted_reports,
    participations,
    purges,
    workspaces,
)

_table: Final = deleted_reports.c
_OF_REPORT: Final = tuple(_table[column.name] for column in REPORTS.columns)
_COLUMNS: Final = (*_OF_REPORT, _table.deleter_id, _table.deleted_at)
_read_references: Final = msgspec.json.Decoder(list[ExternalReference]).decode
_write: Final = msgspec.json.Encoder().encode

_INSERT: Final = insertion(deleted_reports)
_DELETE: Final = deletion(deleted_reports)
_FIND: Final = Statement(
    select(*_COLUMNS).where(
        _table.account_id == bindparam("of_account"), _table.id == bindparam("row_id")
    )
)
_REFERENCES: Final = Statement(
    select(_table.external_references).where(
        _table.account_id == bindparam("of_account"), _table.id == bindparam("row_id")
    )
)
_own: Final = participations.alias("own")
_OWN: Final = and_(
    _own.c.account_id == _table.account_id,
    _own.c.workspace_id == _table.workspace_id,
    _own.c.user_id == bindparam("reach_user"),
)
# The users who could delete a report: the admins of the workspace, and the author of the report, if
# the author still sees it (`core/access`).
_COULD_DELETE: Final = exists().where(
    _OWN,
    or_(
        and_(
            _own.c.side == Side.PROVIDER.value,
            _own.c.permission == ParticipationPermission.ADMIN.value,
        ),
        and_(_table.creator_id == bindparam("reach_user"), shows_reports(_own)),
    ),
)
_IS_ARCHIVED: Final = exists().where(
    workspaces.c.account_id == _table.account_id,
    workspaces.c.id == _table.workspace_id,
    workspaces.c.archived == literal_column("1"),
)
_OF_ACCOUNT: Final = _table.account_id == bindparam("of_account")
_IN_WORKSPACE: Final = _table.workspace_id == bindparam("of_workspace")
_NEWEST_FIRST: Final = (_table.deleted_at.desc(), _table.id.desc())
_UNTIL: Final = (_OF_ACCOUNT, _table.deleted_at <= bindparam("until"))
_OLDEST: Final = Statement(
    select(*_COLUMNS)
    .where(*_UNTIL)
    .order_by(_table.deleted_at, _table.id)
    .limit(literal_column("100"))
)
_HAS_OLD: Final = Statement(select(literal_column("1")).where(*_UNTIL).limit(1))
_INSERT_PURGE: Final = insertion(purges)
_WAS_PURGED: Final = Statement(
    select(literal_column("1")).where(
        purges.c.account_id == bindparam("of_account"),
        purges.c.kind == bindparam("of_kind"),
        purges.c.record_id == bindparam("row_id"),
    )
)
_PURGES: Final = Statement(
    select(purges.c.kind, purges.c.record_id, purges.c.purged_at)
    .where(purges.c.account_id == bindparam("of_account"))
    .order_by(purges.c.kind, purges.c.record_id)
)


def _lists(*columns: Any) -> dict[tuple[bool, bool], Any]:  # noqa: ANN401  as SQLAlchemy has it
    """The SELECTs of an account's trash, by whether they are for a user, and of one workspace."""
    return {
        (is_narrowed, is_of_workspace): select(*columns).where(
            _OF_ACCOUNT,
            *((_COULD_DELETE, ~_IS_ARCHIVED) if is_narrowed else ()),
            *((_IN_WORKSPACE,) if is_of_workspace else ()),
        )
        for is_narrowed in (False, True)
        for is_of_workspace in (False, True)
    }


_PAGES: Final = {
    which: Statement(
        one.order_by(*_NEWEST_FIRST).limit(bindparam("rows")).offset(bindparam("skipped"))
    )
    for which, one in _lists(*_COLUMNS).items()
}
_COUNTS: Final = {which: Statement(one) for which, one in _lists(func.count()).items()}


def put(
    tx: Transaction,
    report: StatusReport,
    references: Sequence[ExternalReference],
    deleter_id: int,
    now: Instant,
) -> None:
    """Store a report that is deleted now, with its references."""
    values = msgspec.structs.asdict(report) | contents_of(report)
    del values["details"]
    values |= {
        "deleter_id": deleter_id,
        "deleted_at": now,
        "external_references": _write(references).decode(),
    }
    tx.rows(_INSERT, values)


def find(tx: Transaction, account_id: int, report_id: int) -> DeletedReport | None:
    """The deleted report with this id, or None."""
    row = tx.row(_FIND, {"of_account": account_id, "row_id": report_id})
    return None if row is None else _read(row)


def page(  # noqa: PLR0917  the account, the filters and the page
    tx: Transaction,
    account_id: int,
    user_id: int | None,
    workspace_id: int | None,
    offset: int,
    limit: int,
) -> tuple[list[DeletedReport], int]:
    """A page of the deleted reports of an account, the last deleted first, and their total number.

    With a `user_id`, only the reports that this user could delete; with a `workspace_id`, only the
    reports of this workspace.
    """
    which = user_id is not None, workspace_id is not None
    values = {"of_account": account_id}
    if user_id is not None:
        values |= {"reach_account": account_id, "reach_user": user_id}
    if workspace_id is not None:
        values["of_workspace"] = workspace_id
    [[count]] = tx.rows(_COUNTS[which], values)
    rows = tx.rows(_PAGES[which], {**values, "rows": limit, "skipped": offset})
    return list(map(_read, rows)), int(count)


def take_out(tx: Transaction, report: DeletedReport) -> list[ExternalReference]:
    """Remove a report from the trash. Returns its references."""
    [[text]] = tx.rows(_REFERENCES, one_row(report))
    tx.rows(_DELETE, one_row(report))
    return _read_references(text)


def purge(tx: Transaction, report: DeletedReport, now: Instant) -> None:
    """Delete a report and its versions permanently, and store that it was purged."""
    tx.rows(_DELETE, one_row(report))
    versions.forget(tx, report)
    note_purge(tx, report.account_id, Purged.STATUS_REPORT, report.id, now)


def drop(tx: Transaction, report: DeletedReport) -> None:
    """Delete a report and its versions, when the whole workspace is deleted."""
    tx.rows(_DELETE, one_row(report))
    versions.forget(tx, report)


def note_purge(
    tx: Transaction, account_id: int, kind: Purged, record_id: int, now: Instant
) -> None:
    """Store that a record was purged, so that a restored backup does not bring it back."""
    key = {"of_account": account_id, "of_kind": kind, "row_id": record_id}
    if tx.row(_WAS_PURGED, key) is None:
        values = {"account_id": account_id, "kind": kind, "record_id": record_id}
        tx.rows(_INSERT_PURGE, {**values, "purged_at": now})


def purged(tx: Transaction, account_id: int) -> list[tuple[Purged, int, Instant]]:
    """Everything that was ever purged from an account: the kind, the id and the time of each."""
    rows = tx.rows(_PURGES, {"of_account": account_id})
    return [(Purged(kind), record_id, Instant(at)) for kind, record_id, at in rows]


def has_older(tx: Transaction, account_id: int, until: Instant) -> bool:
    """Whether an account has reports that were deleted at `until` or before."""
    return tx.row(_HAS_OLD, {"of_account": account_id, "until": until}) is not None


def oldest(tx: Transaction, account_id: int, until: Instant) -> list[DeletedReport]:
    """At most 100 reports of an account that were deleted at `until` or before, oldest first."""
    return list(map(_read, tx.rows(_OLDEST, {"of_account": account_id, "until": until})))


def _read(row: Row) -> DeletedReport:
    *of_report, deleter_id, deleted_at = row
    report = msgspec.structs.asdict(REPORTS.read(tuple(of_report)))
    return DeletedReport(**report, deleter_id=deleter_id, deleted_at=deleted_at)
