"""The only builder of the envelope: a page as the bytes of an answer. Follows sections 2 and 3."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from operator import add
from typing import Any, Final

import msgspec

from healthreports.contract.moments import as_datetime
from healthreports.contract.resources import (
    RESOURCES,
    SHOWN,
    Association,
    Field,
    FieldType,
    Resource,
)
from healthreports.core.model import Record, WorkspacePermissions
from healthreports.core.query import Page
from healthreports.core.tags import Tags, digest_of
from healthreports.core.vocabulary import Kind

_encode: Final = msgspec.json.Encoder().encode

Link = tuple[Kind, int]


# A record as JSON in two forms, and its digest. The first form is its element of `results`. The
# second is its entry in the objects of its kind, without the closing brace, so that more attributes
# can be added.
_Piece = tuple[bytes, bytes, str]


def envelope(page: Page) -> bytes:
    """The envelope around `page`, as UTF-8 JSON. Contract: 2."""
    return _envelope(page, _of_records(page))


def shown(page: Page, tags: Tags) -> tuple[bytes, str]:
    """The envelope around a `page` of one record, and its entity tag. Contract: 2.5, 8.1."""
    pieces = _of_records(page)
    body, [(_, _, digest)] = _envelope(page, pieces), pieces
    more = page.related or page.optional_fields or page.kind in _OF_CALLER
    return body, tags.of_answer(digest, body) if more else tags.of_record(digest)


def _of_records(page: Page) -> list[_Piece]:
    return (_pieces.of if page.lasting else _written)(page.kind, page.records)


def _envelope(page: Page, pieces: Sequence[_Piece]) -> bytes:
    kind = page.kind
    entries = [entry for _, entry, _ in pieces]
    if page.related or page.optional_fields or kind is Kind.WORKSPACES:
        for more in _more(page):
            entries = list(map(add, entries, more))
    return b'{"count":%d,"results":[%b]%b%b,"meta":%b}' % (
        page.count,
        b",".join([result for result, _, _ in pieces]),
        _objects(kind, entries),
        _side_loads(page) if page.related else b"",
        _meta(page),
    )


def _objects(kind: Kind, entries: Collection[bytes]) -> bytes:
    """A top-level key with its objects, with a comma in front."""
    if not entries:
        return b',"%b":{}' % _KEYS[kind]
    return b',"%b":{%b}}' % (_KEYS[kind], b"},".join(entries))


def _more(page: Page) -> Iterator[list[bytes]]:
    """The attributes that are requested, or depend on the caller, for each record."""
    records = page.records
    for name in page.optional_fields:  # none of them needs conversion
        attribute = name.encode()
        yield [b',"%b":%b' % (attribute, _encode(getattr(record, name))) for record in records]
    for name, related in page.related.items():
        association = _association(page.kind, name)
        if not association.column:
            write, links = _links_writer(association), related.links
            link = association.link.encode()
            yield [b',"%b":%b' % (link, write(links.get(record.id, ()))) for record in records]
    if page.kind is Kind.WORKSPACES:
        yield _permissions([page.permissions[record.id] for record in records])


def _side_loads(page: Page) -> bytes:
    """The top-level keys of the side-loaded objects, each object once (2.6, 2.7)."""
    objects: dict[Kind, dict[int, bytes]] = {}
    of, may = _pieces.of, page.permissions
    for name, related in page.related.items():
        association = _association(page.kind, name)
        if not association.is_polymorphic:
            objects.setdefault(association.kinds[0], {})
        for kind, found in related.objects.items():
            entries = [entry for _, entry, _ in of(kind, found.values())]
            if kind is Kind.WORKSPACES:
                entries = list(map(add, entries, _permissions([may[one] for one in found])))
            objects.setdefault(kind, {}).update(zip(found, entries, strict=True))
    return b"".join([_objects(kind, entries.values()) for kind, entries in objects.items()])


def _association(kind: Kind, name: str) -> Association:
    association = RESOURCES[kind].association(name)
    assert association is not None  # `contract/params` accepts no other name
    return association


def write_record(record: Record, kind: Kind = Kind.STATUS_REPORTS) -> dict[str, Any]:
    """The plain attributes of a record of a kind, as in the envelope. Contract: 3."""
    return _WRITE[kind](record)


def _permissions(of: Sequence[WorkspacePermissions]) -> list[bytes]:
    """The permissions in each workspace as JSON; each different value is encoded once."""
    written = {id(one): one for one in of}
    texts = {which: b',"permissions":%b' % _encode(one) for which, one in written.items()}
    return [texts[id(one)] for one in of]


def _written(kind: Kind, records: Iterable[Record]) -> list[_Piece]:
    """The plain attributes of records, as JSON."""
    key, write = _KEYS[kind], _WRITE[kind]
    return [
        (
            b'{"key":"%b","id":"%d"}' % (key, one.id),
            b'"%d":%b' % (one.id, _encode(write(one))[:-1]),
            digest_of(one),
        )
        for one in records
    ]


class _Pieces:
    """A cache of records as JSON, by kind and id. An entry is used for the same object only.

    The store returns the same object as long as a record has not changed. With the cache, a page of
    20 reports takes 0.5 of the time, and with three includes 0.4 (`bench/RESULTS.md`, list-20 and
    list-20-include).
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._known: dict[Kind, dict[int, tuple[Record, _Piece]]] = {kind: {} for kind in Kind}

    def of(self, kind: Kind, records: Iterable[Record]) -> list[_Piece]:
        """The plain attributes of records, as JSON."""
        known, pieces = self._known[kind].get, []
        for record in records:
            before = known(record.id)
            if before is not None and before[0] is record:
                pieces.append(before[1])
            else:
                pieces.append(self._keep(kind, record))
        return pieces

    def _keep(self, kind: Kind, record: Record) -> _Piece:
        [piece] = _written(kind, (record,))
        size = len(piece[1]) + _PIECE_BYTES
        known = self._known[kind]
        replaced = known.pop(record.id, None)  # unless another thread has done so
        if replaced is not None:
            self._bytes -= len(replaced[1][1]) + _PIECE_BYTES
        if self._bytes + size > self._most_bytes:
            for each in self._known.values():
                each.clear()
            self._bytes = 0
        if size <= self._most_bytes:
            self._bytes += size
            known[record.id] = (record, piece)
        return piece

    @property
    def kept_bytes(self) -> int:
        """The size of the cache in bytes."""
        return self._bytes


