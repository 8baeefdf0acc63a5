"""Validation of an external reference, in its own body or inside the body of another object.

Each function takes the attributes as sent. It returns a draft with the attributes that could be
read, and all problems are noted (5.6). Contract: 5.4, 5.7, 7.5.
"""

import msgspec
from msgspec import UNSET, UnsetType

from healthreports.core.errors import Problem
from healthreports.core.rules.reading import BodyReader, Sent
from healthreports.core.vocabulary import (
    ALSO_FAILED,
    MAX_LINK,
    MAX_NAME,
    SubjectType,
    SyncStatus,
)


class ReferenceDraft(msgspec.Struct, frozen=True, kw_only=True):
    """An external reference as sent; what was not sent is UNSET and stays as it is (5.4, 7)."""

    service_name: str | UnsetType = UNSET
    service_model: str | UnsetType = UNSET
    service_model_ref: str | UnsetType = UNSET
    status: SyncStatus | UnsetType = UNSET
    external_status: str | None | UnsetType = UNSET
    external_message: str | None | UnsetType = UNSET
    external_link: str | None | UnsetType = UNSET
    locked: bool | None | UnsetType = UNSET


class ReferenceSubject(msgspec.Struct, frozen=True):
    """The object that an external reference belongs to (7)."""

    type: SubjectType
    id: int


def check_reference(sent: Sent) -> tuple[ReferenceSubject | None, ReferenceDraft, list[Problem]]:
    """Read the body of an external reference that names its subject. Contract: 7."""
    body = BodyReader(sent)
    subject_type = body.choice("subject_type", SubjectType, required=True)
    subject_id = body.identity("subject_id")
    draft = _reference(body)
    if subject_type is UNSET or subject_id is UNSET:
        return None, draft, body.problems
    return ReferenceSubject(subject_type, subject_id), draft, body.problems


def reference_of(body: BodyReader) -> ReferenceDraft | UnsetType:
    """The external reference inside the body of another object (5.4)."""
    nested = body.nested("external_reference")
    return UNSET if nested is None else _reference(nested)


def _reference(body: BodyReader) -> ReferenceDraft:
    return ReferenceDraft(
        service_name=body.text("service_name", MAX_NAME, required=True),
        service_model=body.text("service_model", MAX_NAME, required=True),
        service_model_ref=body.reference("service_model_ref"),
        status=body.choice("status", SyncStatus, required=False, also=ALSO_FAILED),
        external_status=body.text_or_null("external_status", MAX_NAME),
        external_message=body.text_or_null("external_message", MAX_LINK),
        external_link=body.link_or_null("external_link"),
        locked=body.flag_or_null("locked"),
    )
