"""Accounts, users, workspaces, participations: writes, and the look-ups that access needs."""

from typing import Any, Final, cast

import msgspec
from sqlalchemy import bindparam, select, update

from healthreports.core.model import Instant, Participation, User, Workspace
from healthreports.core.vocabulary import Kind, ParticipationPermission
from healthreports.store.database import Transaction, compiled, insertion, replacement
from healthreports.store.schema import accounts, participations, users, workspaces
from healthreports.store.select import SELECTIONS

_INSERT_ACCOUNT: Final = insertion(accounts)
_INSERT_USER: Final = insertion(users)
_INSERT_WORKSPACE: Final = insertion(workspaces)
_INSERT_PARTICIPATION: Final = insertion(participations)
_TOUCH: Final = compiled(
    update(accounts)
    .where(accounts.c.id == bindparam("row_id"))
    .values(version=accounts.c.version + 1)
)
_ACCOUNTS: Final = compiled(select(accounts.c.id, accounts.c.title).order_by(accounts.c.id))
_ARCHIVE: Final = replacement(workspaces, ("archived", "updated_at"))
_USER_BY_EMAIL: Final = compiled(
    select(*SELECTIONS[Kind.USERS].columns).where(
        users.c.email_address == bindparam("email_address")
    )
)
_WORKSPACE: Final = compiled(
    select(*SELECTIONS[Kind.WORKSPACES].columns).where(workspaces.c.id == bindparam("row_id"))
)
_PARTICIPATION: Final = compiled(
    select(participations.c.permission).where(
        participations.c.workspace_id == bindparam("workspace_id"),
        participations.c.user_id == bindparam("user_id"),
    )
)


def touch(tx: Transaction, account_id: int) -> None:
    """Note that something in the account changed, so that what was remembered no longer holds."""
    tx.rows(_TOUCH, {"row_id": account_id})


def insert_account(tx: Transaction, title: str, now: Instant) -> int:
    """Store a new account. Returns its id."""
    return _inserted(tx.rows(_INSERT_ACCOUNT, {"title": title, "version": 0, "created_at": now}))


def insert_user(tx: Transaction, user: User, now: Instant) -> int:
    """Store a new user, whose `id` is not used. Returns the id it was given."""
    user_id = _inserted(tx.rows(_INSERT_USER, msgspec.structs.asdict(user) | {"created_at": now}))
    touch(tx, user.account_id)
    return user_id


def insert_workspace(tx: Transaction, workspace: Workspace) -> int:
    """Store a new workspace, whose `id` is not used. Returns the id it was given."""
    workspace_id = _inserted(tx.rows(_INSERT_WORKSPACE, msgspec.structs.asdict(workspace)))
    touch(tx, workspace.account_id)
    return workspace_id


def insert_participation(tx: Transaction, participation: Participation, account_id: int) -> None:
    """Store that a user participates in a workspace of the account."""
    tx.rows(_INSERT_PARTICIPATION, msgspec.structs.asdict(participation))
    touch(tx, account_id)


def set_archived(tx: Transaction, workspace: Workspace, *, archived: bool, now: Instant) -> None:
    """Archive a workspace, or bring it back."""
    tx.rows(_ARCHIVE, {"row_id": workspace.id, "archived": archived, "updated_at": now})
    touch(tx, workspace.account_id)


def accounts_by_id(tx: Transaction) -> list[tuple[int, str]]:
    """The id and title of every account."""
    return cast("list[tuple[int, str]]", tx.rows(_ACCOUNTS, {}))


def user_by_email(tx: Transaction, email_address: str) -> User | None:
    """The user with that address, in lower case."""
    row = tx.row(_USER_BY_EMAIL, {"email_address": email_address})
    return None if row is None else cast("User", SELECTIONS[Kind.USERS].read(row))


def workspace(tx: Transaction, workspace_id: int) -> Workspace | None:
    """The workspace with that id, archived or not."""
    row = tx.row(_WORKSPACE, {"row_id": workspace_id})
    return None if row is None else cast("Workspace", SELECTIONS[Kind.WORKSPACES].read(row))


def participation(tx: Transaction, workspace_id: int, user_id: int) -> Participation | None:
    """The user's place in the workspace, or None."""
    row = tx.row(_PARTICIPATION, {"workspace_id": workspace_id, "user_id": user_id})
    if row is None:
        return None
    return Participation(
        workspace_id=workspace_id, user_id=user_id, permission=ParticipationPermission(row[0])
    )


def _inserted(rows: list[tuple[Any, ...]]) -> int:
    [[row_id]] = rows
    return cast("int", row_id)
