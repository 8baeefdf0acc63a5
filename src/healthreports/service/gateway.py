"""Runs a use case as the user of a token, in one transaction. The interfaces come in here."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from typing import Final, NamedTuple, Protocol, TypeVar

import structlog

from healthreports.core.audit import By
from healthreports.core.errors import Forbidden, ProofNeeded, StorageUnavailable
from healthreports.core.model import Actor, Clock, Instant
from healthreports.core.tags import Tags
from healthreports.core.vocabulary import DEFAULT_INCLUDE_LIMIT, AuditAction, Through
from healthreports.service import auditing
from healthreports.service.auth import sessions, tokens
from healthreports.service.limits import Limits, SpentShare
from healthreports.service.refusals import Refusal, Refusals
from healthreports.store.engine.database import Database, Transaction
from healthreports.store.people import accounts

# `Transaction` is for the interfaces too, which may not import the store.
__all__ = ["Admitted", "Authenticate", "Gateway", "Transaction", "asker"]

T = TypeVar("T")
# Who asked, in the request under way, for its line in the log.
asker: Final[ContextVar[Actor | None]] = ContextVar("asker", default=None)
log: Final = structlog.stdlib.get_logger("healthreports")
_READ: Final = "read"
_WRITE: Final = "write"
Authenticate = Callable[[Transaction, str, Instant], Actor]


class InSpan(Protocol):
    """Gives what is run in a transaction, in a span of what it does: to read or to write."""

    def __call__(self, does: str, work: Callable[[Transaction], T]) -> Callable[[Transaction], T]:
        """`work`, in a span."""


class Admitted(NamedTuple):
    """Who may write: by which secret, in which account, which a write locks, and from where."""

    secret: str
    account_id: int
    address: str = ""


class Gateway:
    """The way from an interface to the use cases. `clock` gives the present.

    `authenticate` tells whom a secret stands for: a token (the API) or a session (the browser).
    What people see of themselves is `latest`: it may not come from a replica that is behind.
    An answer holds at most `include_limit` side-loaded objects (2.8). `tags` makes entity tags.
    `spent` is told how many seconds each transaction took, and whether it was to read or to write;
    `in_span` gives what is to be run in a transaction in its place, to trace it.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        limits: Limits,
        tags: Tags,
        authenticate: Authenticate = tokens.authenticate,
        *,
        latest: bool = False,
        include_limit: int = DEFAULT_INCLUDE_LIMIT,
        refusals: Refusals | None = None,
        spent: Callable[[str, float], None] | None = None,
        in_span: InSpan | None = None,
    ) -> None:
        self.include_limit = include_limit
        self.tags = tags
        self._database = database
        self._read = database.read_latest if latest else database.read
        self._clock = clock
        self._limits = limits
        self._authenticate = authenticate
        self._refusals = refusals
        self._spent = spent
        self._in_span = in_span
        # The tokens and sessions whose use is being noted, and the tasks that do it.
        self._noting: dict[tuple[int | None, int | None], asyncio.Task[None]] = {}

    async def admit_writer(self, secret: str, address: str = "") -> Admitted:
        """Who may write with `secret` now, from the `address` of its request.

        Asked before a body is read: a stranger's never is.

        Raises Unauthenticated, Forbidden, TooManyRequests.
        """

        def account_of(_tx: Transaction, actor: Actor) -> int:
            tokens.demand_write(actor)
            return actor.account_id

        return Admitted(secret, await self.read(secret, account_of), address)

    async def read_on(self, secret: str, work: Callable[[Transaction, Actor], T]) -> T:
        """What `work` finds in another snapshot for a request that was counted, off the event loop.

        Raises Unauthenticated.
        """
        now = self._clock()

        def as_actor(tx: Transaction) -> T:
            actor = self._authenticate(tx, secret, now)
            accounts.version(tx, actor.account_id)  # as below
            return work(tx, actor)

        return await self._database.read_long(as_actor)

    async def read(self, secret: str, work: Callable[[Transaction, Actor], T]) -> T:
        """What `work` finds for the user of the token, in one snapshot.

        Raises Unauthenticated, TooManyRequests.
        """
        now = self._clock()
        counted = False

        actor: Actor | None = None

        def as_actor(tx: Transaction) -> tuple[Actor, T]:
            nonlocal counted, actor
            actor = self._authenticate(tx, secret, now)
            if not counted:  # what is begun on the event loop may be done again in a thread
                self._limits.spend(_counted(actor))
                counted = True
            accounts.version(tx, actor.account_id)  # or a replica could show what is no more
            return actor, work(tx, actor)

        began = time.perf_counter()
        run = as_actor if self._in_span is None else self._in_span(_READ, as_actor)
        while True:
            try:
                reader, found = await self._read(run)
                break
            except SpentShare as spent:
                await self._limits.take_share(spent.of)
            except Forbidden as error:
                self._count_refusal(actor, "", error)
                raise
        if self._spent is not None:
            self._spent(_READ, time.perf_counter() - began)
        asker.set(reader)
        used = (reader.token_id, reader.session_id)
        if _is_stale(reader, now) and used not in self._noting:
            self._noting[used] = asyncio.create_task(self._note_use(reader, now))
        return found

    async def write(self, writer: Admitted, work: Callable[[Transaction, Actor, Instant], T]) -> T:
        """What `work` returns, once it is on disk. Raises Unauthenticated, Forbidden.

        The secret is looked up again in the transaction, so that a revoked token ends at once.
        Where `work` raises, nothing of it is kept.
        """
        now = self._clock()
        actor: Actor | None = None

        def as_actor(tx: Transaction) -> T:
            nonlocal actor
            actor = self._authenticate(tx, writer.secret, now)
            tokens.demand_write(actor)
            tx.by = By.of(actor, now, writer.address)
            if _is_stale(actor, now):
                _note_use(tx, actor, now)
            return work(tx, actor, now)

        began = time.perf_counter()
        run = as_actor if self._in_span is None else self._in_span(_WRITE, as_actor)
        try:
            written = await self._database.write(run, writer.account_id)
        except Forbidden as error:
            # Here and not in the transaction, where what is refused may be asked once more.
            self._count_refusal(actor, writer.address, error)
            raise
        if self._spent is not None:
            self._spent(_WRITE, time.perf_counter() - began)
        return written

    async def note(
        self, secret: str, address: str, action: AuditAction, after: Mapping[str, object]
    ) -> None:
        """Keep in the audit log that the user of the token reads what is worth a note.

        Raises Unauthenticated, TooManyRequests.
        """
        actor = await self.read(secret, lambda _tx, actor: actor)
        by = By.of(actor, self._clock(), address)
        await self._database.write(
            lambda tx: auditing.note(tx, actor.account_id, action, None, after=after, by=by),
            actor.account_id,
        )

    def _count_refusal(self, actor: Actor | None, address: str, error: Forbidden) -> None:
        if actor is None or self._refusals is None or isinstance(error, ProofNeeded):
            return
        asker.set(actor)
        log.info("refused", user=actor.user_id, token=actor.token_id, needs=error.needs)
        by = By.of(actor, self._clock(), address)
        self._refusals.add(
            Refusal(
                actor.account_id,
                AuditAction.ACCESS_REFUSED,
                actor.user_id,
                by.through,
                by.through_id,
                by.address,
                error.needs,
            )
        )

    async def read_unnamed(self, work: Callable[[Transaction, Instant], T]) -> T:
        """What `work` finds for a caller who proves itself in another way."""
        now = self._clock()
        return await self._read(lambda tx: work(tx, now))

    async def write_unnamed(
        self,
        work: Callable[[Transaction, Instant], T],
        through: Through,
        address: str,
        *,
        through_id: int | None = None,
        account_id: int | None = None,
    ) -> T:
        """What `work` returns, once it is on disk, for a caller who proves itself in another way.

        Where `work` raises, nothing of it is kept. It writes in the account, if that is known.
        """
        now = self._clock()
        by = By(user_id=None, through=through, through_id=through_id, address=address, now=now)

        def as_caller(tx: Transaction) -> T:
            tx.by = by
            return work(tx, now)

        return await self._database.write(as_caller, account_id)

    async def _note_use(self, actor: Actor, now: Instant) -> None:
        # Where it cannot be noted now, the next use is news as well.
        try:
            with suppress(StorageUnavailable):
                await self._database.write(lambda tx: _note_use(tx, actor, now), actor.account_id)
        finally:
            del self._noting[actor.token_id, actor.session_id]


def _is_stale(actor: Actor, now: Instant) -> bool:
    return tokens.last_used_is_stale(actor, now) or sessions.last_use_is_stale(actor, now)


def _note_use(tx: Transaction, actor: Actor, now: Instant) -> None:
    """Note that the token, or the session, was used."""
    if actor.token_id is not None:
        tokens.note_use(tx, actor, now)
    else:
        sessions.note_use(tx, actor, now)


def _counted(actor: Actor) -> int | str:
    """Whose limit a request counts for: a token's, or that of a user at all its browsers."""
    return actor.token_id if actor.token_id is not None else f"user {actor.user_id}"
