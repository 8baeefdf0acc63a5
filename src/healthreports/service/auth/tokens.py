"""Bearer tokens: authentication, issuing, and revoking. Contract: 1.2."""

import hashlib
import secrets
from typing import Final

from healthreports.core.errors import Forbidden, Invalid, Unauthenticated
from healthreports.core.model import Actor, Instant, Token, User
from healthreports.core.rules.people import check_names
from healthreports.core.vocabulary import AuditAction, Scope
from healthreports.service.auditing import note
from healthreports.store.auth import tokens
from healthreports.store.engine.database import Transaction

# Identifies a token of this server that is found in a log or a repository.
PREFIX: Final = "hr_"
ALL_SCOPES: Final = frozenset(Scope)
# A write for each use would cost more than the use. To the hour is precise enough to see whether a
# token is still used.
NOTE_USE_AFTER_US: Final = 3_600 * 1_000_000


def authenticate(tx: Transaction, secret: str, now: Instant) -> Actor:
    """The user that the token `secret` authenticates at `now`. Raises Unauthenticated."""
    found = tokens.actor_of(tx, hash_of(secret))
    if found is None:
        raise Unauthenticated
    actor, expires_at = found
    if expires_at is not None and expires_at <= now:
        raise Unauthenticated
    return actor


def demand_write(actor: Actor) -> None:
    """Raise Forbidden unless the token has the scope to write."""
    if Scope.WRITE not in actor.scopes:
        raise Forbidden(f"this needs a token with the scope {Scope.WRITE}")


def scopes_for(*, read_only: bool) -> frozenset[Scope]:
    """The scopes to read, and to write unless `read_only`."""
    return frozenset({Scope.READ}) if read_only else ALL_SCOPES


def last_used_is_stale(actor: Actor, now: Instant) -> bool:
    """Whether the last use that is stored for the token is old enough to be updated."""
    if actor.token_id is None:
        return False
    return actor.last_used_at is None or now - actor.last_used_at >= NOTE_USE_AFTER_US


def note_use(tx: Transaction, actor: Actor, now: Instant) -> None:
    """Store when the token was last used."""
    assert actor.token_id is not None  # `last_used_is_stale` was true
    tokens.note_use(tx, actor.token_id, now)


def issue(
    tx: Transaction,
    user: User,
    name: str,
    now: Instant,
    *,
    expires_at: Instant | None = None,
    scopes: frozenset[Scope] = ALL_SCOPES,
) -> str:
    """Create a personal token for `user`. Returns the secret, of which only the hash is stored.

    Raises Invalid.
    """
    if problems := check_names(name=name):
        raise Invalid(problems)
    secret = new_secret(PREFIX)
    token = Token(
        id=0,
        user_id=user.id,
        name=name.strip(),
        scopes=scopes,
        created_at=now,
        expires_at=expires_at,
        revoked_at=None,
        last_used_at=None,
    )
    token_id = tokens.insert(tx, token, hash_of(secret))
    after = {"name": token.name, "scopes": scopes, "expires_at": expires_at, "user_id": user.id}
    note(tx, user.account_id, AuditAction.TOKEN_CREATED, token_id, after=after)
    return secret


def personal(tx: Transaction, user_id: int) -> list[Token]:
    """The personal tokens of a user, including revoked ones."""
    return tokens.personal(tx, user_id)


def revoke_own(tx: Transaction, user_id: int, token_id: int | None, now: Instant) -> None:
    """Revoke a personal token of a user; does nothing to any other token."""
    for one in tokens.personal(tx, user_id):
        if one.id == token_id and one.revoked_at is None:
            revoke(tx, one.id, now)


def with_owners(tx: Transaction) -> list[tuple[str, Token]]:
    """Every token with the e-mail address of its user."""
    return tokens.with_owners(tx)


def revoke(tx: Transaction, token_id: int, now: Instant) -> bool:
    """Revoke a token. Returns False if no token with that id is still valid."""
    account_id = tokens.account_of(tx, token_id)
    is_new = tokens.revoke(tx, token_id, now)
    if is_new and account_id is not None:
        note(tx, account_id, AuditAction.TOKEN_REVOKED, token_id)
    return is_new


def new_secret(prefix: str) -> str:
    """A secret of 256 random bits; the prefix shows its purpose."""
    return prefix + secrets.token_urlsafe(32)


def hash_of(secret: str) -> str:
    """The hash that is stored for a secret that this server generated."""
    # A plain hash is enough: a secret has 256 random bits and cannot be guessed. The hash is not
    # cached, so that no secret becomes a key in a cache.
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
