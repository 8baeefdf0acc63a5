"""Extends uvicorn: malformed HTTP, limits of the head, answers in one system call.

uvicorn itself answers a request that it cannot parse, before an application sees it. Contract: 1.5.
"""

import asyncio
import secrets
import time
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from healthreports.contract.failure import failure_of
from healthreports.core.errors import MalformedHttp
from healthreports.edge.connections import ConnectionLimits, Connections

_FAILURE: Final = failure_of(MalformedHttp())


# How many bytes may arrive, in several pieces, that neither complete a head nor belong to a body.
MAX_HEAD_BYTES: Final = 64 * 1024


# Above this size, data is written before the turn ends, so that a stream is not buffered here.
_MOST_GATHERED_BYTES: Final = 64 * 1024


class _Gathering:
    """A transport that combines all writes of one turn of the event loop into one.

    uvicorn writes the head of an answer and its body separately. That is two system calls, and each
    takes a tenth of the time of a short read.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._pieces: list[bytes] = []
        self._bytes = 0

    def write(self, data: bytes) -> None:
        """Write `data` by the end of this turn of the event loop."""
        if not self._pieces:
            self._loop.call_soon(self._flush)
        self._pieces.append(data)
        self._bytes += len(data)
        if self._bytes > _MOST_GATHERED_BYTES:
            self._flush()

    def close(self) -> None:
        """Close the transport after everything is written."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._pieces and not self._transport.is_closing():
            self._transport.write(b"".join(self._pieces))
        self._pieces = []
        self._bytes = 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  any other member of a transport
        return getattr(self._transport, name)


def headers_of_all(*, over_tls: bool) -> list[tuple[str, str]]:
    """The headers of every answer: no guessing of its type, and no Referer from its links.

    `over_tls` means that clients use https; a header then tells them to use only https.
    """
    headers = [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")]
    if over_tls:
        headers.append(("strict-transport-security", "max-age=31536000; includeSubDomains"))
    return headers


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol, with limits, and with a 400 answer in the contract's format.

    The parser buffers a head until it ends, however long it is, and anybody can send one. uvicorn
    waits for the first head without a time limit. `limits` apply to the connections of the process.
    """

    def __init__(self, *, limits: ConnectionLimits, **given: Any) -> None:  # noqa: ANN401  uvicorn's arguments
        super().__init__(**given)
        self._connections = connections_of(self.server_state, limits)
        self._bytes_of_nothing = 0
        self._got_body = False
        self.address = ""
        self.head_since: float | None = None
        self.body_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Start a connection, if there is room for it."""
        HttpToolsProtocol.connection_made(self, _Gathering(transport))  # type: ignore[arg-type]  # acts as one
        self.address = str(self.client[0]) if self.client else ""
        if not self._connections.admit(self):
            self.close_now()

    def connection_lost(self, exc: Exception | None) -> None:
        """End a connection. A request that arrived completely is still carried out."""
        self._connections.leave(self)
        cycle = self.cycle
        if cycle is not None and not cycle.more_body and cycle.body and not cycle.response_complete:
            cycle.scope["body_at_end"] = bytes(cycle.body)  # type: ignore[typeddict-unknown-key]  # our own key
        HttpToolsProtocol.connection_lost(self, exc)

    def on_message_begin(self) -> None:
        """Start a request, and let the application abort the connection."""
        HttpToolsProtocol.on_message_begin(self)
        self.scope["abort"] = self.transport.abort  # type: ignore[typeddict-unknown-key]  # our own key

    def data_received(self, data: bytes) -> None:
        """Parse `data`. Close the connection if headers or trailers do not end."""
        before, self._got_body = self.cycle, False
        if self.head_since is None and self.body_since is None:
            self.head_since = time.monotonic()
        HttpToolsProtocol.data_received(self, data)
        if self.cycle is not before or self._got_body:  # a new request, or more of a body
            self._bytes_of_nothing = 0
            return
        self._bytes_of_nothing += len(data)
        if self._bytes_of_nothing > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("")

    def on_headers_complete(self) -> None:
        """Start to answer the request; a body may follow."""
        self.head_since = None
        self.body_since = time.monotonic()
        self._connections.has_asked(self)
        HttpToolsProtocol.on_headers_complete(self)

    def on_body(self, body: bytes) -> None:
        """Receive a part of the body."""
        self._got_body = True
        HttpToolsProtocol.on_body(self, body)

    def on_message_complete(self) -> None:
        """End a request."""
        self.body_since = None
        HttpToolsProtocol.on_message_complete(self)

    @property
    def unread_bytes(self) -> int:
        """The number of bytes of a finished answer that still wait to be sent."""
        if self.cycle is not None and not self.cycle.response_complete:
            return 0
        return int(self.transport.get_write_buffer_size())

    @property
    def is_read(self) -> bool:
        """Whether uvicorn reads the connection; it pauses if the application takes no body."""
        return not self.flow.read_paused

    def close_now(self) -> None:
        """Close the connection immediately, even during a request."""
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  the parser's message is not sent
        """Answer a request that cannot be parsed, and close the connection."""
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\n"
            b"content-type: application/json; charset=utf-8\r\n"
            b"content-length: %d\r\n"
            b"connection: close\r\n"
            b"x-request-id: %b\r\n"
            b"x-runtime: 0.000000\r\n"
            b"%b\r\n%b"
            % (
                len(_FAILURE.body),
                secrets.token_hex(16).encode(),
                b"".join(b"%b: %b\r\n" % one for one in self.server_state.default_headers),
                _FAILURE.body,
            )
        )
        self.transport.close()


def connections_of(server_state: ServerState, limits: ConnectionLimits) -> Connections:
    """The `Connections` of the server that `server_state` belongs to; one for each process."""
    found: Connections | None = server_state.__dict__.get("healthreports_connections")
    if found is None:
        found = Connections.here = Connections(limits)
        server_state.__dict__["healthreports_connections"] = found
    return found
