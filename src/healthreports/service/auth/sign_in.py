"""Signing people in: by password, or because an OpenID Connect provider says who it is; sessions.

A session's secret is kept as a hash, like a token's. Passwords are hashed by argon2id with the
library's parameters (RFC 9106, the second recommended set), in threads of their own: one takes
tens of milliseconds and 64 MiB on purpose.
"""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from healthreports.core.errors import (
    Fault,
    Invalid,
    LinkEnded,
    NotFound,
    Problem,
    SignInRefused,
    Unauthenticated,
)
from healthreports.core.model import Actor, Clock, Instant, User
from healthreports.core.rules.people import check_password
from healthreports.core.rules.reading import kept_address
from healthreports.core.vocabulary import (
    INVITATION_LIFETIME_S,
    MAX_NAME,
    MAX_PASSWORD,
    SECOND_US,
    SESSION_LIFETIME_S,
    Kind,
)
from healthreports.service.auth.tokens import hash_of, new_secret
from healthreports.service.limits import Limits
from healthreports.service.lookup import demand_administrator
from healthreports.service.people.members import is_let_in
from healthreports.store.auth import credentials
from healthreports.store.engine.database import Database, Transaction
from healthreports.store.people import members

T = TypeVar("T")

_SESSION_PREFIX: Final = "hrw_"
_INVITATION_PREFIX: Final = "hri_"
# Two at once: more would take more memory, and the processor from everybody else.
_HASHING_THREADS: Final = 2
_WRONG: Final = "E-mail address or password are not right."
_UNKNOWN_PERSON: Final = "Nobody here has this e-mail address, or it is disabled."
_UNVERIFIED: Final = "The provider does not vouch for the e-mail address."
_OTHER_PERSON: Final = "This provider knows the user by another name."

_hasher: Final = PasswordHasher()


class SignIn:
    """The way in for people. What it returns is the secret of a new session."""

    def __init__(self, database: Database, clock: Clock, limits: Limits) -> None:
        self._database = database
        self._clock = clock
        self._limits = limits
        self._hashing = ThreadPoolExecutor(_HASHING_THREADS, thread_name_prefix="password")

    async def with_password(self, email_address: str, password: str, address: str) -> str:
        """Sign in who knows the password. Raises SignInRefused, TooManyRequests."""
        if len(email_address) > MAX_NAME:
            await self._limits.admit_guesser(address)
            raise SignInRefused(_WRONG)
        email_address = kept_address(email_address)
        # What is counted is not kept as it is: the store of limits need not know who signs in.
        counted = hash_of(email_address)
        await self._limits.admit_sign_in(address, counted)
        user, hashed = await self._database.read_latest(lambda tx: _known(tx, email_address))
        if not await self._run(_is_right, hashed, password) or user is None:
            raise SignInRefused(_WRONG)
        assert hashed is not None  # it is the password's
        session = await self._open(user, hashed, await self._renewed(hashed, password))
        await self._limits.forget_sign_ins(counted)
        return session

    async def with_identity(
        self, issuer: str, subject: str, email_address: str | None, *, verified: bool
    ) -> str:
        """Sign in whom `issuer` calls `subject`. Raises SignInRefused.

        The first time it is found by its e-mail address, which the issuer has to vouch for.
        """
        now = self._clock()

        def work(tx: Transaction) -> str:
            user = _whom(tx, issuer, subject, email_address, verified, now)
            return open_session(tx, user, now)

        return await self._database.write(work)

    async def change_password(self, secret: str, old: str, new: str, address: str) -> None:
        """Give who is signed in another password; its other sessions end.

        Raises Unauthenticated, Invalid, TooManyRequests.
        """
        actor, hashed = await self._database.read_latest(lambda tx: self._of_session(tx, secret))
        await self._limits.admit_sign_in(address, f"user {actor.user_id}")
        if not await self._run(_is_right, hashed, old):
            raise Invalid([Problem("old_password", Fault.WRONG)])
        if problems := check_password(new):
            raise Invalid(problems)
        replaced = await self._run(_hasher.hash, new)
        now = self._clock()

        def work(tx: Transaction) -> None:
            again = actor_of_session(tx, secret, now)
            if credentials.password_hash(tx, again.user_id) != hashed:  # another came before
                raise Invalid([Problem("old_password", Fault.WRONG)])
            credentials.store_password(tx, again.account_id, again.user_id, replaced, now)
            credentials.delete_sessions(tx, again.user_id, kept=hash_of(secret))

        await self._database.write(work)

    async def invited(self, secret: str, address: str) -> User:
        """Whom an invitation is for. Raises LinkEnded, TooManyRequests."""
        await self._limits.admit_stranger(address)
        return await self._database.read_latest(lambda tx: _invited(tx, secret, self._clock()))

    async def accept(self, secret: str, password: str, address: str) -> str:
        """Give who was invited its password, and sign it in; its other sessions end.

        Raises LinkEnded, Invalid, TooManyRequests.
        """
        await self.invited(secret, address)
        if problems := check_password(password):
            raise Invalid(problems)
        hashed = await self._run(_hasher.hash, password)
        now = self._clock()

        def work(tx: Transaction) -> str:
            user = _invited(tx, secret, now)
            credentials.delete_invitation(tx, user.id)
            credentials.store_password(tx, user.account_id, user.id, hashed, now)
            credentials.delete_sessions(tx, user.id)
            return open_session(tx, user, now)

        return await self._database.write(work)

    async def out(self, secret: str) -> None:
        """End a session."""
        await self._database.write(lambda tx: credentials.delete_session(tx, hash_of(secret)))

    def close(self) -> None:
        """Wait for the passwords being checked."""
        self._hashing.shutdown()

    def _of_session(self, tx: Transaction, secret: str) -> tuple[Actor, str | None]:
        actor = actor_of_session(tx, secret, self._clock())
        return actor, credentials.password_hash(tx, actor.user_id)

    async def _open(self, user: User, hashed: str, renewed: str | None) -> str:
        now = self._clock()

        def work(tx: Transaction) -> str:
            # Neither disabled nor given another password while this one was checked.
            if not is_let_in(tx, user.id):
                raise SignInRefused(_WRONG)
            if credentials.password_hash(tx, user.id) != hashed:
                raise SignInRefused(_WRONG)
            if renewed is not None:
                credentials.store_password(tx, user.account_id, user.id, renewed, now)
            return open_session(tx, user, now)

        return await self._database.write(work)

    async def _renewed(self, hashed: str, password: str) -> str | None:
        """The password's hash as the library makes them by now, where it once made another."""
        if not _hasher.check_needs_rehash(hashed):
            return None
        return await self._run(_hasher.hash, password)

    async def _run(self, work: Callable[..., T], *arguments: object) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._hashing, work, *arguments)


