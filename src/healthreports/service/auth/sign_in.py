"""Sign-in with a password, or with an identity at an OpenID Connect provider.

A credential belongs to one user and signs in to that user's account only: an equal e-mail address
in another account gives no access. An identity at a provider becomes a credential of a user when
that person accepts an invitation with it.

A session's secret is stored as a hash, like a token's. Passwords are hashed with argon2id and the
library's parameters (RFC 9106, the second recommended set), in separate threads: one hash takes
tens of milliseconds and 64 MiB by design.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final, NamedTuple, TypeVar

import structlog
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from healthreports.core.audit import By
from healthreports.core.errors import (
    Fault,
    Invalid,
    Problem,
    SeveralAccounts,
    SignInRefused,
)
from healthreports.core.model import Clock, Instant, User
from healthreports.core.rules.reading import kept_address
from healthreports.core.vocabulary import (
    MAX_ACCOUNT_NAME,
    MAX_NAME,
    MAX_PASSWORD,
    AuditAction,
    FactorKind,
    Through,
)
from healthreports.service.auditing import note
from healthreports.service.auth import invitations
from healthreports.service.auth.new_passwords import check_new_password
from healthreports.service.auth.sessions import (
    USUAL,
    Lasting,
    Opened,
    Visitor,
    actor_of_session,
    let_in,
)
from healthreports.service.auth.tokens import hash_of
from healthreports.service.limits import Limits
from healthreports.service.people.members import is_let_in
from healthreports.service.refusals import Refusal, Refusals
from healthreports.store.auth import credentials, oauth, tokens
from healthreports.store.auth import invitations as stored_invitations
from healthreports.store.engine.database import Database, Transaction
from healthreports.store.people import accounts, members

T = TypeVar("T")
log: Final = structlog.stdlib.get_logger("healthreports")

# Two at once: more would use more memory, and slow down all other requests.
_HASHING_THREADS: Final = 2
_WRONG: Final = (
    "Incorrect e-mail or password. If you are in several accounts, enter the account as well."
)
_NO_PASSWORDS: Final = "Signing in with a password is switched off on this server."
_UNKNOWN_PERSON: Final = (
    "You have not signed in here with this provider yet. "
    "Open your invitation, and sign in from there."
)
_TAKEN_IDENTITY: Final = "Another user of this account already signs in with this identity."

_hasher: Final = PasswordHasher()


class Identity(NamedTuple):
    """A person as a provider names it.

    `factor` is set if the provider says that it asked for a second factor. `proven_at` is when the
    provider says that it authenticated the person, which may be earlier than this sign-in.
    """

    issuer: str
    subject: str
    factor: FactorKind | None = None
    proven_at: Instant = Instant(0)


def _nobody_asks(_what: str) -> None:
    """Do nothing: the default for `failed`."""


class SignIn:
    """Signs people in; with a password only if `passwords` is true.

    `failed` is called with the kind of credential that was wrong each time a sign-in is refused.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        limits: Limits,
        *,
        passwords: bool = True,
        refusals: Refusals | None = None,
        lasting: Lasting = USUAL,
        failed: Callable[[str], None] = _nobody_asks,
    ) -> None:
        self._database = database
        self._clock = clock
        self._limits = limits
        self.passwords = passwords
        self._refusals = refusals
        self.lasting = lasting
        self.failed = failed
        self._hashing = ThreadPoolExecutor(_HASHING_THREADS, thread_name_prefix="password")

    async def with_password(
        self, email_address: str, password: str, visitor: Visitor, account: str = ""
    ) -> Opened:
        """Sign in the user who knows the password, in the account of that name.

        Without a name, it is the only account that has the e-mail address. If several have it, the
        sign-in is refused, with the same message and after the same time as for a wrong password.
        Raises SignInRefused, TooManyRequests.
        """
        address = visitor.address
        if not self.passwords:
            await self._limits.admit_guesser(address)
            raise SignInRefused(_NO_PASSWORDS)
        account = account.strip().lower()
        if len(email_address) > MAX_NAME or len(account) > MAX_ACCOUNT_NAME:
            await self._limits.admit_guesser(address)
            raise SignInRefused(_WRONG)
        email_address = kept_address(email_address)
        await self._limits.admit_guesser(address)
        user, hashed = await self._database.read_latest(
            lambda tx: _known(tx, email_address, account)
        )
        # Attempts are counted by user, however the account was written, or by what was typed if
        # there is no such user. That is hashed: the limit store need not know who signs in.
        counted = hash_of(f"{account} {email_address}") if user is None else f"user {user.id}"
        await self._limits.admit_guess(counted)
        if not await self._run(_is_right, hashed, password) or user is None:
            self.failed("password")
            log.warning("sign-in refused", user=None if user is None else user.id, address=address)
            if user is not None and self._refusals is not None:
                self._refusals.add(
                    Refusal(
                        user.account_id,
                        AuditAction.SIGN_IN_REFUSED,
                        user.id,
                        Through.SESSION,
                        address=address or None,
                    )
                )
            raise SignInRefused(_WRONG)
        assert hashed is not None  # the password matched it
        opened = await self._open(user, hashed, await self._renewed(hashed, password), visitor)
        await self._limits.forget_sign_ins(counted)
        return opened

    async def with_identity(self, who: Identity, visitor: Visitor, account: str = "") -> Opened:
        """Sign in the user that a provider names, in the account of that name.

        Without a name, it is the only account that has this identity. Raises SignInRefused, and
        SeveralAccounts with the names of the accounts that have it.
        """
        now = self._clock()
        account = account.strip().lower()

        def work(tx: Transaction) -> Opened:
            user = _whom(tx, who.issuer, who.subject, account)
            proven_at = min(now, who.proven_at)
            return let_in(tx, user, now, visitor, self.lasting, who.factor, proven_at=proven_at)

        return await self._database.write(work)

    async def change_password(
        self, secret: str, old: str, new: str, address: str, *, keep_tokens: bool = False
    ) -> None:
        """Change the password of the signed-in user; the user's other sessions end.

        The user's tokens and grants to applications are revoked too, unless `keep_tokens` is true.
        Raises Unauthenticated, Invalid, TooManyRequests.
        """
        user, hashed = await self._database.read_latest(lambda tx: self._of_session(tx, secret))
        await self._limits.admit_sign_in(address, f"user {user.id}")
        if not self.passwords or not await self._run(_is_right, hashed, old):
            raise Invalid([Problem("old_password", Fault.WRONG)])
        replaced = await self._hashed(new, user)
        now = self._clock()

        def work(tx: Transaction) -> None:
            again = actor_of_session(tx, secret, now, self.lasting)
            if credentials.password_hash(tx, again.user_id) != hashed:  # changed in the meantime
                raise Invalid([Problem("old_password", Fault.WRONG)])
            credentials.store_password(tx, again.account_id, again.user_id, replaced, now)
            credentials.delete_sessions(tx, again.user_id, kept=hash_of(secret))
            by = By.of(again, now, address)
            after = {"keeps_tokens": keep_tokens}
            action = AuditAction.PASSWORD_CHANGED
            note(tx, again.account_id, action, again.user_id, after=after, by=by)
            if not keep_tokens:
                _end_access(tx, again.user_id, now)

        await self._database.write(work)

    async def knows(self, user: User, password: str) -> bool:
        """Whether that is the password of `user`. The caller has to count the attempts."""
        hashed = await self._database.read_latest(lambda tx: credentials.password_hash(tx, user.id))
        return await self._run(_is_right, hashed, password)

    async def invited(self, secret: str, address: str) -> tuple[User, str]:
        """The user that an invitation is for, and the title of the account.

        Raises LinkEnded, TooManyRequests.
        """
        await self._limits.admit_stranger(address)

        def work(tx: Transaction) -> tuple[User, str]:
            user = invitations.invited(tx, secret, self._clock())
            return user, accounts.account_title(tx, user.account_id)

        return await self._database.read_latest(work)

    async def accept(self, secret: str, password: str, visitor: Visitor) -> Opened:
        """Set the password of the invited user and sign the user in; other sessions end.

        Raises LinkEnded, Invalid, TooManyRequests, and SignInRefused if passwords are not allowed.
        """
        user, _ = await self.invited(secret, visitor.address)
        if not self.passwords:
            raise SignInRefused(_NO_PASSWORDS)
        hashed = await self._hashed(password, user)
        now = self._clock()

        def prove(tx: Transaction, user: User) -> None:
            credentials.store_password(tx, user.account_id, user.id, hashed, now)

        return await self._database.write(
            lambda tx: self._accepted(tx, secret, now, prove, visitor)
        )

    async def accept_by_identity(self, secret: str, who: Identity, visitor: Visitor) -> Opened:
        """Make a provider's identity a credential of the invited user, and sign the user in.

        Raises LinkEnded, TooManyRequests, and SignInRefused if another user of the account signs in
        with this identity.
        """
        await self._limits.admit_stranger(visitor.address)
        now = self._clock()

        def prove(tx: Transaction, user: User) -> None:
            known = credentials.users_of_identity(tx, who.issuer, who.subject)
            if known.get(user.account_id, user.id) != user.id:
                raise SignInRefused(_TAKEN_IDENTITY)
            credentials.insert_identity(tx, user.account_id, user.id, who.issuer, who.subject, now)

        return await self._database.write(
            lambda tx: self._accepted(tx, secret, now, prove, visitor, who.factor)
        )

    async def out(self, ended: Sequence[str], address: str) -> None:
        """End the sessions with these secrets, all of them or none."""
        now = self._clock()

        def work(tx: Transaction) -> None:
            for secret in ended:
                actor = credentials.actor_of_session(tx, hash_of(secret), now, self.lasting.idle_us)
                credentials.delete_session(tx, hash_of(secret))
                if actor is not None:
                    by = By.of(actor, now, address)
                    note(tx, actor.account_id, AuditAction.SIGNED_OUT, actor.user_id, by=by)

        if ended:
            await self._database.write(work)

    def close(self) -> None:
        """Wait until the passwords under way are checked."""
        self._hashing.shutdown()

    def _of_session(self, tx: Transaction, secret: str) -> tuple[User, str | None]:
        actor = actor_of_session(tx, secret, self._clock(), self.lasting)
        user = members.user(tx, actor.user_id)
        assert user is not None  # it is signed in
        return user, credentials.password_hash(tx, actor.user_id)

    async def _open(self, user: User, hashed: str, renewed: str | None, visitor: Visitor) -> Opened:
        now = self._clock()

        def work(tx: Transaction) -> Opened:
            # The user may have been disabled, or the password changed, while it was checked.
            if not is_let_in(tx, user.id):
                raise SignInRefused(_WRONG)
            if credentials.password_hash(tx, user.id) != hashed:
                raise SignInRefused(_WRONG)
            if renewed is not None:
                credentials.store_password(tx, user.account_id, user.id, renewed, now)
            return let_in(tx, user, now, visitor, self.lasting, None)

        return await self._database.write(work)

    def _accepted(  # noqa: PLR0917  whose invitation, and when, how and where it is accepted
        self,
        tx: Transaction,
        secret: str,
        now: Instant,
        prove: Callable[[Transaction, User], None],
        visitor: Visitor,
        factor: FactorKind | None = None,
    ) -> Opened:
        """Use up an invitation and sign in; `prove` stores the user's new credential."""
        user = invitations.invited(tx, secret, now)
        stored_invitations.remove(tx, user.id)
        address = visitor.address or None
        by = By(user_id=user.id, through=Through.INVITATION, address=address, now=now)
        note(tx, user.account_id, AuditAction.INVITATION_ACCEPTED, user.id, by=by)
        if invitations.has_signed_in(tx, user.id):
            # The old credentials are lost, perhaps to somebody else: none of them may work again.
            _end_access(tx, user.id, now)
            credentials.delete_proofs(tx, user.id)
        prove(tx, user)
        return let_in(tx, user, now, visitor, self.lasting, factor)

    async def _hashed(self, password: str, user: User) -> str:
        """The hash of a new password. Raises Invalid."""
        account = await self._database.read_latest(lambda tx: _words_of(tx, user))
        if problems := await self._run(check_new_password, password, user, account):
            raise Invalid(problems)
        return await self._run(_hasher.hash, password)

    async def _renewed(self, hashed: str, password: str) -> str | None:
        """A new hash of the password if the library's parameters have changed, else None."""
        if not _hasher.check_needs_rehash(hashed):
            return None
        return await self._run(_hasher.hash, password)

    async def _run(self, work: Callable[..., T], *arguments: object) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._hashing, work, *arguments)


