"""Read models of the pages: the portfolio, the history of a workspace, and one report.

Access is the same as for the lists of the API: a user who sees a report there sees it here.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import date
from typing import Final, TypeVar

import msgspec

from healthreports.core import compare
from healthreports.core.access import Action, Reach, may, reach
from healthreports.core.cadence import day_of, due_on
from healthreports.core.errors import NotFound
from healthreports.core.model import (
    Actor,
    ExternalReference,
    Instant,
    Participation,
    Record,
    StatusReport,
    User,
    Workspace,
    WorkspaceGroup,
)
from healthreports.core.portfolio import (
    WEEK_US,
    WEEKS_BESIDE,
    Grouping,
    Order,
    Portfolio,
    PortfolioQuery,
    ScopeChoice,
    Standing,
    State,
    Totals,
    View,
    WeekCounts,
    WeekState,
    week_ends,
)
from healthreports.core.query import Filter, Query, Sort, Window
from healthreports.core.vocabulary import Category, Color, Kind, Side, SubjectType
from healthreports.service.lookup import find, visible
from healthreports.service.reports import history
from healthreports.store.engine.database import Row, Transaction
from healthreports.store.lists import pages as records
from healthreports.store.lists import portfolio
from healthreports.store.people import accounts, members, workspaces
from healthreports.store.reports import references, reports

T = TypeVar("T")

# Reports on a page of a workspace: as many as fit side by side on a screen.
HISTORY: Final = 120
# Most workspaces in an exported file, and how many of them are read at a time.
MOST_EXPORTED: Final = 10_000
_AT_ONCE: Final = 200
# Most workspaces that are changed in one short transaction.
MOST_CHANGED: Final = 200
# Most people shown next to a workspace; its settings page shows all of them.
PEOPLE: Final = 12


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """One report with its author, its references, and what the user may do with it.

    `before` and `after` are the previous and the next report of the workspace.
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
    def pair(self) -> "Pair | None":
        """The previous report and this one, or None. It is a property since comparing is costly."""
        return None if self.before is None else Pair(self.before, self.report)

    @property
    def is_carried_on(self) -> bool:
        """Whether its color, description and details equal those of the previous report."""
        before = self.before
        if before is None:
            return False
        said = (before.color, before.description, before.details)
        return said == (self.report.color, self.report.description, self.report.details)

    @property
    def hints(self) -> tuple[compare.Hint, ...]:
        """What is worth a second look, for a user who may change the report."""
        return compare.hints(self.before, self.report)


class Pair(msgspec.Struct, frozen=True):
    """Two reports of a workspace, to be compared."""

    older: StatusReport
    newer: StatusReport

    @property
    def moves(self) -> tuple[compare.Move, ...]:
        """The states that differ in the newer report."""
        return compare.moves(self.older, self.newer)

    @property
    def rewordings(self) -> tuple[compare.Rewording, ...]:
        """The texts that differ in the newer report."""
        return compare.rewordings(self.older, self.newer)


