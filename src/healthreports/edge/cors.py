"""Pages of which other origins may call the API from a browser (Fetch standard, CORS protocol)."""

from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from healthreports.contract.operations import BASE

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE")
_SENT: Final = ("authorization", "content-type", "idempotency-key", "if-match", "if-none-match")
# A page reads no other header of an answer, but for those that every page may.
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
    """`app`, whose API answers pages of these origins, and of no other.

    A browser sends no cookie along: such a page needs a token. Without origins it is `app`.
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
