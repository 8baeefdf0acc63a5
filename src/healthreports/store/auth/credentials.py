"""Credentials: passwords, identities at a provider, and sessions. Also signing keys."""

from typing import Final

from sqlalchemy import bindparam, delete, literal_column, null, select, update

from healthreports.core.access import demands_factor
from healthreports.core.model import Actor, Instant, Session
from healthreports.core.vocabulary import FactorDemand, FactorKind, Scope
from healthreports.store.engine.database import Transaction
from healthreports.store.engine.statement import Statement, insertion, named
from healthreports.store.lists.selections import PERMISSIONS
from healthreports.store.people.members import actor_by
from healthreports.store.schema.tables import (
    accounts,
    factors,
    identities,
    passwords,
    sessions,
    signing_keys,
    users,
)

_PASSWORD: Final = Statement(
    select(passwords.c.hash).where(passwords.c.user_id == bindparam("of_user"))
)
_INSERT_PASSWORD: Final = insertion(passwords)
_REPLACE_PASSWORD: Final = Statement(
    update(passwords)
    .where(passwords.c.user_id == bindparam("of_user"))
    .values(hash=bindparam("new_hash"), changed_at=bindparam("now"))
)
# A person with one identity may be a user of several accounts.
_IDENTITIES: Final = Statement(
    select(identities.c.user_id, identities.c.account_id)
    .where(identities.c.issuer == bindparam("issuer"), identities.c.subject == bindparam("subject"))
    .order_by(identities.c.account_id)
)
_IS_KNOWN: Final = Statement(
    select(identities.c.id).where(identities.c.user_id == bindparam("of_user")).limit(1)
)
_DELETE_PROOFS: Final = tuple(
    Statement(delete(table).where(table.c.user_id == bindparam("of_user")))
    for table in (passwords, identities, factors, sessions)
)
_INSERT_IDENTITY: Final = insertion(identities)
_ACTOR: Final = Statement(
    actor_by(
        sessions,
        sessions.c.expires_at,
        sessions.c.last_used_at,
        sessions.c.id,
        sessions.c.proven_at,
        sessions.c.factor,
        accounts.c.second_factor,
    )
    .join(accounts, accounts.c.id == users.c.account_id)
    .where(sessions.c.waits == 0)
)
_SHOWN: Final = tuple(sessions.c[name] for name in Session.__struct_fields__)
_SESSIONS: Final = Statement(
    select(*_SHOWN)
    .where(
        sessions.c.user_id == bindparam("of_user"),
        sessions.c.expires_at > bindparam("now"),
        sessions.c.waits == 0,
    )
    .order_by(sessions.c.last_used_at.desc(), sessions.c.id.desc())
)
_NOTE_USE: Final = Statement(
    update(sessions)
    .where(sessions.c.id == bindparam("row_id"))
    .values(last_used_at=bindparam("now"))
)
_NOTE_PROOF: Final = Statement(
    update(sessions).where(sessions.c.id == bindparam("row_id")).values(proven_at=bindparam("now"))
)
_NOTE_FACTOR: Final = Statement(
    update(sessions).where(sessions.c.id == bindparam("row_id")).values(factor=bindparam("kind"))
)
_FORGET_FACTOR: Final = Statement(
    update(sessions)
    .where(
        sessions.c.user_id == bindparam("of_user"),
        sessions.c.factor != literal_column(f"'{FactorKind.PROVIDER}'"),
    )
    .values(factor=null())
)
_WAITS: Final = Statement(
    select(sessions.c.user_id).where(
        sessions.c.secret_hash == bindparam("secret_hash"),
        sessions.c.expires_at > bindparam("now"),
        sessions.c.waits == 1,
    )
)
_END_SESSION: Final = Statement(
    delete(sessions)
    .where(sessions.c.user_id == bindparam("of_user"), sessions.c.id == bindparam("row_id"))
    .returning(sessions.c.id)
)
_INSERT_SESSION: Final = insertion(sessions)
_DELETE_SESSION: Final = Statement(
    delete(sessions).where(sessions.c.secret_hash == bindparam("secret_hash"))
)
_DELETE_SESSIONS: Final = Statement(
    delete(sessions).where(
        sessions.c.user_id == bindparam("of_user"), sessions.c.secret_hash != bindparam("kept")
    )
)
_FORGET_SESSIONS: Final = Statement(
    delete(sessions).where(
        sessions.c.user_id == bindparam("of_user"), sessions.c.expires_at <= bindparam("now")
    )
)
_DELETE_KEYS: Final = Statement(
    delete(signing_keys).where(signing_keys.c.purpose.like(bindparam("purposes")))
)
_SIGNING_KEY: Final = Statement(
    select(signing_keys.c.secret).where(signing_keys.c.purpose == bindparam("purpose"))
)
_INSERT_SIGNING_KEY: Final = insertion(signing_keys)
_EVERY_SCOPE: Final = frozenset(Scope)


def password_hash(tx: Transaction, user_id: int) -> str | None:
    """The hash of a user's password; None if the user has no password."""
    row = tx.row(_PASSWORD, {"of_user": user_id})
    return None if row is None else str(row[0])


def store_password(
    tx: Transaction, account_id: int, user_id: int, hashed: str, now: Instant
) -> None:
    """Store the hash of a user's password; replaces the old one."""
    if password_hash(tx, user_id) is not None:
        tx.rows(_REPLACE_PASSWORD, {"of_user": user_id, "new_hash": hashed, "now": now})
        return
    values = {"account_id": account_id, "user_id": user_id, "hash": hashed, "changed_at": now}
    tx.rows(_INSERT_PASSWORD, values)


