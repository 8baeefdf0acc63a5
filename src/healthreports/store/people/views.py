"""The saved portfolio views of users."""

from typing import Final

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert

from healthreports.store.engine.database import Transaction
from healthreports.store.engine.statement import Statement
from healthreports.store.schema.tables import saved_views

_v: Final = saved_views.c
_OF_USER: Final = (
    _v.account_id == bindparam("of_account"),
    _v.user_id == bindparam("of_user"),
)
_ALL: Final = Statement(select(_v.name, _v.query).where(*_OF_USER).order_by(_v.name))
_put: Final = insert(saved_views)
_PUT: Final = Statement(
    _put.on_conflict_do_update(
        index_elements=[_v.account_id, _v.user_id, _v.name], set_={"query": _put.excluded.query}
    ),
    ["account_id", "user_id", "name", "query"],
)
_DELETE: Final = Statement(delete(saved_views).where(*_OF_USER, _v.name == bindparam("of_name")))
_DELETE_ALL: Final = Statement(delete(saved_views).where(*_OF_USER))


def all_of(tx: Transaction, account_id: int, user_id: int) -> list[tuple[str, str]]:
    """The name and URL query of each view of a user, sorted by name."""
    values = {"of_account": account_id, "of_user": user_id}
    return [(name, query) for name, query in tx.rows(_ALL, values)]


def put(tx: Transaction, account_id: int, user_id: int, name: str, query: str) -> None:
    """Store a view; replaces a view with the same name."""
    tx.rows(_PUT, {"account_id": account_id, "user_id": user_id, "name": name, "query": query})


def drop(tx: Transaction, account_id: int, user_id: int, name: str) -> None:
    """Delete a view, if it exists."""
    tx.rows(_DELETE, {"of_account": account_id, "of_user": user_id, "of_name": name})


def drop_all(tx: Transaction, account_id: int, user_id: int) -> None:
    """Delete all views of a user."""
    tx.rows(_DELETE_ALL, {"of_account": account_id, "of_user": user_id})
