"""Deleting workspaces and whole accounts for good, in pieces: one transaction for each piece.

Until the last piece, a workspace can be read but not written: it is archived first. An account is
closed first, so that nobody can sign in to it. If a piece fails, or the server stops between two,
the next call goes on with the rest. Restoring a backup does not bring back what was deleted
(see `purging`).
"""

from typing import Final

from msgspec import UNSET

from healthreports.core.access import Reach
from healthreports.core.errors import Fault, Invalid, Problem
from healthreports.core.model import Actor, Instant, Record, StatusReport, Workspace, WorkspaceGroup
from healthreports.core.query import Filter, Query, Window
from healthreports.core.rules.people import check_typed
from healthreports.core.rules.reading import Sent
from healthreports.core.vocabulary import AuditAction, Kind, Purged, SubjectType
from healthreports.service.auditing import note
from healthreports.service.lookup import demand_administrator, demand_recent_proof, find, visible
from healthreports.service.people import workspaces
from healthreports.store.auth import answers, closing
from healthreports.store.engine.database import Transaction
from healthreports.store.lists import pages
from healthreports.store.people import accounts, groups, members
from healthreports.store.people import workspaces as stored
from healthreports.store.reports import drafts, references, reports, shares, trash, versions

# Reports that are deleted in one transaction, which takes some tenths of a second.
_AT_ONCE: Final = 200


def begin_workspace(
    tx: Transaction, actor: Actor, workspace_id: int, sent: Sent, now: Instant
) -> None:
    """Archive a workspace that is to be deleted, if its title was sent as confirmation.

    Raises NotFound, Forbidden, ProofNeeded, Invalid.
    """
    workspace = visible(tx, actor, Workspace, workspace_id)
    demand_administrator(actor)
    demand_recent_proof(actor, now)
    _demand_sent(sent, "title", workspace.title)
    if not workspace.archived:
        workspaces.archive(tx, workspace_id, now, archived=True)


def _demand_sent(sent: Sent, field: str, expected: str) -> None:
    typed, problems = check_typed(sent, field)
    if typed is UNSET:
        raise Invalid(problems)
    demand_typed(field, typed, expected)


def demand_typed(field: str, typed: str, expected: str) -> None:
    """Raise Invalid unless the name of what is to be deleted was typed as confirmation."""
    if " ".join(typed.split()) != " ".join(expected.split()):
        raise Invalid([Problem(field, Fault.NOT_AS_ASKED, options=(expected,))])


def go_on(tx: Transaction, actor: Actor, workspace_id: int, now: Instant) -> bool:
    """Run `delete_piece` for an administrator who has begun the deletion. Raises Forbidden."""
    demand_administrator(actor)
    return delete_piece(tx, actor.account_id, workspace_id, now)


def delete_piece(tx: Transaction, account_id: int, workspace_id: int, now: Instant) -> bool:
    """Delete some reports of a workspace, or the empty workspace. Returns whether there is more."""
    workspace = stored.workspace(tx, account_id, workspace_id)
    if workspace is None:
        return False
    if _delete_reports(tx, workspace):
        accounts.touch(tx, account_id)
        return True
    _delete_beside(tx, workspace)
    stored.delete_workspace(tx, workspace)
    trash.note_purge(tx, account_id, Purged.WORKSPACE, workspace_id, now)
    before = {"title": workspace.title}
    note(tx, account_id, AuditAction.WORKSPACE_DELETED, workspace_id, before)
    # Empty the answers stored for a retry that contain its reports or the workspace itself.
    its_id = f'"{workspace_id}"'.encode()
    answers.empty_those_with(tx, account_id, (b'"workspace_id":' + its_id,))
    answers.empty_those_with(tx, account_id, (f'"{Kind.WORKSPACES}"'.encode(), its_id))
    return False


