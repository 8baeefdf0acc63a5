"""Versions of reports, deleted reports, purges, and answers that are kept for a retry."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

CATEGORIES = ("scope", "budget", "schedule", "client")
COLORS = ("green", "yellow", "red")


def upgrade() -> None:
    op.create_table(
        "report_versions",
        _account(),
        sa.Column("report_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("event", sa.Text(), nullable=False),
        _reference("user_id"),
        _instant("created_at"),
        *_contents(),
        _one_of("event", ("created", "updated", "deleted", "restored")),
        *_checks(),
    )
    op.create_table(
        "deleted_reports",
        _account(),
        sa.Column("id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("workspace_id", sa.BigInteger(), nullable=False),
        _reference("creator_id"),
        _reference("updater_id", nullable=True),
        *_contents(),
        _instant("created_at"),
        _instant("updated_at"),
        _reference("deleter_id"),
        _instant("deleted_at"),
        sa.Column("external_references", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "workspace_id"], ["workspaces.account_id", "workspaces.id"]
        ),
        *_checks(),
    )
    for name, columns in (("deleted", ()), ("workspace", ("workspace_id",))):
        op.create_index(
            f"ix_deleted_reports_{name}",
            "deleted_reports",
            ["account_id", *columns, "deleted_at", "id"],
        )
    op.create_table(
        "purges",
        _account(),
        sa.Column("kind", sa.Text(), primary_key=True),
        sa.Column("record_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        _instant("purged_at"),
        _one_of("kind", ("status_report", "user")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "idempotency_keys",
        _account(),
        sa.Column("user_id", sa.BigInteger(), sa.ForeignKey("users.id"), primary_key=True),
        sa.Column("number", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("record_ids", sa.Text(), nullable=False),
        _instant("created_at"),
        sa.UniqueConstraint("account_id", "user_id", "path", "key"),
    )
    op.create_index("ix_idempotency_keys_created", "idempotency_keys", ["account_id", "created_at"])


def _account() -> sa.Column[int]:
    return sa.Column("account_id", sa.BigInteger(), sa.ForeignKey("accounts.id"), primary_key=True)


def _instant(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _reference(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), sa.ForeignKey("users.id"), nullable=nullable)


def _contents() -> list[sa.Column[str]]:
    return [
        sa.Column("color", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        *(
            sa.Column(f"{category}_{what}", sa.Text(), nullable=True)
            for category in CATEGORIES
            for what in ("color", "description")
        ),
    ]


def _one_of(column: str, options: tuple[str, ...]) -> sa.CheckConstraint:
    is_one = " OR ".join(f"{column} = '{option}'" for option in options)
    return sa.CheckConstraint(is_one, name=column)


def _checks() -> list[sa.CheckConstraint]:
    checks = [_one_of("color", COLORS)]
    for category in CATEGORIES:
        column = f"{category}_color"
        says = f"{column} IS NOT NULL OR {category}_description IS NULL"
        checks.append(_one_of(column, COLORS))
        checks.append(sa.CheckConstraint(says, name=f"{category}_has_color"))
    return checks
