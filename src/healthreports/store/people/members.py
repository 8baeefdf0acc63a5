"""Accounts, users, workspaces, participations: writes, and the look-ups that access needs."""

from typing import Any, Final, cast

import msgspec
from sqlalchemy import ColumnElement, Select, Table, bindparam, select, update

from healthreports.core.model import (
    AccountMembership,
    Instant,
    Participation,
    User,
    Workspace,
)
from healthreports.core.vocabulary import AccountPermission, Kind
from healthreports.store.engine.database import Later, Transaction, Version
from healthreports.store.engine.statement import (
    Statement,
    deletion,
    insertion,
    one_row,
    replacement,
)
from healthreports.store.lists import current
from healthreports.store.lists.selections import SELECTIONS
from healthreports.store.schema.tables import (
    account_memberships,
    account_versions,
    accounts,
    participations,
    users,
    workspaces,
)

_INSERT_ACCOUNT: Final = insertion(accounts)
_INSERT_USER: Final = insertion(users)
_INSERT_WORKSPACE: Final = insertion(workspaces)
_INSERT_PARTICIPATION: Final = insertion(participations)
_INSERT_MEMBERSHIP: Final = insertion(account_memberships)
_REPLACE_WORKSPACE: Final = replacement(
    workspaces,
    (
        "title",
        "description",
        "archived",
        "clients_see_status_reports",
        "start_date",
        "due_date",
        "updated_at",
    ),
)
_REPLACE_PARTICIPATION: Final = replacement(
    participations, ("side", "permission", "team_lead", "updated_at")
)
_DELETE_PARTICIPATION: Final = deletion(participations)
_REPLACE_MEMBERSHIP: Final = replacement(
    account_memberships, ("permission", "updated_at", "disabled_at")
)
_REPLACE_USER: Final = replacement(users, ("full_name", "headline"))
_INSERT_VERSION: Final = insertion(account_versions)
_TOUCH: Final = Statement(
    update(account_versions)
    .where(account_versions.c.account_id == bindparam("of_account"))
    .values(
        version=account_versions.c.version + bindparam("changed_by"),
        reshaped=account_versions.c.reshaped + bindparam("reshaped_by"),
    )
)
_VERSION: Final = Statement(
    select(account_versions.c.version, account_versions.c.reshaped).where(
        account_versions.c.account_id == bindparam("of_account")
    )
)
_ACCOUNTS: Final = Statement(select(accounts.c.id, accounts.c.title).order_by(accounts.c.id))
_ACCOUNT_TITLE: Final = Statement(
    select(accounts.c.title).where(accounts.c.id == bindparam("row_id"))
)
_MEMBERSHIP: Final = Statement(
    select(*SELECTIONS[Kind.ACCOUNT_MEMBERSHIPS].columns).where(
        account_memberships.c.user_id == bindparam("user_id")
    )
)
_ADMINISTRATORS: Final = Statement(
    select(account_memberships.c.user_id).where(
        account_memberships.c.account_id == bindparam("account_id"),
        account_memberships.c.permission == AccountPermission.ADMINISTRATOR,
        account_memberships.c.disabled_at.is_(None),
    )
)
_USER_BY_EMAIL: Final = Statement(
    select(*SELECTIONS[Kind.USERS].columns).where(
        users.c.email_address == bindparam("email_address")
    )
)
_USER: Final = Statement(
    select(*SELECTIONS[Kind.USERS].columns).where(users.c.id == bindparam("row_id"))
)
_WORKSPACE: Final = Statement(
    select(*SELECTIONS[Kind.WORKSPACES].columns).where(
        workspaces.c.account_id == bindparam("of_account"), workspaces.c.id == bindparam("row_id")
    )
)
_ACCOUNT_OF_WORKSPACE: Final = Statement(
    select(workspaces.c.account_id).where(workspaces.c.id == bindparam("row_id"))
)
_PARTICIPATION: Final = Statement(
    select(*SELECTIONS[Kind.PARTICIPATIONS].columns).where(
        participations.c.account_id == bindparam("of_account"),
        participations.c.workspace_id == bindparam("workspace_id"),
        participations.c.user_id == bindparam("user_id"),
    )
)


