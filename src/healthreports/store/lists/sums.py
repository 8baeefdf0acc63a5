"""Counts the records of a list of any kind except status reports, from the counts of `tallies`.

This serves callers who see the whole account and use at most one filter in addition to those that
choose a class. All other lists are counted by reading the records. Contract: 2.2.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, bindparam, func, literal_column, select

from healthreports.core.vocabulary import DAY_US, Kind, SubjectType
from healthreports.store.engine.database import Transaction
from healthreports.store.engine.statement import Statement, Values, among
from healthreports.store.lists.counters import TIME_SHIFTS
from healthreports.store.lists.selections import SELECTIONS, Condition, in_account
from healthreports.store.lists.tallies import (
    ALL,
    CLASS_OF,
    CLASSES,
    COUNTED_ATTRIBUTES,
    TALLIES,
    TERMS,
    moment_of,
    term_of,
    time_dimension,
)
from healthreports.store.schema.tables import (
    account_memberships,
    external_references,
    report_counts,
    users,
    workspaces,
)

_BOTH: Final = frozenset(CLASSES)
# The classes of the records that match a filter; `tallies` defines the classes.
_CLASSES: Final[Mapping[tuple[Kind, str], frozenset[int]]] = {
    (Kind.WORKSPACES, "include_archived=false"): frozenset({0}),
    (Kind.WORKSPACES, "archived=exclude"): frozenset({0}),
    (Kind.WORKSPACES, "archived=only"): frozenset({1}),
    (Kind.WORKSPACES, "archived=include"): _BOTH,
    (Kind.WORKSPACES, "on_my_account=true"): _BOTH,
    (Kind.USERS, "on_my_account=true"): _BOTH,
    (Kind.USERS, "show_disabled=false"): frozenset({0}),
    (Kind.ACCOUNT_MEMBERSHIPS, "only_active=true"): frozenset({0}),
    (Kind.ACCOUNT_MEMBERSHIPS, "only_inactive=true"): frozenset({1}),
}
# The conditions that the records of class 0 and of class 1 meet.
_OF_CLASS: Final[Mapping[Kind, tuple[Condition, Condition]]] = {
    Kind.WORKSPACES: (
        workspaces.c.archived == literal_column("0"),
        workspaces.c.archived == literal_column("1"),
    ),
    Kind.USERS: (users.c.disabled == literal_column("0"), users.c.disabled == literal_column("1")),
    Kind.ACCOUNT_MEMBERSHIPS: (
        account_memberships.c.disabled_at.is_(None),
        account_memberships.c.disabled_at.is_not(None),
    ),
    Kind.EXTERNAL_REFERENCES: (
        external_references.c.subject_type == SubjectType.STATUS_REPORT,
        external_references.c.subject_type == SubjectType.WORKSPACE,
    ),
}


class _Counted(NamedTuple):
    """A filter that the records with a term of `name` match, or those `without` that term.

    `has_value` says that the value of the filter is part of the term. `several` says that a record
    has at most one value of `name`, so the counts of several values may be added up.
    """

    name: str
    has_value: bool = True
    without: bool = False
    several: bool = False


_COUNTED: Final[Mapping[tuple[Kind, str], _Counted]] = {
    (Kind.WORKSPACES, "creator"): _Counted("creator", several=True),
    (Kind.WORKSPACES, "provider_lead"): _Counted("provider_lead", several=True),
    (Kind.WORKSPACES, "workspace_groups"): _Counted("workspace_groups"),
    (Kind.WORKSPACES, "has_participant"): _Counted("participant"),
    (Kind.WORKSPACES, "user_not_participating"): _Counted("participant", without=True),
    (Kind.WORKSPACES, "has_participation=true"): _Counted("participant"),
    (Kind.WORKSPACES, "has_participation=false"): _Counted("participant", without=True),
    (Kind.WORKSPACES, "has_external_references=true"): _Counted("referred", has_value=False),
    (Kind.WORKSPACES, "has_external_references=false"): _Counted(
        "referred", has_value=False, without=True
    ),
    (Kind.WORKSPACES, "without_external_reference_service_name"): _Counted(
        "external_reference_service_name", without=True
    ),
    **{
        (Kind.WORKSPACES, f"external_reference_{name}"): _Counted(f"external_reference_{name}")
        for name in COUNTED_ATTRIBUTES
    },
    (Kind.USERS, "participant_in"): _Counted("participant_in"),
    (Kind.USERS, "not_participant_in"): _Counted("participant_in", without=True),
    (Kind.PARTICIPATIONS, "workspace_id"): _Counted("workspace_id", several=True),
    (Kind.PARTICIPATIONS, "by_user"): _Counted("user_id", several=True),
    (Kind.PARTICIPATIONS, "user_id"): _Counted("user_id", several=True),
    (Kind.PARTICIPATIONS, "mavens_only=true"): _Counted("mavens_only", has_value=False),
    (Kind.WORKSPACE_GROUPS, "companies_only=true"): _Counted("companies_only", has_value=False),
    **{(Kind.EXTERNAL_REFERENCES, name): _Counted(name) for name in COUNTED_ATTRIBUTES},
}
# Filters that exclude some ids: the number of excluded records is subtracted from all.
_LEAVING_OUT: Final = {"except": "except", "without_users": "without_users"}
_c: Final = report_counts.c
_SUM: Final = Statement(
    select(func.coalesce(func.sum(_c.reports), literal_column("0"))).where(
        in_account(report_counts),
        among(_c.dimension, "dimensions"),
        among(_c.bucket, "buckets"),
    )
)
_SUM_UP_TO: Final = Statement(
    select(func.coalesce(func.sum(_c.reports), literal_column("0"))).where(
        in_account(report_counts),
        among(_c.dimension, "dimensions"),
        _c.bucket >= bindparam("first"),
        _c.bucket < bindparam("end"),
    )
)
_FIRST, _LAST = -(2**62), 2**62


def matching(tx: Transaction, kind: Kind, names: tuple[str, ...], values: Values) -> int | None:
    """How many records of an account match the filters `names`; None if that is not stored."""
    classes, rest = _classes(kind, names, values)
    if not classes:
        return 0
    if not rest:
        return _with_terms(tx, classes, values, [term_of(kind, ALL)])
    columns = {_column(kind, name) for name in rest}
    if len(columns) == 1 and None not in columns:
        [column] = columns
        assert column is not None
        return _in_time(tx, kind, classes, values, column)
    return _of_one(tx, kind, classes, values, rest[0]) if len(rest) == 1 else None


def total(tx: Transaction, kind: Kind, names: tuple[str, ...], values: Values) -> int:
    """The number of records of the classes that the filters `names` choose."""
    classes, _ = _classes(kind, names, values)
    return _with_terms(tx, classes, values, [term_of(kind, ALL)]) if classes else 0


def _classes(
    kind: Kind, names: tuple[str, ...], values: Values
) -> tuple[frozenset[int], list[str]]:
    """The classes that the filters choose, and the filters that do not choose a class."""
    classes, rest = _BOTH, []
    for name in names:
        if (kind, name) in _CLASSES:
            classes &= _CLASSES[kind, name]
        elif kind is Kind.EXTERNAL_REFERENCES and name == "subject_type":
            known = {str(one): number for one, number in CLASS_OF.items()}
            found = known.get(str(values[name]))
            classes &= frozenset() if found is None else {found}
        else:
            rest.append(name)
    return classes, rest


def _of_one(
    tx: Transaction, kind: Kind, classes: frozenset[int], values: Values, name: str
) -> int | None:
    if name in _LEAVING_OUT:
        return _with_terms(tx, classes, values, [term_of(kind, ALL)]) - _there(
            tx, kind, classes, values, name
        )
    counted = _COUNTED.get((kind, name))
    if counted is None:
        return None
    wanted = _wanted(counted, name, values)
    if len(wanted) > 1 and not counted.several:
        return None
    found = _with_terms(tx, classes, values, [term_of(kind, counted.name, one) for one in wanted])
    if not counted.without:
        return found
    return _with_terms(tx, classes, values, [term_of(kind, ALL)]) - found


def _wanted(counted: _Counted, name: str, values: Values) -> tuple[object, ...]:
    if not counted.has_value:
        return ("",)
    if name.startswith("has_participation"):
        return (values["caller"],)
    value = values[name]
    return value if isinstance(value, tuple) else (value,)


def _with_terms(tx: Transaction, classes: frozenset[int], values: Values, terms: list[int]) -> int:
    """How many records of these classes have the terms, added up over the terms."""
    dimensions = tuple(TERMS[one] for one in sorted(classes))
    asked = {**values, "dimensions": dimensions, "buckets": tuple(terms)}
    [[found]] = tx.rows(_SUM, asked)
    return int(found)


def _there(tx: Transaction, kind: Kind, classes: frozenset[int], values: Values, name: str) -> int:
    """How many of the ids that a filter excludes exist in the account."""
    [[found]] = tx.rows(_among_statement(kind, classes, name), values)
    return int(found)


@lru_cache
def _among_statement(kind: Kind, classes: frozenset[int], name: str) -> Statement:
    table = SELECTIONS[kind].table
    return Statement(
        select(func.count()).where(
            in_account(table), among(table.c.id, name), *_in_classes(kind, classes)
        )
    )


def _in_classes(kind: Kind, classes: frozenset[int]) -> list[Condition]:
    if classes == _BOTH or kind not in _OF_CLASS:
        return []
    return [_OF_CLASS[kind][one] for one in classes]


def _column(kind: Kind, name: str) -> str | None:
    """The column of a filter on a time; None if it is another filter or is not counted."""
    what, _, side = name.rpartition("_")
    if side not in ("after", "before"):
        return None
    column = what if what.endswith("_date") else f"{what}_at"
    return column if column in TALLIES[kind].times else None


def _in_time(
    tx: Transaction, kind: Kind, classes: frozenset[int], values: Values, column: str
) -> int:
    """How many records have a time strictly after and before the times of the filters."""
    is_date = column.endswith("_date")
    name = column if is_date else column.removesuffix("_at")
    after, before = (values.get(f"{name}_{side}") for side in ("after", "before"))
    if is_date:
        after, before = moment_of(after), moment_of(before)
    earlier = _Earlier(tx, kind, classes, values, column, is_date=is_date)
    until = earlier.than(None if before is None else before)
    return max(until - (0 if after is None else earlier.than(after + 1)), 0)


class _Earlier:
    """Counts the records with a time before a given moment."""

    def __init__(
        self,
        tx: Transaction,
        kind: Kind,
        classes: frozenset[int],
        values: Values,
        column: str,
        *,
        is_date: bool,
    ) -> None:
        self._tx = tx
        self._kind = kind
        self._classes = classes
        self._values = values
        self._column = column
        self._is_date = is_date

    def than(self, moment: int | None) -> int:
        """The number of records with a time before `moment`; if None, with any time."""
        narrow, wide = TIME_SHIFTS
        if moment is None:
            return self._stretches(1, _FIRST, _LAST)
        first = (moment >> wide) << (wide - narrow)
        found = self._stretches(1, _FIRST, moment >> wide)
        found += self._stretches(0, first, moment >> narrow)
        return found + self._within(moment)

    def _stretches(self, width: int, first: int, end: int) -> int:
        tally = TALLIES[self._kind]
        dimensions = tuple(
            time_dimension(tally, self._column, one, width) for one in sorted(self._classes)
        )
        asked = {**self._values, "dimensions": dimensions, "first": first, "end": end}
        [[found]] = self._tx.rows(_SUM_UP_TO, asked)
        return int(found)

    def _within(self, moment: int) -> int:
        """The number of records before `moment` in the last period, of which only a part counts.

        They are counted by reading them. Dates need no reading: no two days begin in one period.
        """
        if self._is_date:
            return int(self._on_day(moment))
        edge = (moment >> TIME_SHIFTS[0]) << TIME_SHIFTS[0]
        statement = _within_statement(self._kind, self._classes, self._column)
        [[found]] = self._tx.rows(statement, {**self._values, "edge": edge, "moment": moment})
        return int(found)

    def _on_day(self, moment: int) -> int:
        """The number of records of the day that begins in the period, if it is before `moment`."""
        narrow = TIME_SHIFTS[0]
        edge = (moment >> narrow) << narrow
        day = -(-edge // DAY_US) * DAY_US
        if day >= moment:
            return 0
        tally = TALLIES[self._kind]
        dimensions = tuple(
            time_dimension(tally, self._column, one, 0) for one in sorted(self._classes)
        )
        asked = {**self._values, "dimensions": dimensions, "buckets": (day >> narrow,)}
        [[found]] = self._tx.rows(_SUM, asked)
        return int(found)


@lru_cache
def _within_statement(kind: Kind, classes: frozenset[int], name: str) -> Statement:
    table = SELECTIONS[kind].table
    column: ColumnElement[Any] = table.c[name]
    return Statement(
        select(func.count())
        .select_from(table)
        .where(
            in_account(table),
            column >= bindparam("edge"),
            column < bindparam("moment"),
            *_in_classes(kind, classes),
        )
    )
