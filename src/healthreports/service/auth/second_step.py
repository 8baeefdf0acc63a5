"""Sign-in with a second factor or a passkey, and repeated authentication in a session.

Attempts are counted like those with a password: for each user and for each address.
"""

import asyncio
from typing import Final, NamedTuple

import structlog

from healthreports.core.audit import By
from healthreports.core.errors import Fault, Invalid, Problem, SignInRefused
from healthreports.core.model import Clock, Instant, User
from healthreports.core.vocabulary import AuditAction, FactorKind, Through
from healthreports.service.auth import factors
from healthreports.service.auth.factors import MadeFactor, SecondProof, SeenPasskey
from healthreports.service.auth.passkeys import Passkeys, credential_in
from healthreports.service.auth.sessions import (
    Opened,
    Visitor,
    actor_of_session,
    let_in,
    who_waits,
)
from healthreports.service.auth.sign_in import Identity, SignIn, has_password
from healthreports.service.auth.tokens import hash_of
from healthreports.service.limits import Limits
from healthreports.service.people.members import is_let_in
from healthreports.service.refusals import Refusal, Refusals
from healthreports.store.auth import credentials
from healthreports.store.engine.database import Database, Transaction
from healthreports.store.people import accounts, members

log: Final = structlog.stdlib.get_logger("healthreports")

_WRONG_ANSWER: Final = (
    "The code or the passkey is not correct. A code works only once: wait for the next one."
)
_UNKNOWN_PASSKEY: Final = "This passkey is not registered here. Sign in another way."


class Ways(NamedTuple):
    """How a user can authenticate; `passkeys` are credential ids in base64url."""

    user: User
    account: str
    kinds: frozenset[FactorKind]
    passkeys: tuple[str, ...]
    password: bool

    @property
    def code(self) -> bool:
        """Whether the user can enter a code."""
        return bool(self.kinds - {FactorKind.PASSKEY})


