"""Sessions: browsers in which people are signed in, for how long, and how one ends them."""

from typing import Final, NamedTuple

from healthreports.core.errors import Unauthenticated
from healthreports.core.model import Actor, Instant, Session, User
from healthreports.core.vocabulary import (
    DAY_US,
    DEFAULT_SESSION_DAYS,
    DEFAULT_SESSION_IDLE_H,
    HOUR_S,
    MAX_DEVICE,
    SECOND_US,
    AuditAction,
)
from healthreports.service.auditing import note
from healthreports.service.auth.tokens import hash_of, new_secret
from healthreports.store.auth import credentials
from healthreports.store.engine.database import Transaction

_PREFIX: Final = "hrw_"
# So that a page that is looked at often is not a write each time.
_NOTE_USE_AFTER_US: Final = 5 * 60 * SECOND_US


class Visitor(NamedTuple):
    """Where a browser is, and what it calls itself."""

    address: str
    device: str = ""


class Lasting(NamedTuple):
    """How long a session lasts without being used, and in all, in microseconds."""

    idle_us: int = DEFAULT_SESSION_IDLE_H * HOUR_S * SECOND_US
    whole_us: int = DEFAULT_SESSION_DAYS * DAY_US


USUAL: Final = Lasting()


def open_session(
    tx: Transaction,
    user: User,
    now: Instant,
    visitor: Visitor | None = None,
    lasting: Lasting = USUAL,
) -> str:
    """Store a new session of `user`. Returns its secret."""
    secret = new_secret(_PREFIX)
    address = None if visitor is None else visitor.address or None
    device = None if visitor is None else visitor.device[:MAX_DEVICE] or None
    expires_at = Instant(now + lasting.whole_us)
    credentials.insert_session(
        tx, user.account_id, user.id, hash_of(secret), now, expires_at, address, device
    )
    return secret


def actor_of_session(tx: Transaction, secret: str, now: Instant, lasting: Lasting = USUAL) -> Actor:
    """Who is signed in by a session. Raises Unauthenticated."""
    actor = credentials.actor_of_session(tx, hash_of(secret), now, lasting.idle_us)
    if actor is None:
        raise Unauthenticated
    return actor


def is_known_device(tx: Transaction, user_id: int, visitor: Visitor, now: Instant) -> bool:
    """Whether a user is signed in, or was lately, in a browser that calls itself so."""
    device = visitor.device[:MAX_DEVICE] or None
    return any(one.device == device for one in credentials.sessions_of(tx, user_id, now))


def last_use_is_stale(actor: Actor, now: Instant) -> bool:
    """Whether the last use that is noted of the session is too old to be left."""
    if actor.session_id is None or actor.last_used_at is None:
        return False
    return now - actor.last_used_at >= _NOTE_USE_AFTER_US


def note_use(tx: Transaction, actor: Actor, now: Instant) -> None:
    """Note that the session was used."""
    assert actor.session_id is not None  # its use is news
    credentials.note_session_use(tx, actor.session_id, now)


def own(tx: Transaction, actor: Actor, now: Instant, lasting: Lasting = USUAL) -> list[Session]:
    """The sessions in which `actor` is signed in, the one used last first."""
    return [
        one
        for one in credentials.sessions_of(tx, actor.user_id, now)
        if one.last_used_at + lasting.idle_us > now
    ]


def end(tx: Transaction, actor: Actor, session_id: int) -> None:
    """End a session of one's own; nothing happens to any other."""
    if credentials.end_session(tx, actor.user_id, session_id):
        after = {"session_id": session_id}
        note(tx, actor.account_id, AuditAction.SIGNED_OUT, actor.user_id, after=after)


def end_others(tx: Transaction, actor: Actor, now: Instant) -> None:
    """End every session of one's own but for the one that is used."""
    for one in credentials.sessions_of(tx, actor.user_id, now):
        if one.id != actor.session_id:
            end(tx, actor, one.id)
