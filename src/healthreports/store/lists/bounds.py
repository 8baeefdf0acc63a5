"""The lists that look at more when an account has more, with the reason and the bound.

`tests/store/test_every_list.py` tries every filter, order and include that is declared, alone and
in pairs; what is not here may not grow. `docs/explanation/growing.md` has the same table.
"""

from enum import StrEnum
from typing import Final, NamedTuple

from healthreports.core.vocabulary import Kind


class Caller(StrEnum):
    """Who asks: how much of the account it sees."""

    ADMINISTRATOR = "administrator"
    IN_FEW = "participant in few workspaces"
    IN_MANY = "participant in many workspaces"


class Bound(NamedTuple):
    """Lists that may grow: of `kinds`, for `callers`, where one of `filters` is asked for.

    Without kinds, callers or filters: whatever they are.
    """

    reason: str
    bound: str
    kinds: frozenset[Kind] = frozenset(Kind)
    callers: frozenset[Caller] = frozenset(Caller)
    filters: frozenset[str] = frozenset()

    def covers(self, kind: Kind, caller: Caller, filters: frozenset[str]) -> bool:
        """Whether this is why such a list may grow."""
        return (
            kind in self.kinds
            and caller in self.callers
            and (not self.filters or not self.filters.isdisjoint(filters))
        )


MAY_GROW: Final = (
    Bound(
        "Finding and counting what has the words of a search.",
        "The records of the account that have them.",
        filters=frozenset({"matching", "search", "text", "by_full_name"}),
    ),
    Bound(
        "People whom a participant sees: those of all its workspaces, each once.",
        "The users of the account.",
        kinds=frozenset({Kind.USERS}),
        callers=frozenset({Caller.IN_FEW, Caller.IN_MANY}),
    ),
)
# Counting by two filters or more, or by one of what a participant sees: no counter has that. It is
# bounded by what the best index leaves, and the page itself does not grow.
COUNTS_MAY_GROW: Final = Bound(
    "Counting by a pair of filters; what a participant sees counts as one.",
    "The records that the best index leaves.",
)
# Where many match, but all of them at the far end of the order, no index has both: ten million
# reports took up to 1.3 s (`bench/RESULTS.md`, every list on SQLite).
PAGES_MAY_GROW: Final = Bound(
    "A page of reports by a time and another filter, in an order that runs against that time.",
    "The reports before the first that match.",
    kinds=frozenset({Kind.STATUS_REPORTS}),
)
