"""A query for a list of status reports: its workspaces, times and external references.

They determine how the list is counted (`counts`) and which plan finds its page (`plans/choice`).
This module also has the SQL conditions of the filters. Contract: 4.6.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import and_, bindparam, literal_column, select

from healthreports.core.access import Reach
from healthreports.core.query import Query
from healthreports.core.vocabulary import REFERENCE_ATTRIBUTES, Category
from healthreports.store.engine.database import Transaction, Version
from healthreports.store.engine.statement import Statement, among, unindexed, unindexed_text
from healthreports.store.lists import counters
from healthreports.store.lists.selections import (
    REPORTS,
    Condition,
    has_reference,
    in_account,
    shows_reports,
    walking,
)
from healthreports.store.schema.tables import color_column, participations, status_reports

# A stream resumes after the report with this id. Clients cannot use this filter.
AFTER_ID: Final = "after_id"
TIME_FILTERS: Final = {
    f"{name}_{side}": f"{name}_at"
    for name in ("created", "updated")
    for side in ("after", "before")
}
REFS: Final = "external_reference_service_model_refs"
WITHOUT: Final = "without_external_reference_service_name"
HAS: Final = "has_external_references=true"
HAS_NOT: Final = "has_external_references=false"
CURRENT: Final = "current=true"
NOT_CURRENT: Final = "current=false"
WORDS: Final = "text"
PREFIX: Final = "external_reference_"
# Merging the lists of more workspaces than this takes longer than reading each report.
FEW_WORKSPACES: Final = 256

_CONDITIONS: Final[dict[str, Condition]] = {
    **{name: walking(name, one) for name, one in REPORTS.filters.items()},
    AFTER_ID: status_reports.c.id > bindparam(AFTER_ID),
}


def _unindexed_time(name: str) -> Condition:
    moment = unindexed(status_reports.c[TIME_FILTERS[name]])
    return moment > bindparam(name) if name.endswith("after") else moment < bindparam(name)


def _unindexed_color(name: str) -> Condition:
    category, _, color = name.partition("=")[2].partition(":")
    column = status_reports.c[color_column(Category(category))]
    return unindexed_text(column) == literal_column(f"'{color}'")


# Filters with an index that has the matching reports in the order of their ids: one color, or one
# creator.
IN_ORDER_OF_IDS: Final = frozenset(
    {"color=one", "creator_id=one"}
    | {name for name in _CONDITIONS if name.startswith("category_color=")}
)
# All filters whose reports an index can find, in whatever order.
FINDING: Final = IN_ORDER_OF_IDS | {"color", "creator_id", WORDS}
_creator: Final = unindexed(status_reports.c.creator_id)
_color: Final = unindexed_text(status_reports.c.color)
_UNINDEXED: Final[dict[str, Condition]] = {
    **_CONDITIONS,
    **{name: _unindexed_time(name) for name in TIME_FILTERS},
    **{name: _unindexed_color(name) for name in _CONDITIONS if name.startswith("category_color=")},
    "creator_id": among(_creator, "creator_id"),
    "creator_id=one": _creator == bindparam("creator_id_one"),
    "color": among(_color, "color"),
    "color=one": _color == bindparam("color_one"),
}

# A participation that lets the reader see the reports of the workspace.
in_reach: Final = and_(
    in_account(participations),
    participations.c.user_id == bindparam("reach_user"),
    shows_reports(participations),
)
_WORKSPACES_OF_READER: Final = Statement(
    select(participations.c.workspace_id)
    .where(in_reach)
    .order_by(participations.c.workspace_id)
    .limit(bindparam("limit"))
)
_NAMED_WORKSPACES_OF_READER: Final = Statement(
    select(participations.c.workspace_id).where(
        in_reach, among(participations.c.workspace_id, "workspace_id")
    )
)


class ReportQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A query for a list of status reports, in the form that the plans use.

    `workspaces` are the few workspaces that the list is limited to; None if there is no such limit.
    `narrowed` says that only reports that the user of `reach` sees match, and that this user has
    more than a few workspaces. `names` are the other filters, and `values` the parameters of all
    filters. A report must have all of `terms`, one for each filter, and at least one of `any_of`.
    """

    reach: Reach
    workspaces: tuple[int, ...] | None
    narrowed: bool
    names: tuple[str, ...]
    values: Mapping[str, Any]
    terms: tuple[int, ...]
    any_of: tuple[int, ...] | None

    @property
    def times(self) -> tuple[str, ...]:
        """The filters on a time."""
        return tuple(name for name in self.names if name in TIME_FILTERS)

    @property
    def is_found(self) -> bool:
        """Whether an index can find the reports that match one of the filters."""
        return bool(self.times) or not FINDING.isdisjoint(self.names)

    @property
    def is_of_named_workspaces(self) -> bool:
        """Whether the query has a filter on workspaces."""
        return "workspace_id" in self.values

    @property
    def is_merged(self) -> bool:
        """Whether the list is limited to a few workspaces and can be merged from their lists.

        With a filter on words it is not merged, unless there is one workspace: words are looked up
        once for all workspaces, and not in each.
        """
        return self.workspaces is not None and (
            WORDS not in self.names or len(self.workspaces) == 1
        )

    def after(self, report_id: int) -> "ReportQuery":
        """The same list, but only reports with a larger id."""
        values = {**self.values, AFTER_ID: report_id}
        return msgspec.structs.replace(self, names=(*self.names, AFTER_ID), values=values)


