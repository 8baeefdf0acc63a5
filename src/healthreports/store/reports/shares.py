"""Share links: their creators, what they show, and when they were opened."""

from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, delete, func, literal_column, select, update

from healthreports.core.model import Instant, ShareLink
from healthreports.core.vocabulary import Category
from healthreports.store.engine.database import Row, Transaction
from healthreports.store.engine.statement import Statement, insertion
from healthreports.store.schema.tables import share_links

_COLUMNS: Final = tuple(column for column in share_links.columns if column.name != "secret_hash")
_NAMES: Final = tuple(column.name for column in _COLUMNS)
# The most links on the page. A user with more links can revoke some to see the others.
_MOST: Final = 200

_INSERT: Final = insertion(share_links)
_BY_SECRET: Final = Statement(
    select(*_COLUMNS).where(share_links.c.secret_hash == bindparam("secret_hash"))
)
_BY_ID: Final = Statement(
    select(*_COLUMNS).where(
        share_links.c.account_id == bindparam("of_account"), share_links.c.id == bindparam("row_id")
    )
)
_OF_WORKSPACE: Final = Statement(
    select(*_COLUMNS)
    .where(
        share_links.c.account_id == bindparam("of_account"),
        share_links.c.workspace_id == bindparam("of_workspace"),
        share_links.c.revoked_at.is_(None),
        share_links.c.expires_at > bindparam("now"),
    )
    .order_by(share_links.c.id.desc())
    .limit(literal_column(str(_MOST)))
)
_REVOKE: Final = Statement(
    update(share_links)
    .where(share_links.c.id == bindparam("row_id"))
    .values(revoked_at=bindparam("now"))
)
_DELETE_OF_WORKSPACE: Final = Statement(
    delete(share_links).where(
        share_links.c.account_id == bindparam("of_account"),
        share_links.c.workspace_id == bindparam("of_workspace"),
    )
)
_NOTE_OPENING: Final = Statement(
    update(share_links)
    .where(share_links.c.id == bindparam("row_id"))
    .values(
        first_opened_at=func.coalesce(share_links.c.first_opened_at, bindparam("now")),
        last_opened_at=bindparam("now"),
    )
)


def drop_of_workspace(tx: Transaction, account_id: int, workspace_id: int) -> None:
    """Delete every link to a workspace and its reports."""
    tx.rows(_DELETE_OF_WORKSPACE, {"of_account": account_id, "of_workspace": workspace_id})


def insert(tx: Transaction, new: ShareLink, secret_hash: str) -> int:
    """Store a new link; its `id` is ignored. Returns the new id."""
    values = msgspec.structs.asdict(new)
    values["hidden"] = " ".join(one for one in Category if one in new.hidden)
    [[link_id]] = tx.rows(_INSERT, values | {"secret_hash": secret_hash})
    return int(link_id)


def by_secret(tx: Transaction, secret_hash: str) -> ShareLink | None:
    """The link whose secret has this hash, valid or not."""
    return _read(tx.row(_BY_SECRET, {"secret_hash": secret_hash}))


def by_id(tx: Transaction, account_id: int, link_id: int) -> ShareLink | None:
    """The link of an account with this id, or None."""
    return _read(tx.row(_BY_ID, {"of_account": account_id, "row_id": link_id}))


def of_workspace(
    tx: Transaction, account_id: int, workspace_id: int, now: Instant
) -> list[ShareLink]:
    """The valid links to reports of a workspace, the newest first; at most 200."""
    values = {"of_account": account_id, "of_workspace": workspace_id, "now": now}
    return [_link(row) for row in tx.rows(_OF_WORKSPACE, values)]


def revoke(tx: Transaction, link: ShareLink, now: Instant) -> None:
    """Revoke a link."""
    tx.rows(_REVOKE, {"row_id": link.id, "now": now})


def note_opening(tx: Transaction, link: ShareLink, now: Instant) -> None:
    """Store that a link was opened."""
    tx.rows(_NOTE_OPENING, {"row_id": link.id, "now": now})


def _read(row: Row | None) -> ShareLink | None:
    return None if row is None else _link(row)


def _link(row: Row) -> ShareLink:
    values: dict[str, Any] = dict(zip(_NAMES, row, strict=True))
    values["hidden"] = frozenset(map(Category, values["hidden"].split()))
    return ShareLink(**values)
