"""The users of an account, for the API, the pages and the command line."""

from typing import Final

from msgspec import UNSET
from msgspec.structs import asdict, replace

from healthreports.core.access import SEES_ACCOUNT
from healthreports.core.errors import Fault, Invalid, NotFound, Problem
from healthreports.core.model import (
    AccountMembership,
    Actor,
    Instant,
    User,
    later,
)
from healthreports.core.rules.people import (
    check_membership,
    check_names,
)
from healthreports.core.rules.reading import Sent, is_address, kept_address
from healthreports.core.vocabulary import (
    AccountPermission,
    AuditAction,
    Scope,
)
from healthreports.service.auditing import note
from healthreports.service.lookup import demand_administrator, demand_recent_proof, visible
from healthreports.store.engine.database import Transaction
from healthreports.store.lists import pages as records
from healthreports.store.people import members


def create_membership(tx: Transaction, actor: Actor, sent: Sent, now: Instant) -> AccountMembership:
    """Store a new user of the account. Returns the membership.

    Raises Forbidden, ProofNeeded, Invalid with every fault.
    """
    demand_administrator(actor)
    draft, problems = check_membership(sent, new=True)
    if problems:
        raise Invalid(problems)
    assert draft.full_name is not UNSET
    assert draft.email_address is not UNSET
    assert draft.permission is not UNSET
    if draft.permission in SEES_ACCOUNT:
        demand_recent_proof(actor, now)
    user = create_user(
        tx,
        actor.account_id,
        full_name=draft.full_name,
        email_address=draft.email_address,
        permission=draft.permission,
        now=now,
    )
    if draft.disabled is True:
        disable(tx, user, now, disabled=True)
    return members.membership(tx, user.id)


def change_membership(
    tx: Transaction, actor: Actor, membership_id: int, sent: Sent, now: Instant
) -> AccountMembership:
    """Change the permission of a user, or disable or enable the user.

    Returns the membership as it is now. Raises NotFound, Forbidden, ProofNeeded. Raises Invalid
    with every fault, or if no administrator would be left.
    """
    membership = visible(tx, actor, AccountMembership, membership_id)
    demand_administrator(actor)
    draft, problems = check_membership(sent, new=False)
    if problems:
        raise Invalid(problems)
    changed = membership
    if draft.permission is not UNSET:
        changed = replace(changed, permission=draft.permission)
    if draft.disabled is not UNSET:
        disabled_at = (membership.disabled_at or now) if draft.disabled else None
        changed = replace(changed, disabled_at=disabled_at)
    if changed != membership:
        is_let_back_in = membership.disabled_at is not None and changed.disabled_at is None
        if is_let_back_in or {membership.permission, changed.permission} & SEES_ACCOUNT:
            demand_recent_proof(actor, now)
        changed = store_membership(tx, changed, now)
    return changed


def disable_membership(
    tx: Transaction, actor: Actor, membership_id: int, now: Instant
) -> AccountMembership:
    """Disable a user. Returns the changed membership. Raises what `change_membership` raises."""
    return change_membership(tx, actor, membership_id, {"disabled": True}, now)


def enable_membership(
    tx: Transaction, actor: Actor, membership_id: int, now: Instant
) -> AccountMembership:
    """Enable a user. Returns the changed membership. Raises what `change_membership` raises."""
    return change_membership(tx, actor, membership_id, {"disabled": False}, now)


def store_membership(
    tx: Transaction, changed: AccountMembership, now: Instant
) -> AccountMembership:
    """Store a changed membership. Returns it as it is now.

    Raises Invalid if no administrator would be left.
    """
    administers = (
        changed.permission is AccountPermission.ADMINISTRATOR and changed.disabled_at is None
    )
    if not administers and members.administrators(tx, changed.account_id) == {changed.user_id}:
        field = "permission" if changed.disabled_at is None else "disabled"
        raise Invalid([Problem(field, Fault.LAST_ADMINISTRATOR)])
    stored = replace(changed, updated_at=later(now, changed.updated_at))
    _note_membership(tx, members.membership(tx, changed.user_id), stored)
    members.replace_membership(tx, stored)
    return stored


def _note_membership(tx: Transaction, before: AccountMembership, after: AccountMembership) -> None:
    account_id, user_id = after.account_id, after.user_id
    if after.permission != before.permission:
        was, now_is = {"permission": before.permission}, {"permission": after.permission}
        note(tx, account_id, AuditAction.USER_PERMITTED, user_id, was, now_is)
    if (after.disabled_at is None) != (before.disabled_at is None):
        is_enabled = after.disabled_at is None
        action = AuditAction.USER_ENABLED if is_enabled else AuditAction.USER_DISABLED
        note(tx, account_id, action, user_id)


