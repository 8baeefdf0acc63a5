"""Groups of workspaces, and the workspaces in each group."""

from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert

from healthreports.core.model import Workspace, WorkspaceGroup
from healthreports.core.vocabulary import Kind
from healthreports.core.words import fold
from healthreports.store.engine.database import Transaction
from healthreports.store.engine.statement import (
    Statement,
    deletion,
    insertion,
    one_row,
    replacement,
)
from healthreports.store.lists import tallies, words
from healthreports.store.lists.selections import GROUPS
from healthreports.store.people.accounts import touch
from healthreports.store.people.workspaces import class_of_workspace
from healthreports.store.schema.tables import group_workspaces, workspace_groups

_INSERT: Final = insertion(workspace_groups)
_REPLACE: Final = replacement(
    workspace_groups,
    ("name", "name_key", "company", "notes", "contact_name", "email", "website", "updated_at"),
)
_DELETE: Final = deletion(workspace_groups)
_g: Final = group_workspaces.c
_PUT: Final = Statement(insert(group_workspaces).on_conflict_do_nothing())
_in_group: Final = (
    _g.account_id == bindparam("of_account"),
    _g.group_id == bindparam("of_group"),
)
_DROP: Final = Statement(
    delete(group_workspaces).where(*_in_group, _g.workspace_id == bindparam("of_workspace"))
)
_HAVING: Final = Statement(select(_g.workspace_id).where(*_in_group))
_OF_WORKSPACE: Final = Statement(
    select(*GROUPS.columns)
    .join_from(group_workspaces, workspace_groups, _g.group_id == workspace_groups.c.id)
    .where(
        _g.account_id == bindparam("of_account"),
        workspace_groups.c.account_id == bindparam("of_account"),
        _g.workspace_id == bindparam("of_workspace"),
    )
)
_LIKE: Final = Statement(
    select(*GROUPS.columns).where(
        workspace_groups.c.account_id == bindparam("of_account"),
        workspace_groups.c.name_key == bindparam("key"),
    )
)


def insert_group(tx: Transaction, new: WorkspaceGroup) -> WorkspaceGroup:
    """Store a new group; its `id` is ignored. Returns it with the new id."""
    stored = msgspec.structs.replace(new, id=tx.new_ids("workspace_groups", 1)[0])
    tx.rows(_INSERT, _columns(stored))
    words.note(tx, come=words.of_group(stored))
    tallies.note(tx, new.account_id, Kind.WORKSPACE_GROUPS, come=[stored])
    touch(tx, new.account_id)
    return stored


def replace_group(tx: Transaction, group: WorkspaceGroup, changed: WorkspaceGroup) -> None:
    """Replace `group` with `changed`, which has the same id."""
    tx.rows(_REPLACE, _columns(changed) | one_row(changed))
    words.note(tx, gone=words.of_group(group), come=words.of_group(changed))
    tallies.note(tx, changed.account_id, Kind.WORKSPACE_GROUPS, gone=[group], come=[changed])
    touch(tx, changed.account_id)


def delete_group(tx: Transaction, gone: WorkspaceGroup) -> None:
    """Delete a group; its workspaces stay."""
    drop_workspaces(tx, gone, _having(tx, gone))
    tx.rows(_DELETE, one_row(gone))
    words.note(tx, gone=words.of_group(gone))
    tallies.note(tx, gone.account_id, Kind.WORKSPACE_GROUPS, gone=[gone])
    touch(tx, gone.account_id)


def put_workspaces(tx: Transaction, group: WorkspaceGroup, workspace_ids: tuple[int, ...]) -> None:
    """Add these workspaces of the account to the group, unless they are in it already."""
    values = {"account_id": group.account_id, "group_id": group.id}
    having = set(_having(tx, group)) if workspace_ids else set()
    new = [one for one in workspace_ids if one not in having]
    tx.run_each(_PUT, [{**values, "workspace_id": one} for one in new])
    for one in new:
        of_class = class_of_workspace(tx, group.account_id, one)
        tallies.note_terms(tx, group.account_id, of_class, come=[tallies.group_term(group.id)])
    touch(tx, group.account_id)


def drop_workspaces(tx: Transaction, group: WorkspaceGroup, workspace_ids: tuple[int, ...]) -> None:
    """Remove these workspaces from the group."""
    values = {"of_account": group.account_id, "of_group": group.id}
    having = set(_having(tx, group)) if workspace_ids else set()
    gone = [one for one in workspace_ids if one in having]
    tx.run_each(_DROP, [{**values, "of_workspace": one} for one in gone])
    for one in gone:
        of_class = class_of_workspace(tx, group.account_id, one)
        tallies.note_terms(tx, group.account_id, of_class, gone=[tallies.group_term(group.id)])
    touch(tx, group.account_id)


def _having(tx: Transaction, group: WorkspaceGroup) -> tuple[int, ...]:
    """The ids of the workspaces in a group."""
    values = {"of_account": group.account_id, "of_group": group.id}
    return tuple(row[0] for row in tx.rows(_HAVING, values))


def of_workspace(tx: Transaction, workspace: Workspace) -> list[WorkspaceGroup]:
    """The groups that a workspace is in."""
    values = {"of_account": workspace.account_id, "of_workspace": workspace.id}
    return [GROUPS.read(row) for row in tx.rows(_OF_WORKSPACE, values)]


def like(tx: Transaction, account_id: int, name: str) -> list[WorkspaceGroup]:
    """The groups of an account with this name, without regard to case and accents."""
    values = {"of_account": account_id, "key": fold(name)}
    return [GROUPS.read(row) for row in tx.rows(_LIKE, values)]


def _columns(group: WorkspaceGroup) -> dict[str, Any]:
    return msgspec.structs.asdict(group) | {"name_key": fold(group.name)}
