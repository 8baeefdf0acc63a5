"""The portfolio, which is the status of all workspaces: its queries and its answers, as values.

The API has no portfolio. The pages show it, based on the same reports and the same permissions. The
contract defines a status (3.1, 3.3): the newest report of a workspace is its current one, and a
category without a detail in that report is not reported.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from healthreports.core.model import Instant, StatusReport, User, Workspace, WorkspaceGroup
from healthreports.core.vocabulary import DAY_US, Category, Color

NEW_FOR_US: Final = 7 * DAY_US
ROWS_A_PAGE: Final = 50
# Half a year, of which a screen shows every week. A row has room for a quarter.
WEEKS_SHOWN: Final = 26
WEEKS_BESIDE: Final = 12
WEEK_US: Final = 7 * DAY_US

# A higher number is worse.
SEVERITY: Final = {Color.GREEN: 0, Color.YELLOW: 1, Color.RED: 2}


class State(StrEnum):
    """The status of a workspace, or of one category: a color, or no report."""

    RED = "red"
    YELLOW = "yellow"
    GREEN = "green"
    NONE = "none"


class Trend(StrEnum):
    """How a color compares with the one before it."""

    BETTER = "better"
    SAME = "same"
    WORSE = "worse"
    FIRST = "first"


class Change(StrEnum):
    """A recent change of a workspace."""

    WORSE = "worse"
    BETTER = "better"
    NEW = "new"


class View(StrEnum):
    """A predefined filter for workspaces that need action."""

    ATTENTION = "attention"
    OVERDUE = "overdue"
    PAST_DUE = "past_due"


class Order(StrEnum):
    """The sort orders of a portfolio. The worst, the oldest or the first comes first."""

    STATUS = "status"
    TITLE = "title"
    AGE = "age"
    TREND = "trend"
    DUE = "due"
    SCOPE = "scope"
    BUDGET = "budget"
    SCHEDULE = "schedule"
    CLIENT = "client"


class Grouping(StrEnum):
    """The ways to group the rows of a portfolio."""

    CLIENT = "client"
    PROGRAMME = "programme"
    OWNER = "owner"
    STATUS = "status"


class PortfolioQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which workspaces, in which order, at what time.

    `text`, `client_id`, `programme_id` and `owner_id` select the workspaces that are counted; the
    other filters select which of those are listed. A client and a programme are workspace groups.
    `category_status` is the status of `category`. `as_of` is None for the present. `compared_at` is
    None if each workspace is compared with its own previous report.
    """

    text: str = ""
    client_id: int | None = None
    programme_id: int | None = None
    owner_id: int | None = None
    view: View | None = None
    status: State | None = None
    category: Category | None = None
    category_status: State | None = None
    change: Change | None = None
    group: Grouping | None = None
    order: Order = Order.STATUS
    reversed: bool = False
    page: int = 1
    as_of: Instant | None = None
    compared_at: Instant | None = None

    @property
    def scope(self) -> "PortfolioQuery":
        """The query for all workspaces that are counted."""
        return PortfolioQuery(
            text=self.text,
            client_id=self.client_id,
            programme_id=self.programme_id,
            owner_id=self.owner_id,
            as_of=self.as_of,
            compared_at=self.compared_at,
        )


class WeekState(msgspec.Struct, frozen=True):
    """The state of a workspace, or of one of its categories, at the end of a week.

    `is_reported` is true if somebody reported in that week; otherwise the state is carried over.
    `is_overdue` is true if a report was overdue by then, `is_edited` if the report of that week was
    changed later, `is_due` if the workspace is due in that week.
    """

    state: State
    is_reported: bool = False
    is_overdue: bool = False
    is_edited: bool = False
    is_due: bool = False


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The status of one workspace: its current report and its author, or None.

    `previous_color` is the color that it is compared with. `overdue_at` is when its next report
    becomes, or became, overdue. `group` is the name of the group that it is listed under. `weeks`
    are its last weeks, the oldest first. Its clients and programmes are sorted by name.
    """

    workspace: Workspace
    report: StatusReport | None
    author: User | None
    previous_color: Color | None
    overdue_at: Instant | None
    clients: tuple[WorkspaceGroup, ...] = ()
    programmes: tuple[WorkspaceGroup, ...] = ()
    owner: User | None = None
    group: str | None = None
    weeks: tuple[WeekState, ...] = ()


class Totals(msgspec.Struct, frozen=True):
    """The number of workspaces of each kind, and the number that match the query.

    `red_before` is how many were red in the state that they are compared with. `newest` is the time
    of the newest of all their reports, 0 if there is none.
    """

    workspaces: int
    red: int
    yellow: int
    green: int
    none: int
    overdue: int
    past_due: int
    attention: int
    worse: int
    new: int
    red_before: int
    matching: int
    newest: Instant

    @property
    def are_all_overdue(self) -> bool:
        """Whether there are reports, and every workspace is overdue."""
        return self.newest > 0 and 0 < self.overdue == self.workspaces


class Before(msgspec.Struct, frozen=True):
    """The number of workspaces at an earlier time, of those kinds whose change is shown."""

    red: int
    overdue: int
    past_due: int


class WeekCounts(msgspec.Struct, frozen=True):
    """The number of workspaces in each state at the end of a week."""

    end: Instant
    red: int
    yellow: int
    green: int
    none: int


class ScopeChoice(msgspec.Struct, frozen=True):
    """A client, programme or owner to filter a portfolio by, and its number of workspaces."""

    id: int
    name: str
    workspaces: int
    kind: Grouping


class Portfolio(msgspec.Struct, frozen=True):
    """One page of a portfolio. `week_ends` are the ends of the weeks, the oldest first.

    `before` are the counts at the time that is compared with. `trend` are the numbers of workspaces
    in each state at the end of each week up to now.
    """

    standings: tuple[Standing, ...]
    totals: Totals
    week_ends: tuple[Instant, ...] = ()
    before: Before | None = None
    trend: tuple[WeekCounts, ...] = ()
    choices: tuple[ScopeChoice, ...] = ()
    subtotals: Mapping[str | None, Mapping[State, int]] = {}


def trend(color: Color, previous: Color | None) -> Trend:
    """How `color` compares with the one before it."""
    if previous is None:
        return Trend.FIRST
    moved = SEVERITY[color] - SEVERITY[previous]
    return Trend.WORSE if moved > 0 else Trend.BETTER if moved < 0 else Trend.SAME


def state_of(report: StatusReport | None, category: Category | None = None) -> State:
    """The state of a workspace with this current report, or of one of its categories."""
    if report is None:
        return State.NONE
    if category is None:
        return State(report.color)
    colors = {detail.category: detail.color for detail in report.details}
    return State(colors[category]) if category in colors else State.NONE


def week_ends(now: Instant, number: int) -> Sequence[Instant]:
    """The ends of `number` weeks, the oldest first. The last one is `now`.

    All others are at the end of a day, so that they stay the same during a day.
    """
    end_of_day = now - now % DAY_US + DAY_US - 1
    past = [Instant(end_of_day - ago * WEEK_US) for ago in reversed(range(1, number))]
    return [*past, now]