def users_of_identity(tx: Transaction, issuer: str, subject: str) -> dict[int, int]:
    """The ids of the users with this identity, by the id of their account."""
    rows = tx.rows(_IDENTITIES, {"issuer": issuer, "subject": subject})
    return {account_id: user_id for user_id, account_id in rows}


def has_identity(tx: Transaction, user_id: int) -> bool:
    """Whether a user has an identity at any issuer."""
    return tx.row(_IS_KNOWN, {"of_user": user_id}) is not None


def insert_identity(  # noqa: PLR0917  one row
    tx: Transaction, account_id: int, user_id: int, issuer: str, subject: str, now: Instant
) -> None:
    """Store an identity of a user."""
    values = {"account_id": account_id, "user_id": user_id, "issuer": issuer, "subject": subject}
    tx.rows(_INSERT_IDENTITY, values | {"created_at": now})


def actor_of_session(tx: Transaction, secret_hash: str, now: Instant, idle_us: int) -> Actor | None:
    """The user of the session whose secret has this hash; None if there is no valid session.

    A session ends at its expiry time, or when it was not used for `idle_us` microseconds.
    """
    row = tx.recall(_ACTOR, {"secret_hash": secret_hash})
    if row is None or row[3] <= now or row[4] + idle_us <= now:
        return None
    # Checked each time a session is used. So a session that was opened without a second factor is
    # no longer valid once the account demands one of this user, or the user becomes an
    # administrator in an account that demands one of administrators.
    if row[7] is None and demands_factor(FactorDemand(row[8]), PERMISSIONS[row[2]]):
        return None
    return Actor(
        user_id=row[0],
        account_id=row[1],
        permission=PERMISSIONS[row[2]],
        token_id=None,
        session_id=row[5],
        scopes=_EVERY_SCOPE,
        last_used_at=row[4],
        proven_at=row[6],
    )


def sessions_of(tx: Transaction, user_id: int, now: Instant) -> list[Session]:
    """The sessions of a user that are not expired, the most recently used first."""
    rows = tx.rows(_SESSIONS, {"of_user": user_id, "now": now})
    return [Session(**named(row, _SHOWN)) for row in rows]


def note_session_use(tx: Transaction, session_id: int, now: Instant) -> None:
    """Store the time at which a session was used."""
    tx.rows(_NOTE_USE, {"row_id": session_id, "now": now})


def end_session(tx: Transaction, user_id: int, session_id: int) -> bool:
    """End a session of a user. Returns False if the user has no session with this id."""
    return tx.row(_END_SESSION, {"of_user": user_id, "row_id": session_id}) is not None


def insert_session(  # noqa: PLR0917  one row
    tx: Transaction,
    account_id: int,
    user_id: int,
    secret_hash: str,
    now: Instant,
    expires_at: Instant,
    address: str | None,
    device: str | None,
    factor: FactorKind | None,
    *,
    proven_at: Instant,
    waits: bool,
) -> int:
    """Store a new session, and delete the expired sessions of the user. Returns its id.

    A session that `waits` for a second factor does not sign the user in.
    """
    tx.rows(_FORGET_SESSIONS, {"of_user": user_id, "now": now})
    values = {"account_id": account_id, "user_id": user_id, "secret_hash": secret_hash}
    values |= {"created_at": now, "expires_at": expires_at, "last_used_at": now}
    values |= {"proven_at": proven_at, "factor": factor, "waits": int(waits)}
    [[row_id]] = tx.rows(_INSERT_SESSION, values | {"address": address, "device": device})
    return int(row_id)


def note_proof(tx: Transaction, session_id: int, now: Instant) -> None:
    """Store the time at which the user of a session authenticated again."""
    tx.rows(_NOTE_PROOF, {"row_id": session_id, "now": now})


def note_factor(tx: Transaction, session_id: int, kind: FactorKind) -> None:
    """Store the kind of second factor that the user of a session authenticated with."""
    tx.rows(_NOTE_FACTOR, {"row_id": session_id, "kind": kind})


def forget_factor(tx: Transaction, user_id: int) -> None:
    """Clear the second factor of a user's sessions, except a factor that the provider asked for."""
    tx.rows(_FORGET_FACTOR, {"of_user": user_id})


def who_waits(tx: Transaction, secret_hash: str, now: Instant) -> int | None:
    """The id of the user whose session waits for a second factor; None if there is none."""
    row = tx.row(_WAITS, {"secret_hash": secret_hash, "now": now})
    return None if row is None else int(row[0])


def delete_session(tx: Transaction, secret_hash: str) -> None:
    """End one session."""
    tx.rows(_DELETE_SESSION, {"secret_hash": secret_hash})


def delete_sessions(tx: Transaction, user_id: int, kept: str = "") -> None:
    """End the sessions of a user, except the one whose hash is `kept`."""
    tx.rows(_DELETE_SESSIONS, {"of_user": user_id, "kept": kept})


def delete_proofs(tx: Transaction, user_id: int) -> None:
    """Delete all credentials and second factors of a user, and end the user's sessions."""
    for statement in _DELETE_PROOFS:
        tx.rows(statement, {"of_user": user_id})


def signing_key(tx: Transaction, purpose: str) -> str | None:
    """The key with which the server signs for `purpose`; None if there is none yet."""
    row = tx.row(_SIGNING_KEY, {"purpose": purpose})
    return None if row is None else str(row[0])


def delete_signing_keys(tx: Transaction, purpose: str) -> None:
    """Delete the keys whose purpose begins with `purpose`."""
    tx.rows(_DELETE_KEYS, {"purposes": f"{purpose}%"})


def insert_signing_key(tx: Transaction, purpose: str, secret: str, now: Instant) -> None:
    """Store the key with which the server signs for `purpose`."""
    tx.rows(_INSERT_SIGNING_KEY, {"purpose": purpose, "secret": secret, "created_at": now})
