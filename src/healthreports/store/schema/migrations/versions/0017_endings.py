"""Workspaces and accounts that are deleted for good, and addresses that people want to have."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

KNOWN = "kind = 'status_report' OR kind = 'user'"
NOW = f"{KNOWN} OR kind = 'workspace' OR kind = 'account'"


def upgrade() -> None:
    op.execute("ALTER TABLE accounts ADD COLUMN closed_at BIGINT")
    op.create_table(
        "address_changes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("account_id", sa.BigInteger(), sa.ForeignKey("accounts.id"), nullable=False),
        sa.Column("user_id", sa.BigInteger(), sa.ForeignKey("users.id"), nullable=False),
        sa.Column("email_address", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("secret_hash"),
        sa.UniqueConstraint("user_id"),
    )
    op.create_index("ix_address_changes_account", "address_changes", ["account_id", "id"])
    _widen_check()


def _widen_check() -> None:
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        op.drop_constraint("kind", "purges", type_="check")
        op.create_check_constraint("kind", "purges", NOW)
        return
    # The rows stay as they are: all that was allowed still is.
    [[version]] = connection.exec_driver_sql("PRAGMA schema_version").all()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    connection.exec_driver_sql(
        "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE name = 'purges'", (KNOWN, NOW)
    )
    connection.exec_driver_sql("PRAGMA writable_schema = OFF")
    # So that whoever has the file open reads the schema again.
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")


def downgrade() -> None:
    raise NotImplementedError
