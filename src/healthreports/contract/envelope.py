"""A page as the bytes of an answer: the only builder of the envelope. Follows sections 2 and 3."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from healthreports.contract.moments import as_datetime
from healthreports.contract.resources import RESOURCES, Association, FieldType, Resource
from healthreports.core.model import Instant, Record
from healthreports.core.query import Page, Related
from healthreports.core.vocabulary import MAX_ID, Kind

_encode: Final = msgspec.json.Encoder().encode

Link = tuple[Kind, int]


def envelope(page: Page) -> bytes:
    """The envelope around `page`, as UTF-8 JSON. Contract: 2."""
    resource = RESOURCES[page.kind]
    records = {str(record.id): _record(resource, record) for record in page.records}
    answer: dict[str, Any] = {
        "count": page.count,
        "results": [{"key": page.kind.value, "id": record_id} for record_id in records],
        page.kind.value: records,
    }
    for name, related in page.related.items():
        association = resource.association(name)
        assert association is not None
        _side_load(answer, association, related)
        if not association.column:
            for record in page.records:
                links = related.links.get(record.id, ())
                records[str(record.id)][association.link] = _links(association, links)
    answer["meta"] = _meta(page)
    return _encode(answer)


def _side_load(answer: dict[str, Any], association: Association, related: Related) -> None:
    """Open the association's top-level keys and put each of its objects there once (2.6, 2.7)."""
    if not association.is_polymorphic:
        answer.setdefault(association.kinds[0].value, {})
    for (kind, record_id), record in related.objects.items():
        objects = answer.setdefault(kind.value, {})
        if str(record_id) not in objects:
            objects[str(record_id)] = _record(RESOURCES[kind], record)


def _links(association: Association, links: tuple[Link, ...]) -> Any:  # noqa: ANN401  JSON
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


def _record(resource: Resource, record: Record) -> dict[str, Any]:
    return {name: write(getattr(record, name)) for name, write in _PLANS[resource.kind]}


def _id(value: int | None) -> str | None:
    return None if value is None else str(value)


def _time(value: Instant | None) -> Any:  # noqa: ANN401  msgspec writes datetimes as ISO 8601
    return None if value is None else as_datetime(value)


def _as_is(value: Any) -> Any:  # noqa: ANN401  JSON
    return value


_WRITERS: Final[dict[FieldType, Callable[[Any], Any]]] = {
    FieldType.ID: _id,
    FieldType.INTEGER: _as_is,
    FieldType.TEXT: _as_is,
    FieldType.COLOR: _as_is,
    FieldType.SYNC_STATUS: _as_is,
    FieldType.FLAG: _as_is,
    FieldType.DATE: _as_is,
    FieldType.TIME: _time,
    FieldType.DETAILS: _as_is,
}

_PLANS: Final = {
    kind: tuple((field.name, _WRITERS[field.type]) for field in resource.fields)
    for kind, resource in RESOURCES.items()
}
