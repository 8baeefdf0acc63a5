"""An answer as bytes: a status, headers and a JSON body. Contract: 1.7."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from healthreports.contract.failure import Failure
from healthreports.core.errors import MethodNotAllowed

_NO_CONTENT: Final = HTTPStatus.NO_CONTENT.value
_NOT_MODIFIED: Final = HTTPStatus.NOT_MODIFIED.value
_JSON: Final = (b"content-type", b"application/json; charset=utf-8")


# The answer to a read is only for the bearer of the token, and may soon be out of date.
_OF_READS: Final = (
    (b"cache-control", b"private, no-cache"),
    (b"vary", b"Authorization"),
)


class Answer:
    """An ASGI response. Without a body it is a 204 with no content type.

    `is_read` means that it answers a GET of the API. `tag` is its entity tag, if it has one.
    """

    def __init__(
        self,
        body: bytes | None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        *,
        is_read: bool = False,
        tag: str | None = None,
    ) -> None:
        self._body = body or b""
        self._status = status
        self._headers: list[tuple[bytes, bytes]] = [*_OF_READS] if is_read else []
        if tag is not None:
            self._headers.append((b"etag", tag.encode()))
        if headers:
            self._headers += [
                (n.encode("latin-1"), v.encode("latin-1")) for n, v in headers.items()
            ]
        if body is None:
            self._status = _NO_CONTENT
        else:
            self._headers += [_JSON, (b"content-length", b"%d" % len(body))]

    @classmethod
    def of_read(cls, body: bytes | None, tag: str) -> "Answer":
        """The answer to a GET of the API; 304 (not modified) if `body` is None (8.1)."""
        answer = cls(body, is_read=True, tag=tag)
        if body is None:
            answer._status = _NOT_MODIFIED
        return answer

    @classmethod
    def of_failure(cls, failure: Failure) -> "Answer":
        """The answer to a request that failed."""
        return cls(failure.body, failure.status, failure.headers)

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send the answer."""
        await send(
            {"type": "http.response.start", "status": self._status, "headers": self._headers}
        )
        await send({"type": "http.response.body", "body": self._body})


class Static:
    """A path with the same GET answer for everybody. Raises MethodNotAllowed for other methods."""

    def __init__(self, make: Callable[[], ASGIApp]) -> None:
        self._make = make

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] not in ("GET", "HEAD"):
            raise MethodNotAllowed(("GET", "HEAD"))
        await self._make()(scope, receive, send)