def create_user(
    tx: Transaction,
    account_id: int,
    *,
    full_name: str,
    email_address: str,
    permission: AccountPermission,
    now: Instant,
    headline: str | None = None,
    photo_path: str | None = None,
) -> User:
    """Store a new user of an account. Addresses are stored in lower case.

    Another account may have a user with the same address; neither account can see that. Raises
    Invalid.
    """
    demand_names(full_name=full_name, email_address=email_address)
    email_address = kept_address(email_address)
    if not is_address(email_address):
        raise Invalid([Problem("email_address", Fault.NOT_AN_ADDRESS)])
    if members.user_by_email(tx, account_id, email_address) is not None:
        raise Invalid([Problem("email_address", Fault.TAKEN)])
    user = User(
        id=0,
        account_id=account_id,
        full_name=full_name,
        email_address=email_address,
        headline=headline,
        photo_path=photo_path,
    )
    user = replace(user, id=members.insert_user(tx, user, permission, now))
    after = {
        "full_name": full_name,
        "email_address": email_address,
        "headline": headline,
        "permission": permission,
    }
    note(tx, account_id, AuditAction.USER_CREATED, user.id, after=after)
    return user


def named_user(tx: Transaction, email_address: str, account_id: int | None = None) -> User:
    """The user with that address in an account; without an account, the only user who has it.

    Raises Invalid.
    """
    if account_id is not None:
        return user_of_account(tx, account_id, email_address, "user_id")
    found = members.users_by_email(tx, kept_address(email_address))
    if len(found) != 1:
        fault = Fault.IN_SEVERAL_ACCOUNTS if found else Fault.UNKNOWN_OBJECT
        raise Invalid([Problem("user_id", fault)])
    return found[0]


def user_of_account(tx: Transaction, account_id: int, email_address: str, field: str) -> User:
    """The user of an account with that address. Raises Invalid with a problem at `field`."""
    user = members.user_by_email(tx, account_id, kept_address(email_address))
    if user is None:
        raise Invalid([Problem(field, Fault.UNKNOWN_OBJECT)])
    return user


def visible_by_email(tx: Transaction, actor: Actor, email_address: str) -> int:
    """The id of the user with that address; 0 if there is none that `actor` may see."""
    user = members.user_by_email(tx, actor.account_id, kept_address(email_address))
    if user is None:
        return 0
    try:
        return visible(tx, actor, User, user.id).id
    except NotFound:
        return 0


def of_account(tx: Transaction, actor: Actor, user_ids: set[int]) -> dict[int, User]:
    """The users of the account with these ids, as a dict by id."""
    return records.by_ids(tx, User, actor.account_id, user_ids)


def reader(tx: Transaction, user_id: int) -> Actor | None:
    """The user as an actor who may only read; None if the user is disabled."""
    membership = members.membership(tx, user_id)
    if membership.disabled_at is not None:
        return None
    return Actor(
        user_id=user_id,
        account_id=membership.account_id,
        permission=membership.permission,
        token_id=None,
        scopes=frozenset({Scope.READ}),
        last_used_at=None,
    )


def is_let_in(tx: Transaction, user_id: int) -> bool:
    """Whether the user is not disabled."""
    return members.membership(tx, user_id).disabled_at is None


def own_user(tx: Transaction, actor: Actor) -> User:
    """The user that `actor` is."""
    user = members.user(tx, actor.user_id)
    assert user is not None  # the user is signed in
    return user


# Nobody needs more names.
_MOST_TO_ASK: Final = 5


def whom_to_ask(tx: Transaction, actor: Actor) -> list[str]:
    """The names of some other administrators, whom a user without permission can ask."""
    ids = sorted(members.administrators(tx, actor.account_id) - {actor.user_id})
    found = of_account(tx, actor, set(ids[:_MOST_TO_ASK]))
    return sorted(one.full_name for one in found.values())


def change_profile(
    tx: Transaction, actor: Actor, full_name: str, headline: str, now: Instant
) -> None:
    """Change the name and headline of `actor`; blank means no headline. Raises Invalid."""
    full_name, headline = full_name.strip(), headline.strip()
    demand_names(full_name=full_name, **({"headline": headline} if headline else {}))
    user = own_user(tx, actor)
    changed = replace(user, full_name=full_name, headline=headline or None)
    members.replace_user(tx, user, changed, now)
    if changed != user:
        before, after = asdict(user), asdict(changed)
        note(tx, actor.account_id, AuditAction.USER_CHANGED, user.id, before, after)


def change_permission(
    tx: Transaction, user: User, permission: AccountPermission, now: Instant
) -> None:
    """Change the account permission of `user`. Raises Invalid for the last administrator."""
    membership = members.membership(tx, user.id)
    store_membership(tx, replace(membership, permission=permission), now)


def disable(tx: Transaction, user: User, now: Instant, *, disabled: bool) -> None:
    """Disable or enable a user; the tokens of a disabled user stop working at once.

    Raises Invalid for the last administrator: nobody could enable a user any more.
    """
    membership = members.membership(tx, user.id)
    store_membership(tx, replace(membership, disabled_at=now if disabled else None), now)


def demand_names(**names: str) -> None:
    """Raise Invalid unless each text, by attribute, can be a name."""
    if problems := check_names(**names):
        raise Invalid(problems)
