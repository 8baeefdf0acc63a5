"""Charts of statuses, as rectangles and points for templates, in units of the SVG view box."""

from collections.abc import Sequence
from typing import Final

import msgspec

from healthreports.core.model import Instant, StatusReport
from healthreports.core.portfolio import State, WeekCounts, state_of
from healthreports.core.vocabulary import DAY_US, Category

# The chart of the last weeks: bars above a line of dates.
BARS_WIDTH: Final = 470
BARS_HEIGHT: Final = 72
_BAR_ROOM: Final = 58
_BAR: Final = 29
# The chart of a workspace: names on the left, then a time axis from its first report shown to now.
LANES_WIDTH: Final = 720
_LANES_LEFT: Final = 76
_LANE: Final = 26
_LEAST: Final = 3.0
# A higher mark is a worse status, so that the chart can be read without color.
_HEIGHTS: Final = {State.RED: 18, State.YELLOW: 12, State.GREEN: 8, State.NONE: 1}


class Box(msgspec.Struct, frozen=True):
    """A rectangle that shows a state."""

    state: State
    x: float
    y: float
    width: float
    height: float


class Label(msgspec.Struct, frozen=True):
    """A date below a chart."""

    x: float
    at: Instant


class Lane(msgspec.Struct, frozen=True):
    """The overall status (None) or a category over time.

    `marks` are the states that reports gave; `carried` is how long each state stayed current.
    """

    category: Category | None
    y: float
    marks: tuple[Box, ...]
    carried: tuple[Box, ...]


class Lanes(msgspec.Struct, frozen=True):
    """A workspace over time. `stops` are the reports, oldest first, with their x positions."""

    height: float
    left: float
    lanes: tuple[Lane, ...]
    stops: tuple[tuple[StatusReport, float], ...]
    labels: tuple[Label, ...]


def bars(weeks: Sequence[WeekCounts]) -> tuple[tuple[Box, ...], tuple[Label, ...]]:
    """A stacked bar for each week, the worst status at the bottom, and dates below some bars."""
    most = max((sum(_counts(week).values()) for week in weeks), default=0) or 1
    step = (BARS_WIDTH - _BAR) / max(len(weeks) - 1, 1)
    boxes = []
    for place, week in enumerate(weeks):
        y = float(_BAR_ROOM)
        for state, number in _counts(week).items():
            height = _BAR_ROOM * number / most
            y -= height
            if number:
                boxes.append(Box(state, _r(place * step), _r(y), _BAR, _r(max(height - 1, 0.6))))
    labels = [Label(_r(place * step), week.end) for place, week in enumerate(weeks)]
    return tuple(boxes), tuple(labels[:-1:4])


def _counts(week: WeekCounts) -> dict[State, int]:
    return {
        State.RED: week.red,
        State.YELLOW: week.yellow,
        State.GREEN: week.green,
        State.NONE: week.none,
    }


def lanes(reports: Sequence[StatusReport], now: Instant) -> Lanes:
    """Place the reports of a workspace, given newest first, on a time axis that ends `now`."""
    oldest_first = tuple(reversed(reports))
    first = min(oldest_first[0].created_at, now - DAY_US)
    room = float(LANES_WIDTH - _LANES_LEFT)
    # A mark is about as wide as a week, within limits; the last mark ends at the end of the axis.
    wide = max(min(room * 7 * DAY_US / (now - first + 7 * DAY_US), 24.0) - 2, _LEAST)
    room -= wide

    def place(moment: int) -> float:
        return _r(_LANES_LEFT + room * (moment - first) / (now - first + 1))

    xs = [place(one.created_at) for one in oldest_first] + [float(LANES_WIDTH)]
    drawn = []
    for number, category in enumerate((None, *Category)):
        bottom = float((number + 1) * _LANE)
        marks, carried = [], []
        for report, x, until in zip(oldest_first, xs, xs[1:], strict=False):
            state = state_of(report, category)
            y, height = bottom - _HEIGHTS[state], _HEIGHTS[state]
            width = min(wide, max(until - x - 1, _LEAST))
            marks.append(Box(state, x, y, _r(width), height))
            if until - x - 1 > width and state is not State.NONE:
                carried.append(Box(state, x, y, _r(until - x - 1), height))
        drawn.append(Lane(category, bottom, tuple(marks), tuple(carried)))
    moments = [Instant(int(first + (now - first) * part / 4)) for part in range(4)]
    return Lanes(
        height=(1 + len(Category)) * _LANE + 20,
        left=_LANES_LEFT,
        lanes=tuple(drawn),
        stops=tuple(zip(oldest_first, xs, strict=False)),
        labels=tuple(Label(place(one), one) for one in moments),
    )


def _r(number: float) -> float:
    return round(number, 1)
