"""How all workspaces stand: what may be asked of a portfolio, and the answer, as values.

The wire has no portfolio: it is what the pages show, made of the same reports under the same
permissions. What makes a status is the contract's (3.1, 3.3): the newest report of a workspace is
its current one, and a category that it does not speak of is not reported.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from healthreports.core.model import Instant, StatusReport, User, Workspace, WorkspaceGroup
from healthreports.core.vocabulary import DAY_US, Category, Color

NEW_FOR_US: Final = 7 * DAY_US
ROWS_A_PAGE: Final = 50
# Half a year, of which a screen shows every week; beside a row there is room for a quarter.
WEEKS_SHOWN: Final = 26
WEEKS_BESIDE: Final = 12
WEEK_US: Final = 7 * DAY_US

# The higher the worse. A color moves up or down in it.
SEVERITY: Final = {Color.GREEN: 0, Color.YELLOW: 1, Color.RED: 2}


class State(StrEnum):
    """The status of a workspace, or of one category: a color, or that nothing is reported."""

    RED = "red"
    YELLOW = "yellow"
    GREEN = "green"
    NONE = "none"


class Trend(StrEnum):
    """How a color stands to the one before it."""

    BETTER = "better"
    SAME = "same"
    WORSE = "worse"
    FIRST = "first"


class Change(StrEnum):
    """What may have happened lately."""

    WORSE = "worse"
    BETTER = "better"
    NEW = "new"


class View(StrEnum):
    """A kind of workspace that people look for on a Monday."""

    ATTENTION = "attention"
    OVERDUE = "overdue"
    PAST_DUE = "past_due"


class Order(StrEnum):
    """By what a portfolio may be sorted; the worst, oldest or first of its kind on top."""

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
    """By what the rows of a portfolio may be grouped."""

    CLIENT = "client"
    PROGRAMME = "programme"
    OWNER = "owner"
    STATUS = "status"


class PortfolioQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which workspaces, in which order, at what time.

    `text`, `client_id`, `programme_id` and `owner_id` say of which workspaces all that is counted
    is; the other filters which of those are listed. A client and a programme are workspace groups.
    `category_status` is that of `category`. `as_of` is None for the present, `compared_at` where
    each workspace is compared with its own report before.
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
        """The question for all that is counted."""
        return PortfolioQuery(
            text=self.text,
            client_id=self.client_id,
            programme_id=self.programme_id,
            owner_id=self.owner_id,
            as_of=self.as_of,
            compared_at=self.compared_at,
        )


class WeekState(msgspec.Struct, frozen=True):
    """How a workspace, or a category of it, stood at the end of a week.

    `is_reported` says that somebody reported in that week, else it is carried over; `is_overdue`
    that by then a report was; `is_edited` that the report of that week was changed since; `is_due`
    that the workspace is due in that week.
    """

    state: State
    is_reported: bool = False
    is_overdue: bool = False
    is_edited: bool = False
    is_due: bool = False


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How one workspace stands: its current report and who wrote it, None where there is none.

    `previous_color` is the one that it is compared with, `overdue_at` when its next report is, or
    was, overdue, `group` the name of what it is listed under, `weeks` its last weeks, the oldest
    first. Its clients and programmes go by name.
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
    """How many workspaces there are of each kind, and how many match the question.

    `red_before` is how many were red by what they are compared with. `newest` is when the newest of
    all their reports came, 0 where there is none.
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
        """Whether there are reports, and every workspace waits for a new one."""
        return self.newest > 0 and 0 < self.overdue == self.workspaces


class Before(msgspec.Struct, frozen=True):
    """How many workspaces there were of the kinds whose change is shown, at an earlier time."""

    red: int
    overdue: int
    past_due: int


class WeekCounts(msgspec.Struct, frozen=True):
    """How many workspaces stood how at the end of a week."""

    end: Instant
    red: int
    yellow: int
    green: int
    none: int


class ScopeChoice(msgspec.Struct, frozen=True):
    """A client, programme or owner that a portfolio can be narrowed to, and its workspaces."""

    id: int
    name: str
    workspaces: int
    kind: Grouping


class Portfolio(msgspec.Struct, frozen=True):
    """One page of it. `week_ends` are the times of the weeks, the oldest first.

    `before` are the counts at the time that is compared with, `trend` how many stood how at the end
    of each week up to now.
    """

    standings: tuple[Standing, ...]
    totals: Totals
    week_ends: tuple[Instant, ...] = ()
    before: Before | None = None
    trend: tuple[WeekCounts, ...] = ()
    choices: tuple[ScopeChoice, ...] = ()
    subtotals: Mapping[str | None, Mapping[State, int]] = {}


def trend(color: Color, previous: Color | None) -> Trend:
    """How `color` stands to the one before it."""
    if previous is None:
        return Trend.FIRST
    moved = SEVERITY[color] - SEVERITY[previous]
    return Trend.WORSE if moved > 0 else Trend.BETTER if moved < 0 else Trend.SAME


def state_of(report: StatusReport | None, category: Category | None = None) -> State:
    """The state of a workspace with this current report, or of one category there."""
    if report is None:
        return State.NONE
    if category is None:
        return State(report.color)
    colors = {detail.category: detail.color for detail in report.details}
    return State(colors[category]) if category in colors else State.NONE


def week_ends(now: Instant, number: int) -> Sequence[Instant]:
    """The ends of so many weeks up to `now`, which is the last, the oldest first.

    Those before are at the end of a day, so that they are the same all day long.
    """
    end_of_day = now - now % DAY_US + DAY_US - 1
    past = [Instant(end_of_day - ago * WEEK_US) for ago in reversed(range(1, number))]
    return [*past, now]
