"""Reads: a query in, a page out; for every kind of record. Writes are in the modules beside it."""

from healthreports.core.access import Reach
from healthreports.core.model import ExternalReference, Record
from healthreports.core.query import Page, Query, Related
from healthreports.core.vocabulary import SUBJECT_KINDS, Kind
from healthreports.store.database import Row, Transaction
from healthreports.store.select import (
    SELECTIONS,
    Beside,
    Direct,
    Rows,
    Subject,
    beside_statement,
    by_ids_statement,
    count_statement,
    page_statement,
)

# A count asked for with longer filters than this is not worth the memory of its question.
_SMALL = 500


def page(tx: Transaction, query: Query, reach: Reach, account_version: int | None = None) -> Page:
    """The page of records that `query` asks for, of those within `reach`, with what it includes.

    With `account_version` (from the same snapshot) the exact count is remembered until the account
    changes.
    """
    selection = SELECTIONS[query.kind]
    names = tuple([one.name for one in query.filters])
    values: dict[str, object] = {"reach_account": reach.account_id, "reach_user": reach.user_id}
    for one in query.filters:
        values[one.name] = one.value
    if query.only is None:
        wanted = Rows.WINDOW
        values["limit"], values["offset"] = query.window.limit, query.window.offset
    elif len(query.only) == 1:
        wanted, [values["only"]] = Rows.ONE, query.only
    else:
        wanted, values["only"] = Rows.SOME, query.only
    narrowed = reach.user_id is not None
    statement = page_statement(query.kind, names, query.sort, wanted, narrowed=narrowed)
    if query.only is None:
        count = _count(tx, query, reach, values, account_version)
        rows = tx.rows(statement, values) if count > query.window.offset else []
    else:
        rows = tx.rows(statement, values)
        count = len(rows)
    records = tuple(map(selection.read, rows))
    related = {name: _related(tx, query.kind, name, records, reach) for name in query.includes}
    return Page(query.kind, records, count, query.window, related, query.optional_fields)


def _count(
    tx: Transaction,
    query: Query,
    reach: Reach,
    values: dict[str, object],
    account_version: int | None,
) -> int:
    key = (query.kind, query.filters, reach, account_version)
    count = tx.counts.get(key) if account_version is not None else None
    if count is None:
        names = tuple(one.name for one in query.filters)
        statement = count_statement(query.kind, names, narrowed=reach.user_id is not None)
        [[count]] = tx.rows(statement, values)
        if account_version is not None and len(str(query.filters)) <= _SMALL:
            tx.counts[key] = count
    return count


def _related(
    tx: Transaction, kind: Kind, name: str, records: tuple[Record, ...], reach: Reach
) -> Related:
    association = SELECTIONS[kind].associations[name]
    match association:
        case Direct(target, column):
            ids = {getattr(record, column) for record in records} - {None}
            return Related({}, {target: _by_ids(tx, target, ids)})
        case Beside(target):
            values = {
                "owners": tuple(record.id for record in records),
                "reach_user": reach.user_id,
            }
            statement = beside_statement(kind, name, narrowed=reach.user_id is not None)
            rows = tx.rows(statement, values) if records else []
            return _beside(target, rows)
        case Subject():
            return _subjects(tx, records)


def _beside(target: Kind, rows: list[Row]) -> Related:
    read = SELECTIONS[target].read
    links: dict[int, list[tuple[Kind, int]]] = {}
    objects: dict[int, Record] = {}
    for row in rows:
        record = read(row[1:])
        objects[record.id] = record
        links.setdefault(row[0], []).append((target, record.id))
    return Related(links, {target: objects})


def _subjects(tx: Transaction, records: tuple[Record, ...]) -> Related:
    links: dict[int, list[tuple[Kind, int]]] = {}
    ids: dict[Kind, set[int]] = {}
    for record in records:
        assert isinstance(record, ExternalReference)
        kind = SUBJECT_KINDS[record.subject_type]
        links[record.id] = [(kind, record.subject_id)]
        ids.setdefault(kind, set()).add(record.subject_id)
    return Related(links, {kind: _by_ids(tx, kind, wanted) for kind, wanted in ids.items()})


def _by_ids(tx: Transaction, kind: Kind, ids: set[int]) -> dict[int, Record]:
    if not ids:
        return {}
    rows = tx.rows(by_ids_statement(kind), {"ids": tuple(sorted(ids))})
    return {record.id: record for record in map(SELECTIONS[kind].read, rows)}
