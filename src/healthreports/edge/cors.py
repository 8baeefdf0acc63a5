"""Allows pages of other origins to call the API (Fetch standard, CORS protocol)."""

from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from healthreports.contract.operations import BASE

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE")
_SENT: Final = ("authorization", "content-type", "idempotency-key", "if-match", "if-none-match")
# The headers of an answer that a page can read, in addition to those that every page can read.
_READ: Final = (
    "etag",
    "idempotency-replayed",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "www-authenticate",
    "x-request-id",
    "x-runtime",
)


def with_cors(app: ASGIApp, origins: tuple[str, ...]) -> ASGIApp:
    """Wrap `app`, so that pages of these origins, and no others, can call its API.

    The browser sends no cookies with such a call, so the page needs a token. Without origins, the
    result is `app` itself.
    """
    if not origins:
        return app
    answering = CORSMiddleware(
        app, origins, _METHODS, allow_headers=_SENT, expose_headers=_READ, max_age=600
    )

    async def by_path(scope: Scope, receive: Receive, send: Send) -> None:
        is_api = scope["type"] == "http" and scope["path"].startswith(f"{BASE}/")
        await (answering if is_api else app)(scope, receive, send)

    return by_path
