"""Stored counts of the records of an account, of every kind except status reports.

`counters` has those of status reports. Each record is in one of two classes. A list shows one class
by default and the other on request (archived workspaces, disabled people), or it shows only one of
them (references of reports, of workspaces). Within its class, a record is counted by terms, which
are numbers that stand for an attribute with a value, and by the periods of its times. The counts
are updated in the transaction of each change.
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

# The dimension of terms for each class. `time_dimension` computes the dimensions of times.
TERMS: Final = (20, 21)
_FIRST_OF_TIMES: Final = 100
_MOST_TIMES: Final = 4
CLASSES: Final = (0, 1)
# The name of the term that every record has.
ALL: Final = ""
_EPOCH: Final = date(1970, 1, 1)


class Marks(NamedTuple):
    """What a record is counted by: its class, its terms, and its times by column name."""

    of_class: int
    terms: Collection[int]
    times: Mapping[str, int | None]


class Tally(NamedTuple):
    """How a kind is counted: the columns of its times, and a function for the `Marks` of a record.

    `number` and the order of `times` determine the dimensions of the times.
    """

    kind: Kind
    number: int
    times: tuple[str, ...]
    marks: Callable[[Any], Marks]


def term_of(kind: Kind, name: str, value: object = "") -> int:
    """The number that stands for this value of the attribute `name` of a kind."""
    return term(f"{kind}.{name}", str(value))


def moment_of(day: str | None) -> int | None:
    """The instant at which a calendar date begins, in UTC."""
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
    """The attributes that a user is counted by; the model does not have all of them."""

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


# `service_model_ref` is not counted: few records have the same one, so these are read instead.
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
    """The dimension of the periods of a time in a class; `width` is 0 (narrow) or 1 (wide)."""
    place = tally.number * _MOST_TIMES + tally.times.index(column)
    return _FIRST_OF_TIMES + (place * len(CLASSES) + of_class) * len(TIME_SHIFTS) + width


Counts = Counter[tuple[int, int, int]]


def count_in(counts: Counts, account_id: int, kind: Kind, one: object, sign: int) -> None:
    """Add `sign` (1 or -1) to all counts of a record; the keys are account, dimension, bucket."""
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
    """The terms that a workspace has because of these references."""
    kind = Kind.WORKSPACES
    found = {
        term_of(kind, f"external_reference_{name}", value)
        for one in references
        for name in COUNTED_ATTRIBUTES
        if (value := getattr(one, name)) is not None
    }
    return frozenset(found | {term_of(kind, "referred")} if found else found)


def place_terms(place: Participation) -> list[int]:
    """The terms that a workspace has because of one of its participations."""
    found = [term_of(Kind.WORKSPACES, "participant", place.user_id)]
    if place.side is Side.PROVIDER and place.team_lead:
        found.append(term_of(Kind.WORKSPACES, "provider_lead", place.user_id))
    return found


def group_term(group_id: int) -> int:
    """The term that a workspace has because it is in a group."""
    return term_of(Kind.WORKSPACES, "workspace_groups", group_id)


def member_term(workspace_id: int) -> int:
    """The term that a user has because of participating in a workspace."""
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
    """Subtract the records `gone` from the counts and add the records `come`.

    A changed record is in both: as it was before in `gone`, and as it is now in `come`.
    This may be deferred to the end of the transaction.
    """
    tx.put_off(_NOTING, _RecordsChange(account_id, kind, gone, come))


def note_terms(
    tx: Transaction,
    account_id: int,
    of_class: int,
    *,
    gone: Collection[int] = (),
    come: Collection[int] = (),
) -> None:
    """Subtract the terms `gone` from the counts of a class and add the terms `come`.

    A record has these terms because of associated records. This may be deferred to the end of the
    transaction.
    """
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
    """Add `counts` to the stored counts."""
    put_rows(tx, counts_statement, list(_rows(counts)))


def _rows(counts: Counts) -> Iterator[dict[str, int]]:
    for key, number in sorted(counts.items()):
        if number:
            yield dict(zip(COUNT_COLUMNS, (*key, number), strict=True))


_NOTING: Final = Later(_note, frozenset({report_counts.name}))
