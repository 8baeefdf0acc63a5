"""Maintenance of the database, for whoever runs the server."""

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

# Records that a command which lists everything reads at once.
_AT_ONCE: Final = 1000


def every_page(
    tx: Transaction,
    kind: Kind,
    account: str | None,
    includes: tuple[str, ...] = (),
    filters: tuple[Filter, ...] = (),
) -> Iterator[tuple[str, Page]]:
    """All records of a kind with the name of their account, a page at a time.

    Of one account, if `account` is its name or id, else of all. Raises Invalid.
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
    """Where what is kept of reports is not what is there, a line for each.

    `say` is told what is looked at next.
    """
    return verify.differences(tx) if say is None else verify.differences(tx, say)


def count_anew(tx: Transaction) -> None:
    """Count all reports anew. Nobody may write meanwhile."""
    verify.rebuild(tx)


class Explanation(NamedTuple):
    """How a list of status reports is answered.

    The name of its plan, why it is that one, what it costs; how many reports match and how they
    were counted; the statement that finds the page, as SQL, with its parameters.
    """

    plan: str
    why: str
    cost: str
    matching: int
    counted_by: str
    statement: str
    values: Values


def explain(tx: Transaction, user: User, query: Query) -> Explanation:
    """How the list that `query` asks for is answered for `user`.

    Raises Invalid where the user is disabled, and BadParameter for named ids, which need no plan.
    """
    if query.only is not None:
        raise BadParameter("only", "left out: reports are looked up by their ids")
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
