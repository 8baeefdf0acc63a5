"""Importing status reports from a file, in batches: each batch is stored whole or not at all.

The position in the file is stored in the same transaction, so an interrupted import resumes there.
A person who can run the command can read the whole database, so permissions are not checked; but
workspaces and users must belong to the account.
"""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import UNSET
from msgspec.structs import replace

from healthreports.core.errors import Fault, Problem
from healthreports.core.model import Instant, StatusReport, User, Workspace
from healthreports.core.rules.reports import ReportDraft, ReportLine, check_new_report
from healthreports.core.vocabulary import AuditAction
from healthreports.service.auditing import note
from healthreports.service.linking import attach
from healthreports.store.engine.database import Transaction
from healthreports.store.lists import pages as records
from healthreports.store.people import accounts, workspaces
from healthreports.store.reports import imports, reports
from healthreports.store.reports.imports import Progress


class ImportOvertaken(Exception):
    """Another import of the same file runs at the same time, and is further ahead."""


class BadLine(NamedTuple):
    """A line that cannot be imported, and everything that is wrong with it."""

    number: int
    problems: list[Problem]


def progress(tx: Transaction, by: User, name: str) -> Progress | None:
    """How far the file with that name was imported into the account of `by`; None if never."""
    return imports.progress(tx, by.account_id, name)


def check(tx: Transaction, by: User, lines: Sequence[ReportLine]) -> list[BadLine]:
    """The lines that `store` would refuse."""
    return _read(tx, by, lines, Instant(0))[1]


def store(  # noqa: PLR0917  a batch, and the progress before and after it
    tx: Transaction,
    by: User,
    lines: Sequence[ReportLine],
    before: Progress,
    done: Progress,
    now: Instant,
) -> list[BadLine]:
    """Store the report of each line, and the progress of the import: `before` and `done`.

    If a line is bad, nothing is stored, and the bad lines are returned. If a line does not name its
    author and time, they are `by` and `now`. Raises ImportOvertaken if the stored progress is not
    `before`.
    """
    known = progress(tx, by, before.name)
    if (known.bytes_done if known else 0) != before.bytes_done:
        raise ImportOvertaken
    found, bad = _read(tx, by, lines, now)
    if bad:
        return bad
    stored = reports.insert(tx, by.account_id, [report for report, _ in found])
    for report, (_, draft) in zip(stored, found, strict=True):
        if draft.reference is not UNSET:
            attach(tx, report, draft.reference, report.updated_at)
    has_older = _make_older(tx, by, stored, lines)
    imports.note(tx, by.account_id, done)
    after = {"file": done.name, "reports": len(lines)}
    note(tx, by.account_id, AuditAction.REPORTS_IMPORTED, None, after=after)
    accounts.touch(tx, by.account_id, only_reports=not has_older)
    return []


def _make_older(
    tx: Transaction, by: User, stored: Sequence[StatusReport], lines: Sequence[ReportLine]
) -> bool:
    """Move the creation of workspaces back to the earliest time that the lines give.

    Returns whether a workspace changed.
    """
    said: dict[int, Instant] = {}
    for report, line in zip(stored, lines, strict=True):
        if (since := line.workspace_created_at) is not None:
            said[report.workspace_id] = min(said.get(report.workspace_id, since), since)
    older = [
        one
        for one in records.by_ids(tx, Workspace, by.account_id, set(said)).values()
        if said[one.id] < one.created_at
    ]
    for one in older:
        workspaces.replace_workspace(tx, one, replace(one, created_at=said[one.id]))
    return bool(older)


def _read(
    tx: Transaction, by: User, lines: Sequence[ReportLine], now: Instant
) -> tuple[list[tuple[StatusReport, ReportDraft]], list[BadLine]]:
    checked = [(line, *_checked(line)) for line in lines]
    named = {draft.workspace_id for _, draft, _ in checked if draft.workspace_id is not UNSET}
    users = {one for line in lines for one in (line.creator_id, line.updater_id) if one is not None}
    known = (
        set(records.by_ids(tx, Workspace, by.account_id, named)),
        set(records.by_ids(tx, User, by.account_id, users)),
    )
    found, bad = [], []
    for line, draft, problems in checked:
        wrong = [*problems, *line.problems, *_strangers(line, draft, *known)]
        if wrong:
            bad.append(BadLine(line.number, wrong))
        else:
            found.append((_report(line, draft, by, now), draft))
    return found, bad


def _checked(line: ReportLine) -> tuple[ReportDraft, list[Problem]]:
    if any(one.fault is Fault.NOT_A_LINE for one in line.problems):  # it has no fields
        return ReportDraft(), []
    return check_new_report(line.sent)


def _strangers(
    line: ReportLine, draft: ReportDraft, known_workspaces: set[int], known_users: set[int]
) -> list[Problem]:
    """The workspaces and users that the line names and the account does not have."""
    named = {
        "workspace_id": (draft.workspace_id, known_workspaces),
        "creator_id": (line.creator_id, known_users),
        "updater_id": (line.updater_id, known_users),
    }
    return [
        Problem(name, Fault.UNKNOWN_OBJECT)
        for name, (one, known) in named.items()
        if one is not None and one is not UNSET and one not in known
    ]


def _report(line: ReportLine, draft: ReportDraft, by: User, now: Instant) -> StatusReport:
    assert draft.workspace_id is not UNSET
    assert draft.color is not UNSET
    assert draft.description is not UNSET
    # Without a creation time, it is only known that the report existed when it was changed.
    moments = (line.created_at, line.updated_at, now)
    created_at = next(moment for moment in moments if moment is not None)
    return StatusReport(
        id=0,
        account_id=by.account_id,
        workspace_id=draft.workspace_id,
        creator_id=by.id if line.creator_id is None else line.creator_id,
        updater_id=line.updater_id,
        color=draft.color,
        description=draft.description,
        details=() if draft.details is UNSET else draft.details,
        created_at=created_at,
        updated_at=created_at if line.updated_at is None else line.updated_at,
    )
