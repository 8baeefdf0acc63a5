"""Reads the page of records that a query asks for, for every kind of record."""

from collections.abc import Callable
from typing import Any, Final

from healthreports.core.access import Reach
from healthreports.core.errors import TooManyIncluded
from healthreports.core.model import KIND_OF, ExternalReference, R, Record
from healthreports.core.query import Page, Query, Related
from healthreports.core.vocabulary import SUBJECT_KINDS, Kind
from healthreports.store.engine.database import Row, Transaction, Version
from healthreports.store.engine.statement import Values
from healthreports.store.lists import kept, sums
from healthreports.store.lists.plans.choice import choose, choose_after
from healthreports.store.lists.plans.known import rows_with_ids
from healthreports.store.lists.selections import (
    SELECTIONS,
    Beside,
    Direct,
    SubjectOf,
    is_found,
)
from healthreports.store.lists.statements import (
    Rows,
    asked_by_id,
    beside_count_statement,
    beside_statement,
    by_ids_statement,
    count_statement,
    page_statement,
)

# Stands for a missing cache entry: no version has this number.
_UNKNOWN: Final = (-1, None)
# The version for queries by ids, for which nothing is cached.
ANY: Final = Version(0, 0)


def page(tx: Transaction, query: Query, reach: Reach, version: Version = ANY) -> Page:
    """The page of records that `query` asks for, of those within `reach`, with its includes.

    `version` is that of the account in this snapshot: counts are cached until it changes. It is not
    needed if `query` has the ids of the records. Raises TooManyIncluded.
    """
    lasting = query.kind is Kind.STATUS_REPORTS and tx.records is not None
    if query.kind is Kind.STATUS_REPORTS and query.only is None:
        count, records = _reports(tx, query, reach, version)
        return _page(tx, query, reach, version, records, count, lasting=lasting)
    if query.only is not None:
        rows = _named_rows(tx, query, reach)
        count = len(rows)
    else:
        count, rows = _records(tx, query, reach, version)
    records = tuple(map(kept.reader(tx, query.kind), rows))
    return _page(tx, query, reach, version, records, count, lasting=lasting)


def page_of(tx: Transaction, query: Query, reach: Reach, records: tuple[Record, ...]) -> Page:
    """The page of the given `records`, with what `query` includes. Raises TooManyIncluded."""
    return _page(tx, query, reach, ANY, records, len(records))


def _page(  # noqa: PLR0917  a query, and the records of its result
    tx: Transaction,
    query: Query,
    reach: Reach,
    version: Version,
    records: tuple[Record, ...],
    count: int,
    *,
    lasting: bool = False,
) -> Page:
    related: dict[str, Related] = {}
    room = query.include_limit
    for name in query.includes:
        found = related[name] = _related(tx, query, name, records, reach, version, room)
        room -= sum(map(len, found.objects.values()))
    return Page(query.kind, records, count, query.window, related, query.optional_fields, lasting)


def after(
    tx: Transaction, query: Query, reach: Reach, version: Version, *, after_id: int, number: int
) -> tuple[Record, ...]:
    """The first `number` matching status reports, in the order of ids, after `after_id`."""
    plan = choose_after(tx, query, reach, version, after_id=after_id, number=number)
    return kept.marked(tx, reach.account_id, plan.rows(tx), keeps=False)


def by_ids(tx: Transaction, model: type[R], account_id: int, ids: set[int]) -> dict[int, R]:
    """The records of the class `model` in the account that have one of `ids`; by id."""
    found = _by_ids(tx, KIND_OF[model], account_id, ids)
    return {record.id: record for record in found.values() if isinstance(record, model)}


def _by_ids(tx: Transaction, kind: Kind, account_id: int, ids: set[int]) -> dict[int, Record]:
    if not ids:
        return {}
    values = {"ids": tuple(sorted(ids)), "reach_account": account_id}
    rows = tx.rows(by_ids_statement(kind), values)
    return {record.id: record for record in map(SELECTIONS[kind].read, rows)}


