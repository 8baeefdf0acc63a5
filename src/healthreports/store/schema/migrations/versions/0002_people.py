"""People: account memberships, sides and ranks in a workspace, what clients see.

SQLite cannot change a constraint, so the tables that get other ones are made anew and filled.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _create_account_memberships()
    _renew_users()
    _renew_workspaces()
    _renew_participations()


def _instant(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _reference(name: str, target: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), sa.ForeignKey(f"{target}.id"), nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _replace(old: str, made: str, columns: str, values: str, source: str) -> None:
    """Fill the table `made` from `source` and put it in the place of `old`."""
    op.execute(f"INSERT INTO {made} ({columns}) SELECT {values} FROM {source}")  # noqa: S608  names of ours
    # The mark of ids given out goes over too, where there was one: none is given out again.
    op.execute(
        f"UPDATE sqlite_sequence SET seq = max(seq, (SELECT coalesce(max(seq), 0) "  # noqa: S608  as above
        f"FROM sqlite_sequence WHERE name = '{old}')) WHERE name = '{made}'"
    )
    op.drop_table(old)
    op.rename_table(made, old)


def _create_account_memberships() -> None:
    op.create_table(
        "account_memberships",
        sa.Column("id", KEY, primary_key=True),
        _reference("account_id", "accounts"),
        _reference("user_id", "users"),
        _text("permission"),
        _instant("created_at"),
        _instant("updated_at"),
        _instant("disabled_at", nullable=True),
        sa.CheckConstraint(
            "permission IN ('administrator', 'reports_viewer', 'project_lead', "
            "'project_creator', 'collaborator')",
            name="permission",
        ),
        sa.UniqueConstraint("user_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_account_memberships_account", "account_memberships", ["account_id", "id"])
    op.execute(
        "INSERT INTO account_memberships (account_id, user_id, permission, created_at, updated_at) "
        "SELECT account_id, id, permission, created_at, created_at FROM users ORDER BY id"
    )


def _renew_users() -> None:
    op.create_table(
        "new_users",
        sa.Column("id", KEY, primary_key=True),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        _text("full_name"),
        _text("email_address"),
        _text("headline", nullable=True),
        _text("photo_path", nullable=True),
        _instant("created_at"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_users_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email_address", name=op.f("uq_users_email_address")),
        sqlite_autoincrement=True,
    )
    columns = "id, account_id, full_name, email_address, headline, photo_path, created_at"
    _replace("users", "new_users", columns, columns, "users")
    op.create_index("ix_users_account", "users", ["account_id", "id"])


def _renew_workspaces() -> None:
    op.create_table(
        "new_workspaces",
        sa.Column("id", KEY, primary_key=True),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("creator_id", sa.BigInteger(), nullable=True),
        _text("title"),
        _text("description", nullable=True),
        sa.Column("archived", sa.Integer(), nullable=False),
        _text("access_level"),
        sa.Column("clients_see_status_reports", sa.Integer(), nullable=False),
        _text("start_date", nullable=True),
        _text("due_date", nullable=True),
        _instant("created_at"),
        _instant("updated_at"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_workspaces_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["creator_id"], ["users.id"], name=op.f("fk_workspaces_creator_id")
        ),
        sa.CheckConstraint("archived IN (0, 1)", name=op.f("ck_workspaces_archived")),
        sa.CheckConstraint(
            "clients_see_status_reports IN (0, 1)",
            name=op.f("ck_workspaces_clients_see_status_reports"),
        ),
        sqlite_autoincrement=True,
    )
    before = "id, account_id, creator_id, title, description, archived, access_level"
    after = "start_date, due_date, created_at, updated_at"
    _replace(
        "workspaces",
        "new_workspaces",
        f"{before}, clients_see_status_reports, {after}",
        f"{before}, 0, {after}",
        "workspaces",
    )
    op.create_index("ix_workspaces_account", "workspaces", ["account_id", "id"])


def _renew_participations() -> None:
    op.create_table(
        "new_participations",
        sa.Column("id", KEY, primary_key=True),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("workspace_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        _text("side"),
        _text("permission"),
        sa.Column("team_lead", sa.Integer(), nullable=False),
        _instant("created_at"),
        _instant("updated_at"),
        *(
            sa.ForeignKeyConstraint(
                [f"{target}_id"], [f"{target}s.id"], name=op.f(f"fk_participations_{target}_id")
            )
            for target in ("account", "workspace", "user")
        ),
        sa.CheckConstraint("side IN ('provider', 'client')", name=op.f("ck_participations_side")),
        sa.CheckConstraint(
            "permission IN ('admin', 'edit', 'view')", name=op.f("ck_participations_permission")
        ),
        sa.CheckConstraint("team_lead IN (0, 1)", name=op.f("ck_participations_team_lead")),
        sa.UniqueConstraint(
            "workspace_id", "user_id", name=op.f("uq_participations_workspace_id_user_id")
        ),
        sqlite_autoincrement=True,
    )
    _replace(
        "participations",
        "new_participations",
        "account_id, workspace_id, user_id, side, permission, team_lead, created_at, updated_at",
        "w.account_id, p.workspace_id, p.user_id, 'provider', p.permission, 0, w.created_at, "
        "w.created_at",
        "participations p JOIN workspaces w ON w.id = p.workspace_id "
        "ORDER BY p.workspace_id, p.user_id",
    )
    op.create_index("ix_participations_user", "participations", ["user_id", "workspace_id"])
    op.create_index("ix_participations_account", "participations", ["account_id", "id"])


def downgrade() -> None:
    raise NotImplementedError
