"""Writes of external references, and finding one by its subject and service."""

from typing import Final, cast

import msgspec
from sqlalchemy import bindparam, select

from healthreports.core.model import ExternalReference
from healthreports.core.vocabulary import Kind, SubjectType
from healthreports.store.database import Transaction, compiled, deletion, insertion, replacement
from healthreports.store.schema import external_references
from healthreports.store.select import SELECTIONS

_CHANGED: Final = (
    "service_model",
    "service_model_ref",
    "status",
    "external_status",
    "external_message",
    "external_link",
    "locked",
    "updated_at",
    "last_synced_at",
)
_INSERT: Final = insertion(external_references)
_REPLACE: Final = replacement(external_references, _CHANGED)
_DELETE: Final = deletion(external_references)
_OF_SERVICE: Final = compiled(
    select(*SELECTIONS[Kind.EXTERNAL_REFERENCES].columns).where(
        external_references.c.subject_type == bindparam("subject_type"),
        external_references.c.subject_id == bindparam("subject_id"),
        external_references.c.service_name == bindparam("service_name"),
    )
)


def of_service(
    tx: Transaction, subject_type: SubjectType, subject_id: int, service_name: str
) -> ExternalReference | None:
    """The reference of a subject to the service, or None: there is one at most (5.4)."""
    row = tx.row(
        _OF_SERVICE,
        {"subject_type": subject_type, "subject_id": subject_id, "service_name": service_name},
    )
    if row is None:
        return None
    return cast("ExternalReference", SELECTIONS[Kind.EXTERNAL_REFERENCES].read(row))


def insert(tx: Transaction, reference: ExternalReference) -> int:
    """Store a new reference, whose `id` is not used. Returns the id it was given."""
    [[reference_id]] = tx.rows(_INSERT, msgspec.structs.asdict(reference))
    assert isinstance(reference_id, int)
    return reference_id


def replace(tx: Transaction, reference: ExternalReference) -> None:
    """Store `reference` in place of what had its id."""
    tx.rows(_REPLACE, msgspec.structs.asdict(reference) | {"row_id": reference.id})


def delete_one(tx: Transaction, reference_id: int) -> None:
    """Delete a reference."""
    tx.rows(_DELETE, {"row_id": reference_id})
