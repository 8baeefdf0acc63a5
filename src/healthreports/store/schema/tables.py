"""The tables. A comment says when a nullable column is null and what each index is for.

An instant is one integer column with microseconds since the epoch, so that both databases store and
compare it in the same way. The four details of a report are columns and not rows: the categories
are a closed set, so the table itself cannot hold a category twice, an unknown category, or one
without a color.

In every table that grows with use, the account is the first column of the primary key, of the
foreign keys that refer to it and of its indexes, so that a distributed PostgreSQL can store each
account in one place. Tables whose rows are found by a secret or an e-mail address cannot have the
account in their key, because the account is known only after the row is found.
"""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Sequence,
    Table,
    Text,
    UniqueConstraint,
    column,
    table,
    text,
)

from healthreports.core.vocabulary import (
    AccountPermission,
    Category,
    Color,
    FactorDemand,
    FactorKind,
    ParticipationPermission,
    Purged,
    ReportEvery,
    Side,
    SubjectType,
    SyncStatus,
    VersionEvent,
    Weekday,
)

# The revision of the newest migration; a test compares it with the migrations.
SCHEMA_REVISION: Final = "0017"

metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


# The id of a deleted row is never used again: a client may still have it (5.5).
_NO_REUSE: Final = True
# SQLite: a table WITHOUT ROWID is stored in the order of its key, with no separate index for it.
_BY_KEY: Final = False
# Both databases sort text in the same way, regardless of the locale of the machine.
_SORTED_TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")


def _key() -> Column[int]:
    return Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)


def _account_key() -> Column[int]:
    """The account, as the first column of a primary key."""
    return Column("account_id", BigInteger, ForeignKey("accounts.id"), primary_key=True)


def _key_in_account(table: str) -> tuple[Column[int], Column[int]]:
    """The two columns of a primary key; `Transaction.new_ids` takes the id from a sequence."""
    Sequence(f"{table}_ids", metadata=metadata)
    return _account_and_id()


def _account_and_id() -> tuple[Column[int], Column[int]]:
    """The two columns of a primary key whose id comes from another table."""
    return _account_key(), Column("id", BigInteger, primary_key=True, autoincrement=False)


def _in_workspace() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["account_id", "workspace_id"], ["workspaces.account_id", "workspaces.id"]
    )


def _orders(of: str, *columns: str, shown: str | None = None) -> list[Index]:
    """An index for each of the `columns` by which the list of the table `of` is sorted.

    With `shown`, there is a second index for each column, only for the rows that the list shows by
    default: those for which the condition `shown` is true.
    """
    wheres = {"": None} if shown is None else {"": None, "_shown": text(shown)}
    return [
        Index(
            f"ix_{of}_by_{name}{suffix}",
            "account_id",
            name,
            "id",
            sqlite_where=where,
            postgresql_where=where,
        )
        for name in columns
        for suffix, where in wheres.items()
    ]


def _date_orders(of: Table, *columns: str, shown: str) -> None:
    """The indexes for dates, which may be null and which many rows may have in common.

    Rows without a date come first in ascending order, as on SQLite, and last in descending order.
    Rows with the same date are ordered by ascending id in both directions.
    """
    for name in columns:
        for direction in ("asc", "desc"):
            for suffix, where in (("", None), ("_shown", text(shown))):
                key = getattr(of.c[name], direction)()
                placed = key.nulls_first() if direction == "asc" else key.nulls_last()
                for dialect, by in (("sqlite", key), ("postgresql", placed)):
                    Index(
                        f"ix_{of.name}_by_{name}_{direction}{suffix}",
                        of.c.account_id,
                        by,
                        of.c.id,
                        sqlite_where=where,
                        postgresql_where=where,
                    ).ddl_if(dialect=dialect)


