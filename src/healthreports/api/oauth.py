"""The OAuth 2 endpoints that programs call, and the documents by which they find them.

The protocol is `service/auth/oauth`'s, and so are its errors: they have the form of RFC 6749 (5.2).
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
    """The endpoints of the server whose base address, as its clients see it, is `issuer`."""

    def calling(endpoint: oauth.Endpoint) -> Callable[[Request], Awaitable[Answer]]:
        async def answer(request: Request) -> Answer:
            # Before anything is done for it: it could be a guess at a secret or a code.
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
    """What the form says; None where there is none that can be read.

    The query string does not count: what stands in an address stands in logs too (RFC 6749, 2.3.1).
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
    """The Authorization header as far as it can be read; what cannot is as if not sent."""
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
