"""When the next report is due: the SQL expression agrees with `core/cadence`."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import select

from effort import effort
from healthreports.core.cadence import due_on
from healthreports.core.model import Instant, StatusReport, Workspace
from healthreports.core.vocabulary import DAY_US, AccountPermission, Color, ReportEvery, Weekday
from healthreports.service.people import accounts, members, workspaces
from healthreports.store.engine.database import Database, Transaction
from healthreports.store.engine.statement import Statement
from healthreports.store.lists import verify
from healthreports.store.people import workspaces as stored
from healthreports.store.reports import reports
from healthreports.store.schema.tables import current_reports

DAYS = st.dates(date(1990, 1, 1), date(2060, 12, 31))
CADENCES = st.fixed_dictionaries(
    {
        "report_every": st.sampled_from(ReportEvery),
        "report_day": st.sampled_from(Weekday),
        "report_paused_until": st.none() | (DAYS | st.dates(date(9999, 9, 1))).map(str),
    }
)
_KEPT = Statement(select(current_reports.c.workspace_id, current_reports.c.overdue_at))


def instant(day: date, of_day_us: int = 0) -> Instant:
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Instant(int(midnight.timestamp()) * 1_000_000 + of_day_us)


class Undone(Exception):
    """Raised to roll back what was written."""


def overdue(database: Database, workspace: dict, made: Instant, reported: Instant | None) -> int:
    """The stored `overdue_at` of a workspace with such a report; None if nothing is due."""
    found = []

    def work(tx: Transaction) -> None:
        account_id = accounts.create_account(tx, "Due", made)
        user = members.create_user(
            tx,
            account_id,
            full_name="Ann",
            email_address="ann-who-is-due@example.org",
            permission=AccountPermission.ADMINISTRATOR,
            now=made,
        )
        workspace_id = workspaces.make_workspace(tx, user, "Due", made)
        before = stored.workspace(tx, account_id, workspace_id)
        assert before is not None
        stored.replace_workspace(tx, before, replace(before, **workspace))
        if reported is not None:
            report = StatusReport(
                id=0,
                account_id=account_id,
                workspace_id=workspace_id,
                creator_id=user.id,
                updater_id=None,
                color=Color.GREEN,
                description="",
                details=(),
                created_at=reported,
                updated_at=reported,
            )
            reports.insert(tx, account_id, [report])
        found.append(dict(tx.rows(_KEPT, {}))[workspace_id])
        assert list(verify.differences(tx)) == []
        raise Undone

    with pytest.raises(Undone):
        database.write_here(work)
    return found[0]


@effort(6, 2_000)
@given(CADENCES, DAYS, st.none() | DAYS, st.integers(0, DAY_US - 1))
def test_both_databases_know_when_a_report_is_overdue(
    database: Database, cadence: dict, made: date, reported: date | None, of_day_us: int
) -> None:
    reported_at = None if reported is None else instant(reported, of_day_us)
    workspace = Workspace(
        id=1,
        account_id=1,
        creator_id=1,
        title="Due",
        description=None,
        archived=False,
        access_level="invitation",
        clients_see_status_reports=False,
        start_date=None,
        due_date=None,
        created_at=instant(made),
        updated_at=instant(made),
        **cadence,
    )
    due = due_on(workspace, reported_at)
    expected = None if due is None else instant(due + timedelta(days=1))
    assert overdue(database, cadence, instant(made), reported_at) == expected
