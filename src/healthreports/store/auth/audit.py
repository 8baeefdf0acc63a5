"""The entries of the audit log. Entries are appended, and their contents may be removed later.

They are never changed in any other way.
"""

from functools import lru_cache
from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, func, literal_column, null, select, update

from healthreports.core.audit import Head, Seal, Sealed
from healthreports.core.model import AuditEvent, Instant, Values
from healthreports.core.vocabulary import MAX_ID, AuditAction, Through
from healthreports.store.engine.database import Row, Transaction
from healthreports.store.engine.statement import Statement, among, insertion
from healthreports.store.schema.tables import audit_events

_table: Final = audit_events.c
_OF_ACCOUNT: Final = _table.account_id == bindparam("of_account")
_COLUMNS: Final = tuple(audit_events.columns)
_NAMES: Final = tuple(one.name for one in _COLUMNS)
_INSERT: Final = insertion(audit_events)
_HEAD: Final = Statement(
    select(_table.number, _table.hash)
    .where(_OF_ACCOUNT)
    .order_by(_table.number.desc())
    .limit(literal_column("1"))
)
_AFTER: Final = Statement(
    select(*_COLUMNS)
    .where(_OF_ACCOUNT, _table.number > bindparam("after"))
    .order_by(_table.number)
    .limit(literal_column("1000"))
)
# The filters of a list: the name of each, and its condition.
FILTERS: Final = {
    "action": _table.action == bindparam("action"),
    "user_id": _table.user_id == bindparam("user_id"),
    "subject_type": among(_table.action, "subject_type"),
    "subject_id": _table.subject_id == bindparam("subject_id"),
    "created_after": _table.created_at > bindparam("created_after"),
    "created_before": _table.created_at < bindparam("created_before"),
}
_NO_WHAT: Final = {one: null() for one in (_table.action, _table.subject_id, _table.what_salt)}
_NO_WHO: Final = {
    one: null()
    for one in (
        _table.user_id,
        _table.through,
        _table.through_id,
        _table.address,
        _table.who_salt,
    )
}
_NO_CHANGES: Final = {one: null() for one in (_table.before, _table.after, _table.changes_salt)}
_FORGET_WHO: Final = Statement(
    update(audit_events).where(_OF_ACCOUNT, _table.user_id == bindparam("of_user")).values(_NO_WHO)
)
_FORGET_CHANGES: Final = Statement(
    update(audit_events)
    .where(
        _OF_ACCOUNT,
        _table.action.in_(
            [literal_column(f"'{one}'") for one in AuditAction if one.subject == "user"]
        ),
        _table.subject_id == bindparam("of_user"),
    )
    .values(_NO_CHANGES)
)
_OLD: Final = (
    _OF_ACCOUNT,
    _table.created_at <= bindparam("until"),
    _table.action.is_not(None),
)
_HAS_OLD: Final = Statement(select(literal_column("1")).where(*_OLD).limit(literal_column("1")))
_SOME_OLD: Final = Statement(
    select(_table.number).where(*_OLD).order_by(_table.created_at).limit(literal_column("1000"))
)
_EMPTY: Final = Statement(
    update(audit_events)
    .where(_OF_ACCOUNT, _table.number == bindparam("of_number"))
    .values(_NO_WHAT | _NO_WHO | _NO_CHANGES)
)


def head(tx: Transaction, account_id: int) -> Head:
    """The last entry of an account."""
    row = tx.row(_HEAD, {"of_account": account_id})
    return Head() if row is None else Head(row[0], bytes(row[1]))


def append(tx: Transaction, entry: Sealed) -> None:
    """Add an entry after the last one."""
    event = entry.event
    tx.rows(
        _INSERT,
        {
            "account_id": event.account_id,
            "number": event.id,
            "created_at": event.created_at,
            "action": event.action,
            "subject_id": event.subject_id,
            "what_salt": entry.what.salt,
            "what_hash": entry.what.hash,
            "user_id": event.user_id,
            "through": event.through,
            "through_id": event.through_id,
            "address": event.address,
            "who_salt": entry.who.salt,
            "who_hash": entry.who.hash,
            "before": _text(event.before),
            "after": _text(event.after),
            "changes_salt": entry.changes.salt,
            "changes_hash": entry.changes.hash,
            "hash": entry.hash,
        },
    )


