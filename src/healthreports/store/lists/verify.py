"""Compares stored counts, current reports and words with the records, and rebuilds them."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Integer,
    Select,
    Table,
    Text,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
)
from sqlalchemy import insert as plain_insert

from healthreports.core.model import (
    ExternalReference,
    Participation,
    Record,
    StatusReport,
    User,
    Workspace,
    WorkspaceGroup,
)
from healthreports.core.vocabulary import (
    REFERENCE_ATTRIBUTES,
    Category,
    Color,
    Kind,
    SubjectType,
)
from healthreports.store.engine.database import Row, Transaction
from healthreports.store.engine.statement import Statement, among
from healthreports.store.lists import current, tallies, words
from healthreports.store.lists.counters import (
    ADD_TERM,
    BLOCK_SHIFTS,
    COLOR_BUCKETS,
    OF_TIME,
    Dimension,
    terms_of_values,
)
from healthreports.store.lists.selections import (
    GROUPS,
    REPORTS,
    SELECTIONS,
    USERS,
    WORKSPACES,
    Selection,
)
from healthreports.store.schema.tables import (
    color_column,
    current_reports,
    deleted_reports,
    description_column,
    external_references,
    group_workspaces,
    report_blocks,
    report_counts,
    report_terms,
    report_versions,
    status_reports,
    users,
)

# The most rows that one statement of `rebuild` reads into memory.
_AT_ONCE: Final = 10_000


def _stretch(column: ColumnElement[Any], shift: int) -> ColumnElement[Any]:
    # Written into the SQL: PostgreSQL cannot know that two parameters have the same value.
    return column.bitwise_rshift(literal_column(str(shift)))


_Truth = tuple[Dimension, Select[Any]]


def _counted(
    dimension: Dimension, bucket: ColumnElement[Any], *conditions: ColumnElement[bool]
) -> _Truth:
    account = status_reports.c.account_id
    found = select(account, literal(dimension, Integer), bucket, func.count())
    return dimension, found.where(*conditions).group_by(account, bucket)


def _color_bucket(column: ColumnElement[Any]) -> ColumnElement[Any]:
    places = ((column == literal_column(f"'{c}'"), b) for c, b in COLOR_BUCKETS.items())
    return case(*((is_it, literal_column(str(bucket))) for is_it, bucket in places))


_r: Final = status_reports.c
_TRUE_COUNTS: Final[tuple[_Truth, ...]] = (
    _counted(Dimension.WORKSPACE, _r.workspace_id),
    *(
        _counted(dimension, _stretch(_r[column], shift))
        for (column, shift), dimension in OF_TIME.items()
    ),
    _counted(Dimension.COLOR, _color_bucket(_r.color)),
    _counted(Dimension.CREATOR, _r.creator_id),
    *(
        _counted(
            Dimension.CATEGORY_COLOR,
            _color_bucket(_r[name]) + literal_column(str(len(Color) * place)),
            _r[name].is_not(None),
        )
        for place, name in enumerate(color_column(category) for category in Category)
    ),
)
# True once `current_reports` is right.
_TRUE_CURRENT: Final = (
    select(
        current_reports.c.account_id,
        literal(Dimension.CURRENT, Integer),
        literal_column("0"),
        func.count(),
    )
    .where(current_reports.c.report_id.is_not(None))
    .group_by(current_reports.c.account_id)
)
_TRUE_BLOCKS: Final = tuple(
    select(
        _r.account_id,
        literal(shift, Integer),
        _stretch(_r.id, shift),
        func.count(),
        func.min(_r.created_at),
        func.max(_r.created_at),
        func.min(_r.updated_at),
        func.max(_r.updated_at),
    ).group_by(_r.account_id, _stretch(_r.id, shift))
    for shift in BLOCK_SHIFTS
)
_EMPTY: Final = tuple(
    Statement(delete(table)) for table in (report_counts, report_blocks, report_terms)
)
_FILL: Final = tuple(
    Statement(plain_insert(table).from_select([column.name for column in table.columns], truth))
    for table, truths in (
        (report_counts, [truth for _, truth in _TRUE_COUNTS]),
        (report_blocks, _TRUE_BLOCKS),
    )
    for truth in truths
)
_t: Final = report_terms.c
_TRUE_TERM_COUNTS: Final = select(
    _t.account_id, literal(Dimension.TERM, Integer), _t.term, func.count()
).group_by(_t.account_id, _t.term)
_FILL_TERM_COUNTS: Final = Statement(
    plain_insert(report_counts).from_select(
        [column.name for column in report_counts.columns], _TRUE_TERM_COUNTS
    )
)
_FILL_CURRENT: Final = Statement(
    plain_insert(report_counts).from_select(
        [column.name for column in report_counts.columns], _TRUE_CURRENT
    )
)


def _some(selection: Selection[Any]) -> Statement:
    """The next records in the order of account and id, after the last one that was read."""
    table = selection.table
    return Statement(
        select(table.c.account_id, *selection.columns)
        .where(
            tuple_(table.c.account_id, table.c.id)
            > tuple_(bindparam("account", type_=BigInteger), bindparam("last_id", type_=BigInteger))
        )
        .order_by(table.c.account_id, table.c.id)
        .limit(literal_column(str(_AT_ONCE // 10)))
    )


_SOME_FOUND: Final = tuple((one, _some(one)) for one in (REPORTS, WORKSPACES, USERS, GROUPS))
_SOME_TALLIED: Final = tuple(
    (kind, SELECTIONS[kind], _some(SELECTIONS[kind]))
    for kind in tallies.TALLIES
    if kind is not Kind.USERS
)
_TALLIED_USERS: Final = Statement(
    select(users.c.account_id, users.c.id, users.c.disabled, users.c.created_at, users.c.updated_at)
)
_GROUPED: Final = Statement(
    select(
        group_workspaces.c.account_id, group_workspaces.c.group_id, group_workspaces.c.workspace_id
    )
)
_x: Final = external_references.c
# The next references in the order of account, report and service, after the last one read.
_SOME_REFERENCES: Final = Statement(
    select(
        _x.account_id, _x.subject_id, _x.service_name, *(_x[name] for name in REFERENCE_ATTRIBUTES)
    )
    .where(
        _x.subject_type == SubjectType.STATUS_REPORT,
        tuple_(_x.account_id, _x.subject_id, _x.service_name)
        > tuple_(
            bindparam("account", type_=BigInteger),
            bindparam("report", type_=BigInteger),
            bindparam("service", type_=Text),
        ),
    )
    .order_by(_x.account_id, _x.subject_id, _x.service_name)
    .limit(literal_column(str(_AT_ONCE)))
)
_ARE_CURRENT: Final = Statement(
    select(current_reports.c.report_id).where(among(current_reports.c.report_id, "ids"))
)
_SOME_TERMS: Final = Statement(
    select(_t.account_id, _t.term, _t.report_id)
    .where(
        tuple_(_t.account_id, _t.term, _t.report_id)
        > tuple_(*(bindparam(name, type_=BigInteger) for name in ("account", "of_term", "report")))
    )
    .order_by(_t.account_id, _t.term, _t.report_id)
    .limit(literal_column(str(_AT_ONCE)))
)


def rebuild(tx: Transaction) -> None:
    """Rebuild all stored counts, current reports and words. Nobody may write at the same time."""
    current.rebuild(tx)
    _recount(tx)
    tx.rows(words.EMPTY, {})
    for some in true_words(tx):
        words.put(tx, some)


def _recount(tx: Transaction) -> None:
    for statement in (*_EMPTY, *_FILL):
        tx.rows(statement, {})
    for some in _true_terms(tx):
        tx.run_each(
            ADD_TERM,
            [
                {"account_id": account, "term": one, "report_id": report}
                for account, one, report in sorted(some)
            ],
        )
    tx.rows(_FILL_TERM_COUNTS, {})
    tx.rows(_FILL_CURRENT, {})
    tallies.put(tx, _Tallying().all_of(tx))


def _nobody(_what: str) -> None:
    """Ignore the name of the part that is checked next."""


def differences(tx: Transaction, say: Callable[[str], object] = _nobody) -> list[str]:
    """The differences between stored and true values, one line each; empty if there are none.

    `say` is called with the name of each part before it is checked.
    """
    found: list[str] = []
    for what, look in _LOOKS.items():
        say(what)
        found += look(tx)
    return found


def _wrong_counts(tx: Transaction) -> Iterator[str]:
    # One dimension at a time: all of them together have millions of counts.
    for truths, kept in _COUNTED:
        true = {row[:3]: row[3] for truth in truths for row in tx.rows(truth, {})}
        yield from _unlike(true, _kept_counts(tx, kept))
    tallied = {key: number for key, number in _Tallying().all_of(tx).items() if number}
    yield from _unlike(tallied, _kept_counts(tx, _KEPT_TALLIES))


def _kept_counts(tx: Transaction, statement: Statement) -> dict[Row, int]:
    return {row[:3]: row[3] for row in tx.rows(statement, {}) if row[3]}


_ALL_TRUTHS: Final[tuple[_Truth, ...]] = (
    *_TRUE_COUNTS,
    (Dimension.TERM, _TRUE_TERM_COUNTS),
    (Dimension.CURRENT, _TRUE_CURRENT),
)
_OF_REPORTS: Final = sorted({dimension for dimension, _ in _ALL_TRUTHS})
# For each dimension of reports: the statements for the true counts, and for the stored ones.
_COUNTED: Final = tuple(
    (
        tuple(Statement(truth) for of, truth in _ALL_TRUTHS if of is dimension),
        Statement(
            select(report_counts).where(
                report_counts.c.dimension == literal_column(str(int(dimension)))
            )
        ),
    )
    for dimension in _OF_REPORTS
)
_LISTED: Final = ", ".join(str(int(one)) for one in _OF_REPORTS)
_KEPT_TALLIES: Final = Statement(
    select(report_counts).where(literal_column(f"dimension NOT IN ({_LISTED})", Boolean))
)


def _unlike(true: Mapping[Any, int], kept: Mapping[Any, int]) -> Iterator[str]:
    for key in sorted(true.keys() | kept.keys()):
        if true.get(key) != kept.get(key):
            yield f"report_counts {key}: {kept.get(key, 0)} counted, {true.get(key, 0)} expected"


def _wrong_blocks(tx: Transaction) -> Iterator[str]:
    kept = {row[:3]: row[3:] for row in tx.rows(Statement(select(report_blocks)), {}) if row[3]}
    for truth in _TRUE_BLOCKS:
        for row in tx.rows(Statement(truth), {}):
            reports, *bounds = kept.pop(row[:3], (0, 0, 0, 0, 0))
            lie_within = all(
                outer_from <= inner_from and inner_to <= outer_to
                for outer_from, outer_to, inner_from, inner_to in (
                    (*bounds[:2], *row[4:6]),
                    (*bounds[2:], *row[6:]),
                )
            )
            if reports != row[3] or not lie_within:
                yield f"report_blocks {row[:3]}: {reports}, {bounds} stored, {row[3:]} expected"
    for key, values in kept.items():
        yield f"report_blocks {key}: {values} stored, nothing expected"


def _wrong_terms(tx: Transaction) -> Iterator[str]:
    # The sum of the hashes does not depend on the order, so that two lists of millions of terms
    # need not be in memory.
    true, kept = _gist(_true_terms(tx)), _gist(_kept_terms(tx))
    if true != kept:
        yield f"report_terms: {kept[0]} stored, {true[0]} expected, or different ones"


def _wrong_versions(tx: Transaction) -> Iterator[str]:
    """Versions and deleted reports that contradict each other or the reports (8.3, 8.4)."""
    for says, statement in _WRONG_VERSIONS.items():
        for account_id, report_id in tx.rows(statement, {}):
            yield f"report {report_id} of account {account_id}: {says}"


def _wrong_ones(*conditions: ColumnElement[bool]) -> Select[Any]:
    pair = (report_versions.c.account_id, report_versions.c.report_id)
    return select(*pair).where(*conditions).distinct().limit(_MOST_SAID)


def _of_version(table: Table) -> ColumnElement[bool]:
    return exists().where(
        table.c.account_id == report_versions.c.account_id,
        table.c.id == report_versions.c.report_id,
    )


_MOST_SAID: Final = 20
_later: Final = report_versions.alias("later")
_IS_LAST: Final = ~exists().where(
    _later.c.account_id == report_versions.c.account_id,
    _later.c.report_id == report_versions.c.report_id,
    _later.c.number > report_versions.c.number,
)
_CONTENTS: Final = (
    "color",
    "description",
    *(column for one in Category for column in (color_column(one), description_column(one))),
)
_WRONG: Final[dict[str, Select[Any]]] = {
    "its last version differs from it": _wrong_ones(
        _IS_LAST,
        exists().where(
            status_reports.c.account_id == report_versions.c.account_id,
            status_reports.c.id == report_versions.c.report_id,
            or_(
                *(
                    status_reports.c[name].is_distinct_from(report_versions.c[name])
                    for name in _CONTENTS
                )
            ),
        ),
    ),
    "a version is missing": _wrong_ones(
        report_versions.c.number > literal_column("1"),
        ~exists().where(
            _later.c.account_id == report_versions.c.account_id,
            _later.c.report_id == report_versions.c.report_id,
            _later.c.number == report_versions.c.number - literal_column("1"),
        ),
    ),
    "it does not exist, but its versions do": _wrong_ones(
        ~_of_version(status_reports), ~_of_version(deleted_reports)
    ),
    "it is among the reports and among the deleted ones": (
        select(deleted_reports.c.account_id, deleted_reports.c.id)
        .where(
            exists().where(
                status_reports.c.account_id == deleted_reports.c.account_id,
                status_reports.c.id == deleted_reports.c.id,
            )
        )
        .limit(_MOST_SAID)
    ),
}
_WRONG_VERSIONS: Final = {says: Statement(one) for says, one in _WRONG.items()}


class _Tallying:
    """Counts all records other than status reports, from the records themselves."""

    def __init__(self) -> None:
        self.counts: tallies.Counts = Counter()
        self._archived: dict[int, int] = {}
        self._disabled: dict[int, int] = {}
        self._terms: dict[tuple[int, int], set[int]] = {}

    def all_of(self, tx: Transaction) -> tallies.Counts:
        """The true counts of all accounts."""
        for account_id, user_id, *counted in tx.rows(_TALLIED_USERS, {}):
            self._disabled[user_id] = counted[0]
            one = tallies.CountedUser(*counted)
            tallies.count_in(self.counts, account_id, Kind.USERS, one, 1)
        for kind, selection, statement in _SOME_TALLIED:
            for some in _in_parts(tx, selection, statement):
                for record in some:
                    tallies.count_in(self.counts, record.account_id, kind, record, 1)
                    self._beside(record)
        for account_id, group_id, workspace_id in tx.rows(_GROUPED, {}):
            self._of_workspace(account_id, workspace_id).add(tallies.group_term(group_id))
        for (account_id, workspace_id), terms in self._terms.items():
            dimension = tallies.TERMS[self._archived[workspace_id]]
            for each in terms:
                self.counts[account_id, dimension, each] += 1
        return self.counts

    def _beside(self, record: Record) -> None:
        """Note what a record adds to the counts of related records."""
        match record:
            case Workspace():
                self._archived[record.id] = int(record.archived)
            case Participation():
                terms = self._of_workspace(record.account_id, record.workspace_id)
                terms.update(tallies.place_terms(record))
                dimension = tallies.TERMS[self._disabled[record.user_id]]
                member = tallies.member_term(record.workspace_id)
                self.counts[record.account_id, dimension, member] += 1
            case ExternalReference(subject_type=SubjectType.WORKSPACE):
                terms = self._of_workspace(record.account_id, record.subject_id)
                terms.update(tallies.workspace_terms([record]))

    def _of_workspace(self, account_id: int, workspace_id: int) -> set[int]:
        return self._terms.setdefault((account_id, workspace_id), set())


def _in_parts(
    tx: Transaction, selection: Selection[Record], statement: Statement
) -> Iterator[list[Record]]:
    """All records of a kind, in batches."""
    last: tuple[int, int] = (0, -1)
    while rows := tx.rows(statement, dict(zip(("account", "last_id"), last, strict=True))):
        records = [selection.read(row[1:]) for row in rows]
        yield records
        last = (rows[-1][0], records[-1].id)


def true_words(tx: Transaction) -> Iterator[list[words.Entry]]:
    """The words of every record, in batches."""
    for selection, statement in _SOME_FOUND:
        for records in _in_parts(tx, selection, statement):
            current_ids = _current_ids(tx, records) if selection is REPORTS else set()
            yield [entry for one in records for entry in _entries(one, current_ids)]


def _current_ids(tx: Transaction, reports: Sequence[Record]) -> set[int]:
    ids = tuple(one.id for one in reports)
    return {row[0] for row in tx.rows(_ARE_CURRENT, {"ids": ids})}


def _entries(record: Record, current_ids: set[int]) -> list[words.Entry]:
    match record:
        case StatusReport():
            found = [words.of_report(record)]
            if record.id in current_ids:
                found.append(words.of_report(record, words.WordsIn.CURRENT))
            return found
        case Workspace():
            return words.of_workspace(record)
        case User():
            return words.of_user(record)
        case WorkspaceGroup():
            return words.of_group(record)
    return []


def _wrong_words(tx: Transaction) -> Iterator[str]:
    kept, true = words.gist(tx), words.gist_of(true_words(tx))
    if kept != true:
        yield f"search_words: {kept[0]} stored, {true[0]} expected, or different ones"


def _gist(parts: Iterable[Collection[Row]]) -> tuple[int, int]:
    number = total = 0
    for part in parts:
        number += len(part)
        total += sum(map(hash, part))
    return number, total


def _true_terms(tx: Transaction) -> Iterator[set[tuple[int, int, int]]]:
    """(account, term, report) of every reference, in batches, each once."""
    last: tuple[int, int, str] = (0, 0, "")
    before: set[tuple[int, int, int]] = set()
    while rows := tx.rows(
        _SOME_REFERENCES, dict(zip(("account", "report", "service"), last, strict=True))
    ):
        some = {
            (account, one, report)
            for account, report, _, *values in rows
            for one in terms_of_values(values)
        }
        yield some - before
        last = rows[-1][:3]
        # The references of one report may be spread over two batches or more.
        before = {one for one in some | before if (one[0], one[2]) == last[:2]}


def _kept_terms(tx: Transaction) -> Iterator[list[Row]]:
    last: Row = (0, -1, 0)
    while rows := tx.rows(
        _SOME_TERMS, dict(zip(("account", "of_term", "report"), last, strict=True))
    ):
        yield rows
        last = rows[-1]


_LOOKS: Final[Mapping[str, Callable[[Transaction], Iterable[str]]]] = {
    "what is counted": _wrong_counts,
    "where reports lie": _wrong_blocks,
    "external references": _wrong_terms,
    "words": _wrong_words,
    "current reports": current.differences,
    "versions and deleted reports": _wrong_versions,
}
