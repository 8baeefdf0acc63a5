"""Drafts of reports, stored on the server so that their writer can use them on every device.

Only its writer can see a draft, and only while the writer may still write in the workspace.
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

# The interfaces also need `Draft`, and may not import the store.
__all__ = ["KEPT_US", "MOST_DRAFTS", "Draft", "begun", "discard", "find", "keep"]

MOST_DRAFTS: Final = 100
# A draft expires this long after its last change.
KEPT_US: Final = 90 * DAY_US
# The longest texts that a report can have, with room for the other fields, in characters.
_MOST_TEXT: Final = MAX_DESCRIPTION + len(Category) * MAX_DETAIL_DESCRIPTION + 1_000


def find(
    tx: Transaction, actor: Actor, workspace_id: int, report_id: int | None, now: Instant
) -> Draft | None:
    """The draft of `actor` for a change of a report, or for a new one (`report_id` None)."""
    found = drafts.find(tx, actor.account_id, actor.user_id, workspace_id, report_id)
    return None if found is None or found.updated_at <= now - KEPT_US else found


def keep(  # noqa: PLR0917  the draft and its key
    tx: Transaction,
    actor: Actor,
    workspace_id: int,
    report_id: int | None,
    fields: Mapping[str, str],
    now: Instant,
) -> bool:
    """Store a draft. Returns False if it is too long, or if the user has too many drafts."""
    if sum(map(len, fields.values())) > _MOST_TEXT:
        return False
    account_id, user_id = actor.account_id, actor.user_id
    is_new = drafts.find(tx, account_id, user_id, workspace_id, report_id) is None
    if is_new and drafts.count(tx, account_id, user_id) >= MOST_DRAFTS:
        return False
    drafts.put(tx, account_id, user_id, Draft(workspace_id, report_id, dict(fields), now))
    return True


def discard(tx: Transaction, actor: Actor, workspace_id: int, report_id: int | None) -> None:
    """Delete the draft of `actor`, if there is one."""
    drafts.drop(tx, actor.account_id, actor.user_id, workspace_id, report_id)


def begun(tx: Transaction, actor: Actor, now: Instant) -> list[tuple[Draft, Workspace]]:
    """The drafts that `actor` can still publish, newest first, each with its workspace."""
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
