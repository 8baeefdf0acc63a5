"""The whole schema as of now, with the account as the first part of every key that grows.

No PostgreSQL database is older than this, so there it is made as it stands here. A SQLite file
gets what is new, and has what changed made anew and filled: it cannot change a key in place.
"""

import hashlib
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import CreateTable

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CATEGORIES = ("scope", "budget", "schedule", "client")
RENEWED = ("accounts", "workspaces", "participations", "status_reports", "external_references")
NEW = ("account_versions", "report_counts", "report_blocks", "report_terms", "imports")

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


_NO_REUSE = True
_BY_KEY = False
_SORTED_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _key() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True)


def _key_in_account(table: str) -> tuple[sa.Column[int], sa.Column[int]]:
    sa.Sequence(f"{table}_ids", metadata=metadata)
    return (
        sa.Column("account_id", sa.BigInteger, sa.ForeignKey("accounts.id"), primary_key=True),
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    )


def _in_workspace() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["account_id", "workspace_id"], ["workspaces.account_id", "workspaces.id"]
    )


def _instant(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _reference(name: str, target: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, sa.ForeignKey(f"{target}.id"), nullable=nullable)


def _one_of(column: str, options: tuple[str, ...]) -> sa.CheckConstraint:
    listed = ", ".join(f"'{option}'" for option in options)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=column)


