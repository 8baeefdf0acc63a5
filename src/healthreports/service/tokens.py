"""Bearer tokens: whom one stands for, and giving them out. Contract: 1.2."""

import hashlib
import secrets

from healthreports.core.errors import Unauthenticated
from healthreports.core.model import Actor, Instant, Token, User
from healthreports.store import tokens
from healthreports.store.database import Transaction

# Makes a token found in a log or a repository recognisable as ours.
PREFIX = "hr_"


def authenticate(tx: Transaction, secret: str, now: Instant) -> Actor:
    """Whom `secret` stands for at `now`. Raises Unauthenticated."""
    key = ("token", secret)
    found = tx.unchanged.get(key) or tokens.actor_of(tx, _hash(secret))
    if found is None:
        raise Unauthenticated
    tx.unchanged[key] = found
    actor, expires_at = found
    if expires_at is not None and expires_at <= now:
        raise Unauthenticated
    return actor


def issue(
    tx: Transaction, user: User, name: str, now: Instant, expires_at: Instant | None = None
) -> str:
    """Give `user` a new token. Returns the secret: only its hash is kept."""
    secret = PREFIX + secrets.token_urlsafe(32)
    token = Token(
        id=0,
        user_id=user.id,
        name=name,
        created_at=now,
        expires_at=expires_at,
        revoked_at=None,
    )
    tokens.insert(tx, token, _hash(secret))
    return secret


def with_owners(tx: Transaction) -> list[tuple[str, Token]]:
    """Every token with the e-mail address of its user."""
    return tokens.with_owners(tx)


def revoke(tx: Transaction, token_id: int, now: Instant) -> bool:
    """Revoke a token. False when there is none with that id that still works."""
    return tokens.revoke(tx, token_id, now)


def _hash(secret: str) -> str:
    # A plain hash is enough: a secret has 256 random bits, so there is nothing to guess.
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
