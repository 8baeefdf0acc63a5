"""The users of an account and their memberships; finding the user of a token or session."""

from typing import Any, Final

import msgspec
from sqlalchemy import (
    ColumnElement,
    Select,
    Table,
    bindparam,
    delete,
    literal_column,
    select,
    update,
)

from healthreports.core.model import (
    AccountMembership,
    Instant,
    User,
)
from healthreports.core.vocabulary import AccountPermission, Kind
from healthreports.core.words import fold
from healthreports.store.engine.database import Transaction
from healthreports.store.engine.statement import (
    Statement,
    insertion,
    one_row,
    replacement,
)
from healthreports.store.lists import tallies, words
from healthreports.store.lists.selections import MEMBERSHIPS, USERS
from healthreports.store.people.accounts import inserted_id, touch
from healthreports.store.schema.tables import (
    account_memberships,
    participations,
    users,
)

_INSERT_USER: Final = insertion(users)
_INSERT_MEMBERSHIP: Final = insertion(account_memberships)
_REPLACE_MEMBERSHIP: Final = replacement(
    account_memberships, ("permission", "updated_at", "disabled_at")
)
_REPLACE_USER: Final = replacement(
    users,
    ("full_name", "name_key", "email_address", "headline", "photo_path", "updated_at"),
)
_DISABLE_USER: Final = replacement(users, ("disabled",))
_RENAME_PLACES: Final = Statement(
    update(participations).where(
        participations.c.account_id == bindparam("of_account"),
        participations.c.user_id == bindparam("row_id"),
    ),
    ["user_name_key"],
)
_COUNTED: Final = Statement(
    select(users.c.disabled, users.c.created_at, users.c.updated_at).where(
        users.c.id == bindparam("row_id")
    )
)
_PLACES: Final = Statement(
    select(participations.c.workspace_id).where(
        participations.c.account_id == bindparam("of_account"),
        participations.c.user_id == bindparam("of_user"),
    )
)
_MEMBERSHIP: Final = Statement(
    select(*MEMBERSHIPS.columns).where(account_memberships.c.user_id == bindparam("user_id"))
)
_ADMINISTRATORS: Final = Statement(
    select(account_memberships.c.user_id).where(
        account_memberships.c.account_id == bindparam("account_id"),
        account_memberships.c.permission == AccountPermission.ADMINISTRATOR,
        account_memberships.c.disabled_at.is_(None),
    )
)
_USER_BY_EMAIL: Final = Statement(
    select(*USERS.columns).where(
        users.c.email_address == bindparam("email_address"),
        users.c.account_id == bindparam("account_id"),
    )
)
# Callers only need to know whether there are none, one or several.
_USERS_BY_EMAIL: Final = Statement(
    select(*USERS.columns)
    .where(users.c.email_address == bindparam("email_address"))
    .order_by(users.c.account_id)
    .limit(2)
)
_SOME_USERS: Final = Statement(
    select(*USERS.columns)
    .where(users.c.account_id == bindparam("of_account"))
    .limit(literal_column("200"))
)
_DELETE_MEMBERSHIP: Final = Statement(
    delete(account_memberships).where(account_memberships.c.user_id == bindparam("of_user"))
)
_DELETE_USER: Final = Statement(delete(users).where(users.c.id == bindparam("of_user")))
_USER: Final = Statement(select(*USERS.columns).where(users.c.id == bindparam("row_id")))


def actor_by(proof: Table, *columns: ColumnElement[Any]) -> Select[Any]:
    """The SELECT of the user of a row in `proof` with a `secret_hash`, unless disabled.

    It selects the user's id, account and permission, then `columns`.
    """
    return (
        select(
            users.c.id,
            users.c.account_id,
            account_memberships.c.permission,
            *columns,
        )
        .join_from(proof, users, proof.c.user_id == users.c.id)
        .join(account_memberships, account_memberships.c.user_id == users.c.id)
        .where(
            proof.c.secret_hash == bindparam("secret_hash"),
            account_memberships.c.disabled_at.is_(None),
        )
    )


