"""Drafts: reports that were begun in the web pages and are not published yet."""

from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import bindparam, delete, func, literal_column, select
from sqlalchemy.dialects.postgresql import insert

from healthreports.core.model import Instant
from healthreports.store.engine.database import Row, Transaction
from healthreports.store.engine.statement import Statement
from healthreports.store.schema.tables import drafts

_table: Final = drafts.c
_OF_ACCOUNT: Final = _table.account_id == bindparam("of_account")
_OF_USER: Final = (_OF_ACCOUNT, _table.user_id == bindparam("of_user"))
_OF_KEY: Final = (
    *_OF_USER,
    _table.workspace_id == bindparam("of_workspace"),
    _table.report_id == bindparam("of_report"),
)
_COLUMNS: Final = (_table.workspace_id, _table.report_id, _table.fields, _table.updated_at)
_FIND: Final = Statement(select(*_COLUMNS).where(*_OF_KEY))
_ALL: Final = Statement(
    select(*_COLUMNS)
    .where(*_OF_USER)
    .order_by(_table.updated_at.desc(), _table.workspace_id, _table.report_id)
)
_COUNT: Final = Statement(select(func.count()).select_from(drafts).where(*_OF_USER))
_put: Final = insert(drafts)
_PUT: Final = Statement(
    _put.on_conflict_do_update(
        index_elements=[_table.account_id, _table.user_id, _table.workspace_id, _table.report_id],
        set_={"fields": _put.excluded.fields, "updated_at": _put.excluded.updated_at},
    ),
    ["account_id", "user_id", "workspace_id", "report_id", "fields", "updated_at"],
)
_DELETE: Final = Statement(delete(drafts).where(*_OF_KEY))
_DELETE_OF_USER: Final = Statement(delete(drafts).where(*_OF_USER))
_DELETE_OF_WORKSPACE: Final = Statement(
    delete(drafts).where(
        drafts.c.account_id == bindparam("of_account"),
        drafts.c.workspace_id == bindparam("of_workspace"),
    )
)
_DELETE_OF_REPORT: Final = Statement(
    delete(drafts).where(_OF_ACCOUNT, _table.report_id == bindparam("of_report"))
)
_EXPIRED: Final = (_OF_ACCOUNT, _table.updated_at <= bindparam("until"))
_HAS_EXPIRED: Final = Statement(select(literal_column("1")).where(*_EXPIRED).limit(1))
_DELETE_EXPIRED: Final = Statement(delete(drafts).where(*_EXPIRED))
# The report id of a draft for a new report; no report has this id.
_NEW: Final = 0


class Draft(NamedTuple):
    """The fields of a form as they were typed. `report_id` is None for a new report."""

    workspace_id: int
    report_id: int | None
    fields: dict[str, str]
    updated_at: Instant


def find(
    tx: Transaction, account_id: int, user_id: int, workspace_id: int, report_id: int | None
) -> Draft | None:
    """The user's draft for a report of a workspace, or None."""
    row = tx.row(_FIND, _key(account_id, user_id, workspace_id, report_id))
    return None if row is None else _read(row)


def all_of(tx: Transaction, account_id: int, user_id: int) -> list[Draft]:
    """All drafts of a user, the newest first."""
    return list(map(_read, tx.rows(_ALL, {"of_account": account_id, "of_user": user_id})))


def count(tx: Transaction, account_id: int, user_id: int) -> int:
    """The number of drafts of a user."""
    [[found]] = tx.rows(_COUNT, {"of_account": account_id, "of_user": user_id})
    return int(found)


def put(tx: Transaction, account_id: int, user_id: int, draft: Draft) -> None:
    """Store a draft; replaces an earlier draft for the same report."""
    values = {
        "account_id": account_id,
        "user_id": user_id,
        "workspace_id": draft.workspace_id,
        "report_id": draft.report_id or _NEW,
        "fields": msgspec.json.encode(draft.fields).decode(),
        "updated_at": draft.updated_at,
    }
    tx.rows(_PUT, values)


def drop(
    tx: Transaction, account_id: int, user_id: int, workspace_id: int, report_id: int | None
) -> None:
    """Delete the user's draft for a report of a workspace, if it exists."""
    tx.rows(_DELETE, _key(account_id, user_id, workspace_id, report_id))


def drop_of_user(tx: Transaction, account_id: int, user_id: int) -> None:
    """Delete all drafts of a user."""
    tx.rows(_DELETE_OF_USER, {"of_account": account_id, "of_user": user_id})


def drop_of_report(tx: Transaction, account_id: int, report_id: int) -> None:
    """Delete all users' drafts for a report."""
    tx.rows(_DELETE_OF_REPORT, {"of_account": account_id, "of_report": report_id})


def drop_of_workspace(tx: Transaction, account_id: int, workspace_id: int) -> None:
    """Delete all users' drafts in a workspace."""
    tx.rows(_DELETE_OF_WORKSPACE, {"of_account": account_id, "of_workspace": workspace_id})


def has_expired(tx: Transaction, account_id: int, until: Instant) -> bool:
    """Whether an account has drafts that were last changed at `until` or before."""
    return tx.row(_HAS_EXPIRED, {"of_account": account_id, "until": until}) is not None


def drop_expired(tx: Transaction, account_id: int, until: Instant) -> None:
    """Delete the drafts of an account that were last changed at `until` or before."""
    tx.rows(_DELETE_EXPIRED, {"of_account": account_id, "until": until})


def _key(account_id: int, user_id: int, workspace_id: int, report_id: int | None) -> dict[str, Any]:
    return {
        "of_account": account_id,
        "of_user": user_id,
        "of_workspace": workspace_id,
        "of_report": report_id or _NEW,
    }


def _read(row: Row) -> Draft:
    workspace_id, report_id, fields, updated_at = row
    said = msgspec.json.decode(fields, type=dict[str, str])
    return Draft(workspace_id, report_id or None, said, Instant(updated_at))
