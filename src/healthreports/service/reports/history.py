"""What reports said before, and reports that were deleted. Contract: 8.3, 8.4."""

from msgspec.structs import asdict, replace

from healthreports.core.access import MAY_MANAGE_PEOPLE, Action
from healthreports.core.errors import NotFound
from healthreports.core.model import (
    Actor,
    DeletedReport,
    Instant,
    ReportVersion,
    StatusReport,
    later,
)
from healthreports.core.query import Page, Window
from healthreports.core.vocabulary import Kind, VersionEvent
from healthreports.service.lookup import demand, demand_administrator, is_allowed, visible
from healthreports.store.auth import answers
from healthreports.store.engine.database import Transaction
from healthreports.store.people import accounts
from healthreports.store.reports import reports, trash
from healthreports.store.reports import versions as stored


def versions(tx: Transaction, actor: Actor, report_id: int, window: Window) -> Page:
    """What a report has said, the newest first. Raises NotFound, for the client side too."""
    report = _with_versions(tx, actor, report_id)
    found, count = stored.page(tx, report, window.offset, window.limit)
    return Page(Kind.STATUS_REPORT_VERSIONS, tuple(found), count, window, {})


def version(tx: Transaction, actor: Actor, report_id: int, number: int) -> ReportVersion:
    """One version of a report. Raises NotFound."""
    found = stored.find(tx, _with_versions(tx, actor, report_id), number)
    if found is None:
        raise NotFound(Kind.STATUS_REPORT_VERSIONS)
    return found


def take_version_back(
    tx: Transaction, actor: Actor, report_id: int, number: int, now: Instant
) -> StatusReport:
    """Let a report say again what it said in one of its versions. Returns it.

    What it says now stays as a version. Raises NotFound, Forbidden.
    """
    report = visible(tx, actor, StatusReport, report_id)
    demand(tx, actor, Action.CHANGE_REPORT, report.workspace_id, report)
    then = version(tx, actor, report_id, number)
    changed = replace(report, color=then.color, description=then.description, details=then.details)
    if changed == report:
        return report
    changed = replace(changed, updater_id=actor.user_id, updated_at=later(now, report.updated_at))
    reports.replace(tx, report, changed, VersionEvent.RESTORED)
    accounts.touch(tx, actor.account_id, only_reports=True)
    return changed


def as_report(report: StatusReport, then: ReportVersion) -> StatusReport:
    """`report` as it was in a version of it."""
    return replace(report, color=then.color, description=then.description, details=then.details)


def deleted(tx: Transaction, actor: Actor, window: Window, workspace_id: int | None = None) -> Page:
    """The deleted reports `actor` could delete, the last one first: of one workspace or all."""
    found, count = trash.page(
        tx,
        actor.account_id,
        None if _administers(actor) else actor.user_id,
        workspace_id,
        window.offset,
        window.limit,
    )
    return Page(Kind.DELETED_STATUS_REPORTS, tuple(found), count, window, {})


def restore(tx: Transaction, actor: Actor, report_id: int, now: Instant) -> StatusReport:
    """Bring a deleted report back as it was, with its references. Returns it.

    Raises NotFound, and Forbidden where its workspace is archived.
    """
    found = deleted_report(tx, actor, report_id)
    demand(tx, actor, Action.CHANGE_REPORT, found.workspace_id, found)
    references = trash.take_out(tx, found)
    report = _alive(found)
    reports.put_back(tx, report, references)
    stored.note(tx, report, report, VersionEvent.RESTORED, actor.user_id, now)
    accounts.touch(tx, actor.account_id)
    return report


def purge(tx: Transaction, actor: Actor, report_id: int, now: Instant) -> None:
    """Delete a deleted report for good. Raises NotFound, Forbidden."""
    found = deleted_report(tx, actor, report_id)
    demand_administrator(actor)
    purge_for_good(tx, found, now)
    accounts.touch(tx, actor.account_id)


def purge_for_good(tx: Transaction, report: DeletedReport, now: Instant) -> None:
    """Delete all that is left of a report: its versions, and what answers said of it."""
    trash.purge(tx, report, now)
    # All that an answer can hold of it stands below these two.
    parts = (f'"{Kind.STATUS_REPORTS}"'.encode(), f'"{report.id}"'.encode())
    answers.empty_those_with(tx, report.account_id, parts)


def _with_versions(tx: Transaction, actor: Actor, report_id: int) -> StatusReport:
    report = visible(tx, actor, StatusReport, report_id)
    if not is_allowed(tx, actor, Action.SEE_VERSIONS, report):
        raise NotFound(Kind.STATUS_REPORTS)
    return report


def deleted_report(tx: Transaction, actor: Actor, report_id: int) -> DeletedReport:
    """The deleted report, if `actor` could have deleted it. Raises NotFound."""
    found = trash.find(tx, actor.account_id, report_id)
    if found is None or not (
        _administers(actor) or is_allowed(tx, actor, Action.CHANGE_REPORT, found)
    ):
        raise NotFound(Kind.DELETED_STATUS_REPORTS)
    return found


def _administers(actor: Actor) -> bool:
    return actor.permission in MAY_MANAGE_PEOPLE


def _alive(found: DeletedReport) -> StatusReport:
    values = asdict(found)
    del values["deleter_id"], values["deleted_at"]
    return StatusReport(**values)
