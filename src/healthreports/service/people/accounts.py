"""Accounts. Each has a name, which its users can enter when they sign in."""

import re
import unicodedata
from typing import Final

from healthreports.core.errors import Fault, Invalid, Problem
from healthreports.core.model import (
    Actor,
    Instant,
)
from healthreports.core.rules.people import check_account_name
from healthreports.core.vocabulary import MAX_ACCOUNT_NAME, AuditAction
from healthreports.service.auditing import note
from healthreports.service.people.members import demand_names
from healthreports.store.engine.database import Transaction
from healthreports.store.people import accounts

_NOT_IN_NAMES: Final = re.compile("[^a-z0-9]+")


def create_account(tx: Transaction, title: str, now: Instant, name: str | None = None) -> int:
    """Store a new account; without a `name`, the name is derived from the title.

    Returns its id. Raises Invalid.
    """
    demand_names(title=title)
    if name is None:
        name = _free_name(tx, title)
    else:
        _demand_name(tx, name)
    account_id = accounts.insert_account(tx, title, name, now)
    after = {"title": title, "name": name}
    note(tx, account_id, AuditAction.ACCOUNT_CREATED, account_id, after=after)
    return account_id


def rename_account(tx: Transaction, account_id: int, name: str, title: str | None = None) -> None:
    """Change the name of an account, and its title unless that is None. Raises Invalid."""
    before = {
        "name": accounts.account_name(tx, account_id),
        "title": accounts.account_title(tx, account_id),
    }
    after = {"name": name, "title": before["title"] if title is None else title}
    demand_names(title=after["title"])
    if name != before["name"]:
        _demand_name(tx, name)
    if after != before:
        accounts.rename_account(tx, account_id, **after)
        note(tx, account_id, AuditAction.ACCOUNT_RENAMED, account_id, before, after)


def all_accounts(tx: Transaction) -> list[tuple[int, str, str]]:
    """The id, name and title of every account."""
    return accounts.accounts_by_id(tx)


def is_empty(tx: Transaction) -> bool:
    """Whether there is no account yet."""
    return not accounts.has_accounts(tx)


def account_title(tx: Transaction, actor: Actor) -> str:
    """The title of the account of `actor`."""
    return accounts.account_title(tx, actor.account_id)


def account_name(tx: Transaction, account_id: int) -> str:
    """The name of an account, for sign-in."""
    return accounts.account_name(tx, account_id)


def account_named(tx: Transaction, text: str) -> int:
    """The id of the account with that name, or with that id in digits. Raises Invalid."""
    if text.isascii() and text.isdigit():
        found = next((one for one, _, _ in accounts.accounts_by_id(tx) if str(one) == text), None)
    else:
        found = accounts.account_by_name(tx, text)
    if found is None:
        raise Invalid([Problem("account", Fault.UNKNOWN_OBJECT)])
    return found


def _demand_name(tx: Transaction, name: str) -> None:
    problems = check_account_name(name)
    if not problems and accounts.account_by_name(tx, name) is not None:
        problems = [Problem("name", Fault.TAKEN)]
    if problems:
        raise Invalid(problems)


def _free_name(tx: Transaction, title: str) -> str:
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    name = _NOT_IN_NAMES.sub("-", plain).strip("-")
    if check_account_name(name[:MAX_ACCOUNT_NAME].rstrip("-")):
        name = f"account-{name}".rstrip("-")
    first, number = name[: MAX_ACCOUNT_NAME - 8].rstrip("-"), 1
    free = first
    while accounts.account_by_name(tx, free) is not None:
        number += 1
        free = f"{first}-{number}"
    return free
