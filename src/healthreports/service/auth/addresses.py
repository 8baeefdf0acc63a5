"""Another e-mail address for a person: wanted by that person, proven by a link sent there.

The server sends no mail. An administrator gets the link and sends it to the new address; whoever
opens it there, signed in as the person, has both. Nobody sends oneself one's own: that would prove
nothing.
"""

from typing import Final, NamedTuple

from msgspec import UNSET
from msgspec.structs import asdict, replace

from healthreports.core.errors import Fault, Forbidden, Invalid, LinkEnded, NotFound, Problem
from healthreports.core.model import AccountMembership, Actor, Instant, User
from healthreports.core.rules.people import check_address
from healthreports.core.rules.reading import Sent, is_address, kept_address
from healthreports.core.vocabulary import INVITATION_LIFETIME_S, SECOND_US, AuditAction, Kind
from healthreports.service.auditing import note
from healthreports.service.auth.tokens import hash_of, new_secret
from healthreports.service.lookup import demand_administrator, demand_recent_proof, visible
from healthreports.store.auth import addresses
from healthreports.store.auth.addresses import AddressChange
from healthreports.store.engine.database import Transaction
from healthreports.store.people import members

_PREFIX: Final = "hre_"
_LIFETIME_US: Final = INVITATION_LIFETIME_S * SECOND_US
# Of more nobody could keep an eye on a page.
_MOST_WAITING: Final = 100
_ANOTHER_SENDS: Final = "another administrator sends the link: you would prove nothing by it"


class Wanted(NamedTuple):
    """Who wants which address, and whether the link for it was sent."""

    user: User
    change: AddressChange
    sendable: bool  # by who looks at it


def want(tx: Transaction, actor: Actor, email_address: str, now: Instant) -> None:
    """Want another address for oneself. Raises ProofNeeded, Invalid."""
    demand_recent_proof(actor, now)
    _want(tx, actor.account_id, actor.user_id, email_address, now)


def want_for_membership(
    tx: Transaction, actor: Actor, membership_id: int, sent: Sent, now: Instant
) -> AccountMembership:
    """Want the address that was sent for the user of a membership, oneself or anybody's.

    Returns the membership. Raises NotFound, Forbidden, Invalid.
    """
    membership = visible(tx, actor, AccountMembership, membership_id)
    if membership.user_id != actor.user_id:
        demand_administrator(actor)
    email_address, problems = check_address(sent)
    if email_address is UNSET:
        raise Invalid(problems)
    _want(tx, actor.account_id, membership.user_id, email_address, now)
    return membership


def _want(tx: Transaction, account_id: int, user_id: int, email_address: str, now: Instant) -> None:
    """The address waits until an administrator sends the link there."""
    address = _checked(tx, account_id, email_address)
    expires_at = Instant(now + _LIFETIME_US)
    wanted = AddressChange(account_id, user_id, address, True, now, expires_at)  # noqa: FBT003  a row
    addresses.put(tx, wanted, None)


def want_as_operator(tx: Transaction, user: User, email_address: str, now: Instant) -> str:
    """Want another address for a user, as the command line does. Returns the link's secret.

    Raises Invalid.
    """
    address = _checked(tx, user.account_id, email_address)
    expires_at, secret = Instant(now + _LIFETIME_US), new_secret(_PREFIX)
    wanted = AddressChange(user.account_id, user.id, address, False, now, expires_at)  # noqa: FBT003  a row
    addresses.put(tx, wanted, hash_of(secret))
    return secret


def send(tx: Transaction, actor: Actor, user_id: int, now: Instant) -> str:
    """The secret of the link that is to be sent to the address that a user wants.

    Raises Forbidden, ProofNeeded, NotFound.
    """
    demand_administrator(actor)
    demand_recent_proof(actor, now)
    change = addresses.of_user(tx, user_id)
    if change is None or change.account_id != actor.account_id or change.expires_at <= now:
        raise NotFound(Kind.USERS)
    if user_id == actor.user_id:
        raise Forbidden(_ANOTHER_SENDS)
    secret = new_secret(_PREFIX)
    addresses.send(tx, user_id, hash_of(secret), Instant(now + _LIFETIME_US))
    return secret


def give_up(tx: Transaction, actor: Actor, user_id: int) -> None:
    """Want no other address, as that user or as an administrator. Raises Forbidden."""
    change = addresses.of_user(tx, user_id)
    if change is None or change.account_id != actor.account_id:
        return
    if user_id != actor.user_id:
        demand_administrator(actor)
    addresses.remove(tx, user_id)


def wanted(tx: Transaction, actor: Actor, now: Instant) -> list[Wanted]:
    """The addresses that people of the account want. Raises Forbidden."""
    demand_administrator(actor)
    found = addresses.of_account(tx, actor.account_id, now, _MOST_WAITING)
    return [
        Wanted(user, one, user.id != actor.user_id)
        for one in found
        if (user := members.user(tx, one.user_id)) is not None
    ]


def own(tx: Transaction, actor: Actor, now: Instant) -> AddressChange | None:
    """Which address one wants oneself."""
    change = addresses.of_user(tx, actor.user_id)
    return None if change is None or change.expires_at <= now else change


def prove(tx: Transaction, actor: Actor, secret: str, now: Instant) -> str:
    """Take the address to which the link with that secret was sent. Returns it.

    Raises LinkEnded where it is none of one's own, and Invalid where somebody has it by now.
    """
    change = addresses.by_secret(tx, hash_of(secret))
    if change is None or change.user_id != actor.user_id or change.expires_at <= now:
        raise LinkEnded
    address = _checked(tx, actor.account_id, change.email_address)
    user = members.user(tx, actor.user_id)
    assert user is not None  # it was let in
    changed = replace(user, email_address=address)
    members.replace_user(tx, user, changed, now)
    addresses.remove(tx, user.id)
    action = AuditAction.USER_READDRESSED
    note(tx, actor.account_id, action, user.id, asdict(user), asdict(changed))
    return address


def _checked(tx: Transaction, account_id: int, email_address: str) -> str:
    address = kept_address(email_address)
    if not is_address(address):
        raise Invalid([Problem("email_address", Fault.NOT_AN_ADDRESS)])
    if members.user_by_email(tx, account_id, address) is not None:
        raise Invalid([Problem("email_address", Fault.TAKEN)])
    return address