def actor_by(proof: Table, *columns: ColumnElement[Any]) -> Select[Any]:
    """The SELECT of whom a row of `proof` with a `secret_hash` stands for, unless disabled.

    The user's id, account and permission, then `columns` of `proof`.
    """
    return (
        select(
            users.c.id,
            users.c.account_id,
            account_memberships.c.permission,
            *columns,
        )
        .join_from(proof, users, proof.c.user_id == users.c.id)
        .join(account_memberships, account_memberships.c.user_id == users.c.id)
        .where(
            proof.c.secret_hash == bindparam("secret_hash"),
            account_memberships.c.disabled_at.is_(None),
        )
    )


def touch(tx: Transaction, account_id: int, *, only_reports: bool = False) -> None:
    """Note that something in the account changed, so that what was remembered no longer holds.

    `only_reports` says that nothing did but that a report is new, or says something else.
    """
    tx.put_off(_TOUCHING, (account_id, not only_reports))


def _touch(tx: Transaction, touched: list[tuple[int, bool]]) -> None:
    for account_id in sorted({account_id for account_id, _ in touched}):
        reshaped = [is_reshaped for one, is_reshaped in touched if one == account_id]
        values = {"changed_by": len(reshaped), "reshaped_by": sum(reshaped)}
        tx.rows(_TOUCH, {"of_account": account_id, **values})


_TOUCHING: Final = Later(_touch, frozenset({account_versions.name}))


def version(tx: Transaction, account_id: int) -> Version:
    """How often the account has changed by now."""
    row = tx.recall(_VERSION, {"of_account": account_id})
    assert row is not None  # an account is never stored without one
    return Version(*row)


def insert_account(tx: Transaction, title: str, now: Instant) -> int:
    """Store a new account. Returns its id."""
    account_id = _inserted(tx.rows(_INSERT_ACCOUNT, {"title": title, "created_at": now}))
    tx.rows(_INSERT_VERSION, {"account_id": account_id, "version": 0, "reshaped": 0})
    return account_id


def account_title(tx: Transaction, account_id: int) -> str:
    """What an account is called."""
    [[title]] = tx.rows(_ACCOUNT_TITLE, {"row_id": account_id})
    return str(title)


def insert_user(tx: Transaction, user: User, permission: AccountPermission, now: Instant) -> int:
    """Store a new user, whose `id` is not used, and its membership. Returns the user's id."""
    user_id = _inserted(tx.rows(_INSERT_USER, msgspec.structs.asdict(user) | {"created_at": now}))
    new = AccountMembership(
        id=0,
        account_id=user.account_id,
        user_id=user_id,
        permission=permission,
        created_at=now,
        updated_at=now,
        disabled_at=None,
    )
    tx.rows(_INSERT_MEMBERSHIP, msgspec.structs.asdict(new))
    touch(tx, user.account_id)
    return user_id


def replace_user(tx: Transaction, changed: User) -> None:
    """Store a user in place of what had its id: its name and headline."""
    tx.rows(_REPLACE_USER, msgspec.structs.asdict(changed) | {"row_id": changed.id})
    touch(tx, changed.account_id)


def replace_membership(tx: Transaction, changed: AccountMembership) -> None:
    """Store a membership in place of what had its id."""
    tx.rows(_REPLACE_MEMBERSHIP, msgspec.structs.asdict(changed) | {"row_id": changed.id})
    touch(tx, changed.account_id)


def insert_workspace(tx: Transaction, new: Workspace) -> int:
    """Store a new workspace, whose `id` is not used. Returns the id it was given."""
    [workspace_id] = tx.new_ids("workspaces", 1)
    tx.rows(_INSERT_WORKSPACE, msgspec.structs.asdict(new) | {"id": workspace_id})
    current.note(tx, new.account_id, [workspace_id])
    touch(tx, new.account_id)
    return workspace_id


