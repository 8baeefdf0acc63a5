"""Workspaces and their participants."""

from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, select

from healthreports.core.model import (
    Participation,
    Workspace,
)
from healthreports.core.vocabulary import Kind, Side, SubjectType
from healthreports.core.words import fold
from healthreports.store.engine.database import Transaction
from healthreports.store.engine.statement import (
    Statement,
    among,
    deletion,
    insertion,
    one_row,
    replacement,
)
from healthreports.store.lists import current, tallies, words
from healthreports.store.lists.selections import PARTICIPATIONS, REFERENCES, WORKSPACES
from healthreports.store.people.accounts import touch
from healthreports.store.schema.tables import (
    external_references,
    group_workspaces,
    participations,
    users,
    workspaces,
)

_INSERT_WORKSPACE: Final = insertion(workspaces)
_INSERT_PARTICIPATION: Final = insertion(participations)
_REPLACE_WORKSPACE: Final = replacement(
    workspaces,
    (
        "title",
        "title_key",
        "description",
        "archived",
        "clients_see_status_reports",
        "start_date",
        "due_date",
        "report_every",
        "report_day",
        "report_paused_until",
        "created_at",
        "updated_at",
    ),
)
_REPLACE_PARTICIPATION: Final = replacement(
    participations, ("side", "permission", "team_lead", "updated_at")
)
_DELETE_PARTICIPATION: Final = deletion(participations)
_WORKSPACE: Final = Statement(
    select(*WORKSPACES.columns).where(
        workspaces.c.account_id == bindparam("of_account"), workspaces.c.id == bindparam("row_id")
    )
)
_ACCOUNT_OF_WORKSPACE: Final = Statement(
    select(workspaces.c.account_id).where(workspaces.c.id == bindparam("row_id"))
)
_PARTICIPATION: Final = Statement(
    select(*PARTICIPATIONS.columns).where(
        participations.c.account_id == bindparam("of_account"),
        participations.c.workspace_id == bindparam("workspace_id"),
        participations.c.user_id == bindparam("user_id"),
    )
)


_OF_WORKSPACE: Final[tuple[Any, Any]] = (bindparam("of_account"), bindparam("of_workspace"))
_ALL_PLACES: Final = Statement(
    select(*PARTICIPATIONS.columns).where(
        participations.c.account_id == _OF_WORKSPACE[0],
        participations.c.workspace_id == _OF_WORKSPACE[1],
    )
)
_DELETE_WORKSPACE: Final = deletion(workspaces)
_SOME: Final = Statement(
    select(*WORKSPACES.columns)
    .where(workspaces.c.account_id == bindparam("of_account"))
    .order_by(workspaces.c.id)
    .limit(1)
)
_OF_USER: Final = Statement(
    select(*PARTICIPATIONS.columns)
    .where(
        participations.c.account_id == bindparam("of_account"),
        participations.c.user_id == bindparam("of_user"),
    )
    .order_by(participations.c.workspace_id)
    .limit(bindparam("most"))
)
_ALL_GROUPS: Final = Statement(
    select(group_workspaces.c.group_id).where(
        group_workspaces.c.account_id == _OF_WORKSPACE[0],
        group_workspaces.c.workspace_id == _OF_WORKSPACE[1],
    )
)
_ALL_REFERENCES: Final = Statement(
    select(*REFERENCES.columns).where(
        external_references.c.account_id == _OF_WORKSPACE[0],
        external_references.c.subject_type == SubjectType.WORKSPACE,
        external_references.c.subject_id == _OF_WORKSPACE[1],
    )
)
_ARCHIVED: Final = Statement(
    select(workspaces.c.archived).where(
        workspaces.c.account_id == _OF_WORKSPACE[0], workspaces.c.id == _OF_WORKSPACE[1]
    )
)
_DISABLED: Final = Statement(select(users.c.disabled).where(users.c.id == bindparam("of_user")))
_LEADS: Final = Statement(
    select(*PARTICIPATIONS.columns).where(
        participations.c.account_id == bindparam("of_account"),
        participations.c.workspace_id == bindparam("workspace_id"),
        participations.c.side == bindparam("of_side"),
        participations.c.team_lead == 1,
    )
)
_PLACES: Final = Statement(
    select(*PARTICIPATIONS.columns).where(
        participations.c.account_id == bindparam("of_account"),
        participations.c.user_id == bindparam("user_id"),
        among(participations.c.workspace_id, "workspace_ids"),
    )
)


