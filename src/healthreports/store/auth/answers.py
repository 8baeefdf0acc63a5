"""The first responses to requests with an Idempotency-Key, which may be retried (8.2)."""

from typing import Final, NamedTuple

from sqlalchemy import bindparam, delete, func, literal_column, null, select, update

from healthreports.core.model import Instant
from healthreports.core.vocabulary import MAX_ID
from healthreports.store.engine.database import Transaction
from healthreports.store.engine.statement import Statement, insertion
from healthreports.store.schema.tables import idempotency_keys

_table: Final = idempotency_keys.c
_OF_USER: Final = (
    _table.account_id == bindparam("of_account"),
    _table.user_id == bindparam("of_user"),
)
_OF_KEY: Final = (
    *_OF_USER,
    _table.path == bindparam("of_path"),
    _table.key == bindparam("of_key"),
)
_FIND: Final = Statement(
    select(
        _table.fingerprint,
        _table.status,
        _table.body,
        _table.kind,
        _table.record_ids,
        _table.created_at,
    ).where(*_OF_KEY)
)
_LAST: Final = Statement(select(func.max(_table.number)).where(*_OF_USER))
_INSERT: Final = insertion(idempotency_keys)
_DELETE: Final = Statement(delete(idempotency_keys).where(*_OF_KEY))
_DELETE_OLDEST: Final = Statement(
    delete(idempotency_keys).where(*_OF_USER, _table.number <= bindparam("last"))
)
_EXPIRED: Final = (
    _table.account_id == bindparam("of_account"),
    _table.created_at <= bindparam("until"),
)
_HAS_EXPIRED: Final = Statement(select(literal_column("1")).where(*_EXPIRED).limit(1))
_DELETE_EXPIRED: Final = Statement(delete(idempotency_keys).where(*_EXPIRED))
_OF_ACCOUNT: Final = Statement(
    select(_table.user_id, _table.number, _table.body)
    .where(
        _table.account_id == bindparam("of_account"),
        _table.user_id == bindparam("of_user"),
        _table.number > bindparam("after"),
        _table.body.is_not(None),
    )
    .order_by(_table.number)
    .limit(literal_column("200"))
)
_USERS: Final = Statement(
    select(_table.user_id).where(_table.account_id == bindparam("of_account")).distinct()
)
_EMPTY: Final = Statement(
    update(idempotency_keys)
    .where(*_OF_USER, _table.number == bindparam("of_number"))
    .values(body=null())
)


class Asked(NamedTuple):
    """A request that may be retried: its path, its key, and a hash of its contents."""

    path: str
    key: str
    fingerprint: str


class KeptAnswer(NamedTuple):
    """A stored response. `kind` and `ids` are those of its records; `body` is None if purged."""

    fingerprint: str
    status: int
    body: bytes | None
    kind: str
    ids: tuple[int, ...]
    created_at: Instant


def find(tx: Transaction, account_id: int, user_id: int, asked: Asked) -> KeptAnswer | None:
    """The stored response to a request of the user with this path and key."""
    row = tx.row(_FIND, _key(account_id, user_id, asked))
    if row is None:
        return None
    fingerprint, status, body, kind, ids, created_at = row
    return KeptAnswer(
        fingerprint, status, body, kind, tuple(map(int, ids.split())), Instant(created_at)
    )


def forget(tx: Transaction, account_id: int, user_id: int, asked: Asked) -> None:
    """Delete the stored response to a request of the user with this path and key."""
    tx.rows(_DELETE, _key(account_id, user_id, asked))


def keep(  # noqa: PLR0917  the user, the request and the response
    tx: Transaction, account_id: int, user_id: int, asked: Asked, answer: KeptAnswer, most: int
) -> None:
    """Store a response, and delete all except the last `most` responses of the user."""
    of_user = {"of_account": account_id, "of_user": user_id}
    [[last]] = tx.rows(_LAST, of_user)
    number = (last or 0) + 1
    tx.rows(
        _INSERT,
        {
            "account_id": account_id,
            "user_id": user_id,
            "number": number,
            **asked._asdict(),
            "status": answer.status,
            "body": answer.body,
            "kind": answer.kind,
            "record_ids": " ".join(map(str, answer.ids)),
            "created_at": answer.created_at,
        },
    )
    if number > most:
        tx.rows(_DELETE_OLDEST, {**of_user, "last": number - most})


def forget_user(tx: Transaction, account_id: int, user_id: int) -> None:
    """Delete all stored responses of a user."""
    tx.rows(_DELETE_OLDEST, {"of_account": account_id, "of_user": user_id, "last": MAX_ID})


def has_expired(tx: Transaction, account_id: int, until: Instant) -> bool:
    """Whether an account has responses that were stored at `until` or before."""
    return tx.row(_HAS_EXPIRED, {"of_account": account_id, "until": until}) is not None


def forget_expired(tx: Transaction, account_id: int, until: Instant) -> None:
    """Delete the responses of an account that were stored at `until` or before."""
    tx.rows(_DELETE_EXPIRED, {"of_account": account_id, "until": until})


def empty_those_with(tx: Transaction, account_id: int, parts: tuple[bytes, ...]) -> None:
    """Delete the body of each response of an account whose body contains all of `parts`."""
    for (user_id,) in tx.rows(_USERS, {"of_account": account_id}):
        of_user, after = {"of_account": account_id, "of_user": user_id}, 0
        while found := tx.rows(_OF_ACCOUNT, {**of_user, "after": after}):
            for _, number, body in found:
                if all(part in bytes(body) for part in parts):
                    tx.rows(_EMPTY, {**of_user, "of_number": number})
            after = found[-1][1]


def _key(account_id: int, user_id: int, asked: Asked) -> dict[str, object]:
    return {
        "of_account": account_id,
        "of_user": user_id,
        "of_path": asked.path,
        "of_key": asked.key,
    }
