"""The handlers of API calls: one for each kind of answer, around a use case of `service/`.

A handler runs its use case in a transaction, through the gateway. Streams and deletions in pieces
use several transactions.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

from msgspec.structs import replace
from starlette.types import ASGIApp

from healthreports.api.call import Call
from healthreports.contract.envelope import envelope, shown
from healthreports.contract.failure import failure_of
from healthreports.contract.lines import LineFormat
from healthreports.contract.params import (
    list_query,
    narrowing,
    page_window,
    show_query,
    stream_query,
    written_query,
)
from healthreports.contract.resources import STATUS_REPORTS, Resource
from healthreports.core.errors import HealthReportsError, KeyInUse, Outdated, StorageBusy
from healthreports.core.model import Actor, Instant, Record
from healthreports.core.query import Page, Query, Window
from healthreports.core.rules.reading import Sent
from healthreports.core.tags import fits, is_still
from healthreports.core.vocabulary import AuditAction
from healthreports.edge.answer import Answer
from healthreports.edge.stream import Piece, streamed
from healthreports.service import auditing, lookup, retries
from healthreports.service.gateway import Admitted, Gateway, Transaction
from healthreports.service.retries import Asked

Handler = Callable[[Gateway, Resource, Call], Awaitable[ASGIApp]]
Create = Callable[[Transaction, Actor, Sent, Instant], Record]
CreateMany = Callable[[Transaction, Actor, Sequence[object], Instant], list[Any]]
Act = Callable[[Transaction, Actor, int, Instant], Record]
Change = Callable[[Transaction, Actor, int, Sent, Instant], Record]
Delete = Callable[[Transaction, Actor, int, Instant], None]
Do = Callable[[Transaction, Actor, Sent, Instant], None]
Begin = Callable[[Transaction, Actor, int, Sent, Instant], None]
GoOn = Callable[[Transaction, Actor, int, Instant], bool]
Named = Callable[[Transaction, Actor, int], Record]
FindBelow = Callable[[Transaction, Actor, int, Window], Page]
FindAll = Callable[[Transaction, Actor, Window], Page]
Work = Callable[[Transaction, Actor, Instant], Page]

_IF_MATCH: Final = b"if-match"
_IF_NONE_MATCH: Final = b"if-none-match"
_REPLAYED: Final = {"idempotency-replayed": "true"}
# Errors that are not stored, since a repetition may get a different answer (8.2).
_NEVER_KEPT: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS)
_OF_SERVER: Final = 500
_TRUE: Final = ("true", "TRUE", "1")
# The number of reports that a stream reads at once: a few hundred kB in memory.
_PIECE: Final = 1_000


async def find(gateway: Gateway, resource: Resource, call: Call) -> Answer:
    """List records."""

    def page(tx: Transaction, actor: Actor) -> Page:
        query = _limited(gateway, list_query(resource.kind, call.query_string))
        return lookup.find(tx, actor, query)

    return await _listed(gateway, call, page)


async def find_audit(gateway: Gateway, resource: Resource, call: Call) -> Answer:
    """List the entries of the audit log."""

    def page(tx: Transaction, actor: Actor) -> Page:
        filters = narrowing(resource, call.params)
        return auditing.page(tx, actor, filters, page_window(call.params))

    def version(tx: Transaction, actor: Actor) -> object:
        # An action that changes nothing else in the account also adds an entry.
        return lookup.version(tx, actor), auditing.head(tx, actor.account_id).number

    return await _listed(gateway, call, page, version)


async def _listed(
    gateway: Gateway,
    call: Call,
    page: Callable[[Transaction, Actor], Page],
    version: Callable[[Transaction, Actor], object] = lookup.version,
) -> Answer:
    """The answer with a page of a list.

    The envelope is made where the rows are read: outside the event loop if there are many. If the
    caller sends the current entity tag, the answer has no body, and the list is not read.
    Contract: 8.1.
    """
    known = call.header(_IF_NONE_MATCH) or ""

    def work(tx: Transaction, actor: Actor) -> tuple[bytes | None, str]:
        tag = gateway.tags.of_list(actor, version(tx, actor), call.address)
        is_known = fits(known, tag)
        if is_known and tag in known:  # not for `*`, which does not state a version
            return None, tag
        body = envelope(page(tx, actor))
        return None if is_known else body, tag

    return Answer.of_read(*await gateway.read(call.secret, work))


async def show(gateway: Gateway, resource: Resource, call: Call) -> Answer:
    """Show the record that the path names."""
    return await _show(gateway, resource, call, lambda _actor: call.record_id(resource))


async def show_me(gateway: Gateway, resource: Resource, call: Call) -> Answer:
    """Show the user of the token."""
    return await _show(gateway, resource, call, lambda actor: actor.user_id)


def streams(plain: LineFormat, raw: LineFormat, name: str) -> Handler:
    """The handler that streams all records that match, one per line, as a download called `name`.

    `raw` is the format for callers that send `raw=true`.
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
                named = [one.name for one in resource.filters if one.name in call.params]
                after = {"file": name, "filters": named}
                await gateway.note(call.secret, call.client, AuditAction.REPORTS_EXPORTED, after)
            piece, goes_on, last_id = await gateway.read_on(call.secret, work)
            renew()
            return piece, goes_on

        return await streamed(line_format.media_type, name, next_piece, with_body=call.wants_body)

    return answer


