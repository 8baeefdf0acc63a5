"""Invitations, with which a user sets a first or new credential."""

from typing import Final, NamedTuple

from sqlalchemy import bindparam, delete, select, update

from healthreports.core.model import Instant
from healthreports.store.engine.database import Row, Transaction
from healthreports.store.engine.statement import Statement, insertion
from healthreports.store.schema.tables import invitations

_COLUMNS: Final = (
    invitations.c.id,
    invitations.c.account_id,
    invitations.c.user_id,
    invitations.c.inviter_id,
    invitations.c.confirmer_id,
    invitations.c.secret_hash.is_(None),
    invitations.c.created_at,
    invitations.c.expires_at,
)
_BY_SECRET: Final = Statement(
    select(*_COLUMNS).where(invitations.c.secret_hash == bindparam("secret_hash"))
)
_OF_USER: Final = Statement(select(*_COLUMNS).where(invitations.c.user_id == bindparam("of_user")))
_WAITING: Final = Statement(
    select(*_COLUMNS)
    .where(
        invitations.c.account_id == bindparam("of_account"),
        invitations.c.secret_hash.is_(None),
        invitations.c.expires_at > bindparam("now"),
    )
    .order_by(invitations.c.id)
    .limit(bindparam("most"))
)
_INSERT: Final = insertion(invitations)
_CONFIRM: Final = Statement(
    update(invitations)
    .where(invitations.c.user_id == bindparam("of_user"))
    .values(
        confirmer_id=bindparam("by"),
        secret_hash=bindparam("new_hash"),
        expires_at=bindparam("until"),
    )
)
_DELETE: Final = Statement(delete(invitations).where(invitations.c.user_id == bindparam("of_user")))


class Invitation(NamedTuple):
    """One invitation, without its secret."""

    id: int
    account_id: int
    user_id: int
    inviter_id: int | None  # None: the command line
    confirmer_id: int | None  # None: nobody confirmed it
    waits: bool  # for confirmation
    created_at: Instant
    expires_at: Instant


def by_secret(tx: Transaction, secret_hash: str) -> Invitation | None:
    """The invitation whose secret has this hash."""
    return _read(tx.row(_BY_SECRET, {"secret_hash": secret_hash}))


def of_user(tx: Transaction, user_id: int) -> Invitation | None:
    """The last invitation of a user."""
    return _read(tx.row(_OF_USER, {"of_user": user_id}))


def waiting(tx: Transaction, account_id: int, now: Instant, most: int) -> list[Invitation]:
    """At most `most` invitations of an account that wait for confirmation, the oldest first."""
    rows = tx.rows(_WAITING, {"of_account": account_id, "now": now, "most": most})
    return [Invitation(*row) for row in rows]


def insert(  # noqa: PLR0917  one row
    tx: Transaction,
    account_id: int,
    user_id: int,
    inviter_id: int | None,
    secret_hash: str | None,
    now: Instant,
    expires_at: Instant,
) -> None:
    """Store an invitation; replaces the user's last one. Without a hash, it waits."""
    remove(tx, user_id)
    values = {
        "account_id": account_id,
        "user_id": user_id,
        "inviter_id": inviter_id,
        "confirmer_id": None,
        "secret_hash": secret_hash,
    }
    tx.rows(_INSERT, {**values, "created_at": now, "expires_at": expires_at})


def confirm(
    tx: Transaction, user_id: int, confirmer_id: int, secret_hash: str, expires_at: Instant
) -> None:
    """Confirm a user's invitation: store the confirmer, the hash of its secret, and its expiry."""
    values = {"by": confirmer_id, "new_hash": secret_hash, "until": expires_at}
    tx.rows(_CONFIRM, {"of_user": user_id, **values})


def remove(tx: Transaction, user_id: int) -> None:
    """Delete a user's invitation, if there is one."""
    tx.rows(_DELETE, {"of_user": user_id})


def _read(row: Row | None) -> Invitation | None:
    return None if row is None else Invitation(*row)
