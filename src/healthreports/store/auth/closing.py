"""Deletion of the rows of a closed account, table by table; derived from the tables themselves.

Workspaces, reports, users and groups have words in a search index, which needs their texts to
delete the words. So the caller must delete those records first.
"""

from typing import Any, Final

from sqlalchemy import ColumnElement, Table, bindparam, delete, literal_column, select, tuple_
from sqlalchemy.sql.dml import ReturningDelete

from healthreports.store.engine.database import Transaction
from healthreports.store.engine.statement import Statement
from healthreports.store.schema.tables import (
    account_memberships,
    account_versions,
    accounts,
    address_changes,
    factors,
    identities,
    invitations,
    metadata,
    oauth_applications,
    oauth_grants,
    oauth_refresh_tokens,
    passwords,
    purges,
    sessions,
    share_links,
    tokens,
    users,
)

_AT_ONCE: Final = 1_000
# Not deleted here. The account and the fact that it was purged stay, or a backup would bring it
# back. The caller deletes users last, one by one, since the search index has their names.
_STAY: Final = frozenset({accounts, account_versions, purges, users, account_memberships})
# Everything that gives access to an account, in the order of the references between the tables.
_WAYS_IN: Final = (
    sessions,
    tokens,
    oauth_refresh_tokens,
    oauth_grants,
    oauth_applications,
    share_links,
    invitations,
    address_changes,
    factors,
    identities,
    passwords,
)


def _of_account(table: Table) -> ColumnElement[bool]:
    if "account_id" in table.c:
        return table.c.account_id == bindparam("of_account")
    its_users = select(users.c.id).where(users.c.account_id == bindparam("of_account"))
    return table.c.user_id.in_(its_users)


def _some_of(table: Table) -> ReturningDelete[Any]:
    key = tuple(table.primary_key)
    wanted = select(*key).where(_of_account(table)).limit(literal_column(str(_AT_ONCE)))
    return delete(table).where(tuple_(*key).in_(wanted)).returning(literal_column("1"))


_ALL: Final = {table: Statement(delete(table).where(_of_account(table))) for table in _WAYS_IN}
_SOME: Final = {
    table: Statement(_some_of(table))
    for table in reversed(metadata.sorted_tables)
    if table not in _STAY and {"account_id", "user_id"} & set(table.c.keys())
}


def shut(tx: Transaction, account_id: int) -> None:
    """Delete everything that gives access to an account."""
    for statement in _ALL.values():
        tx.rows(statement, {"of_account": account_id})


def delete_some(tx: Transaction, account_id: int) -> bool:
    """Delete some rows of an account. Returns whether there may be more."""
    return any(tx.rows(statement, {"of_account": account_id}) for statement in _SOME.values())
