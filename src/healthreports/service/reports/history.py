"""Earlier versions of reports, and deleted reports. Contract: 8.3, 8.4."""

from typing import Final

import msgspec
from msgspec.structs import asdict, replace

from healthreports.core import compare
from healthreports.core.access import MAY_MANAGE_PEOPLE, Action
from healthreports.core.errors import NotFound
from healthreports.core.model import (
    Actor,
    DeletedReport,
    Instant,
    ReportVersion,
    StatusReport,
    User,
    Workspace,
    later,
)
from healthreports.core.query import Page, Window
from healthreports.core.vocabulary import AuditAction, Kind, VersionEvent
from healthreports.service.auditing import note
from healthreports.service.lookup import demand, demand_administrator, is_allowed, visible
from healthreports.store.auth import answers
from healthreports.store.engine.database import Transaction
from healthreports.store.lists import pages as records
from healthreports.store.people import accounts, workspaces
from healthreports.store.reports import drafts, reports, trash
from healthreports.store.reports import versions as stored

# Versions on a page.
SHOWN: Final = 20


class Told(msgspec.Struct, frozen=True):
    """One version of a report, its author, and the report in that version and the one before."""

    version: ReportVersion
    author: User
    now: StatusReport
    before: StatusReport | None

    @property
    def moves(self) -> tuple[compare.Move, ...]:
        """The states that this version changed."""
        return () if self.before is None else compare.moves(self.before, self.now)

    @property
    def rewordings(self) -> tuple[compare.Rewording, ...]:
        """The texts that this version changed."""
        return () if self.before is None else compare.rewordings(self.before, self.now)


class History(msgspec.Struct, frozen=True):
    """A report and one page of its `count` versions, newest first: up to `SHOWN`."""

    workspace: Workspace
    report: StatusReport
    versions: tuple[Told, ...]
    count: int
    may_change: bool


def told(tx: Transaction, actor: Actor, report_id: int, page: int = 1) -> History:
    """The history of a report, for display. Raises NotFound."""
    report = _with_versions(tx, actor, report_id)
    # One more, because the last version on the page is compared with it.
    found, count = stored.page(tx, report, (page - 1) * SHOWN, SHOWN + 1)
    olders = [*found[1:], None]
    authors = records.by_ids(tx, User, actor.account_id, {one.user_id for one in found})
    workspace = workspaces.workspace(tx, actor.account_id, report.workspace_id)
    assert workspace is not None  # it has a report
    return History(
        workspace,
        report,
        tuple(
            _told(report, one, older, authors[one.user_id])
            for one, older in zip(found[:SHOWN], olders, strict=False)
        ),
        count,
        is_allowed(tx, actor, Action.CHANGE_REPORT, report),
    )


def compared(tx: Transaction, actor: Actor, report_id: int, older: int, newer: int) -> Told:
    """The version `newer` of a report, compared with the version `older`. Raises NotFound."""
    report = _with_versions(tx, actor, report_id)
    one, other = (version(tx, actor, report_id, number) for number in (newer, older))
    author = records.by_ids(tx, User, actor.account_id, {one.user_id})[one.user_id]
    return _told(report, one, other, author)


def _told(
    report: StatusReport, one: ReportVersion, older: ReportVersion | None, author: User
) -> Told:
    before = None if older is None else as_report(report, older)
    return Told(one, author, as_report(report, one), before)


def versions(tx: Transaction, actor: Actor, report_id: int, window: Window) -> Page:
    """The versions of a report, newest first. Raises NotFound, also for the client side."""
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
    """Restore the contents of an earlier version of a report. Returns the report.

    Its current contents stay available as a version. Raises NotFound, Forbidden.
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


def as_of(tx: Transaction, actor: Actor, report: StatusReport, at: Instant) -> StatusReport:
    """`report` as it was at `at`, after its creation.

    It is the report as it is now if `actor` may not see versions.
    """
    if not is_allowed(tx, actor, Action.SEE_VERSIONS, report):
        return report
    then = stored.at(tx, report, at)
    return report if then is None else as_report(report, then)


def as_report(report: StatusReport, then: ReportVersion) -> StatusReport:
    """`report` with the contents of one of its versions."""
    return replace(report, color=then.color, description=then.description, details=then.details)


def deleted(tx: Transaction, actor: Actor, window: Window, workspace_id: int | None = None) -> Page:
    """The deleted reports that `actor` could have deleted, last deleted first.

    They are of one workspace, or of all if `workspace_id` is None.
    """
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
    """Restore a deleted report as it was, with its external references. Returns it.

    Raises NotFound, and Forbidden if its workspace is archived.
    """
    found = deleted_report(tx, actor, report_id)
    demand(tx, actor, Action.CHANGE_REPORT, found.workspace_id, found)
    references = trash.take_out(tx, found)
    report = _alive(found)
    reports.put_back(tx, report, references)
    stored.note(tx, report, report, VersionEvent.RESTORED, actor.user_id, now)
    after = {"workspace_id": report.workspace_id}
    note(tx, actor.account_id, AuditAction.REPORT_RESTORED, report.id, after=after)
    accounts.touch(tx, actor.account_id)
    return report


def purge(tx: Transaction, actor: Actor, report_id: int, now: Instant) -> None:
    """Permanently delete a deleted report. Raises NotFound, Forbidden."""
    found = deleted_report(tx, actor, report_id)
    demand_administrator(actor)
    purge_for_good(tx, found, now)
    accounts.touch(tx, actor.account_id)


def purge_wherever(tx: Transaction, account_id: int, report_id: int, now: Instant) -> bool:
    """Permanently delete a report, deleted before or not. Returns whether there was one."""
    found = trash.find(tx, account_id, report_id)
    if found is None:
        alive = records.by_ids(tx, StatusReport, account_id, {report_id}).get(report_id)
        if alive is None:
            return False
        references = reports.delete_with_references(tx, alive)
        trash.put(tx, alive, references, alive.creator_id, now)
        found = trash.find(tx, account_id, report_id)
        assert found is not None  # it was just put there
    purge_for_good(tx, found, now)
    accounts.touch(tx, account_id)
    return True


def purge_for_good(tx: Transaction, report: DeletedReport, now: Instant) -> None:
    """Permanently delete a report: its versions, drafts, and stored answers that contain it."""
    trash.purge(tx, report, now)
    drafts.drop_of_report(tx, report.account_id, report.id)
    note(tx, report.account_id, AuditAction.REPORT_PURGED, report.id)
    # An answer with contents of the report has both the kind and the id as keys.
    parts = (f'"{Kind.STATUS_REPORTS}"'.encode(), f'"{report.id}"'.encode())
    answers.empty_those_with(tx, report.account_id, parts)


def trash_of(
    tx: Transaction, actor: Actor, workspace_id: int, page: int = 1
) -> tuple[Workspace, tuple[tuple[DeletedReport, User, User], ...], int]:
    """A page of a workspace's deleted reports with author and deleter, and their number.

    Raises NotFound.
    """
    workspace = visible(tx, actor, Workspace, workspace_id)
    window = Window(SHOWN, (page - 1) * SHOWN, SHOWN, page)
    found = deleted(tx, actor, window, workspace_id)
    reports_found = found.records_of(DeletedReport)
    ids = {user for one in reports_found for user in (one.creator_id, one.deleter_id)}
    people = records.by_ids(tx, User, actor.account_id, ids)
    return (
        workspace,
        tuple((one, people[one.creator_id], people[one.deleter_id]) for one in reports_found),
        found.count,
    )


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
