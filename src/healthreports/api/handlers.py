"""How a call is answered: a handler for each way of answering, around a use case of the services.

Every handler runs its use case in one transaction, through the gateway.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from msgspec.structs import replace
from starlette.types import ASGIApp

from healthreports.api.call import Call
from healthreports.api.stream import Piece, streamed
from healthreports.contract.envelope import envelope
from healthreports.contract.lines import LineFormat
from healthreports.contract.params import list_query, show_query, stream_query, written_query
from healthreports.contract.resources import Resource
from healthreports.core.model import Actor, Instant, Record
from healthreports.core.query import Query
from healthreports.core.rules.reading import Sent
from healthreports.edge.answer import Answer
from healthreports.service import lookup
from healthreports.service.gateway import Gateway, Transaction

Handler = Callable[[Gateway, Resource, Call], Awaitable[ASGIApp]]
Create = Callable[[Transaction, Actor, Sent, Instant], Record]
CreateMany = Callable[[Transaction, Actor, Sequence[object], Instant], list[Any]]
Act = Callable[[Transaction, Actor, int, Instant], Record]
Change = Callable[[Transaction, Actor, int, Sent, Instant], Record]
Delete = Callable[[Transaction, Actor, int], None]

_TRUE: Final = ("true", "TRUE", "1")
# Reports that a stream reads at once: a few hundred kB in memory.
_PIECE: Final = 1_000


async def find(gateway: Gateway, resource: Resource, call: Call) -> Answer:
    """List. The envelope is made where the rows are read: off the event loop if there are many."""
    return Answer(
        await gateway.read(
            call.secret,
            lambda tx, actor: envelope(
                lookup.find(
                    tx, actor, _limited(gateway, list_query(resource.kind, call.query_string))
                )
            ),
        ),
        is_read=True,
    )


async def show(gateway: Gateway, resource: Resource, call: Call) -> Answer:
    """Show the record that the path names."""
    return await _show(gateway, resource, call, lambda _actor: call.record_id(resource))


async def show_me(gateway: Gateway, resource: Resource, call: Call) -> Answer:
    """Show the user of the token."""
    return await _show(gateway, resource, call, lambda actor: actor.user_id)


def streams(plain: LineFormat, raw: LineFormat, name: str) -> Handler:
    """The handler that answers with all that match, a record a line, to be kept as `name`.

    `raw` is the format for who sends `raw=true`.
    """

    async def answer(gateway: Gateway, resource: Resource, call: Call) -> ASGIApp:
        line_format = raw if call.params.get("raw") in _TRUE else plain
        last_id: int | None = None
        renew = call.deadline_renewal()

        def work(tx: Transaction, actor: Actor) -> tuple[bytes, bool, int]:
            query, start = stream_query(resource, call.params)
            after_id = start if last_id is None else last_id
            found = lookup.after(tx, actor, query, after_id, _PIECE)
            piece = line_format.write(found, last_id is None and not start)
            return piece, len(found) == _PIECE, found[-1].id if found else after_id

        async def next_piece() -> Piece:
            nonlocal last_id
            if last_id is None:
                await gateway.read(call.secret, lambda _tx, _actor: None)
            piece, goes_on, last_id = await gateway.read_on(call.secret, work)
            renew()
            return piece, goes_on

        return await streamed(line_format.media_type, name, next_piece, with_body=call.wants_body)

    return answer


def creates(use_case: Create, many: CreateMany | None = None) -> Handler:
    """The handler that creates a record from the body, then shows it. Contract: 2.5.

    With `many`, a body may also have an array of them, under the name of their kind.
    """

    async def answer(gateway: Gateway, resource: Resource, call: Call) -> Answer:
        writer = await gateway.admit_writer(call.secret)
        body = await call.body(resource, resource.kind.value if many is not None else None)
        params = {**call.params, **body.params}

        def work(tx: Transaction, actor: Actor, now: Instant) -> bytes:
            if many is not None and body.many is not None:
                records = many(tx, actor, body.many, now)
            else:
                records = [use_case(tx, actor, body.attributes, now)]
            query = _limited(gateway, written_query(resource, params))
            return envelope(lookup.written(tx, actor, query, records))

        return Answer(await gateway.write(writer, work))

    return answer


def acts(use_case: Act) -> Handler:
    """The handler that does to the record that the path names what needs no body, then shows it."""

    async def answer(gateway: Gateway, resource: Resource, call: Call) -> Answer:
        writer = await gateway.admit_writer(call.secret)
        await call.demand_readable_body()

        def work(tx: Transaction, actor: Actor, now: Instant) -> bytes:
            record = use_case(tx, actor, call.record_id(resource), now)
            query = _limited(gateway, written_query(resource, call.params))
            return envelope(lookup.written(tx, actor, query, [record]))

        return Answer(await gateway.write(writer, work))

    return answer


def changes(use_case: Change) -> Handler:
    """The handler that changes the record that the path names, then shows it."""

    async def answer(gateway: Gateway, resource: Resource, call: Call) -> ASGIApp:
        def change(tx: Transaction, actor: Actor, sent: Sent, now: Instant) -> Record:
            return use_case(tx, actor, call.record_id(resource), sent, now)

        return await creates(change)(gateway, resource, call)

    return answer


def deletes(use_case: Delete) -> Handler:
    """The handler that deletes the record that the path names, and answers without a body."""

    async def answer(gateway: Gateway, resource: Resource, call: Call) -> Answer:
        writer = await gateway.admit_writer(call.secret)
        await gateway.write(
            writer, lambda tx, actor, _now: use_case(tx, actor, call.record_id(resource))
        )
        return Answer(None)

    return answer


def _limited(gateway: Gateway, query: Query) -> Query:
    """`query` for an answer that holds as much beside its own objects as is set (2.8)."""
    return replace(query, include_limit=gateway.include_limit) if query.includes else query


async def _show(
    gateway: Gateway, resource: Resource, call: Call, id_for: Callable[[Actor], int]
) -> Answer:
    return Answer(
        await gateway.read(
            call.secret,
            lambda tx, actor: envelope(
                lookup.get(
                    tx,
                    actor,
                    _limited(gateway, show_query(resource, call.params, id_for(actor))),
                )
            ),
        ),
        is_read=True,
    )
