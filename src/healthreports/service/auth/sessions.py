"""Sessions: the browsers in which users are signed in; how long they last and how they end."""

from typing import Final, NamedTuple

from healthreports.core.audit import By
from healthreports.core.errors import Unauthenticated
from healthreports.core.model import Actor, Instant, Session, User
from healthreports.core.vocabulary import (
    DAY_US,
    DEFAULT_SESSION_DAYS,
    DEFAULT_SESSION_IDLE_H,
    HALF_SIGN_IN_S,
    HOUR_S,
    MAX_DEVICE,
    SECOND_US,
    AuditAction,
    FactorKind,
)
from healthreports.service.auditing import note
from healthreports.service.auth import factors
from healthreports.service.auth.tokens import hash_of, new_secret
from healthreports.service.people.members import is_let_in
from healthreports.store.auth import credentials
from healthreports.store.engine.database import Transaction
from healthreports.store.people import accounts, members

_PREFIX: Final = "hrw_"
# So that frequent requests in a session do not each cause a write.
_NOTE_USE_AFTER_US: Final = 5 * 60 * SECOND_US


class Visitor(NamedTuple):
    """The address of a browser, and the device name that it sends."""

    address: str
    device: str = ""


class Opened(NamedTuple):
    """A new session: its secret, and the name of its account.

    A session that `waits` signs the user in only after a second factor.
    """

    secret: str
    account: str
    waits: bool = False


class Lasting(NamedTuple):
    """How long a session lasts without use, and at most in total, in microseconds."""

    idle_us: int = DEFAULT_SESSION_IDLE_H * HOUR_S * SECOND_US
    whole_us: int = DEFAULT_SESSION_DAYS * DAY_US


USUAL: Final = Lasting()
_HALF: Final = Lasting(HALF_SIGN_IN_S * SECOND_US, HALF_SIGN_IN_S * SECOND_US)


def open_session(  # noqa: PLR0917  the attributes of a session
    tx: Transaction,
    user: User,
    now: Instant,
    visitor: Visitor | None = None,
    lasting: Lasting = USUAL,
    factor: FactorKind | None = None,
    *,
    proven_at: Instant | None = None,
    waits: bool = False,
) -> str:
    """Store a new session of `user`. Returns its secret.

    `factor` is the second factor that was used, if any. The user authenticated at `proven_at`, or
    now if it is None.
    """
    secret = new_secret(_PREFIX)
    address = None if visitor is None else visitor.address or None
    device = None if visitor is None else visitor.device[:MAX_DEVICE] or None
    expires_at = Instant(now + lasting.whole_us)
    credentials.insert_session(
        tx,
        user.account_id,
        user.id,
        hash_of(secret),
        now,
        expires_at,
        address,
        device,
        factor,
        proven_at=now if proven_at is None else proven_at,
        waits=waits,
    )
    return secret


def let_in(  # noqa: PLR0917  the attributes of a session
    tx: Transaction,
    user: User,
    now: Instant,
    visitor: Visitor,
    lasting: Lasting,
    factor: FactorKind | None,
    *,
    proven_at: Instant | None = None,
) -> Opened:
    """Sign in a user who has authenticated.

    A user who has or needs a second factor and did not use one gets a session that waits for it.
    """
    account = accounts.account_name(tx, user.account_id)
    if factor is None and (factors.of_user(tx, user.id) or factors.is_demanded(tx, user)):
        return Opened(open_session(tx, user, now, visitor, _HALF, waits=True), account, waits=True)
    is_new = not is_known_device(tx, user.id, visitor, now)
    secret = open_session(tx, user, now, visitor, lasting, factor, proven_at=proven_at)
    actor = actor_of_session(tx, secret, now, lasting)
    after = {"device": visitor.device[:MAX_DEVICE], "new_device": is_new, "factor": factor}
    by = By.of(actor, now, visitor.address)
    note(tx, user.account_id, AuditAction.SIGNED_IN, user.id, after=after, by=by)
    return Opened(secret, account)


def who_waits(tx: Transaction, secret: str, now: Instant) -> User:
    """The user whose sign-in waits for a second factor. Raises Unauthenticated."""
    user_id = credentials.who_waits(tx, hash_of(secret), now)
    user = None if user_id is None else members.user(tx, user_id)
    if user is None or not is_let_in(tx, user.id):
        raise Unauthenticated
    return user


def actor_of_session(tx: Transaction, secret: str, now: Instant, lasting: Lasting = USUAL) -> Actor:
    """The user that a session authenticates. Raises Unauthenticated."""
    actor = credentials.actor_of_session(tx, hash_of(secret), now, lasting.idle_us)
    if actor is None:
        raise Unauthenticated
    return actor


def is_known_device(tx: Transaction, user_id: int, visitor: Visitor, now: Instant) -> bool:
    """Whether a user has an unexpired session in a browser with the same device name."""
    device = visitor.device[:MAX_DEVICE] or None
    return any(one.device == device for one in credentials.sessions_of(tx, user_id, now))


def last_use_is_stale(actor: Actor, now: Instant) -> bool:
    """Whether the last use that is stored for the session is old enough to be updated."""
    if actor.session_id is None or actor.last_used_at is None:
        return False
    return now - actor.last_used_at >= _NOTE_USE_AFTER_US


def note_use(tx: Transaction, actor: Actor, now: Instant) -> None:
    """Store when the session was last used."""
    assert actor.session_id is not None  # `last_use_is_stale` was true
    credentials.note_session_use(tx, actor.session_id, now)


def own(tx: Transaction, actor: Actor, now: Instant, lasting: Lasting = USUAL) -> list[Session]:
    """The sessions of `actor`, the most recently used first."""
    return [
        one
        for one in credentials.sessions_of(tx, actor.user_id, now)
        if one.last_used_at + lasting.idle_us > now
    ]


def end(tx: Transaction, actor: Actor, session_id: int) -> None:
    """End a session of `actor`; does nothing to a session of another user."""
    if credentials.end_session(tx, actor.user_id, session_id):
        after = {"session_id": session_id}
        note(tx, actor.account_id, AuditAction.SIGNED_OUT, actor.user_id, after=after)


def end_others(tx: Transaction, actor: Actor, now: Instant) -> None:
    """End every session of `actor` except the current one."""
    for one in credentials.sessions_of(tx, actor.user_id, now):
        if one.id != actor.session_id:
            end(tx, actor, one.id)
