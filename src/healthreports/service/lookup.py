"""Finding and showing records of any kind, limited to those that the actor may see."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from healthreports.core.access import (
    IN_ARCHIVE,
    MAY_MANAGE_PEOPLE,
    NEEDS,
    NEEDS_ADMINISTRATOR,
    Action,
    may,
    permissions_in,
    reach,
)
from healthreports.core.errors import Fault, Forbidden, NotFound, Problem, ProofNeeded
from healthreports.core.model import KIND_OF, Actor, Instant, R, Record, StatusReport, Workspace
from healthreports.core.query import OF_CALLER, Page, Query
from healthreports.core.vocabulary import PROOF_LASTS_S, SECOND_US, Kind
from healthreports.store.engine.database import Transaction
from healthreports.store.lists import pages as records
from healthreports.store.people import accounts, workspaces

T = TypeVar("T")


def find(tx: Transaction, actor: Actor, query: Query) -> Page:
    """One page of the records that `actor` may see. Contract: 4."""
    version = accounts.version(tx, actor.account_id)
    return _shown(tx, actor, records.page(tx, _of(actor, query), reach(actor), version))


def after(
    tx: Transaction, actor: Actor, query: Query, after_id: int, number: int
) -> tuple[Record, ...]:
    """The next `number` matching status reports that `actor` may see, ordered by id."""
    within = reach(actor)
    version = accounts.version(tx, actor.account_id)
    return records.after(tx, query, within, version, after_id=after_id, number=number)


def get(tx: Transaction, actor: Actor, query: Query) -> Page:
    """The page with the one record that `query` names. Raises NotFound. Contract: 2.5, 5.1."""
    # The version is for cached data, and only included records may be cached.
    version = accounts.version(tx, actor.account_id) if query.includes else records.ANY
    page = records.page(tx, _of(actor, query), reach(actor), version)
    if not page.records:
        raise NotFound(query.kind)
    return _shown(tx, actor, page)


def written(tx: Transaction, actor: Actor, query: Query, new: Sequence[Record]) -> Page:
    """The page of records that `actor` has just written, and may see. Contract: 2.5."""
    page = records.page_of(tx, _of(actor, query), reach(actor), tuple(new))
    return _shown(tx, actor, page)


def _of(actor: Actor, query: Query) -> Query:
    """`query` with its caller if the answer depends on it; otherwise callers share the answer."""
    if not query.filters and not query.includes:
        return query
    names = {*query.includes, *(one.name for one in query.filters)}
    return query if OF_CALLER.isdisjoint(names) else replace(query, caller=actor.user_id)


def _shown(tx: Transaction, actor: Actor, page: Page) -> Page:
    """`page` with the permissions of `actor` in each workspace on it or included in it (7.1)."""
    if page.kind is not Kind.WORKSPACES and not page.related:
        return page
    found: dict[int, Record] = {}
    if page.kind is Kind.WORKSPACES:
        found = {one.id: one for one in page.records}
    for related in page.related.values():
        found |= related.objects.get(Kind.WORKSPACES, {})
    if not found:
        return page
    reshaped = accounts.version(tx, actor.account_id).reshaped
    counts, who = tx.counts, (actor.user_id, actor.permission)
    known = {one: counts.get((who, one), (None, None)) for one in found}
    permissions = {one: may for one, (then, may) in known.items() if then == reshaped}
    if len(permissions) < len(found):
        missing = tuple(found.keys() - permissions.keys())
        places = workspaces.places(tx, actor.account_id, actor.user_id, missing)
        for workspace_id in missing:
            workspace = found[workspace_id]
            assert isinstance(workspace, Workspace)
            may = permissions_in(actor, workspace, places.get(workspace_id))
            permissions[workspace_id] = may
            counts[who, workspace_id] = (reshaped, may)
    return replace(page, permissions=permissions)


def visible(tx: Transaction, actor: Actor, model: type[R], record_id: int) -> R:
    """The record of class `model` with that id, if `actor` may see it. Raises NotFound."""
    return get(tx, actor, Query(KIND_OF[model], only=(record_id,))).records_of(model)[0]


def visible_of(tx: Transaction, actor: Actor, kind: Kind, record_id: int) -> Record:
    """The record of a kind with that id, if `actor` may see it. Raises NotFound."""
    return get(tx, actor, Query(kind, only=(record_id,))).records[0]


def version(tx: Transaction, actor: Actor) -> int:
    """How often the account of `actor` has changed; `actor` sees the same until it changes."""
    return accounts.version(tx, actor.account_id).changed


def seen(
    name: str, record_id: int | UnsetType, problems: list[Problem], find: Callable[[int], T]
) -> T | None:
    """The result of `find` for the id sent as `name`. Adds a problem if `find` raises NotFound."""
    if record_id is UNSET:
        return None
    try:
        return find(record_id)
    except NotFound:
        problems.append(Problem(name, Fault.UNKNOWN_OBJECT))
        return None


def demand_administrator(actor: Actor) -> None:
    """Raise Forbidden unless `actor` is an administrator of the account."""
    if actor.permission not in MAY_MANAGE_PEOPLE:
        raise Forbidden(NEEDS_ADMINISTRATOR)


def demand_recent_proof(actor: Actor, now: Instant) -> None:
    """Raise ProofNeeded if the user has not authenticated recently in this browser session.

    It protects actions by which somebody who finds a browser open could get lasting access. It
    does not apply to a token: what a token may do was decided when it was created.
    """
    if actor.proven_at is not None and actor.proven_at + PROOF_LASTS_S * SECOND_US <= now:
        raise ProofNeeded


def demand(
    tx: Transaction,
    actor: Actor,
    action: Action,
    workspace_id: int,
    report: StatusReport | None = None,
) -> Workspace:
    """The workspace, if `actor` may do `action` in it. Raises NotFound, Forbidden.

    `report` is the report that the action is about, if any. Contract: 5.2, 6.
    """
    workspace = workspaces.workspace(tx, actor.account_id, workspace_id)
    if workspace is None:
        raise NotFound(Kind.WORKSPACES)
    demand_in(tx, actor, action, workspace, report)
    return workspace


def is_allowed(tx: Transaction, actor: Actor, action: Action, report: StatusReport) -> bool:
    """Whether `actor` may do `action` with a report."""
    workspace = workspaces.workspace(tx, actor.account_id, report.workspace_id)
    assert workspace is not None  # it has a report
    place = workspaces.participation(tx, actor.account_id, workspace.id, actor.user_id)
    return may(actor, action, workspace, place, report)


def demand_in(
    tx: Transaction,
    actor: Actor,
    action: Action,
    workspace: Workspace,
    report: StatusReport | None = None,
) -> None:
    """Like `demand`, for a workspace that was already read."""
    participation = workspaces.participation(tx, workspace.account_id, workspace.id, actor.user_id)
    if not may(actor, Action.SEE_WORKSPACE, workspace, participation):
        raise NotFound(Kind.WORKSPACES)
    if not may(actor, action, workspace, participation, report):
        raise Forbidden(IN_ARCHIVE if workspace.archived else NEEDS[action])
