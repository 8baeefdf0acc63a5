"""The paths of the API and their handlers, bound from `contract/operations`."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from healthreports.api.bearer import secret_in
from healthreports.api.stream import Piece, streamed
from healthreports.contract.bodies import Body, read_body
from healthreports.contract.envelope import envelope
from healthreports.contract.lines import CSV, JSON_LINES, LineFormat
from healthreports.contract.operations import BASE, OPERATIONS
from healthreports.contract.params import (
    Params,
    list_query,
    read_id,
    read_params,
    show_query,
    stream_query,
    written_query,
)
from healthreports.contract.resources import Resource
from healthreports.core.errors import (
    MethodNotAllowed,
    NotFound,
    UnsupportedMedia,
)
from healthreports.core.model import Actor, Record
from healthreports.edge.answer import Answer
from healthreports.service import lookup
from healthreports.service.gateway import Gateway
from healthreports.service.people import members, workspaces
from healthreports.service.reports import references, reports

_ID: Final = "/{id}"
# Reports that a stream reads at once: a few hundred kB in memory.
_PIECE: Final = 1_000
# What is read in less time than a change of thread takes.
_SHORT_BODY: Final = 64 * 1024


class Call:
    """One request to one path, as the handlers see it."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope = scope
        self._receive = receive
        # Of a repeated header the last one counts; none of those we read may be repeated.
        self._headers: dict[bytes, bytes] = dict(scope["headers"])
        self.secret = secret_in(self._headers)

    @property
    def query_string(self) -> str:
        """What stands behind the question mark."""
        query_string: bytes = self._scope["query_string"]
        return query_string.decode("utf-8", "replace")

    @property
    def params(self) -> Params:
        """The parameters of the query string."""
        return read_params(self.query_string)

    @property
    def wants_body(self) -> bool:
        """Whether the answer's body is sent."""
        return bool(self._scope["method"] != "HEAD")

    def deadline_renewal(self) -> Callable[[], None]:
        """What gives this request its full time again."""
        return partial(self._scope["deadlines"].renew, asyncio.current_task())

    def record_id(self, resource: Resource) -> int:
        """The id in the path. Raises NotFound for what cannot be one. Contract: 5.1."""
        record_id = read_id(self._scope["path_params"]["id"])
        if record_id is None:
            raise NotFound(resource.kind)
        return record_id

    async def body(self, resource: Resource) -> Body:
        """What the body says of a record of the resource. Contract: 1.3 to 1.5.

        Raises UnsupportedMedia, MalformedBody, RootMissing; `middleware` limits its size.
        """
        chunks: list[bytes] = []
        more = True
        while more:
            message = await self._receive()
            chunks.append(message.get("body", b""))
            more = message.get("more_body", False)
        body = b"".join(chunks)
        encoding = self._headers.get(b"content-encoding", b"identity")
        if body and encoding.lower() != b"identity":
            raise UnsupportedMedia
        content_type = self._headers.get(b"content-type", b"").decode("latin-1")
        if len(body) <= _SHORT_BODY:
            return read_body(body, content_type, resource.root)
        return await asyncio.to_thread(read_body, body, content_type, resource.root)


