"""Accounts and their versions. A cached result for an account is valid for one version."""

from typing import Final

from sqlalchemy import bindparam, select, update

from healthreports.core.model import (
    Instant,
)
from healthreports.core.vocabulary import FactorDemand
from healthreports.store.engine.database import Later, Row, Transaction, Version
from healthreports.store.engine.statement import (
    Statement,
    insertion,
    replacement,
)
from healthreports.store.schema.tables import (
    account_versions,
    accounts,
)

_INSERT_ACCOUNT: Final = insertion(accounts)
_INSERT_VERSION: Final = insertion(account_versions)
_TOUCH: Final = Statement(
    update(account_versions)
    .where(account_versions.c.account_id == bindparam("of_account"))
    .values(
        version=account_versions.c.version + bindparam("changed_by"),
        reshaped=account_versions.c.reshaped + bindparam("reshaped_by"),
        rewritten=account_versions.c.rewritten + bindparam("rewritten_by"),
    )
)
_VERSION: Final = Statement(
    select(
        account_versions.c.version, account_versions.c.reshaped, account_versions.c.rewritten
    ).where(account_versions.c.account_id == bindparam("of_account"))
)
_ACCOUNTS: Final = Statement(
    select(accounts.c.id, accounts.c.name, accounts.c.title)
    .where(accounts.c.closed_at.is_(None))
    .order_by(accounts.c.id)
)
_CLOSED: Final = Statement(
    select(accounts.c.id).where(accounts.c.closed_at.is_not(None)).order_by(accounts.c.id)
)
_CLOSE: Final = replacement(accounts, ("name", "title", "closed_at"))
_BY_NAME: Final = Statement(select(accounts.c.id).where(accounts.c.name == bindparam("name")))
_RENAME: Final = replacement(accounts, ("name", "title"))
_DEMAND_FACTOR: Final = replacement(accounts, ("second_factor",))
_SECOND_FACTOR: Final = Statement(
    select(accounts.c.second_factor).where(accounts.c.id == bindparam("row_id"))
)
_ANY_ACCOUNT: Final = Statement(select(accounts.c.id).limit(1))
_ACCOUNT_NAME: Final = Statement(
    select(accounts.c.name).where(accounts.c.id == bindparam("row_id"))
)
_ACCOUNT_TITLE: Final = Statement(
    select(accounts.c.title).where(accounts.c.id == bindparam("row_id"))
)


def touch(
    tx: Transaction, account_id: int, *, only_reports: bool = False, only_new: bool = False
) -> None:
    """Increment the version of an account after a change, so that cached results become invalid.

    `only_reports` says that the change only created reports or changed their texts. `only_new` says
    that it only created a report at the current time, which does not affect any earlier state.
    """
    tx.put_off(_TOUCHING, (account_id, not (only_reports or only_new), not only_new))


def _touch(tx: Transaction, touched: list[tuple[int, bool, bool]]) -> None:
    for account_id in sorted({account_id for account_id, *_ in touched}):
        of_it = [one for one in touched if one[0] == account_id]
        values = {
            "changed_by": len(of_it),
            "reshaped_by": sum(reshaped for _, reshaped, _ in of_it),
            "rewritten_by": sum(rewritten for *_, rewritten in of_it),
        }
        tx.rows(_TOUCH, {"of_account": account_id, **values})


_TOUCHING: Final = Later(_touch, frozenset({account_versions.name}))


def version(tx: Transaction, account_id: int) -> Version:
    """The current version of the account."""
    row = tx.recall(_VERSION, {"of_account": account_id})
    assert row is not None  # an account is never stored without one
    return Version(*row)


def insert_account(tx: Transaction, title: str, name: str, now: Instant) -> int:
    """Store a new account. Returns its id."""
    values = {"title": title, "name": name, "created_at": now}
    values |= {"second_factor": FactorDemand.NOBODY, "closed_at": None}
    account_id = inserted_id(tx.rows(_INSERT_ACCOUNT, values))
    never = {"version": 0, "reshaped": 0, "rewritten": 0}
    tx.rows(_INSERT_VERSION, {"account_id": account_id, **never})
    return account_id


def account_title(tx: Transaction, account_id: int) -> str:
    """The title of an account."""
    [[title]] = tx.rows(_ACCOUNT_TITLE, {"row_id": account_id})
    return str(title)


def account_name(tx: Transaction, account_id: int) -> str:
    """The name with which users sign in to an account."""
    [[name]] = tx.rows(_ACCOUNT_NAME, {"row_id": account_id})
    return str(name)


def rename_account(tx: Transaction, account_id: int, name: str, title: str) -> None:
    """Change the name and the title of an account."""
    tx.rows(_RENAME, {"row_id": account_id, "name": name, "title": title})
    touch(tx, account_id)


def account_by_name(tx: Transaction, name: str) -> int | None:
    """The id of the account with this name, or None."""
    row = tx.row(_BY_NAME, {"name": name})
    return None if row is None else int(row[0])


def second_factor(tx: Transaction, account_id: int) -> FactorDemand:
    """Which users of an account must have a second factor."""
    [[demand]] = tx.rows(_SECOND_FACTOR, {"row_id": account_id})
    return FactorDemand(demand)


def demand_second_factor(tx: Transaction, account_id: int, demand: FactorDemand) -> None:
    """Store which users of an account must have a second factor."""
    tx.rows(_DEMAND_FACTOR, {"row_id": account_id, "second_factor": demand})
    touch(tx, account_id)


def close(tx: Transaction, account_id: int, now: Instant) -> None:
    """Close an account: its name can be used again, and its contents may be deleted."""
    values = {"name": f"deleted-account-{account_id}", "title": "", "closed_at": now}
    tx.rows(_CLOSE, {"row_id": account_id, **values})
    touch(tx, account_id)


def closed(tx: Transaction) -> list[int]:
    """The ids of the closed accounts."""
    return [row[0] for row in tx.rows(_CLOSED, {})]


def accounts_by_id(tx: Transaction) -> list[tuple[int, str, str]]:
    """The id, name and title of every account that is not closed."""
    return [(row[0], row[1], row[2]) for row in tx.rows(_ACCOUNTS, {})]


def has_accounts(tx: Transaction) -> bool:
    """Whether there is any account."""
    return tx.row(_ANY_ACCOUNT, {}) is not None


def inserted_id(rows: list[Row]) -> int:
    """The id that the database generated for the one inserted row."""
    [[row_id]] = rows
    return int(row_id)
