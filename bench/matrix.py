"""Measures every declared list with ten million reports and with ten thousand, on each store.

The lists are those of `tests/store/every_list`, made from the declarations: every filter, order and
include of every kind, alone and in pairs, as requested by three callers. Work is measured in
instructions of SQLite's virtual machine, or in buffer pages that PostgreSQL accesses. Cached counts
are cleared before each list, as after a write. Writes its part of RESULTS.md.
"""

import argparse
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from every_list import NO_VERSION, WHO, Case, alone, fill, is_count, pairs
from filling import Run, filled
from sqlalchemy import Table, literal, select
from sqlalchemy.dialects import postgresql
from watched import OnPostgres, OnSqlite

from healthreports.contract.resources import RESOURCES
from healthreports.core.errors import TooManyIncluded
from healthreports.core.vocabulary import Kind
from healthreports.store.engine import sqlite
from healthreports.store.engine.database import Row, Transaction
from healthreports.store.engine.postgres import PLANS, PostgresTransaction, connect
from healthreports.store.engine.sqlite import SqliteTransaction
from healthreports.store.engine.statement import Statement, Values
from healthreports.store.lists import pages
from healthreports.store.lists.bounds import MAY_GROW, Caller
from healthreports.store.schema.tables import (
    account_memberships,
    account_versions,
    accounts,
    external_references,
    group_workspaces,
    participations,
    status_reports,
    users,
    workspace_groups,
    workspaces,
)
from healthreports.store.schema.upgrade import is_server
from results import write_part
from scale import databases, version

VAR = Path(__file__).parent / "var"
EACH = 100  # reports of a workspace
SMALL, LARGE = 100, 100_000  # workspaces, half of them in the measured account
REPEATS = 3
MOST_MORE_MS = 1.0
MOST_MS = 50.0
WORST = 40
_TIME = ("created_", "updated_", "_date", "start", "due")
# The tables whose rows are copied from the first account to a second one, with larger ids.
_TABLES = (
    *(accounts, account_versions, users, account_memberships, workspaces, participations),
    *(status_reports, external_references, workspace_groups, group_workspaces),
)
_FURTHER = 100_000_000


def build(address: str, size: int) -> str:
    """A database with `size` workspaces, half of them in each of two accounts."""

    def some(run: Run) -> None:
        fill(run, size // 2, EACH, on_server=is_server(address))
        for table in _TABLES:
            run(_again(table))

    return filled(address, some)


def _again(table: Table) -> str:
    """The SQL that copies all rows of the first account in a table to the second account."""
    values: list[Any] = []
    for column in table.columns:
        if column.name == "account_id" or (table is accounts and column.name == "id"):
            values.append(literal(2))
        elif column.name == "id" or column.name.endswith("_id"):
            values.append(column + literal(_FURTHER))
        elif column.name in ("email_address", "name"):
            values.append(literal("again ").concat(column))
        else:
            values.append(column)
    text = table.insert().from_select([one.name for one in table.columns], select(*values))
    return str(text.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}))


class Timed:
    """Records the duration of each statement of a transaction, in seconds."""

    def rows(self, statement: Statement, values: Values) -> list[Row]:
        started = time.perf_counter()
        found = super().rows(statement, values)
        self.took.append((statement.for_sqlite.text, time.perf_counter() - started))
        return found


class TimedSqlite(Timed, SqliteTransaction):
    def __init__(self, path: str) -> None:
        super().__init__(sqlite.connect(Path(path), 1.0), {})
        self.took: list[tuple[str, float]] = []

    def close(self) -> None:
        self._connection.close()


class TimedPostgres(Timed, PostgresTransaction):
    def __init__(self, address: str) -> None:
        super().__init__(connect(address, PLANS), {})
        self.took: list[tuple[str, float]] = []

    def close(self) -> None:
        self._link.close()


class Asked:
    """One database; measures the work and the time of a list."""

    def __init__(self, address: str) -> None:
        self.on_server = is_server(address)
        if self.on_server:
            self.watched = OnPostgres(address, {}, "force_custom_plan")
            self.timed = TimedPostgres(address)
        else:
            self.watched = OnSqlite(sqlite.connect(Path(address), 1.0), {})
            self.timed = TimedSqlite(address)

    def work(self, case: Case) -> int:
        self.watched.seen = []
        self._ask(self.watched, case)
        counted = _counts(case)
        return sum(
            one.buffers if self.on_server else one.cost
            for one in self.watched.seen
            if counted or not is_count(one.text)
        )

    def time_ms(self, case: Case) -> float:
        self.timed.took.clear()
        self._ask(self.timed, case)
        counted = _counts(case)
        return 1000 * sum(took for text, took in self.timed.took if counted or not is_count(text))

    def _ask(self, tx: Transaction, case: Case) -> None:
        tx.counts.clear()
        with suppress(TooManyIncluded):
            pages.page(tx, case.query, WHO[case.who], NO_VERSION)

    def close(self) -> None:
        self.watched.close()
        self.timed.close()


