"""Tokens: what they may be used for, and when they last were."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "new_tokens",
        sa.Column("id", KEY, primary_key=True),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_tokens_user_id")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_tokens_secret_hash")),
        sqlite_autoincrement=True,
    )
    before, after = "id, user_id, name, secret_hash", "created_at, expires_at, revoked_at"
    op.execute(
        f"INSERT INTO new_tokens ({before}, scopes, {after}) "  # noqa: S608  names of ours
        f"SELECT {before}, 'read write', {after} FROM tokens"
    )
    # The mark of ids given out goes over too: none is given out again.
    op.execute(
        "UPDATE sqlite_sequence SET seq = (SELECT max(seq) FROM sqlite_sequence "
        "WHERE name IN ('tokens', 'new_tokens')) WHERE name = 'new_tokens'"
    )
    op.drop_table("tokens")
    op.rename_table("new_tokens", "tokens")


def downgrade() -> None:
    raise NotImplementedError
