"""Share links: show a report without sign-in, for as long as the link's creator may see it."""

from typing import Final

import msgspec

from healthreports.core.access import Action, may
from healthreports.core.errors import Fault, Forbidden, Invalid, LinkEnded, NotFound, Problem
from healthreports.core.model import Actor, Instant, ShareLink, StatusReport, User, Workspace
from healthreports.core.vocabulary import (
    DAY_US,
    MAX_SHARE_DAYS,
    SECOND_US,
    AuditAction,
    Category,
    Kind,
)
from healthreports.service.auditing import note
from healthreports.service.auth.tokens import hash_of, new_secret
from healthreports.service.lookup import demand, visible
from healthreports.service.people.members import reader
from healthreports.store.engine.database import Transaction
from healthreports.store.people import members, workspaces
from healthreports.store.reports import reports, shares

_PREFIX: Final = "hrl_"
# So that a reader or a program that opens the link often does not cause a write each time.
_NOTE_AFTER_US: Final = 60 * SECOND_US
_NOT_YOURS: Final = "only the person who created the link or an admin of the workspace may end it"


class SharedReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a link shows; the hidden categories are removed from the report."""

    link: ShareLink
    workspace: Workspace
    report: StatusReport
    author: User


def make(
    tx: Transaction,
    actor: Actor,
    report_id: int,
    now: Instant,
    *,
    days: int,
    hidden: frozenset[Category],
    follows: bool,
) -> str:
    """Create a link to a report or, if `follows`, to the current report of its workspace.

    Returns its secret. Raises NotFound, Forbidden, Invalid.
    """
    report = visible(tx, actor, StatusReport, report_id)
    demand(tx, actor, Action.CREATE_REPORT, report.workspace_id)
    if not 0 < days <= MAX_SHARE_DAYS:
        raise Invalid([Problem("days", Fault.NOT_A_NUMBER, limit=MAX_SHARE_DAYS)])
    secret = new_secret(_PREFIX)
    link = ShareLink(
        id=0,
        account_id=actor.account_id,
        creator_id=actor.user_id,
        workspace_id=report.workspace_id,
        report_id=None if follows else report_id,
        hidden=hidden,
        created_at=now,
        expires_at=Instant(now + days * DAY_US),
        revoked_at=None,
        first_opened_at=None,
        last_opened_at=None,
    )
    link_id = shares.insert(tx, link, hash_of(secret))
    names = ("workspace_id", "report_id", "hidden", "expires_at")
    after = {name: getattr(link, name) for name in names}
    note(tx, actor.account_id, AuditAction.SHARE_LINK_CREATED, link_id, after=after)
    return secret


def links(
    tx: Transaction, actor: Actor, report: StatusReport, now: Instant
) -> list[tuple[ShareLink, User]]:
    """The valid links to `report` or to the current report, each with its creator.

    A user who may change the workspace sees all links, others only their own.
    """
    manages = _manages(tx, actor, report.workspace_id)
    found = []
    for link in shares.of_workspace(tx, actor.account_id, report.workspace_id, now):
        if link.report_id in (None, report.id) and (manages or link.creator_id == actor.user_id):
            maker = members.user(tx, link.creator_id)
            assert maker is not None  # users are never deleted
            found.append((link, maker))
    return found


def revoke(tx: Transaction, actor: Actor, link_id: int, now: Instant) -> ShareLink:
    """Revoke a link. Raises NotFound, Forbidden."""
    link = shares.by_id(tx, actor.account_id, link_id)
    if link is None:
        raise NotFound(Kind.STATUS_REPORTS)
    if link.creator_id != actor.user_id:
        workspace = visible(tx, actor, Workspace, link.workspace_id)
        participation = workspaces.participation(
            tx, actor.account_id, link.workspace_id, actor.user_id
        )
        if not may(actor, Action.SEE_REPORTS, workspace, participation):
            raise NotFound(Kind.STATUS_REPORTS)  # as if there were no link
        if not _manages(tx, actor, link.workspace_id):
            raise Forbidden(_NOT_YOURS)
    if link.revoked_at is None:
        shares.revoke(tx, link, now)
        note(tx, actor.account_id, AuditAction.SHARE_LINK_REVOKED, link.id)
    return link


def opened(tx: Transaction, secret: str, now: Instant) -> SharedReport:
    """What the link with that secret shows. Raises LinkEnded."""
    link = shares.by_secret(tx, hash_of(secret))
    if link is None or link.revoked_at is not None or link.expires_at <= now:
        raise LinkEnded
    maker = reader(tx, link.creator_id)
    if maker is None:
        raise LinkEnded
    report_id = link.report_id
    if report_id is None:
        newest = reports.newest(tx, link.account_id, link.workspace_id)
        report_id = 0 if newest is None else newest.id
    try:
        report = visible(tx, maker, StatusReport, report_id)
    except NotFound as error:
        raise LinkEnded from error
    workspace = workspaces.workspace(tx, link.account_id, link.workspace_id)
    author = members.user(tx, report.creator_id)
    assert workspace is not None  # every report has a workspace
    assert author is not None  # users are never deleted
    shown = tuple(one for one in report.details if one.category not in link.hidden)
    return SharedReport(
        link=link,
        workspace=workspace,
        report=msgspec.structs.replace(report, details=shown),
        author=author,
    )


def last_opening_is_stale(link: ShareLink, now: Instant) -> bool:
    """Whether the opening of a link at `now` must be stored."""
    return link.last_opened_at is None or now - link.last_opened_at > _NOTE_AFTER_US


def note_opening(tx: Transaction, link: ShareLink, now: Instant) -> None:
    """Store that a link was opened; the audit log gets at most one entry a day."""
    shares.note_opening(tx, link, now)
    if link.last_opened_at is None or link.last_opened_at // DAY_US < now // DAY_US:
        note(tx, link.account_id, AuditAction.SHARE_LINK_OPENED, link.id)


def _manages(tx: Transaction, actor: Actor, workspace_id: int) -> bool:
    workspace = workspaces.workspace(tx, actor.account_id, workspace_id)
    participation = workspaces.participation(tx, actor.account_id, workspace_id, actor.user_id)
    if workspace is None:
        return False
    # A link into an archived workspace still works, so it must be possible to revoke it.
    open_again = msgspec.structs.replace(workspace, archived=False)
    return may(actor, Action.CHANGE_WORKSPACE, open_again, participation)
