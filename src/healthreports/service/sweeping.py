"""Regular deletion of expired data and of closed accounts.

It covers answers stored for retries, drafts, deleted reports, and old audit log entries.
"""

import asyncio
import logging
import random
from contextlib import suppress
from typing import Final, NoReturn

from healthreports.core.errors import StorageUnavailable
from healthreports.core.model import Clock, Instant
from healthreports.core.vocabulary import DEFAULT_AUDIT_DAYS
from healthreports.service import auditing, ending
from healthreports.service.reports import drafting
from healthreports.service.reports.history import purge_for_good
from healthreports.service.retries import KEPT_US
from healthreports.store.auth import answers
from healthreports.store.engine.database import Database, Transaction
from healthreports.store.people import accounts
from healthreports.store.reports import drafts, trash

log: Final = logging.getLogger("healthreports")

_DAY_US: Final = 86_400_000_000
_EVERY_S: Final = 600.0


async def sweep_now_and_then(
    database: Database, clock: Clock, retention_days: int, audit_days: int
) -> NoReturn:
    """Run `sweep` about every ten minutes, in a thread; skip it if the database is unavailable."""
    while True:
        # A random interval, so that not all processes sweep at the same time.
        await asyncio.sleep(_EVERY_S * (0.5 + random.random()))  # noqa: S311  not a secret
        with suppress(StorageUnavailable):
            await asyncio.to_thread(sweep, database, clock, retention_days, audit_days)


def sweep(
    database: Database, clock: Clock, retention_days: int, audit_days: int = DEFAULT_AUDIT_DAYS
) -> int:
    """Delete expired data and the contents of closed accounts, in the calling thread.

    Returns how many reports were purged. A deleted report is purged after `retention_days`. An
    audit log entry keeps only its hashes after `audit_days`. Each transaction is short, and several
    processes may sweep at the same time.
    """
    ids = [account_id for account_id, _, _ in database.read_here(accounts.accounts_by_id)]
    purged = sum(_sweep(database, one, clock(), retention_days) for one in ids)
    for account_id in ids:
        _empty_log(database, account_id, clock(), audit_days)
    for account_id in database.read_here(accounts.closed):
        _empty_account(database, account_id, clock())
    if purged:
        log.info("purged %d reports that were deleted %d days ago", purged, retention_days)
    return purged


def _sweep(database: Database, account_id: int, now: Instant, retention_days: int) -> int:
    unkept, until = Instant(now - KEPT_US), Instant(now - retention_days * _DAY_US)
    if database.read_here(lambda tx: answers.has_expired(tx, account_id, unkept)):
        database.write_here(lambda tx: answers.forget_expired(tx, account_id, unkept), account_id)
    left = Instant(now - drafting.KEPT_US)
    if database.read_here(lambda tx: drafts.has_expired(tx, account_id, left)):
        database.write_here(lambda tx: drafts.drop_expired(tx, account_id, left), account_id)
    purged = 0
    while database.read_here(lambda tx: trash.has_older(tx, account_id, until)):
        purged += database.write_here(
            lambda tx: _purge_oldest(tx, account_id, until, now), account_id
        )
    return purged


def _empty_log(database: Database, account_id: int, now: Instant, days: int) -> None:
    while database.read_here(lambda tx: auditing.has_older(tx, account_id, now, days)):
        database.write_here(lambda tx: auditing.empty_older(tx, account_id, now, days), account_id)


def _empty_account(database: Database, account_id: int, now: Instant) -> None:
    while database.write_here(lambda tx: ending.empty_piece(tx, account_id, now), account_id):
        pass


def _purge_oldest(tx: Transaction, account_id: int, until: Instant, now: Instant) -> int:
    found = trash.oldest(tx, account_id, until)
    for report in found:
        purge_for_good(tx, report, now)
    accounts.touch(tx, account_id)
    return len(found)