def insert_workspace(tx: Transaction, new: Workspace) -> int:
    """Store a new workspace; its `id` is ignored. Returns the new id."""
    [workspace_id] = tx.new_ids("workspaces", 1)
    stored = msgspec.structs.replace(new, id=workspace_id)
    tx.rows(_INSERT_WORKSPACE, _columns(stored))
    words.note(tx, come=words.of_workspace(stored))
    tallies.note(tx, new.account_id, Kind.WORKSPACES, come=[stored])
    current.note(tx, new.account_id, [workspace_id])
    touch(tx, new.account_id)
    return workspace_id


def _columns(workspace: Workspace) -> dict[str, Any]:
    return msgspec.structs.asdict(workspace) | {"title_key": fold(workspace.title)}


def replace_workspace(tx: Transaction, workspace: Workspace, changed: Workspace) -> None:
    """Replace `workspace` with `changed`, which has the same id."""
    tx.rows(_REPLACE_WORKSPACE, _columns(changed) | one_row(changed))
    words.note(tx, gone=words.of_workspace(workspace), come=words.of_workspace(changed))
    tallies.note(tx, changed.account_id, Kind.WORKSPACES, gone=[workspace], come=[changed])
    if changed.archived != workspace.archived:
        terms = _terms_beside(tx, changed)
        tallies.note_terms(tx, changed.account_id, int(workspace.archived), gone=terms)
        tallies.note_terms(tx, changed.account_id, int(changed.archived), come=terms)
    current.note(tx, changed.account_id, [changed.id])
    touch(tx, changed.account_id)


def _terms_beside(tx: Transaction, workspace: Workspace) -> list[int]:
    """The terms that a workspace has because of its participants, groups and references."""
    values = {"of_account": workspace.account_id, "of_workspace": workspace.id}
    places = [PARTICIPATIONS.read(row) for row in tx.rows(_ALL_PLACES, values)]
    referring = [REFERENCES.read(row) for row in tx.rows(_ALL_REFERENCES, values)]
    return [
        *(one for place in places for one in tallies.place_terms(place)),
        *(tallies.group_term(row[0]) for row in tx.rows(_ALL_GROUPS, values)),
        *tallies.workspace_terms(referring),
    ]


def class_of_workspace(tx: Transaction, account_id: int, workspace_id: int) -> int:
    """The class in which a workspace is counted: 1 if it is archived, else 0."""
    row = tx.row(_ARCHIVED, {"of_account": account_id, "of_workspace": workspace_id})
    assert row is not None  # the caller has found the workspace
    return int(row[0])


def _note_place(tx: Transaction, place: Participation, *, comes: bool) -> None:
    """Update the counts after a participation was added, or removed."""
    account_id = place.account_id
    beside = (
        (class_of_workspace(tx, account_id, place.workspace_id), tallies.place_terms(place)),
        (_class_of_user(tx, place.user_id), [tallies.member_term(place.workspace_id)]),
    )
    kind = Kind.PARTICIPATIONS
    if comes:
        tallies.note(tx, account_id, kind, come=[place])
        for of_class, terms in beside:
            tallies.note_terms(tx, account_id, of_class, come=terms)
    else:
        tallies.note(tx, account_id, kind, gone=[place])
        for of_class, terms in beside:
            tallies.note_terms(tx, account_id, of_class, gone=terms)


def _class_of_user(tx: Transaction, user_id: int) -> int:
    row = tx.row(_DISABLED, {"of_user": user_id})
    assert row is not None  # the caller has found the user
    return int(row[0])


