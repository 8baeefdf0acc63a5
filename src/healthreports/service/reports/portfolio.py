"""What the pages show: the portfolio, one workspace through time, one report among its neighbours.

Access is that of the lists: who sees a report there sees it here.
"""

from typing import Final

import msgspec

from healthreports.core import compare
from healthreports.core.access import Action, may, reach
from healthreports.core.model import (
    Actor,
    ExternalReference,
    Instant,
    StatusReport,
    User,
    Workspace,
)
from healthreports.core.portfolio import (
    Portfolio,
    PortfolioQuery,
    Standing,
    State,
    week_ends,
)
from healthreports.core.query import Filter, Query, Sort, Window
from healthreports.core.vocabulary import Color, Kind, SubjectType
from healthreports.service.lookup import find, visible
from healthreports.service.reports import history
from healthreports.store.engine.database import Row, Transaction
from healthreports.store.lists import pages as records
from healthreports.store.lists import portfolio
from healthreports.store.people import members, workspaces
from healthreports.store.reports import references, reports

# As many as fit on a screen side by side.
HISTORY: Final = 120


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """One report, how it came, and what stands beside it.

    `before` and `after` are its neighbours in the workspace.
    """

    workspace: Workspace
    report: StatusReport
    author: User
    updater: User | None
    before: StatusReport | None
    after: StatusReport | None
    references: tuple[ExternalReference, ...]
    may_change: bool
    may_share: bool
    sees_versions: bool

    @property
    def moves(self) -> tuple[compare.Move, ...]:
        """Which states are others than before."""
        return () if self.before is None else compare.moves(self.before, self.report)

    @property
    def rewordings(self) -> tuple[compare.Rewording, ...]:
        """Which texts are others than before. Comparing them is work: not done for a file."""
        return () if self.before is None else compare.rewordings(self.before, self.report)

    @property
    def hints(self) -> tuple[compare.Hint, ...]:
        """What is worth a second look, for who may change it."""
        return compare.hints(self.before, self.report)


class WorkspaceStory(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace: its current report, and its newest reports, the newest first, of `count`."""

    workspace: Workspace
    current: Story | None
    history: tuple[StatusReport, ...]
    count: int
    shows_reports: bool
    may_report: bool
    may_manage: bool
    may_bring_back: bool


def standings(
    tx: Transaction, actor: Actor, query: PortfolioQuery, now: Instant, *, weeks: bool
) -> Portfolio:
    """One page of how the workspaces stand that `actor` sees; with `weeks`, through time."""
    within, at = reach(actor), now if query.as_of is None else query.as_of
    counted = portfolio.totals(tx, query, within, now)
    rows = portfolio.rows(tx, query, within, now)
    ends = tuple(week_ends(at)) if weeks else ()
    ids = tuple(row[0] for row in rows)
    colors = [portfolio.states_at(tx, actor.account_id, ids, end) for end in ends] if ids else []
    found = _standings(tx, actor, rows, query.as_of)
    return Portfolio(
        tuple(
            msgspec.structs.replace(one, weeks=tuple(_state(one, week) for week in colors))
            for one in found
        ),
        counted,
        ends,
    )


def _state(one: Standing, week: dict[int, Color]) -> State:
    color = week.get(one.workspace.id)
    return State.NONE if color is None else State(color)


def _standings(
    tx: Transaction, actor: Actor, rows: list[Row], as_of: Instant | None
) -> list[Standing]:
    account_id = actor.account_id
    shown = records.by_ids(tx, Workspace, account_id, {row[0] for row in rows})
    ids = {row[1] for row in rows if row[1] is not None}
    current = records.by_ids(tx, StatusReport, account_id, ids)
    author_ids = {report.creator_id for report in current.values()}
    authors = records.by_ids(tx, User, account_id, author_ids)
    found = []
    for workspace_id, report_id, previous_color in rows:
        report = current.get(report_id)
        if report is not None and as_of is not None and report.updated_at > as_of:
            report = history.as_of(tx, report, as_of)
        found.append(
            Standing(
                workspace=shown[workspace_id],
                report=report,
                author=None if report is None else authors[report.creator_id],
                previous_color=None if previous_color is None else Color(previous_color),
            )
        )
    return found


def workspace_story(
    tx: Transaction, actor: Actor, workspace_id: int, page: int = 1
) -> WorkspaceStory:
    """A workspace and its reports, `HISTORY` of them on a page. Raises NotFound."""
    workspace = visible(tx, actor, Workspace, workspace_id)
    query = Query(
        Kind.STATUS_REPORTS,
        (Filter("workspace_id", (workspace_id,)),),
        Sort("created_at", descending=True),
        Window(HISTORY, (page - 1) * HISTORY, HISTORY, page),
    )
    found = find(tx, actor, query)
    newest = reports.newest(tx, actor.account_id, workspace_id)
    participation = workspaces.participation(tx, actor.account_id, workspace_id, actor.user_id)
    allowed = {action: may(actor, action, workspace, participation) for action in Action}
    sees = allowed[Action.SEE_REPORTS]
    return WorkspaceStory(
        workspace=workspace,
        current=_story(tx, actor, newest) if newest is not None and sees else None,
        history=found.records_of(StatusReport),
        count=found.count,
        shows_reports=sees,
        may_report=allowed[Action.CREATE_REPORT],
        may_manage=allowed[Action.CHANGE_WORKSPACE],
        may_bring_back=workspace.archived
        and may(
            actor,
            Action.CHANGE_WORKSPACE,
            msgspec.structs.replace(workspace, archived=False),
            participation,
        ),
    )


def story(tx: Transaction, actor: Actor, report_id: int) -> Story:
    """One report and its neighbours. Raises NotFound."""
    return _story(tx, actor, visible(tx, actor, StatusReport, report_id))


def _story(tx: Transaction, actor: Actor, report: StatusReport) -> Story:
    account_id, workspace_id = report.account_id, report.workspace_id
    workspace = workspaces.workspace(tx, account_id, workspace_id)
    author = members.user(tx, report.creator_id)
    assert workspace is not None  # no report is without one
    assert author is not None  # as above
    participation = workspaces.participation(tx, account_id, workspace_id, actor.user_id)
    return Story(
        workspace=workspace,
        report=report,
        author=author,
        updater=None if report.updater_id is None else members.user(tx, report.updater_id),
        before=reports.before(tx, report),
        after=reports.after(tx, report),
        references=tuple(
            references.of_subject(tx, account_id, SubjectType.STATUS_REPORT, report.id)
        ),
        may_change=may(actor, Action.CHANGE_REPORT, workspace, participation, report),
        may_share=may(actor, Action.CREATE_REPORT, workspace, participation),
        sees_versions=may(actor, Action.SEE_VERSIONS, workspace, participation),
    )
