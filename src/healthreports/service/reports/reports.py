"""Status reports: create, change, delete. Contract: 5."""

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from healthreports.core.access import Action
from healthreports.core.errors import Invalid
from healthreports.core.model import Actor, Instant, StatusReport, Workspace, later
from healthreports.core.rules.reading import Sent
from healthreports.core.rules.references import ReferenceDraft
from healthreports.core.rules.reports import (
    ReportDraft,
    check_new_report,
    check_report_change,
)
from healthreports.core.vocabulary import AuditAction, VersionEvent
from healthreports.service.auditing import note
from healthreports.service.linking import attach
from healthreports.service.lookup import demand, seen, visible
from healthreports.store.engine.database import Transaction
from healthreports.store.people import accounts
from healthreports.store.reports import reports, trash, versions


def create(tx: Transaction, actor: Actor, sent: Sent, now: Instant) -> StatusReport:
    """Store a new report by `actor`, with its external reference. Returns it.

    Raises Invalid with every fault, or Forbidden. Contract: 5.2, 5.4.
    """
    draft, problems = check_new_report(sent)
    workspace = seen(
        "workspace_id",
        draft.workspace_id,
        problems,
        lambda sent_id: demand(tx, actor, Action.CREATE_REPORT, sent_id),
    )
    if problems or workspace is None:
        raise Invalid(problems)
    [report] = reports.insert(tx, actor.account_id, [_new_report(actor, workspace, draft, now)])
    _attach(tx, report, draft.reference, now)
    accounts.touch(tx, actor.account_id, only_new=True)
    return report


def change(tx: Transaction, actor: Actor, report_id: int, sent: Sent, now: Instant) -> StatusReport:
    """Change the fields of a report that were sent; details are replaced as a whole.

    Returns the report as it is now. If no field changes, its times and updater do not change.
    Raises NotFound, Forbidden, Invalid with every fault. Contract: 3.5, 5.3, 5.4.
    """
    report = visible(tx, actor, StatusReport, report_id)
    demand(tx, actor, Action.CHANGE_REPORT, report.workspace_id, report)
    draft, problems = check_report_change(sent)
    if problems:
        raise Invalid(problems)
    changed = replace(
        report,
        color=report.color if draft.color is UNSET else draft.color,
        description=report.description if draft.description is UNSET else draft.description,
        details=report.details if draft.details is UNSET else draft.details,
    )
    if changed != report:
        updated_at = later(now, report.updated_at)
        changed = replace(changed, updater_id=actor.user_id, updated_at=updated_at)
        reports.replace(tx, report, changed)
    _attach(tx, report, draft.reference, now)
    accounts.touch(tx, actor.account_id, only_reports=draft.reference is UNSET)
    return changed


def delete(tx: Transaction, actor: Actor, report_id: int, now: Instant) -> None:
    """Delete a report and its external references; `history.restore` restores them.

    Raises NotFound, Forbidden. Contract: 5.5, 8.4.
    """
    report = visible(tx, actor, StatusReport, report_id)
    demand(tx, actor, Action.CHANGE_REPORT, report.workspace_id, report)
    references = reports.delete_with_references(tx, report)
    trash.put(tx, report, references, actor.user_id, now)
    versions.note(tx, report, report, VersionEvent.DELETED, actor.user_id, now)
    before = {"workspace_id": report.workspace_id, "creator_id": report.creator_id}
    note(tx, actor.account_id, AuditAction.REPORT_DELETED, report.id, before)
    accounts.touch(tx, actor.account_id)


def _new_report(
    actor: Actor, workspace: Workspace, draft: ReportDraft, now: Instant
) -> StatusReport:
    assert draft.color is not UNSET
    assert draft.description is not UNSET
    return StatusReport(
        id=0,
        account_id=workspace.account_id,
        workspace_id=workspace.id,
        creator_id=actor.user_id,
        updater_id=None,
        color=draft.color,
        description=draft.description,
        details=() if draft.details is UNSET else draft.details,
        created_at=now,
        updated_at=now,
    )


def _attach(
    tx: Transaction, report: StatusReport, draft: ReferenceDraft | UnsetType, now: Instant
) -> None:
    if draft is not UNSET:
        attach(tx, report, draft, now)