def insert_participation(tx: Transaction, new: Participation, user_name_key: str) -> Participation:
    """Store a new participation; its `id` is ignored. Returns it with the new id.

    `user_name_key` is the name of its user without case and accents (`core/words.fold`).
    """
    [participation_id] = tx.new_ids("participations", 1)
    stored = msgspec.structs.replace(new, id=participation_id)
    tx.rows(
        _INSERT_PARTICIPATION, msgspec.structs.asdict(stored) | {"user_name_key": user_name_key}
    )
    _note_place(tx, stored, comes=True)
    touch(tx, new.account_id)
    return stored


def replace_participation(tx: Transaction, changed: Participation) -> None:
    """Replace the participation that has the id of `changed`."""
    place = participation(tx, changed.account_id, changed.workspace_id, changed.user_id)
    assert place is not None  # the caller changes it, so it exists
    _note_place(tx, place, comes=False)
    tx.rows(_REPLACE_PARTICIPATION, msgspec.structs.asdict(changed) | one_row(changed))
    _note_place(tx, changed, comes=True)
    touch(tx, changed.account_id)


def delete_participation(tx: Transaction, gone: Participation) -> None:
    """Delete a participation."""
    tx.rows(_DELETE_PARTICIPATION, one_row(gone))
    _note_place(tx, gone, comes=False)
    touch(tx, gone.account_id)


def all_places(tx: Transaction, account_id: int, workspace_id: int) -> list[Participation]:
    """All participations in a workspace."""
    values = {"of_account": account_id, "of_workspace": workspace_id}
    return [PARTICIPATIONS.read(row) for row in tx.rows(_ALL_PLACES, values)]


def delete_workspace(tx: Transaction, gone: Workspace) -> None:
    """Delete a workspace to which no other record refers."""
    current.drop(tx, gone.account_id, gone.id)
    tx.rows(_DELETE_WORKSPACE, one_row(gone))
    words.note(tx, gone=words.of_workspace(gone))
    tallies.note(tx, gone.account_id, Kind.WORKSPACES, gone=[gone])
    touch(tx, gone.account_id)


def some(tx: Transaction, account_id: int) -> Workspace | None:
    """Any workspace of an account, archived or not; None if the account has none."""
    row = tx.row(_SOME, {"of_account": account_id})
    return None if row is None else WORKSPACES.read(row)


def of_user(tx: Transaction, account_id: int, user_id: int, most: int) -> list[Participation]:
    """At most `most` participations of a user."""
    values = {"of_account": account_id, "of_user": user_id, "most": most}
    return [PARTICIPATIONS.read(row) for row in tx.rows(_OF_USER, values)]


def leads(tx: Transaction, account_id: int, workspace_id: int, side: Side) -> list[Participation]:
    """The participations of the team leads of one side of a workspace."""
    values = {"of_account": account_id, "workspace_id": workspace_id, "of_side": side}
    return [PARTICIPATIONS.read(row) for row in tx.rows(_LEADS, values)]


def places(
    tx: Transaction, account_id: int, user_id: int, workspace_ids: tuple[int, ...]
) -> dict[int, Participation]:
    """The user's participations in these workspaces of an account, by workspace id."""
    values = {"of_account": account_id, "user_id": user_id, "workspace_ids": workspace_ids}
    found = map(PARTICIPATIONS.read, tx.rows(_PLACES, values))
    return {one.workspace_id: one for one in found}


def workspace(tx: Transaction, account_id: int, workspace_id: int) -> Workspace | None:
    """The workspace of an account with this id, archived or not."""
    row = tx.row(_WORKSPACE, {"of_account": account_id, "row_id": workspace_id})
    return None if row is None else WORKSPACES.read(row)


def account_of_workspace(tx: Transaction, workspace_id: int) -> int | None:
    """The account of a workspace; for the command line, which may not know it."""
    row = tx.row(_ACCOUNT_OF_WORKSPACE, {"row_id": workspace_id})
    return None if row is None else int(row[0])


def participation(
    tx: Transaction, account_id: int, workspace_id: int, user_id: int
) -> Participation | None:
    """The user's participation in a workspace, or None."""
    values = {"of_account": account_id, "workspace_id": workspace_id, "user_id": user_id}
    row = tx.row(_PARTICIPATION, values)
    if row is None:
        return None
    return PARTICIPATIONS.read(row)
