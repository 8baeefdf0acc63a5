"""What is no HTTP: the server program answers it before an application does. Contract: 1.5."""

import secrets
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from healthreports.contract.failure import failure_of
from healthreports.core.errors import MalformedHttp

_FAILURE: Final = failure_of(MalformedHttp())


# How much may come before the headers of a request are complete, as most servers have it.
MAX_HEAD_BYTES: Final = 64 * 1024
_IN_BODY: Final = -1


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol, with its own 400 in the contract's form, and a limit of headers.

    The parser collects what it gets for as long as headers come, and anybody can send them.
    """

    _head_bytes = 0
    _got_on = False

    def data_received(self, data: bytes) -> None:
        """Parse what came; close where the headers do not end."""
        in_head, self._got_on = self._head_bytes >= 0, False
        super().data_received(data)
        if in_head and not self._got_on:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("")

    def on_headers_complete(self) -> None:
        """Go on to the body, where there is one."""
        self._got_on, self._head_bytes = True, _IN_BODY
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Go on to the next request of the connection."""
        super().on_message_complete()
        self._got_on, self._head_bytes = True, 0

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  the parser's words are its own
        """Answer what cannot be parsed, and close."""
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\n"
            b"content-type: application/json; charset=utf-8\r\n"
            b"content-length: %d\r\n"
            b"connection: close\r\n"
            b"x-request-id: %b\r\n"
            b"x-runtime: 0.000000\r\n"
            b"\r\n%b" % (len(_FAILURE.body), secrets.token_hex(16).encode(), _FAILURE.body)
        )
        self.transport.close()
