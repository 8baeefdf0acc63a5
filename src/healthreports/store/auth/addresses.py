"""Changes of e-mail addresses that users asked for, until the link sent there is opened."""

from typing import Final, NamedTuple

from sqlalchemy import bindparam, delete, select, update

from healthreports.core.model import Instant
from healthreports.store.engine.database import Transaction
from healthreports.store.engine.statement import Statement, insertion
from healthreports.store.schema.tables import address_changes

_COLUMNS: Final = (
    address_changes.c.account_id,
    address_changes.c.user_id,
    address_changes.c.email_address,
    address_changes.c.secret_hash.is_(None),
    address_changes.c.created_at,
    address_changes.c.expires_at,
)
_OF_USER: Final = Statement(
    select(*_COLUMNS).where(address_changes.c.user_id == bindparam("of_user"))
)
_BY_SECRET: Final = Statement(
    select(*_COLUMNS).where(address_changes.c.secret_hash == bindparam("secret_hash"))
)
_OF_ACCOUNT: Final = Statement(
    select(*_COLUMNS)
    .where(
        address_changes.c.account_id == bindparam("of_account"),
        address_changes.c.expires_at > bindparam("now"),
    )
    .order_by(address_changes.c.id)
    .limit(bindparam("most"))
)
_INSERT: Final = insertion(address_changes)
_SEND: Final = Statement(
    update(address_changes)
    .where(address_changes.c.user_id == bindparam("of_user"))
    .values(secret_hash=bindparam("new_hash"), expires_at=bindparam("until"))
)
_DELETE: Final = Statement(
    delete(address_changes).where(address_changes.c.user_id == bindparam("of_user"))
)


class AddressChange(NamedTuple):
    """A new address that a user asks for. It `waits` until the link is sent to the address."""

    account_id: int
    user_id: int
    email_address: str
    waits: bool
    created_at: Instant
    expires_at: Instant


def put(tx: Transaction, wanted: AddressChange, secret_hash: str | None) -> None:
    """Store the change that a user asks for; replaces an earlier one."""
    remove(tx, wanted.user_id)
    values = wanted._asdict()
    del values["waits"]
    tx.rows(_INSERT, {**values, "secret_hash": secret_hash})


def send(tx: Transaction, user_id: int, secret_hash: str, expires_at: Instant) -> None:
    """Store the hash of the secret in the link that is sent to the new address of a user."""
    tx.rows(_SEND, {"of_user": user_id, "new_hash": secret_hash, "until": expires_at})


def remove(tx: Transaction, user_id: int) -> None:
    """Delete the change that a user asked for."""
    tx.rows(_DELETE, {"of_user": user_id})


def of_user(tx: Transaction, user_id: int) -> AddressChange | None:
    """The change that a user asked for."""
    row = tx.row(_OF_USER, {"of_user": user_id})
    return None if row is None else AddressChange(*row)


def by_secret(tx: Transaction, secret_hash: str) -> AddressChange | None:
    """The change whose link has the secret with this hash."""
    row = tx.row(_BY_SECRET, {"secret_hash": secret_hash})
    return None if row is None else AddressChange(*row)


def of_account(tx: Transaction, account_id: int, now: Instant, most: int) -> list[AddressChange]:
    """At most `most` changes that users of an account asked for, the oldest first."""
    found = tx.rows(_OF_ACCOUNT, {"of_account": account_id, "now": now, "most": most})
    return [AddressChange(*row) for row in found]