def set_password(tx: Transaction, user: User, password: str, now: Instant) -> None:
    """Give `user` a password, as the command line does; all its sessions end. Raises Invalid."""
    if problems := check_password(password):
        raise Invalid(problems)
    credentials.store_password(tx, user.account_id, user.id, _hasher.hash(password), now)
    credentials.delete_sessions(tx, user.id)


def invite(tx: Transaction, actor: Actor, user_id: int, now: Instant) -> str:
    """Invite a user of one's account to choose a password. Returns the secret of the invitation.

    Raises Forbidden, NotFound, and Invalid for who is disabled.
    """
    demand_administrator(actor)
    user = members.user(tx, user_id)
    if user is None or user.account_id != actor.account_id:
        raise NotFound(Kind.USERS)
    if not is_let_in(tx, user_id):
        raise Invalid([Problem("user_id", Fault.UNKNOWN_OBJECT)])
    secret = new_secret(_INVITATION_PREFIX)
    expires_at = Instant(now + INVITATION_LIFETIME_S * SECOND_US)
    credentials.insert_invitation(tx, actor.account_id, user_id, hash_of(secret), now, expires_at)
    return secret


def _invited(tx: Transaction, secret: str, now: Instant) -> User:
    user_id = credentials.invited(tx, hash_of(secret), now)
    user = None if user_id is None else members.user(tx, user_id)
    if user is None or not is_let_in(tx, user.id):
        raise LinkEnded
    return user


def has_password(tx: Transaction, user_id: int) -> bool:
    """Whether a user can sign in with a password."""
    return credentials.password_hash(tx, user_id) is not None


def open_session(tx: Transaction, user: User, now: Instant) -> str:
    """Store a new session of `user`. Returns its secret."""
    secret = new_secret(_SESSION_PREFIX)
    expires_at = Instant(now + SESSION_LIFETIME_S * SECOND_US)
    credentials.insert_session(tx, user.account_id, user.id, hash_of(secret), now, expires_at)
    return secret


def actor_of_session(tx: Transaction, secret: str, now: Instant) -> Actor:
    """Who is signed in by a session. Raises Unauthenticated."""
    actor = credentials.actor_of_session(tx, hash_of(secret), now)
    if actor is None:
        raise Unauthenticated
    return actor


def known_signing_key(tx: Transaction, purpose: str) -> str | None:
    """What every process of this database signs with for `purpose`, if any ever did."""
    return credentials.signing_key(tx, purpose)


def signing_key(tx: Transaction, purpose: str, now: Instant) -> str:
    """What every process of this database signs with for `purpose`; made where there is none."""
    key = known_signing_key(tx, purpose)
    if key is None:
        key = secrets.token_urlsafe(32)
        credentials.insert_signing_key(tx, purpose, key, now)
    return key


def _known(tx: Transaction, email_address: str) -> tuple[User | None, str | None]:
    user = members.user_by_email(tx, email_address)
    return user, None if user is None else credentials.password_hash(tx, user.id)


def _is_right(hashed: str | None, password: str) -> bool:
    """Whether `password` has that hash; takes as long where there is none to compare it with."""
    nobodys = _nobodys_hash()
    if len(password) > MAX_PASSWORD:
        return False
    try:
        return _hasher.verify(hashed or nobodys, password)
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobodys_hash() -> str:
    return _hasher.hash(secrets.token_urlsafe(32))


def _whom(  # noqa: PLR0917  what a provider says of somebody
    tx: Transaction,
    issuer: str,
    subject: str,
    email_address: str | None,
    verified: bool,  # noqa: FBT001  as above
    now: Instant,
) -> User:
    user_id = credentials.user_of_identity(tx, issuer, subject)
    if user_id is not None:
        user = members.user(tx, user_id)
    else:
        # Outside ASCII, letters that look or lower alike are not the same address.
        if not verified or not email_address or not email_address.isascii():
            raise SignInRefused(_UNVERIFIED)
        user = members.user_by_email(tx, kept_address(email_address))
    if user is None or not is_let_in(tx, user.id):
        raise SignInRefused(_UNKNOWN_PERSON)
    if user_id is None:
        # Whoever gets a leaver's e-mail address does not get the leaver's place.
        if issuer in credentials.issuers(tx, user.id):
            raise SignInRefused(_OTHER_PERSON)
        credentials.insert_identity(tx, user.account_id, user.id, issuer, subject, now)
    return user
