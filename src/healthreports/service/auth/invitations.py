"""Invitations, by which a user sets a first or another credential.

One administrator alone cannot invite a user who already has a credential: the sender could accept
the invitation and sign in as that user. A second administrator confirms the invitation and gets its
secret. Until it is used, the invited user sees it on a page and can withdraw it.
"""

from typing import Final, NamedTuple

from healthreports.core.errors import Fault, Invalid, LinkEnded, NotFound, Problem
from healthreports.core.model import Actor, Instant, User
from healthreports.core.vocabulary import INVITATION_LIFETIME_S, SECOND_US, AuditAction, Kind
from healthreports.service.auditing import note
from healthreports.service.auth.tokens import hash_of, new_secret
from healthreports.service.lookup import demand_administrator, demand_recent_proof
from healthreports.service.people.members import is_let_in
from healthreports.store.auth import credentials, invitations
from healthreports.store.auth.invitations import Invitation
from healthreports.store.engine.database import Transaction
from healthreports.store.people import members

_PREFIX: Final = "hri_"
_LIFETIME_US: Final = INVITATION_LIFETIME_S * SECOND_US
# Nobody could keep an overview of more on one page.
_MOST_WAITING: Final = 100


class Shown(NamedTuple):
    """An invitation as it is shown: the invited user, the sender, who confirmed it."""

    user: User
    inviter: User | None  # None: sent from the command line
    confirmer: User | None
    created_at: Instant
    expires_at: Instant
    waits: bool  # for confirmation
    confirmable: bool  # by the user to whom it is shown


def invite(tx: Transaction, actor: Actor, user_id: int, now: Instant) -> str | None:
    """Invite a user of the same account to set a credential.

    Returns the secret of the invitation; None if a second administrator has to confirm it.
    Raises Forbidden, ProofNeeded, NotFound, and Invalid if the user is disabled or if there is
    nobody to confirm.
    """
    demand_administrator(actor)
    demand_recent_proof(actor, now)
    user = _of_account(tx, actor, user_id)
    if not is_let_in(tx, user_id):
        raise Invalid([Problem("user_id", Fault.UNKNOWN_OBJECT)])
    if not has_signed_in(tx, user_id):
        return _send(tx, user, actor.user_id, now)
    if not members.administrators(tx, actor.account_id) - {actor.user_id, user_id}:
        raise Invalid([Problem("user_id", Fault.NOBODY_CONFIRMS)])
    invitations.insert(
        tx, user.account_id, user_id, actor.user_id, None, now, Instant(now + _LIFETIME_US)
    )
    note(tx, user.account_id, AuditAction.INVITATION_CREATED, user_id, after={"waits": True})
    return None


def invite_as_operator(tx: Transaction, user: User, now: Instant) -> str:
    """Invite a user from the command line, without confirmation. Returns the secret.

    Raises Invalid if the user is disabled.
    """
    if not is_let_in(tx, user.id):
        raise Invalid([Problem("user_id", Fault.UNKNOWN_OBJECT)])
    return _send(tx, user, None, now)


def confirm(tx: Transaction, actor: Actor, user_id: int, now: Instant) -> str:
    """Confirm an invitation by another administrator. Returns its secret.

    Raises Forbidden, ProofNeeded, NotFound.
    """
    demand_administrator(actor)
    demand_recent_proof(actor, now)
    user = _of_account(tx, actor, user_id)
    invitation = invitations.of_user(tx, user_id)
    if invitation is None or not _may_confirm(tx, actor, invitation, now):
        raise NotFound(Kind.USERS)
    secret = new_secret(_PREFIX)
    expires_at = Instant(now + _LIFETIME_US)
    invitations.confirm(tx, user.id, actor.user_id, hash_of(secret), expires_at)
    note(tx, user.account_id, AuditAction.INVITATION_CONFIRMED, user_id)
    return secret


def withdraw(tx: Transaction, actor: Actor, user_id: int) -> None:
    """Withdraw the invitation of a user, as an administrator or as that user.

    Raises Forbidden, NotFound.
    """
    if user_id != actor.user_id:
        demand_administrator(actor)
        _of_account(tx, actor, user_id)
    if invitations.of_user(tx, user_id) is not None:
        invitations.remove(tx, user_id)
        note(tx, actor.account_id, AuditAction.INVITATION_WITHDRAWN, user_id)


def waiting(tx: Transaction, actor: Actor, now: Instant) -> list[Shown]:
    """The invitations of the account that wait for confirmation. Raises Forbidden."""
    demand_administrator(actor)
    found = invitations.waiting(tx, actor.account_id, now, _MOST_WAITING)
    return [_shown(tx, actor, one, now) for one in found]


def own(tx: Transaction, actor: Actor, now: Instant) -> Shown | None:
    """The valid invitation for `actor`, if there is one."""
    invitation = invitations.of_user(tx, actor.user_id)
    if invitation is None or invitation.expires_at <= now:
        return None
    return _shown(tx, actor, invitation, now)


def invited(tx: Transaction, secret: str, now: Instant) -> User:
    """The user who is invited with that secret. Raises LinkEnded."""
    invitation = invitations.by_secret(tx, hash_of(secret))
    if invitation is None or invitation.expires_at <= now:
        raise LinkEnded
    # An unconfirmed invitation from an administrator ends when the user has a credential.
    alone = invitation.inviter_id is not None and invitation.confirmer_id is None
    if alone and has_signed_in(tx, invitation.user_id):
        raise LinkEnded
    user = members.user(tx, invitation.user_id)
    if user is None or not is_let_in(tx, user.id):
        raise LinkEnded
    return user


def has_signed_in(tx: Transaction, user_id: int) -> bool:
    """Whether a user has a credential: a password, or an identity at a provider."""
    return credentials.password_hash(tx, user_id) is not None or credentials.has_identity(
        tx, user_id
    )


def _send(tx: Transaction, user: User, inviter_id: int | None, now: Instant) -> str:
    secret = new_secret(_PREFIX)
    expires_at = Instant(now + _LIFETIME_US)
    invitations.insert(tx, user.account_id, user.id, inviter_id, hash_of(secret), now, expires_at)
    note(tx, user.account_id, AuditAction.INVITATION_CREATED, user.id, after={"waits": False})
    return secret


def _may_confirm(tx: Transaction, actor: Actor, invitation: Invitation, now: Instant) -> bool:
    """Whether `actor` may confirm: an administrator other than the sender and the invited user."""
    administrators = members.administrators(tx, actor.account_id)
    return (
        invitation.waits
        and invitation.expires_at > now
        and invitation.inviter_id in administrators
        and actor.user_id in administrators - {invitation.inviter_id, invitation.user_id}
    )


def _shown(tx: Transaction, actor: Actor, invitation: Invitation, now: Instant) -> Shown:
    user = members.user(tx, invitation.user_id)
    assert user is not None  # a foreign key refers to the user
    inviter, confirmer = (
        None if user_id is None else members.user(tx, user_id)
        for user_id in (invitation.inviter_id, invitation.confirmer_id)
    )
    return Shown(
        user,
        inviter,
        confirmer,
        invitation.created_at,
        invitation.expires_at,
        invitation.waits,
        _may_confirm(tx, actor, invitation, now),
    )


def _of_account(tx: Transaction, actor: Actor, user_id: int) -> User:
    user = members.user(tx, user_id)
    if user is None or user.account_id != actor.account_id:
        raise NotFound(Kind.USERS)
    return user
