"""Workspaces and who participates in them: over the API, in the pages and from the command line."""

from msgspec import UNSET
from msgspec.structs import replace

from healthreports.core.access import (
    MAY_CREATE_WORKSPACES,
    NEEDS_CREATOR,
    Action,
)
from healthreports.core.errors import Fault, Forbidden, Invalid, Problem
from healthreports.core.model import (
    Actor,
    Instant,
    Participation,
    User,
    Workspace,
    not_before,
)
from healthreports.core.rules.people import (
    check_participation,
    check_workspace,
)
from healthreports.core.rules.reading import Sent, values_sent
from healthreports.core.vocabulary import (
    ParticipationPermission,
    Side,
)
from healthreports.service.lookup import demand, demand_in, seen, visible
from healthreports.service.people.members import demand_names
from healthreports.store.engine.database import Transaction
from healthreports.store.people import workspaces

# A workspace is seen by those who were let in, and by who sees the whole account.
DEFAULT_ACCESS_LEVEL = "invitation"


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
    creator = visible(tx, actor, User, actor.user_id)
    workspace_id = make_workspace(tx, creator, draft.title, now)
    made = workspaces.workspace(tx, actor.account_id, workspace_id)
    assert made is not None
    workspace = replace(made, **values_sent(draft))
    workspaces.replace_workspace(tx, workspace)
    admin = ParticipationPermission.ADMIN
    join(tx, workspace_id, creator, admin, now, team_lead=True)
    return workspace


def change_workspace(
    tx: Transaction, actor: Actor, workspace_id: int, sent: Sent, now: Instant
) -> Workspace:
    """Change what was sent of a workspace. Returns what it is now.

    An archived one can only be brought back, or changed with that.
    Raises NotFound, Forbidden, Invalid with every fault.
    """
    workspace = visible(tx, actor, Workspace, workspace_id)
    draft, problems = check_workspace(sent, new=False)
    comes_back = draft.archived is False
    changed_in = replace(workspace, archived=False) if comes_back else workspace
    demand_in(tx, actor, Action.CHANGE_WORKSPACE, changed_in)
    if problems:
        raise Invalid(problems)
    changed = replace(workspace, **values_sent(draft))
    if changed != workspace:
        changed = replace(changed, updated_at=not_before(now, workspace.updated_at))
        workspaces.replace_workspace(tx, changed)
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
        lambda sent_id: visible(tx, actor, User, sent_id),
    )
    if problems or user is None:
        raise Invalid(problems)
    values = values_sent(draft)
    del values["user_id"]
    workspace_id, permission = values.pop("workspace_id"), values.pop("permission")
    return join(tx, workspace_id, user, permission, now, **values)


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
        changed = replace(changed, updated_at=not_before(now, participation.updated_at))
        workspaces.replace_participation(tx, changed)
    return changed


def delete_participation(tx: Transaction, actor: Actor, participation_id: int) -> None:
    """Let a user no longer participate. Raises NotFound, Forbidden."""
    workspaces.delete_participation(tx, _participation(tx, actor, participation_id))


def _participation(tx: Transaction, actor: Actor, participation_id: int) -> Participation:
    found = visible(tx, actor, Participation, participation_id)
    demand(tx, actor, Action.CHANGE_WORKSPACE, found.workspace_id)
    return found


def make_workspace(
    tx: Transaction, creator: User, title: str, now: Instant, description: str | None = None
) -> int:
    """Store a new workspace of the creator's account. Returns its id. Raises Invalid."""
    demand_names(title=title)
    return workspaces.insert_workspace(
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
    if workspaces.workspace(tx, user.account_id, workspace_id) is None:
        raise Invalid([Problem("workspace_id", Fault.UNKNOWN_OBJECT)])
    if workspaces.participation(tx, user.account_id, workspace_id, user.id) is not None:
        raise Invalid([Problem("user_id", Fault.TAKEN)])
    return workspaces.insert_participation(
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
    updated_at = not_before(now, workspace.updated_at)
    workspaces.replace_workspace(tx, replace(workspace, archived=archived, updated_at=updated_at))


def show_to_clients(tx: Transaction, workspace_id: int, now: Instant, *, shown: bool) -> None:
    """Let the client side of a workspace see its status reports, or not. Raises Invalid."""
    workspace = _workspace(tx, workspace_id)
    updated_at = not_before(now, workspace.updated_at)
    changed = replace(workspace, clients_see_status_reports=shown, updated_at=updated_at)
    workspaces.replace_workspace(tx, changed)


def _workspace(tx: Transaction, workspace_id: int) -> Workspace:
    account_id = workspaces.account_of_workspace(tx, workspace_id)
    if account_id is None:
        raise Invalid([Problem("workspace_id", Fault.UNKNOWN_OBJECT)])
    workspace = workspaces.workspace(tx, account_id, workspace_id)
    assert workspace is not None  # it was just there
    return workspace
