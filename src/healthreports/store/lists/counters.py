"""Stored counts of status reports, updated in the transaction of each change.

- `report_counts`: reports by workspace, by period, by term of their external references;
- `report_blocks`: reports by block of ids, with the earliest and latest times of each block;
- `report_terms`: the reports with each term, in the order of their ids.

The current report of each workspace (`store/lists/current`) is updated together with them.

A period is all times, and a block all ids, that have the same number once the low bits are shifted
out. Both have two widths, so that a count of millions of reports adds up some hundred rows. A
change of a report costs one statement for the counts and one for the blocks, with a few rows each.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Table,
    bindparam,
    case,
    delete,
)
from sqlalchemy.dialects.postgresql import insert

from healthreports.core.model import ExternalReference, StatusReport
from healthreports.core.vocabulary import REFERENCE_ATTRIBUTES, Category, Color
from healthreports.store.engine.database import Later, Transaction
from healthreports.store.engine.statement import Statement, insertion
from healthreports.store.lists import current, words
from healthreports.store.schema.tables import (
    current_reports,
    report_blocks,
    report_counts,
    report_terms,
)

# Blocks have 1,024 or 2^20 ids; periods take 2.4 hours or 102 days, in microseconds.
BLOCK_SHIFTS: Final = (10, 20)
TIME_SHIFTS: Final = (33, 43)


class Dimension(IntEnum):
    """What `report_counts` counts by. A bucket is an id, a term, a color or a period's number."""

    WORKSPACE = 1
    TERM = 2
    CREATED_NARROW = 3
    CREATED_WIDE = 4
    UPDATED_NARROW = 5
    UPDATED_WIDE = 6
    COLOR = 7
    CREATOR = 8
    CATEGORY_COLOR = 9
    CURRENT = 10


# The buckets of the color dimensions, and `ALL`, the only bucket of CURRENT.
COLOR_BUCKETS: Final = {color: place for place, color in enumerate(Color)}
CATEGORY_BUCKETS: Final = {
    (category, color): len(Color) * place + bucket
    for place, category in enumerate(Category)
    for color, bucket in COLOR_BUCKETS.items()
}
ALL: Final = 0

_SMALL, _LARGE = BLOCK_SHIFTS
_NARROW, _WIDE = TIME_SHIFTS
OF_TIME: Final = {
    ("created_at", _NARROW): Dimension.CREATED_NARROW,
    ("created_at", _WIDE): Dimension.CREATED_WIDE,
    ("updated_at", _NARROW): Dimension.UPDATED_NARROW,
    ("updated_at", _WIDE): Dimension.UPDATED_WIDE,
}
_WIDER: Final = {
    Dimension.CREATED_NARROW: Dimension.CREATED_WIDE,
    Dimension.UPDATED_NARROW: Dimension.UPDATED_WIDE,
}
COUNT_COLUMNS: Final = tuple(column.name for column in report_counts.columns)
_BLOCK_COLUMNS: Final = tuple(column.name for column in report_blocks.columns)
# The most rows that one statement writes: for each number of rows, a statement is cached.
_AT_A_TIME: Final = 32
_Named = dict[str, int]
# The number of reports of a block, then the bounds of their creation times and change times.
_Block = tuple[int, int, int, int, int]


def term(attribute: str, value: str) -> int:
    """The number that stands for an attribute with a value, from 0 to 2^63 - 1."""
    text = f"{attribute}={value}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) >> 1


# The term of every report that has an external reference.
REFERENCED: Final = term("", "")


def terms_of(references: Iterable[ExternalReference]) -> frozenset[int]:
    """The terms of a report that has `references`."""
    return frozenset(
        one
        for reference in references
        for one in terms_of_values([getattr(reference, name) for name in REFERENCE_ATTRIBUTES])
    )


def _rows_of(table: Table, number: int) -> list[dict[str, ColumnElement[Any]]]:
    """The parameters of `number` rows, each named by its column and the number of its row."""
    return [
        {column.name: bindparam(f"{column.name}_{row}") for column in table.columns}
        for row in range(number)
    ]


