"""Which plan finds a page of status reports: one table, read from the top.

`choose` counts what matches and takes the first line of `CHOICES` whose condition holds.
`healthreports db explain` prints the line that it took.

GATHER and WALK cost the same where as many match as there are pages between two of them; the table
takes the cheaper one, so that a page costs no more than the square root of what the account holds,
as long as what matches is not all at the far end: two times may run against each other.
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

# How much further than if evenly spread a page of a reader may reach: workspaces begin and end.
_UNEVEN: Final = 3


class Thresholds(NamedTuple):
    """Numbers that a plan is chosen by.

    The lists of up to `few` workspaces are merged. Up to `near` rows are skipped one by one; from
    there on it pays to look for where a page begins.
    """

    few: int = FEW_WORKSPACES
    near: int = 1_000


class Facts(NamedTuple):
    """What a plan is chosen by; `sizes` is None where nothing was counted: for a stream."""

    asked: ReportQuery
    sort: Sort
    window: Window
    sizes: Sizes | None
    thresholds: Thresholds

    @property
    def end(self) -> int:
        """How many rows there are up to the end of the page."""
        return self.window.offset + self.window.limit


class Choice(NamedTuple):
    """A line of the table: `plan` is taken `when` its condition holds, `why` says which that is."""

    plan: type[Plan]
    when: Callable[[Facts], bool]
    why: str


class Chosen(NamedTuple):
    """A plan, how many reports match, and why it is this plan."""

    plan: Plan
    sizes: Sizes
    why: str


def _is_dense(facts: Facts) -> bool:
    """Whether to walk past what a reader does not see is less than to look into each workspace."""
    asked, found = facts.asked, facts.sizes
    if found is None or asked.workspaces is None or asked.reach.user_id is None:
        return False
    if asked.is_of_named_workspaces:
        return False
    return _UNEVEN * facts.end * found.total <= found.matching * len(asked.workspaces)


def _is_scarce(facts: Facts) -> bool:
    """Whether to fetch all that match and sort them is less than to walk until the page is full."""
    found = facts.sizes
    return found is not None and found.matching**2 < facts.end * max(found.total, 1)


def _is_by_filter(facts: Facts) -> bool:
    """Whether another filter leaves fewer than the rarest term."""
    return facts.sizes is not None and facts.sizes.by_filter


def _ids_are_known(facts: Facts) -> bool:
    return facts.sizes is not None and facts.sizes.ids is not None and facts.sort.name == "id"


def _is_far(facts: Facts) -> bool:
    return facts.sizes is not None and facts.window.offset > facts.thresholds.near


CHOICES: Final = (
    Choice(Known, _ids_are_known, "counting met the ids of the few reports that match"),
    Choice(Walk, _is_dense, "the reader sees most of what is on the way to the page"),
    Choice(Merge, lambda facts: Merge.serves(facts.asked, facts.sort), "the workspaces are few"),
    Choice(
        Newest,
        lambda facts: Newest.serves(facts.asked, facts.sort),
        "only the current report of each workspace is asked for",
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
        "a report must have an attribute of a reference, and they are in order or few",
    ),
    Choice(
        Seek,
        lambda facts: Seek.serves(facts.asked, facts.sort) and _is_far(facts),
        "the page is far into the whole account",
    ),
    Choice(
        Gather,
        lambda facts: (facts.asked.narrowed or facts.asked.is_found) and _is_scarce(facts),
        "few match among many",
    ),
    Choice(
        Blocks,
        lambda facts: Blocks.serves(facts.asked, facts.sort),
        "a time is asked for, in the order of ids",
    ),
    Choice(Walk, lambda _facts: True, "many match, so the page is soon full"),
)
PLANS: Final = tuple(dict.fromkeys(one.plan for one in CHOICES))


def choose(
    tx: Transaction,
    query: Query,
    reach: Reach,
    version: Version,
    thresholds: Thresholds = Thresholds(),  # noqa: B008  a value
) -> Chosen:
    """The plan for the page that `query` asks for, of what a reader within `reach` sees.

    `version` is that of the account in this snapshot; what was counted and chosen is remembered.
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
    """The plan for the first `number` reports that match, by id, of those above `after_id`.

    Nothing is counted: a stream reads until there is no more.
    """
    asked = report_query(tx, query, reach, version).after(after_id)
    return _first(Facts(asked, Sort(), Window(limit=number), None, Thresholds()))[0]


# The first that serves looks at each report that it finds.
_LOOKING: Final[tuple[type[Plan], ...]] = (Merge, Newest, Term, AnyTerm, Gather)


def _look(tx: Transaction, asked: ReportQuery, by_filter: bool) -> int:  # noqa: FBT001  one argument
    plans = (Merge, Newest, Gather) if by_filter and asked.terms else _LOOKING
    plan = next(one for one in plans if one.serves(asked, Sort()))
    return plan(asked=asked, sort=Sort(), window=Window(), by_filter=by_filter).count(tx)


def _first(facts: Facts) -> tuple[Plan, str]:
    choice = next(one for one in CHOICES if one.when(facts))
    return planned(choice.plan, facts), choice.why


def planned(plan: type[Plan], facts: Facts) -> Plan:
    """The plan as a value, for these facts."""
    asked, sort, window, found, _ = facts
    if plan is Known:
        assert found is not None  # its condition demands the ids
        assert found.ids is not None
        return Known(asked=asked, sort=sort, window=window, ids=found.ids)
    by_filter = found is not None and found.by_filter
    return plan(asked=asked, sort=sort, window=window, by_filter=by_filter)
