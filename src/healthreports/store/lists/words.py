"""The index of the words of records: updated in the transaction of each change, and searched.

Each word is stored with its account and scope as a prefix, so that a search reads only entries of
its own account, even if other accounts have the same word often. `core/words` defines words.

On SQLite the words are in an FTS5 index that does not store the texts, so a deletion must pass the
same words that were inserted. On PostgreSQL they are in a table with a GIN index.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnClause,
    ColumnElement,
    FromClause,
    Select,
    Text,
    and_,
    bindparam,
    cast,
    column,
    delete,
    exists,
    func,
    insert,
    literal_column,
    select,
    table,
    text,
)
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.dialects.postgresql import insert as upsert

from healthreports.core.model import StatusReport, User, Workspace, WorkspaceGroup
from healthreports.core.words import parts_of, words_of
from healthreports.store.engine.database import Later, Transaction
from healthreports.store.engine.statement import Either, InTurn, Statement, unindexed
from healthreports.store.schema.tables import search_words


class WordsIn(Enum):
    """A scope in which words are searched: a letter in the prefix, a number in the FTS5 rowid."""

    REPORT = "r", 0  # the texts of a report
    WORKSPACE = "w", 1  # title, description and id
    TITLE = "t", 2
    CURRENT = "c", 3  # the texts of a report that is current
    USER = "u", 4  # name and e-mail address, found by any part of a word
    GROUP = "g", 5  # the name

    def __init__(self, mark: str, number: int) -> None:
        self.mark = mark
        self.number = number


# Separates the prefix from the word. No word contains it, and FTS5 does not split a token at it.
_BETWEEN: Final = "\u00b7"
_SCOPE_BITS: Final = 3
# FTS5 takes commands through a column with the name of the table.
_ORDER: Final[ColumnClause[str]] = column(search_words.name, Text)
_fts: Final = table(search_words.name, column("rowid", BigInteger), column("words"), _ORDER)
_AS_VECTOR: Final = func.array_to_tsvector(
    func.string_to_array(bindparam("words", type_=Text), literal_column("' '"))
)
_PUT: Final = Statement(
    insert(_fts).values(rowid=bindparam("row"), words=bindparam("words")),
    postgres=upsert(search_words)
    .values(
        account_id=bindparam("of_account"),
        scope=bindparam("scope"),
        record_id=bindparam("record"),
        words=_AS_VECTOR,
    )
    .on_conflict_do_update(
        index_elements=["account_id", "scope", "record_id"],
        set_={"words": _AS_VECTOR},
    ),
)
_DROP: Final = Statement(
    insert(_fts).values(
        {_ORDER: literal_column("'delete'"), "rowid": bindparam("row"), "words": bindparam("words")}
    ),
    postgres=delete(search_words).where(
        search_words.c.account_id == bindparam("of_account"),
        search_words.c.scope == bindparam("scope"),
        search_words.c.record_id == bindparam("record"),
    ),
)
EMPTY: Final = Statement(
    insert(_fts).values({_ORDER: literal_column("'delete-all'")}), postgres=delete(search_words)
)


class Entry(NamedTuple):
    """The text of one record in one scope; the record is found by the words of the text."""

    account_id: int
    scope: WordsIn
    record_id: int
    text: str

    @property
    def words(self) -> list[str]:
        """The words of the text; for people all suffixes, so that any part of a word is found."""
        return parts_of(self.text) if self.scope is WordsIn.USER else words_of(self.text)


def of_report(report: StatusReport, scope: WordsIn = WordsIn.REPORT) -> Entry:
    """The entry of a report; for a current report `scope` is CURRENT."""
    said = [one.description for one in report.details if one.description is not None]
    text = "\n".join((report.description, *said))
    return Entry(report.account_id, scope, report.id, text)


def of_workspace(workspace: Workspace) -> list[Entry]:
    """The entries of a workspace, one for each scope in which it is searched."""
    whole = f"{workspace.title}\n{workspace.description or ''}\n{workspace.id}"
    account_id = workspace.account_id
    return [
        Entry(account_id, WordsIn.WORKSPACE, workspace.id, whole),
        Entry(account_id, WordsIn.TITLE, workspace.id, workspace.title),
    ]


def of_user(user: User) -> list[Entry]:
    """The entry of a user, with name and e-mail address."""
    text = f"{user.full_name}\n{user.email_address}"
    return [Entry(user.account_id, WordsIn.USER, user.id, text)]


def of_group(group: WorkspaceGroup) -> list[Entry]:
    """The entry of a group, with its name."""
    return [Entry(group.account_id, WordsIn.GROUP, group.id, group.name)]


class _WordsChange(NamedTuple):
    gone: Sequence[Entry]
    come: Sequence[Entry]


def note(tx: Transaction, *, gone: Sequence[Entry] = (), come: Sequence[Entry] = ()) -> None:
    """Replace the entries `gone` by `come`; may be deferred to the end of the transaction."""
    if gone != come:
        tx.put_off(_NOTING, _WordsChange(gone, come))


def put(tx: Transaction, entries: Sequence[Entry]) -> None:
    """Store entries of records that do not have any in these scopes yet."""
    tx.run_each(_PUT, _values(entries))


def drop(tx: Transaction, entries: Sequence[Entry]) -> None:
    """Delete entries, which must have the same texts as when they were stored."""
    tx.run_each(_DROP, _values(entries))


def _note(tx: Transaction, changes: Sequence[_WordsChange]) -> None:
    # An entry that was added and removed since the last commit is not written at all.
    first: dict[tuple[WordsIn, int], Entry | None] = {}
    last: dict[tuple[WordsIn, int], Entry | None] = {}
    for change in changes:
        for entry in change.gone:
            first.setdefault((entry.scope, entry.record_id), entry)
            last[entry.scope, entry.record_id] = None
        for entry in change.come:
            first.setdefault((entry.scope, entry.record_id), None)
            last[entry.scope, entry.record_id] = entry
    changed = [key for key in first if first[key] != last[key]]
    drop(tx, [one for one in map(first.get, changed) if one is not None])
    put(tx, [one for one in map(last.get, changed) if one is not None])


_NOTING: Final = Later(_note, frozenset({search_words.name}))


def _values(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The parameters for the entries that have words."""
    many = []
    # A new report has the same text in two scopes; its words are computed once.
    known: dict[tuple[str, bool], list[str]] = {}
    for entry in entries:
        account_id, scope, record_id, text = entry
        key = (text, scope is WordsIn.USER)
        words = known.get(key)
        if words is None:
            words = known[key] = entry.words
        if words:
            before = _mark(account_id, scope)
            many.append(
                {
                    "row": (record_id << _SCOPE_BITS) + scope.number,
                    "words": before + f" {before}".join(words),
                    "of_account": account_id,
                    "scope": scope.number,
                    "record": record_id,
                }
            )
    return many


