"""OAuth 2: applications, grants, refresh tokens. Secrets are stored only as hashes.

Access tokens are in `store/auth/tokens`, with the id of their grant.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Table, bindparam, delete, or_, select, update

from healthreports.core.model import Application, Grant, Instant, RefreshToken
from healthreports.store.auth.tokens import scopes_of, scopes_text
from healthreports.store.engine.database import Row, Transaction
from healthreports.store.engine.statement import Statement, insertion, named, replacement
from healthreports.store.schema.tables import (
    oauth_applications,
    oauth_grants,
    oauth_refresh_tokens,
    tokens,
)


def _columns(table: Table, *left_out: str) -> Sequence[ColumnElement[Any]]:
    return [column for column in table.columns if column.name not in left_out]


_APPLICATION: Final = _columns(oauth_applications)
_GRANT: Final = _columns(oauth_grants, "code_hash")
_REFRESH_TOKEN: Final = _columns(oauth_refresh_tokens, "secret_hash")

_INSERT_APPLICATION: Final = insertion(oauth_applications)
_INSERT_GRANT: Final = insertion(oauth_grants)
_INSERT_REFRESH_TOKEN: Final = insertion(oauth_refresh_tokens)
_APPLICATIONS: Final = Statement(
    select(*_APPLICATION)
    .where(oauth_applications.c.account_id == bindparam("account_id"))
    .order_by(oauth_applications.c.id)
)
_APPLICATION_BY_CLIENT_ID: Final = Statement(
    select(*_APPLICATION).where(
        oauth_applications.c.client_id == bindparam("client_id"),
        oauth_applications.c.revoked_at.is_(None),
    )
)
_REVOKE_APPLICATION: Final = replacement(oauth_applications, ("revoked_at",))
_FORGET_GRANTS: Final = Statement(
    delete(oauth_grants).where(
        oauth_grants.c.application_id == bindparam("of_application"),
        oauth_grants.c.user_id == bindparam("of_user"),
        oauth_grants.c.code_expires_at <= bindparam("now"),
        oauth_grants.c.exchanged_at.is_(None),
    )
)
_GRANT_BY_ID: Final = Statement(select(*_GRANT).where(oauth_grants.c.id == bindparam("row_id")))
_GRANT_BY_CODE: Final = Statement(
    select(*_GRANT).where(oauth_grants.c.code_hash == bindparam("code_hash"))
)
_OWN_GRANT: Final = Statement(
    select(*_GRANT).where(
        oauth_grants.c.application_id == bindparam("application_id"),
        oauth_grants.c.user_id == bindparam("user_id"),
        oauth_grants.c.code_expires_at.is_(None),
        oauth_grants.c.revoked_at.is_(None),
    )
)
_EXCHANGE: Final = replacement(oauth_grants, ("exchanged_at",))
_GRANTS_OF_USER: Final = Statement(
    select(oauth_applications.c.name, *_GRANT)
    .join_from(oauth_grants, oauth_applications)
    .where(
        oauth_grants.c.user_id == bindparam("user_id"),
        oauth_grants.c.revoked_at.is_(None),
        or_(oauth_grants.c.exchanged_at.is_not(None), oauth_grants.c.code_expires_at.is_(None)),
    )
    .order_by(oauth_grants.c.id)
)
_LIVE_GRANTS: Final = Statement(
    select(oauth_grants.c.id).where(
        oauth_grants.c.application_id == bindparam("application_id"),
        oauth_grants.c.revoked_at.is_(None),
    )
)
_REVOKE_GRANT: Final = Statement(
    update(oauth_grants)
    .where(oauth_grants.c.id == bindparam("row_id"), oauth_grants.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"))
)
# A grant for an application to act by itself was not given by the user, so it is not revoked.
_REVOKE_GRANTS: Final = Statement(
    update(oauth_grants)
    .where(
        oauth_grants.c.user_id == bindparam("of_user"),
        oauth_grants.c.code_expires_at.is_not(None),
        oauth_grants.c.revoked_at.is_(None),
    )
    .values(revoked_at=bindparam("now"))
)
_REVOKE_TOKENS: Final = Statement(
    update(tokens)
    .where(tokens.c.grant_id == bindparam("of_grant"), tokens.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"))
)
_REFRESH_TOKEN_BY_SECRET: Final = Statement(
    select(*_REFRESH_TOKEN).where(oauth_refresh_tokens.c.secret_hash == bindparam("secret_hash"))
)
_USE_REFRESH_TOKEN: Final = replacement(oauth_refresh_tokens, ("used_at",))
_FORGET_REFRESH_TOKENS: Final = Statement(
    delete(oauth_refresh_tokens).where(
        oauth_refresh_tokens.c.grant_id == bindparam("of_grant"),
        oauth_refresh_tokens.c.expires_at <= bindparam("now"),
    )
)
_FORGET_TOKENS: Final = Statement(
    delete(tokens).where(
        tokens.c.grant_id == bindparam("of_grant"), tokens.c.expires_at <= bindparam("now")
    )
)


def insert_application(tx: Transaction, new: Application, secret_hash: str | None) -> int:
    """Store a new application; its `id` is ignored. Returns the new id."""
    values = msgspec.structs.asdict(new) | {
        "secret_hash": secret_hash,
        "redirect_uris": " ".join(new.redirect_uris),
        "scopes": scopes_text(new.scopes),
    }
    [[row_id]] = tx.rows(_INSERT_APPLICATION, values)
    return int(row_id)


def applications(tx: Transaction, account_id: int) -> list[Application]:
    """All applications of an account, including revoked ones."""
    return [_application(row) for row in tx.rows(_APPLICATIONS, {"account_id": account_id})]


def application_by_client_id(
    tx: Transaction, client_id: str
) -> tuple[Application, str | None] | None:
    """The application, unless revoked, and the hash of its secret or None."""
    row = tx.row(_APPLICATION_BY_CLIENT_ID, {"client_id": client_id})
    return None if row is None else (_application(row), named(row, _APPLICATION)["secret_hash"])


def revoke_application(tx: Transaction, application_id: int, now: Instant) -> None:
    """Revoke an application and all its grants."""
    tx.rows(_REVOKE_APPLICATION, {"row_id": application_id, "revoked_at": now})
    for (grant_id,) in tx.rows(_LIVE_GRANTS, {"application_id": application_id}):
        revoke_grant(tx, grant_id, now)


def insert_grant(tx: Transaction, new: Grant, code_hash: str | None) -> Grant:
    """Store a new grant; its `id` is ignored. Returns it with the new id.

    Deletes the grants of the same user and application whose code expired without being exchanged.
    """
    of = {"of_application": new.application_id, "of_user": new.user_id}
    tx.rows(_FORGET_GRANTS, of | {"now": new.created_at})
    values = msgspec.structs.asdict(new) | {
        "code_hash": code_hash,
        "scopes": scopes_text(new.scopes),
    }
    [[row_id]] = tx.rows(_INSERT_GRANT, values)
    return msgspec.structs.replace(new, id=row_id)


def grant(tx: Transaction, grant_id: int) -> Grant | None:
    """The grant with this id, revoked or not."""
    row = tx.row(_GRANT_BY_ID, {"row_id": grant_id})
    return None if row is None else _grant(row)


def grant_by_code(tx: Transaction, code_hash: str) -> Grant | None:
    """The grant whose code has this hash, even if the code is no longer valid."""
    row = tx.row(_GRANT_BY_CODE, {"code_hash": code_hash})
    return None if row is None else _grant(row)


def own_grant(tx: Transaction, application: Application) -> Grant | None:
    """The grant with which an application acts by itself; None if missing or revoked."""
    values = {"application_id": application.id, "user_id": application.user_id}
    row = tx.row(_OWN_GRANT, values)
    return None if row is None else _grant(row)


def grants_of_user(tx: Transaction, user_id: int) -> list[tuple[str, Grant]]:
    """The valid grants of a user, each with the name of its application."""
    return [(row[0], _grant(row[1:])) for row in tx.rows(_GRANTS_OF_USER, {"user_id": user_id})]


def mark_exchanged(tx: Transaction, grant_id: int, now: Instant) -> None:
    """Store that the code of a grant was exchanged."""
    tx.rows(_EXCHANGE, {"row_id": grant_id, "exchanged_at": now})


def revoke_grant(tx: Transaction, grant_id: int, now: Instant) -> None:
    """Revoke a grant and its access tokens. Its refresh tokens are no longer valid either."""
    tx.rows(_REVOKE_GRANT, {"row_id": grant_id, "now": now})
    tx.rows(_REVOKE_TOKENS, {"of_grant": grant_id, "now": now})


def revoke_grants(tx: Transaction, user_id: int, now: Instant) -> None:
    """Revoke all grants that a user gave, including those whose code is not exchanged yet."""
    tx.rows(_REVOKE_GRANTS, {"of_user": user_id, "now": now})


def insert_refresh_token(tx: Transaction, new: RefreshToken, secret_hash: str) -> None:
    """Store a new refresh token; its `id` is ignored."""
    tx.rows(_INSERT_REFRESH_TOKEN, msgspec.structs.asdict(new) | {"secret_hash": secret_hash})


def refresh_token(tx: Transaction, secret_hash: str) -> RefreshToken | None:
    """The refresh token whose secret has this hash, valid or not."""
    row = tx.row(_REFRESH_TOKEN_BY_SECRET, {"secret_hash": secret_hash})
    return None if row is None else RefreshToken(**named(row, _REFRESH_TOKEN))


def mark_used(tx: Transaction, refresh_token_id: int, now: Instant) -> None:
    """Store that a refresh token was used."""
    tx.rows(_USE_REFRESH_TOKEN, {"row_id": refresh_token_id, "used_at": now})


def forget_expired(tx: Transaction, grant_id: int, now: Instant) -> None:
    """Delete the expired tokens of a grant, so that a grant used for years has only a few."""
    for statement in (_FORGET_REFRESH_TOKENS, _FORGET_TOKENS):
        tx.rows(statement, {"of_grant": grant_id, "now": now})


def _application(row: Row) -> Application:
    values = named(row, _APPLICATION)
    secret_hash = values.pop("secret_hash")
    return Application(
        **values
        | {
            "confidential": secret_hash is not None,
            "redirect_uris": tuple(values["redirect_uris"].split()),
            "scopes": scopes_of(values["scopes"]),
        }
    )


def _grant(row: Row) -> Grant:
    values = named(row, _GRANT)
    return Grant(**values | {"scopes": scopes_of(values["scopes"])})
