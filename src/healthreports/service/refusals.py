"""Refused requests, counted for a minute and then written to the audit log.

They are written in a transaction of their own, because the refused one stores nothing. A client
that repeats the same refused request causes one entry a minute.
"""

import asyncio
import threading
from contextlib import suppress
from typing import Final, NamedTuple, NoReturn

from healthreports.core.audit import By
from healthreports.core.errors import StorageUnavailable
from healthreports.core.model import Clock
from healthreports.core.vocabulary import AuditAction, Through
from healthreports.service.auditing import note
from healthreports.store.engine.database import Database, Transaction

_EVERY_S: Final = 60.0
# Most different refusals in a minute. Above that, they are counted without user, credential and
# address.
_MOST: Final = 1_000


class Refusal(NamedTuple):
    """Who was refused what, and from which address; `needs` says what is missing."""

    account_id: int
    action: AuditAction
    user_id: int
    through: Through
    through_id: int | None = None
    address: str | None = None
    needs: str | None = None


class Refusals:
    """Counts the refusals in this process, and writes them to the audit log."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: dict[Refusal, int] = {}

    def add(self, refused: Refusal) -> None:
        """Count one refusal."""
        with self._lock:
            if refused not in self._counts and len(self._counts) >= _MOST:
                refused = refused._replace(user_id=0, through_id=None, address=None, needs=None)
            self._counts[refused] = self._counts.get(refused, 0) + 1

    async def write_now_and_then(self) -> NoReturn:
        """Run `write` every minute, in a thread."""
        while True:
            await asyncio.sleep(_EVERY_S)
            await asyncio.to_thread(self.write)

    def write(self) -> None:
        """Write the counts to the audit logs, in the calling thread.

        If the database is unavailable, the counts are lost.
        """
        with self._lock:
            counts, self._counts = self._counts, {}
        by_account: dict[int, list[tuple[Refusal, int]]] = {}
        for one, times in counts.items():
            by_account.setdefault(one.account_id, []).append((one, times))
        for account_id, its in by_account.items():

            def work(tx: Transaction, its: list[tuple[Refusal, int]] = its) -> None:
                for one, times in its:
                    self._note(tx, one, times)

            with suppress(StorageUnavailable):
                self._database.write_here(work, account_id)

    def _note(self, tx: Transaction, one: Refusal, times: int) -> None:
        by = By(
            user_id=one.user_id or None,
            through=one.through,
            through_id=one.through_id,
            address=one.address,
            now=self._clock(),
        )
        after = {"times": times} | ({} if one.needs is None else {"needs": one.needs})
        note(tx, one.account_id, one.action, one.user_id or None, after=after, by=by)
