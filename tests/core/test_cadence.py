"""When the next report is due, with examples that can be checked on a calendar."""

from datetime import UTC, date, datetime

import pytest
from msgspec.structs import replace

from healthreports.core.cadence import due_on
from healthreports.core.model import Instant, Workspace
from healthreports.core.vocabulary import ReportEvery, Weekday


def moment(day: str) -> Instant:
    return Instant(
        int(datetime.fromisoformat(f"{day}T10:00").replace(tzinfo=UTC).timestamp()) * 10**6
    )


# 2026-11-02 is a Monday.
MADE = moment("2026-11-02")
SPACE = Workspace(
    id=1,
    account_id=1,
    creator_id=None,
    title="Bridge",
    description=None,
    archived=False,
    access_level="invitation",
    clients_see_status_reports=False,
    start_date=None,
    due_date=None,
    created_at=MADE,
    updated_at=MADE,
)
WEEKLY = {"report_every": ReportEvery.WEEK, "report_day": Weekday.FRIDAY}
MONTHLY = {"report_every": ReportEvery.MONTH, "report_day": Weekday.MONDAY}


@pytest.mark.parametrize(
    ("cadence", "reported", "due"),
    [
        (WEEKLY, None, "2026-11-06"),
        # On the day, early, or up to three days late: the next is due a week after the due day.
        (WEEKLY, "2026-11-06", "2026-11-13"),
        (WEEKLY, "2026-11-04", "2026-11-13"),
        (WEEKLY, "2026-11-09", "2026-11-13"),
        # A later report counts as the next one.
        (WEEKLY, "2026-11-10", "2026-11-20"),
        ({**WEEKLY, "report_every": ReportEvery.TWO_WEEKS}, "2026-11-06", "2026-11-20"),
        ({**WEEKLY, "report_every": ReportEvery.FOUR_WEEKS}, "2026-11-06", "2026-12-04"),
        # The first Monday of a month, also across the end of a year.
        (MONTHLY, None, "2026-11-02"),
        (MONTHLY, "2026-11-02", "2026-12-07"),
        (MONTHLY, "2026-11-30", "2027-01-04"),
        (MONTHLY, "2026-12-07", "2027-01-04"),
        ({**WEEKLY, "report_paused_until": "2027-03-01"}, "2026-11-06", "2027-03-05"),
        ({**WEEKLY, "report_paused_until": "2020-03-01"}, "2026-11-06", "2026-11-13"),
        ({**WEEKLY, "report_every": ReportEvery.NEVER}, "2026-11-06", None),
    ],
)
def test_the_next_report_is_due_on(cadence: dict, reported: str | None, due: str | None) -> None:
    found = due_on(replace(SPACE, **cadence), reported and moment(reported))
    assert found == (due and date.fromisoformat(due))
