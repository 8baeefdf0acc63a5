"""Runs a use case in one transaction, as the user of a token or session.

The interfaces (the API and the pages) call the use cases through it.
"""

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

# `Transaction` is exported for the interfaces, which may not import the store.
__all__ = ["Admitted", "Authenticate", "Gateway", "Transaction", "asker"]

T = TypeVar("T")
# The caller of the current request, for its line in the log.
asker: Final[ContextVar[Actor | None]] = ContextVar("asker", default=None)
log: Final = structlog.stdlib.get_logger("healthreports")
_READ: Final = "read"
_WRITE: Final = "write"
Authenticate = Callable[[Transaction, str, Instant], Actor]


class InSpan(Protocol):
    """Wraps the work of a transaction in a tracing span named "read" or "write"."""

    def __call__(self, does: str, work: Callable[[Transaction], T]) -> Callable[[Transaction], T]:
        """Return `work` wrapped in a span."""


class Admitted(NamedTuple):
    """A caller who may write: the secret, the account that a write locks, and the address."""

    secret: str
    account_id: int
    address: str = ""


class Gateway:
    """The way from an interface to the use cases. `clock` returns the current time.

    `authenticate` finds the user of a secret: of a token (the API) or of a session (the browser).
    With `latest`, reads never come from a replica that is behind: people must see their own
    changes. An answer holds at most `include_limit` side-loaded objects (2.8). `tags` makes entity
    tags. `spent` is called with the kind of each transaction, "read" or "write", and its seconds;
    `in_span` wraps the work of a transaction to trace it.
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
        # The tokens and sessions whose last use is being stored, and the tasks that store it.
        self._noting: dict[tuple[int | None, int | None], asyncio.Task[None]] = {}

    async def admit_writer(self, secret: str, address: str = "") -> Admitted:
        """Check that `secret` may be used to write now, in a request from `address`.

        It is called before the body is read, so that the body of a stranger is never read.

        Raises Unauthenticated, Forbidden, TooManyRequests.
        """

        def account_of(_tx: Transaction, actor: Actor) -> int:
            tokens.demand_write(actor)
            return actor.account_id

        return Admitted(secret, await self.read(secret, account_of), address)

    async def read_on(self, secret: str, work: Callable[[Transaction, Actor], T]) -> T:
        """Run `work` in another snapshot, in a thread, for a request that was counted already.

        Returns what `work` returns. Raises Unauthenticated.
        """
        now = self._clock()

        def as_actor(tx: Transaction) -> T:
            actor = self._authenticate(tx, secret, now)
            accounts.version(tx, actor.account_id)  # as below
            return work(tx, actor)

        return await self._database.read_long(as_actor)

    async def read(self, secret: str, work: Callable[[Transaction, Actor], T]) -> T:
        """Run `work` for the user of the token, in one snapshot. Returns what `work` returns.

        Raises Unauthenticated, TooManyRequests.
        """
        now = self._clock()
        counted = False

        actor: Actor | None = None

        def as_actor(tx: Transaction) -> tuple[Actor, T]:
            nonlocal counted, actor
            actor = self._authenticate(tx, secret, now)
            if not counted:  # a read that begins on the event loop may be repeated in a thread
                self._limits.spend(_counted(actor))
                counted = True
            accounts.version(tx, actor.account_id)  # else a replica could show deleted objects
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
        """Run `work` in a transaction. Returns what it returns, once it is on disk.

        The secret is looked up again in the transaction, so that a revoked token ends at once. If
        `work` raises, the transaction is rolled back. Raises Unauthenticated, Forbidden.
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
            # Counted after the transaction, not in it: the transaction may run more than once.
            self._count_refusal(actor, writer.address, error)
            raise
        if self._spent is not None:
            self._spent(_WRITE, time.perf_counter() - began)
        return written

    async def note(
        self, secret: str, address: str, action: AuditAction, after: Mapping[str, object]
    ) -> None:
        """Write to the audit log that the user of the token reads something sensitive.

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
        """Run `work` in a snapshot for a caller that is authenticated in another way."""
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
        """Run `work` in a transaction for a caller that is authenticated in another way.

        Returns what `work` returns, once it is on disk. If `work` raises, the transaction is rolled
        back. With `account_id`, only that account is locked.
        """
        now = self._clock()
        by = By(user_id=None, through=through, through_id=through_id, address=address, now=now)

        def as_caller(tx: Transaction) -> T:
            tx.by = by
            return work(tx, now)

        return await self._database.write(as_caller, account_id)

    async def _note_use(self, actor: Actor, now: Instant) -> None:
        # If it cannot be stored now, the next use will store it.
        try:
            with suppress(StorageUnavailable):
                await self._database.write(lambda tx: _note_use(tx, actor, now), actor.account_id)
        finally:
            del self._noting[actor.token_id, actor.session_id]


def _is_stale(actor: Actor, now: Instant) -> bool:
    return tokens.last_used_is_stale(actor, now) or sessions.last_use_is_stale(actor, now)


def _note_use(tx: Transaction, actor: Actor, now: Instant) -> None:
    """Store that the token or the session was used."""
    if actor.token_id is not None:
        tokens.note_use(tx, actor, now)
    else:
        sessions.note_use(tx, actor, now)


def _counted(actor: Actor) -> int | str:
    """Whose limit a request counts for: that of a token, or of a user in all browsers together."""
    return actor.token_id if actor.token_id is not None else f"user {actor.user_id}"