def page(  # noqa: PLR0917  the account, the filters and the page
    tx: Transaction,
    account_id: int,
    filters: dict[str, Any],
    before_id: int | None,
    limit: int,
    skipped: int = 0,
) -> list[AuditEvent]:
    """The entries that match all `filters` (`FILTERS`) with ids below `before_id`, newest first.

    The value of the filter `subject_type` is a tuple of all actions on that kind of object.
    """
    values = {"of_account": account_id, "before": before_id or MAX_ID, **filters}
    values |= {"rows": limit, "skipped": skipped}
    return [_read(row).event for row in tx.rows(_page_statement(tuple(filters)), values)]


def count(tx: Transaction, account_id: int, filters: dict[str, Any]) -> int:
    """How many entries match all `filters`."""
    if not filters:  # the numbers have no gaps
        return head(tx, account_id).number
    [[number]] = tx.rows(_count_statement(tuple(filters)), {"of_account": account_id, **filters})
    return int(number)


def all_after(tx: Transaction, account_id: int, number: int) -> list[Sealed]:
    """The next entries of an account after the one with this number, at most 1,000."""
    rows = tx.rows(_AFTER, {"of_account": account_id, "after": number})
    return list(map(_read, rows))


def forget_person(tx: Transaction, account_id: int, user_id: int) -> None:
    """Remove a user from the entries of their actions, and the changes from entries about them."""
    values = {"of_account": account_id, "of_user": user_id}
    tx.rows(_FORGET_WHO, values)
    tx.rows(_FORGET_CHANGES, values)


def has_older(tx: Transaction, account_id: int, until: Instant) -> bool:
    """Whether an account has entries from `until` or before that still have their contents."""
    return tx.row(_HAS_OLD, {"of_account": account_id, "until": until}) is not None


def empty_older(tx: Transaction, account_id: int, until: Instant) -> None:
    """Remove the contents of at most 1,000 entries from `until` or before."""
    numbers = tx.rows(_SOME_OLD, {"of_account": account_id, "until": until})
    tx.run_each(_EMPTY, [{"of_account": account_id, "of_number": one} for (one,) in numbers])


@lru_cache
def _page_statement(names: tuple[str, ...]) -> Statement:
    return Statement(
        select(*_COLUMNS)
        .where(
            _OF_ACCOUNT,
            _table.number < bindparam("before"),
            *(FILTERS[name] for name in names),
        )
        .order_by(_table.number.desc())
        .limit(bindparam("rows"))
        .offset(bindparam("skipped"))
    )


@lru_cache
def _count_statement(names: tuple[str, ...]) -> Statement:
    return Statement(
        select(func.count())
        .select_from(audit_events)
        .where(_OF_ACCOUNT, *(FILTERS[name] for name in names))
    )


def _text(values: Values | None) -> str | None:
    return None if values is None else msgspec.json.encode(values).decode()


def _values(text: str | None) -> Values | None:
    return None if text is None else msgspec.json.decode(text, type=dict[str, Any])


def _read(row: Row) -> Sealed:
    found = dict(zip(_NAMES, row, strict=True))
    event = AuditEvent(
        id=found["number"],
        account_id=found["account_id"],
        created_at=Instant(found["created_at"]),
        action=None if found["action"] is None else AuditAction(found["action"]),
        subject_id=found["subject_id"],
        user_id=found["user_id"],
        through=None if found["through"] is None else Through(found["through"]),
        through_id=found["through_id"],
        address=found["address"],
        before=_values(found["before"]),
        after=_values(found["after"]),
    )
    what, who, changes = (
        Seal(_bytes(found[f"{name}_salt"]), bytes(found[f"{name}_hash"]))
        for name in ("what", "who", "changes")
    )
    return Sealed(event, what, who, changes, bytes(found["hash"]))


def _bytes(value: Any) -> bytes | None:  # noqa: ANN401  as the driver has it
    return None if value is None else bytes(value)
