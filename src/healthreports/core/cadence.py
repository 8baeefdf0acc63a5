"""When the next report of a workspace is due, and from when on it is overdue.

A workspace is reported on every so many weeks on a day, or on the first such day of a month. A
report belongs to the due day that it is nearest to: one that is a few days late, or early, moves no
date. While a workspace is paused, and before its first due day, nothing is due. Days are UTC's.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Final

from healthreports.core.model import Instant, Workspace
from healthreports.core.vocabulary import DAY_US, SECOND_US, ReportEvery, Weekday

WEEKS: Final = {
    ReportEvery.WEEK: 1,
    **{one: int(one.split()[0]) for one in ReportEvery if one.endswith(" weeks")},
}
# ISO 8601: Monday is 1.
WEEKDAYS: Final = {day: number for number, day in enumerate(Weekday, 1)}
# A report up to so many days before or after a due day is the one of that day.
NEAR_OF_WEEKS: Final = 3
# From then on calendars end before the next due day.
LAST: Final = date(9999, 10, 31)
NEAR_OF_MONTHS: Final = 15


def due_on(workspace: Workspace, reported_at: Instant | None) -> date | None:
    """The day on which the next report is due after the one of `reported_at`, or the first one.

    None where none is due.
    """
    if workspace.report_every is ReportEvery.NEVER:
        return None
    if reported_at is None:
        first = day_of(workspace.created_at)
    else:
        first = day_of(reported_at) + timedelta(days=days_after(workspace.report_every))
    if workspace.report_paused_until is not None:
        first = max(first, date.fromisoformat(workspace.report_paused_until))
    if first > LAST:
        return None
    if workspace.report_every is not ReportEvery.MONTH:
        return _weekday_from(first, workspace.report_day)
    found = _weekday_from(first.replace(day=1), workspace.report_day)
    if found < first:
        next_month = first.replace(day=1) + timedelta(days=31)
        found = _weekday_from(next_month.replace(day=1), workspace.report_day)
    return found


def days_after(every: ReportEvery) -> int:
    """How many days after a report the next due day is at the earliest."""
    if every is ReportEvery.MONTH:
        return NEAR_OF_MONTHS
    return 7 * WEEKS[every] - NEAR_OF_WEEKS


def _weekday_from(day: date, wanted: Weekday) -> date:
    """The first day from `day` on that is a `wanted` one."""
    return day + timedelta(days=(WEEKDAYS[wanted] - day.isoweekday()) % 7)


def day_of(moment: Instant) -> date:
    """The day of a moment, in UTC."""
    return datetime.fromtimestamp(moment // DAY_US * DAY_US // SECOND_US, UTC).date()