class WorkspaceStory(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace with its current report and a page of its `count` reports, newest first."""

    workspace: Workspace
    current: Story | None
    history: tuple[StatusReport, ...]
    count: int
    people: tuple[tuple[Participation, User], ...]
    clients: tuple[WorkspaceGroup, ...]
    programmes: tuple[WorkspaceGroup, ...]
    next_due: date | None
    authors: Mapping[int, User]
    shows_reports: bool
    may_report: bool
    may_manage: bool
    may_bring_back: bool


def standings(
    tx: Transaction,
    actor: Actor,
    query: PortfolioQuery,
    now: Instant,
    *,
    weeks: int = WEEKS_BESIDE,
    lane: Category | None = None,
    has_trend: bool = True,
) -> Portfolio:
    """One page of the portfolio: the status of the workspaces that `actor` sees.

    Each workspace has its states of the last `weeks` weeks, or those of one category if `lane` is
    given. `has_trend` says whether the counts of the last weeks are wanted.
    """
    within, at = reach(actor), now if query.as_of is None else query.as_of
    rows = portfolio.rows(tx, query, within, now)
    totals = _past(
        tx, actor, "totals", query, now, lambda: portfolio.totals(tx, query, within, now)
    )
    ids = tuple(row[0] for row in rows)
    ends = tuple(week_ends(at, weeks))
    compared_at = query.compared_at
    before = None
    if compared_at is not None:
        then = msgspec.structs.replace(query, as_of=compared_at, compared_at=None).scope
        before = _past(
            tx,
            actor,
            "before",
            then,
            now,
            lambda: portfolio.before(tx, query, within, compared_at),
        )
    return Portfolio(
        standings=_with_weeks(
            tx, within, _standings(tx, actor, rows, query.as_of), ids, ends, lane
        ),
        totals=totals,
        week_ends=ends,
        before=before,
        trend=_trend(tx, actor, query, at, totals) if has_trend else (),
        choices=_choices(tx, actor),
        subtotals={} if query.group is None else portfolio.subtotals(tx, query, within, now),
    )


def _past(  # noqa: PLR0917  the caller, the query, and how to count
    tx: Transaction,
    actor: Actor,
    what: str,
    query: PortfolioQuery,
    now: Instant,
    count: Callable[[], T],
) -> T:
    """Return what `count` returns, cached under `what` if the query is about a past time.

    The result stays valid until something that was known at that time changes: a new report always
    has a later time. A query with a text is not cached: it searches the words of today.
    """
    if query.as_of is None or query.as_of >= now or query.text:
        return count()
    version = accounts.version(tx, actor.account_id)
    marks = (version.reshaped, version.rewritten)
    asked = msgspec.structs.replace(query, page=1, order=Order.STATUS, reversed=False, group=None)
    key = (what, reach(actor), asked)
    known_at, found = tx.counts.get(key, (None, None))
    if known_at != marks or found is None:
        found = count()
        tx.counts[key] = (marks, found)
    return found  # type: ignore[no-any-return]  # of the type that was stored


def every_standing(
    tx: Transaction, actor: Actor, query: PortfolioQuery, now: Instant
) -> Iterator[Standing]:
    """The status of all matching workspaces, without weeks; `MOST_EXPORTED` at most."""
    whole = msgspec.structs.replace(query, page=1)
    rows = portfolio.rows(tx, whole, reach(actor), now, most=MOST_EXPORTED)
    for start in range(0, len(rows), _AT_ONCE):
        yield from _standings(tx, actor, rows[start : start + _AT_ONCE], query.as_of)


def changeable(
    tx: Transaction, actor: Actor, query: PortfolioQuery, now: Instant
) -> tuple[tuple[Workspace, ...], int]:
    """Return the matching workspaces that `actor` may change, and how many match in all.

    Only the first `MOST_CHANGED` matches are checked.
    """
    rows = portfolio.rows(
        tx, msgspec.structs.replace(query, page=1), reach(actor), now, most=MOST_CHANGED
    )
    ids = tuple(row[0] for row in rows)
    shown = records.by_ids(tx, Workspace, actor.account_id, set(ids))
    places = workspaces.places(tx, actor.account_id, actor.user_id, ids)
    found = tuple(
        shown[one]
        for one in ids
        if may(actor, Action.CHANGE_WORKSPACE, shown[one], places.get(one))
    )
    return found, portfolio.totals(tx, query, reach(actor), now).matching


def next_overdue(tx: Transaction, actor: Actor, now: Instant) -> Workspace | None:
    """The first workspace in the portfolio that `actor` owns and whose report is overdue."""
    mine = PortfolioQuery(owner_id=actor.user_id, view=View.OVERDUE)
    rows = portfolio.rows(tx, mine, reach(actor), now, most=1)
    return workspaces.workspace(tx, actor.account_id, rows[0][0]) if rows else None


def chosen(tx: Transaction, actor: Actor, query: PortfolioQuery) -> dict[Grouping, str]:
    """The names of the client, programme and owner that a portfolio is filtered by.

    Only those that belong to a workspace that `actor` sees are returned.
    """
    asked = {
        Grouping.CLIENT: query.client_id,
        Grouping.PROGRAMME: query.programme_id,
        Grouping.OWNER: query.owner_id,
    }
    names = {
        grouping: portfolio.choice(tx, reach(actor), grouping, record_id)
        for grouping, record_id in asked.items()
        if record_id is not None
    }
    return {grouping: name for grouping, name in names.items() if name is not None}


def _choices(tx: Transaction, actor: Actor) -> tuple[ScopeChoice, ...]:
    """What `actor` can filter a portfolio by; cached while only reports change."""
    within, version = reach(actor), accounts.version(tx, actor.account_id)
    known: tuple[int, tuple[ScopeChoice, ...]] | None = tx.counts.get(("choices", within))
    if known is None or known[0] != version.reshaped:
        known = version.reshaped, portfolio.choices(tx, within)
        tx.counts["choices", within] = known
    return known[1]


def _trend(
    tx: Transaction, actor: Actor, query: PortfolioQuery, at: Instant, now: Totals
) -> tuple[WeekCounts, ...]:
    """The number of workspaces in each state at the end of each of the last weeks, and now.

    It is empty if the query has a text.
    """
    if query.text:
        return ()
    within, found = reach(actor), []
    for end in week_ends(at, WEEKS_BESIDE)[:-1]:
        then = msgspec.structs.replace(query, as_of=end, compared_at=None).scope

        def count(then: PortfolioQuery = then, end: Instant = end) -> WeekCounts:
            states = portfolio.states(tx, then, within, at)
            return WeekCounts(end, *(states.get(state, 0) for state in State))

        found.append(_past(tx, actor, "states", then, at, count))
    return (*found, WeekCounts(at, now.red, now.yellow, now.green, now.none))


def _with_weeks(  # noqa: PLR0917  the workspaces and the weeks
    tx: Transaction,
    within: Reach,
    found: list[Standing],
    ids: tuple[int, ...],
    ends: tuple[Instant, ...],
    lane: Category | None,
) -> tuple[Standing, ...]:
    if not found:
        return ()
    weeks = [(end, portfolio.states_at(tx, within, ids, end, lane)) for end in ends]
    return tuple(
        msgspec.structs.replace(
            one,
            weeks=tuple(
                _week(states.get(one.workspace.id), one.workspace.due_date, end, ends[-1])
                for end, states in weeks
            ),
        )
        for one in found
    )


def _week(
    found: tuple[State, Instant, Instant | None, bool] | None,
    due_date: str | None,
    end: Instant,
    last: Instant,
) -> WeekState:
    """The state in the week that ends at `end`, as known at `last`, the end of the last week."""
    begin = Instant(end - WEEK_US)
    is_due = due_date is not None and day_of(begin) < date.fromisoformat(due_date) <= day_of(end)
    if found is None:
        return WeekState(State.NONE, is_due=is_due)
    state, reported_at, edited_at, is_overdue = found
    is_reported = reported_at > begin
    is_edited = is_reported and edited_at is not None and edited_at <= last
    return WeekState(state, is_reported, is_overdue, is_edited, is_due)


def _standings(
    tx: Transaction, actor: Actor, rows: list[Row], as_of: Instant | None
) -> list[Standing]:
    account_id = actor.account_id
    workspace_ids = tuple(row[0] for row in rows)
    shown = records.by_ids(tx, Workspace, account_id, set(workspace_ids))
    ids = {row[1] for row in rows if row[1] is not None}
    current = records.by_ids(tx, StatusReport, account_id, ids)
    owner_of = portfolio.owners(tx, account_id, workspace_ids)
    user_ids = {report.creator_id for report in current.values()} | set(owner_of.values())
    people = records.by_ids(tx, User, account_id, user_ids)
    groups: dict[int, list[WorkspaceGroup]] = {}
    for workspace_id, group in portfolio.groups(tx, account_id, workspace_ids):
        groups.setdefault(workspace_id, []).append(group)
    found = []
    for workspace_id, report_id, previous_color, overdue_at, group_name in rows:
        report = current.get(report_id)
        if report is not None and as_of is not None and report.updated_at > as_of:
            report = history.as_of(tx, actor, report, as_of)
        its_groups = groups.get(workspace_id, ())
        found.append(
            Standing(
                workspace=shown[workspace_id],
                report=report,
                author=None if report is None else people[report.creator_id],
                previous_color=None if previous_color is None else Color(previous_color),
                overdue_at=overdue_at,
                clients=tuple(one for one in its_groups if one.company),
                programmes=tuple(one for one in its_groups if not one.company),
                owner=people.get(owner_of.get(workspace_id, 0)),
                group=group_name,
            )
        )
    return found


def workspace_story(
    tx: Transaction, actor: Actor, workspace_id: int, page: int = 1
) -> WorkspaceStory:
    """A workspace and its reports, `HISTORY` reports on a page. Raises NotFound."""
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
    history = found.records_of(StatusReport)
    groups = [one for _, one in portfolio.groups(tx, actor.account_id, (workspace_id,))]
    authors = {one.creator_id for one in history}
    newest_at = None if newest is None or not sees else newest.created_at
    return WorkspaceStory(
        people=_people(tx, actor, workspace_id),
        clients=tuple(one for one in groups if one.company),
        programmes=tuple(one for one in groups if not one.company),
        next_due=due_on(workspace, newest_at) if sees and not workspace.archived else None,
        authors=records.by_ids(tx, User, actor.account_id, authors),
        workspace=workspace,
        current=_story(tx, actor, newest) if newest is not None and sees else None,
        history=history,
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


def picked(
    tx: Transaction, actor: Actor, workspace_id: int, report_ids: Collection[int]
) -> tuple[StatusReport, ...]:
    """The reports of a workspace that have these ids, oldest first. Raises NotFound."""
    found = [visible(tx, actor, StatusReport, one) for one in set(report_ids)]
    if any(one.workspace_id != workspace_id for one in found):
        raise NotFound(Kind.STATUS_REPORTS)
    return tuple(sorted(found, key=lambda one: (one.created_at, one.id)))


def _people(
    tx: Transaction, actor: Actor, workspace_id: int
) -> tuple[tuple[Participation, User], ...]:
    """Up to `PEOPLE` participants that `actor` sees: the provider side first, then leads first."""
    query = Query(
        Kind.PARTICIPATIONS,
        (Filter("workspace_id", (workspace_id,)),),
        Sort(),
        Window(PEOPLE, 0, PEOPLE, 1),
        includes=("user",),
    )
    found = find(tx, actor, query)
    people = found.related["user"].objects.get(Kind.USERS, {})
    places = [(one, people[one.user_id]) for one in found.records_of(Participation)]
    return tuple(
        (place, user) for place, user in sorted(places, key=_place_of) if isinstance(user, User)
    )


def _place_of(one: tuple[Participation, Record]) -> tuple[bool, bool, int]:
    return one[0].side is Side.CLIENT, not one[0].team_lead, one[0].id


def story(tx: Transaction, actor: Actor, report_id: int) -> Story:
    """One report and its neighbours. Raises NotFound."""
    return _story(tx, actor, visible(tx, actor, StatusReport, report_id))


def _story(tx: Transaction, actor: Actor, report: StatusReport) -> Story:
    account_id, workspace_id = report.account_id, report.workspace_id
    workspace = workspaces.workspace(tx, account_id, workspace_id)
    author = members.user(tx, report.creator_id)
    assert workspace is not None  # every report has one
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