def _mark(account_id: int, scope: WordsIn) -> str:
    """The prefix of each word."""
    return f"{account_id}{scope.mark}{_BETWEEN}"


def _marked(account_id: int, scope: WordsIn, words: Sequence[str]) -> Iterator[str]:
    before = _mark(account_id, scope)
    return (before + word for word in words)


def with_words(record_id: ColumnElement[Any], scope: WordsIn, name: str) -> ColumnElement[bool]:
    """The record has, for each word in the parameters `name`, a word that begins with it.

    `asked` makes the parameters. All records with the words are found first, regardless of the
    other conditions of the statement.
    """
    found, there = _found(scope, name)
    return Either(record_id.in_(found), record_id.in_(there))


def begin_with(record_id: Column[int], scope: WordsIn, name: str) -> tuple[FromClause, FromClause]:
    """The FROM clause that starts with the records that have the words: for SQLite, PostgreSQL.

    Without it, a query planner that does not know how many records an account has may read all of
    them.
    """

    def begin(found: Select[Any]) -> FromClause:
        first, table = found.subquery("with_words"), record_id.table
        its = and_(table.c.account_id == bindparam("reach_account"), record_id == first.c.id)
        return InTurn(first, table, its)

    here, there = map(begin, _found(scope, name))
    return here, there


