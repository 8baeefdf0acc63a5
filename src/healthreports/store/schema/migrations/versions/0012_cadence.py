"""When reports are due, from when on they are overdue, and what else a portfolio reads."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

EVERY = ("week", "2 weeks", "3 weeks", "4 weeks", "month", "never")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAY_US = 86_400_000_000
# Every two weeks on Friday, as `core/cadence` has it: the first Friday at least eleven days after
# the report, or the first one since the workspace was made; overdue when that day is over.
FROM_DAY = f"coalesce(c.created_at / {DAY_US} + 11, w.created_at / {DAY_US})"
OVERDUE = f"({FROM_DAY} + (11 - ({FROM_DAY} + 3) % 7) % 7 + 1) * {DAY_US}"


def upgrade() -> None:
    for name, options, default in (("every", EVERY, "2 weeks"), ("day", DAYS, "friday")):
        is_one = " OR ".join(f"report_{name} = '{option}'" for option in options)
        op.execute(
            f"ALTER TABLE workspaces ADD COLUMN report_{name} TEXT DEFAULT '{default}' NOT NULL "
            f"CONSTRAINT ck_workspaces_report_{name} CHECK ({is_one})"
        )
    op.execute("ALTER TABLE workspaces ADD COLUMN report_paused_until TEXT")
    op.execute("ALTER TABLE account_versions ADD COLUMN rewritten BIGINT DEFAULT '0' NOT NULL")
    op.execute("ALTER TABLE current_reports ADD COLUMN overdue_at BIGINT")
    op.execute("ALTER TABLE current_reports ADD COLUMN due_date TEXT")
    op.execute(
        "UPDATE current_reports SET (overdue_at, due_date) = ("  # noqa: S608  names of ours
        f"SELECT {OVERDUE}, w.due_date FROM workspaces w JOIN current_reports c "
        "ON c.account_id = w.account_id AND c.workspace_id = w.id "
        "WHERE w.account_id = current_reports.account_id "
        "AND w.id = current_reports.workspace_id)"
    )
    op.create_table(
        "saved_views",
        sa.Column("account_id", sa.BigInteger(), sa.ForeignKey("accounts.id"), primary_key=True),
        sa.Column("user_id", sa.BigInteger(), sa.ForeignKey("users.id"), primary_key=True),
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("query", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    raise NotImplementedError
