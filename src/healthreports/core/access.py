"""Permissions: who may do what, as one table and the function that reads it.

The contract leaves permissions to the account (5.1, 5.2). An object that an actor cannot see is
reported as not found; an object that it sees but may not change is forbidden. The services call
this module. Lists are filtered by `Reach`, so that counts include only visible records. If the
public reference does not state a rule, the rule is inferred; README lists these. A test checks
every cell of the table.
"""

from enum import StrEnum
from functools import lru_cache
from typing import Final

import msgspec

from healthreports.core.model import (
    AccountMembership,
    Actor,
    Participation,
    StatusReport,
    Workspace,
    WorkspacePermissions,
)
from healthreports.core.vocabulary import (
    AccountPermission,
    FactorDemand,
    ParticipationPermission,
    Side,
)


class Action(StrEnum):
    """An action in one workspace."""

    SEE_WORKSPACE = "see workspace"
    SEE_REPORTS = "see reports"
    SEE_VERSIONS = "see the versions of reports"
    CREATE_REPORT = "create report"
    CHANGE_REPORT = "change report"
    CHANGE_WORKSPACE = "change workspace"


class Role(StrEnum):
    """The role of an actor in a workspace, or for a report in it. An actor may have several."""

    ADMINISTRATOR = "administrator"
    REPORTS_VIEWER = "reports viewer"
    PROVIDER_ADMIN = "provider admin"
    PROVIDER_EDIT = "provider edit"
    PROVIDER_VIEW = "provider view"
    CLIENT = "client"
    CLIENT_SHOWN = "client, reports shown"
    AUTHOR = "author of the report"


_READ: Final = frozenset({Action.SEE_WORKSPACE, Action.SEE_REPORTS})
# The client side sees the current text of a report, but not its earlier versions.
_READ_ALL: Final = _READ | {Action.SEE_VERSIONS}

ALLOWED: Final[dict[Role, frozenset[Action]]] = {
    Role.ADMINISTRATOR: frozenset(Action),
    Role.REPORTS_VIEWER: _READ_ALL,
    Role.PROVIDER_ADMIN: frozenset(Action),
    Role.PROVIDER_EDIT: _READ_ALL | {Action.CREATE_REPORT},
    Role.PROVIDER_VIEW: _READ_ALL,
    Role.CLIENT: frozenset({Action.SEE_WORKSPACE}),
    Role.CLIENT_SHOWN: _READ,
    Role.AUTHOR: frozenset({Action.CHANGE_REPORT}),
}
# All actions that are allowed in an archived workspace.
ALLOWED_IN_ARCHIVE: Final = _READ_ALL

# What the actor lacks if an action is not allowed. Actions of reading are not listed: an object
# that may not be read is reported as not found.
NEEDS: Final = {
    Action.CREATE_REPORT: "creating a report needs the permission to edit in the workspace, "
    "on the provider side",
    Action.CHANGE_REPORT: "changing a report needs its creator, the admin permission in the "
    "workspace or an administrator of the account",
    Action.CHANGE_WORKSPACE: "this needs the admin permission in the workspace "
    "or an administrator of the account",
}
IN_ARCHIVE: Final = "the workspace is archived, and can only be read"
NEEDS_ADMINISTRATOR: Final = "this needs an administrator of the account"
NEEDS_GROUP_MANAGER: Final = "this needs a project lead or an administrator of the account"
NEEDS_CREATOR: Final = "creating a workspace needs a project creator or lead, or an administrator"

# Permissions in the account as a whole.
MAY_CREATE_WORKSPACES: Final = frozenset(
    {
        AccountPermission.ADMINISTRATOR,
        AccountPermission.PROJECT_LEAD,
        AccountPermission.PROJECT_CREATOR,
    }
)
MAY_MANAGE_PEOPLE: Final = frozenset({AccountPermission.ADMINISTRATOR})
MAY_MANAGE_GROUPS: Final = frozenset(
    {AccountPermission.ADMINISTRATOR, AccountPermission.PROJECT_LEAD}
)
# The permissions of a project lead or higher, in the reference's order of permissions.
IS_PROJECT_LEAD: Final = frozenset(
    {
        AccountPermission.ADMINISTRATOR,
        AccountPermission.REPORTS_VIEWER,
        AccountPermission.PROJECT_LEAD,
    }
)
# The permissions that see everything in the account.
SEES_ACCOUNT: Final = frozenset({AccountPermission.ADMINISTRATOR, AccountPermission.REPORTS_VIEWER})

