"""What is no HTTP: the server program answers it before an application sees it. Contract: 1.5."""

import secrets
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from healthreports.contract.failure import failure_of
from healthreports.core.errors import MalformedHttp

_FAILURE: Final = failure_of(MalformedHttp())


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol, with its own 400 in the contract's form."""

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
