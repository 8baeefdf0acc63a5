"""What the pages need: current reports, share links, invitations."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
FILL = """
INSERT INTO current_reports (
    account_id, workspace_id, archived, report_id, created_at, color,
    previous_color, scope_color, budget_color, schedule_color, client_color
)
SELECT w.account_id, w.id, w.archived, r.id, r.created_at, r.color,
    (
        SELECT p.color FROM status_reports p
        WHERE p.account_id = w.account_id AND p.workspace_id = w.id
        ORDER BY p.created_at DESC, p.id DESC LIMIT 1 OFFSET 1
    ),
    r.scope_color, r.budget_color, r.schedule_color, r.client_color
FROM workspaces w
LEFT JOIN status_reports r ON r.account_id = w.account_id AND r.id = (
    SELECT n.id FROM status_reports n
    WHERE n.account_id = w.account_id AND n.workspace_id = w.id
    ORDER BY n.created_at DESC, n.id DESC LIMIT 1
)
"""


def upgrade() -> None:
    op.create_table(
        "current_reports",
        sa.Column("account_id", sa.BigInteger(), sa.ForeignKey("accounts.id"), primary_key=True),
        sa.Column("workspace_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("archived", sa.Integer(), nullable=False),
        sa.Column("report_id", sa.BigInteger(), nullable=True),
        _instant("created_at", nullable=True),
        sa.Column("color", sa.Text(), nullable=True),
        *(
            sa.Column(f"{name}_color", sa.Text(), nullable=True)
            for name in ("previous", "scope", "budget", "schedule", "client")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "invitations",
        sa.Column("id", KEY, primary_key=True),
        _reference("account_id", "accounts"),
        _reference("user_id", "users"),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        _instant("created_at"),
        _instant("expires_at"),
        sa.UniqueConstraint("secret_hash"),
        sa.UniqueConstraint("user_id"),
    )
    op.create_table(
        "share_links",
        sa.Column("id", KEY, primary_key=True),
        _reference("account_id", "accounts"),
        _reference("creator_id", "users"),
        sa.Column("workspace_id", sa.BigInteger(), nullable=False),
        sa.Column("report_id", sa.BigInteger(), nullable=True),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("hidden", sa.Text(), nullable=False),
        _instant("created_at"),
        _instant("expires_at"),
        _instant("revoked_at", nullable=True),
        _instant("first_opened_at", nullable=True),
        _instant("last_opened_at", nullable=True),
        sa.UniqueConstraint("secret_hash"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_share_links_workspace", "share_links", ["account_id", "workspace_id", "id"])
    op.execute(FILL)


def _instant(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _reference(name: str, target: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), sa.ForeignKey(f"{target}.id"), nullable=False)
