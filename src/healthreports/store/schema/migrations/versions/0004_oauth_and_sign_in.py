"""OAuth 2 applications, grants and refresh tokens; passwords, identities, sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _create_applications()
    _create_grants()
    _create_refresh_tokens()
    _renew_tokens()
    _create_sign_in()


def _id() -> sa.Column[int]:
    return sa.Column("id", KEY, primary_key=True)


def _instant(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _reference(name: str, target: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), sa.ForeignKey(f"{target}.id"), nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _create_applications() -> None:
    op.create_table(
        "oauth_applications",
        _id(),
        _reference("account_id", "accounts"),
        _text("name"),
        _text("client_id"),
        _text("secret_hash", nullable=True),
        _text("redirect_uris"),
        _text("scopes"),
        _reference("user_id", "users", nullable=True),
        sa.Column("token_lifetime_s", sa.Integer(), nullable=True),
        _instant("created_at"),
        _instant("revoked_at", nullable=True),
        sa.UniqueConstraint("client_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_oauth_applications_account", "oauth_applications", ["account_id", "id"])


def _create_grants() -> None:
    op.create_table(
        "oauth_grants",
        _id(),
        _reference("account_id", "accounts"),
        _reference("application_id", "oauth_applications"),
        _reference("user_id", "users"),
        _text("scopes"),
        _text("redirect_uri", nullable=True),
        _text("code_hash", nullable=True),
        _text("code_challenge", nullable=True),
        _instant("code_expires_at", nullable=True),
        _instant("exchanged_at", nullable=True),
        _instant("created_at"),
        _instant("revoked_at", nullable=True),
        sa.UniqueConstraint("code_hash"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_oauth_grants_user", "oauth_grants", ["user_id", "id"])
    op.create_index("ix_oauth_grants_application", "oauth_grants", ["application_id", "user_id"])


def _create_refresh_tokens() -> None:
    op.create_table(
        "oauth_refresh_tokens",
        _id(),
        _reference("account_id", "accounts"),
        _reference("grant_id", "oauth_grants"),
        _text("secret_hash"),
        _instant("created_at"),
        _instant("expires_at"),
        _instant("used_at", nullable=True),
        sa.UniqueConstraint("secret_hash"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_oauth_refresh_tokens_grant", "oauth_refresh_tokens", ["grant_id"])


def _renew_tokens() -> None:
    # SQLite adds a column only at the end, and a table's text is to be the same however it came.
    op.create_table(
        "new_tokens",
        _id(),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("grant_id", sa.BigInteger(), nullable=True),
        _text("name"),
        _text("secret_hash"),
        _text("scopes"),
        _instant("created_at"),
        _instant("expires_at", nullable=True),
        _instant("revoked_at", nullable=True),
        _instant("last_used_at", nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_tokens_user_id")),
        sa.ForeignKeyConstraint(["grant_id"], ["oauth_grants.id"], name=op.f("fk_tokens_grant_id")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_tokens_secret_hash")),
        sqlite_autoincrement=True,
    )
    columns = (
        "id, user_id, name, secret_hash, scopes, created_at, expires_at, revoked_at, last_used_at"
    )
    op.execute(f"INSERT INTO new_tokens ({columns}) SELECT {columns} FROM tokens")  # noqa: S608  names of ours
    # The mark of ids given out goes over too: none is given out again.
    op.execute(
        "UPDATE sqlite_sequence SET seq = (SELECT max(seq) FROM sqlite_sequence "
        "WHERE name IN ('tokens', 'new_tokens')) WHERE name = 'new_tokens'"
    )
    op.drop_table("tokens")
    op.rename_table("new_tokens", "tokens")
    op.create_index("ix_tokens_user", "tokens", ["user_id", "id"])
    op.create_index("ix_tokens_grant", "tokens", ["grant_id"])


def _create_sign_in() -> None:
    op.create_table(
        "passwords",
        _id(),
        _reference("account_id", "accounts"),
        _reference("user_id", "users"),
        _text("hash"),
        _instant("changed_at"),
        sa.UniqueConstraint("user_id"),
    )
    op.create_table(
        "identities",
        _id(),
        _reference("account_id", "accounts"),
        _reference("user_id", "users"),
        _text("issuer"),
        _text("subject"),
        _instant("created_at"),
        sa.UniqueConstraint("issuer", "subject"),
        sa.UniqueConstraint("user_id", "issuer"),
    )
    op.create_table(
        "sessions",
        _id(),
        _reference("account_id", "accounts"),
        _reference("user_id", "users"),
        _text("secret_hash"),
        _instant("created_at"),
        _instant("expires_at"),
        sa.UniqueConstraint("secret_hash"),
    )
    op.create_index("ix_sessions_user", "sessions", ["user_id"])
    op.create_table(
        "signing_keys",
        _id(),
        _text("purpose"),
        _text("secret"),
        _instant("created_at"),
        sa.UniqueConstraint("purpose"),
    )


def downgrade() -> None:
    raise NotImplementedError
