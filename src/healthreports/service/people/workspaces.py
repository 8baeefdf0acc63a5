"""Workspaces and their participations, for the API, the pages and the command line."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import UNSET
from msgspec.structs import asdict, replace

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
    WorkspaceGroup,
    later,
)
from healthreports.core.query import Filter, Page, Query, Sort, Window
from healthreports.core.rules.people import (
    WorkspaceLinks,
    check_participation,
    check_workspace,
)
from healthreports.core.rules.reading import Sent, values_sent
from healthreports.core.vocabulary import (
    MAX_BULK,
    AccessLevel,
    AuditAction,
    Kind,
    ParticipationPermission,
    Side,
)
from healthreports.core.words import fold
from healthreports.service.auditing import note
from healthreports.service.linking import attach
from healthreports.service.lookup import demand, demand_in, find, seen, visible
from healthreports.service.people import groups
from healthreports.service.people.members import demand_names, is_let_in
from healthreports.store.engine.database import Transaction
from healthreports.store.people import accounts, workspaces

# The key in a request body that holds several participations.
PARTICIPATIONS: Final = "participations"


def create_workspace(tx: Transaction, actor: Actor, sent: Sent, now: Instant) -> Workspace:
    """Store a new workspace, with `actor` as its admin and team lead. Returns it.

    Raises Forbidden, Invalid with every fault. Contract: 7.1.
    """
    if actor.permission not in MAY_CREATE_WORKSPACES:
        raise Forbidden(NEEDS_CREATOR)
    draft, links, problems = check_workspace(sent, new=True)
    lead = _lead(tx, actor, links, problems)
    grouped = groups.linked(tx, actor, links.group_ids, problems)
    if problems:
        raise Invalid(problems)
    assert draft.title is not UNSET
    creator = visible(tx, actor, User, actor.user_id)
    workspace = _store(tx, replace(_new(creator, draft.title, now), **values_sent(draft)))
    admin = ParticipationPermission.ADMIN
    side = links.creator_side
    join(tx, workspace.id, creator, admin, now, side=side, team_lead=True)
    _link(tx, workspace, links, lead, grouped, now)
    return workspace


# Archived workspaces on a page.
SHOWN: Final = 50


def archived(tx: Transaction, actor: Actor, text: str, page: int) -> Page:
    """Archived workspaces that `actor` sees, by title: those that match `text`, or all."""
    filters = [Filter("archived", "only")]
    if text:
        filters.append(Filter("matching", text))
    window = Window(SHOWN, (page - 1) * SHOWN, SHOWN, page)
    return find(tx, actor, Query(Kind.WORKSPACES, tuple(filters), Sort("title"), window))


def change_workspace(
    tx: Transaction, actor: Actor, workspace_id: int, sent: Sent, now: Instant
) -> Workspace:
    """Change the sent fields of a workspace. Returns the changed workspace.

    An archived workspace can be changed only in a request that also brings it back.
    Raises NotFound, Forbidden, Invalid with every fault. Contract: 7.1.
    """
    workspace = visible(tx, actor, Workspace, workspace_id)
    draft, links, problems = check_workspace(sent, new=False)
    comes_back = draft.archived is False
    changed_in = replace(workspace, archived=False) if comes_back else workspace
    demand_in(tx, actor, Action.CHANGE_WORKSPACE, changed_in)
    lead = _lead(tx, actor, links, problems)
    grouped = groups.linked(tx, actor, links.group_ids, problems)
    if problems:
        raise Invalid(problems)
    changed = replace(workspace, **values_sent(draft))
    if changed != workspace:
        changed = replace(changed, updated_at=later(now, workspace.updated_at))
        _replace(tx, workspace, changed)
    _link(tx, changed, links, lead, grouped, now)
    return changed


def _lead(
    tx: Transaction, actor: Actor, links: WorkspaceLinks, problems: list[Problem]
) -> User | None:
    """The user who is to lead the provider side, if one was named."""
    return seen(
        "primary_maven_id",
        links.lead_id,
        problems,
        lambda sent_id: visible(tx, actor, User, sent_id),
    )


def _link(  # noqa: PLR0917  everything that a workspace is linked to
    tx: Transaction,
    workspace: Workspace,
    links: WorkspaceLinks,
    lead: User | None,
    grouped: dict[int, WorkspaceGroup] | None,
    now: Instant,
) -> None:
    """Store the links to other objects that the request body contained."""
    if lead is not None:
        _make_lead(tx, workspace, lead, now)
    if grouped is not None:
        groups.set_groups(tx, workspace, grouped)
    if links.reference is not UNSET:
        attach(tx, workspace, links.reference, now)
        accounts.touch(tx, workspace.account_id)


def _make_lead(tx: Transaction, workspace: Workspace, user: User, now: Instant) -> None:
    """Make `user` the lead of the provider side; a user without a participation joins as an admin.

    Raises Invalid if the user is on the client side.
    """
    place = workspaces.participation(tx, workspace.account_id, workspace.id, user.id)
    if place is None:
        admin = ParticipationPermission.ADMIN
        join(tx, workspace.id, user, admin, now, team_lead=True)
    elif place.side is not Side.PROVIDER:
        raise Invalid([Problem("primary_maven_id", Fault.ON_CLIENT_SIDE)])
    elif not place.team_lead:
        _store_place(tx, replace(place, team_lead=True), now)


def create_participation(tx: Transaction, actor: Actor, sent: Sent, now: Instant) -> Participation:
    """Add a user that `actor` sees to a workspace. Returns the participation.

    Raises Forbidden, Invalid with every fault. Contract: 7.3.
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
    workspace_id = values.pop("workspace_id")
    # The default permission is to view.
    permission = values.pop("permission", ParticipationPermission.VIEW)
    return join(tx, workspace_id, user, permission, now, **values)


