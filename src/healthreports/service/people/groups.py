"""Groups of workspaces; a group that is a company is a client. Contract: 7.6."""

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from healthreports.core.access import MAY_MANAGE_GROUPS, NEEDS_GROUP_MANAGER
from healthreports.core.errors import Fault, Forbidden, Invalid, NotFound, Problem
from healthreports.core.model import Actor, Instant, Workspace, WorkspaceGroup, later
from healthreports.core.rules.people import check_group
from healthreports.core.rules.reading import Sent, values_sent
from healthreports.core.vocabulary import AuditAction
from healthreports.service.auditing import note
from healthreports.service.lookup import visible
from healthreports.store.engine.database import Transaction
from healthreports.store.people import groups


def create_group(tx: Transaction, actor: Actor, sent: Sent, now: Instant) -> WorkspaceGroup:
    """Store a new group with its first workspaces. Returns it.

    Raises Forbidden, Invalid with every fault.
    """
    _demand_manager(actor)
    draft, change, problems = check_group(sent, new=True)
    _demand_workspaces(tx, actor, "add_workspace_ids", change.add, problems)
    _demand_free(tx, actor, draft.name, problems)
    if problems:
        raise Invalid(problems)
    blank = WorkspaceGroup(
        id=0,
        account_id=actor.account_id,
        name="",
        company=False,
        notes=None,
        contact_name=None,
        email=None,
        website=None,
        created_at=now,
        updated_at=now,
    )
    group = groups.insert_group(tx, replace(blank, **values_sent(draft)))
    groups.put_workspaces(tx, group, change.add)
    after = _said(group) | {"added": change.add}
    note(tx, group.account_id, AuditAction.GROUP_CREATED, group.id, after=after)
    return group


def change_group(
    tx: Transaction, actor: Actor, group_id: int, sent: Sent, now: Instant
) -> WorkspaceGroup:
    """Change the fields of a group that were sent, and add or remove workspaces.

    Returns the group as it is now. Raises NotFound, Forbidden, Invalid with every fault.
    """
    group = visible(tx, actor, WorkspaceGroup, group_id)
    _demand_manager(actor)
    draft, change, problems = check_group(sent, new=False)
    for name, ids in (("add_workspace_ids", change.add), ("remove_workspace_ids", change.remove)):
        _demand_workspaces(tx, actor, name, ids, problems)
    _demand_free(tx, actor, draft.name, problems, but=group)
    if problems:
        raise Invalid(problems)
    changed = replace(group, **values_sent(draft))
    if changed != group:
        changed = replace(changed, updated_at=later(now, group.updated_at))
        groups.replace_group(tx, group, changed)
    groups.put_workspaces(tx, group, change.add)
    groups.drop_workspaces(tx, group, change.remove)
    if changed != group or change.add or change.remove:
        after = _said(changed) | {"added": change.add, "removed": change.remove}
        before = _said(group) | {"added": (), "removed": ()}
        note(tx, group.account_id, AuditAction.GROUP_CHANGED, group.id, before, after)
    return changed


def named(
    tx: Transaction, actor: Actor, name: str, now: Instant, *, company: bool
) -> WorkspaceGroup:
    """The group with that name, ignoring case; it is created if there is none.

    Raises Forbidden. Raises Invalid if the name is not valid, or if a group of the other kind has
    it.
    """
    _demand_manager(actor)
    like = groups.like(tx, actor.account_id, name)
    found = next((one for one in like if one.name.casefold() == name.casefold()), None)
    if found is None:
        return create_group(tx, actor, {"name": name, "company": company}, now)
    if found.company != company:
        raise Invalid([Problem("name", Fault.TAKEN)])
    return found


def of_workspace(tx: Transaction, workspace: Workspace) -> list[WorkspaceGroup]:
    """The groups of a workspace, ordered by name. Each user who sees it sees them (7.6)."""
    return sorted(groups.of_workspace(tx, workspace), key=lambda one: (one.name, one.id))


def delete_group(tx: Transaction, actor: Actor, group_id: int) -> None:
    """Delete a group; its workspaces stay. Raises NotFound, Forbidden."""
    group = visible(tx, actor, WorkspaceGroup, group_id)
    _demand_manager(actor)
    groups.delete_group(tx, group)
    note(tx, group.account_id, AuditAction.GROUP_DELETED, group.id, before=_said(group))


def linked(
    tx: Transaction,
    actor: Actor,
    group_ids: tuple[int, ...] | UnsetType,
    problems: list[Problem],
) -> dict[int, WorkspaceGroup] | None:
    """The groups that were sent for a workspace, by id; None if not sent. Raises Forbidden."""
    if group_ids is UNSET:
        return None
    _demand_manager(actor)
    found = {}
    for group_id in group_ids:
        try:
            found[group_id] = visible(tx, actor, WorkspaceGroup, group_id)
        except NotFound:
            problems.append(Problem("workspace_group_ids", Fault.UNKNOWN_OBJECT))
    return found


def set_groups(tx: Transaction, workspace: Workspace, wanted: dict[int, WorkspaceGroup]) -> None:
    """Put the workspace into exactly these groups."""
    having = {one.id: one for one in groups.of_workspace(tx, workspace)}
    for group_id, group in having.items():
        if group_id not in wanted:
            groups.drop_workspaces(tx, group, (workspace.id,))
            _note_place(tx, group, workspace, is_in=False)
    for group_id, group in wanted.items():
        if group_id not in having:
            groups.put_workspaces(tx, group, (workspace.id,))
            _note_place(tx, group, workspace, is_in=True)


def _note_place(
    tx: Transaction, group: WorkspaceGroup, workspace: Workspace, *, is_in: bool
) -> None:
    after = {"added" if is_in else "removed": workspace.id}
    note(tx, group.account_id, AuditAction.GROUP_CHANGED, group.id, after=after)


def _said(group: WorkspaceGroup) -> dict[str, object]:
    return {"name": group.name, "company": group.company}


def _demand_manager(actor: Actor) -> None:
    if actor.permission not in MAY_MANAGE_GROUPS:
        raise Forbidden(NEEDS_GROUP_MANAGER)


def _demand_workspaces(
    tx: Transaction, actor: Actor, name: str, ids: tuple[int, ...], problems: list[Problem]
) -> None:
    """Add a problem if `actor` may not see a workspace."""
    try:
        for workspace_id in ids:
            visible(tx, actor, Workspace, workspace_id)
    except NotFound:
        problems.append(Problem(name, Fault.UNKNOWN_OBJECT))


def _demand_free(
    tx: Transaction,
    actor: Actor,
    name: str | UnsetType,
    problems: list[Problem],
    but: WorkspaceGroup | None = None,
) -> None:
    """Add a problem if another group than `but` has the name, ignoring case."""
    if name is UNSET:
        return
    others = [one for one in groups.like(tx, actor.account_id, name) if one.id != (but and but.id)]
    if any(one.name.casefold() == name.casefold() for one in others):
        problems.append(Problem("name", Fault.TAKEN))