def creates(use_case: Create, many: CreateMany | None = None) -> Handler:
    """The handler that creates a record from the body, then shows it. Contract: 2.5.

    With `many`, a body may instead have an array of records, under the name of their kind.
    """

    async def answer(gateway: Gateway, resource: Resource, call: Call) -> Answer:
        async def read_body() -> Work:
            body = await call.body(resource, resource.kind.value if many is not None else None)
            params = {**call.params, **body.params}

            def work(tx: Transaction, actor: Actor, now: Instant) -> Page:
                if many is not None and body.many is not None:
                    records = many(tx, actor, body.many, now)
                else:
                    records = [use_case(tx, actor, body.attributes, now)]
                query = _limited(gateway, written_query(resource, params))
                return lookup.written(tx, actor, query, records)

            return work

        return await _write(gateway, call, read_body)

    return answer


def acts(use_case: Act, named: Named | None = None) -> Handler:
    """The handler of an action without a body on the record in the path, which it then shows.

    `named` finds that record if it is not a record of the resource.
    """

    async def answer(gateway: Gateway, resource: Resource, call: Call) -> Answer:
        find = named or _visible(resource)

        async def read_body() -> Work:
            await call.demand_readable_body()
            return work

        def work(tx: Transaction, actor: Actor, now: Instant) -> Page:
            record_id = call.record_id(resource)
            _demand_state(gateway, call, lambda: find(tx, actor, record_id))
            record = use_case(tx, actor, record_id, now)
            query = _limited(gateway, written_query(resource, call.params))
            return lookup.written(tx, actor, query, [record])

        return await _write(gateway, call, read_body)

    return answer


def changes(use_case: Change) -> Handler:
    """The handler that changes the record in the path, then shows it."""

    async def answer(gateway: Gateway, resource: Resource, call: Call) -> ASGIApp:
        def change(tx: Transaction, actor: Actor, sent: Sent, now: Instant) -> Record:
            record_id = call.record_id(resource)
            _demand_state(gateway, call, lambda: _visible(resource)(tx, actor, record_id))
            return use_case(tx, actor, record_id, sent, now)

        return await creates(change)(gateway, resource, call)

    return answer


def whenever(use_case: Callable[[Transaction, Actor, int], None]) -> Delete:
    """Make a `Delete` of a use case that does not need the time."""
    return lambda tx, actor, record_id, _now: use_case(tx, actor, record_id)


def finds(use_case: FindAll) -> Handler:
    """The handler of a list that has pages but no other parameters."""
    return finds_below(lambda tx, actor, _id, window: use_case(tx, actor, window), None)


def finds_below(use_case: FindBelow, above: Resource | None = STATUS_REPORTS) -> Handler:
    """The handler that lists what belongs to the record in the path, a record of `above`."""

    async def answer(gateway: Gateway, _resource: Resource, call: Call) -> Answer:
        def page(tx: Transaction, actor: Actor) -> Page:
            record_id = 0 if above is None else call.record_id(above)
            return use_case(tx, actor, record_id, page_window(call.params))

        return await _listed(gateway, call, page)

    return answer


def deletes(use_case: Delete, named: Named | None = None) -> Handler:
    """The handler that deletes the record in the path, and answers without a body.

    `named` finds that record if `lookup` does not find records of its kind.
    """

    async def answer(gateway: Gateway, resource: Resource, call: Call) -> Answer:
        find = named or _visible(resource)
        writer = await gateway.admit_writer(call.secret, call.client)

        def work(tx: Transaction, actor: Actor, now: Instant) -> None:
            record_id = call.record_id(resource)
            _demand_state(gateway, call, lambda: find(tx, actor, record_id))
            use_case(tx, actor, record_id, now)

        await gateway.write(writer, work)
        return Answer(None)

    return answer