def create_participations(
    tx: Transaction, actor: Actor, many: Sequence[object], now: Instant
) -> list[Participation]:
    """Add several participations: all of them, or none. Returns the participations.

    Raises Forbidden, Invalid with every fault, each named like `participations[3].user_id`.
    Contract: 7.3.
    """
    name = PARTICIPATIONS
    if not many:
        raise Invalid([Problem(name, Fault.MISSING)])
    if len(many) > MAX_BULK:
        raise Invalid([Problem(name, Fault.TOO_MANY, limit=MAX_BULK)])
    made, problems = [], []
    for place, sent in enumerate(many):
        path = f"{name}[{place}]"
        if not isinstance(sent, Mapping):
            problems.append(Problem(path, Fault.NOT_AN_OBJECT))
            continue
        try:
            made.append(create_participation(tx, actor, sent, now))
        except Invalid as error:
            problems += [replace(one, field=f"{path}.{one.field}") for one in error.problems]
    if problems:
        raise Invalid(problems)
    # A later one of these may have taken the lead from an earlier one, so all are read again.
    account_id = actor.account_id
    now_there = [
        workspaces.participation(tx, account_id, one.workspace_id, one.user_id) for one in made
    ]
    return [one for one in now_there if one is not None]


def change_participation(
    tx: Transaction, actor: Actor, participation_id: int, sent: Sent, now: Instant
) -> Participation:
    """Change the sent fields of a participation. Returns the changed participation.

    Its user and its workspace stay the same.

    Raises NotFound, Forbidden, Invalid with every fault.
    """
    participation = _participation(tx, actor, participation_id)
    draft, problems = check_participation(sent, new=False)
    if problems:
        raise Invalid(problems)
    changed = replace(participation, **values_sent(draft))
    return changed if changed == participation else _store_place(tx, changed, now)


def _store_place(tx: Transaction, changed: Participation, now: Instant) -> Participation:
    """Store a changed participation. Returns it as stored.

    If it leads its side, the previous lead of that side no longer does (7.1).
    """
    changed = replace(changed, updated_at=later(now, changed.updated_at))
    if changed.team_lead:
        _end_lead(tx, changed, now)
    _replace_place(tx, changed)
    return changed


