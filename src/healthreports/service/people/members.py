"""Accounts, users, workspaces and who participates in them, as the command line manages them."""

from msgspec.structs import replace

from healthreports.core.errors import Fault, Invalid, Problem
from healthreports.core.model import (
    AccountMembership,
    Actor,
    Instant,
    Participation,
    User,
    Workspace,
)
from healthreports.core.rules.people import check_names
from healthreports.core.rules.reading import is_address, kept_address
from healthreports.core.vocabulary import (
    AccountPermission,
    ParticipationPermission,
    Side,
)
from healthreports.store.engine.database import Transaction
from healthreports.store.people import members as people

# A workspace is seen by those who were let in, and by who sees the whole account.
DEFAULT_ACCESS_LEVEL = "invitation"


def create_account(tx: Transaction, title: str, now: Instant) -> int:
    """Store a new account. Returns its id. Raises Invalid."""
    _demand_names(title=title)
    return people.insert_account(tx, title, now)


def accounts(tx: Transaction) -> list[tuple[int, str]]:
    """The id and title of every account."""
    return people.accounts_by_id(tx)


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
    """Store a new user of an account. Addresses are kept in lower case. Raises Invalid."""
    _demand_names(full_name=full_name, email_address=email_address)
    email_address = kept_address(email_address)
    if not is_address(email_address):
        raise Invalid([Problem("email_address", Fault.NOT_AN_ADDRESS)])
    if account_id not in dict(people.accounts_by_id(tx)):
        raise Invalid([Problem("account_id", Fault.UNKNOWN_OBJECT)])
    if people.user_by_email(tx, email_address) is not None:
        raise Invalid([Problem("email_address", Fault.TAKEN)])
    user = User(
        id=0,
        account_id=account_id,
        full_name=full_name,
        email_address=email_address,
        headline=headline,
        photo_path=photo_path,
    )
    return replace(user, id=people.insert_user(tx, user, permission, now))


def user_by_email(tx: Transaction, email_address: str) -> User:
    """The user with that address. Raises Invalid."""
    user = people.user_by_email(tx, kept_address(email_address))
    if user is None:
        raise Invalid([Problem("user_id", Fault.UNKNOWN_OBJECT)])
    return user


def user_of_account(tx: Transaction, account_id: int, email_address: str, field: str) -> User:
    """The user of an account with that address. Raises Invalid at `field`, of any other too."""
    user = people.user_by_email(tx, kept_address(email_address))
    if user is None or user.account_id != account_id:
        raise Invalid([Problem(field, Fault.UNKNOWN_OBJECT)])
    return user


def is_let_in(tx: Transaction, user_id: int) -> bool:
    """Whether the user is not disabled."""
    return people.membership(tx, user_id).disabled_at is None


def own_user(tx: Transaction, actor: Actor) -> User:
    """The user that `actor` is."""
    user = people.user(tx, actor.user_id)
    assert user is not None  # it was let in
    return user


def change_profile(tx: Transaction, actor: Actor, full_name: str, headline: str) -> None:
    """Give oneself another name or headline; a blank headline is none. Raises Invalid."""
    full_name, headline = full_name.strip(), headline.strip()
    _demand_names(full_name=full_name, **({"headline": headline} if headline else {}))
    changed = replace(own_user(tx, actor), full_name=full_name, headline=headline or None)
    people.replace_user(tx, changed)


def account_title(tx: Transaction, actor: Actor) -> str:
    """What the account of `actor` is called."""
    return people.account_title(tx, actor.account_id)


def create_workspace(
    tx: Transaction, creator: User, title: str, now: Instant, description: str | None = None
) -> int:
    """Store a new workspace of the creator's account. Returns its id. Raises Invalid."""
    _demand_names(title=title)
    return people.insert_workspace(
        tx,
        Workspace(
            id=0,
            account_id=creator.account_id,
            creator_id=creator.id,
            title=title,
            description=description,
            archived=False,
            access_level=DEFAULT_ACCESS_LEVEL,
            clients_see_status_reports=False,
            start_date=None,
            due_date=None,
            created_at=now,
            updated_at=now,
        ),
    )


def join(
    tx: Transaction,
    workspace_id: int,
    user: User,
    permission: ParticipationPermission,
    now: Instant,
    *,
    side: Side = Side.PROVIDER,
    team_lead: bool = False,
) -> Participation:
    """Let `user` participate in a workspace of its own account. Returns the participation.

    Raises Invalid.
    """
    if people.workspace(tx, user.account_id, workspace_id) is None:
        raise Invalid([Problem("workspace_id", Fault.UNKNOWN_OBJECT)])
    if people.participation(tx, user.account_id, workspace_id, user.id) is not None:
        raise Invalid([Problem("user_id", Fault.TAKEN)])
    return people.insert_participation(
        tx,
        Participation(
            id=0,
            account_id=user.account_id,
            workspace_id=workspace_id,
            user_id=user.id,
            side=side,
            permission=permission,
            team_lead=team_lead,
            created_at=now,
            updated_at=now,
        ),
    )


def archive(tx: Transaction, workspace_id: int, now: Instant, *, archived: bool) -> None:
    """Archive a workspace, or bring it back. Raises Invalid."""
    workspace = _workspace(tx, workspace_id)
    people.replace_workspace(tx, replace(workspace, archived=archived, updated_at=now))


def show_to_clients(tx: Transaction, workspace_id: int, now: Instant, *, shown: bool) -> None:
    """Let the client side of a workspace see its status reports, or not. Raises Invalid."""
    workspace = _workspace(tx, workspace_id)
    changed = replace(workspace, clients_see_status_reports=shown, updated_at=now)
    people.replace_workspace(tx, changed)


def change_permission(
    tx: Transaction, user: User, permission: AccountPermission, now: Instant
) -> None:
    """Give `user` another permission in its account. Raises Invalid for the last administrator."""
    membership = people.membership(tx, user.id)
    change_membership(tx, replace(membership, permission=permission), now)


def disable(tx: Transaction, user: User, now: Instant, *, disabled: bool) -> None:
    """Stop the tokens of `user` at once, or let them work again. Raises Invalid.

    The last administrator cannot be disabled: nobody could bring anybody back.
    """
    membership = people.membership(tx, user.id)
    change_membership(tx, replace(membership, disabled_at=now if disabled else None), now)


def change_membership(
    tx: Transaction, changed: AccountMembership, now: Instant
) -> AccountMembership:
    """Store a changed membership. Returns it as it is now.

    Raises Invalid where it would leave nobody to administer.
    """
    administers = (
        changed.permission is AccountPermission.ADMINISTRATOR and changed.disabled_at is None
    )
    if not administers and people.administrators(tx, changed.account_id) == {changed.user_id}:
        field = "permission" if changed.disabled_at is None else "disabled"
        raise Invalid([Problem(field, Fault.LAST_ADMINISTRATOR)])
    stored = replace(changed, updated_at=now)
    people.replace_membership(tx, stored)
    return stored


def _workspace(tx: Transaction, workspace_id: int) -> Workspace:
    account_id = people.account_of_workspace(tx, workspace_id)
    if account_id is None:
        raise Invalid([Problem("workspace_id", Fault.UNKNOWN_OBJECT)])
    workspace = people.workspace(tx, account_id, workspace_id)
    assert workspace is not None  # it was just there
    return workspace


def _demand_names(**names: str) -> None:
    if problems := check_names(**names):
        raise Invalid(problems)
