"""How all workspaces stand: what may be asked of a portfolio, and the answer, as values.

The wire has no portfolio: it is what the pages show, made of the same reports under the same
permissions. What makes a status is the contract's (3.1, 3.3): the newest report of a workspace is
its current one, and a category that it does not speak of is not reported.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

from healthreports.core.model import Instant, StatusReport, User, Workspace
from healthreports.core.vocabulary import DAY_US, Category, Color

# A report of a week that runs late once is not stale yet; one that is left out is.
STALE_AFTER_US: Final = 14 * DAY_US
NEW_FOR_US: Final = 7 * DAY_US
ROWS_A_PAGE: Final = 50
# Half a year, of which a screen shows every week.
WEEKS_SHOWN: Final = 26
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


class PortfolioQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which workspaces, in which order, at what time.

    `category_status` is that of `category`. `as_of` is None for the present.
    """

    status: State | None = None
    category: Category | None = None
    category_status: State | None = None
    stale: bool = False
    change: Change | None = None
    text: str = ""
    order: Order = Order.STATUS
    reversed: bool = False
    page: int = 1
    as_of: Instant | None = None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How one workspace stands: its current report and who wrote it, None where there is none."""

    workspace: Workspace
    report: StatusReport | None
    author: User | None
    previous_color: Color | None
    # The state at the end of each week, the last one that of the page; where they are asked for.
    weeks: tuple[State, ...] = ()


class Totals(msgspec.Struct, frozen=True):
    """How many workspaces there are of each kind, and how many match the question.

    `newest` is when the newest of all their reports came, 0 where there is none.
    """

    workspaces: int
    red: int
    yellow: int
    green: int
    none: int
    stale: int
    worse: int
    new: int
    matching: int
    newest: Instant

    @property
    def all_stale(self) -> bool:
        """Whether there are reports, and none that is not stale."""
        return 0 < self.stale == self.workspaces - self.none


class Portfolio(msgspec.Struct, frozen=True):
    """One page of it. `week_ends` are the times of the weeks, the oldest first."""

    standings: tuple[Standing, ...]
    totals: Totals
    week_ends: tuple[Instant, ...] = ()


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


def is_stale(report: StatusReport, now: Instant) -> bool:
    """Whether a current report is so old that it says little of the present."""
    return now - report.created_at > STALE_AFTER_US


def week_ends(now: Instant) -> Sequence[Instant]:
    """The ends of the weeks up to `now`, which is the last, the oldest first."""
    return [Instant(now - ago * WEEK_US) for ago in reversed(range(WEEKS_SHOWN))]
