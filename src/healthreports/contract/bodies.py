"""Reads request bodies (JSON, Rails-style forms, multipart) as attributes under a root key.

`core/rules` checks the attributes. Contract: 1.3 to 1.5.
"""

import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import parse_qsl

import multipart  # type: ignore[import-untyped]  # ships no types

from healthreports.core.errors import MalformedBody, RootMissing, UnsupportedMedia
from healthreports.core.vocabulary import MAX_BODY_DEPTH, MAX_FORM_FIELDS

Container = TypeVar("Container", dict[str, Any], list[Any])

_CHARSETS: Final = ("utf-8", "utf8", "us-ascii")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9a-fA-F]{2})")
# `details[0][color]`: a name, then keys in brackets. Text after the last bracket is ignored.
_KEYS: Final = re.compile(r"\[([^\[\]]*)\]")


class Body(NamedTuple):
    """A body: the attributes under the root key, and the parameters next to it.

    `many` has the attributes of several records, if the body has an array of them instead.
    """

    attributes: Mapping[str, Any]
    params: Mapping[str, str]
    many: Sequence[Any] | None = None


def read_body(body: bytes, content_type: str, root: str, many_root: str | None = None) -> Body:
    """Read a body of `content_type`: the attributes under `root`, and the parameters next to it.

    A text, or an array of texts, next to the root key counts as a parameter: Rails merges the body
    and the query string, and brainstem-js sends its `include` in the body. With a `many_root`, an
    array under that key is also accepted. Raises UnsupportedMedia, MalformedBody, RootMissing.
    Contract: 1.3, 1.4, 1.5.
    """
    read = _read(body, content_type) if body else {}
    found = read.get(root) if isinstance(read, dict) else None
    many = read.get(many_root) if isinstance(read, dict) and many_root and not found else None
    if not isinstance(found, dict) and not isinstance(many, list):
        raise RootMissing(root, _media_of(content_type)[0])
    beside = {name: _as_param(one) for name, one in read.items() if name not in (root, many_root)}
    params = {name: value for name, value in beside.items() if value is not None}
    return Body(found if isinstance(found, dict) else {}, params, many)


def demand_readable(body: bytes, content_type: str) -> None:
    """Raise MalformedBody or UnsupportedMedia for a body that cannot be read. Contract: 1.5."""
    _read(body, content_type)


def _as_param(value: object) -> str | None:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ",".join(value)
    return value if isinstance(value, str) else None


@lru_cache(maxsize=64)  # clients send the same few types again and again
def _media_of(content_type: str) -> tuple[str, Mapping[str, str]]:
    found: tuple[str, Mapping[str, str]] = multipart.parse_options_header(content_type)
    return found


def _read(body: bytes, content_type: str) -> Any:  # noqa: ANN401  JSON is any value
    media, options = _media_of(content_type)
    reader = _READERS.get(media.lower())
    if reader is None or options.get("charset", "utf-8").lower() not in _CHARSETS:
        raise UnsupportedMedia
    return reader(body, options)


def _json(body: bytes, _options: Mapping[str, str]) -> Any:  # noqa: ANN401  JSON is any value
    # The parser of the standard library, and not of msgspec, because it accepts a lone surrogate.
    # That is then reported as a problem of its attribute (5.7), and not of the whole body.
    try:
        value = _decode(body.decode())
    except (ValueError, RecursionError) as error:
        raise MalformedBody("it is not JSON") from error
    # A body with few brackets has few levels, so most bodies need no second pass.
    brackets = body.count(b"{") + body.count(b"[")
    if brackets > MAX_BODY_DEPTH and _is_deeper(value, MAX_BODY_DEPTH):
        raise _too_deep()
    return value


def _no_constant(name: str) -> None:
    raise ValueError(name)


_decode: Final = json.JSONDecoder(parse_constant=_no_constant).decode


def _form(body: bytes, _options: Mapping[str, str]) -> dict[str, Any]:
    return nest(form_pairs(body))


def form_pairs(body: bytes) -> list[tuple[str, str]]:
    """The names and values of a URL-encoded form, in their order. Raises MalformedBody."""
    try:
        text = body.decode("ascii")
        if _BAD_ESCAPE.search(text):
            raise MalformedBody("it has a % without two hexadecimal digits after it")
        return parse_qsl(
            text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FORM_FIELDS
        )
    except ValueError as error:
        raise MalformedBody("it is not a URL-encoded form in UTF-8") from error