def has_words(record_id: ColumnElement[int], scope: WordsIn, name: str) -> ColumnElement[bool]:
    """`with_words` for a statement that reads records in some order and tests each.

    PostgreSQL looks up the words of each record. SQLite finds all records that have the words,
    since its index cannot be searched for one record.
    """
    words = search_words.c
    of_record: Select[Any] = select(literal_column("1")).where(
        words.account_id == bindparam("reach_account"),
        words.scope == literal_column(str(scope.number)),
        words.record_id == record_id,
        words.words.op("@@")(cast(bindparam(f"{name}_for_gin", type_=Text), TSQUERY)),
    )
    # The OFFSET makes PostgreSQL run the subquery for each row, as in `selections.there_is`.
    looked_up = exists(of_record.offset(literal_column("0")))
    found, _ = _found(scope, name)
    return Either(unindexed(record_id).in_(found), looked_up)


def count_of(scope: WordsIn, name: str) -> tuple[Select[Any], Select[Any]]:
    """The statements that count the account's records with the words: for SQLite, PostgreSQL."""
    here, there = (
        select(func.count()).select_from(one.subquery("found")) for one in _found(scope, name)
    )
    return here, there


def _found(scope: WordsIn, name: str) -> tuple[Select[Any], Select[Any]]:
    """The statements for the ids of the records with the words: for SQLite, for PostgreSQL."""
    matching = literal_column(search_words.name).op("MATCH")(bindparam(f"{name}_for_fts"))
    record_id = _fts.c.rowid.bitwise_rshift(literal_column(str(_SCOPE_BITS))).label("id")
    found = select(record_id).where(matching)
    # Migration 0010 creates this function.
    function = func.records_with_words(
        bindparam("reach_account", type_=BigInteger),
        literal_column(str(scope.number)),
        bindparam(f"{name}_for_gin", type_=Text),
    )
    there = function.table_valued(column("id", BigInteger)).render_derived("with_words")
    return found, select(there.c.id)


def asked(account_id: int, scope: WordsIn, name: str, said: str) -> Mapping[str, Any]:
    """The parameters of `with_words` for the words of the text `said`.

    If it has no words, nothing is found: a search for punctuation alone does not match everything.
    """
    # Nothing must be escaped: the query texts are made only of words, which contain no quotes.
    words = list(_marked(account_id, scope, words_of(said) or [_BETWEEN]))
    return {
        f"{name}_for_fts": " AND ".join(f'"{word}"*' for word in words),
        f"{name}_for_gin": " & ".join(f"'{word}':*" for word in words),
    }


def gist(tx: Transaction) -> tuple[int, int]:
    """The number of all stored words, counted once per record, and the sum of their hashes."""
    number = total = 0
    tx.rows(_OPEN_TERMS, {})
    last = ""
    while found := tx.rows(_SOME_TERMS, {"last": last}):
        some = _sums(found)
        number, total, last = number + some[0], total + some[1], found[-1][0]
    tx.rows(_CLOSE_TERMS, {})
    return number, total


def gist_of(parts: Iterable[Sequence[Entry]]) -> tuple[int, int]:
    """The same as `gist`, computed from entries that are given in parts."""
    number = total = 0
    for entries in parts:
        words = [w for one in entries for w in _marked(one.account_id, one.scope, one.words)]
        some = _sums((word, 1) for word in words)
        number, total = number + some[0], total + some[1]
    return number, total


def _sums(found: Iterable[Sequence[Any]]) -> tuple[int, int]:
    number = total = 0
    for word, records in found:
        number += records
        total += records * hash(word)
    return number, total


_OPEN_TERMS: Final = Statement(
    text(
        "CREATE VIRTUAL TABLE IF NOT EXISTS temp.search_terms "
        f"USING fts5vocab(main, {search_words.name}, row)"
    ),
    postgres=text(
        "DECLARE search_terms NO SCROLL CURSOR FOR "  # noqa: S608  the name of our own table
        f"SELECT word, ndoc FROM ts_stat('SELECT words FROM {search_words.name}')"
    ),
)
# There may be as many words as records, so they are read 10,000 at a time.
_SOME_TERMS: Final = Statement(
    text("SELECT term, doc FROM temp.search_terms WHERE term > :last ORDER BY term LIMIT 10000"),
    postgres=text("FETCH 10000 FROM search_terms"),
)
_CLOSE_TERMS: Final = Statement(text("SELECT 1"), postgres=text("CLOSE search_terms"))
