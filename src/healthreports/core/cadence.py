"""When the next report of a workspace is due, and from when on it is overdue.

A report is due every N weeks on a given weekday, or each month on the first such weekday. A report
counts for the nearest due day, so a report that is a few days early or late does not move later
due days. No report is due while a workspace is paused or before its first due day. Days are in UTC.
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
# A report up to this many days before or after a due day counts for that day.
NEAR_OF_WEEKS: Final = 3
# After this day the next due day could be later than `date.max`.
LAST: Final = date(9999, 10, 31)
NEAR_OF_MONTHS: Final = 15


def due_on(workspace: Workspace, reported_at: Instant | None) -> date | None:
    """The day on which the next report is due after the one at `reported_at`.

    Without `reported_at`, the day on which the first report is due. None if no report is due.
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
    """The least number of days between a report and the next due day."""
    if every is ReportEvery.MONTH:
        return NEAR_OF_MONTHS
    return 7 * WEEKS[every] - NEAR_OF_WEEKS


def _weekday_from(day: date, wanted: Weekday) -> date:
    """The first `wanted` weekday that is `day` or later."""
    return day + timedelta(days=(WEEKDAYS[wanted] - day.isoweekday()) % 7)


def day_of(moment: Instant) -> date:
    """The UTC day of a moment."""
    return datetime.fromtimestamp(moment // DAY_US * DAY_US // SECOND_US, UTC).date()
