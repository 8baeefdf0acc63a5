"""The external reference of a status report or a workspace to another system. Contract: 5.4."""

from msgspec.structs import replace

from healthreports.core.model import (
    ExternalReference,
    Instant,
    StatusReport,
    Workspace,
    later,
)
from healthreports.core.rules.reading import values_sent
from healthreports.core.rules.references import ReferenceDraft
from healthreports.core.vocabulary import SubjectType, SyncStatus
from healthreports.store.engine.database import Transaction
from healthreports.store.reports import references

Referable = StatusReport | Workspace


def attach(
    tx: Transaction, subject: Referable, draft: ReferenceDraft, now: Instant
) -> ExternalReference:
    """Create or update the reference of `subject` to the draft's service. Returns the reference.

    Fields that were not sent do not change. `last_synced_at` is set on each write. Contract: 5.4.
    """
    sent = values_sent(draft)
    subject_type = _type_of(subject)
    having = references.of_subject(tx, subject.account_id, subject_type, subject.id)
    known = next((one for one in having if one.service_name == sent["service_name"]), None)
    if known is None:
        return references.put(tx, having, _new_reference(subject, sent, now))
    changed = replace(known, **sent)
    updated_at = known.updated_at if changed == known else later(now, known.updated_at)
    synced_at = later(now, known.last_synced_at or now)
    changed = replace(changed, updated_at=updated_at, last_synced_at=synced_at)
    return references.put(tx, having, changed)


def _new_reference(subject: Referable, sent: dict[str, object], now: Instant) -> ExternalReference:
    blank = ExternalReference(
        id=0,
        account_id=subject.account_id,
        workspace_id=_workspace_of(subject),
        subject_type=_type_of(subject),
        subject_id=subject.id,
        service_name="",
        service_model="",
        service_model_ref="",
        status=SyncStatus.SUCCESSFUL,
        external_status=None,
        external_message=None,
        external_link=None,
        locked=None,
        created_at=now,
        updated_at=now,
        last_synced_at=now,
    )
    return replace(blank, **sent)


def _workspace_of(subject: Referable) -> int:
    return subject.workspace_id if isinstance(subject, StatusReport) else subject.id


def _type_of(subject: Referable) -> SubjectType:
    if isinstance(subject, StatusReport):
        return SubjectType.STATUS_REPORT
    return SubjectType.WORKSPACE
