"""The composition root: builds the store and the services, and mounts the interfaces."""

import asyncio
import multiprocessing
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from healthreports.api.docs import DOCUMENT_PATH, docs_routes
from healthreports.api.oauth import oauth_routes
from healthreports.api.probes import PROBES, probe_routes
from healthreports.api.routes import Paths, api_endpoints
from healthreports.contract.envelope import REPRESENTATION
from healthreports.contract.failure import failure_of
from healthreports.contract.resources import RESOURCES
from healthreports.core.errors import PathUnknown
from healthreports.core.model import Instant
from healthreports.core.tags import Tags
from healthreports.core.vocabulary import DAY_US, HOUR_S, SECOND_US
from healthreports.edge.answer import Answer
from healthreports.edge.connections import Closed, Connections
from healthreports.edge.cors import with_cors
from healthreports.edge.middleware import Edge
from healthreports.edge.rooted import with_root
from healthreports.logs import RequestLog
from healthreports.service.auth.oauth import ENDPOINTS
from healthreports.service.auth.passkeys import Passkeys
from healthreports.service.auth.second_step import SecondStep
from healthreports.service.auth.sessions import Lasting, actor_of_session
from healthreports.service.auth.sign_in import (
    TAGS,
    SignIn,
    known_signing_key,
    signing_key,
)
from healthreports.service.auth.tokens import authenticate as authenticate_token
from healthreports.service.gateway import Gateway
from healthreports.service.health import Health
from healthreports.service.limits import BadStore, Limits
from healthreports.service.refusals import Refusals
from healthreports.service.sweeping import sweep_now_and_then
from healthreports.settings import BadSetting, Settings, listed
from healthreports.store.engine.database import Database, OnReplaced
from healthreports.store.engine.sqlite import SqliteDatabase
from healthreports.store.lists.selections import SELECTIONS
from healthreports.store.schema.tables import SCHEMA_REVISION
from healthreports.store.schema.upgrade import is_server
from healthreports.web.auth.oidc import Provider
from healthreports.web.kit.session import with_session
from healthreports.web.kit.show import failed_page
from healthreports.web.pages import page_routes

if TYPE_CHECKING:
    from healthreports.traces import Traces


