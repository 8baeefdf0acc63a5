"""Accounts."""

from healthreports.core.model import (
    Actor,
    Instant,
)
from healthreports.service.people.members import demand_names
from healthreports.store.engine.database import Transaction
from healthreports.store.people import accounts


def create_account(tx: Transaction, title: str, now: Instant) -> int:
    """Store a new account. Returns its id. Raises Invalid."""
    demand_names(title=title)
    return accounts.insert_account(tx, title, now)


def all_accounts(tx: Transaction) -> list[tuple[int, str]]:
    """The id and title of every account."""
    return accounts.accounts_by_id(tx)


def account_title(tx: Transaction, actor: Actor) -> str:
    """What the account of `actor` is called."""
    return accounts.account_title(tx, actor.account_id)
