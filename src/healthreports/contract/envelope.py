"""A page as the bytes of an answer: the only builder of the envelope. Follows sections 2 and 3."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from healthreports.contract.moments import as_datetime
from healthreports.contract.resources import RESOURCES, Association, Field, FieldType, Resource
from healthreports.core.model import Record, WorkspacePermissions
from healthreports.core.query import Page, Related
from healthreports.core.vocabulary import MAX_ID, Kind

_encode: Final = msgspec.json.Encoder().encode

Link = tuple[Kind, int]


def envelope(page: Page) -> bytes:
    """The envelope around `page`, as UTF-8 JSON. Contract: 2."""
    resource, key, write = RESOURCES[page.kind], page.kind.value, _WRITE[page.kind]
    records = {str(record.id): write(record) for record in page.records}
    for name in page.optional_fields:  # those there are need no conversion
        for record in page.records:
            records[str(record.id)][name] = getattr(record, name)
    answer: dict[str, Any] = {
        "count": page.count,
        "results": [{"key": key, "id": record_id} for record_id in records],
        key: records,
    }
    for name, related in page.related.items():
        association = resource.association(name)
        assert association is not None
        _side_load(answer, association, related, page.permissions)
        if not association.column:
            for record in page.records:
                links = related.links.get(record.id, [])
                records[str(record.id)][association.link] = _links(association, links)
    if page.kind is Kind.WORKSPACES:
        for record in page.records:
            records[str(record.id)]["permissions"] = page.permissions[record.id]
    answer["meta"] = _meta(page)
    return _encode(answer)


def write_record(record: Record) -> dict[str, Any]:
    """The plain attributes of a status report, as the envelope has them. Contract: 3."""
    return _WRITE[Kind.STATUS_REPORTS](record)


def _side_load(
    answer: dict[str, Any],
    association: Association,
    related: Related,
    permissions: Mapping[int, WorkspacePermissions],
) -> None:
    """Open the association's top-level keys and put each of its objects there once (2.6, 2.7)."""
    if not association.is_polymorphic:
        answer.setdefault(association.kinds[0].value, {})
    for kind, found in related.objects.items():
        objects = answer.setdefault(kind.value, {})
        if kind is Kind.WORKSPACES:
            for record_id, record in found.items():
                may = _permissions(permissions[record_id])
                piece = _pieces.of(kind, record)[:-1]
                objects[str(record_id)] = msgspec.Raw(b'%b,"permissions":%b}' % (piece, may))
        else:
            for record_id, record in found.items():
                objects[str(record_id)] = msgspec.Raw(_pieces.of(kind, record))


@lru_cache(maxsize=16)  # four flags
def _permissions(one: WorkspacePermissions) -> bytes:
    return _encode(one)


class _Pieces:
    """Records as JSON, by kind and id: as they were written before, if it is the same record.

    The store gives out the same value while a record has not changed. A page of 20 reports with
    three includes takes 0.4 of the time (`bench/RESULTS.md`, list-20-include).
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._known: dict[tuple[Kind, int], tuple[Record, bytes]] = {}

    def of(self, kind: Kind, record: Record) -> bytes:
        """The plain attributes of a record as a JSON object."""
        key = (kind, record.id)
        known = self._known.get(key)
        if known is not None and known[0] is record:
            return known[1]
        piece = _encode(_WRITE[kind](record))
        if known is not None:
            self._bytes -= len(known[1])
            del self._known[key]
        if self._bytes + len(piece) > self._most_bytes:
            self._known.clear()
            self._bytes = 0
        if len(piece) > self._most_bytes:
            return piece
        # A record is no larger than what is written of it, about.
        self._bytes += len(piece)
        self._known[key] = (record, piece)
        return piece

    @property
    def kept_bytes(self) -> int:
        """How many bytes of JSON are kept."""
        return self._bytes


MOST_PIECES_BYTES: Final = 4 * 1024 * 1024
_pieces: Final = _Pieces(MOST_PIECES_BYTES)


def _links(association: Association, links: list[Link]) -> Any:  # noqa: ANN401  JSON
    if association.is_polymorphic:
        return next(({"key": kind.value, "id": str(target)} for kind, target in links), None)
    ids = [str(target) for _, target in links]
    return ids if association.many else next(iter(ids), None)


def _meta(page: Page) -> dict[str, Any]:
    size, number = page.window.page_size, page.window.page_number if page.count else 0
    return {
        "count": page.count,
        "page_count": -(-page.count // size),
        # "As sent" (2.4) may be more than the 64 bits that the encoder writes.
        "page_number": number if abs(number) <= MAX_ID else msgspec.Raw(str(number).encode()),
        "page_size": size,
    }


def _writer(resource: Resource) -> Callable[[Record], dict[str, Any]]:
    """The function that writes a record of the resource: a dict display made from its declaration.

    It is compiled, as dataclasses and named tuples are: a loop over the fields takes 1.7 to 2.2
    times as long (`bench/writers.py`), and a page writes up to 200 records. Field names
    are identifiers of ours, never input.
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


# Every other type of field is written as it stands in the model; msgspec writes the datetimes.
_EXPRESSIONS: Final = {FieldType.ID: "str({})", FieldType.TIME: "as_datetime({})"}
_WRITE: Final = {kind: _writer(resource) for kind, resource in RESOURCES.items()}
