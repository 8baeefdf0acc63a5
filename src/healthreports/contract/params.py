"""The query string as a `Query`: paging, order, includes and filters.

Paging, order and include never fail; a filter with an invalid value is an error that names the
parameter. `store/lists/selections` says what a filter selects. Contract: 4.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl

from healthreports.contract.moments import as_datetime, read_instant
from healthreports.contract.resources import RESOURCES, FilterSpec, FilterType, Resource
from healthreports.core.errors import BadParameter, FilterNotServed
from healthreports.core.query import Filter, FilterValue, Query, Sort, Window
from healthreports.core.rules.reading import kept_address
from healthreports.core.vocabulary import (
    ALSO_FAILED,
    DEFAULT_PAGE_SIZE,
    MAX_ID,
    MAX_LISTED,
    MAX_PAGE_SIZE,
    Kind,
)

Params = Mapping[str, str]

_NOT_OF_STREAMS: Final = {
    "only": "left out: a stream has only filters and after_id",
    **dict.fromkeys(
        ("page", "per_page", "limit", "offset"),
        "left out: a stream has no pages; resume it with after_id",
    ),
}

_ARRAY: Final = "[]"
_SEARCH: Final = "search"
# Documented as arrays (`neighbours.md`, 0), so a generated client repeats these parameters.
_ADDING_UP: Final = frozenset({"optional_fields", "with_users", "without_users"})
_LEADING_INTEGER: Final = re.compile(r"\s*([+-]?[0-9]+(?:_[0-9]+)*)", re.ASCII)
_INTEGER: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)
# By default Python reads integers of at most 4,300 digits.
_MOST_DIGITS: Final = 4_000


def shown_by(resource: Resource) -> tuple[FilterSpec, ...]:
    """The filters that also apply to a single record, and those that replace one of them (7)."""
    others = {name for one in resource.filters for name in one.replaced_by}
    return tuple(one for one in resource.filters if one.default is not None or one.name in others)


_DEFAULTS: Final = {kind: shown_by(resource) for kind, resource in RESOURCES.items()}
_DEFAULT_FILTERS: Final = {
    kind: tuple(Filter(spec.name, spec.default) for spec in specs if spec.default is not None)
    for kind, specs in _DEFAULTS.items()
}
# The values that brainstem reads as true here; any other value switches default filters off.
_APPLY_DEFAULTS: Final = ("true", "TRUE", "1")
_FLAGS: Final = {"true": True, "TRUE": True, "false": False, "FALSE": False}


def read_params(query_string: str) -> Params:
    """The parameters of a query string. Contract: 1.6.

    If a parameter is repeated, its last value counts. But the values of a parameter that is
    documented as an array, or that ends in `[]`, are joined with commas.
    """
    if not query_string:
        return {}
    pairs = parse_qsl(query_string, keep_blank_values=True)
    params = dict(pairs)
    for name in params:
        if name.endswith(_ARRAY) or name in _ADDING_UP:
            params[name] = ",".join(v for key, v in pairs if key == name and v.strip())
    return params


def list_query(kind: Kind, query_string: str) -> Query:
    """The query in the query string of a list. Raises BadParameter. Contract: 4."""
    if len(query_string) > _SHORT_QUERY:
        return _list_query(kind, query_string)
    return _remembered_list_query(kind, query_string)


def _list_query(kind: Kind, query_string: str) -> Query:
    resource, params = RESOURCES[kind], read_params(query_string)
    only, filters = _only(params), _filters(resource, params)
    if only is not None:  # a search does not apply to ids in `only`
        filters = tuple(one for one in filters if one.name != _SEARCH)
    return Query(
        kind=resource.kind,
        filters=filters,
        sort=_sort(resource, params),
        window=page_window(params),
        only=only,
        includes=_includes(resource, params),
        optional_fields=_optional_fields(resource, params),
    )


# Clients send the same few queries again and again; a long one is not worth its memory.
_SHORT_QUERY: Final = 200
_remembered_list_query: Final = lru_cache(maxsize=1024)(_list_query)


def narrowing(resource: Resource, params: Params) -> dict[str, FilterValue | int]:
    """The filters of a list without orders, by name; an id is an integer. Raises BadParameter."""
    found: dict[str, FilterValue | int] = {}
    for one in _filters(resource, params):
        value = one.value
        found[one.name] = (value[0] if value else 0) if isinstance(value, tuple) else value
    return found


def stream_query(resource: Resource, params: Params) -> tuple[Query, int]:
    """The query for all records that match, and the id to resume after: 0 for the start.

    Raises BadParameter, also for what a stream does not support: pages, and another order.
    """
    for name, expected in _NOT_OF_STREAMS.items():
        if params.get(name, "").strip():
            raise BadParameter(name, expected)
    if _sort(resource, params) != Sort():
        raise BadParameter("order", "left out: a stream is ordered by id")
    after = params.get("after_id", "0").strip() or "0"
    after_id = read_id(after)
    if after_id is None:
        raise BadParameter("after_id", "the id of the last line that you received")
    return Query(resource.kind, _filters(resource, params)), after_id


def show_query(resource: Resource, params: Params, record_id: int) -> Query:
    """The query for one record: `include`, `optional_fields` and the default filters apply.

    Raises BadParameter. Contract: 5.1, 7.
    """
    if not params:
        return Query(resource.kind, _DEFAULT_FILTERS[resource.kind], only=(record_id,))
    return Query(
        kind=resource.kind,
        filters=_filters(resource, params, defaults_only=True),
        only=(record_id,),
        includes=_includes(resource, params),
        optional_fields=_optional_fields(resource, params),
    )


def written_query(resource: Resource, params: Params) -> Query:
    """The query for records just written: `include` and `optional_fields` apply. Contract: 2.5."""
    return Query(
        kind=resource.kind,
        includes=_includes(resource, params),
        optional_fields=_optional_fields(resource, params),
    )


def ruby_integer(text: str) -> int:
    """The integer at the start of `text`, of any size; 0 if there is none. Contract: 4.1."""
    match = _LEADING_INTEGER.match(text)
    return 0 if match is None else int(match[1].replace("_", "")[:_MOST_DIGITS])


def page_window(params: Params) -> Window:
    """The page that is requested. Contract: 4.1, 4.2."""
    page = ruby_integer(params.get("page", "1"))
    size = ruby_integer(params.get("per_page", "0"))
    size = min(size, MAX_PAGE_SIZE) if size >= 1 else DEFAULT_PAGE_SIZE
    limit, offset = params.get("limit", ""), params.get("offset", "")
    if limit.strip() and offset.strip():
        rows = min(max(ruby_integer(limit), 1), MAX_PAGE_SIZE)
        return Window(rows, min(max(ruby_integer(offset), 0), MAX_ID), size, page)
    return Window(size, min((max(page, 1) - 1) * size, MAX_ID), size, page)


def _only(params: Params) -> tuple[int, ...] | None:
    only = _listed(params, "only")
    if not only.strip():
        return None
    return _possible(
        {ruby_integer(part) for part in only.split(",") if part.isascii() and part.isdigit()}
    )


def _listed(params: Params, name: str) -> str:
    """The value of a parameter that is a list, in either of its forms (1.6)."""
    return params.get(name) or params.get(name + _ARRAY, "")


def _includes(resource: Resource, params: Params) -> tuple[str, ...]:
    include = _listed(params, "include")
    if not include:
        return ()
    names = dict.fromkeys(include.split(","))
    return tuple(name for name in names if resource.association(name))


def _optional_fields(resource: Resource, params: Params) -> tuple[str, ...]:
    names = _listed(params, "optional_fields")
    if not names:
        return ()
    asked = {name.strip() for name in names.split(",")}
    return tuple(one.name for one in resource.fields if one.optional and one.name in asked)


def _sort(resource: Resource, params: Params) -> Sort:
    name, *direction = params.get("order", "").split(":")
    if name not in resource.sorts:
        is_search = any(one.name == _SEARCH for one in resource.filters)
        return Sort() if is_search and params.get(_SEARCH, "").strip() else resource.default_sort
    return Sort(name, descending=direction[:1] == ["desc"])


def _filters(
    resource: Resource, params: Params, *, defaults_only: bool = False
) -> tuple[Filter, ...]:
    apply_defaults = params.get("apply_default_filters", "true") in _APPLY_DEFAULTS
    found: list[Filter] = []
    if not defaults_only:
        _demand_served(resource, params)
    specs = _DEFAULTS[resource.kind] if defaults_only else resource.filters
    sent = {
        spec.name: Filter(spec.name, _value(spec, text))
        for spec in specs
        if (text := _listed(params, spec.name)).strip()
    }
    for spec in specs:
        if spec.name in sent:
            # A false ONLY filter does not narrow the list; but it switches off its own default.
            if sent[spec.name].value is not False or spec.type is not FilterType.ONLY:
                found.append(sent[spec.name])
        elif spec.default is not None and apply_defaults:
            if not any(sent[one].value is not False for one in spec.replaced_by if one in sent):
                found.append(Filter(spec.name, spec.default))
        elif spec.required and not _listed(params, "only").strip():
            # brainstem-js requests associated objects with `only` and nothing else.
            raise BadParameter(spec.name, "present")
    return tuple(found)


def _demand_served(resource: Resource, params: Params) -> None:
    """Raise FilterNotServed for a filter that the original has, and that would be ignored here."""
    for name in params:
        plain = name.removesuffix(_ARRAY)
        default = resource.not_served.get(plain)
        if default is not None and params[name].strip().lower() not in ("", default):
            raise FilterNotServed(plain)


def _value(spec: FilterSpec, text: str) -> FilterValue:
    if spec.choices:
        return _chosen(spec, text)
    read, expected = _READERS[spec.type]
    try:
        return read(text)
    except ValueError as error:
        raise BadParameter(spec.name, expected) from error


def _chosen(spec: FilterSpec, text: str) -> FilterValue:
    several = spec.type is FilterType.CHOICES
    parts = [part.strip() for part in text.split(",")] if several else [text.strip()]
    if not all(part in spec.choices for part in parts):
        expected = ", ".join(spec.choices)
        raise BadParameter(spec.name, f"{'among' if several else 'one of'} {expected}")
    return tuple(sorted(set(parts))) if several else parts[0]


def read_id(text: str) -> int | None:
    """The id in a part of a path; None if it is not a possible id. Contract: 5.1."""
    if text.isascii() and text.isdigit() and len(text) <= len(str(MAX_ID)):
        number = int(text)
        if number <= MAX_ID:
            return number
    return None


def _flag(text: str) -> bool:
    try:
        return _FLAGS[text.strip()]
    except KeyError as error:
        raise ValueError(text) from error


def _ids(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > MAX_LISTED or not all(_INTEGER.fullmatch(part) for part in parts):
        raise ValueError(text)
    return _possible({ruby_integer(part) for part in parts})


def _one_id(text: str) -> tuple[int, ...]:
    if not _INTEGER.fullmatch(text.strip()):
        raise ValueError(text)
    return _possible({ruby_integer(text)})


def _possible(ids: set[int]) -> tuple[int, ...]:
    """Those of `ids` that a record can have; no record has the others."""
    return tuple(sorted(one for one in ids if 0 <= one <= MAX_ID))


def _date(text: str) -> str:
    return as_datetime(read_instant(text)).date().isoformat()


def _sync_status(text: str) -> str:
    return ALSO_FAILED.get(text, text)


def _addresses(text: str) -> tuple[str, ...]:
    return _texts(kept_address(text).replace(", ", ","))


def _texts(text: str) -> tuple[str, ...]:
    parts = dict.fromkeys(part for part in text.split(",") if part)
    if len(parts) > MAX_LISTED:
        raise ValueError(text)
    return tuple(parts)


_READERS: Final[dict[FilterType, tuple[Callable[[str], FilterValue], str]]] = {
    FilterType.TIME: (read_instant, "an ISO 8601 date or date-time"),
    FilterType.DATE: (_date, "an ISO 8601 date"),
    FilterType.FLAG: (_flag, "true or false"),
    FilterType.ONLY: (_flag, "true or false"),
    FilterType.ID: (_one_id, "an integer"),
    FilterType.IDS: (_ids, f"an integer, or at most {MAX_LISTED} of them separated by commas"),
    FilterType.TEXT: (str, "text"),
    FilterType.TEXTS: (_texts, f"at most {MAX_LISTED} values separated by commas"),
    FilterType.ADDRESS: (kept_address, "an e-mail address"),
    FilterType.ADDRESSES: (_addresses, f"at most {MAX_LISTED} addresses separated by commas"),
    FilterType.WORDS: (str, "text"),
    FilterType.SYNC_STATUS: (_sync_status, "text"),
}
# The types of filters whose values are listed in `choices`.
CHOOSING: Final = frozenset({FilterType.CHOICE, FilterType.CHOICES, FilterType.CATEGORY_COLOR})
