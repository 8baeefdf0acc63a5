"""The progress of imports of files."""

from typing import Final

import msgspec
from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert

from healthreports.core.model import Instant
from healthreports.store.engine.database import Transaction
from healthreports.store.engine.statement import Statement
from healthreports.store.schema.tables import imports


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of importing a file: the bytes, lines and reports that were imported.

    `digest` is the SHA-256 of the imported bytes, in hexadecimal.
    """

    name: str
    bytes_done: int
    lines_done: int
    reports: int
    digest: str
    updated_at: Instant


_FIELDS: Final = Progress.__struct_fields__
_PROGRESS: Final = Statement(
    select(*(imports.c[name] for name in _FIELDS)).where(
        imports.c.account_id == bindparam("of_account"), imports.c.name == bindparam("of_name")
    )
)
_new: Final = insert(imports)
_NOTE: Final = Statement(
    _new.on_conflict_do_update(
        index_elements=list(imports.primary_key),
        set_={name: _new.excluded[name] for name in _FIELDS if name != "name"},
    ),
    [column.name for column in imports.columns],
)


def progress(tx: Transaction, account_id: int, name: str) -> Progress | None:
    """The progress of importing the file with this name into an account, or None."""
    row = tx.row(_PROGRESS, {"of_account": account_id, "of_name": name})
    return None if row is None else Progress(**dict(zip(_FIELDS, row, strict=True)))


def note(tx: Transaction, account_id: int, done: Progress) -> None:
    """Store the progress of importing a file."""
    tx.rows(_NOTE, msgspec.structs.asdict(done) | {"account_id": account_id})