def _instant(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def _sort_key(name: str) -> Column[str]:
    """A name without case and accents (`core/words.fold`), for sorting."""
    return Column(name, _SORTED_TEXT, nullable=False, server_default="")


def _reference(name: str, target: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, ForeignKey(f"{target}.id"), nullable=nullable)


def _one_of(column: str, options: tuple[str, ...]) -> CheckConstraint:
    # For an IN list, SQLite would build a temporary table again for each row.
    is_one = " OR ".join(f"{column} = '{option}'" for option in options)
    return CheckConstraint(is_one, name=column)


def color_column(category: Category) -> str:
    """The column with the color of `category`; null when the report has no such detail."""
    return f"{category.lower()}_color"


def description_column(category: Category) -> str:
    """The column with the description of `category`; null when there is no description."""
    return f"{category.lower()}_description"


accounts: Final = Table(
    "accounts",
    metadata,
    _key(),
    Column("title", Text, nullable=False),
    Column("name", Text, nullable=False),  # what users type to sign in to this account
    _instant("created_at"),
    # Which users must have a second factor.
    Column("second_factor", Text, nullable=False, server_default=FactorDemand.NOBODY),
    # Null while the account is open. When it is closed, its contents are deleted gradually; this
    # row stays.
    _instant("closed_at", nullable=True),
    UniqueConstraint("name"),
    sqlite_autoincrement=_NO_REUSE,
)

# Counts the writes of an account: a cached result is valid while the version is the same. Every
# writer in the account locks this row. `reshaped` counts the writes that may change who sees older
# reports, or which lists have them: all except a new report and a changed text of a report.
# `rewritten` counts all writes except a new report that is created now.
account_versions: Final = Table(
    "account_versions",
    metadata,
    _account_key(),
    Column("version", BigInteger, nullable=False),
    Column("reshaped", BigInteger, nullable=False),
    Column("rewritten", BigInteger, nullable=False, server_default="0"),
)

users: Final = Table(
    "users",
    metadata,
    _key(),
    _reference("account_id", "accounts"),
    Column("full_name", _SORTED_TEXT, nullable=False),
    _sort_key("name_key"),
    Column("email_address", Text, nullable=False),
    Column("headline", Text),  # null when none was given
    Column("photo_path", Text),  # null when none was given
    Column("disabled", Integer, nullable=False, server_default="0"),  # 0 or 1, as in the membership
    _instant("created_at"),
    Column("updated_at", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("email_address", "account_id"),  # a person may be in several accounts
    Index("ix_users_account", "account_id", "id"),  # the list of the users of an account
    *_orders("users", "name_key", shown="disabled = 0"),
    *_orders("users", "created_at", "updated_at"),  # the filters by a time
    sqlite_autoincrement=_NO_REUSE,
)

account_memberships: Final = Table(
    "account_memberships",
    metadata,
    _key(),
    _reference("account_id", "accounts"),
    _reference("user_id", "users"),
    Column("permission", Text, nullable=False),
    _instant("created_at"),
    _instant("updated_at"),
    _instant("disabled_at", nullable=True),  # null: the user is not disabled
    _one_of("permission", tuple(AccountPermission)),
    UniqueConstraint("user_id"),  # a user belongs to one account
    Index("ix_account_memberships_account", "account_id", "id"),  # the list of an account
    *_orders("account_memberships", "created_at", shown="disabled_at IS NULL"),
    *_orders("account_memberships", "updated_at"),
    sqlite_autoincrement=_NO_REUSE,
)

workspaces: Final = Table(
    "workspaces",
    metadata,
    *_key_in_account("workspaces"),
    _reference("creator_id", "users", nullable=True),  # null when the creator is not known
    Column("title", _SORTED_TEXT, nullable=False),
    _sort_key("title_key"),
    Column("description", Text),  # null when there is none
    Column("archived", Integer, nullable=False),  # 0 or 1
    Column("access_level", Text, nullable=False),
    Column("clients_see_status_reports", Integer, nullable=False),  # 0 or 1
    Column("start_date", Text),  # null when not planned; ISO 8601 calendar date
    Column("due_date", Text),  # null when not planned; ISO 8601 calendar date
    # When reports are due. The defaults are for workspaces that are older than these columns.
    *(
        Column(
            name, Text, _one_of(name, tuple(type(default))), nullable=False, server_default=default
        )
        for name, default in (
            ("report_every", ReportEvery.TWO_WEEKS),
            ("report_day", Weekday.FRIDAY),
        )
    ),
    Column("report_paused_until", Text),  # null when not paused; ISO 8601 calendar date
    _instant("created_at"),
    _instant("updated_at"),
    CheckConstraint("archived IN (0, 1)", name="archived"),
    CheckConstraint("clients_see_status_reports IN (0, 1)", name="clients_see_status_reports"),
    *_orders("workspaces", "title_key", "created_at", "updated_at", shown="archived = 0"),
    # The filter by creator.
    Index("ix_workspaces_creator", "account_id", "creator_id", "id"),
)
_date_orders(workspaces, "start_date", "due_date", shown="archived = 0")

participations: Final = Table(
    "participations",
    metadata,
    *_key_in_account("participations"),
    Column("workspace_id", BigInteger, nullable=False),
    _reference("user_id", "users"),
    Column("side", Text, nullable=False),
    Column("permission", Text, nullable=False),
    Column("team_lead", Integer, nullable=False),  # 0 or 1
    _sort_key("user_name_key"),
    _instant("created_at"),
    _instant("updated_at"),
    _one_of("side", tuple(Side)),
    _one_of("permission", tuple(ParticipationPermission)),
    CheckConstraint("team_lead IN (0, 1)", name="team_lead"),
    _in_workspace(),
    UniqueConstraint("account_id", "workspace_id", "user_id"),
    # The workspaces where a user participates, and whether the user sees the reports there.
    Index("ix_participations_user", "account_id", "user_id", "workspace_id", "side"),
    *_orders("participations", "created_at", "updated_at", "user_name_key"),
)


def _detail_columns() -> list[Column[str]]:
    columns = []
    for category in Category:
        columns.append(Column(color_column(category), Text))  # null when there is no such detail
        columns.append(Column(description_column(category), Text))  # null: no description
    return columns


def _detail_checks() -> list[CheckConstraint]:
    return [
        check
        for category in Category
        for check in (
            _one_of(color_column(category), tuple(Color)),
            CheckConstraint(
                f"{color_column(category)} IS NOT NULL OR {description_column(category)} IS NULL",
                name=f"{category.lower()}_has_color",
            ),
        )
    ]


def _report_columns() -> list[Column[Any]]:
    """The columns of a report, deleted or not."""
    return [
        Column("workspace_id", BigInteger, nullable=False),
        _reference("creator_id", "users"),
        _reference("updater_id", "users", nullable=True),  # null until the first update (3.5)
        Column("color", Text, nullable=False),
        Column("description", Text, nullable=False),
        *_detail_columns(),
        _instant("created_at"),
        _instant("updated_at"),
    ]


status_reports: Final = Table(
    "status_reports",
    metadata,
    *_key_in_account("status_reports"),
    *_report_columns(),
    _one_of("color", tuple(Color)),
    *_detail_checks(),
    _in_workspace(),
    # The list of a workspace in the default order, with the times so that the index alone can apply
    # the filters by time. The list of an account uses the primary key.
    Index(
        "ix_status_reports_workspace",
        "account_id",
        "workspace_id",
        "id",
        "created_at",
        "updated_at",
    ),
    # The date filters and orders of the list.
    Index("ix_status_reports_created", "account_id", "created_at", "id"),
    Index("ix_status_reports_updated", "account_id", "updated_at", "id"),
    # The current report of a workspace, and the reports in a period.
    Index("ix_status_reports_current", "account_id", "workspace_id", "created_at", "id"),
    # The filters by color, of the report or of one category, and by creator.
    *(
        Index(f"ix_status_reports_{name}", "account_id", name, "id")
        for name in ("color", *(color_column(category) for category in Category), "creator_id")
    ),
)

# The versions of a report. A report that was never changed has no rows here: its only version is
# the row in `status_reports`. After the first change, all its versions are here, including the
# current one.
report_versions: Final = Table(
    "report_versions",
    metadata,
    _account_key(),
    Column("report_id", BigInteger, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),  # from 1
    Column("event", Text, nullable=False),
    _reference("user_id", "users"),
    _instant("created_at"),
    Column("color", Text, nullable=False),
    Column("description", Text, nullable=False),
    *_detail_columns(),
    _one_of("event", tuple(VersionEvent)),
    _one_of("color", tuple(Color)),
    *_detail_checks(),
)

# Deleted reports, until they are purged: all columns of the report, and its references as JSON.
deleted_reports: Final = Table(
    "deleted_reports",
    metadata,
    *_account_and_id(),
    *_report_columns(),
    _reference("deleter_id", "users"),
    _instant("deleted_at"),
    Column("external_references", Text, nullable=False),
    _one_of("color", tuple(Color)),
    *_detail_checks(),
    _in_workspace(),
    # The list of an account, and the search for reports to purge.
    Index("ix_deleted_reports_deleted", "account_id", "deleted_at", "id"),
    # The list of deleted reports in the workspaces of a user, and in one workspace.
    Index("ix_deleted_reports_workspace", "account_id", "workspace_id", "deleted_at", "id"),
)

# What was purged, and when. It is replayed after a restore, so that a backup does not bring purged
# records back.
purges: Final = Table(
    "purges",
    metadata,
    _account_key(),
    Column("kind", Text, primary_key=True),
    Column("record_id", BigInteger, primary_key=True, autoincrement=False),
    _instant("purged_at"),
    _one_of("kind", tuple(Purged)),
    sqlite_with_rowid=_BY_KEY,
)

# The first response to a request with an Idempotency-Key (8.2). `number` counts the responses of a
# user.
idempotency_keys: Final = Table(
    "idempotency_keys",
    metadata,
    _account_key(),
    Column("user_id", BigInteger, ForeignKey("users.id"), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("path", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),  # of query, content type and body
    Column("status", Integer, nullable=False),
    # Null if the contents were purged.
    Column("body", LargeBinary),
    # The records in the response: their kind, or an empty text, and their ids separated by a space.
    Column("kind", Text, nullable=False),
    Column("record_ids", Text, nullable=False),
    _instant("created_at"),
    UniqueConstraint("account_id", "user_id", "path", "key"),
    Index("ix_idempotency_keys_created", "account_id", "created_at"),  # the deletion of old ones
)

external_references: Final = Table(
    "external_references",
    metadata,
    *_key_in_account("external_references"),
    # The workspace that the subject belongs to, or is. It decides who sees the reference.
    Column("workspace_id", BigInteger, nullable=False),
    Column("subject_type", Text, nullable=False),
    Column("subject_id", BigInteger, nullable=False),
    Column("service_name", Text, nullable=False),
    Column("service_model", Text, nullable=False),
    Column("service_model_ref", Text, nullable=False),
    Column("status", Text, nullable=False),
    # Null when the integration did not give it.
    Column("external_status", Text),
    Column("external_message", Text),
    Column("external_link", Text),
    Column("locked", Integer),  # 0 or 1
    _instant("created_at"),
    _instant("updated_at"),
    _instant("last_synced_at", nullable=True),  # null: never synchronised
    _one_of("subject_type", tuple(SubjectType)),
    _one_of("status", tuple(SyncStatus)),
    _in_workspace(),
    # One reference for each service (5.4); the index also finds the references of a subject.
    UniqueConstraint("account_id", "subject_type", "subject_id", "service_name"),
    # The filters of the list of references.
    Index(
        "ix_external_references_service",
        "account_id",
        "subject_type",
        "service_name",
        "service_model_ref",
    ),
    Index("ix_external_references_ref", "account_id", "subject_type", "service_model_ref"),
    # The list of one type of subject, ordered by id.
    Index("ix_external_references_type", "account_id", "subject_type", "id"),
    # The references in the workspaces of a reader.
    Index("ix_external_references_workspace", "account_id", "subject_type", "workspace_id", "id"),
    # The orders of the list of references, and its filters by a time.
    *(
        Index(f"ix_external_references_{name}", "account_id", "subject_type", f"{name}_at", "id")
        for name in ("created", "updated")
    ),
)
# The time may be null; rows without a time come first in ascending order.
for _dialect, _place in (("sqlite", "asc"), ("postgresql", "nulls_first")):
    Index(
        "ix_external_references_synced",
        external_references.c.account_id,
        external_references.c.subject_type,
        getattr(external_references.c.last_synced_at, _place)(),
        external_references.c.id,
    ).ddl_if(dialect=_dialect)

# Groups of workspaces; a group that is a company is a client.
workspace_groups: Final = Table(
    "workspace_groups",
    metadata,
    *_key_in_account("workspace_groups"),
    Column("name", Text, nullable=False),
    _sort_key("name_key"),
    Column("company", Integer, nullable=False),  # 0 or 1
    # Null when not given.
    Column("notes", Text),
    Column("contact_name", Text),
    Column("email", Text),
    Column("website", Text),
    _instant("created_at"),
    _instant("updated_at"),
    CheckConstraint("company IN (0, 1)", name="company"),
    *_orders("workspace_groups", "created_at", "updated_at", "name_key"),
)

# Which workspaces are in a group.
group_workspaces: Final = Table(
    "group_workspaces",
    metadata,
    _account_key(),
    Column("group_id", BigInteger, primary_key=True, autoincrement=False),
    Column("workspace_id", BigInteger, primary_key=True, autoincrement=False),
    ForeignKeyConstraint(
        ["account_id", "group_id"], ["workspace_groups.account_id", "workspace_groups.id"]
    ),
    _in_workspace(),
    Index("ix_group_workspaces_workspace", "account_id", "workspace_id", "group_id"),
    sqlite_with_rowid=_BY_KEY,
)

# The words by which each record is found; `store/lists/words` writes and queries them. On SQLite it
# is an FTS5 index without the text itself, on PostgreSQL a table with its own index.
search_words: Final = table(
    "search_words", column("account_id"), column("scope"), column("record_id"), column("words")
)

# The number of reports of an account for each thing that is ever counted: in a workspace, in a
# period, with a term. `store/lists/counters` updates it in the transaction that changes a report.
report_counts: Final = Table(
    "report_counts",
    metadata,
    _account_key(),
    Column("dimension", Integer, primary_key=True, autoincrement=False),
    Column("bucket", BigInteger, primary_key=True, autoincrement=False),
    Column("reports", BigInteger, nullable=False),
    sqlite_with_rowid=_BY_KEY,
)

# The number of reports in each block of consecutive ids, and bounds of their times. It tells where
# in the default order a far page, or a period, begins. `store/lists/counters` updates it too.
report_blocks: Final = Table(
    "report_blocks",
    metadata,
    _account_key(),
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("block", BigInteger, primary_key=True, autoincrement=False),
    Column("reports", BigInteger, nullable=False),
    _instant("created_from"),
    _instant("created_to"),
    _instant("updated_from"),
    _instant("updated_to"),
    sqlite_with_rowid=_BY_KEY,
)

# The reports that have an external reference with a given attribute, in the default order. `term`
# is a hash of the attribute and its value, since a value may be too long for an index.
report_terms: Final = Table(
    "report_terms",
    metadata,
    _account_key(),
    Column("term", BigInteger, primary_key=True, autoincrement=False),
    Column("report_id", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=_BY_KEY,
)

# The state of each workspace: its current report and the color of the report before it. These are
# all columns that a portfolio counts and filters by, and most that it sorts by.
# `store/lists/current` updates it when a report or workspace changes.
current_reports: Final = Table(
    "current_reports",
    metadata,
    _account_key(),
    Column("workspace_id", BigInteger, primary_key=True, autoincrement=False),
    Column("archived", Integer, nullable=False),  # 0 or 1
    # Null when there is no report.
    Column("report_id", BigInteger),
    _instant("created_at", nullable=True),
    Column("color", Text),
    _instant("updated_at", nullable=True),
    Column("previous_color", Text),  # null when the current report is the only one
    *(Column(color_column(category), Text) for category in Category),  # null: not reported
    # The time from which the next report is overdue; null if none is due.
    _instant("overdue_at", nullable=True),
    Column("due_date", Text),  # of the workspace; null when not planned
    # The lists of current reports, in each order.
    *(
        Index(f"ix_current_reports_{'_'.join(columns)}", "account_id", *columns)
        for columns in (("report_id",), ("created_at", "report_id"), ("updated_at", "report_id"))
    ),
    sqlite_with_rowid=_BY_KEY,
)

# The saved portfolio views of a user: the name and the URL query of each.
saved_views: Final = Table(
    "saved_views",
    metadata,
    _account_key(),
    Column("user_id", BigInteger, ForeignKey("users.id"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("query", Text, nullable=False),
    sqlite_with_rowid=_BY_KEY,
)

# Drafts: reports that were begun in the web pages and are not published yet.
drafts: Final = Table(
    "drafts",
    metadata,
    _account_key(),
    Column("user_id", BigInteger, ForeignKey("users.id"), primary_key=True),
    Column("workspace_id", BigInteger, primary_key=True),
    Column("report_id", BigInteger, primary_key=True),  # 0: a new report
    _in_workspace(),
    Column("fields", Text, nullable=False),  # JSON: the text of each field of the form
    _instant("updated_at"),
    Index("ix_drafts_report", "account_id", "report_id"),  # the deletion with a report
    Index("ix_drafts_updated_at", "account_id", "updated_at"),  # the deletion of expired drafts
    sqlite_with_rowid=_BY_KEY,
)

# The audit log (`core/audit`): the entries of an account, each with its hash in the chain.
audit_events: Final = Table(
    "audit_events",
    metadata,
    _account_key(),
    Column("number", BigInteger, primary_key=True),
    _instant("created_at"),
    # Null: removed. The same is true for the nullable columns below.
    Column("action", Text),
    Column("subject_id", BigInteger),
    Column("what_salt", LargeBinary),
    Column("what_hash", LargeBinary, nullable=False),
    Column("user_id", BigInteger),
    Column("through", Text),
    Column("through_id", BigInteger),
    Column("address", Text),
    Column("who_salt", LargeBinary),
    Column("who_hash", LargeBinary, nullable=False),
    Column("before", Text),  # JSON
    Column("after", Text),  # JSON
    Column("changes_salt", LargeBinary),
    Column("changes_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    # The lists with each filter.
    *(
        Index(f"ix_audit_events_{name}", "account_id", name, "number")
        for name in ("action", "user_id", "subject_id")
    ),
    Index(
        "ix_audit_events_kept",
        "account_id",
        "created_at",
        sqlite_where=text("action IS NOT NULL"),
        postgresql_where=text("action IS NOT NULL"),
    ),
    sqlite_with_rowid=_BY_KEY,
)

# How far each file was imported; written in the same transaction as the imported reports.
imports: Final = Table(
    "imports",
    metadata,
    _account_key(),
    Column("name", Text, primary_key=True),
    Column("bytes_done", BigInteger, nullable=False),
    Column("lines_done", BigInteger, nullable=False),
    Column("reports", BigInteger, nullable=False),
    # SHA-256 of the imported bytes, in hexadecimal, to check that it is still the same file.
    Column("digest", Text, nullable=False),
    _instant("updated_at"),
    sqlite_with_rowid=_BY_KEY,
)

oauth_applications: Final = Table(
    "oauth_applications",
    metadata,
    _key(),
    _reference("account_id", "accounts"),
    Column("name", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("secret_hash", Text),  # null: a public client, which cannot keep a secret
    Column("redirect_uris", Text, nullable=False),  # separated by a space; no URI contains one
    Column("scopes", Text, nullable=False),
    # Null when the application may not act by itself (client credentials).
    _reference("user_id", "users", nullable=True),
    Column("token_lifetime_s", Integer),  # null: its tokens do not expire
    _instant("created_at"),
    _instant("revoked_at", nullable=True),  # null: not revoked
    UniqueConstraint("client_id"),
    Index("ix_oauth_applications_account", "account_id", "id"),  # the list of an account
    sqlite_autoincrement=_NO_REUSE,
)

oauth_grants: Final = Table(
    "oauth_grants",
    metadata,
    _key(),
    _reference("account_id", "accounts"),
    _reference("application_id", "oauth_applications"),
    _reference("user_id", "users"),
    Column("scopes", Text, nullable=False),
    Column("redirect_uri", Text),  # null when the request named none, or there was no request
    # Null when the application acts by itself; then there is no code.
    Column("code_hash", Text),
    Column("code_challenge", Text),  # also null when the request had none (S256 of RFC 7636)
    _instant("code_expires_at", nullable=True),
    _instant("exchanged_at", nullable=True),  # null until the code was exchanged
    _instant("created_at"),
    _instant("revoked_at", nullable=True),  # null: not revoked
    UniqueConstraint("code_hash"),
    Index("ix_oauth_grants_user", "user_id", "id"),  # the grants that a user gave
    Index("ix_oauth_grants_application", "application_id", "user_id"),
    sqlite_autoincrement=_NO_REUSE,
)

oauth_refresh_tokens: Final = Table(
    "oauth_refresh_tokens",
    metadata,
    _key(),
    _reference("account_id", "accounts"),
    _reference("grant_id", "oauth_grants"),
    Column("secret_hash", Text, nullable=False),
    _instant("created_at"),
    _instant("expires_at"),
    _instant("used_at", nullable=True),  # null until it was used; a second use revokes the grant
    UniqueConstraint("secret_hash"),
    Index("ix_oauth_refresh_tokens_grant", "grant_id"),  # the refresh tokens of a grant
    sqlite_autoincrement=_NO_REUSE,
)

tokens: Final = Table(
    "tokens",
    metadata,
    _key(),
    _reference("user_id", "users"),
    _reference("grant_id", "oauth_grants", nullable=True),  # null: a personal token
    Column("name", Text, nullable=False),
    # SHA-256 of the secret, in hexadecimal. The secret itself is shown once and not stored.
    Column("secret_hash", Text, nullable=False),
    Column("scopes", Text, nullable=False),  # words separated by a space, as OAuth writes them
    _instant("created_at"),
    _instant("expires_at", nullable=True),  # null: never
    _instant("revoked_at", nullable=True),  # null: not revoked
    _instant("last_used_at", nullable=True),  # null: not used yet
    UniqueConstraint("secret_hash"),
    Index("ix_tokens_user", "user_id", "id"),  # the list of a user
    Index("ix_tokens_grant", "grant_id"),  # the revocation with a grant
    sqlite_autoincrement=_NO_REUSE,
)

passwords: Final = Table(
    "passwords",
    metadata,
    _key(),
    _reference("account_id", "accounts"),
    _reference("user_id", "users"),
    Column("hash", Text, nullable=False),  # argon2id, with its salt and parameters
    _instant("changed_at"),
    UniqueConstraint("user_id"),
)

# Which user has which identity at an OpenID Connect provider. A person may be a user of several
# accounts.
identities: Final = Table(
    "identities",
    metadata,
    _key(),
    _reference("account_id", "accounts"),
    _reference("user_id", "users"),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    _instant("created_at"),
    UniqueConstraint("issuer", "subject", "account_id"),
    UniqueConstraint("user_id", "issuer"),  # a user has one identity for each issuer
)

# Which user is signed in, in which browser.
sessions: Final = Table(
    "sessions",
    metadata,
    _key(),
    _reference("account_id", "accounts"),
    _reference("user_id", "users"),
    Column("secret_hash", Text, nullable=False),
    _instant("created_at"),
    _instant("expires_at"),
    Column("last_used_at", BigInteger, nullable=False, server_default="0"),
    Column("address", Text),  # the network address of the sign-in; null if not known
    Column("device", Text),  # the name that the browser gives itself; null if not known
    Column("proven_at", BigInteger, nullable=False, server_default="0"),
    Column("factor", Text),  # the kind of second factor used to sign in; null: none
    # 1 between the password and the second factor: the user is not signed in yet.
    Column("waits", Integer, nullable=False, server_default="0"),
    UniqueConstraint("secret_hash"),
    Index("ix_sessions_user", "user_id"),  # the end of a user's sessions
)

# Second factors, used in addition to a password. Each recovery code is one row, until it is used.
factors: Final = Table(
    "factors",
    metadata,
    _key(),
    _reference("account_id", "accounts"),
    _reference("user_id", "users"),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    # A passkey's public key, the shared secret of TOTP, or the hash of a recovery code.
    Column("secret", Text, nullable=False),
    Column("credential_id", Text),  # of a passkey; null for the others
    # The signature counter of a passkey, or the last time step of TOTP; detects a replay.
    Column("counter", BigInteger, nullable=False),
    _instant("created_at"),
    _instant("last_used_at", nullable=True),  # null: not used yet
    _one_of("kind", (FactorKind.PASSKEY, FactorKind.TOTP, FactorKind.RECOVERY_CODE)),
    UniqueConstraint("credential_id"),
    Index("ix_factors_user", "user_id", "id"),  # the list of a user
    sqlite_autoincrement=_NO_REUSE,
)

# Invitations, with which new users set their first credential, and users who lost theirs a new one.
invitations: Final = Table(
    "invitations",
    metadata,
    _key(),
    _reference("account_id", "accounts"),
    _reference("user_id", "users"),
    _reference("inviter_id", "users", nullable=True),  # null: the command line
    _reference("confirmer_id", "users", nullable=True),  # null: nobody confirmed it
    Column("secret_hash", Text),  # null until it is confirmed, if it has to be
    _instant("created_at"),
    _instant("expires_at"),
    UniqueConstraint("secret_hash"),
    UniqueConstraint("user_id"),  # only the last one is valid
    Index("ix_invitations_account", "account_id", "id"),  # the list of those to confirm
)

# The new e-mail address that a user asks for. A link sent there proves that the user owns it.
address_changes: Final = Table(
    "address_changes",
    metadata,
    _key(),
    _reference("account_id", "accounts"),
    _reference("user_id", "users"),
    Column("email_address", Text, nullable=False),
    Column("secret_hash", Text),  # null until an administrator sends the link
    _instant("created_at"),
    _instant("expires_at"),
    UniqueConstraint("secret_hash"),
    UniqueConstraint("user_id"),  # only the last one is valid
    Index("ix_address_changes_account", "account_id", "id"),  # the list of those to send
)

# Links with which people without an account read one report, or the current report of a workspace.
# As with all tables whose rows are found by a secret, they have no foreign key to a table whose
# key begins with the account.
share_links: Final = Table(
    "share_links",
    metadata,
    _key(),
    _reference("account_id", "accounts"),
    _reference("creator_id", "users"),
    Column("workspace_id", BigInteger, nullable=False),
    Column("report_id", BigInteger),  # null: the current report at the time of opening
    Column("secret_hash", Text, nullable=False),
    Column("hidden", Text, nullable=False),  # the categories left out, separated by a space
    _instant("created_at"),
    _instant("expires_at"),
    _instant("revoked_at", nullable=True),  # null: not revoked
    # Null until the link is opened.
    _instant("first_opened_at", nullable=True),
    _instant("last_opened_at", nullable=True),
    UniqueConstraint("secret_hash"),
    Index("ix_share_links_workspace", "account_id", "workspace_id", "id"),  # the list of links
    sqlite_autoincrement=_NO_REUSE,
)

# The keys with which the server signs; all processes of one database use the same keys.
signing_keys: Final = Table(
    "signing_keys",
    metadata,
    _key(),
    Column("purpose", Text, nullable=False),
    Column("secret", Text, nullable=False),
    _instant("created_at"),
    UniqueConstraint("purpose"),
)