@lru_cache
def counts_statement(number: int) -> Statement:
    """Add to `number` counts at once. Parameters: those of `_rows_of`."""
    statement = insert(report_counts).values(_rows_of(report_counts, number))
    return Statement(
        statement.on_conflict_do_update(
            index_elements=list(report_counts.primary_key),
            set_={"reports": report_counts.c.reports + statement.excluded.reports},
        )
    )


@lru_cache
def blocks_statement(number: int) -> Statement:
    """Add to `number` blocks at once, and widen their bounds. Parameters: those of `_rows_of`."""
    statement = insert(report_blocks).values(_rows_of(report_blocks, number))

    def wider(name: str) -> ColumnElement[Any]:
        old, new = report_blocks.c[name], statement.excluded[name]
        return case((new < old if name.endswith("from") else new > old, new), else_=old)

    bounds = ("created_from", "created_to", "updated_from", "updated_to")
    return Statement(
        statement.on_conflict_do_update(
            index_elements=list(report_blocks.primary_key),
            set_={
                "reports": report_blocks.c.reports + statement.excluded.reports,
                **{name: wider(name) for name in bounds},
            },
        )
    )


def put_rows(
    tx: Transaction, statement: Callable[[int], Statement], rows: Sequence[_Named]
) -> None:
    """Write all `rows` with the statements that `statement` makes, up to `_AT_A_TIME` at once."""
    for start in range(0, len(rows), _AT_A_TIME):
        some = rows[start : start + _AT_A_TIME]
        values = {f"{name}_{i}": value for i, row in enumerate(some) for name, value in row.items()}
        tx.rows(statement(len(some)), values)


ADD_TERM: Final = insertion(report_terms)
_DROP_TERM: Final = Statement(
    delete(report_terms).where(
        report_terms.c.account_id == bindparam("of_account"),
        report_terms.c.term == bindparam("of_term"),
        report_terms.c.report_id == bindparam("of_report"),
    )
)


class _ReportChange(NamedTuple):
    """A change in an account: reports are removed and added, or a report loses and gets terms.

    `gone` and `come` are the reports; a changed report is in both. `lost` and `new` are the terms.
    """

    account_id: int
    gone: Sequence[StatusReport] = ()
    come: Sequence[StatusReport] = ()
    lost: Collection[int] = ()
    new: Collection[int] = ()


def note(
    tx: Transaction,
    account_id: int,
    *,
    gone: Sequence[StatusReport] = (),
    come: Sequence[StatusReport] = (),
) -> None:
    """Subtract the reports `gone` from the counts and add the reports `come`.

    A changed report is in both: as it was before in `gone`, and as it is now in `come`.
    This may be deferred to the end of the transaction.
    """
    tx.put_off(_NOTING, _ReportChange(account_id, gone=gone, come=come))


def _note(tx: Transaction, changes: Sequence[_ReportChange]) -> None:
    for account_id in sorted({one.account_id for one in changes}):
        _note_in(tx, account_id, [one for one in changes if one.account_id == account_id])