def replace_workspace(tx: Transaction, changed: Workspace) -> None:
    """Store a workspace in place of what had its id."""
    tx.rows(_REPLACE_WORKSPACE, msgspec.structs.asdict(changed) | one_row(changed))
    current.note(tx, changed.account_id, [changed.id])
    touch(tx, changed.account_id)


def insert_participation(tx: Transaction, new: Participation) -> Participation:
    """Store a new participation, whose `id` is not used. Returns it with the id it was given."""
    [participation_id] = tx.new_ids("participations", 1)
    stored = msgspec.structs.replace(new, id=participation_id)
    tx.rows(_INSERT_PARTICIPATION, msgspec.structs.asdict(stored))
    touch(tx, new.account_id)
    return stored


def replace_participation(tx: Transaction, changed: Participation) -> None:
    """Store a participation in place of what had its id."""
    tx.rows(_REPLACE_PARTICIPATION, msgspec.structs.asdict(changed) | one_row(changed))
    touch(tx, changed.account_id)


def delete_participation(tx: Transaction, gone: Participation) -> None:
    """Delete a participation."""
    tx.rows(_DELETE_PARTICIPATION, one_row(gone))
    touch(tx, gone.account_id)


def accounts_by_id(tx: Transaction) -> list[tuple[int, str]]:
    """The id and title of every account."""
    return cast("list[tuple[int, str]]", tx.rows(_ACCOUNTS, {}))


def user_by_email(tx: Transaction, email_address: str) -> User | None:
    """The user with that address, in lower case."""
    row = tx.row(_USER_BY_EMAIL, {"email_address": email_address})
    return None if row is None else cast("User", SELECTIONS[Kind.USERS].read(row))


def user(tx: Transaction, user_id: int) -> User | None:
    """The user with that id."""
    row = tx.row(_USER, {"row_id": user_id})
    return None if row is None else cast("User", SELECTIONS[Kind.USERS].read(row))


def workspace(tx: Transaction, account_id: int, workspace_id: int) -> Workspace | None:
    """The workspace of an account with that id, archived or not."""
    row = tx.row(_WORKSPACE, {"of_account": account_id, "row_id": workspace_id})
    return None if row is None else cast("Workspace", SELECTIONS[Kind.WORKSPACES].read(row))


def account_of_workspace(tx: Transaction, workspace_id: int) -> int | None:
    """The account that a workspace is in, for the command line, which may not know it."""
    row = tx.row(_ACCOUNT_OF_WORKSPACE, {"row_id": workspace_id})
    return None if row is None else int(row[0])


def participation(
    tx: Transaction, account_id: int, workspace_id: int, user_id: int
) -> Participation | None:
    """The user's place in the workspace of its account, or None."""
    values = {"of_account": account_id, "workspace_id": workspace_id, "user_id": user_id}
    row = tx.row(_PARTICIPATION, values)
    if row is None:
        return None
    return cast("Participation", SELECTIONS[Kind.PARTICIPATIONS].read(row))


def membership(tx: Transaction, user_id: int) -> AccountMembership:
    """The user's place in its account."""
    row = tx.row(_MEMBERSHIP, {"user_id": user_id})
    assert row is not None  # a user is never stored without one
    return cast("AccountMembership", SELECTIONS[Kind.ACCOUNT_MEMBERSHIPS].read(row))


def administrators(tx: Transaction, account_id: int) -> set[int]:
    """The ids of the users who administer the account and are not disabled."""
    return {user_id for (user_id,) in tx.rows(_ADMINISTRATORS, {"account_id": account_id})}


def _inserted(rows: list[tuple[Any, ...]]) -> int:
    [[row_id]] = rows
    return cast("int", row_id)