def set_password(
    tx: Transaction, user: User, password: str, now: Instant, *, keep_tokens: bool = False
) -> None:
    """Set the password of `user`, as the command line does; all sessions end. Raises Invalid.

    If it replaces a password, the user's tokens and grants are revoked too, unless `keep_tokens` is
    true.
    """
    if problems := check_new_password(password, user, _words_of(tx, user)):
        raise Invalid(problems)
    if not keep_tokens and has_password(tx, user.id):
        _end_access(tx, user.id, now)
    credentials.store_password(tx, user.account_id, user.id, _hasher.hash(password), now)
    credentials.delete_sessions(tx, user.id)
    after = {"keeps_tokens": keep_tokens}
    note(tx, user.account_id, AuditAction.PASSWORD_CHANGED, user.id, after=after)


def _words_of(tx: Transaction, user: User) -> tuple[str, str]:
    """The title and the name of the account of `user`, which a password should not contain."""
    account_id = user.account_id
    return accounts.account_title(tx, account_id), accounts.account_name(tx, account_id)


def has_password(tx: Transaction, user_id: int) -> bool:
    """Whether a user can sign in with a password."""
    return credentials.password_hash(tx, user_id) is not None


def is_password(tx: Transaction, user_id: int, password: str) -> bool:
    """Whether `password` is the user's. Attempts are not counted: it is for the command line."""
    return _is_right(credentials.password_hash(tx, user_id), password)


