"""Compares the compiled writer of a record (`contract/envelope`) with a loop over its fields.

Prints both times for one status report, and their ratio, five times.
"""

import timeit
from collections.abc import Callable
from typing import Any

from healthreports.contract.envelope import write_record
from healthreports.contract.moments import as_datetime
from healthreports.contract.resources import STATUS_REPORTS, FieldType
from healthreports.core.model import Detail, Instant, StatusReport
from healthreports.core.vocabulary import Category, Color

REPORT = StatusReport(
    id=1,
    account_id=1,
    workspace_id=2,
    creator_id=3,
    updater_id=None,
    color=Color.RED,
    description="Late.",
    details=(Detail(Category.SCOPE, Color.RED, "Too much."),),
    created_at=Instant(1_700_000_000_000_000),
    updated_at=Instant(1_700_000_000_000_000),
)
CONVERSIONS = {FieldType.ID: str, FieldType.TIME: as_datetime}
FIELDS = [
    (one.name, CONVERSIONS.get(one.type), one.nullable)
    for one in STATUS_REPORTS.fields
    if not one.optional
]
TIMES = 50_000


def looped(record: StatusReport) -> dict[str, Any]:
    written = {}
    for name, convert, nullable in FIELDS:
        value = getattr(record, name)
        as_it_is = convert is None or (nullable and value is None)
        written[name] = value if as_it_is else convert(value)
    return written


def best(write: Callable[[StatusReport], dict[str, Any]]) -> float:
    return min(timeit.repeat(lambda: write(REPORT), number=TIMES, repeat=5)) / TIMES * 1e6


if __name__ == "__main__":
    assert looped(REPORT) == write_record(REPORT)
    for _ in range(5):
        compiled_us, looped_us = best(write_record), best(looped)
        ratio = looped_us / compiled_us
        print(f"compiled {compiled_us:.2f} us, loop {looped_us:.2f} us: {ratio:.1f} times")
