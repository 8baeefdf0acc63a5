"""Maintenance of the database, for whoever runs the server."""

from collections.abc import Callable
from typing import NamedTuple

from healthreports.core.access import reach
from healthreports.core.errors import BadParameter, Fault, Invalid, Problem
from healthreports.core.model import User
from healthreports.core.query import Query
from healthreports.service.people.members import reader
from healthreports.store.engine.database import Transaction
from healthreports.store.engine.statement import Values
from healthreports.store.lists import verify
from healthreports.store.lists.plans.choice import choose
from healthreports.store.people import accounts


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
