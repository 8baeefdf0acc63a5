"""Bearer tokens, stored only as hashes, and the user of each token."""

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
    """The user of the token whose secret has this hash, and the time at which the token expires.

    None if the token is unknown or revoked, or its user is disabled.
    """
    row = tx.recall(_ACTOR, {"secret_hash": secret_hash})
    return None if row is None else _actor(row)


@lru_cache(maxsize=4096)  # `recall` returns an equal row each time
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
    """Store a new token; its `id` is ignored. Returns the new id."""
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
    """All tokens, each with the e-mail address of its user."""
    return [(row[0], _read(row[1:])) for row in tx.rows(_ALL, {})]


def personal(tx: Transaction, user_id: int) -> list[Token]:
    """The personal tokens of a user, which do not belong to an application."""
    return [_read(row) for row in tx.rows(_OF_USER, {"of_user": user_id})]


def by_secret(tx: Transaction, secret_hash: str) -> Token | None:
    """The token whose secret has this hash, valid or not."""
    row = tx.row(_BY_SECRET, {"secret_hash": secret_hash})
    return None if row is None else _read(row)


def revoke(tx: Transaction, token_id: int, now: Instant) -> bool:
    """Revoke a token. Returns False if there is no unrevoked token with this id."""
    return tx.row(_REVOKE, {"row_id": token_id, "now": now}) is not None


def account_of(tx: Transaction, token_id: int) -> int | None:
    """The account of the user of a token."""
    row = tx.row(_ACCOUNT_OF, {"row_id": token_id})
    return None if row is None else int(row[0])


def revoke_all(tx: Transaction, user_id: int, now: Instant) -> None:
    """Revoke all tokens of a user, including those of applications."""
    tx.rows(_REVOKE_ALL, {"of_user": user_id, "now": now})


def forget_names(tx: Transaction, user_id: int) -> None:
    """Delete the names that a user gave to tokens."""
    tx.rows(_FORGET_NAMES, {"of_user": user_id})


def note_use(tx: Transaction, token_id: int, now: Instant) -> None:
    """Store the time at which a token was used."""
    tx.rows(_NOTE_USE, {"row_id": token_id, "last_used_at": now})


def _read(row: Row) -> Token:
    values = named(row, _COLUMNS)
    return Token(**values | {"scopes": scopes_of(values["scopes"])})


@lru_cache
def scopes_of(text: str) -> frozenset[Scope]:
    """The scopes in the text of a column."""
    return frozenset(map(Scope, text.split()))


def scopes_text(scopes: frozenset[Scope]) -> str:
    """The text of a column for `scopes`; OAuth writes them in the same way."""
    return " ".join(sorted(scopes))
