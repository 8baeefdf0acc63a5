"""Writing reports in the pages, without overwriting changes made by others in the meantime.

A form contains the entity tag of the report that its writer saw, like the request of a program
(8.1). The request of a program without an entity tag overwrites (5.3).
"""

from healthreports.core.access import Action
from healthreports.core.errors import Overtaken
from healthreports.core.model import Actor, Instant, StatusReport, Workspace
from healthreports.core.rules.reading import Sent
from healthreports.core.tags import Tags
from healthreports.service.lookup import demand, visible
from healthreports.service.reports.reports import change, create
from healthreports.store.engine.database import Transaction
from healthreports.store.reports import reports


def begin(
    tx: Transaction, actor: Actor, workspace_id: int
) -> tuple[Workspace, StatusReport | None]:
    """The workspace to report on, and its current report. Raises NotFound, Forbidden."""
    workspace = demand(tx, actor, Action.CREATE_REPORT, workspace_id)
    return workspace, reports.newest(tx, actor.account_id, workspace_id)


def begin_change(
    tx: Transaction, actor: Actor, report_id: int
) -> tuple[Workspace, StatusReport, StatusReport | None]:
    """The workspace, the report to change, and the report before it. Raises NotFound, Forbidden."""
    report = visible(tx, actor, StatusReport, report_id)
    workspace = demand(tx, actor, Action.CHANGE_REPORT, report.workspace_id, report)
    return workspace, report, reports.before(tx, report)


def add(
    tx: Transaction, actor: Actor, sent: Sent, now: Instant, tags: Tags, *, seen: str
) -> StatusReport:
    """Store a new report. `seen` is the tag of the current report that its writer saw ("": none).

    Returns the new report. Raises Overtaken if a newer report exists by now, and what `create`
    raises.
    """
    workspace_id = sent.get("workspace_id")
    assert isinstance(workspace_id, int)  # it is in the URL of the page
    _, newest = begin(tx, actor, workspace_id)
    if newest is not None and tags.of_state(newest) != seen:
        raise Overtaken(newest)
    return create(tx, actor, sent, now)


def edit(  # noqa: PLR0917  those of every change, and the tag
    tx: Transaction,
    actor: Actor,
    report_id: int,
    sent: Sent,
    now: Instant,
    tags: Tags,
    *,
    seen: str,
) -> StatusReport:
    """Change a report. `seen` is the tag of the report as its writer saw it. Returns the report.

    Raises Overtaken if it was changed since then, and what `change` raises.
    """
    _, report, _ = begin_change(tx, actor, report_id)
    if tags.of_state(report) != seen:
        raise Overtaken(report)
    return change(tx, actor, report_id, sent, now)
