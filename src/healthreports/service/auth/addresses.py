"""Change of a user's e-mail address: requested first, then confirmed by a link sent to it.

The server sends no mail. An administrator gets the link and sends it to the new address. A person
who opens the link while signed in as the user has proved both. Administrators cannot get the link
for their own address, because that would prove nothing.
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
# Nobody could keep an overview of more on one page.
_MOST_WAITING: Final = 100
_ANOTHER_SENDS: Final = "another administrator must send the link for your own address"


class Wanted(NamedTuple):
    """A user, and the requested change of address."""

    user: User
    change: AddressChange
    sendable: bool  # by the administrator to whom it is shown


def want(tx: Transaction, actor: Actor, email_address: str, now: Instant) -> None:
    """Request another address for `actor`. Raises ProofNeeded, Invalid."""
    demand_recent_proof(actor, now)
    _want(tx, actor.account_id, actor.user_id, email_address, now)


def want_for_membership(
    tx: Transaction, actor: Actor, membership_id: int, sent: Sent, now: Instant
) -> AccountMembership:
    """Request the address that was sent, for the user of a membership.

    Administrators may do it for every user, others for themselves. Returns the membership.
    Raises NotFound, Forbidden, Invalid.
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
    """Store a request that waits until an administrator sends the link to the address."""
    address = _checked(tx, account_id, email_address)
    expires_at = Instant(now + _LIFETIME_US)
    wanted = AddressChange(account_id, user_id, address, True, now, expires_at)  # noqa: FBT003  a table row
    addresses.put(tx, wanted, None)


def want_as_operator(tx: Transaction, user: User, email_address: str, now: Instant) -> str:
    """Request another address for a user from the command line. Returns the link's secret.

    Raises Invalid.
    """
    address = _checked(tx, user.account_id, email_address)
    expires_at, secret = Instant(now + _LIFETIME_US), new_secret(_PREFIX)
    wanted = AddressChange(user.account_id, user.id, address, False, now, expires_at)  # noqa: FBT003  a table row
    addresses.put(tx, wanted, hash_of(secret))
    return secret


def send(tx: Transaction, actor: Actor, user_id: int, now: Instant) -> str:
    """Create the link to be sent to the address that a user requested. Returns its secret.

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
    """Cancel the request of a user, as that user or as an administrator. Raises Forbidden."""
    change = addresses.of_user(tx, user_id)
    if change is None or change.account_id != actor.account_id:
        return
    if user_id != actor.user_id:
        demand_administrator(actor)
    addresses.remove(tx, user_id)


def wanted(tx: Transaction, actor: Actor, now: Instant) -> list[Wanted]:
    """The addresses that users of the account have requested. Raises Forbidden."""
    demand_administrator(actor)
    found = addresses.of_account(tx, actor.account_id, now, _MOST_WAITING)
    return [
        Wanted(user, one, user.id != actor.user_id)
        for one in found
        if (user := members.user(tx, one.user_id)) is not None
    ]


def own(tx: Transaction, actor: Actor, now: Instant) -> AddressChange | None:
    """The change of address that `actor` has requested, unless it has expired."""
    change = addresses.of_user(tx, actor.user_id)
    return None if change is None or change.expires_at <= now else change


def prove(tx: Transaction, actor: Actor, secret: str, now: Instant) -> str:
    """Change the address of `actor` to the one to which the link was sent. Returns it.

    Raises LinkEnded if the link has expired or is for another user, and Invalid if another user
    has the address by now.
    """
    change = addresses.by_secret(tx, hash_of(secret))
    if change is None or change.user_id != actor.user_id or change.expires_at <= now:
        raise LinkEnded
    address = _checked(tx, actor.account_id, change.email_address)
    user = members.user(tx, actor.user_id)
    assert user is not None  # the user is signed in
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
