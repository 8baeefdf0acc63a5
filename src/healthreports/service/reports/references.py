"""External references: create or update by subject and service, delete. Contract: 5.4, 7."""

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from healthreports.core.access import Action
from healthreports.core.errors import Fault, Invalid, NotFound, Problem
from healthreports.core.model import (
    Actor,
    ExternalReference,
    Instant,
    StatusReport,
    Workspace,
    not_before,
)
from healthreports.core.rules.reading import Sent, values_sent
from healthreports.core.rules.reports import ReferenceDraft, check_reference
from healthreports.core.vocabulary import SubjectType, SyncStatus
from healthreports.service.lookup import demand, visible
from healthreports.store.engine.database import Transaction
from healthreports.store.people import accounts
from healthreports.store.reports import references

Referable = StatusReport | Workspace

_SUBJECTS: Final[Mapping[SubjectType, type[StatusReport] | type[Workspace]]] = {
    SubjectType.STATUS_REPORT: StatusReport,
    SubjectType.WORKSPACE: Workspace,
}


def create_or_update(tx: Transaction, actor: Actor, sent: Sent, now: Instant) -> ExternalReference:
    """Store the reference of a subject to a service. Returns it.

    Raises Invalid with every fault, or Forbidden. Contract: 7.
    """
    named, draft, problems = check_reference(sent)
    subject: Referable | None = None
    if named is not None:
        try:
            subject = visible(tx, actor, _SUBJECTS[named.type], named.id)
            _demand_change(tx, actor, subject)
        except NotFound:
            problems.append(Problem("subject_id", Fault.UNKNOWN_OBJECT))
    if problems or subject is None:
        raise Invalid(problems)
    reference = attach(tx, subject, draft, now)
    accounts.touch(tx, actor.account_id)
    return reference


def attach(
    tx: Transaction, subject: Referable, draft: ReferenceDraft, now: Instant
) -> ExternalReference:
    """Create or update the reference of `subject` to the draft's service; what was not sent stays.

    `last_synced_at` is set on each write. Returns the reference. Contract: 5.4.
    """
    sent = values_sent(draft)
    subject_type = _type_of(subject)
    having = references.of_subject(tx, subject.account_id, subject_type, subject.id)
    known = next((one for one in having if one.service_name == sent["service_name"]), None)
    if known is None:
        return references.put(tx, having, _new_reference(subject, sent, now))
    changed = replace(known, **sent)
    updated_at = known.updated_at if changed == known else not_before(now, known.updated_at)
    synced_at = not_before(now, known.last_synced_at or now)
    changed = replace(changed, updated_at=updated_at, last_synced_at=synced_at)
    return references.put(tx, having, changed)


def delete(tx: Transaction, actor: Actor, reference_id: int) -> None:
    """Delete a reference. Raises NotFound, Forbidden. Contract: 7."""
    reference = visible(tx, actor, ExternalReference, reference_id)
    subject = _SUBJECTS[reference.subject_type]
    _demand_change(tx, actor, visible(tx, actor, subject, reference.subject_id))
    references.delete_one(tx, reference)
    accounts.touch(tx, actor.account_id)


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


def _demand_change(tx: Transaction, actor: Actor, subject: Referable) -> None:
    """Raise Forbidden unless `actor` may change what the reference belongs to."""
    if isinstance(subject, StatusReport):
        demand(tx, actor, Action.CHANGE_REPORT, subject.workspace_id, subject)
    else:
        demand(tx, actor, Action.CHANGE_WORKSPACE, subject.id)


def _workspace_of(subject: Referable) -> int:
    return subject.workspace_id if isinstance(subject, StatusReport) else subject.id


def _type_of(subject: Referable) -> SubjectType:
    if isinstance(subject, StatusReport):
        return SubjectType.STATUS_REPORT
    return SubjectType.WORKSPACE
