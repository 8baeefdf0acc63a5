"""The audit log: written in the transaction that makes the change; read, and verified."""

import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from healthreports.core.audit import SALT_BYTES, By, Head, faults, sealed
from healthreports.core.model import Actor, AuditEvent, Instant, Value
from healthreports.core.query import Page, Window
from healthreports.core.vocabulary import DAY_US, AuditAction, Kind
from healthreports.service.lookup import demand_administrator
from healthreports.store.auth import audit
from healthreports.store.engine.database import Transaction
from healthreports.store.people import accounts

_PARTS: Final = 3


def note(  # noqa: PLR0917  the action, its subject, and the values
    tx: Transaction,
    account_id: int,
    action: AuditAction,
    subject_id: int | None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    *,
    by: By | None = None,
) -> None:
    """Add an entry to the audit log of an account. The actor is `by`, or the transaction's.

    If both `before` and `after` are given, only the values that differ are stored.
    """
    who = by or tx.by
    if not isinstance(who, By):  # no actor is known: the server itself acts
        who = By.server(Instant(time.time_ns() // 1_000))
    head = audit.head(tx, account_id)
    if before is not None and after is not None:
        names = [name for name in after if before.get(name) != after[name]]
        before, after = ({name: of.get(name) for name in names} for of in (before, after))
    event = AuditEvent(
        id=head.number + 1,
        account_id=account_id,
        created_at=who.now,
        action=action,
        subject_id=subject_id,
        user_id=who.user_id,
        through=who.through,
        through_id=who.through_id,
        address=who.address,
        before=_plain(before),
        after=_plain(after),
    )
    salts = [secrets.token_bytes(SALT_BYTES) for _ in range(_PARTS)]
    audit.append(tx, sealed(event, head.hash, salts))


def _plain(values: Mapping[str, Any] | None) -> dict[str, Value] | None:
    """The values as JSON types; an instant stays a number of microseconds."""
    if values is None:
        return None
    return {name: _value(value) for name, value in values.items()}


def _value(value: Any) -> Value:  # noqa: ANN401  any attribute's value
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return str(value)
    return " ".join(sorted(map(str, value)))


def page(tx: Transaction, actor: Actor, filters: dict[str, Any], window: Window) -> Page:
    """Entries of the account that match `filters`, newest first. Raises Forbidden.

    The filter `before_id` is a cursor: only older entries are returned. The count ignores it.
    """
    demand_administrator(actor)
    wanted = dict(filters)
    before_id = wanted.pop("before_id", None)
    if "subject_type" in wanted:
        of_kind = tuple(one for one in AuditAction if one.subject == wanted["subject_type"])
        wanted["subject_type"] = of_kind
    found = audit.page(tx, actor.account_id, wanted, before_id, window.limit, window.offset)
    count = audit.count(tx, actor.account_id, wanted)
    return Page(Kind.AUDIT_EVENTS, tuple(found), count, window, {})


# Actions that users should recognise as their own.
_OF_CREDENTIALS: Final = tuple(
    one
    for one in AuditAction
    if one.subject in ("session", "password", "invitation", "token", "grant", "application")
)
_RECENT: Final = 10


def of_own_credentials(tx: Transaction, actor: Actor) -> list[AuditEvent]:
    """The last sign-ins of `actor`, and the last changes to the credentials of `actor`."""
    account_id, own = actor.account_id, {"subject_type": _OF_CREDENTIALS}
    by_it = audit.page(tx, account_id, own | {"user_id": actor.user_id}, None, _RECENT)
    # By others: an invitation from an administrator, a password set on the command line, a wrong
    # password.
    of_person = {"session.refused", "password.changed", "invitation.created"}
    to_it = audit.page(
        tx,
        account_id,
        {"subject_type": tuple(of_person), "subject_id": actor.user_id},
        None,
        _RECENT,
    )
    found = {one.id: one for one in (*by_it, *to_it)}
    return [found[one] for one in sorted(found, reverse=True)[:_RECENT]]


def pieces(tx: Transaction, account_id: int) -> Iterator[list[AuditEvent]]:
    """All entries of an account in order, in lists of up to 1,000."""
    last = 0
    while found := audit.all_after(tx, account_id, last):
        yield [one.event for one in found]
        last = found[-1].event.id


def head(tx: Transaction, account_id: int) -> Head:
    """The last entry of an account."""
    return audit.head(tx, account_id)


def verify(tx: Transaction, account_id: int, kept: Head | None = None) -> Iterator[str]:
    """Find changes to the audit log of an account after it was written, one line for each.

    `kept` is a head that was stored elsewhere: the entries up to it must still be there.
    """
    last = Head()
    while entries := audit.all_after(tx, account_id, last.number):
        for entry in entries:
            yield from faults(entry, last)
            last = Head(entry.event.id, entry.hash)
            if kept is not None and last.number == kept.number and last.hash != kept.hash:
                yield f"entry {last.number} does not match the head that was noted"
    if kept is not None and last.number < kept.number:
        yield f"the entries {last.number + 1} to {kept.number} are missing"


def every_account(tx: Transaction) -> list[tuple[int, str]]:
    """The id and the name of each account."""
    return [(account_id, name) for account_id, name, _ in accounts.accounts_by_id(tx)]


def forget_person(tx: Transaction, account_id: int, user_id: int) -> None:
    """Remove a person's data from the audit log; the hashes stay, and the chain still verifies."""
    audit.forget_person(tx, account_id, user_id)


def has_older(tx: Transaction, account_id: int, now: Instant, days: int) -> bool:
    """Whether an account has entries older than `days` days whose contents are not removed yet."""
    return audit.has_older(tx, account_id, Instant(now - days * DAY_US))


def empty_older(tx: Transaction, account_id: int, now: Instant, days: int) -> None:
    """Remove the contents of some entries that are older than `days` days."""
    audit.empty_older(tx, account_id, Instant(now - days * DAY_US))
    accounts.touch(tx, account_id)
