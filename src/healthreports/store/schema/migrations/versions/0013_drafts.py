"""Reports that were begun and not published yet; reports that are due every 5 to 13 weeks.

SQLite cannot replace a check: its text is changed, as in 0007. The new one allows more, so no row
need be looked at.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


_BEFORE = ("week", "2 weeks", "3 weeks", "4 weeks", "month", "never")
_SINCE = ("week", *(f"{number} weeks" for number in range(2, 14)), "month", "never")


def upgrade() -> None:
    _allow_more()
    op.create_table(
        "drafts",
        sa.Column("account_id", sa.BigInteger(), sa.ForeignKey("accounts.id"), primary_key=True),
        sa.Column("user_id", sa.BigInteger(), sa.ForeignKey("users.id"), primary_key=True),
        sa.Column("workspace_id", sa.BigInteger(), primary_key=True),
        sa.Column("report_id", sa.BigInteger(), primary_key=True),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "workspace_id"], ["workspaces.account_id", "workspaces.id"]
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_drafts_report", "drafts", ["account_id", "report_id"])
    op.create_index("ix_drafts_updated_at", "drafts", ["account_id", "updated_at"])


def _allow_more() -> None:
    connection = op.get_bind()
    before, since = (
        " OR ".join(f"report_every = '{one}'" for one in options) for options in (_BEFORE, _SINCE)
    )
    if connection.dialect.name != "sqlite":
        op.drop_constraint(op.f("ck_workspaces_report_every"), "workspaces", type_="check")
        op.create_check_constraint(op.f("ck_workspaces_report_every"), "workspaces", since)
        return
    [[version]] = connection.exec_driver_sql("PRAGMA schema_version").all()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    connection.exec_driver_sql(
        "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE name = 'workspaces'",
        (before, since),
    )
    connection.exec_driver_sql("PRAGMA writable_schema = OFF")
    # So that whoever has the file open reads the schema again.
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")


def downgrade() -> None:
    raise NotImplementedError
