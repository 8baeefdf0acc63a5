"""Writes of external references, and reading the references of a subject."""

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import bindparam, select

from healthreports.core.model import ExternalReference
from healthreports.core.vocabulary import Kind, SubjectType
from healthreports.store.engine.database import Transaction
from healthreports.store.engine.statement import (
    Statement,
    deletion,
    insertion,
    one_row,
    replacement,
)
from healthreports.store.lists import counters as tally
from healthreports.store.lists import tallies
from healthreports.store.lists.selections import REFERENCES
from healthreports.store.schema.tables import external_references, workspaces

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
_ARCHIVED: Final = Statement(
    select(workspaces.c.archived).where(
        workspaces.c.account_id == bindparam("of_account"),
        workspaces.c.id == bindparam("of_workspace"),
    )
)
_OF_SUBJECT: Final = Statement(
    select(*REFERENCES.columns).where(
        external_references.c.account_id == bindparam("of_account"),
        external_references.c.subject_type == bindparam("subject_type"),
        external_references.c.subject_id == bindparam("subject_id"),
    )
)


def of_subject(
    tx: Transaction, account_id: int, subject_type: SubjectType, subject_id: int
) -> list[ExternalReference]:
    """The references of a subject, at most one for each service (5.4)."""
    values = {"of_account": account_id, "subject_type": subject_type, "subject_id": subject_id}
    return [REFERENCES.read(row) for row in tx.rows(_OF_SUBJECT, values)]


def put(
    tx: Transaction, having: Sequence[ExternalReference], new: ExternalReference
) -> ExternalReference:
    """Store a reference of a subject whose references are `having`, and return it.

    It replaces the reference with its id. If its `id` is 0, it is added and gets a new id.
    """
    old = [one for one in having if one.id == new.id]
    if new.id:
        tx.rows(_REPLACE, msgspec.structs.asdict(new) | one_row(new))
    else:
        new = msgspec.structs.replace(new, id=tx.new_ids("external_references", 1)[0])
        tx.rows(_INSERT, msgspec.structs.asdict(new))
    tallies.note(tx, new.account_id, Kind.EXTERNAL_REFERENCES, gone=old, come=[new])
    _note(tx, new, having, [*(one for one in having if one.id != new.id), new])
    return new


def put_back(tx: Transaction, having: Sequence[ExternalReference]) -> None:
    """Restore the references of a deleted subject, with their old ids."""
    if having:
        one = having[0]
        tx.run_each(_INSERT, [msgspec.structs.asdict(each) for each in having])
        tallies.note(tx, one.account_id, Kind.EXTERNAL_REFERENCES, come=having)
        _note(tx, one, [], having)


def delete_one(tx: Transaction, gone: ExternalReference) -> None:
    """Delete a reference."""
    having = of_subject(tx, gone.account_id, gone.subject_type, gone.subject_id)
    tx.rows(_DELETE, one_row(gone))
    tallies.note(tx, gone.account_id, Kind.EXTERNAL_REFERENCES, gone=[gone])
    _note(tx, gone, having, [one for one in having if one.id != gone.id])


def _note(
    tx: Transaction,
    one: ExternalReference,
    before: Sequence[ExternalReference],
    after: Sequence[ExternalReference],
) -> None:
    """Update the terms of the subject of `one`, by which lists filter, after a change."""
    if one.subject_type is SubjectType.STATUS_REPORT:
        gone, come = tally.terms_of(before), tally.terms_of(after)
        tally.note_terms(tx, one.account_id, one.subject_id, gone, come)
    else:
        gone, come = tallies.workspace_terms(before), tallies.workspace_terms(after)
        row = tx.row(_ARCHIVED, {"of_account": one.account_id, "of_workspace": one.subject_id})
        assert row is not None  # the caller has found the workspace
        tallies.note_terms(tx, one.account_id, row[0], gone=gone - come, come=come - gone)