def _reports(
    tx: Transaction, query: Query, reach: Reach, version: Version
) -> tuple[int, tuple[Record, ...]]:
    plan, found, _ = choose(tx, query, reach, version)
    if found.matching <= query.window.offset:
        return found.matching, ()
    return found.matching, kept.marked(tx, reach.account_id, plan.rows(tx))


def _records(
    tx: Transaction, query: Query, reach: Reach, version: Version
) -> tuple[int, list[Row]]:
    names, values, narrowed = _asked(query, reach)

    def find() -> int:
        kept = None if narrowed else sums.matching(tx, query.kind, names, values)
        if kept is not None:
            return kept
        [[found]] = tx.rows(count_statement(query.kind, names, narrowed=narrowed), values)
        return int(found)

    key = ("count", query.kind, query.filters, query.caller, reach, version)
    count = tx.remembered(key, find)
    if count <= query.window.offset:
        return count, []
    values["limit"], values["offset"] = query.window.limit, query.window.offset
    finding = _is_scarce(tx, query, names, values, count, narrowed=narrowed)
    statement = page_statement(
        query.kind, names, query.sort, Rows.WINDOW, narrowed=narrowed, finding=finding
    )
    return count, tx.rows(statement, values)


def _is_scarce(
    tx: Transaction,
    query: Query,
    names: tuple[str, ...],
    values: Values,
    count: int,
    *,
    narrowed: bool,
) -> bool:
    """Whether finding and sorting all that match costs less than walking until the page is full.

    For status reports, `plans/choice` has the same rule and gives the reason.
    """
    selection = SELECTIONS[query.kind]
    by_index = (narrowed and selection.reached is not None) or any(
        is_found(name, selection.filters.get(name)) for name in names
    )
    end = query.window.offset + query.window.limit
    return by_index and count**2 < end * sums.total(tx, query.kind, names, values)


def _named_rows(tx: Transaction, query: Query, reach: Reach) -> list[Row]:
    assert query.only is not None
    names, values, narrowed = _asked(query, reach)
    if query.kind is Kind.STATUS_REPORTS and not names:
        return rows_with_ids(tx, query.only, values, query.sort, narrowed=narrowed)
    rows, only = asked_by_id(query.only)
    statement = page_statement(query.kind, names, query.sort, rows, narrowed=narrowed)
    return tx.rows(statement, values | only)


def _asked(query: Query, reach: Reach) -> tuple[tuple[str, ...], dict[str, Any], bool]:
    """The names of the filters, the parameters, and whether the user may not see everything."""
    narrowed = reach.user_id is not None
    values: dict[str, Any] = {"reach_account": reach.account_id, "reach_user": reach.user_id}
    if not query.filters:
        return (), values, narrowed
    selection = SELECTIONS[query.kind]
    values |= {"caller": query.caller, **selection.values(reach.account_id, query.filters)}
    return selection.shapes(query.filters), values, narrowed


def _related(  # noqa: PLR0917  a query, and the room left for its result
    tx: Transaction,
    query: Query,
    name: str,
    records: tuple[Record, ...],
    reach: Reach,
    version: Version,
    room: int,
) -> Related:
    """The records that are associated with `records`.

    Raises TooManyIncluded, before it reads them, if there are more than `room`.
    """
    kind = query.kind
    association = SELECTIONS[kind].associations[name]
    match association:
        case Direct(target, column):
            ids = {getattr(record, column) for record in records} - {None}
            _demand_room(len(ids), room, query, name, target)
            return Related({}, {target: _unchanged(tx, target, reach.account_id, ids, version)})
        case Beside(target) if target is Kind.EXTERNAL_REFERENCES:
            return _references(tx, query, name, records, reach, version, room)
        case Beside(target):
            if not records:
                return Related({}, {target: {}})
            values = {
                "owners": tuple([record.id for record in records]),
                "reach_account": reach.account_id,
                "reach_user": reach.user_id,
                "caller": query.caller,
            }
            narrowed = reach.user_id is not None
            counting = beside_count_statement(kind, name, narrowed=narrowed)
            [[number]] = tx.rows(counting, {**values, "most": room + 1})
            _demand_room(number, room, query, name, target)
            statement = beside_statement(kind, name, narrowed=narrowed)
            return _beside(target, tx.rows(statement, values), kept.reader(tx, target))
        case SubjectOf():
            return _subjects(tx, records, reach)


