"""When sessions were last used, and where they were opened."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE sessions ADD COLUMN last_used_at BIGINT DEFAULT '0' NOT NULL")
    op.execute("UPDATE sessions SET last_used_at = created_at")
    for name in ("address", "device"):
        op.execute(f"ALTER TABLE sessions ADD COLUMN {name} TEXT")


def downgrade() -> None:
    raise NotImplementedError
