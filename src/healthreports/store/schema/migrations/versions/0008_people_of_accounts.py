"""A person may be a user of several accounts, with the same address and the same identity.

Accounts get a name, by which one says to which one signs in. Invitations say who sent and who
confirmed them. Those of a person who can sign in already end: nobody confirmed them.

SQLite cannot change a constraint, so there the tables are made anew and filled.
"""

import re
import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MAX_NAME = 40


def upgrade() -> None:
    connection = op.get_bind()
    on_server = connection.dialect.name != "sqlite"
    op.execute(
        "DELETE FROM invitations WHERE user_id IN (SELECT user_id FROM passwords) "
        "OR user_id IN (SELECT user_id FROM identities)"
    )
    _name_accounts(connection, on_server=on_server)
    if on_server:
        op.drop_constraint("uq_users_email_address", "users")
        op.create_unique_constraint(
            "uq_users_email_address_account_id", "users", ["email_address", "account_id"]
        )
        op.drop_constraint("uq_identities_issuer_subject", "identities")
        op.create_unique_constraint(
            "uq_identities_issuer_subject_account_id",
            "identities",
            ["issuer", "subject", "account_id"],
        )
        for column in _of_invitation():
            op.add_column("invitations", column)
        op.alter_column("invitations", "secret_hash", nullable=True)
    else:
        _renew_users()
        _renew_identities()
        _renew_invitations()
    op.create_index("ix_invitations_account", "invitations", ["account_id", "id"])


def _instant(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _reference(name: str, target: str, of: str, *, nullable: bool = False) -> sa.Column[int]:
    key = sa.ForeignKey(f"{target}.id", name=op.f(f"fk_{of}_{name}"))
    return sa.Column(name, sa.BigInteger(), key, nullable=nullable)


def _replace(table: str, columns: str) -> None:
    """Fill the table `new_` from the old one, and put it in its place."""
    op.execute(f"INSERT INTO new_{table} ({columns}) SELECT {columns} FROM {table}")  # noqa: S608  names of ours
    # The mark of ids given out goes over too, where there is one: none is given out again.
    op.execute(
        f"UPDATE sqlite_sequence SET seq = max(seq, (SELECT coalesce(max(seq), 0) "  # noqa: S608  as above
        f"FROM sqlite_sequence WHERE name = '{table}')) WHERE name = 'new_{table}'"
    )
    op.drop_table(table)
    op.rename_table(f"new_{table}", table)


def _name_accounts(connection: sa.Connection, *, on_server: bool) -> None:
    op.add_column("accounts", _text("name", nullable=True))
    taken: set[str] = set()
    rows = connection.execute(sa.text("SELECT id, title FROM accounts ORDER BY id")).all()
    for account_id, title in rows:
        name = _short(title)
        if name in taken:
            name = f"{name}-{account_id}"
        while name in taken:
            name += "-x"
        taken.add(name)
        connection.execute(
            sa.text("UPDATE accounts SET name = :name WHERE id = :id"),
            {"name": name, "id": account_id},
        )
    if on_server:
        op.alter_column("accounts", "name", nullable=False)
        op.create_unique_constraint("uq_accounts_name", "accounts", ["name"])
        return
    op.create_table(
        "new_accounts",
        sa.Column("id", KEY, nullable=False),
        _text("title"),
        _text("name"),
        _instant("created_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("name", name=op.f("uq_accounts_name")),
        sqlite_autoincrement=True,
    )
    _replace("accounts", "id, title, name, created_at")


def _short(title: str) -> str:
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:MAX_NAME].rstrip("-")
    return name if re.search(r"[a-z]", name) else f"account-{name}".rstrip("-")


def _renew_users() -> None:
    op.create_table(
        "new_users",
        sa.Column("id", KEY, nullable=False),
        _reference("account_id", "accounts", "users"),
        _text("full_name"),
        _text("email_address"),
        _text("headline", nullable=True),
        _text("photo_path", nullable=True),
        _instant("created_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint(
            "email_address", "account_id", name=op.f("uq_users_email_address_account_id")
        ),
        sqlite_autoincrement=True,
    )
    _replace("users", "id, account_id, full_name, email_address, headline, photo_path, created_at")
    op.create_index("ix_users_account", "users", ["account_id", "id"])


def _renew_identities() -> None:
    op.create_table(
        "new_identities",
        sa.Column("id", KEY, nullable=False),
        _reference("account_id", "accounts", "identities"),
        _reference("user_id", "users", "identities"),
        _text("issuer"),
        _text("subject"),
        _instant("created_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identities")),
        sa.UniqueConstraint(
            "issuer", "subject", "account_id", name=op.f("uq_identities_issuer_subject_account_id")
        ),
        sa.UniqueConstraint("user_id", "issuer", name=op.f("uq_identities_user_id_issuer")),
    )
    _replace("identities", "id, account_id, user_id, issuer, subject, created_at")


def _renew_invitations() -> None:
    op.create_table(
        "new_invitations",
        sa.Column("id", KEY, nullable=False),
        _reference("account_id", "accounts", "invitations"),
        _reference("user_id", "users", "invitations"),
        *_of_invitation(),
        _text("secret_hash", nullable=True),
        _instant("created_at"),
        _instant("expires_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitations")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_invitations_secret_hash")),
        sa.UniqueConstraint("user_id", name=op.f("uq_invitations_user_id")),
    )
    _replace("invitations", "id, account_id, user_id, secret_hash, created_at, expires_at")


def _of_invitation() -> tuple[sa.Column[int], sa.Column[int]]:
    return (
        _reference("inviter_id", "users", "invitations", nullable=True),
        _reference("confirmer_id", "users", "invitations", nullable=True),
    )
