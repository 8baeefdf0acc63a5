"""MERGE: merges the sorted lists of a few workspaces, up to the end of the page."""

from functools import cached_property, lru_cache
from typing import Any, ClassVar, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Select,
    bindparam,
    column,
    func,
    select,
    text,
    true,
)

from healthreports.core.query import Sort
from healthreports.store.engine.database import Transaction
from healthreports.store.engine.statement import DriverText, Statement, Values, among, unindexed
from healthreports.store.lists.plans.base import (
    MARKS,
    Plan,
    counted,
    marks_with_ids,
    ordered,
    windowed,
)
from healthreports.store.lists.plans.walk import along
from healthreports.store.lists.report_query import ReportQuery, conditions
from healthreports.store.lists.selections import Condition, in_account
from healthreports.store.schema.tables import status_reports

_s = status_reports.c


class Merge(Plan, frozen=True, kw_only=True):
    """Serves every list limited to a few workspaces: those of a filter, or the reader's."""

    cost: ClassVar[str] = (
        "The page and the rows before it, and one look-up in an index for each workspace; with "
        "a time, the reports of the workspaces that match the other filters."
    )

    @classmethod
    def serves(cls, asked: ReportQuery, sort: Sort) -> bool:  # noqa: ARG003  in any order
        """Whether the workspaces are few and known, and no words must be looked up in each."""
        return asked.is_merged

    def page(self, _tx: Transaction) -> tuple[Statement, Values]:
        """The page of the merged lists."""
        workspaces = self.asked.workspaces or ()
        padded = workspaces + (0,) * (_width(workspaces) - len(workspaces))  # no workspace has id 0
        values = {
            **self.values,
            "workspaces": workspaces,
            "end": self.window.offset + self.window.limit,
            **{f"workspace_{number}": one for number, one in enumerate(padded)},
        }
        return merge_statement(len(padded), self.asked.names, self.sort), values

    def total(self, _tx: Transaction) -> tuple[Statement, Values]:
        """The statement that counts the matching reports of the workspaces, and its parameters."""
        values = {**self.asked.values, "workspaces": self.asked.workspaces}
        return merge_count_statement(self.asked.names), values


def _width(workspaces: tuple[int, ...]) -> int:
    """The number of workspaces, rounded up to a power of two so that there are few statements."""
    return 1 << max(len(workspaces) - 1, 0).bit_length()


@lru_cache(maxsize=32)  # the statement for 256 workspaces has 290 kB of text
def merge_statement(size: int, names: tuple[str, ...], sort: Sort) -> Statement:
    """A page of `size` workspaces.

    SQLite merges sorted lists. PostgreSQL does not recognize that they are sorted, so its statement
    takes at most `end` rows from each list. Parameters: `workspace_0` and so on, `workspaces`,
    `end`, those of the filters, `limit`, `offset`.
    """
    place = _place_in_workspace(sort).label("place")
    if size == 1:
        one = select(*MARKS).where(*_of_workspace(bindparam("workspace_0"), names, sort))
        return Statement(windowed(one.order_by(*ordered(sort, _place_in_workspace(sort), _s.id))))
    one_list = select(_s.id, place).where(*_of_workspace(bindparam("workspace_0"), names, sort))
    direction = "DESC" if sort.descending else "ASC"
    by = f"place {direction}" if sort.name == "id" else f"place {direction}, id ASC"
    merged = text(f"{_LISTS} ORDER BY {by} LIMIT :limit OFFSET :offset").columns(
        column("id", BigInteger), column("place", BigInteger)
    )
    numbers = func.unnest(bindparam("workspaces", type_=ARRAY(BigInteger)))
    each = numbers.table_valued("id").render_derived("each")
    its = (
        select(_s.id, place)
        .where(*_of_workspace(each.c.id, names, sort))
        .order_by(*ordered(sort, _place_in_workspace(sort), _s.id))
        .limit(bindparam("end"))
        .lateral("its")
    )
    first = select(its.c.id).select_from(each.join(its, true()))
    first = windowed(first.order_by(*ordered(sort, its.c.place, its.c.id)))
    return _Merged(
        one_list,
        size,
        marks_with_ids(merged.subquery("found"), sort),
        marks_with_ids(first.subquery("found"), sort),
    )


# The placeholder for the lists of all workspaces in the text of a merge.
_LISTS: Final = "the_lists"


class _Merged(Statement):
    """A merge of `size` lists. For SQLite, the SQL text of one list is repeated.

    Building 256 lists with SQLAlchemy would take 0.9 s and 4.6 MB; this takes 2 ms and 0.3 MB.
    """

    def __init__(
        self, one_list: Select[Any], size: int, merged: Select[Any], postgres: Select[Any]
    ) -> None:
        super().__init__(merged, postgres=postgres)
        self._one_list = Statement(one_list)
        self._size = size

    @cached_property
    def for_sqlite(self) -> DriverText:
        """The statement as `sqlite3` takes it."""
        whole, one = super().for_sqlite, self._one_list.for_sqlite
        assert not whole.constants.keys() & one.constants.keys()
        lists = " UNION ALL ".join(
            one.text.replace(":workspace_0", f":workspace_{number}") for number in range(self._size)
        )
        return DriverText(
            whole.text.replace(_LISTS, lists), {**whole.constants, **one.constants}, one.lists
        )


@lru_cache(maxsize=128)
def merge_count_statement(names: tuple[str, ...]) -> Statement:
    """How many reports of `workspaces` match."""
    return Statement(
        counted().where(
            in_account(status_reports),
            among(_s.workspace_id, "workspaces"),
            *conditions(names, indexed=False),
        )
    )


def _of_workspace(
    workspace_id: ColumnElement[int], names: tuple[str, ...], sort: Sort
) -> list[Condition]:
    by = sort if sort.name == "created_at" else Sort()
    return [in_account(status_reports), _s.workspace_id == workspace_id, *along(names, by)]


def _place_in_workspace(sort: Sort) -> ColumnElement[Any]:
    # There is no index on the reports of a workspace by their last change. So they are sorted, and
    # not picked from an index over the whole account.
    place = _s[sort.name]
    return unindexed(place) if sort.name == "updated_at" else place
