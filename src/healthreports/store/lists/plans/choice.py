"""Chooses the plan that finds a page of status reports.

`choose` counts the matching reports and takes the first entry of `CHOICES` whose condition holds.
`healthreports db explain` prints the entry that it took.

GATHER reads all matching reports. WALK also reads the reports between them, until the page is full.
The cheaper of the two is taken, so the cost of a page grows only with the square root of the number
of reports in the account, unless all matching reports are at the far end of the sort order. That
can happen if the filter is on one time and the sort is by the other.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from healthreports.core.access import Reach
from healthreports.core.query import Query, Sort, Window
from healthreports.store.engine.database import Transaction, Version
from healthreports.store.lists.counts import Sizes, sizes
from healthreports.store.lists.plans.base import Plan
from healthreports.store.lists.plans.blocks import Blocks
from healthreports.store.lists.plans.gather import Gather
from healthreports.store.lists.plans.known import Known
from healthreports.store.lists.plans.merge import Merge
from healthreports.store.lists.plans.newest import Newest
from healthreports.store.lists.plans.seek import Seek
from healthreports.store.lists.plans.terms import AnyTerm, Term
from healthreports.store.lists.plans.walk import Walk
from healthreports.store.lists.report_query import FEW_WORKSPACES, ReportQuery, report_query

# A page of a reader may extend over this many times more reports than if they were evenly spread,
# since workspaces begin and end.
_UNEVEN: Final = 3


class Thresholds(NamedTuple):
    """The limits that the choice of a plan depends on.

    The lists of up to `few` workspaces are merged. Up to `near` rows are skipped one by one; beyond
    that it is faster to find the place where the page begins.
    """

    few: int = FEW_WORKSPACES
    near: int = 1_000


class Facts(NamedTuple):
    """What the choice of a plan depends on. `sizes` is None for a stream: nothing is counted."""

    asked: ReportQuery
    sort: Sort
    window: Window
    sizes: Sizes | None
    thresholds: Thresholds

    @property
    def end(self) -> int:
        """The number of rows up to the end of the page."""
        return self.window.offset + self.window.limit


class Choice(NamedTuple):
    """An entry of `CHOICES`: `plan` is taken `when` the condition holds; `why` describes it."""

    plan: type[Plan]
    when: Callable[[Facts], bool]
    why: str


class Chosen(NamedTuple):
    """A plan, the number of matching reports, and why this plan was chosen."""

    plan: Plan
    sizes: Sizes
    why: str


def _is_dense(facts: Facts) -> bool:
    """Whether WALK costs less than MERGE for a reader who is in a few workspaces.

    WALK also reads reports that the reader does not see. MERGE looks into an index once for each
    workspace.
    """
    asked, found = facts.asked, facts.sizes
    if found is None or asked.workspaces is None or asked.reach.user_id is None:
        return False
    if asked.is_of_named_workspaces:
        return False
    return _UNEVEN * facts.end * found.total <= found.matching * len(asked.workspaces)


def _is_scarce(facts: Facts) -> bool:
    """Whether reading and sorting all that match costs less than WALK until the page is full.

    If they are evenly spread, WALK reads `end * total / matching` reports to find the page.
    """
    found = facts.sizes
    return found is not None and found.matching**2 < facts.end * max(found.total, 1)


def _is_by_filter(facts: Facts) -> bool:
    """Whether another indexed filter matches far fewer reports than the rarest term."""
    return facts.sizes is not None and facts.sizes.by_filter


def _ids_are_known(facts: Facts) -> bool:
    return facts.sizes is not None and facts.sizes.ids is not None and facts.sort.name == "id"


def _is_far(facts: Facts) -> bool:
    return facts.sizes is not None and facts.window.offset > facts.thresholds.near


CHOICES: Final = (
    Choice(Known, _ids_are_known, "counting met the ids of the few reports that match"),
    Choice(Walk, _is_dense, "the reader may see most of the reports before the end of the page"),
    Choice(Merge, lambda facts: Merge.serves(facts.asked, facts.sort), "the workspaces are few"),
    Choice(
        Newest,
        lambda facts: Newest.serves(facts.asked, facts.sort),
        "the list has only the current report of each workspace",
    ),
    Choice(
        AnyTerm,
        lambda facts: AnyTerm.serves(facts.asked, facts.sort),
        "a report must have one of many references",
    ),
    Choice(
        Term,
        lambda facts: (
            Term.serves(facts.asked, facts.sort)
            and (facts.sort.name == "id" or _is_scarce(facts))
            and not _is_by_filter(facts)
        ),
        "a filter on an attribute of a reference; the matching reports are sorted by id, or few",
    ),
    Choice(
        Seek,
        lambda facts: Seek.serves(facts.asked, facts.sort) and _is_far(facts),
        "the page is far into the whole account",
    ),
    Choice(
        Gather,
        lambda facts: (facts.asked.narrowed or facts.asked.is_found) and _is_scarce(facts),
        "few of many reports match",
    ),
    Choice(
        Blocks,
        lambda facts: Blocks.serves(facts.asked, facts.sort),
        "a filter on a time, sorted by id",
    ),
    Choice(Walk, lambda _facts: True, "many match, so the page is soon full"),
)
PLANS: Final = tuple(dict.fromkeys(one.plan for one in CHOICES))


def choose(
    tx: Transaction,
    query: Query,
    reach: Reach,
    version: Version,
    thresholds: Thresholds = Thresholds(),  # noqa: B008  an immutable value
) -> Chosen:
    """The plan for the page that `query` asks for, limited to what is within `reach`.

    `version` is that of the account in this snapshot. The counts and the choice are cached.
    """
    key = ("plan", query, reach, version, thresholds)
    return tx.remembered(key, lambda: _choose(tx, query, reach, version, thresholds))


def _choose(
    tx: Transaction, query: Query, reach: Reach, version: Version, thresholds: Thresholds
) -> Chosen:
    key = ("list", query.filters, reach, version, thresholds.few)

    def count() -> tuple[ReportQuery, Sizes]:
        asked = report_query(tx, query, reach, version, thresholds.few)
        return asked, sizes(tx, asked, version, lambda by_filter: _look(tx, asked, by_filter))

    asked, found = tx.remembered(key, count)
    plan, why = _first(Facts(asked, query.sort, query.window, found, thresholds))
    return Chosen(plan, found, why)


def choose_after(
    tx: Transaction, query: Query, reach: Reach, version: Version, *, after_id: int, number: int
) -> Plan:
    """The plan for the first `number` matching reports, in the order of ids, after `after_id`.

    Nothing is counted: a stream reads until there are no more reports.
    """
    asked = report_query(tx, query, reach, version).after(after_id)
    return _first(Facts(asked, Sort(), Window(limit=number), None, Thresholds()))[0]


# To count, the first of these plans that serves the query reads each report that it finds.
_LOOKING: Final[tuple[type[Plan], ...]] = (Merge, Newest, Term, AnyTerm, Gather)


def _look(tx: Transaction, asked: ReportQuery, by_filter: bool) -> int:  # noqa: FBT001  one argument
    plans = (Merge, Newest, Gather) if by_filter and asked.terms else _LOOKING
    plan = next(one for one in plans if one.serves(asked, Sort()))
    return plan(asked=asked, sort=Sort(), window=Window(), by_filter=by_filter).count(tx)


def _first(facts: Facts) -> tuple[Plan, str]:
    choice = next(one for one in CHOICES if one.when(facts))
    return planned(choice.plan, facts), choice.why


def planned(plan: type[Plan], facts: Facts) -> Plan:
    """An instance of `plan` for these facts."""
    asked, sort, window, found, _ = facts
    if plan is Known:
        assert found is not None  # the condition of Known requires the ids
        assert found.ids is not None
        return Known(asked=asked, sort=sort, window=window, ids=found.ids)
    by_filter = found is not None and found.by_filter
    return plan(asked=asked, sort=sort, window=window, by_filter=by_filter)