def now() -> Instant:
    """The current time."""
    return Instant(time.time_ns() // 1_000)


def open_database(settings: Settings, on_replaced: OnReplaced | None = None) -> Database:
    """The database that the settings name: a SQLite file, or PostgreSQL at an address.

    `on_replaced` is called when another version of the program has changed the schema.
    """
    if is_server(settings.database):
        from healthreports.store.engine.postgres import (  # noqa: PLC0415  not loaded for SQLite
            PostgresDatabase,
        )

        return PostgresDatabase(
            settings.database,
            settings.read_database,
            settings.busy_timeout_s,
            settings.time_limit_s,
            SCHEMA_REVISION,
            on_replaced,
        )
    path = Path(settings.database)
    return SqliteDatabase(path, settings.busy_timeout_s, SCHEMA_REVISION, on_replaced)


def build(settings: Settings, origin: str) -> ASGIApp:
    """The server as an ASGI application. `origin` is its base address as clients see it.

    Raises BadSetting.
    """
    check_declarations()
    database = open_database(settings, _end_server)
    limits = _limits(settings)
    refusals = Refusals(database, now)
    lasting = Lasting(
        settings.session_idle_hours * HOUR_S * SECOND_US, settings.session_days * DAY_US
    )
    figures, traces = _figures(settings), _traces(settings)
    is_said = settings.access_log and settings.log_level in ("debug", "info")
    request_log = RequestLog(settings.log_format) if is_said else None
    spent = None
    if figures is not None:
        database.on_commit = figures.commit_writes.observe
        spent = figures.note_transaction
    sign_in = SignIn(
        database,
        now,
        limits,
        passwords=settings.passwords == "on",
        refusals=refusals,
        lasting=lasting,
        **({} if figures is None else {"failed": figures.note_sign_in_failure}),
    )

    second = SecondStep(database, now, limits, sign_in, Passkeys(origin), refusals)

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(
            sweep_now_and_then(database, now, settings.trash_days, settings.audit_days)
        )
        writing = asyncio.create_task(refusals.write_now_and_then())
        sampling = None
        if figures is not None:
            look = partial(_sampled, figures, database)
            sampling = asyncio.create_task(figures.sample(look))
        yield
        sweeping.cancel()
        writing.cancel()
        if figures is not None and sampling is not None:
            sampling.cancel()
            figures.hand_over()
        await asyncio.to_thread(refusals.write)
        sign_in.close()
        if request_log is not None:
            request_log.flush()
        database.close()
        if traces is not None:
            await asyncio.to_thread(traces.end)

    tags = _tags(database, settings)
    tokens_in = Gateway(
        database,
        now,
        limits,
        tags,
        authenticate_token,
        include_limit=settings.include_limit,
        refusals=refusals,
        spent=spent,
        in_span=None if traces is None else traces.in_span,
    )
    sessions_in = Gateway(
        database,
        now,
        limits,
        tags,
        partial(actor_of_session, lasting=lasting),
        latest=True,
        refusals=refusals,
        spent=spent,
        in_span=None if traces is None else traces.in_span,
    )
    provider = _provider(settings)
    pages = Router(
        routes=[
            *docs_routes(urlsplit(origin).path),
            *probe_routes(Health(database, SCHEMA_REVISION)),
            *oauth_routes(tokens_in, limits, origin),
            *page_routes(
                sessions_in, sign_in, second, limits, provider, now, origin, settings.trash_days
            ),
        ],
        redirect_slashes=False,
        default=_path_unknown,
        lifespan=lifespan,
    )
    key = _signing_key(database, "sessions")
    edge = Edge(
        Paths(
            api_endpoints(tokens_in),
            with_session(pages, key, settings.session_days, secure=origin.startswith("https:")),
        ),
        refuse,
        limits,
        settings.time_limit_s,
        settings.body_limit_bytes,
        settings.unsent_limit_bytes,
        access_log=request_log,
        count=None if figures is None else figures.count_request,
    )
    whole = with_root(with_cors(edge, listed(settings.cors_origins)), urlsplit(origin).path)
    return whole if traces is None else traces.requests(whole)


def _figures(settings: Settings) -> ModuleType | None:
    """The metrics module, or None if metrics are off."""
    if not settings.metrics_port:
        return None
    from healthreports import figures  # noqa: PLC0415  most servers do not need the library

    return figures


def _traces(settings: Settings) -> "Traces | None":
    """The traces of this process, or None if no collector is set."""
    if not settings.otlp_endpoint:
        return None
    from healthreports.traces import Traces  # noqa: PLC0415  an optional extra

    return Traces(settings.otlp_endpoint)


def _sampled(figures: Any, database: Database) -> Iterator[tuple[Any, float]]:  # noqa: ANN401  a module
    """The gauges of `figures` that are set periodically, with their current values."""
    yield figures.waiting_writes, database.waiting_writes()
    for name, kept in database.bytes_remembered().items():
        yield figures.memory_bytes.labels(name), kept
    if (here := Connections.here) is not None:
        yield figures.connections, here.number
        for why in Closed:
            yield figures.closed_connections.labels(why.name.lower()), here.closed[why]


def _end_server(_says: str) -> None:
    """Stop the server gracefully: send SIGTERM to this process, or to its parent in a worker."""
    parent = multiprocessing.parent_process()
    os.kill(os.getpid() if parent is None or parent.pid is None else parent.pid, signal.SIGTERM)


def refuse(scope: Scope, error: Exception) -> ASGIApp:
    """The answer to a failed request: JSON for programs, an HTML page for browsers.

    A caller counts as a program if the path is one for programs or if it sends an Authorization
    header, which browsers do not send.
    """
    path: str = scope["path"]
    has_token = any(name == b"authorization" for name, _ in scope["headers"])
    if has_token or path in _JSON_PATHS or path.startswith(_JSON_BELOW):
        return Answer.of_failure(failure_of(error))
    return failed_page(Request(scope), error)


# The paths that programs call. All others are for browsers.
_JSON_BELOW: Final = ("/api/", "/.well-known/")
_JSON_PATHS: Final = frozenset({"/api", DOCUMENT_PATH, *ENDPOINTS, *PROBES})


def check_settings(settings: Settings) -> None:
    """Raise BadSetting if `build` would."""
    _limits(settings)


def _limits(settings: Settings) -> Limits:
    try:
        return Limits(
            settings.limit_store,
            settings.token_requests_per_minute,
            settings.address_requests_per_minute,
            settings.document_requests_per_minute,
        )
    except BadStore as error:
        raise BadSetting(str(error)) from error


def _provider(settings: Settings) -> Provider | None:
    if not settings.oidc_issuer:
        return None
    return Provider(
        settings.oidc_issuer,
        settings.oidc_client_id,
        settings.oidc_client_secret,
        settings.oidc_name,
    )


def _tags(database: Database, settings: Settings) -> Tags:
    """The maker of entity tags, which differ for another database or another answer format."""
    key = _signing_key(database, f"{TAGS} in {database.place()}")
    return Tags(f"{key} {REPRESENTATION} {settings.include_limit}")


def _signing_key(database: Database, purpose: str) -> str:
    # Only the first process that uses a database has to create the key.
    known = database.read_here(lambda tx: known_signing_key(tx, purpose))
    return known or database.write_here(lambda tx: signing_key(tx, purpose, now()))


def check_declarations() -> None:
    """Check that the contract and the store declare the same names. Raises RuntimeError.

    The names are the filters, sorts and associations of each kind.
    """
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
