"""Handing over all participations of a user who leaves, or is away for long, to another user."""

from typing import Final

from msgspec import UNSET

from healthreports.core.errors import Fault, Invalid, NotFound, Problem
from healthreports.core.model import AccountMembership, Actor, Instant, User
from healthreports.core.rules.people import check_taker
from healthreports.core.rules.reading import Sent
from healthreports.core.vocabulary import AuditAction, Kind
from healthreports.service.auditing import note
from healthreports.service.lookup import demand_administrator, demand_recent_proof, visible
from healthreports.service.people import workspaces
from healthreports.service.people.members import user_of_account
from healthreports.store.engine.database import Transaction
from healthreports.store.people import members

# Participations moved by one call. For more, the caller repeats it: the pages and the command line
# in several transactions, the API in one with the second limit.
_AT_ONCE: Final = 200
_MOST_AT_ONCE: Final = 1_000


def hand_over(tx: Transaction, actor: Actor, user_id: int, taker: str, now: Instant) -> bool:
    """Move some participations of a user to the user with the address `taker`.

    Returns whether there may be more. Raises Forbidden, ProofNeeded, NotFound, Invalid.
    """
    demand_administrator(actor)
    demand_recent_proof(actor, now)
    giver = members.user(tx, user_id)
    if giver is None or giver.account_id != actor.account_id:
        raise NotFound(Kind.USERS)
    return hand_over_as_operator(
        tx, giver, user_of_account(tx, actor.account_id, taker, "taker"), now
    )


def hand_over_membership(
    tx: Transaction, actor: Actor, membership_id: int, sent: Sent, now: Instant
) -> AccountMembership:
    """Move all participations of the user of a membership to the user `taker_id` that was sent.

    It is one transaction, so the limit is 1,000 participations; the pages and the command line can
    hand over more. Returns the membership. Raises NotFound, Forbidden, Invalid.
    """
    membership = visible(tx, actor, AccountMembership, membership_id)
    demand_administrator(actor)
    taker_id, problems = check_taker(sent)
    if taker_id is UNSET:
        raise Invalid(problems)
    giver, taker = members.user(tx, membership.user_id), members.user(tx, taker_id)
    assert giver is not None  # the user has a membership
    if taker is None or taker.account_id != actor.account_id:
        raise Invalid([Problem("taker_id", Fault.UNKNOWN_OBJECT)])
    if workspaces.has_more_places(tx, giver, _MOST_AT_ONCE):
        raise Invalid([Problem("account_membership", Fault.TOO_MANY, limit=_MOST_AT_ONCE)])
    while hand_over_as_operator(tx, giver, taker, now):
        pass
    return membership


def hand_over_as_operator(tx: Transaction, giver: User, taker: User, now: Instant) -> bool:
    """Like `hand_over`, for the command line. Raises Invalid."""
    account_id = giver.account_id
    more = workspaces.hand_over(tx, account_id, giver, taker, _AT_ONCE, now)
    if not more:
        after = {"to_user_id": taker.id}
        note(tx, account_id, AuditAction.USER_HANDED_OVER, giver.id, after=after)
    return more
