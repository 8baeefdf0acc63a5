"""The first schema: accounts, people, workspaces, status reports, external references, tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _instant(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _reference(name: str, target: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), sa.ForeignKey(f"{target}.id"), nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", KEY, primary_key=True),
        _text("title"),
        sa.Column("version", sa.BigInteger(), nullable=False),
        _instant("created_at"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "users",
        sa.Column("id", KEY, primary_key=True),
        _reference("account_id", "accounts"),
        _text("permission"),
        _text("full_name"),
        _text("email_address"),
        _text("headline", nullable=True),
        _text("photo_path", nullable=True),
        _instant("created_at"),
        sa.CheckConstraint("permission IN ('administrator', 'collaborator')", name="permission"),
        sa.UniqueConstraint("email_address"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_users_account", "users", ["account_id", "id"])
    op.create_table(
        "workspaces",
        sa.Column("id", KEY, primary_key=True),
        _reference("account_id", "accounts"),
        _reference("creator_id", "users", nullable=True),
        _text("title"),
        _text("description", nullable=True),
        sa.Column("archived", sa.Integer(), nullable=False),
        _text("access_level"),
        _text("start_date", nullable=True),
        _text("due_date", nullable=True),
        _instant("created_at"),
        _instant("updated_at"),
        sa.CheckConstraint("archived IN (0, 1)", name="archived"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_workspaces_account", "workspaces", ["account_id", "id"])
    op.create_table(
        "participations",
        sa.Column(
            "workspace_id", sa.BigInteger(), sa.ForeignKey("workspaces.id"), primary_key=True
        ),
        sa.Column("user_id", sa.BigInteger(), sa.ForeignKey("users.id"), primary_key=True),
        _text("permission"),
        sa.CheckConstraint("permission IN ('edit', 'view')", name="permission"),
    )
    op.create_index("ix_participations_user", "participations", ["user_id", "workspace_id"])
    _create_status_reports()
    _create_external_references()
    op.create_table(
        "tokens",
        sa.Column("id", KEY, primary_key=True),
        _reference("user_id", "users"),
        _text("name"),
        _text("secret_hash"),
        _instant("created_at"),
        _instant("expires_at", nullable=True),
        _instant("revoked_at", nullable=True),
        sa.UniqueConstraint("secret_hash"),
        sqlite_autoincrement=True,
    )


def _create_status_reports() -> None:
    categories = ("scope", "budget", "schedule", "client")
    details = [
        _text(f"{category}_{what}", nullable=True)
        for category in categories
        for what in ("color", "description")
    ]
    checks = [
        check
        for category in categories
        for check in (
            sa.CheckConstraint(
                f"{category}_color IN ('green', 'yellow', 'red')", name=f"{category}_color"
            ),
            sa.CheckConstraint(
                f"{category}_color IS NOT NULL OR {category}_description IS NULL",
                name=f"{category}_has_color",
            ),
        )
    ]
    op.create_table(
        "status_reports",
        sa.Column("id", KEY, primary_key=True),
        _reference("account_id", "accounts"),
        _reference("workspace_id", "workspaces"),
        _reference("creator_id", "users"),
        _reference("updater_id", "users", nullable=True),
        _text("color"),
        _text("description"),
        *details,
        _instant("created_at"),
        _instant("updated_at"),
        sa.CheckConstraint("color IN ('green', 'yellow', 'red')", name="color"),
        *checks,
        sqlite_autoincrement=True,
    )
    for name, columns in {
        "account": ["account_id", "id"],
        "workspace": ["workspace_id", "id"],
        "created": ["account_id", "created_at", "id"],
        "updated": ["account_id", "updated_at", "id"],
        "current": ["workspace_id", "created_at", "id"],
    }.items():
        op.create_index(f"ix_status_reports_{name}", "status_reports", columns)


def _create_external_references() -> None:
    op.create_table(
        "external_references",
        sa.Column("id", KEY, primary_key=True),
        _reference("account_id", "accounts"),
        _reference("workspace_id", "workspaces"),
        _text("subject_type"),
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        _text("service_name"),
        _text("service_model"),
        _text("service_model_ref"),
        _text("status"),
        _text("external_status", nullable=True),
        _text("external_message", nullable=True),
        _text("external_link", nullable=True),
        sa.Column("locked", sa.Integer(), nullable=True),
        _instant("created_at"),
        _instant("updated_at"),
        _instant("last_synced_at", nullable=True),
        sa.CheckConstraint("subject_type IN ('StatusReport', 'Workspace')", name="subject_type"),
        sa.CheckConstraint("status IN ('pending', 'successful', 'failed')", name="status"),
        sa.UniqueConstraint("subject_type", "subject_id", "service_name"),
        sqlite_autoincrement=True,
    )
    for name, columns in {
        "service": ["account_id", "service_name", "service_model_ref"],
        "ref": ["account_id", "service_model_ref"],
        "synced": ["account_id", "subject_type", "last_synced_at", "id"],
    }.items():
        op.create_index(f"ix_external_references_{name}", "external_references", columns)


def downgrade() -> None:
    raise NotImplementedError
