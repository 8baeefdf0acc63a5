"""Names without case and accents, groups of workspaces, the words that records are found by.

The rule for words is copied from `core/words` as it is now: a migration does not change with it.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

AT_ONCE = 5_000
CATEGORIES = ("scope", "budget", "schedule", "client")
ORDERS = (
    ("users", "name_key", "disabled = 0"),
    ("users", "created_at", None),
    ("users", "updated_at", None),
    ("account_memberships", "created_at", "disabled_at IS NULL"),
    ("account_memberships", "updated_at", None),
    ("workspaces", "title_key", "archived = 0"),
    ("workspaces", "created_at", "archived = 0"),
    ("workspaces", "updated_at", "archived = 0"),
    ("participations", "created_at", None),
    ("participations", "updated_at", None),
    ("participations", "user_name_key", None),
    ("workspace_groups", "created_at", None),
    ("workspace_groups", "updated_at", None),
    ("workspace_groups", "name_key", None),
)
INDEXES = (
    ("ix_workspaces_creator", "workspaces", ["account_id", "creator_id", "id"]),
    (
        "ix_external_references_workspace",
        "external_references",
        ["account_id", "subject_type", "workspace_id", "id"],
    ),
    ("ix_external_references_type", "external_references", ["account_id", "subject_type", "id"]),
    (
        "ix_external_references_service",
        "external_references",
        ["account_id", "subject_type", "service_name", "service_model_ref"],
    ),
    (
        "ix_external_references_ref",
        "external_references",
        ["account_id", "subject_type", "service_model_ref"],
    ),
    *(
        (f"ix_status_reports_{name}", "status_reports", ["account_id", name, "id"])
        for name in ("color", *(f"{one}_color" for one in CATEGORIES), "creator_id")
    ),
    *(
        (
            f"ix_external_references_{name}",
            "external_references",
            ["account_id", "subject_type", f"{name}_at", "id"],
        )
        for name in ("created", "updated")
    ),
    *(
        (f"ix_current_reports_{'_'.join(names)}", "current_reports", ["account_id", *names])
        for names in (["report_id"], ["created_at", "report_id"], ["updated_at", "report_id"])
    ),
)
# By what reports are counted from here on: the number of the dimension, and that of the bucket.
SEVERITY = "CASE {} WHEN 'green' THEN 0 WHEN 'yellow' THEN 1 ELSE 2 END"
COUNTS = (
    (7, SEVERITY.format("color"), "status_reports", "color IS NOT NULL"),
    (8, "creator_id", "status_reports", "creator_id IS NOT NULL"),
    *(
        (9, f"{3 * place} + {SEVERITY.format(name)}", "status_reports", f"{name} IS NOT NULL")
        for place, name in enumerate(f"{one}_color" for one in CATEGORIES)
    ),
    (10, "0", "current_reports", "report_id IS NOT NULL"),
)


# Where the words of a record are found, and from which of its columns they come.
SCOPES = (
    ("r", 0, "status_reports", ("description", *(f"{one}_description" for one in CATEGORIES))),
    ("w", 1, "workspaces", ("title", "description", "id")),
    ("t", 2, "workspaces", ("title",)),
    ("u", 4, "users", ("full_name", "email_address")),
)
MAX_WORD = 64
MAX_WORDS = 10_000
WORD = re.compile(r"[^\W_]+")
UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff]+)"
)
ACCENTS = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+")


def upgrade() -> None:
    connection = op.get_bind()
    on_server = connection.dialect.name != "sqlite"
    name = sa.Text(collation="C") if on_server else sa.Text()
    for table, key in (
        ("users", "name_key"),
        ("workspaces", "title_key"),
        ("participations", "user_name_key"),
    ):
        op.add_column(table, sa.Column(key, name, nullable=False, server_default=""))
    for column, column_type in (("disabled", sa.Integer()), ("updated_at", sa.BigInteger())):
        op.add_column("users", sa.Column(column, column_type, nullable=False, server_default="0"))
    op.add_column("current_reports", sa.Column("updated_at", sa.BigInteger()))
    _make_groups(name, on_server=on_server)
    _fill(connection)
    _make_indexes(on_server=on_server)
    _count(connection)
    _tally(connection)
    _make_words(connection, on_server=on_server)


def _make_groups(name: sa.Text, *, on_server: bool) -> None:
    if on_server:
        op.execute("CREATE SEQUENCE workspace_groups_ids")
    op.create_table(
        "workspace_groups",
        _account("workspace_groups"),
        sa.Column("id", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", name, nullable=False, server_default=""),
        sa.Column("company", sa.Integer(), nullable=False),
        *(sa.Column(one, sa.Text()) for one in ("notes", "contact_name", "email", "website")),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_workspace_groups")),
        sa.CheckConstraint("company IN (0, 1)", name=op.f("ck_workspace_groups_company")),
    )
    op.create_table(
        "group_workspaces",
        _account("group_workspaces"),
        sa.Column("group_id", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("workspace_id", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.PrimaryKeyConstraint(
            "account_id", "group_id", "workspace_id", name=op.f("pk_group_workspaces")
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "group_id"],
            ["workspace_groups.account_id", "workspace_groups.id"],
            name=op.f("fk_group_workspaces_account_id_group_id"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "workspace_id"],
            ["workspaces.account_id", "workspaces.id"],
            name=op.f("fk_group_workspaces_account_id_workspace_id"),
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_group_workspaces_workspace",
        "group_workspaces",
        ["account_id", "workspace_id", "group_id"],
    )


def _account(table: str) -> sa.Column[int]:
    key = sa.ForeignKey("accounts.id", name=op.f(f"fk_{table}_account_id"))
    return sa.Column("account_id", sa.BigInteger(), key, nullable=False)


def _fill(connection: sa.Connection) -> None:
    op.execute(
        "UPDATE users SET updated_at = created_at, disabled = CASE WHEN EXISTS ("
        "SELECT 1 FROM account_memberships m WHERE m.user_id = users.id "
        "AND m.disabled_at IS NOT NULL) THEN 1 ELSE 0 END"
    )
    for table, source, key in (
        ("users", "full_name", "name_key"),
        ("workspaces", "title", "title_key"),
    ):
        fill = sa.text(f"UPDATE {table} SET {key} = :key WHERE account_id = :account AND id = :id")  # noqa: S608  names of ours
        for rows in _rows(connection, table, (source,)):
            connection.execute(
                fill,
                [{"account": account, "id": of, "key": fold(name)} for account, of, name in rows],
            )
    op.execute(
        "UPDATE participations SET user_name_key = "
        "(SELECT u.name_key FROM users u WHERE u.id = participations.user_id)"
    )
    op.execute(
        "UPDATE current_reports SET updated_at = (SELECT r.updated_at FROM status_reports r "
        "WHERE r.account_id = current_reports.account_id AND r.id = current_reports.report_id)"
    )


def _rows(connection: sa.Connection, table: str, columns: Iterable[str]) -> Iterator[list[Any]]:
    """The account, the id and `columns` of every row, some at a time."""
    names = ", ".join(("account_id", "id", *columns))
    some = sa.text(
        f"SELECT {names} FROM {table} WHERE (account_id, id) > (:account, :id) "  # noqa: S608  names of ours
        f"ORDER BY account_id, id LIMIT {AT_ONCE}"
    )
    last = {"account": 0, "id": -1}
    while rows := list(connection.execute(some, last).all()):
        yield rows
        last = {"account": rows[-1][0], "id": rows[-1][1]}


def _make_indexes(*, on_server: bool) -> None:
    for table, name, shown in ORDERS:
        wheres = {"": None} if shown is None else {"": None, "_shown": sa.text(shown)}
        for suffix, where in wheres.items():
            op.create_index(
                f"ix_{table}_by_{name}{suffix}",
                table,
                ["account_id", name, "id"],
                sqlite_where=where,
                postgresql_where=where,
            )
    for name in ("start_date", "due_date"):
        for direction, nulls in (("asc", "FIRST"), ("desc", "LAST")):
            key = f"{name} {direction.upper()}" + (f" NULLS {nulls}" if on_server else "")
            for suffix, such in (("", ""), ("_shown", " WHERE archived = 0")):
                op.execute(
                    f"CREATE INDEX ix_workspaces_by_{name}_{direction}{suffix} "
                    f"ON workspaces (account_id, {key}, id){such}"
                )
    for name in ("service", "ref"):
        op.drop_index(f"ix_external_references_{name}", "external_references")
    op.drop_index("ix_external_references_synced", "external_references")
    synced = "last_synced_at NULLS FIRST" if on_server else "last_synced_at ASC"
    op.execute(
        "CREATE INDEX ix_external_references_synced ON external_references "
        f"(account_id, subject_type, {synced}, id)"
    )
    for index, table, names in INDEXES:
        op.create_index(index, table, list(names))


def _count(connection: sa.Connection) -> None:
    for dimension, bucket, table, condition in COUNTS:
        connection.execute(
            sa.text(
                "INSERT INTO report_counts (account_id, dimension, bucket, reports) "  # noqa: S608  names of ours
                f"SELECT account_id, {dimension}, {bucket}, count(*) FROM {table} "
                f"WHERE {condition} GROUP BY 1, 3"
            )
        )


# The kinds around status reports: the number of each, its table, its class, its times.
TALLIED = (
    ("workspaces", 0, "archived", ("created_at", "updated_at", "start_date", "due_date")),
    ("users", 1, "disabled", ("created_at", "updated_at")),
    (
        "account_memberships",
        2,
        "CASE WHEN disabled_at IS NULL THEN 0 ELSE 1 END",
        ("created_at", "updated_at"),
    ),
    ("participations", 3, "0", ("created_at", "updated_at")),
    (
        "external_references",
        5,
        "CASE subject_type WHEN 'Workspace' THEN 1 ELSE 0 END",
        ("created_at", "updated_at", "last_synced_at"),
    ),
)
ATTRIBUTES = ("service_name", "service_model", "external_status", "external_message", "status")
SHIFTS = (33, 43)
DAY_US = 86_400 * 1_000_000


Counts = Counter[tuple[int, int, int]]
Beside = dict[tuple[int, int], set[int]]


def _tally(connection: sa.Connection) -> None:
    """Count the records around status reports: by terms and by stretches of their times."""
    counts: Counts = Counter()
    for table, number, of_class, times in TALLIED:
        for rows in _rows(connection, table, (of_class, *times)):
            for account, _, shown, *moments in rows:
                counts[account, 20 + shown, _term(f"{table}.", "")] += 1
                for place, moment in enumerate(moments):
                    if moment is not None:
                        at = _moment(moment)
                        first = 100 + (number * 4 + place) * 4 + shown * 2
                        for width, shift in enumerate(SHIFTS):
                            counts[account, first + width, at >> shift] += 1
    _tally_beside(connection, counts)
    put = sa.text("INSERT INTO report_counts VALUES (:account, :dimension, :bucket, :reports)")
    values = [
        dict(zip(("account", "dimension", "bucket", "reports"), (*key, number), strict=True))
        for key, number in counts.items()
    ]
    if values:
        connection.execute(put, values)


def _tally_beside(connection: sa.Connection, counts: Counts) -> None:
    """Count what records have by what is beside them."""
    beside: Beside = {}
    archived = {}
    for rows in _rows(connection, "workspaces", ("creator_id", "archived")):
        for account, of, creator, flag in rows:
            beside[account, of] = {_term("workspaces.creator", creator)}
            archived[of] = flag
    _tally_places(connection, counts, beside)
    _tally_references(connection, counts, beside)
    for (account, space), terms in beside.items():
        for one in terms:
            counts[account, 20 + archived[space], one] += 1


def _tally_places(connection: sa.Connection, counts: Counts, beside: Beside) -> None:
    disabled = {
        of: flag for rows in _rows(connection, "users", ("disabled",)) for _, of, flag in rows
    }
    columns = ("workspace_id", "user_id", "side", "team_lead")
    for rows in _rows(connection, "participations", columns):
        for account, _, space, user, side, leads in rows:
            counts[account, 20 + disabled[user], _term("users.participant_in", space)] += 1
            for one in _of_place(space, user, side):
                counts[account, 20, one] += 1
            beside[account, space].add(_term("workspaces.participant", user))
            if side == "provider" and leads:
                beside[account, space].add(_term("workspaces.provider_lead", user))


def _tally_references(connection: sa.Connection, counts: Counts, beside: Beside) -> None:
    columns = ("subject_type", "subject_id", *ATTRIBUTES)
    for rows in _rows(connection, "external_references", columns):
        for account, _, kind, subject, *values in rows:
            said = [(n, v) for n, v in zip(ATTRIBUTES, values, strict=True) if v is not None]
            for name, value in said:
                term = _term(f"external_references.{name}", value)
                counts[account, 20 + int(kind == "Workspace"), term] += 1
            if kind == "Workspace":
                beside[account, subject].update(_of_reference(said))


def _of_place(space: int, user: int, side: str) -> Iterator[int]:
    yield _term("participations.workspace_id", space)
    yield _term("participations.user_id", user)
    if side == "provider":
        yield _term("participations.mavens_only", "")


def _of_reference(said: Iterable[tuple[str, str]]) -> Iterator[int]:
    yield _term("workspaces.referred", "")
    for name, value in said:
        yield _term(f"workspaces.external_reference_{name}", value)


def _term(name: str, value: object) -> int:
    text = f"{name}={value}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) >> 1


def _moment(value: int | str) -> int:
    if isinstance(value, int):
        return value
    return (date.fromisoformat(value) - date(1970, 1, 1)).days * DAY_US


def _make_words(connection: sa.Connection, *, on_server: bool) -> None:
    if on_server:
        op.execute(
            "CREATE TABLE search_words (account_id bigint NOT NULL REFERENCES accounts (id), "
            "scope integer NOT NULL, record_id bigint NOT NULL, words tsvector NOT NULL, "
            "PRIMARY KEY (account_id, scope, record_id))"
        )
        put = sa.text(
            "INSERT INTO search_words (account_id, scope, record_id, words) "
            "VALUES (:account, :scope, :id, array_to_tsvector(CAST(:words AS text[])))"
        )
    else:
        op.execute(
            "CREATE VIRTUAL TABLE search_words USING "
            "fts5(words, content='', detail=none, columnsize=0, tokenize='ascii')"
        )
        put = sa.text("INSERT INTO search_words (rowid, words) VALUES (:id * 8 + :scope, :words)")

    def store(rows: Iterable[Any], mark: str, scope: int, split: Callable[..., Any]) -> None:
        values = []
        for account, of, *texts in rows:
            said = " \n".join(str(text) for text in texts if text is not None)
            words = [f"{account}{mark}\u00b7{word}" for word in split(said)]
            values.append(
                {
                    "account": account,
                    "scope": scope,
                    "id": of,
                    "words": words if on_server else " ".join(words),
                }
            )
        if values:
            connection.execute(put, values)

    for mark, scope, table, columns in SCOPES:
        for rows in _rows(connection, table, columns):
            store(rows, mark, scope, parts_of if mark == "u" else words_of)
    texts = ", ".join(f"r.{one}" for one in SCOPES[0][3])
    current = sa.text(
        f"SELECT r.account_id, r.id, {texts} FROM status_reports r JOIN current_reports c "  # noqa: S608  names of ours
        "ON c.account_id = r.account_id AND c.report_id = r.id "
        "WHERE (r.account_id, r.id) > (:account, :id) "
        f"ORDER BY r.account_id, r.id LIMIT {AT_ONCE}"
    )
    last = {"account": 0, "id": -1}
    while rows := list(connection.execute(current, last).all()):
        store(rows, "c", 3, words_of)
        last = {"account": rows[-1][0], "id": rows[-1][1]}
    if on_server:
        op.execute("CREATE INDEX ix_search_words_words ON search_words USING gin (words)")


def fold(text: str) -> str:
    if text.isascii():
        return text.lower()
    plain = ACCENTS.sub("", unicodedata.normalize("NFKD", text))
    return unicodedata.normalize("NFC", plain.casefold())


def words_of(text: str) -> list[str]:
    found: dict[str, None] = {}
    for one in _words(text):
        found[one] = None
        if len(found) == MAX_WORDS:
            break
    return list(found)


def parts_of(text: str) -> list[str]:
    ends = (word[begin:] for word in words_of(text) for begin in range(len(word)))
    return list(dict.fromkeys(ends))[:MAX_WORDS]


def _words(text: str) -> Iterator[str]:
    for run in WORD.findall(fold(text)):
        if run.isascii():
            yield run[:MAX_WORD]
            continue
        for part in UNSPACED.split(run):
            if UNSPACED.match(part):
                yield from (part[begin : begin + 2] for begin in range(len(part)))
            elif part:
                yield part[:MAX_WORD]