def _note_in(tx: Transaction, account_id: int, changes: Sequence[_ReportChange]) -> None:
    counts: dict[Dimension, Counter[int]] = {dimension: Counter() for dimension in Dimension}
    blocks: dict[int, _Block] = {}
    for change in changes:
        counts[Dimension.TERM].update(change.new)
        counts[Dimension.TERM].subtract(change.lost)
    come = [report for change in changes for report in change.come]
    gone = [report for change in changes for report in change.gone]
    for reports, sign, count in ((come, 1, Counter.update), (gone, -1, Counter.subtract)):
        count(counts[Dimension.WORKSPACE], [one.workspace_id for one in reports])
        count(counts[Dimension.CREATED_NARROW], [one.created_at >> _NARROW for one in reports])
        count(counts[Dimension.UPDATED_NARROW], [one.updated_at >> _NARROW for one in reports])
        count(counts[Dimension.COLOR], [COLOR_BUCKETS[one.color] for one in reports])
        count(counts[Dimension.CREATOR], [one.creator_id for one in reports])
        count(
            counts[Dimension.CATEGORY_COLOR],
            [
                CATEGORY_BUCKETS[detail.category, detail.color]
                for r in reports
                for detail in r.details
            ],
        )
        for report in reports:
            created, updated = report.created_at, report.updated_at
            _add(blocks, report.id >> _SMALL, (sign, created, created, updated, updated))
    for narrow, wide in _WIDER.items():
        for bucket, number in counts[narrow].items():
            counts[wide][bucket >> (_WIDE - _NARROW)] += number
    counts[Dimension.CURRENT][ALL] = _note_current(
        tx, account_id, counts[Dimension.WORKSPACE].keys(), come, gone
    )
    large: dict[int, _Block] = {}
    for number, block in blocks.items():
        _add(large, number >> (_LARGE - _SMALL), block)
    put_rows(
        tx,
        counts_statement,
        [
            dict(zip(COUNT_COLUMNS, (account_id, dimension, bucket, number), strict=True))
            for dimension, some in counts.items()
            for bucket, number in sorted(some.items())
            if number
        ],
    )
    put_rows(
        tx,
        blocks_statement,
        [
            dict(zip(_BLOCK_COLUMNS, (account_id, shift, number, *block), strict=True))
            for shift, some in ((_SMALL, blocks), (_LARGE, large))
            for number, block in sorted(some.items())
        ],
    )


def _note_current(
    tx: Transaction,
    account_id: int,
    workspace_ids: Collection[int],
    come: Sequence[StatusReport],
    gone: Sequence[StatusReport],
) -> int:
    """Update the current reports of these workspaces, and the words of these reports.

    Returns by how much the number of workspaces with a report has changed.
    """
    before = current.report_ids(tx, account_id, workspace_ids)
    current.note(tx, account_id, workspace_ids)
    after = current.report_ids(tx, account_id, workspace_ids)
    was = {one.id: one for one in reversed(gone)}
    now = {one.id: one for one in come}
    stored = current.reports(tx, account_id, {*before, *after} - was.keys() - now.keys())
    words.note(
        tx,
        gone=[words.of_report((stored | now | was)[one], words.WordsIn.CURRENT) for one in before],
        come=[words.of_report((stored | was | now)[one], words.WordsIn.CURRENT) for one in after],
    )
    return len(after) - len(before)


_NOTING: Final = Later(
    _note, frozenset(table.name for table in (report_counts, report_blocks, current_reports))
)


def _add(blocks: dict[int, _Block], number: int, more: _Block) -> None:
    """Add `more` to a block. Its bounds only widen, even if the number of reports decreases."""
    if number not in blocks:
        blocks[number] = more
        return
    reports, created_from, created_to, updated_from, updated_to = blocks[number]
    blocks[number] = (
        reports + more[0],
        min(created_from, more[1]),
        max(created_to, more[2]),
        min(updated_from, more[3]),
        max(updated_to, more[4]),
    )


def note_terms(
    tx: Transaction, account_id: int, report_id: int, gone: frozenset[int], come: frozenset[int]
) -> None:
    """Replace the terms `gone` of a report by the terms `come`."""
    lost, new = gone - come, come - gone
    tx.run_each(
        _DROP_TERM,
        [
            {"of_account": account_id, "of_term": one, "of_report": report_id}
            for one in sorted(lost)
        ],
    )
    tx.run_each(
        ADD_TERM,
        [{"account_id": account_id, "term": one, "report_id": report_id} for one in sorted(new)],
    )
    tx.put_off(_NOTING, _ReportChange(account_id, lost=lost, new=new))


def terms_of_values(values: Sequence[str | None]) -> Iterator[int]:
    """The terms of a reference whose REFERENCE_ATTRIBUTES have these values."""
    yield REFERENCED
    for name, value in zip(REFERENCE_ATTRIBUTES, values, strict=True):
        if value is not None:
            yield term(name, value)
