"""Runs a use case as the user of a token, in one transaction. The wings come in here."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from healthreports.core.errors import StorageUnavailable
from healthreports.core.model import Actor, Instant
from healthreports.service import tokens
from healthreports.service.tokens import authenticate
from healthreports.store.database import Database, Transaction

T = TypeVar("T")
Clock = Callable[[], Instant]


class Gateway:
    """The way from a wing to the use cases. `clock` gives the present."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        # The tokens whose use is being noted, and the tasks that do it.
        self._noting: dict[int, asyncio.Task[None]] = {}

    async def admit_writer(self, secret: str) -> None:
        """Raise Unauthenticated or Forbidden unless `secret` is a token that may write.

        Asked before a body is read, so that a stranger's body never is.
        """
        now = self._clock()
        await self._database.read(lambda tx: tokens.demand_write(authenticate(tx, secret, now)))

    async def read(self, secret: str, work: Callable[[Transaction, Actor], T]) -> T:
        """What `work` finds for the user of the token, in one snapshot. Raises Unauthenticated."""
        now = self._clock()

        def as_actor(tx: Transaction) -> tuple[Actor, T]:
            actor = authenticate(tx, secret, now)
            return actor, work(tx, actor)

        actor, found = await self._database.read(as_actor)
        if tokens.is_use_news(actor, now) and actor.token_id not in self._noting:
            self._noting[actor.token_id] = asyncio.create_task(self._note_use(actor, now))
        return found

    async def write(self, secret: str, work: Callable[[Transaction, Actor, Instant], T]) -> T:
        """What `work` returns, once it is on disk. Raises Unauthenticated, Forbidden.

        Where `work` raises, nothing of it is kept.
        """
        now = self._clock()

        def as_actor(tx: Transaction) -> T:
            actor = authenticate(tx, secret, now)
            tokens.demand_write(actor)
            if tokens.is_use_news(actor, now):
                tokens.note_use(tx, actor, now)
            return work(tx, actor, now)

        return await self._database.write(as_actor)

    async def _note_use(self, actor: Actor, now: Instant) -> None:
        # Where it cannot be noted now, the next use is news as well.
        with suppress(StorageUnavailable):
            await self._database.write(lambda tx: tokens.note_use(tx, actor, now))
        del self._noting[actor.token_id]