class Handlers:
    """One method for each `Does`. Every one runs a use case through the gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def find(self, resource: Resource, call: Call) -> Answer:
        """List."""
        return Answer(
            await self._gateway.read(
                call.secret,
                lambda tx, actor: envelope(
                    lookup.find(tx, actor, list_query(resource.kind, call.query_string))
                ),
            )
        )

    async def stream_json_lines(self, resource: Resource, call: Call) -> ASGIApp:
        """All that match, a JSON object a line."""
        return await self._stream(resource, call, JSON_LINES)

    async def stream_csv(self, resource: Resource, call: Call) -> ASGIApp:
        """All that match, as CSV."""
        return await self._stream(resource, call, CSV)

    async def _stream(self, resource: Resource, call: Call, form: LineFormat) -> ASGIApp:
        last_id: int | None = None
        renew = call.deadline_renewal()

        def work(tx: Any, actor: Actor) -> tuple[bytes, bool, int]:  # noqa: ANN401  as the gateway gives it
            query, start = stream_query(resource, call.params)
            after_id = start if last_id is None else last_id
            found = lookup.after(tx, actor, query, after_id, _PIECE)
            piece = form.write(found, last_id is None and not start)
            return piece, len(found) == _PIECE, found[-1].id if found else after_id

        async def next_piece() -> Piece:
            nonlocal last_id
            if last_id is None:
                await self._gateway.read(call.secret, lambda _tx, _actor: None)
            piece, goes_on, last_id = await self._gateway.read_on(call.secret, work)
            renew()
            return piece, goes_on

        return await streamed(form.media_type, next_piece, with_body=call.wants_body)

    async def show(self, resource: Resource, call: Call) -> Answer:
        """Show one."""
        return await self._show(resource, call, lambda _actor: call.record_id(resource))

    async def show_me(self, resource: Resource, call: Call) -> Answer:
        """Show the user of the token."""
        return await self._show(resource, call, lambda actor: actor.user_id)

    async def _show(self, resource: Resource, call: Call, id_for: Callable[[Actor], int]) -> Answer:
        """Show the record with the id `id_for` the actor.

        The envelope is made where the rows are read: off the event loop if there are many.
        """
        return Answer(
            await self._gateway.read(
                call.secret,
                lambda tx, actor: envelope(
                    lookup.get(tx, actor, show_query(resource, call.params, id_for(actor)))
                ),
            )
        )

    async def create_report(self, resource: Resource, call: Call) -> Answer:
        """Create, then show."""
        return await self._write_and_show(resource, call, reports.create)

    async def change_report(self, resource: Resource, call: Call) -> Answer:
        """Change, then show."""
        return await self._change(resource, call, reports.change)

    async def delete_report(self, resource: Resource, call: Call) -> Answer:
        """Delete; no body."""
        return await self._delete(resource, call, reports.delete)

    async def create_or_update_reference(self, resource: Resource, call: Call) -> Answer:
        """Create or update, then show."""
        return await self._write_and_show(resource, call, references.create_or_update)

    async def delete_reference(self, resource: Resource, call: Call) -> Answer:
        """Delete; no body."""
        return await self._delete(resource, call, references.delete)

    async def create_workspace(self, resource: Resource, call: Call) -> Answer:
        """Create, then show."""
        return await self._write_and_show(resource, call, workspaces.create_workspace)

    async def change_workspace(self, resource: Resource, call: Call) -> Answer:
        """Change, then show."""
        return await self._change(resource, call, workspaces.change_workspace)

    async def create_participation(self, resource: Resource, call: Call) -> Answer:
        """Create, then show."""
        return await self._write_and_show(resource, call, workspaces.create_participation)

    async def change_participation(self, resource: Resource, call: Call) -> Answer:
        """Change, then show."""
        return await self._change(resource, call, workspaces.change_participation)

    async def delete_participation(self, resource: Resource, call: Call) -> Answer:
        """Delete; no body."""
        return await self._delete(resource, call, workspaces.delete_participation)

    async def create_membership(self, resource: Resource, call: Call) -> Answer:
        """Create, then show."""
        return await self._write_and_show(resource, call, members.create_membership)

    async def change_membership(self, resource: Resource, call: Call) -> Answer:
        """Change, then show."""
        return await self._change(resource, call, members.change_membership)

    async def _change(
        self, resource: Resource, call: Call, use_case: Callable[..., Record]
    ) -> Answer:
        """Run `use_case(tx, actor, id, sent, now) -> record` and show what it changed."""
        return await self._write_and_show(
            resource,
            call,
            lambda tx, actor, sent, now: use_case(tx, actor, call.record_id(resource), sent, now),
        )

    async def _delete(
        self, resource: Resource, call: Call, use_case: Callable[..., None]
    ) -> Answer:
        """Run `use_case(tx, actor, id)`."""
        await self._gateway.admit_writer(call.secret)
        await self._gateway.write(
            call.secret, lambda tx, actor, _now: use_case(tx, actor, call.record_id(resource))
        )
        return Answer(None)

    async def _write_and_show(
        self, resource: Resource, call: Call, use_case: Callable[..., Record]
    ) -> Answer:
        """Run `use_case(tx, actor, sent, now) -> record` and show that. Contract: 2.5."""
        await self._gateway.admit_writer(call.secret)
        body = await call.body(resource)
        params = {**call.params, **body.params}

        def work(tx: Any, actor: Any, now: Any) -> bytes:  # noqa: ANN401  as the gateway gives them
            record = use_case(tx, actor, body.attributes, now)
            return envelope(lookup.written(tx, actor, written_query(resource, params), record))

        return Answer(await self._gateway.write(call.secret, work))


Handler = Callable[[Call], Awaitable[ASGIApp]]


class Endpoint:
    """One path: finds the handler of the method. Raises MethodNotAllowed. Contract: 1.5."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = dict(handlers)
        if "GET" in handlers:
            self._handlers["HEAD"] = handlers["GET"]  # the server leaves the body out

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request to the path."""
        handler = self._handlers.get(scope["method"])
        if handler is None:
            raise MethodNotAllowed(sorted(self._handlers))
        answer = await handler(Call(scope, receive))
        await answer(scope, receive, send)


class Paths:
    """The paths of the API: exact ones, and those that end in an id; `other` gets all else.

    A look into two dicts: Starlette's router tries one pattern after the other.
    """

    def __init__(self, endpoints: Mapping[str, Endpoint], other: ASGIApp) -> None:
        self._exact = {path: one for path, one in endpoints.items() if not path.endswith(_ID)}
        self._above_id = {
            path.removesuffix(_ID): one for path, one in endpoints.items() if path.endswith(_ID)
        }
        self._other = other

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request to the endpoint of its path."""
        app = self._other
        if scope["type"] == "http":
            path: str = scope["path"]
            above, _, last = path.rpartition("/")
            if path in self._exact:
                app = self._exact[path]
            elif last and above in self._above_id:
                app = self._above_id[above]
                scope["path_params"] = {"id": last}
        await app(scope, receive, send)


def api_endpoints(gateway: Gateway) -> dict[str, Endpoint]:
    """An endpoint for each path of `OPERATIONS`."""
    handlers = Handlers(gateway)
    methods: dict[str, dict[str, Handler]] = {}
    for one in OPERATIONS:
        handler = partial(getattr(handlers, one.does.value), one.resource)
        methods.setdefault(BASE + one.path, {})[one.method] = handler
    return {path: Endpoint(handlers) for path, handlers in methods.items()}
