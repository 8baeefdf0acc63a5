"""How many records of each kind an account has, by what its lists are filtered by.

`counters` does this for status reports, with more; here are the kinds around them. Each record is
in one of two classes: a list shows one by default, and the other too where it is asked for
(archived workspaces, disabled people), or only one of them (references of reports, of workspaces).
In its class a record is counted by terms, which are numbers that stand for an attribute with a
value, and by stretches of its times. All is kept in the transaction of each change.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Final, NamedTuple

from healthreports.core.model import (
    AccountMembership,
    ExternalReference,
    Participation,
    Record,
    Workspace,
    WorkspaceGroup,
)
from healthreports.core.vocabulary import (
    DAY_US,
    REFERENCE_ATTRIBUTES,
    Kind,
    Side,
    SubjectType,
)
from healthreports.store.engine.database import Later, Transaction
from healthreports.store.lists.counters import (
    COUNT_COLUMNS,
    TIME_SHIFTS,
    counts_statement,
    put_rows,
    term,
)
from healthreports.store.schema.tables import report_counts

# The dimensions of terms, by class; those of times follow from the kind, the column and the class.
TERMS: Final = (20, 21)
_FIRST_OF_TIMES: Final = 100
_MOST_TIMES: Final = 4
CLASSES: Final = (0, 1)
# What every record has.
ALL: Final = ""
_EPOCH: Final = date(1970, 1, 1)


class Marks(NamedTuple):
    """What a record is counted by: its class, its terms, its times by the name of their column."""

    of_class: int
    terms: Collection[int]
    times: Mapping[str, int | None]


class Tally(NamedTuple):
    """How a kind is counted: the columns of its times, in their order, and what a record is."""

    kind: Kind
    number: int
    times: tuple[str, ...]
    marks: Callable[[Any], Marks]


def term_of(kind: Kind, name: str, value: object = "") -> int:
    """The number that stands for records of a kind with this value of `name`."""
    return term(f"{kind}.{name}", str(value))


def moment_of(day: str | None) -> int | None:
    """A calendar date as the instant it begins at."""
    return None if day is None else (date.fromisoformat(day) - _EPOCH).days * DAY_US


def _workspace(one: Workspace) -> Marks:
    times = {
        "created_at": one.created_at,
        "updated_at": one.updated_at,
        "start_date": moment_of(one.start_date),
        "due_date": moment_of(one.due_date),
    }
    return Marks(int(one.archived), [term_of(Kind.WORKSPACES, "creator", one.creator_id)], times)


class CountedUser(NamedTuple):
    """What a user is counted by, which is not all in the model."""

    disabled: int
    created_at: int
    updated_at: int


def _user(one: CountedUser) -> Marks:
    times = {"created_at": one.created_at, "updated_at": one.updated_at}
    return Marks(one.disabled, (), times)


def _membership(one: AccountMembership) -> Marks:
    times = {"created_at": one.created_at, "updated_at": one.updated_at}
    return Marks(int(one.disabled_at is not None), (), times)


def _participation(one: Participation) -> Marks:
    kind = Kind.PARTICIPATIONS
    terms = [
        term_of(kind, "workspace_id", one.workspace_id),
        term_of(kind, "user_id", one.user_id),
        *([term_of(kind, "mavens_only")] if one.side is Side.PROVIDER else []),
    ]
    return Marks(0, terms, {"created_at": one.created_at, "updated_at": one.updated_at})


def _group(one: WorkspaceGroup) -> Marks:
    terms = [term_of(Kind.WORKSPACE_GROUPS, "companies_only")] if one.company else []
    return Marks(0, terms, {"created_at": one.created_at, "updated_at": one.updated_at})


# Few records have the same ref: those are looked at.
COUNTED_ATTRIBUTES: Final = tuple(
    name for name in REFERENCE_ATTRIBUTES if name != "service_model_ref"
)
CLASS_OF: Final = {SubjectType.STATUS_REPORT: 0, SubjectType.WORKSPACE: 1}


def _reference(one: ExternalReference) -> Marks:
    values = {name: getattr(one, name) for name in COUNTED_ATTRIBUTES}
    terms = [
        term_of(Kind.EXTERNAL_REFERENCES, name, value)
        for name, value in values.items()
        if value is not None
    ]
    times = {
        "created_at": one.created_at,
        "updated_at": one.updated_at,
        "last_synced_at": one.last_synced_at,
    }
    return Marks(CLASS_OF[one.subject_type], terms, times)


_TWO: Final = ("created_at", "updated_at")
TALLIES: Final = {
    one.kind: one
    for one in (
        Tally(Kind.WORKSPACES, 0, (*_TWO, "start_date", "due_date"), _workspace),
        Tally(Kind.USERS, 1, _TWO, _user),
        Tally(Kind.ACCOUNT_MEMBERSHIPS, 2, _TWO, _membership),
        Tally(Kind.PARTICIPATIONS, 3, _TWO, _participation),
        Tally(Kind.WORKSPACE_GROUPS, 4, _TWO, _group),
        Tally(Kind.EXTERNAL_REFERENCES, 5, (*_TWO, "last_synced_at"), _reference),
    )
}


def time_dimension(tally: Tally, column: str, of_class: int, width: int) -> int:
    """The dimension of the stretches, of one of the two widths, of a time in a class."""
    place = tally.number * _MOST_TIMES + tally.times.index(column)
    return _FIRST_OF_TIMES + (place * len(CLASSES) + of_class) * len(TIME_SHIFTS) + width


Counts = Counter[tuple[int, int, int]]


def count_in(counts: Counts, account_id: int, kind: Kind, one: object, sign: int) -> None:
    """Count a record in, or out: by account, dimension and bucket."""
    tally = TALLIES[kind]
    marks = tally.marks(one)
    for each in (term_of(kind, ALL), *marks.terms):
        counts[account_id, TERMS[marks.of_class], each] += sign
    for column, moment in marks.times.items():
        if moment is not None:
            for width, shift in enumerate(TIME_SHIFTS):
                dimension = time_dimension(tally, column, marks.of_class, width)
                counts[account_id, dimension, moment >> shift] += sign


def workspace_terms(references: Iterable[ExternalReference]) -> frozenset[int]:
    """The terms of a workspace that has these references."""
    kind = Kind.WORKSPACES
    found = {
        term_of(kind, f"external_reference_{name}", value)
        for one in references
        for name in COUNTED_ATTRIBUTES
        if (value := getattr(one, name)) is not None
    }
    return frozenset(found | {term_of(kind, "referred")} if found else found)


def place_terms(place: Participation) -> list[int]:
    """The terms that a workspace has by one of its participations."""
    found = [term_of(Kind.WORKSPACES, "participant", place.user_id)]
    if place.side is Side.PROVIDER and place.team_lead:
        found.append(term_of(Kind.WORKSPACES, "provider_lead", place.user_id))
    return found


def group_term(group_id: int) -> int:
    """The term of a workspace that is in a group."""
    return term_of(Kind.WORKSPACES, "workspace_groups", group_id)


def member_term(workspace_id: int) -> int:
    """The term of a user who participates in a workspace."""
    return term_of(Kind.USERS, "participant_in", workspace_id)


class _RecordsChange(NamedTuple):
    account_id: int
    kind: Kind
    gone: Sequence[object]
    come: Sequence[object]


class _TermsChange(NamedTuple):
    account_id: int
    of_class: int
    terms: Collection[int]
    sign: int


def note(
    tx: Transaction,
    account_id: int,
    kind: Kind,
    *,
    gone: Sequence[Record | CountedUser] = (),
    come: Sequence[Record | CountedUser] = (),
) -> None:
    """Note that records of an account are there now, and others not; a changed one is both."""
    tx.put_off(_NOTING, _RecordsChange(account_id, kind, gone, come))


def note_terms(
    tx: Transaction,
    account_id: int,
    of_class: int,
    *,
    gone: Collection[int] = (),
    come: Collection[int] = (),
) -> None:
    """Note terms that a record of a class has by what is beside it, or has no longer."""
    for terms, sign in ((gone, -1), (come, 1)):
        if terms:
            tx.put_off(_NOTING, _TermsChange(account_id, of_class, terms, sign))


def _note(tx: Transaction, changes: Iterable[_RecordsChange | _TermsChange]) -> None:
    counts: Counts = Counter()
    for change in changes:
        if isinstance(change, _TermsChange):
            for one in change.terms:
                counts[change.account_id, TERMS[change.of_class], one] += change.sign
            continue
        for records, sign in ((change.gone, -1), (change.come, 1)):
            for record in records:
                count_in(counts, change.account_id, change.kind, record, sign)
    put(tx, counts)


def put(tx: Transaction, counts: Counts) -> None:
    """Add to what is counted."""
    put_rows(tx, counts_statement, list(_rows(counts)))


def _rows(counts: Counts) -> Iterator[dict[str, int]]:
    for key, number in sorted(counts.items()):
        if number:
            yield dict(zip(COUNT_COLUMNS, (*key, number), strict=True))


_NOTING: Final = Later(_note, frozenset({report_counts.name}))
