"""BLOCKS: reads reports by id, but only in the blocks of ids that may have a requested time."""

from functools import lru_cache
from typing import ClassVar, Final

from sqlalchemy import BigInteger, FromClause, and_, bindparam, literal, literal_column, select

from healthreports.core.query import Sort
from healthreports.store.engine.database import Transaction
from healthreports.store.engine.statement import Statement, Values
from healthreports.store.lists.counters import BLOCK_SHIFTS
from healthreports.store.lists.plans.base import MARKS, windowed
from healthreports.store.lists.plans.gather import OverAccount
from healthreports.store.lists.report_query import (
    AFTER_ID,
    TIME_FILTERS,
    ReportQuery,
    conditions,
    within,
)
from healthreports.store.lists.selections import Condition, in_account
from healthreports.store.schema.tables import report_blocks, status_reports

_s: Final = status_reports.c
_b: Final = report_blocks.c


class Blocks(OverAccount, frozen=True, kw_only=True):
    """Serves lists with a filter on a time, in the order of ids."""

    cost: ClassVar[str] = (
        "The page and the rows before it, and one row for each block of 1,024 ids with the time."
    )

    @classmethod
    def serves(cls, asked: ReportQuery, sort: Sort) -> bool:
        """Whether the list is filtered by a time, sorted by id, and not limited to workspaces."""
        return bool(asked.times) and sort.name == "id" and asked.workspaces is None

    def page(self, _tx: Transaction) -> tuple[Statement, Values]:
        """The page, read block by block."""
        statement = blocks_statement(self.asked.names, self.sort, narrowed=self.asked.narrowed)
        return statement, self.values


@lru_cache(maxsize=128)
def blocks_statement(names: tuple[str, ...], sort: Sort, *, narrowed: bool) -> Statement:
    """A page, read block by block. Parameters: those of the filters, `limit`, `offset`."""
    small, large = BLOCK_SHIFTS
    ratio = literal_column(str(1 << (large - small)), BigInteger)
    width = literal_column(str(1 << small), BigInteger)
    wide = report_blocks.alias("wide")
    first = (
        select(wide.c.block)
        .where(in_account(wide), wide.c.level == literal(large), *_may_hold(wide, names))
        .order_by(wide.c.block.desc() if sort.descending else wide.c.block.asc())
        .limit(literal_column("1"))
        .scalar_subquery()
    )
    bound = _b.block < (first + 1) * ratio if sort.descending else _b.block >= first * ratio
    its_reports = and_(_s.id >= _b.block * width, _s.id < (_b.block + 1) * width)
    statement = (
        select(*MARKS)
        .join_from(report_blocks, status_reports, its_reports)
        .where(
            in_account(report_blocks),
            _b.level == literal(small),
            bound,
            *([(_b.block + 1) * width > bindparam(AFTER_ID)] if AFTER_ID in names else []),
            *_may_hold(report_blocks, names),
            *within(narrowed=narrowed),
            *conditions(names, indexed=False),
        )
    )
    by = [one.desc() if sort.descending else one.asc() for one in (_b.block, _s.id)]
    return Statement(windowed(statement.order_by(*by)))


def _may_hold(blocks: FromClause, names: tuple[str, ...]) -> list[Condition]:
    """The bounds of a block's times do not exclude the times that the filters ask for."""
    found: list[Condition] = []
    for name in names:
        if name in TIME_FILTERS:
            what, side = name.rsplit("_", 1)
            if side == "after":
                found.append(blocks.c[f"{what}_to"] > bindparam(name))
            else:
                found.append(blocks.c[f"{what}_from"] < bindparam(name))
    return found
