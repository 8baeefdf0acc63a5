"""What an administrator, or an admin of a workspace, manages over the API.

The same as `service/people/members`, but as an actor and from a body.
"""

from typing import cast

from msgspec import UNSET
from msgspec.structs import replace

from healthreports.core.access import (
    MAY_CREATE_WORKSPACES,
    NEEDS_CREATOR,
    Action,
)
from healthreports.core.errors import Forbidden, Invalid
from healthreports.core.model import (
    AccountMembership,
    Actor,
    Instant,
    Participation,
    User,
    Workspace,
)
from healthreports.core.rules.people import check_membership, check_participation, check_workspace
from healthreports.core.rules.reading import Sent, values_sent
from healthreports.core.vocabulary import Kind, ParticipationPermission
from healthreports.service.lookup import demand, demand_administrator, demand_in, seen, visible
from healthreports.service.people import members as management
from healthreports.store.engine.database import Transaction
from healthreports.store.people import members as people


def create_workspace(tx: Transaction, actor: Actor, sent: Sent, now: Instant) -> Workspace:
    """Store a new workspace, of which `actor` becomes an admin and team lead. Returns it.

    Raises Forbidden, Invalid with every fault.
    """
    if actor.permission not in MAY_CREATE_WORKSPACES:
        raise Forbidden(NEEDS_CREATOR)
    draft, problems = check_workspace(sent, new=True)
    if problems:
        raise Invalid(problems)
    assert draft.title is not UNSET
    creator = cast("User", visible(tx, actor, Kind.USERS, actor.user_id))
    workspace_id = management.create_workspace(tx, creator, draft.title, now)
    made = people.workspace(tx, actor.account_id, workspace_id)
    assert made is not None
    workspace = replace(made, **values_sent(draft))
    people.replace_workspace(tx, workspace)
    admin = ParticipationPermission.ADMIN
    management.join(tx, workspace_id, creator, admin, now, team_lead=True)
    return workspace


def change_workspace(
    tx: Transaction, actor: Actor, workspace_id: int, sent: Sent, now: Instant
) -> Workspace:
    """Change what was sent of a workspace. Returns what it is now.

    An archived one can only be brought back, or changed with that.
    Raises NotFound, Forbidden, Invalid with every fault.
    """
    workspace = cast("Workspace", visible(tx, actor, Kind.WORKSPACES, workspace_id))
    draft, problems = check_workspace(sent, new=False)
    comes_back = draft.archived is False
    changed_in = replace(workspace, archived=False) if comes_back else workspace
    demand_in(tx, actor, Action.CHANGE_WORKSPACE, changed_in)
    if problems:
        raise Invalid(problems)
    changed = replace(workspace, **values_sent(draft))
    if changed != workspace:
        changed = replace(changed, updated_at=now)
        people.replace_workspace(tx, changed)
    return changed


def create_participation(tx: Transaction, actor: Actor, sent: Sent, now: Instant) -> Participation:
    """Let a user whom `actor` sees participate in a workspace. Returns the participation.

    Raises Forbidden, Invalid with every fault.
    """
    draft, problems = check_participation(sent, new=True)
    seen(
        "workspace_id",
        draft.workspace_id,
        problems,
        lambda sent_id: demand(tx, actor, Action.CHANGE_WORKSPACE, sent_id),
    )
    user = seen(
        "user_id",
        draft.user_id,
        problems,
        lambda sent_id: visible(tx, actor, Kind.USERS, sent_id),
    )
    if problems:
        raise Invalid(problems)
    values = values_sent(draft)
    del values["user_id"]
    workspace_id, permission = values.pop("workspace_id"), values.pop("permission")
    return management.join(tx, workspace_id, cast("User", user), permission, now, **values)


def change_participation(
    tx: Transaction, actor: Actor, participation_id: int, sent: Sent, now: Instant
) -> Participation:
    """Change what was sent of a participation; who and where stay. Returns what it is now.

    Raises NotFound, Forbidden, Invalid with every fault.
    """
    participation = _participation(tx, actor, participation_id)
    draft, problems = check_participation(sent, new=False)
    if problems:
        raise Invalid(problems)
    changed = replace(participation, **values_sent(draft))
    if changed != participation:
        changed = replace(changed, updated_at=now)
        people.replace_participation(tx, changed)
    return changed


def delete_participation(tx: Transaction, actor: Actor, participation_id: int) -> None:
    """Let a user no longer participate. Raises NotFound, Forbidden."""
    people.delete_participation(tx, _participation(tx, actor, participation_id))


def create_membership(tx: Transaction, actor: Actor, sent: Sent, now: Instant) -> AccountMembership:
    """Store a new user of the account. Returns its membership.

    Raises Forbidden, Invalid with every fault.
    """
    demand_administrator(actor)
    draft, problems = check_membership(sent, new=True)
    if problems:
        raise Invalid(problems)
    assert draft.full_name is not UNSET
    assert draft.email_address is not UNSET
    assert draft.permission is not UNSET
    user = management.create_user(
        tx,
        actor.account_id,
        full_name=draft.full_name,
        email_address=draft.email_address,
        permission=draft.permission,
        now=now,
    )
    if draft.disabled is True:
        management.disable(tx, user, now, disabled=True)
    return people.membership(tx, user.id)


def change_membership(
    tx: Transaction, actor: Actor, membership_id: int, sent: Sent, now: Instant
) -> AccountMembership:
    """Change a user's permission, or disable it. Returns what the membership is now.

    Raises NotFound, Forbidden, Invalid with every fault, or where nobody would be left to
    administer the account.
    """
    found = visible(tx, actor, Kind.ACCOUNT_MEMBERSHIPS, membership_id)
    demand_administrator(actor)
    membership = cast("AccountMembership", found)
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
        changed = management.change_membership(tx, changed, now)
    return changed


def _participation(tx: Transaction, actor: Actor, participation_id: int) -> Participation:
    found = cast("Participation", visible(tx, actor, Kind.PARTICIPATIONS, participation_id))
    demand(tx, actor, Action.CHANGE_WORKSPACE, found.workspace_id)
    return found