def _replace_place(tx: Transaction, changed: Participation) -> None:
    account_id, workspace_id = changed.account_id, changed.workspace_id
    before = workspaces.participation(tx, account_id, workspace_id, changed.user_id)
    assert before is not None  # it is the one that is changed
    workspaces.replace_participation(tx, changed)
    was, now_is = _place(before), _place(changed)
    if was != now_is:
        action = AuditAction.PARTICIPATION_CHANGED
        note(tx, account_id, action, changed.id, was, now_is)


def _place(participation: Participation) -> dict[str, object]:
    names = ("workspace_id", "user_id", "side", "permission", "team_lead")
    return {name: getattr(participation, name) for name in names}


def _end_lead(tx: Transaction, successor: Participation, now: Instant) -> None:
    """Make `successor` the only lead of its side."""
    workspace_id, side = successor.workspace_id, successor.side
    for one in workspaces.leads(tx, successor.account_id, workspace_id, side):
        if one.user_id != successor.user_id:
            updated_at = later(now, one.updated_at)
            _replace_place(tx, replace(one, team_lead=False, updated_at=updated_at))


def delete_participation(tx: Transaction, actor: Actor, participation_id: int) -> None:
    """Delete a participation. Raises NotFound, Forbidden."""
    _end_place(tx, _participation(tx, actor, participation_id))


def _end_place(tx: Transaction, gone: Participation) -> None:
    workspaces.delete_participation(tx, gone)
    action = AuditAction.PARTICIPATION_DELETED
    note(tx, gone.account_id, action, gone.id, before=_place(gone))


def _participation(tx: Transaction, actor: Actor, participation_id: int) -> Participation:
    found = visible(tx, actor, Participation, participation_id)
    demand(tx, actor, Action.CHANGE_WORKSPACE, found.workspace_id)
    return found


def hand_over(  # noqa: PLR0917  who gives what to whom
    tx: Transaction, account_id: int, giver: User, taker: User, most: int, now: Instant
) -> bool:
    """Move up to `most` participations of `giver` to `taker`. Returns whether there may be more.

    If both participate on the same side of a workspace, the taker gets the higher of the two
    permissions, and leads if either did. A participation of the taker on the other side does not
    change. The giver no longer participates. Raises Invalid.
    """
    if taker.id == giver.id or not is_let_in(tx, taker.id):
        raise Invalid([Problem("taker", Fault.UNKNOWN_OBJECT)])
    places = workspaces.of_user(tx, account_id, giver.id, most)
    for place in places:
        _give_place(tx, place, taker, now)
    return len(places) == most


def has_more_places(tx: Transaction, user: User, most: int) -> bool:
    """Whether a user participates in more than `most` workspaces."""
    return len(workspaces.of_user(tx, user.account_id, user.id, most + 1)) > most


def _give_place(tx: Transaction, place: Participation, taker: User, now: Instant) -> None:
    _end_place(tx, place)
    there = workspaces.participation(tx, place.account_id, place.workspace_id, taker.id)
    if there is None:
        join(
            tx,
            place.workspace_id,
            taker,
            place.permission,
            now,
            side=place.side,
            team_lead=place.team_lead,
        )
    elif there.side is place.side:
        most = min(place.permission, there.permission, key=tuple(ParticipationPermission).index)
        leads = place.team_lead or there.team_lead
        changed = replace(there, permission=most, team_lead=leads)
        if changed != there:
            _replace_place(tx, replace(changed, updated_at=later(now, there.updated_at)))


def make_workspace(
    tx: Transaction, creator: User, title: str, now: Instant, description: str | None = None
) -> int:
    """Store a new workspace of the creator's account. Returns its id. Raises Invalid."""
    demand_names(title=title)
    return _store(tx, replace(_new(creator, title, now), description=description)).id


def _new(creator: User, title: str, now: Instant) -> Workspace:
    return Workspace(
        id=0,
        account_id=creator.account_id,
        creator_id=creator.id,
        title=title,
        description=None,
        archived=False,
        access_level=AccessLevel.INVITATION,
        clients_see_status_reports=False,
        start_date=None,
        due_date=None,
        created_at=now,
        updated_at=now,
    )


