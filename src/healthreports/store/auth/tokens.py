"""Bearer tokens, kept as hashes only, and whom one stands for."""

from functools import lru_cache
from typing import Final

from sqlalchemy import bindparam, literal_column, select, update

from healthreports.core.model import Actor, Instant, Token
from healthreports.core.vocabulary import Scope
from healthreports.store.engine.database import Row, Transaction
from healthreports.store.engine.statement import Statement, insertion, named, replacement
from healthreports.store.lists.selections import PERMISSIONS
from healthreports.store.people.members import actor_by
from healthreports.store.schema.tables import tokens, users

_COLUMNS: Final = tuple(column for column in tokens.columns if column.name != "secret_hash")
_INSERT: Final = insertion(tokens)
_ACTOR: Final = Statement(
    actor_by(
        tokens,
        tokens.c.id,
        tokens.c.scopes,
        tokens.c.last_used_at,
        tokens.c.expires_at,
        tokens.c.grant_id,
    ).where(tokens.c.revoked_at.is_(None))
)
_ALL: Final = Statement(
    select(users.c.email_address, *_COLUMNS)
    .join_from(tokens, users, tokens.c.user_id == users.c.id)
    .order_by(tokens.c.id)
)
_OF_USER: Final = Statement(
    select(*_COLUMNS)
    .where(tokens.c.user_id == bindparam("of_user"), tokens.c.grant_id.is_(None))
    .order_by(tokens.c.id)
)
_BY_SECRET: Final = Statement(
    select(*_COLUMNS).where(tokens.c.secret_hash == bindparam("secret_hash"))
)
_REVOKE: Final = Statement(
    update(tokens)
    .where(tokens.c.id == bindparam("row_id"), tokens.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"))
    .returning(tokens.c.id)
)
_ACCOUNT_OF: Final = Statement(
    select(users.c.account_id)
    .join_from(tokens, users, tokens.c.user_id == users.c.id)
    .where(tokens.c.id == bindparam("row_id"))
)
_REVOKE_ALL: Final = Statement(
    update(tokens)
    .where(tokens.c.user_id == bindparam("of_user"), tokens.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"))
)
_FORGET_NAMES: Final = Statement(
    update(tokens).where(tokens.c.user_id == bindparam("of_user")).values(name=literal_column("''"))
)
_NOTE_USE: Final = replacement(tokens, ("last_used_at",))


def actor_of(tx: Transaction, secret_hash: str) -> tuple[Actor, Instant | None] | None:
    """Whom the token with that hash stands for, and until when.

    None when it is unknown or revoked, or its user is disabled.
    """
    row = tx.recall(_ACTOR, {"secret_hash": secret_hash})
    return None if row is None else _actor(row)


@lru_cache(maxsize=4096)  # a row that is recalled is the same row
def _actor(row: Row) -> tuple[Actor, Instant | None]:
    actor = Actor(
        user_id=row[0],
        account_id=row[1],
        permission=PERMISSIONS[row[2]],
        token_id=row[3],
        scopes=scopes_of(row[4]),
        last_used_at=row[5],
        grant_id=row[7],
    )
    return actor, row[6]


def insert(tx: Transaction, token: Token, secret_hash: str) -> int:
    """Store a new token, whose `id` is not used. Returns the id it was given."""
    [[row_id]] = tx.rows(
        _INSERT,
        {
            "user_id": token.user_id,
            "grant_id": token.grant_id,
            "name": token.name,
            "secret_hash": secret_hash,
            "scopes": scopes_text(token.scopes),
            "created_at": token.created_at,
            "expires_at": token.expires_at,
            "revoked_at": token.revoked_at,
            "last_used_at": token.last_used_at,
        },
    )
    return int(row_id)


def with_owners(tx: Transaction) -> list[tuple[str, Token]]:
    """Every token with the e-mail address of its user."""
    return [(row[0], _read(row[1:])) for row in tx.rows(_ALL, {})]


def personal(tx: Transaction, user_id: int) -> list[Token]:
    """The tokens of a user that no application was granted."""
    return [_read(row) for row in tx.rows(_OF_USER, {"of_user": user_id})]


def by_secret(tx: Transaction, secret_hash: str) -> Token | None:
    """The token with that hash, whether it still works or not."""
    row = tx.row(_BY_SECRET, {"secret_hash": secret_hash})
    return None if row is None else _read(row)


def revoke(tx: Transaction, token_id: int, now: Instant) -> bool:
    """Revoke a token. False when there is none with that id that is not revoked yet."""
    return tx.row(_REVOKE, {"row_id": token_id, "now": now}) is not None


def account_of(tx: Transaction, token_id: int) -> int | None:
    """The account of the user of a token."""
    row = tx.row(_ACCOUNT_OF, {"row_id": token_id})
    return None if row is None else int(row[0])


def revoke_all(tx: Transaction, user_id: int, now: Instant) -> None:
    """Revoke every token of a user, those of applications too."""
    tx.rows(_REVOKE_ALL, {"of_user": user_id, "now": now})


def forget_names(tx: Transaction, user_id: int) -> None:
    """Forget what a user called its tokens."""
    tx.rows(_FORGET_NAMES, {"of_user": user_id})


def note_use(tx: Transaction, token_id: int, now: Instant) -> None:
    """Note that a token was used."""
    tx.rows(_NOTE_USE, {"row_id": token_id, "last_used_at": now})


def _read(row: Row) -> Token:
    values = named(row, _COLUMNS)
    return Token(**values | {"scopes": scopes_of(values["scopes"])})


@lru_cache
def scopes_of(text: str) -> frozenset[Scope]:
    """The scopes that a column names."""
    return frozenset(map(Scope, text.split()))


def scopes_text(scopes: frozenset[Scope]) -> str:
    """What a column that names `scopes` holds, which is also how OAuth writes them."""
    return " ".join(sorted(scopes))
