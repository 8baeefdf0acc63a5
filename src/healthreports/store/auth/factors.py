"""Second factors: passkeys, authenticator applications, recovery codes."""

from typing import Final, NamedTuple

from sqlalchemy import bindparam, delete, select, update

from healthreports.core.model import Factor, Instant
from healthreports.core.vocabulary import FactorKind
from healthreports.store.engine.database import Row, Transaction
from healthreports.store.engine.statement import Statement, insertion
from healthreports.store.schema.tables import factors

_SHOWN: Final = tuple(factors.c[name] for name in Factor.__struct_fields__)
_COLUMNS: Final = (*_SHOWN, factors.c.secret, factors.c.credential_id, factors.c.counter)
_OF_USER: Final = Statement(
    select(*_COLUMNS).where(factors.c.user_id == bindparam("of_user")).order_by(factors.c.id)
)
_BY_CREDENTIAL: Final = Statement(
    select(*_COLUMNS).where(factors.c.credential_id == bindparam("credential"))
)
_INSERT: Final = insertion(factors)
_USE: Final = Statement(
    update(factors)
    .where(factors.c.id == bindparam("row_id"))
    .values(counter=bindparam("now_at"), last_used_at=bindparam("now"))
)
_DELETE: Final = Statement(delete(factors).where(factors.c.id == bindparam("row_id")))


class Kept(NamedTuple):
    """A second factor with the data to verify it, which the table `factors` describes."""

    factor: Factor
    secret: str
    credential_id: str | None
    counter: int


def of_user(tx: Transaction, user_id: int) -> list[Kept]:
    """All second factors of a user, including recovery codes, the oldest first."""
    return [_kept(row) for row in tx.rows(_OF_USER, {"of_user": user_id})]


def by_credential(tx: Transaction, credential_id: str) -> Kept | None:
    """The passkey with this credential id, of any user."""
    row = tx.row(_BY_CREDENTIAL, {"credential": credential_id})
    return None if row is None else _kept(row)


def insert(  # noqa: PLR0917  one row
    tx: Transaction,
    account_id: int,
    user_id: int,
    kind: FactorKind,
    name: str,
    secret: str,
    counter: int,
    now: Instant,
    credential_id: str | None = None,
) -> int:
    """Store a new second factor. Returns its id."""
    values = {"account_id": account_id, "user_id": user_id, "kind": kind, "name": name}
    values |= {"secret": secret, "counter": counter, "credential_id": credential_id}
    [[row_id]] = tx.rows(_INSERT, values | {"created_at": now, "last_used_at": None})
    return int(row_id)


def note_use(tx: Transaction, factor_id: int, counter: int, now: Instant) -> None:
    """Store that a second factor was used, and its new `counter`."""
    tx.rows(_USE, {"row_id": factor_id, "now_at": counter, "now": now})


def remove(tx: Transaction, factor_id: int) -> None:
    """Delete a second factor."""
    tx.rows(_DELETE, {"row_id": factor_id})


def _kept(row: Row) -> Kept:
    values = dict(zip(Factor.__struct_fields__, row, strict=False))
    values["kind"] = FactorKind(values["kind"])
    return Kept(Factor(**values), *row[len(_SHOWN) :])
