"""Second factors: what people have, of whom an account demands one, how a session was opened."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "factors",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("account_id", sa.BigInteger(), sa.ForeignKey("accounts.id"), nullable=False),
        sa.Column("user_id", sa.BigInteger(), sa.ForeignKey("users.id"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("credential_id", sa.Text()),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_used_at", sa.BigInteger()),
        sa.CheckConstraint(
            "kind = 'passkey' OR kind = 'totp' OR kind = 'recovery_code'", name="kind"
        ),
        sa.UniqueConstraint("credential_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_factors_user", "factors", ["user_id", "id"])
    op.execute("ALTER TABLE accounts ADD COLUMN second_factor TEXT DEFAULT 'nobody' NOT NULL")
    op.execute("ALTER TABLE sessions ADD COLUMN proven_at BIGINT DEFAULT '0' NOT NULL")
    op.execute("ALTER TABLE sessions ADD COLUMN factor TEXT")
    op.execute("ALTER TABLE sessions ADD COLUMN waits INTEGER DEFAULT '0' NOT NULL")


def downgrade() -> None:
    raise NotImplementedError
