"""Runs a use case as the user of a token, in one transaction. The wings come in here."""

from collections.abc import Callable
from typing import TypeVar

from healthreports.core.model import Actor, Instant
from healthreports.service.tokens import authenticate
from healthreports.store.database import Database, Transaction

T = TypeVar("T")
Clock = Callable[[], Instant]


class Gateway:
    """The way from a wing to the use cases. `clock` gives the present."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def admit(self, secret: str) -> None:
        """Raise Unauthenticated unless `secret` is a token that stands for a user.

        Asked before a body is read, so that a stranger's body never is.
        """
        now = self._clock()
        await self._database.read(lambda tx: authenticate(tx, secret, now))

    async def read(self, secret: str, work: Callable[[Transaction, Actor], T]) -> T:
        """What `work` finds for the user of the token, in one snapshot. Raises Unauthenticated."""
        now = self._clock()
        return await self._database.read(lambda tx: work(tx, authenticate(tx, secret, now)))

    async def write(self, secret: str, work: Callable[[Transaction, Actor, Instant], T]) -> T:
        """What `work` returns, once it is on disk. Raises Unauthenticated.

        Where `work` raises, nothing of it is kept.
        """
        now = self._clock()
        return await self._database.write(lambda tx: work(tx, authenticate(tx, secret, now), now))