sa.Table(
    "accounts",
    metadata,
    _key(),
    sa.Column("title", sa.Text, nullable=False),
    _instant("created_at"),
    sqlite_autoincrement=_NO_REUSE,
)
sa.Table(
    "account_versions",
    metadata,
    sa.Column("account_id", sa.BigInteger, sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("reshaped", sa.BigInteger, nullable=False),
)
sa.Table(
    "users",
    metadata,
    _key(),
    _reference("account_id", "accounts"),
    sa.Column("full_name", _SORTED_TEXT, nullable=False),
    sa.Column("email_address", sa.Text, nullable=False),
    sa.Column("headline", sa.Text),
    sa.Column("photo_path", sa.Text),
    _instant("created_at"),
    sa.UniqueConstraint("email_address"),
    sa.Index("ix_users_account", "account_id", "id"),
    sqlite_autoincrement=_NO_REUSE,
)
sa.Table(
    "account_memberships",
    metadata,
    _key(),
    _reference("account_id", "accounts"),
    _reference("user_id", "users"),
    sa.Column("permission", sa.Text, nullable=False),
    _instant("created_at"),
    _instant("updated_at"),
    _instant("disabled_at", nullable=True),
    _one_of(
        "permission",
        ("administrator", "reports_viewer", "project_lead", "project_creator", "collaborator"),
    ),
    sa.UniqueConstraint("user_id"),
    sa.Index("ix_account_memberships_account", "account_id", "id"),
    sqlite_autoincrement=_NO_REUSE,
)
sa.Table(
    "workspaces",
    metadata,
    *_key_in_account("workspaces"),
    _reference("creator_id", "users", nullable=True),
    sa.Column("title", _SORTED_TEXT, nullable=False),
    sa.Column("description", sa.Text),
    sa.Column("archived", sa.Integer, nullable=False),
    sa.Column("access_level", sa.Text, nullable=False),
    sa.Column("clients_see_status_reports", sa.Integer, nullable=False),
    sa.Column("start_date", sa.Text),
    sa.Column("due_date", sa.Text),
    _instant("created_at"),
    _instant("updated_at"),
    sa.CheckConstraint("archived IN (0, 1)", name="archived"),
    sa.CheckConstraint("clients_see_status_reports IN (0, 1)", name="clients_see_status_reports"),
)
sa.Table(
    "participations",
    metadata,
    *_key_in_account("participations"),
    sa.Column("workspace_id", sa.BigInteger, nullable=False),
    _reference("user_id", "users"),
    sa.Column("side", sa.Text, nullable=False),
    sa.Column("permission", sa.Text, nullable=False),
    sa.Column("team_lead", sa.Integer, nullable=False),
    _instant("created_at"),
    _instant("updated_at"),
    _one_of("side", ("provider", "client")),
    _one_of("permission", ("admin", "edit", "view")),
    sa.CheckConstraint("team_lead IN (0, 1)", name="team_lead"),
    _in_workspace(),
    sa.UniqueConstraint("account_id", "workspace_id", "user_id"),
    sa.Index("ix_participations_user", "account_id", "user_id", "workspace_id", "side"),
)


def _detail_columns() -> list[sa.Column[str]]:
    columns = []
    for category in CATEGORIES:
        columns.append(sa.Column(f"{category}_color", sa.Text))
        columns.append(sa.Column(f"{category}_description", sa.Text))
    return columns


def _detail_checks() -> list[sa.CheckConstraint]:
    return [
        check
        for category in CATEGORIES
        for check in (
            _one_of(f"{category}_color", ("green", "yellow", "red")),
            sa.CheckConstraint(
                f"{category}_color IS NOT NULL OR {category}_description IS NULL",
                name=f"{category}_has_color",
            ),
        )
    ]


sa.Table(
    "status_reports",
    metadata,
    *_key_in_account("status_reports"),
    sa.Column("workspace_id", sa.BigInteger, nullable=False),
    _reference("creator_id", "users"),
    _reference("updater_id", "users", nullable=True),
    sa.Column("color", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    *_detail_columns(),
    _instant("created_at"),
    _instant("updated_at"),
    _one_of("color", ("green", "yellow", "red")),
    *_detail_checks(),
    _in_workspace(),
    sa.Index(
        "ix_status_reports_workspace",
        "account_id",
        "workspace_id",
        "id",
        "created_at",
        "updated_at",
    ),
    sa.Index("ix_status_reports_created", "account_id", "created_at", "id"),
    sa.Index("ix_status_reports_updated", "account_id", "updated_at", "id"),
    sa.Index("ix_status_reports_current", "account_id", "workspace_id", "created_at", "id"),
)
sa.Table(
    "external_references",
    metadata,
    *_key_in_account("external_references"),
    sa.Column("workspace_id", sa.BigInteger, nullable=False),
    sa.Column("subject_type", sa.Text, nullable=False),
    sa.Column("subject_id", sa.BigInteger, nullable=False),
    sa.Column("service_name", sa.Text, nullable=False),
    sa.Column("service_model", sa.Text, nullable=False),
    sa.Column("service_model_ref", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("external_status", sa.Text),
    sa.Column("external_message", sa.Text),
    sa.Column("external_link", sa.Text),
    sa.Column("locked", sa.Integer),
    _instant("created_at"),
    _instant("updated_at"),
    _instant("last_synced_at", nullable=True),
    _one_of("subject_type", ("StatusReport", "Workspace")),
    _one_of("status", ("pending", "successful", "failed")),
    _in_workspace(),
    sa.UniqueConstraint("account_id", "subject_type", "subject_id", "service_name"),
    sa.Index("ix_external_references_service", "account_id", "service_name", "service_model_ref"),
    sa.Index("ix_external_references_ref", "account_id", "service_model_ref"),
    sa.Index("ix_external_references_synced", "account_id", "subject_type", "last_synced_at", "id"),
)
sa.Table(
    "report_counts",
    metadata,
    sa.Column("account_id", sa.BigInteger, sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("dimension", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("bucket", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("reports", sa.BigInteger, nullable=False),
    sqlite_with_rowid=_BY_KEY,
)
sa.Table(
    "report_blocks",
    metadata,
    sa.Column("account_id", sa.BigInteger, sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("level", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("block", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("reports", sa.BigInteger, nullable=False),
    _instant("created_from"),
    _instant("created_to"),
    _instant("updated_from"),
    _instant("updated_to"),
    sqlite_with_rowid=_BY_KEY,
)
sa.Table(
    "report_terms",
    metadata,
    sa.Column("account_id", sa.BigInteger, sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("term", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("report_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=_BY_KEY,
)
sa.Table(
    "imports",
    metadata,
    sa.Column("account_id", sa.BigInteger, sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("bytes_done", sa.BigInteger, nullable=False),
    sa.Column("lines_done", sa.BigInteger, nullable=False),
    sa.Column("reports", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    _instant("updated_at"),
    sqlite_with_rowid=_BY_KEY,
)
sa.Table(
    "oauth_applications",
    metadata,
    _key(),
    _reference("account_id", "accounts"),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("client_id", sa.Text, nullable=False),
    sa.Column("secret_hash", sa.Text),
    sa.Column("redirect_uris", sa.Text, nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
    _reference("user_id", "users", nullable=True),
    sa.Column("token_lifetime_s", sa.Integer),
    _instant("created_at"),
    _instant("revoked_at", nullable=True),
    sa.UniqueConstraint("client_id"),
    sa.Index("ix_oauth_applications_account", "account_id", "id"),
    sqlite_autoincrement=_NO_REUSE,
)
sa.Table(
    "oauth_grants",
    metadata,
    _key(),
    _reference("account_id", "accounts"),
    _reference("application_id", "oauth_applications"),
    _reference("user_id", "users"),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("redirect_uri", sa.Text),
    sa.Column("code_hash", sa.Text),
    sa.Column("code_challenge", sa.Text),
    _instant("code_expires_at", nullable=True),
    _instant("exchanged_at", nullable=True),
    _instant("created_at"),
    _instant("revoked_at", nullable=True),
    sa.UniqueConstraint("code_hash"),
    sa.Index("ix_oauth_grants_user", "user_id", "id"),
    sa.Index("ix_oauth_grants_application", "application_id", "user_id"),
    sqlite_autoincrement=_NO_REUSE,
)
sa.Table(
    "oauth_refresh_tokens",
    metadata,
    _key(),
    _reference("account_id", "accounts"),
    _reference("grant_id", "oauth_grants"),
    sa.Column("secret_hash", sa.Text, nullable=False),
    _instant("created_at"),
    _instant("expires_at"),
    _instant("used_at", nullable=True),
    sa.UniqueConstraint("secret_hash"),
    sa.Index("ix_oauth_refresh_tokens_grant", "grant_id"),
    sqlite_autoincrement=_NO_REUSE,
)
sa.Table(
    "tokens",
    metadata,
    _key(),
    _reference("user_id", "users"),
    _reference("grant_id", "oauth_grants", nullable=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("secret_hash", sa.Text, nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
    _instant("created_at"),
    _instant("expires_at", nullable=True),
    _instant("revoked_at", nullable=True),
    _instant("last_used_at", nullable=True),
    sa.UniqueConstraint("secret_hash"),
    sa.Index("ix_tokens_user", "user_id", "id"),
    sa.Index("ix_tokens_grant", "grant_id"),
    sqlite_autoincrement=_NO_REUSE,
)
sa.Table(
    "passwords",
    metadata,
    _key(),
    _reference("account_id", "accounts"),
    _reference("user_id", "users"),
    sa.Column("hash", sa.Text, nullable=False),
    _instant("changed_at"),
    sa.UniqueConstraint("user_id"),
)
sa.Table(
    "identities",
    metadata,
    _key(),
    _reference("account_id", "accounts"),
    _reference("user_id", "users"),
    sa.Column("issuer", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    _instant("created_at"),
    sa.UniqueConstraint("issuer", "subject"),
    sa.UniqueConstraint("user_id", "issuer"),
)
sa.Table(
    "sessions",
    metadata,
    _key(),
    _reference("account_id", "accounts"),
    _reference("user_id", "users"),
    sa.Column("secret_hash", sa.Text, nullable=False),
    _instant("created_at"),
    _instant("expires_at"),
    sa.UniqueConstraint("secret_hash"),
    sa.Index("ix_sessions_user", "user_id"),
)
sa.Table(
    "signing_keys",
    metadata,
    _key(),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("secret", sa.Text, nullable=False),
    _instant("created_at"),
    sa.UniqueConstraint("purpose"),
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        metadata.create_all(op.get_bind())
        return
    for name in NEW:
        op.execute(CreateTable(metadata.tables[name]))
    op.execute("INSERT INTO account_versions SELECT id, version, 0 FROM accounts")
    for name in RENEWED:
        _renew(metadata.tables[name])
    _count()


# By what `report_counts` counted on the day of this migration.
WORKSPACE, TERM = 1, 2
TIMES = (
    (3, "created_at", 33),
    (4, "created_at", 43),
    (5, "updated_at", 33),
    (6, "updated_at", 43),
)
BLOCK_SHIFTS = (10, 20)
REFERENCE_ATTRIBUTES = (
    "service_name",
    "service_model",
    "service_model_ref",
    "external_status",
    "external_message",
    "status",
)


def _count() -> None:
    """Fill `report_counts`, `report_blocks` and `report_terms` from the reports that there are."""
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.create_function("term_of", 2, _term, deterministic=True)
    op.execute(
        f"INSERT INTO report_counts SELECT account_id, {WORKSPACE}, workspace_id, count(*) "  # noqa: S608  numbers and names of ours
        "FROM status_reports GROUP BY account_id, workspace_id"
    )
    for dimension, column, shift in TIMES:
        op.execute(
            f"INSERT INTO report_counts SELECT account_id, {dimension}, {column} >> {shift}, "  # noqa: S608  as above
            f"count(*) FROM status_reports GROUP BY account_id, {column} >> {shift}"
        )
    for shift in BLOCK_SHIFTS:
        op.execute(
            f"INSERT INTO report_blocks SELECT account_id, {shift}, id >> {shift}, count(*), "  # noqa: S608  as above
            "min(created_at), max(created_at), min(updated_at), max(updated_at) "
            f"FROM status_reports GROUP BY account_id, id >> {shift}"
        )
    having = "FROM external_references WHERE subject_type = 'StatusReport'"
    op.execute(
        "INSERT OR IGNORE INTO report_terms "
        f"SELECT account_id, term_of('', ''), subject_id {having}"
    )
    for name in REFERENCE_ATTRIBUTES:
        op.execute(
            f"INSERT OR IGNORE INTO report_terms SELECT account_id, term_of('{name}', {name}), "
            f"subject_id {having} AND {name} IS NOT NULL"
        )
    op.execute(
        f"INSERT INTO report_counts SELECT account_id, {TERM}, term, count(*) "  # noqa: S608  as above
        "FROM report_terms GROUP BY account_id, term"
    )


def _term(attribute: str, value: str) -> int:
    text = f"{attribute}={value}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) >> 1


def _renew(table: sa.Table) -> None:
    """Put a table as it is declared here in the place of the one that has its name."""
    made = f"new_{table.name}"
    ddl = str(CreateTable(table).compile(op.get_bind()))
    op.execute(ddl.replace(f"CREATE TABLE {table.name} ", f"CREATE TABLE {made} ", 1))
    columns = ", ".join(column.name for column in table.columns)
    op.execute(f"INSERT INTO {made} ({columns}) SELECT {columns} FROM {table.name}")  # noqa: S608  names of ours
    # The mark of ids given out goes over too: none is given out again.
    mark = sa.text("SELECT seq FROM sqlite_sequence WHERE name = :name")
    last = op.get_bind().execute(mark, {"name": table.name}).scalar_one_or_none()
    op.drop_table(table.name)
    op.rename_table(made, table.name)
    forget = sa.text("DELETE FROM sqlite_sequence WHERE name = :name")
    op.get_bind().execute(forget, {"name": table.name})
    note = sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)")
    op.get_bind().execute(note, {"name": table.name, "last": last or 0})
    for index in table.indexes:
        index.create(op.get_bind())


def downgrade() -> None:
    raise NotImplementedError