def _unchanged(
    tx: Transaction, kind: Kind, account_id: int, ids: set[int], version: Version
) -> dict[int, Record]:
    """The records of the account with `ids`, by id; from the cache if they have not changed.

    `version.reshaped` counts every change of a record except a new report and a changed text of a
    report. So a record of another kind that was cached with the same count has not changed.
    """
    if kind is Kind.STATUS_REPORTS or version is ANY:
        return _by_ids(tx, kind, account_id, ids)
    reshaped, known = version.reshaped, tx.counts.get
    then_and_found = {one: known((kind, one), _UNKNOWN) for one in sorted(ids)}
    found = {one: record for one, (then, record) in then_and_found.items() if then == reshaped}
    if len(found) < len(ids):
        for record in _by_ids(tx, kind, account_id, ids - found.keys()).values():
            found[record.id] = record
            tx.counts[kind, record.id] = (reshaped, record)
        # Sorted, so that the order does not depend on what was cached: the same state of the
        # account gives the same response (8.1).
        return {one: found[one] for one in sorted(found)}
    return found


def _references(  # noqa: PLR0917  as for `_related`
    tx: Transaction,
    query: Query,
    name: str,
    records: tuple[Record, ...],
    reach: Reach,
    version: Version,
    room: int,
) -> Related:
    """The external references of `records`, cached as in `_unchanged`.

    A user who sees a record sees its references. Raises TooManyIncluded if more than `room`.
    """
    target = Kind.EXTERNAL_REFERENCES
    found: dict[int, tuple[Record, ...]] = {}
    kind, reshaped, known = query.kind, version.reshaped, tx.counts.get
    if version is not ANY:
        then_and_found = {one.id: known((kind, target, one.id), _UNKNOWN) for one in records}
        found = {one: some for one, (then, some) in then_and_found.items() if then == reshaped}
    if len(found) < len(records):
        owners = tuple([record.id for record in records if record.id not in found])
        values = {"owners": owners, "reach_account": reach.account_id, "most": room + 1}
        [[number]] = tx.rows(beside_count_statement(query.kind, name, narrowed=False), values)
        _demand_room(number, room, query, name, target)
        read = SELECTIONS[target].read
        beside: dict[int, list[Record]] = {one: [] for one in owners}
        for row in tx.rows(beside_statement(query.kind, name, narrowed=False), values):
            beside[row[0]].append(read(row[1:]))
        for owner, some in beside.items():
            found[owner] = tuple(sorted(some, key=lambda one: one.id))
            if version is not ANY:
                tx.counts[kind, target, owner] = (reshaped, found[owner])
    _demand_room(sum(map(len, found.values())), room, query, name, target)
    return Related(
        {owner: [(target, one.id) for one in some] for owner, some in found.items()},
        {target: {one.id: one for record in records for one in found[record.id]}},
    )


def _demand_room(number: int, room: int, query: Query, name: str, target: Kind) -> None:
    if number > room:
        raise TooManyIncluded(name, target, query.include_limit)


def _beside(target: Kind, rows: list[Row], read: Callable[[Row], Record]) -> Related:
    links: dict[int, list[tuple[Kind, int]]] = {}
    objects: dict[int, Record] = {}
    beside = [(read(row[1:]), row[0]) for row in rows]
    for record, owner in sorted(beside, key=lambda one: one[0].id):
        objects[record.id] = record
        links.setdefault(owner, []).append((target, record.id))
    return Related(links, {target: objects})


def _subjects(tx: Transaction, records: tuple[Record, ...], reach: Reach) -> Related:
    links: dict[int, list[tuple[Kind, int]]] = {}
    ids: dict[Kind, set[int]] = {}
    for record in records:
        assert isinstance(record, ExternalReference)
        kind = SUBJECT_KINDS[record.subject_type]
        links[record.id] = [(kind, record.subject_id)]
        ids.setdefault(kind, set()).add(record.subject_id)
    return Related(
        links, {kind: _by_ids(tx, kind, reach.account_id, wanted) for kind, wanted in ids.items()}
    )