def deletes_in_pieces(begin: Begin, go_on: GoOn) -> Handler:
    """The handler that deletes the object in the path, in as many transactions as necessary.

    `begin` gets the attributes of the body; `go_on` returns whether there is more to delete. If a
    request ends early, the next one deletes the rest.
    """

    async def answer(gateway: Gateway, resource: Resource, call: Call) -> Answer:
        writer = await gateway.admit_writer(call.secret, call.client)
        attributes = (await call.body(resource)).attributes
        renew = call.deadline_renewal()

        def start(tx: Transaction, actor: Actor, now: Instant) -> None:
            record_id = call.record_id(resource)
            _demand_state(gateway, call, lambda: _visible(resource)(tx, actor, record_id))
            begin(tx, actor, record_id, attributes, now)

        def piece(tx: Transaction, actor: Actor, now: Instant) -> bool:
            return go_on(tx, actor, call.record_id(resource), now)

        await gateway.write(writer, start)
        while await gateway.write(writer, piece):
            renew()
        return Answer(None)

    return answer


def does(use_case: Do) -> Handler:
    """The handler that runs a use case with the attributes of the body; its answer has no body."""

    async def answer(gateway: Gateway, resource: Resource, call: Call) -> Answer:
        writer = await gateway.admit_writer(call.secret, call.client)
        attributes = (await call.body(resource)).attributes
        await gateway.write(writer, lambda tx, actor, now: use_case(tx, actor, attributes, now))
        return Answer(None)

    return answer


async def _write(gateway: Gateway, call: Call, read_body: Callable[[], Awaitable[Work]]) -> Answer:
    """Carry out the write in the body, and answer with the records that were written."""
    writer = await gateway.admit_writer(call.secret, call.client)
    asked = await call.asked()
    if asked is not None:
        return await _write_once(gateway, writer, asked, read_body)
    work = await read_body()
    return Answer(await gateway.write(writer, lambda *who: envelope(work(*who))))


async def _write_once(
    gateway: Gateway, writer: Admitted, asked: Asked, read_body: Callable[[], Awaitable[Work]]
) -> Answer:
    """Do the same as `_write`, but answer a repetition with the stored answer of the first request.

    Writes of an account run one after another, so the second of two requests finds the answer of
    the first. An error is stored in a separate transaction, since the first one is rolled back. An
    error that may be different the next time is not stored. Contract: 8.2.
    """
    is_first = False
    try:
        work = await read_body()
    except HealthReportsError as error:
        work = _raising(error)

    def once(tx: Transaction, actor: Actor, now: Instant) -> Answer:
        nonlocal is_first
        kept = retries.first_answer(tx, actor, asked, now)
        if kept is not None:
            return Answer(kept.body, kept.status, _REPLAYED)
        is_first = True
        page = work(tx, actor, now)
        body = envelope(page)
        ids = [one.id for one in page.records]
        retries.keep(tx, actor, asked, now, HTTPStatus.OK, body, page.kind, ids)
        return Answer(body)

    def keep(tx: Transaction, actor: Actor, now: Instant) -> None:
        if retries.first_answer(tx, actor, asked, now) is None:
            retries.keep(tx, actor, asked, now, failure.status, failure.body)

    try:
        return await gateway.write(writer, once)
    except StorageBusy:
        raise KeyInUse from None
    except HealthReportsError as error:
        failure = failure_of(error)
        if is_first and failure.status not in _NEVER_KEPT and failure.status < _OF_SERVER:
            with suppress(HealthReportsError):
                await gateway.write(writer, keep)
        raise


def _raising(error: HealthReportsError) -> Work:
    def work(_tx: Transaction, _actor: Actor, _now: Instant) -> Page:
        raise error

    return work


def _visible(resource: Resource) -> Named:
    return lambda tx, actor, record_id: lookup.visible_of(tx, actor, resource.kind, record_id)


def _demand_state(gateway: Gateway, call: Call, record: Callable[[], Record]) -> None:
    """Raise Outdated if the record is not in the state that the caller knows. Contract: 8.1."""
    known = call.header(_IF_MATCH)
    if known is not None and not is_still(known, gateway.tags.of_state(record())):
        raise Outdated


def _limited(gateway: Gateway, query: Query) -> Query:
    """`query` with the limit on included objects from the settings (2.8)."""
    return replace(query, include_limit=gateway.include_limit) if query.includes else query


async def _show(
    gateway: Gateway, resource: Resource, call: Call, id_for: Callable[[Actor], int]
) -> Answer:
    known = call.header(_IF_NONE_MATCH)

    def work(tx: Transaction, actor: Actor) -> tuple[bytes | None, str]:
        query = _limited(gateway, show_query(resource, call.params, id_for(actor)))
        body, tag = shown(lookup.get(tx, actor, query), gateway.tags)
        return None if known is not None and fits(known, tag) else body, tag

    return Answer.of_read(*await gateway.read(call.secret, work))