def insert_user(tx: Transaction, user: User, permission: AccountPermission, now: Instant) -> int:
    """Store a new user and a membership; the `id` of `user` is ignored. Returns the new id."""
    values = _columns(user) | {"disabled": 0, "created_at": now, "updated_at": now}
    user_id = inserted_id(tx.rows(_INSERT_USER, values))
    words.note(tx, come=words.of_user(msgspec.structs.replace(user, id=user_id)))
    new = AccountMembership(
        id=0,
        account_id=user.account_id,
        user_id=user_id,
        permission=permission,
        created_at=now,
        updated_at=now,
        disabled_at=None,
    )
    tx.rows(_INSERT_MEMBERSHIP, msgspec.structs.asdict(new))
    counted = tallies.CountedUser(disabled=0, created_at=now, updated_at=now)
    tallies.note(tx, user.account_id, Kind.USERS, come=[counted])
    tallies.note(tx, user.account_id, Kind.ACCOUNT_MEMBERSHIPS, come=[new])
    touch(tx, user.account_id)
    return user_id


def _columns(user: User) -> dict[str, Any]:
    return msgspec.structs.asdict(user) | {"name_key": fold(user.full_name)}


def _counted(tx: Transaction, user_id: int) -> tallies.CountedUser:
    row = tx.row(_COUNTED, {"row_id": user_id})
    assert row is not None  # the caller changes the user, who therefore exists
    return tallies.CountedUser(*row)


def replace_user(tx: Transaction, user: User, changed: User, now: Instant) -> None:
    """Replace `user` with `changed`, which has the same id."""
    values = _columns(changed) | one_row(changed)
    was = _counted(tx, user.id)
    tallies.note(tx, user.account_id, Kind.USERS, gone=[was], come=[was._replace(updated_at=now)])
    tx.rows(_REPLACE_USER, {**values, "updated_at": now})
    if changed.full_name != user.full_name:
        tx.rows(_RENAME_PLACES, {**one_row(changed), "user_name_key": values["name_key"]})
    words.note(tx, gone=words.of_user(user), come=words.of_user(changed))
    touch(tx, changed.account_id)


def replace_membership(tx: Transaction, changed: AccountMembership) -> None:
    """Replace the membership that has the id of `changed`."""
    kind, account_id = Kind.ACCOUNT_MEMBERSHIPS, changed.account_id
    gone = membership(tx, changed.user_id)
    tallies.note(tx, account_id, kind, gone=[gone], come=[changed])
    tx.rows(_REPLACE_MEMBERSHIP, msgspec.structs.asdict(changed) | {"row_id": changed.id})
    disabled = int(changed.disabled_at is not None)
    was = _counted(tx, changed.user_id)
    if disabled != was.disabled:
        come = was._replace(disabled=disabled)
        tallies.note(tx, account_id, Kind.USERS, gone=[was], come=[come])
        of_user = {"of_account": account_id, "of_user": changed.user_id}
        terms = [tallies.member_term(row[0]) for row in tx.rows(_PLACES, of_user)]
        tallies.note_terms(tx, account_id, was.disabled, gone=terms)
        tallies.note_terms(tx, account_id, disabled, come=terms)
    tx.rows(_DISABLE_USER, {"row_id": changed.user_id, "disabled": disabled})
    touch(tx, changed.account_id)


def user_by_email(tx: Transaction, account_id: int, email_address: str) -> User | None:
    """The user of an account with this address, which must be in lower case."""
    row = tx.row(_USER_BY_EMAIL, {"account_id": account_id, "email_address": email_address})
    return None if row is None else USERS.read(row)


def users_by_email(tx: Transaction, email_address: str) -> list[User]:
    """At most two users with this address, in any account. The address must be in lower case."""
    return [USERS.read(row) for row in tx.rows(_USERS_BY_EMAIL, {"email_address": email_address})]


def user(tx: Transaction, user_id: int) -> User | None:
    """The user with this id, or None."""
    row = tx.row(_USER, {"row_id": user_id})
    return None if row is None else USERS.read(row)


def membership(tx: Transaction, user_id: int) -> AccountMembership:
    """The user's membership of the account."""
    row = tx.row(_MEMBERSHIP, {"user_id": user_id})
    assert row is not None  # a user is never stored without one
    return MEMBERSHIPS.read(row)


def delete_some(tx: Transaction, account_id: int) -> bool:
    """Delete at most 200 users, to whom nothing refers. Returns whether there were any."""
    found = [USERS.read(row) for row in tx.rows(_SOME_USERS, {"of_account": account_id})]
    for gone in found:
        words.note(tx, gone=words.of_user(gone))
        tx.rows(_DELETE_MEMBERSHIP, {"of_user": gone.id})
        tx.rows(_DELETE_USER, {"of_user": gone.id})
    return bool(found)


def administrators(tx: Transaction, account_id: int) -> set[int]:
    """The ids of the administrators of the account who are not disabled."""
    return {user_id for (user_id,) in tx.rows(_ADMINISTRATORS, {"account_id": account_id})}
