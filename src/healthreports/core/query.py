"""A query and its result: `contract/params` makes a query, `store/lists/pages` answers it.

Nothing here depends on how a query is written in a URL or in SQL.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from healthreports.core.model import Instant, R, Record, WorkspacePermissions
from healthreports.core.vocabulary import DEFAULT_INCLUDE_LIMIT, DEFAULT_PAGE_SIZE, Kind

FilterValue = Instant | bool | str | tuple[int, ...] | tuple[str, ...]


class Filter(msgspec.Struct, frozen=True):
    """One condition: the filter's name in the declaration of the resource, and its value (4.6)."""

    name: str
    value: FilterValue


class Sort(msgspec.Struct, frozen=True):
    """The order of a list; ties are ordered by id, ascending (4.5)."""

    name: str = "id"
    descending: bool = False


class Window(msgspec.Struct, frozen=True):
    """The rows of the sorted list that are requested, and the numbers of `meta` (2.4, 4.1, 4.2)."""

    limit: int = DEFAULT_PAGE_SIZE
    offset: int = 0
    page_size: int = DEFAULT_PAGE_SIZE
    page_number: int = 1


class Query(msgspec.Struct, frozen=True):
    """A query for a list. With `only`, the result is those ids and there is no window (4.3)."""

    kind: Kind
    filters: tuple[Filter, ...] = ()
    sort: Sort = Sort()
    window: Window = Window()
    only: tuple[int, ...] | None = None
    includes: tuple[str, ...] = ()
    optional_fields: tuple[str, ...] = ()
    # The user who sent the query, if the result depends on the user: see OF_CALLER.
    caller: int | None = None
    include_limit: int = DEFAULT_INCLUDE_LIMIT


# The filters and associations that depend on the caller.
OF_CALLER: Final = frozenset({"has_participation", "current_user_participation"})


class Related(msgspec.Struct, frozen=True):
    """One loaded association of a page: which objects are associated with which record.

    `links` maps a record's id to the (kind, id) of its associated objects, in order. `objects`
    holds each of these objects once, by kind and id.
    """

    links: dict[int, list[tuple[Kind, int]]]
    objects: dict[Kind, dict[int, Record]]


class Page(msgspec.Struct, frozen=True):
    """The result: the records in sorted order, and the exact count of the whole query (2.2)."""

    kind: Kind
    records: tuple[Record, ...]
    count: int
    window: Window
    related: dict[str, Related]
    optional_fields: tuple[str, ...] = ()
    # Whether a record that has not changed is the same Python object on every page.
    lasting: bool = False
    # The caller's permissions in each workspace that is on the page or included in it (7.1).
    permissions: Mapping[int, WorkspacePermissions] = {}

    def records_of(self, model: type[R]) -> tuple[R, ...]:
        """The records of the class `model`."""
        return tuple([one for one in self.records if isinstance(one, model)])