class SecondStep:
    """The second step of signing in. `passkeys` knows the address of this server."""

    def __init__(  # noqa: PLR0917  everything that sign-in needs
        self,
        database: Database,
        clock: Clock,
        limits: Limits,
        sign_in: SignIn,
        passkeys: Passkeys,
        refusals: Refusals | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._limits = limits
        self._sign_in = sign_in
        self.passkeys = passkeys
        self._refusals = refusals

    async def asked_of(self, half: str) -> Ways:
        """The user whose sign-in waits, and how it can be finished. Raises Unauthenticated.

        If `kinds` is empty, the user must set up a factor.
        """
        return await self._database.read_latest(
            lambda tx: _ways(tx, who_waits(tx, half, self._clock()))
        )

    async def finish(self, half: str, answer: SecondProof, visitor: Visitor) -> Opened:
        """Sign the user in if the answer is right.

        Raises Unauthenticated, SignInRefused, TooManyRequests.
        """
        ways = await self.asked_of(half)
        counted = f"factor of {ways.user.id}"
        await self._limits.admit_sign_in(visitor.address, counted)
        now = self._clock()
        passkey = await self._seen(answer, now)

        def work(tx: Transaction) -> Opened | None:
            user = who_waits(tx, half, now)
            kind = factors.prove(tx, user.id, answer, passkey, now)
            if kind is None:
                return None
            credentials.delete_session(tx, hash_of(half))
            return let_in(tx, user, now, visitor, self._sign_in.lasting, kind)

        opened = await self._database.write(work, ways.user.account_id)
        if opened is None:
            self._refuse(ways.user, visitor.address)
            raise SignInRefused(_WRONG_ANSWER)
        await self._limits.forget_sign_ins(counted)
        return opened

    async def set_up(
        self, half: str, made: MadeFactor, visitor: Visitor
    ) -> tuple[Opened, list[str]]:
        """Store the first factor of a user who needs one, and sign the user in.

        Also returns the recovery codes. Raises Unauthenticated, Invalid.
        """
        now = self._clock()

        def work(tx: Transaction) -> tuple[Opened, list[str]]:
            user = who_waits(tx, half, now)
            if factors.of_user(tx, user.id):  # otherwise a password alone could add another factor
                raise Invalid([Problem("factor", Fault.TAKEN)])
            address = visitor.address or None
            tx.by = By(user_id=user.id, through=Through.SESSION, address=address, now=now)
            codes = factors.store(tx, user, made, now)
            credentials.delete_session(tx, hash_of(half))
            return let_in(tx, user, now, visitor, self._sign_in.lasting, made.kind), codes

        return await self._database.write(work)

    async def with_passkey(self, answer: SecondProof, visitor: Visitor) -> Opened:
        """Sign in with a passkey, without a password.

        A passkey counts as two factors: the device, and the device's check of its owner.
        If passwords are switched off, passkeys are refused too, because only the provider may sign
        users in. Raises SignInRefused, TooManyRequests.
        """
        await self._limits.admit_guesser(visitor.address)
        now = self._clock()
        passkey = await self._seen(answer, now) if self._sign_in.passwords else None

        def work(tx: Transaction) -> Opened | None:
            assert passkey is not None  # otherwise there is no write
            user = members.user(tx, passkey.kept.factor.user_id)
            if user is None or not is_let_in(tx, user.id) or not factors.use(tx, passkey, now):
                return None
            return let_in(tx, user, now, visitor, self._sign_in.lasting, FactorKind.PASSKEY)

        opened = None
        if passkey is not None:
            opened = await self._database.write(work, passkey.kept.factor.account_id)
        if opened is None:
            self._sign_in.failed("passkey")
            log.warning("passkey refused", address=visitor.address)
            raise SignInRefused(_UNKNOWN_PASSKEY)
        return opened

    async def ways_again(self, secret: str) -> Ways:
        """How the signed-in user can authenticate again. Raises Unauthenticated.

        A user who has a second factor must use it; other users use their password.
        """

        def work(tx: Transaction) -> Ways:
            actor = actor_of_session(tx, secret, self._clock(), self._sign_in.lasting)
            user = members.user(tx, actor.user_id)
            assert user is not None  # the user is signed in
            ways = _ways(tx, user)
            may_know = self._sign_in.passwords and not ways.kinds
            return ways._replace(password=may_know and ways.password)

        return await self._database.read_latest(work)

    async def prove_again(
        self, secret: str, password: str, answer: SecondProof, address: str
    ) -> None:
        """Record that the signed-in user has authenticated again.

        Raises Unauthenticated, Invalid, TooManyRequests.
        """
        ways = await self.ways_again(secret)
        counted = f"factor of {ways.user.id}" if ways.kinds else f"user {ways.user.id}"
        await self._limits.admit_sign_in(address, counted)
        if not ways.kinds and not (
            ways.password and await self._sign_in.knows(ways.user, password)
        ):
            self._refuse(ways.user, address)
            raise Invalid([Problem("password", Fault.WRONG)])
        now = self._clock()
        passkey = await self._seen(answer, now)

        def work(tx: Transaction) -> bool:
            actor = actor_of_session(tx, secret, now, self._sign_in.lasting)
            if ways.kinds:
                kind = factors.prove(tx, actor.user_id, answer, passkey, now)
                if kind is None:
                    return False
            _note_proof(tx, actor.session_id, now)
            return True

        if not await self._database.write(work, ways.user.account_id):
            self._refuse(ways.user, address)
            raise Invalid([Problem("passkey" if answer.passkey else "code", Fault.WRONG)])
        await self._limits.forget_sign_ins(counted)

    async def prove_again_by_identity(self, secret: str, who: Identity) -> None:
        """Record that the signed-in user has authenticated again at the provider.

        Raises Unauthenticated. Raises SignInRefused if the provider names another user, or if it
        asked for no second factor and the user has one.
        """
        now = self._clock()

        def work(tx: Transaction) -> None:
            actor = actor_of_session(tx, secret, now, self._sign_in.lasting)
            known = credentials.users_of_identity(tx, who.issuer, who.subject)
            if known.get(actor.account_id) != actor.user_id:
                raise SignInRefused(_ANOTHER_PERSON)
            if who.factor is None and factors.of_user(tx, actor.user_id):
                raise SignInRefused(_NEEDS_FACTOR)
            _note_proof(tx, actor.session_id, now)

        await self._database.write(work)

    async def _seen(self, answer: SecondProof, now: Instant) -> SeenPasskey | None:
        """Check the answer of a passkey in a thread, so that no event loop or writer waits."""
        if not answer.passkey:
            return None
        credential_id = await asyncio.to_thread(credential_in, answer.passkey)
        if credential_id is None:
            return None
        kept = await self._database.read_latest(lambda tx: factors.passkey_named(tx, credential_id))
        if kept is None:
            return None
        return await asyncio.to_thread(factors.seen, self.passkeys, kept, answer, now)

    def _refuse(self, user: User, address: str) -> None:
        self._sign_in.failed("factor")
        log.warning("second factor refused", user=user.id, address=address)
        if self._refusals is not None:
            action, through = AuditAction.SIGN_IN_REFUSED, Through.SESSION
            of = Refusal(user.account_id, action, user.id, through, address=address or None)
            self._refusals.add(of)


_NEEDS_FACTOR: Final = "Confirm this with your second factor."
_ANOTHER_PERSON: Final = "You signed in at the provider as a different user. Sign out here first."


def _ways(tx: Transaction, user: User) -> Ways:
    found = factors.of_user(tx, user.id)
    kinds = {one.kind for one in found}
    if factors.codes_left(tx, user.id):
        kinds.add(FactorKind.RECOVERY_CODE)
    passkeys = tuple(factors.passkey_ids(tx, user.id))
    title = accounts.account_title(tx, user.account_id)
    return Ways(user, title, frozenset(kinds), passkeys, has_password(tx, user.id))


def _note_proof(tx: Transaction, session_id: int | None, now: Instant) -> None:
    assert session_id is not None  # the actor has a session
    credentials.note_proof(tx, session_id, now)
