"""Reports that were begun and not published: kept on the server, for each device of their writer.

A draft is its writer's alone. Who may not write in a workspace any more does not get it back.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from healthreports.core.errors import Forbidden, NotFound
from healthreports.core.model import Actor, Instant, Workspace
from healthreports.core.vocabulary import DAY_US, MAX_DESCRIPTION, MAX_DETAIL_DESCRIPTION, Category
from healthreports.service.reports import editing
from healthreports.store.engine.database import Transaction
from healthreports.store.reports import drafts
from healthreports.store.reports.drafts import Draft

# `Draft` is for the interfaces too, which may not import the store.
__all__ = ["KEPT_US", "MOST_DRAFTS", "Draft", "begun", "discard", "find", "keep"]

MOST_DRAFTS: Final = 100
# How long after the last change of a draft.
KEPT_US: Final = 90 * DAY_US
# The texts of a report at their longest, with room for the names of fields.
_MOST_TEXT: Final = MAX_DESCRIPTION + len(Category) * MAX_DETAIL_DESCRIPTION + 1_000


def find(
    tx: Transaction, actor: Actor, workspace_id: int, report_id: int | None, now: Instant
) -> Draft | None:
    """What `actor` began there: to change a report, or to write a new one (None)."""
    found = drafts.find(tx, actor.account_id, actor.user_id, workspace_id, report_id)
    return None if found is None or found.updated_at <= now - KEPT_US else found


def keep(  # noqa: PLR0917  of what, and what it says
    tx: Transaction,
    actor: Actor,
    workspace_id: int,
    report_id: int | None,
    fields: Mapping[str, str],
    now: Instant,
) -> bool:
    """Keep what was typed. Returns False where it is longer than any report, or one too many."""
    if sum(map(len, fields.values())) > _MOST_TEXT:
        return False
    account_id, user_id = actor.account_id, actor.user_id
    is_new = drafts.find(tx, account_id, user_id, workspace_id, report_id) is None
    if is_new and drafts.count(tx, account_id, user_id) >= MOST_DRAFTS:
        return False
    drafts.put(tx, account_id, user_id, Draft(workspace_id, report_id, dict(fields), now))
    return True


def discard(tx: Transaction, actor: Actor, workspace_id: int, report_id: int | None) -> None:
    """Delete what `actor` began there, if there is anything."""
    drafts.drop(tx, actor.account_id, actor.user_id, workspace_id, report_id)


def begun(tx: Transaction, actor: Actor, now: Instant) -> list[tuple[Draft, Workspace]]:
    """What `actor` has begun and can still publish, the newest first, each with its workspace."""
    found = []
    for one in drafts.all_of(tx, actor.account_id, actor.user_id):
        if one.updated_at <= now - KEPT_US:
            continue
        with suppress(NotFound, Forbidden):
            if one.report_id is None:
                workspace, _ = editing.begin(tx, actor, one.workspace_id)
            else:
                workspace, *_ = editing.begin_change(tx, actor, one.report_id)
            found.append((one, workspace))
    return found