def report_query(
    tx: Transaction, query: Query, reach: Reach, version: Version, few: int = FEW_WORKSPACES
) -> ReportQuery:
    """The `ReportQuery` for `query`, for a reader who sees what is within `reach`.

    `version` is that of the account in this snapshot. Up to `few` workspaces of the reader are
    listed in `workspaces`.
    """
    values: dict[str, Any] = {
        "reach_account": reach.account_id,
        "reach_user": reach.user_id,
        **REPORTS.values(reach.account_id, query.filters),
    }
    # Sorted, so that the same filters in another order are the same statement.
    names = tuple(sorted(name for name in REPORTS.shapes(query.filters) if name != "workspace_id"))
    workspaces = _workspaces(tx, values, reach, version, few)
    narrowed = workspaces is not None and len(workspaces) > few
    any_of: tuple[str, ...] | None = values.get(REFS)
    return ReportQuery(
        reach=reach,
        workspaces=None if narrowed else workspaces,
        narrowed=narrowed,
        names=names,
        values=values,
        terms=tuple(_terms(names, values)),
        any_of=None
        if any_of is None
        else tuple(sorted(counters.term("service_model_ref", ref) for ref in any_of)),
    )


def _workspaces(
    tx: Transaction, values: Mapping[str, Any], reach: Reach, version: Version, few: int
) -> tuple[int, ...] | None:
    """The workspaces that the list is limited to; None if it is not limited.

    If the query names workspaces, those of them that the reader sees. Otherwise up to `few` + 1 of
    the reader's workspaces: one more than `few` shows that there are too many.
    """
    named: tuple[int, ...] | None = values.get("workspace_id")
    if reach.user_id is None:
        return named
    statement = _WORKSPACES_OF_READER if named is None else _NAMED_WORKSPACES_OF_READER
    key = ("reach", reach, version.reshaped, named, few)
    return tx.remembered(
        key, lambda: tuple([row[0] for row in tx.rows(statement, {**values, "limit": few + 1})])
    )


def _terms(names: tuple[str, ...], values: Mapping[str, Any]) -> list[int]:
    found = [
        counters.term(name, values[PREFIX + name])
        for name in REFERENCE_ATTRIBUTES
        if PREFIX + name in values
    ]
    if HAS in names and not found:
        found.append(counters.REFERENCED)
    return found


def conditions(names: tuple[str, ...], *, indexed: bool = True) -> list[Condition]:
    """The conditions of the filters `names`.

    If not `indexed`, they are written so that no index of reports is used for them.
    """
    known = _CONDITIONS if indexed else _UNINDEXED
    found = [known[name] for name in names if name in known]
    together = [REPORTS.on_reference[name] for name in names if name in REPORTS.on_reference]
    return [*found, has_reference(*together)] if together else found


def within(*, narrowed: bool, limited: bool = False) -> list[Condition]:
    """The report is in the account; if `narrowed`, the reader sees it.

    If `limited`, it is in one of `workspaces`.
    """
    found = [in_account(status_reports)]
    if narrowed:
        found.append(REPORTS.within_reach)
    if limited:
        found.append(among(unindexed(status_reports.c.workspace_id), "workspaces"))
    return found


def beside_a_term(names: tuple[str, ...]) -> tuple[str, ...]:
    """The filters that must still be tested for a report that has the term of one of `names`.

    If there is only one filter on external references, its term already answers it.
    """
    of_reference = [name for name in names if name in (*REPORTS.on_reference, HAS)]
    return names if len(of_reference) > 1 else tuple(n for n in names if n not in of_reference)