def _store(tx: Transaction, new: Workspace) -> Workspace:
    made = replace(new, id=workspaces.insert_workspace(tx, new))
    after = {"title": made.title, "creator_id": made.creator_id}
    note(tx, made.account_id, AuditAction.WORKSPACE_CREATED, made.id, after=after)
    return made


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
    """Add `user` to a workspace of the same account. Returns the participation.

    Raises Invalid.
    """
    if workspaces.workspace(tx, user.account_id, workspace_id) is None:
        raise Invalid([Problem("workspace_id", Fault.UNKNOWN_OBJECT)])
    if workspaces.participation(tx, user.account_id, workspace_id, user.id) is not None:
        raise Invalid([Problem("user_id", Fault.TAKEN)])
    new = Participation(
        id=0,
        account_id=user.account_id,
        workspace_id=workspace_id,
        user_id=user.id,
        side=side,
        permission=permission,
        team_lead=team_lead,
        created_at=now,
        updated_at=now,
    )
    if team_lead:
        _end_lead(tx, new, now)
    made = workspaces.insert_participation(tx, new, fold(user.full_name))
    action = AuditAction.PARTICIPATION_CREATED
    note(tx, user.account_id, action, made.id, after=_place(made))
    return made


def change_place(
    tx: Transaction, workspace_id: int, user: User, now: Instant, changes: Mapping[str, Any]
) -> Participation:
    """Change `side`, `permission` or `team_lead` of a user's participation.

    Returns the changed participation. Raises Invalid.
    """
    place = _place_of(tx, workspace_id, user)
    changed = replace(place, **changes)
    return place if changed == place else _store_place(tx, changed, now)


def leave(tx: Transaction, workspace_id: int, user: User) -> None:
    """End the participation of a user. Raises Invalid."""
    _end_place(tx, _place_of(tx, workspace_id, user))


def _place_of(tx: Transaction, workspace_id: int, user: User) -> Participation:
    place = workspaces.participation(tx, user.account_id, workspace_id, user.id)
    if place is None:
        raise Invalid([Problem("user_id", Fault.UNKNOWN_OBJECT)])
    return place


def archive(tx: Transaction, workspace_id: int, now: Instant, *, archived: bool) -> None:
    """Archive a workspace, or bring it back. Raises Invalid."""
    workspace = named(tx, workspace_id)
    updated_at = later(now, workspace.updated_at)
    changed = replace(workspace, archived=archived, updated_at=updated_at)
    _replace(tx, workspace, changed)


def show_to_clients(tx: Transaction, workspace_id: int, now: Instant, *, shown: bool) -> None:
    """Show the status reports of a workspace to its client side, or hide them. Raises Invalid."""
    workspace = named(tx, workspace_id)
    updated_at = later(now, workspace.updated_at)
    changed = replace(workspace, clients_see_status_reports=shown, updated_at=updated_at)
    _replace(tx, workspace, changed)


def _replace(tx: Transaction, before: Workspace, after: Workspace) -> None:
    workspaces.replace_workspace(tx, before, after)
    was, now_is = _settings(before), _settings(after)
    if was != now_is:
        note(tx, after.account_id, AuditAction.WORKSPACE_CHANGED, after.id, was, now_is)


def _settings(workspace: Workspace) -> dict[str, object]:
    """The settings of a workspace for the audit log; of its description only the length."""
    values = asdict(workspace)
    for name in ("id", "account_id", "created_at", "updated_at"):
        del values[name]
    text = values["description"]
    return values | {"description": None if text is None else f"{len(text)} characters"}


def named(tx: Transaction, workspace_id: int) -> Workspace:
    """The workspace with that id, for the command line. Raises Invalid."""
    account_id = workspaces.account_of_workspace(tx, workspace_id)
    if account_id is None:
        raise Invalid([Problem("workspace_id", Fault.UNKNOWN_OBJECT)])
    workspace = workspaces.workspace(tx, account_id, workspace_id)
    assert workspace is not None  # its account was just found
    return workspace
