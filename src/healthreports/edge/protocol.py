"""Our part of the server program: malformed HTTP, limits of the head, answers in one system call.

The server program answers what it cannot parse before an application sees it. Contract: 1.5.
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


# How many bytes may come, in several pieces, without completing a head and without being a body.
MAX_HEAD_BYTES: Final = 64 * 1024


# Past so many bytes they are written before the turn ends, so that a stream does not pile up here.
_MOST_GATHERED_BYTES: Final = 64 * 1024


class _Gathering:
    """A transport that writes at once what it is given in one turn of the event loop.

    The server program writes the head of an answer and its body one after the other: two system
    calls, each of which takes as long as a tenth of a short read does.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._pieces: list[bytes] = []
        self._bytes = 0

    def write(self, data: bytes) -> None:
        """Write `data` before the turn is over."""
        if not self._pieces:
            self._loop.call_soon(self._flush)
        self._pieces.append(data)
        self._bytes += len(data)
        if self._bytes > _MOST_GATHERED_BYTES:
            self._flush()

    def close(self) -> None:
        """Close once all is written."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._pieces and not self._transport.is_closing():
            self._transport.write(b"".join(self._pieces))
        self._pieces = []
        self._bytes = 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever else a transport has
        return getattr(self._transport, name)


def headers_of_all(*, over_tls: bool) -> list[tuple[str, str]]:
    """What every answer has: nobody guesses its type, and no address leaks with a link.

    `over_tls` says that clients come over https, and are to go on so.
    """
    headers = [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")]
    if over_tls:
        headers.append(("strict-transport-security", "max-age=31536000; includeSubDomains"))
    return headers


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol, with its own 400 in the contract's form, and limits.

    The parser collects what it gets for as long as a head comes, and anybody can send one; and
    uvicorn waits for a first head for ever. `limits` are those of the process's connections.
    """

    def __init__(self, *, limits: ConnectionLimits, **given: Any) -> None:  # noqa: ANN401  uvicorn's own
        super().__init__(**given)
        self._connections = connections_of(self.server_state, limits)
        self._bytes_of_nothing = 0
        self._got_body = False
        self.address = ""
        self.head_since: float | None = None
        self.body_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own
        """Begin with a connection, if there is room for it."""
        HttpToolsProtocol.connection_made(self, _Gathering(transport))  # type: ignore[arg-type]  # as good as one
        self.address = str(self.client[0]) if self.client else ""
        if not self._connections.admit(self):
            self.close_now()

    def connection_lost(self, exc: Exception | None) -> None:
        """End with a connection; a request that came whole is still carried out."""
        self._connections.leave(self)
        cycle = self.cycle
        if cycle is not None and not cycle.more_body and cycle.body and not cycle.response_complete:
            cycle.scope["body_at_end"] = bytes(cycle.body)  # type: ignore[typeddict-unknown-key]  # of ours
        HttpToolsProtocol.connection_lost(self, exc)

    def on_message_begin(self) -> None:
        """Begin with a request; whoever answers may break off."""
        HttpToolsProtocol.on_message_begin(self)
        self.scope["abort"] = self.transport.abort  # type: ignore[typeddict-unknown-key]  # of ours

    def data_received(self, data: bytes) -> None:
        """Parse what came; close where neither headers nor trailers end."""
        before, self._got_body = self.cycle, False
        if self.head_since is None and self.body_since is None:
            self.head_since = time.monotonic()
        HttpToolsProtocol.data_received(self, data)
        if self.cycle is not before or self._got_body:  # there is a new request, or more of one
            self._bytes_of_nothing = 0
            return
        self._bytes_of_nothing += len(data)
        if self._bytes_of_nothing > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("")

    def on_headers_complete(self) -> None:
        """Begin to answer; from here on a body may come."""
        self.head_since = None
        self.body_since = time.monotonic()
        self._connections.has_asked(self)
        HttpToolsProtocol.on_headers_complete(self)

    def on_body(self, body: bytes) -> None:
        """Go on with the body."""
        self._got_body = True
        HttpToolsProtocol.on_body(self, body)

    def on_message_complete(self) -> None:
        """End with a request."""
        self.body_since = None
        HttpToolsProtocol.on_message_complete(self)

    @property
    def unread_bytes(self) -> int:
        """How much of an answer that is over still waits to be sent."""
        if self.cycle is not None and not self.cycle.response_complete:
            return 0
        return int(self.transport.get_write_buffer_size())

    @property
    def is_read(self) -> bool:
        """Whether what comes is taken: uvicorn stops reading where nobody asks for a body."""
        return not self.flow.read_paused

    def close_now(self) -> None:
        """Close, whatever is under way."""
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  the parser's words are its own
        """Answer what cannot be parsed, and close."""
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
    """The connections of the server that `server_state` belongs to: one for a process."""
    found: Connections | None = server_state.__dict__.get("healthreports_connections")
    if found is None:
        found = Connections.here = Connections(limits)
        server_state.__dict__["healthreports_connections"] = found
    return found
