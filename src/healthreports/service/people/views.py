"""Saved views: queries of the portfolio that a user has named."""

from typing import Final

from healthreports.core.errors import Fault, Invalid, Problem
from healthreports.core.model import Actor
from healthreports.core.rules.people import check_names
from healthreports.core.vocabulary import MAX_LINK
from healthreports.store.engine.database import Transaction
from healthreports.store.people import views

# There is no room for more above the table.
MOST_VIEWS: Final = 20


def saved(tx: Transaction, actor: Actor) -> list[tuple[str, str]]:
    """The views of `actor`, ordered by name: the name, and the query string."""
    return views.all_of(tx, actor.account_id, actor.user_id)


def save(tx: Transaction, actor: Actor, name: str, query: str) -> None:
    """Store a view; it replaces a view with the same name. Raises Invalid."""
    name = name.strip()
    problems = check_names(name=name)
    if len(query) > MAX_LINK:
        problems.append(Problem("query", Fault.TOO_LONG, limit=MAX_LINK))
    known = dict(saved(tx, actor))
    if name not in known and len(known) >= MOST_VIEWS:
        problems.append(Problem("views", Fault.TOO_MANY, limit=MOST_VIEWS))
    if problems:
        raise Invalid(problems)
    views.put(tx, actor.account_id, actor.user_id, name, query)


def forget(tx: Transaction, actor: Actor, name: str) -> None:
    """Delete a view of `actor`, if it exists."""
    views.drop(tx, actor.account_id, actor.user_id, name)