def _counts(case: Case) -> bool:
    """Whether the count may not grow either; `bounds.COUNTS_MAY_GROW` describes the others."""
    return case.is_lone and case.who is Caller.ADMINISTRATOR


@dataclass(frozen=True)
class Line:
    """The work and the times of a list at both sizes."""

    case: Case
    work: tuple[int, int]
    times_ms: tuple[tuple[float, float], ...]

    @property
    def ratio(self) -> float:
        return self.work[1] / max(self.work[0], 1)

    @property
    def ms(self) -> tuple[float, float]:
        small, large = (statistics.median(one[side] for one in self.times_ms) for side in (0, 1))
        return small, large

    @property
    def most(self) -> float:
        is_dated = any(part in name for name in self.case.names for part in _TIME)
        return 1.5 if self.case.query.kind is Kind.STATUS_REPORTS and not is_dated else 3.0

    @property
    def may_grow(self) -> bool:
        query = self.case.query
        return any(one.covers(query.kind, self.case.who, self.case.names) for one in MAY_GROW)

    @property
    def missed(self) -> bool:
        """Whether a limit is exceeded: by work and each time, or by the median time alone."""
        slower = all(large - small > MOST_MORE_MS for small, large in self.times_ms)
        over = self.ratio > self.most and slower
        return not self.may_grow and (over or self.ms[1] > MOST_MS)

    def row(self) -> str:
        says = "may grow" if self.may_grow else "**no**" if self.missed else "yes"
        small, large = self.ms
        return (
            f"| {self.case} | {self.work[0]:,} | {self.work[1]:,} | {self.ratio:.2f} | "
            f"{small:.2f} | {large:.2f} | {self.most:g}: {says} |"
        )


def measure(small: Asked, large: Asked) -> Iterator[Line]:
    for kind in RESOURCES:
        for case in (*alone(kind), *pairs(kind)):
            work = small.work(case), large.work(case)
            times = tuple((small.time_ms(case), large.time_ms(case)) for _ in range(REPEATS))
            yield Line(case, work, times)


@contextmanager
def both(addresses: list[str]) -> Iterator[list[Asked]]:
    asked = [Asked(one) for one in addresses]
    try:
        yield asked
    finally:
        for one in asked:
            one.close()


def part(store: str, size: int, facts: list[str], lines: list[Line]) -> str:
    missed = [one for one in lines if one.missed]
    worst = sorted(lines, key=lambda one: one.ratio, reverse=True)[:WORST]
    shown = [*missed, *(one for one in worst if one not in missed)]
    unit = "pages of the buffers" if store == "PostgreSQL" else "steps"
    return f"""## Every list at {size * EACH:,} reports on {store}

Written by `make bench-scale`. {len(lines):,} lists, derived from the declarations: every filter,
order and include of every kind, alone and in pairs. {size:,} workspaces, half of them in the
account that is queried, are compared with {SMALL:,}. Work is measured in {unit}. A list is over
its limit if its work is over the limit and each of {REPEATS} calls at the large size took over
{MOST_MORE_MS:g} ms longer. The lists that may grow are declared in `store/lists/bounds`. Over
their limit: {len(missed)}. More work than their limit, but less than {MOST_MORE_MS:g} ms
longer: {sum(one.ratio > one.most for one in lines) - len(missed)}, including
those that may grow. Median of all ratios of work: {statistics.median(o.ratio for o in lines):.2f}.

{chr(10).join(f"- {fact}" for fact in facts)}

The lists over their limit, then the {WORST} lists whose work grows most:

| list | work at {SMALL * EACH:,} | at {size * EACH:,} | times | ms | ms | to reach |
| --- | --- | --- | --- | --- | --- | --- |
{chr(10).join(one.row() for one in shown)}
"""


def run(store: str, size: int) -> tuple[str, list[Line]]:
    folder = VAR / f"matrix-{store.lower()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with databases(store, folder) as address:
        started = time.perf_counter()
        addresses = [build(address(one), one) for one in (SMALL, size)]
        built_s, started = time.perf_counter() - started, time.perf_counter()
        print(f"{store}: built in {built_s:.0f} s", flush=True)
        with both(addresses) as (small, large):
            lines = list(measure(small, large))
        facts = [
            f"built in {built_s:.0f} s, asked in {time.perf_counter() - started:.0f} s",
            version(addresses[1]),
        ]
    shutil.rmtree(folder)
    return part(store, size, facts, lines), [one for one in lines if one.missed]


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure every list that is declared.")
    parser.add_argument("--store", choices=["SQLite", "PostgreSQL"], action="append")
    parser.add_argument("--workspaces", type=int, default=LARGE, help="of the large one, to try it")
    options = parser.parse_args()
    missed = False
    for store in options.store or ["SQLite", "PostgreSQL"]:
        text, over = run(store, options.workspaces)
        print(text)
        missed = missed or bool(over)
        if options.workspaces == LARGE:
            write_part(f"every list on {store}", text)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
