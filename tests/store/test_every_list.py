"""No declared list reads a whole account: every filter, order and include, alone and in pairs.

The cases come from `every_list`. Each list is requested with few and with many records, and the
work of the database is compared: instructions of SQLite's virtual machine, or rows that PostgreSQL
read. The lists that may grow are declared in `store/lists/bounds`.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from math import isqrt
from pathlib import Path
from typing import Any

import pytest
from every_list import FEW, MANY, NO_VERSION, WHO, Case, alone, build, is_count, pairs
from watched import OnPostgres, OnSqlite

from healthreports.contract.resources import RESOURCES, FilterType
from healthreports.core.errors import TooManyIncluded
from healthreports.core.vocabulary import Kind
from healthreports.store.engine import sqlite
from healthreports.store.lists import pages as records
from healthreports.store.lists.bounds import MAY_GROW, Caller
from healthreports.store.schema.upgrade import is_server


class Ends:
    """Two databases of one store with the same kind of data, few records and many."""

    def __init__(self, addresses: list[str]) -> None:
        self.on_server = is_server(addresses[0])
        self.ways = [self.open(address) for address in addresses]
        # The work that every page may do, and the work that it may do for each row.
        self.anyway, self.a_row = (1_500, 4) if self.on_server else (40_000, 150)

    def open(self, address: str) -> Any:
        if self.on_server:
            return OnPostgres(address, {}, "force_custom_plan")
        return OnSqlite(sqlite.connect(Path(address), 1.0), {})

    def costs(self, case: Case) -> list[int]:
        return [self.cost(tx, case) for tx in self.ways]

    def cost(self, tx: Any, case: Case) -> int:
        tx.counts.clear()
        tx.seen = []
        with suppress(TooManyIncluded):
            records.page(tx, case.query, WHO[case.who], NO_VERSION)
        counts_too = case.is_lone and case.who is Caller.ADMINISTRATOR
        return sum(one.cost for one in tx.seen if counts_too or not is_count(one.text))

    def grows(self, case: Case) -> str | None:
        few, many = self.costs(case)
        # The plan either walks until a page is full or sorts what is found. The cheaper of the two
        # costs the square root of the number of records (`plans/choice`).
        if many <= 3 * few + self.anyway + self.a_row * isqrt(20 * 2 * MANY):
            return None
        worst = max(self.ways[1].seen, key=lambda one: one.cost)
        return f"{case}: {few} -> {many}\n{worst}"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def ends(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ends]:
    folder = tmp_path_factory.mktemp("lists")
    addresses = []
    for size in (FEW, MANY):
        if request.param == "sqlite":
            address = str(folder / f"{size}.sqlite3")
        else:
            address = request.getfixturevalue("cluster").make_database()
        addresses.append(build(address, size))
    made = Ends(addresses)
    yield made
    for tx in made.ways:
        tx.close()


def may_grow(case: Case) -> bool:
    return any(
        one.covers(case.query.kind, case.who, case.names) for one in MAY_GROW if not one.filters
    )


def test_every_filter_that_may_grow_is_declared() -> None:
    declared = {one.name for resource in RESOURCES.values() for one in resource.filters}
    words = {
        one.name
        for resource in RESOURCES.values()
        for one in resource.filters
        if one.type is FilterType.WORDS
    }
    for one in MAY_GROW:
        assert one.filters <= declared
        assert not one.filters or one.filters == words


@pytest.mark.parametrize("kind", list(RESOURCES))
@pytest.mark.parametrize(
    "some", [alone, pytest.param(pairs, marks=pytest.mark.thorough)], ids=["alone", "pairs"]
)
def test_no_list_grows_with_the_account(
    ends: Ends, kind: Kind, some: Callable[[Kind], Iterator[Case]]
) -> None:
    found = [says for case in some(kind) if not may_grow(case) and (says := ends.grows(case))]
    assert not found, f"{len(found)} lists grow:\n" + "\n\n".join(found[:40])