# How the purpose of a key for entity tags begins; there is one for each place of the database.
TAGS: Final = "entity tags"


def forget_tags(tx: Transaction) -> None:
    """Invalidate all entity tags given out so far, as an old state was restored (8.1)."""
    credentials.delete_signing_keys(tx, TAGS)


def known_signing_key(tx: Transaction, purpose: str) -> str | None:
    """The key with which every process of this database signs for `purpose`, or None."""
    return credentials.signing_key(tx, purpose)


def signing_key(tx: Transaction, purpose: str, now: Instant) -> str:
    """The key with which every process of this database signs for `purpose`; created if missing."""
    key = known_signing_key(tx, purpose)
    if key is None:
        key = secrets.token_urlsafe(32)
        credentials.insert_signing_key(tx, purpose, key, now)
    return key


def _known(tx: Transaction, email_address: str, account: str) -> tuple[User | None, str | None]:
    """The one user who may be meant, and the hash of that user's password."""
    if account:
        account_id = accounts.account_by_name(tx, account)
        user = members.user_by_email(tx, account_id or 0, email_address)
    else:
        found = members.users_by_email(tx, email_address)
        user = found[0] if len(found) == 1 else None
    return user, credentials.password_hash(tx, 0 if user is None else user.id)


def _is_right(hashed: str | None, password: str) -> bool:
    """Whether `password` has that hash; takes the same time if there is no hash to compare."""
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


def _whom(tx: Transaction, issuer: str, subject: str, account: str) -> User:
    """The one user who has this identity and is not disabled.

    Raises SignInRefused, SeveralAccounts.
    """
    users = [
        user
        for user_id in credentials.users_of_identity(tx, issuer, subject).values()
        if (user := members.user(tx, user_id)) is not None and is_let_in(tx, user_id)
    ]
    names = {accounts.account_name(tx, user.account_id): user for user in users}
    if account in names:
        return names[account]
    if not names or account:
        raise SignInRefused(_UNKNOWN_PERSON)
    if len(names) > 1:
        raise SeveralAccounts(tuple(names))
    return users[0]


def _end_access(tx: Transaction, user_id: int, now: Instant) -> None:
    """Revoke the tokens of a user and all grants that the user gave to applications."""
    tokens.revoke_all(tx, user_id, now)
    oauth.revoke_grants(tx, user_id, now)
