"""The health endpoints for machines. They need no token and have no rate limit."""

from collections.abc import Mapping
from functools import partial
from typing import Final

import msgspec
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from healthreports import __version__
from healthreports.core.errors import MethodNotAllowed
from healthreports.edge.answer import Answer, Static
from healthreports.service.health import OK, Health

LIVES, READY, VERSION = PROBES = ("/healthz", "/readyz", "/version")

_NO_STORE: Final = {"cache-control": "no-store"}
_UNAVAILABLE: Final = 503


def probe_routes(health: Health) -> list[BaseRoute]:
    """The routes of the probes. `health` has the checks."""
    return [
        Route(LIVES, Static(partial(_answer, {"status": OK}))),
        Route(READY, _Ready(health)),
        Route(VERSION, Static(partial(_answer, {"version": __version__}))),
    ]


class _Ready:
    """Answers 200 if every check is `OK`, otherwise 503 with what is wrong."""

    def __init__(self, health: Health) -> None:
        self._health = health

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            raise MethodNotAllowed(("GET", "HEAD"))
        checks = await self._health.checks()
        is_ready = all(says == OK for says in checks.values())
        body = {"status": OK if is_ready else "unavailable", "checks": dict(checks)}
        await _answer(body, 200 if is_ready else _UNAVAILABLE)(scope, receive, send)


def _answer(body: Mapping[str, object], status: int = 200) -> ASGIApp:
    return Answer(msgspec.json.encode(body), status, _NO_STORE)
