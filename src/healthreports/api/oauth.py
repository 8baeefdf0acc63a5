"""The OAuth 2 endpoints that programs call, and the documents with which they find them.

`service/auth/oauth` has the protocol and its errors, which have the format of RFC 6749 (5.2).
"""

from base64 import b64decode
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from healthreports.contract.bodies import form_pairs
from healthreports.contract.operations import BASE
from healthreports.core.errors import MalformedBody, MethodNotAllowed
from healthreports.core.vocabulary import Through
from healthreports.edge.answer import Answer, Static
from healthreports.edge.bodies import stranger_body
from healthreports.edge.middleware import address_of
from healthreports.service.auth import oauth
from healthreports.service.auth.oauth_objects import OAuthCall, Reply
from healthreports.service.gateway import Gateway
from healthreports.service.limits import Limits

_FORM: Final = "application/x-www-form-urlencoded"
_encode: Final = msgspec.json.Encoder().encode


def oauth_routes(gateway: Gateway, limits: Limits, issuer: str) -> list[BaseRoute]:
    """The routes of the endpoints. `issuer` is the base address of the server for its clients."""

    def calling(endpoint: oauth.Endpoint) -> Callable[[Request], Awaitable[Answer]]:
        async def answer(request: Request) -> Answer:
            # First the rate limit: the request could be a guess at a secret or a code.
            await limits.admit_stranger(address_of(request.scope))
            asked = await _asked(request)
            if asked is None:
                return _answer(_UNREADABLE)
            return _answer(
                await gateway.write_unnamed(
                    lambda tx, now: endpoint(tx, issuer, asked, now),
                    Through.GRANT,
                    address_of(request.scope),
                )
            )

        return answer

    documents = {
        oauth.METADATA: oauth.server_metadata(issuer),
        f"/.well-known/oauth-protected-resource{BASE}": oauth.resource_metadata(issuer, BASE),
    }
    routes: list[BaseRoute] = [
        Route(path, _Posted(calling(endpoint))) for path, endpoint in oauth.ENDPOINTS.items()
    ]
    return routes + [
        Route(path, Static(partial(Answer, _encode(document))))
        for path, document in documents.items()
    ]


class _Posted:
    """A path that answers a POST. Raises MethodNotAllowed for other methods."""

    def __init__(self, answer: Callable[[Request], Awaitable[ASGIApp]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            raise MethodNotAllowed(("POST",))
        answer = await self._answer(Request(scope, receive))
        await answer(scope, receive, send)


async def _asked(request: Request) -> OAuthCall | None:
    """The form in the body; None if there is none that can be read.

    The query string is ignored, because addresses also appear in logs (RFC 6749, 2.3.1).
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return None
    body = await stranger_body(request)
    try:
        pairs = form_pairs(body)
    except MalformedBody:
        return None
    return OAuthCall("POST", request.url.path, pairs, _credentials(request))


def _credentials(request: Request) -> dict[str, str]:
    """The Authorization header; one that cannot be read counts as not sent."""
    value = request.headers.get("authorization", "")
    scheme, _, encoded = value.partition(" ")
    try:
        readable = scheme.lower() == "basic" and b64decode(encoded, validate=True).decode()
    except ValueError:
        readable = ""
    return {"Authorization": value} if readable else {}


def _answer(reply: Reply) -> Answer:
    headers = {
        name: value for name, value in reply.headers.items() if name.lower() != "content-type"
    }
    return Answer(_encode(reply.body), reply.status, headers)


_UNREADABLE: Final = Reply(
    HTTPStatus.BAD_REQUEST,
    {"error": "invalid_request", "error_description": f"The body must be {_FORM}."},
    {"Cache-Control": "no-store"},
)