def _multipart(body: bytes, options: Mapping[str, str]) -> dict[str, Any]:
    parser = multipart.MultipartParser(
        io.BytesIO(body),
        options.get("boundary", ""),
        len(body),
        part_limit=MAX_FORM_FIELDS,
        spool_limit=len(body),
        memory_limit=len(body),
        strict=True,
    )
    try:
        parts = list(parser)
        if any(part.filename is not None for part in parts):
            raise MalformedBody("it contains a file, and files are not supported")
        if not all(part.charset.lower() in _CHARSETS for part in parts):
            raise MalformedBody("it has a part that is not in UTF-8")
        return nest((part.name, part.raw.decode()) for part in parts)
    except (multipart.MultipartError, ValueError) as error:
        raise MalformedBody("it is not a multipart form in UTF-8") from error


def nest(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The nested value that Rails-style names describe.

    `a[b]=1` is a key, `a[]=1` an element; in `a[][b]=1&a[][b]=2` the repeated key starts the next
    element; a level whose keys are all digits is an array, in the order of the numbers. An array of
    one blank element is an empty array: a form has no other way to send one.
    Raises MalformedBody if one name is used for two kinds of value. Contract: 1.3.
    """
    root: dict[str, Any] = {}
    for name, value in pairs:
        head = name.split("[", 1)[0]
        keys = _KEYS.findall(name[len(head) :])
        if len(keys) >= MAX_BODY_DEPTH:
            raise _too_deep()
        _place(root, head, keys, value)
    return {key: _settled(value) for key, value in root.items()}


def _place(level: dict[str, Any], key: str, keys: list[str], value: str) -> None:
    """Put `value` into `level` under `key`, then `keys`; an empty key means the next element."""
    if not keys:
        if isinstance(level.get(key), dict | list):
            raise _two_kinds(key)
        level[key] = value
    elif keys[0]:
        _place(_child(level, key, dict), keys[0], keys[1:], value)
    elif len(keys) == 1:
        _child(level, key, list).append(value)
    else:
        elements = _child(level, key, list)
        if not elements or not isinstance(elements[-1], dict) or _has(elements[-1], keys[1:]):
            elements.append({})
        _place(elements[-1], keys[1], keys[2:], value)


def _child(level: dict[str, Any], key: str, kind: type[Container]) -> Container:
    child = level.setdefault(key, kind())
    if not isinstance(child, kind):
        raise _two_kinds(key)
    return child


def _has(element: dict[str, Any], keys: list[str]) -> bool:
    """Whether `element` already has a value at `keys`; an array can always take another one."""
    found: Any = element
    for key in keys:
        if not key or not isinstance(found, dict) or key not in found:
            return False
        found = found[key]
    return True


def _settled(value: Any) -> Any:  # noqa: ANN401  forms nest to any depth
    if isinstance(value, list):
        return [] if value == [""] else [_settled(element) for element in value]
    if not isinstance(value, dict):
        return value
    if all(key.isascii() and key.isdigit() for key in value):
        return [_settled(value[key]) for key in sorted(value, key=lambda key: (len(key), key))]
    return {key: _settled(element) for key, element in value.items()}


def _two_kinds(key: str) -> MalformedBody:
    # The name comes from the caller and may be long, so the message shows only its start.
    return MalformedBody(f"{key[:40]!r} is used for two kinds of value")


def _too_deep() -> MalformedBody:
    return MalformedBody(f"it is nested deeper than {MAX_BODY_DEPTH} levels")


def _is_deeper(value: object, levels: int) -> bool:
    if isinstance(value, dict):
        return levels == 0 or any(_is_deeper(child, levels - 1) for child in value.values())
    if isinstance(value, list):
        return levels == 0 or any(_is_deeper(child, levels - 1) for child in value)
    return False


_READERS: Final[dict[str, Callable[[bytes, Mapping[str, str]], Any]]] = {
    "application/json": _json,
    "application/x-www-form-urlencoded": _form,
    "multipart/form-data": _multipart,
}
