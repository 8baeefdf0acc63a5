"""External references: create or update by subject and service, delete. Contract: 5.4, 7."""

from collections.abc import Mapping
from typing import Final

from healthreports.core.access import Action
from healthreports.core.errors import Fault, Invalid, NotFound, Problem
from healthreports.core.model import (
    Actor,
    ExternalReference,
    Instant,
    StatusReport,
    Workspace,
)
from healthreports.core.rules.reading import Sent
from healthreports.core.rules.references import check_reference
from healthreports.core.vocabulary import SubjectType
from healthreports.service.linking import Referable, attach
from healthreports.service.lookup import demand, visible
from healthreports.store.engine.database import Transaction
from healthreports.store.people import accounts
from healthreports.store.reports import references

_SUBJECTS: Final[Mapping[SubjectType, type[StatusReport] | type[Workspace]]] = {
    SubjectType.STATUS_REPORT: StatusReport,
    SubjectType.WORKSPACE: Workspace,
}


def create_or_update(tx: Transaction, actor: Actor, sent: Sent, now: Instant) -> ExternalReference:
    """Create or update the reference of a subject to a service. Returns it.

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


def delete(tx: Transaction, actor: Actor, reference_id: int) -> None:
    """Delete a reference. Raises NotFound, Forbidden. Contract: 7."""
    reference = visible(tx, actor, ExternalReference, reference_id)
    subject = _SUBJECTS[reference.subject_type]
    _demand_change(tx, actor, visible(tx, actor, subject, reference.subject_id))
    references.delete_one(tx, reference)
    accounts.touch(tx, actor.account_id)


def _demand_change(tx: Transaction, actor: Actor, subject: Referable) -> None:
    """Raise Forbidden unless `actor` may change the subject of the reference."""
    if isinstance(subject, StatusReport):
        demand(tx, actor, Action.CHANGE_REPORT, subject.workspace_id, subject)
    else:
        demand(tx, actor, Action.CHANGE_WORKSPACE, subject.id)
