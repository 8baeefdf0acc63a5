"""The only place that knows all: builds the store and the services, mounts the wings."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NoReturn

from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from healthreports.api.docs import docs_routes
from healthreports.api.middleware import Edge
from healthreports.api.routes import Paths, api_endpoints
from healthreports.contract.resources import RESOURCES
from healthreports.core.errors import PathUnknown
from healthreports.core.model import Instant
from healthreports.service.gateway import Gateway
from healthreports.settings import Settings
from healthreports.store.database import Database
from healthreports.store.select import SELECTIONS


def now() -> Instant:
    """The present."""
    return Instant(time.time_ns() // 1_000)


def open_database(settings: Settings) -> Database:
    """The database that the settings name."""
    return Database(settings.database_path, settings.busy_timeout_s)


def build(settings: Settings) -> ASGIApp:
    """The server as an ASGI application."""
    check_declarations()
    database = open_database(settings)

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        yield
        database.close()

    pages = Router(
        routes=docs_routes(),
        redirect_slashes=False,
        default=_path_unknown,
        lifespan=lifespan,
    )
    endpoints = api_endpoints(Gateway(database, now), settings.body_limit_bytes)
    return Edge(Paths(endpoints, pages), settings.time_limit_s, access_log=settings.access_log)


def check_declarations() -> None:
    """Demand that the wire and the store declare the same. Raises RuntimeError."""
    for kind, resource in RESOURCES.items():
        selection = SELECTIONS[kind]
        pairs = {
            "filters": ({one.name for one in resource.filters}, set(selection.filter_names)),
            "sorts": (set(resource.sorts), set(selection.sorts)),
            "associations": (
                {one.name for one in resource.associations},
                set(selection.associations),
            ),
        }
        for what, (declared, stored) in pairs.items():
            if declared != stored:
                raise RuntimeError(f"{kind}: {what} differ: {sorted(declared ^ stored)}")


async def _path_unknown(_scope: Scope, _receive: Receive, _send: Send) -> NoReturn:
    raise PathUnknown