# The bytes that a cached piece needs in addition to its JSON. The record needs about that at most.
_PIECE_BYTES: Final = 380
MOST_PIECES_BYTES: Final = 4 * 1024 * 1024
_pieces: Final = _Pieces(MOST_PIECES_BYTES)


def _links_writer(association: Association) -> Callable[[Sequence[Link]], bytes]:
    """The function that writes the links of a record: to many, to one, or to one of any kind."""
    if association.is_polymorphic:
        return _polymorphic_link
    return _links if association.many else _link


def _links(links: Sequence[Link]) -> bytes:
    if len(links) == 1:  # the most common case
        return b'["%d"]' % links[0][1]
    return b"[%b]" % b",".join([b'"%d"' % target for _, target in links])


def _link(links: Sequence[Link]) -> bytes:
    return b'"%d"' % links[0][1] if links else b"null"


def _polymorphic_link(links: Sequence[Link]) -> bytes:
    return b'{"key":"%b","id":"%d"}' % (_KEYS[links[0][0]], links[0][1]) if links else b"null"


def _meta(page: Page) -> bytes:
    size, number = page.window.page_size, page.window.page_number if page.count else 0
    return b'{"count":%d,"page_count":%d,"page_number":%d,"page_size":%d}' % (
        page.count,
        -(-page.count // size),
        number,  # as sent (2.4)
        size,
    )


def _writer(resource: Resource) -> Callable[[Record], dict[str, Any]]:
    """Compile a function that writes a record as a dict, from the declaration of its resource.

    Python compiles the methods of dataclasses and named tuples in the same way. A loop over the
    fields takes 1.7 to 2.2 times as long (`bench/writers.py`), and a page has up to 200 records.
    Field names are our own identifiers, never input.
    """
    fields = [one for one in resource.fields if not one.optional and not one.of_caller]
    items = ", ".join(f"{field.name!r}: {_expression(field)}" for field in fields)
    made_by = {f"make_{one.name}": one.made_by for one in fields if one.made_by is not None}
    write: Callable[[Record], dict[str, Any]] = eval(  # noqa: S307  see above
        f"lambda record: {{{items}}}", {"str": str, "as_datetime": as_datetime, **made_by}
    )
    return write


def _expression(field: Field) -> str:
    if field.made_by is not None:
        return f"make_{field.name}(record)"
    value = f"record.{field.name}"
    written = _EXPRESSIONS.get(field.type, "{}").format(value)
    return f"None if {value} is None else {written}" if field.nullable else written


# A field of any other type is written as it is in the model; msgspec encodes the datetimes.
_EXPRESSIONS: Final = {FieldType.ID: "str({})", FieldType.TIME: "as_datetime({})"}
_KEYS: Final = {kind: kind.value.encode() for kind in Kind}
# The kinds with fields that depend on the caller.
_OF_CALLER: Final = frozenset(
    kind for kind, one in SHOWN.items() if any(field.of_caller for field in one.fields)
)
# A text that differs between versions of the program whose answers differ.
REPRESENTATION: Final = repr(
    [
        (kind.value, [(one.name, one.type.value, one.nullable) for one in resource.fields])
        for kind, resource in SHOWN.items()
    ]
)
_WRITE: Final = {kind: _writer(resource) for kind, resource in SHOWN.items()}
