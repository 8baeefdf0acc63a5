"""Maintenance of the database, for the person who runs the server."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from healthreports.core.access import Reach, reach
from healthreports.core.errors import BadParameter, Fault, Invalid, Problem
from healthreports.core.model import User
from healthreports.core.query import Filter, Page, Query, Window
from healthreports.core.vocabulary import Kind
from healthreports.service.people.accounts import account_named
from healthreports.service.people.members import reader
from healthreports.store.engine.database import Transaction
from healthreports.store.engine.statement import Values
from healthreports.store.lists import pages, verify
from healthreports.store.lists.plans.choice import choose
from healthreports.store.people import accounts

# How many records a command that lists everything reads at once.
_AT_ONCE: Final = 1000


def every_page(
    tx: Transaction,
    kind: Kind,
    account: str | None,
    includes: tuple[str, ...] = (),
    filters: tuple[Filter, ...] = (),
) -> Iterator[tuple[str, Page]]:
    """All records of a kind, one page at a time, each page with the name of its account.

    `account` is the name or id of one account; None means all accounts. Raises Invalid.
    """
    names = {account_id: name for account_id, name, _ in accounts.accounts_by_id(tx)}
    chosen = names if account is None else [account_named(tx, account)]
    for account_id in chosen:
        version, offset = accounts.version(tx, account_id), 0
        while True:
            window = Window(_AT_ONCE, offset)
            query = Query(kind, filters, window=window, includes=includes)
            page = pages.page(tx, query, Reach(account_id, None), version)
            if not page.records:
                break
            yield names[account_id], page
            offset += _AT_ONCE


def wrong_counts(tx: Transaction, say: Callable[[str], object] | None = None) -> list[str]:
    """The stored counts and copies that do not match the reports, one line for each.

    `say` is called with the name of each check before it starts.
    """
    return verify.differences(tx) if say is None else verify.differences(tx, say)


def count_anew(tx: Transaction) -> None:
    """Count all reports again. Nothing else may write to the database meanwhile."""
    verify.rebuild(tx)


class Explanation(NamedTuple):
    """How a list of status reports is answered.

    The name of the query plan, why it was chosen, and its cost; how many reports match and how
    they were counted; the SQL statement that finds the page, with its parameters.
    """

    plan: str
    why: str
    cost: str
    matching: int
    counted_by: str
    statement: str
    values: Values


def explain(tx: Transaction, user: User, query: Query) -> Explanation:
    """Explain how the list that `query` asks for is answered for `user`.

    Raises Invalid if the user is disabled, and BadParameter for named ids, which need no plan.
    """
    if query.only is not None:
        raise BadParameter("only", "left out: reports are found by their ids")
    actor = reader(tx, user.id)
    if actor is None:
        raise Invalid([Problem("user_id", Fault.UNKNOWN_OBJECT)])
    version = accounts.version(tx, actor.account_id)
    plan, sizes, why = choose(tx, query, reach(actor), version)
    statement, values = plan.page(tx)
    return Explanation(
        plan=type(plan).__name__,
        why=why,
        cost=plan.cost,
        matching=sizes.matching,
        counted_by=sizes.counted_by,
        statement=tx.text_of(statement),
        values=values,
    )