def _delete_reports(tx: Transaction, workspace: Workspace) -> bool:
    """Delete some of a workspace's reports. Returns whether there were any."""
    account_id = workspace.account_id
    query = Query(Kind.STATUS_REPORTS, (Filter("workspace_id", (workspace.id,)),))
    version = accounts.version(tx, account_id)
    found = pages.after(tx, query, Reach(account_id, None), version, after_id=0, number=_AT_ONCE)
    for one in found:
        assert isinstance(one, StatusReport)  # as asked
        reports.delete_with_references(tx, one)
        versions.forget(tx, one)
    deleted, _ = trash.page(tx, account_id, None, workspace.id, 0, _AT_ONCE)
    for report in deleted:
        trash.drop(tx, report)
    return bool(found or deleted)


def _delete_beside(tx: Transaction, workspace: Workspace) -> None:
    account_id, workspace_id = workspace.account_id, workspace.id
    drafts.drop_of_workspace(tx, account_id, workspace_id)
    shares.drop_of_workspace(tx, account_id, workspace_id)
    for reference in references.of_subject(tx, account_id, SubjectType.WORKSPACE, workspace_id):
        references.delete_one(tx, reference)
    for group in groups.of_workspace(tx, workspace):
        groups.drop_workspaces(tx, group, (workspace_id,))
    for place in stored.all_places(tx, account_id, workspace_id):
        stored.delete_participation(tx, place)


def delete_account(tx: Transaction, actor: Actor, sent: Sent, now: Instant) -> None:
    """Close the account of `actor`, if its name was sent as `account_name`.

    From then on nobody can sign in to it, and the server deletes its contents within minutes.

    Raises Forbidden, ProofNeeded, Invalid.
    """
    demand_administrator(actor)
    demand_recent_proof(actor, now)
    _demand_sent(sent, "account_name", accounts.account_name(tx, actor.account_id))
    close(tx, actor.account_id, now)


def close(tx: Transaction, account_id: int, now: Instant) -> None:
    """Close an account, as the command line does."""
    closing.shut(tx, account_id)
    accounts.close(tx, account_id, now)
    trash.note_purge(tx, account_id, Purged.ACCOUNT, account_id, now)


def empty_piece(tx: Transaction, account_id: int, now: Instant) -> bool:
    """Delete some of the contents of a closed account. Returns whether there may be more."""
    workspace = stored.some(tx, account_id)
    if workspace is not None:
        delete_piece(tx, account_id, workspace.id, now)
        return True
    window = Window(_AT_ONCE)
    within, version = Reach(account_id, None), accounts.version(tx, account_id)
    its_groups = pages.page(tx, Query(Kind.WORKSPACE_GROUPS, window=window), within, version)
    for group in its_groups.records_of(WorkspaceGroup):
        groups.delete_group(tx, group)
    if its_groups.records:
        return True
    return closing.delete_some(tx, account_id) or members.delete_some(tx, account_id)


def reports_after(
    tx: Transaction, account_id: int, query: Query, after_id: int
) -> tuple[Record, ...]:
    """The next reports after `after_id`, by id, for a copy of what is to be deleted."""
    within, version = Reach(account_id, None), accounts.version(tx, account_id)
    return pages.after(tx, query, within, version, after_id=after_id, number=_AT_ONCE)


def of_workspace(tx: Transaction, actor: Actor, workspace_id: int) -> dict[str, int]:
    """How many reports and people of a workspace would be deleted."""
    of_it = (Filter("workspace_id", (workspace_id,)),)
    return {
        "reports": _count(tx, actor, Query(Kind.STATUS_REPORTS, of_it)),
        "people": len(stored.all_places(tx, actor.account_id, workspace_id)),
    }


def of_account(tx: Transaction, actor: Actor) -> dict[str, object]:
    """How many reports, workspaces and people of an account would be deleted, and its name."""
    return {
        "name": accounts.account_name(tx, actor.account_id),
        "reports": _count(tx, actor, Query(Kind.STATUS_REPORTS)),
        "workspaces": _count(tx, actor, Query(Kind.WORKSPACES)),
        "people": _count(tx, actor, Query(Kind.USERS)),
    }


def _count(tx: Transaction, actor: Actor, query: Query) -> int:
    return find(tx, actor, query).count
