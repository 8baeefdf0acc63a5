"""Who did what, as a chain of entries for each account."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

PARTS = {
    "what": (("action", sa.Text()), ("subject_id", sa.BigInteger())),
    "who": (
        ("user_id", sa.BigInteger()),
        ("through", sa.Text()),
        ("through_id", sa.BigInteger()),
        ("address", sa.Text()),
    ),
    "changes": (("before", sa.Text()), ("after", sa.Text())),
}


def upgrade() -> None:
    columns = []
    for part, its in PARTS.items():
        columns += [sa.Column(name, kind) for name, kind in its]
        columns.append(sa.Column(f"{part}_salt", sa.LargeBinary()))
        columns.append(sa.Column(f"{part}_hash", sa.LargeBinary(), nullable=False))
    op.create_table(
        "audit_events",
        sa.Column("account_id", sa.BigInteger(), sa.ForeignKey("accounts.id"), primary_key=True),
        sa.Column("number", sa.BigInteger(), primary_key=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        *columns,
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sqlite_with_rowid=False,
    )
    for name in ("action", "user_id", "subject_id"):
        op.create_index(f"ix_audit_events_{name}", "audit_events", ["account_id", name, "number"])
    kept = sa.text("action IS NOT NULL")
    op.create_index(
        "ix_audit_events_kept",
        "audit_events",
        ["account_id", "created_at"],
        sqlite_where=kept,
        postgresql_where=kept,
    )


def downgrade() -> None:
    raise NotImplementedError