_OF_ACCOUNT: Final = {
    AccountPermission.ADMINISTRATOR: Role.ADMINISTRATOR,
    AccountPermission.REPORTS_VIEWER: Role.REPORTS_VIEWER,
}
_OF_PROVIDER: Final = {
    ParticipationPermission.ADMIN: Role.PROVIDER_ADMIN,
    ParticipationPermission.EDIT: Role.PROVIDER_EDIT,
    ParticipationPermission.VIEW: Role.PROVIDER_VIEW,
}


class Reach(msgspec.Struct, frozen=True):
    """The records that an actor sees: those of the whole account, or those of one `user_id`.

    With a `user_id`, only the records that this user may see are visible.
    """

    account_id: int
    user_id: int | None


def roles_of(
    actor: Actor,
    workspace: Workspace,
    participation: Participation | None,
    report: StatusReport | None = None,
) -> frozenset[Role]:
    """The roles of `actor`, who has `participation` in `workspace`, also for a `report` there."""
    found = set()
    if actor.permission in _OF_ACCOUNT:
        found.add(_OF_ACCOUNT[actor.permission])
    if participation is not None and participation.side is Side.PROVIDER:
        found.add(_OF_PROVIDER[participation.permission])
    elif participation is not None:
        shown = workspace.clients_see_status_reports
        found.add(Role.CLIENT_SHOWN if shown else Role.CLIENT)
    if report is not None and report.creator_id == actor.user_id:
        found.add(Role.AUTHOR)
    return frozenset(found)


def allowed(found: frozenset[Role], *, archived: bool) -> frozenset[Action]:
    """The actions that any of the roles `found` allows, in an archived workspace or another.

    Authors who can no longer see the reports may not change their own reports either.
    """
    actions = frozenset[Action]().union(*(ALLOWED[standing] for standing in found))
    if Action.SEE_REPORTS not in actions:
        actions -= {Action.CHANGE_REPORT}
    return actions & ALLOWED_IN_ARCHIVE if archived else actions


def may(
    actor: Actor,
    action: Action,
    workspace: Workspace,
    participation: Participation | None,
    report: StatusReport | None = None,
) -> bool:
    """Whether `actor` may do `action` in `workspace`, for `report` if the action is on one."""
    found = roles_of(actor, workspace, participation, report)
    return action in allowed(found, archived=workspace.archived)


def permissions_in(
    actor: Actor, workspace: Workspace, participation: Participation | None
) -> WorkspacePermissions:
    """The role flags and permissions of `actor`, who has `participation` in the workspace (7.1)."""
    return _permissions(
        participation is not None,
        participation is not None and participation.team_lead,
        participation is not None and participation.side is Side.CLIENT,
        may(actor, Action.CHANGE_WORKSPACE, workspace, participation),
    )


@lru_cache(maxsize=16)
def _permissions(*flags: bool) -> WorkspacePermissions:
    """One shared value for each combination, so that `contract/envelope` encodes it only once."""
    return WorkspacePermissions(*flags)


def can_edit(participation: Participation) -> bool:
    """Whether a participant may write reports in its workspace (7.3)."""
    role = _OF_PROVIDER[participation.permission]
    return participation.side is Side.PROVIDER and Action.CREATE_REPORT in ALLOWED[role]


def is_administrator(membership: AccountMembership) -> bool:
    """Whether the user with this membership is an administrator of the account (7.4)."""
    return membership.permission in MAY_MANAGE_PEOPLE


def is_project_lead(membership: AccountMembership) -> bool:
    """Whether the user with this membership is at least a project lead (7.4)."""
    return membership.permission in IS_PROJECT_LEAD


def can_view_reports(membership: AccountMembership) -> bool:
    """Whether the user with this membership sees all reports of the account (7.4)."""
    return membership.permission in SEES_ACCOUNT


def can_create_workspace(membership: AccountMembership) -> bool:
    """Whether the user with this membership may create workspaces (7.4)."""
    return membership.permission in MAY_CREATE_WORKSPACES


def demands_factor(demand: FactorDemand, permission: AccountPermission) -> bool:
    """Whether an account with this `demand` requires a second factor of users with `permission`."""
    return demand is FactorDemand.EVERYBODY or (
        demand is FactorDemand.ADMINISTRATORS and permission in MAY_MANAGE_PEOPLE
    )


def reach(actor: Actor) -> Reach:
    """What `actor` sees: the whole account, or what it participates in."""
    everything = actor.permission in SEES_ACCOUNT
    return Reach(actor.account_id, None if everything else actor.user_id)
