"""Run the server: bind the port, print its address, serve until a signal ends it."""

import gc
import logging
import multiprocessing
import os
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from healthreports import logs
from healthreports.app import build, check_settings
from healthreports.edge.connections import ConnectionLimits
from healthreports.edge.protocol import Protocol, headers_of_all
from healthreports.service.limits import MEMORY
from healthreports.settings import PREFIX, Settings, listed, pass_on
from healthreports.store.schema.upgrade import (
    Unreachable,
    demand_current,
    demand_sound,
    hold,
)

_BACKLOG = 1024
# The mode of a Unix socket: a proxy in the same group may connect.
_OWNER_AND_GROUP = 0o660
# The time limit for a worker to start.
_READY_IN_S = 60
# The timeout of one check whether a starting worker is ready.
_LOOK_S = 0.1
# The pause between two attempts to reach a database that does not answer yet.
_AGAIN_S = 0.5
# How long a worker may continue after the process that started it has ended.
_ORPHAN_S = 0.7

log: Final = logging.getLogger("healthreports")


def serve(settings: Settings) -> int:
    """Serve until SIGINT or SIGTERM. Returns the exit code.

    Raises WrongSchema if the database is not ready, OSError if the port cannot be bound.
    """
    _await_database(settings)
    demand_sound(settings.database)
    serving = hold(settings.database)  # until this process ends
    if settings.read_database:
        _demand_copy(settings)
    listening = listen(settings)
    says = f"healthreports listens on {address(settings, listening)}"
    if settings.workers > 1 and settings.limit_store == MEMORY:
        says += (
            "\nhealthreports: each worker applies the rate limits separately; "
            f"see {PREFIX}LIMIT_STORE"
        )

    def tell() -> None:
        if settings.log_format == "json":
            log.info(says)
        else:
            print(says, file=sys.stderr, flush=True)

    try:
        return run(settings, listening, tell)
    finally:
        del serving


def _await_database(settings: Settings) -> None:
    """Wait for the database, at most `database_wait_s` seconds. Raises WrongSchema."""
    end = time.monotonic() + settings.database_wait_s
    says_that_it_waits = True
    while True:
        try:
            demand_current(settings.database)
        except Unreachable as error:
            if time.monotonic() + _AGAIN_S > end:
                raise
            if says_that_it_waits:
                log.warning("the database does not answer yet: %s", error)
                says_that_it_waits = False
            time.sleep(_AGAIN_S)
        else:
            return


def _demand_copy(settings: Settings) -> None:
    """Raise BadSetting or WrongSchema if the read replica is unsuitable. It may be unreachable."""
    try:
        demand_current(settings.read_database)
    except Unreachable as error:
        print(
            f"healthreports: the replica is not available: {error.says}",
            file=sys.stderr,
            flush=True,
        )


def _leave(path: str) -> None:
    """Delete the Unix socket, if there is one, and log that the server stopped."""
    if path:
        with suppress(OSError):
            Path(path).unlink()
    log.info("stopped")


class _Server(uvicorn.Server):
    """A server that calls `tell` when it is up. From then on a signal shuts it down gracefully."""

    def __init__(self, config: uvicorn.Config, tell: Callable[[], None], path: str) -> None:
        super().__init__(config)
        self._tell = tell
        self._path = path

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._tell()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        _leave(self._path)  # here, because uvicorn then raises again the signal that ended it


class _Workers(Multiprocess):
    """Several processes that serve one socket. Calls `tell` when all are ready.

    A process that ends is replaced.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        sockets: list[socket.socket],
        tell: Callable[[], None],
        figures: ModuleType | None,
    ) -> None:
        super().__init__(config, sockets)
        self._tell = tell
        self._figures = figures

    def init_processes(self) -> None:
        super().init_processes()
        if all(one.wait_until_ready(_READY_IN_S, self.should_exit) for one in self.processes):
            self._tell()
        self._starting: dict[Process, float] = {}

    def keep_subprocess_alive(self) -> None:
        """Replace a worker that ended or hangs. A new worker has `_READY_IN_S` to start.

        uvicorn's own method would kill a worker that takes longer to start than a health check
        may take, and then each of its replacements.
        """
        for place, one in enumerate(self.processes):
            if self.should_exit.is_set():
                return
            if self._is_well(one):
                continue
            one.kill()
            one.join()
            if one.exitcode == STARTUP_FAILURE:
                log.error("worker %d could not start; the server ends", one.pid)
                self.should_exit.set()
                return
            log.warning("worker %d ended (exit code %s) and is replaced", one.pid, one.exitcode)
            if self._figures is not None:
                self._figures.replaced_workers.inc()
                self._figures.forget_worker(one.pid)
            self._starting.pop(one, None)
            new = Process(self.config, self.sockets)
            new.start()
            self._starting[new] = time.monotonic()
            self.processes[place] = new

    def _is_well(self, one: Process) -> bool:
        since = self._starting.get(one)
        if since is None:
            return one.is_alive(timeout=self.config.timeout_worker_healthcheck)
        if not one.process.is_alive():
            return False
        if one.is_ready(timeout=_LOOK_S):
            del self._starting[one]
            log.warning("worker %d is ready", one.pid)
            return True
        return time.monotonic() - since < _READY_IN_S


def run(settings: Settings, listening: socket.socket, tell: Callable[[], None]) -> int:
    """Serve on a listening socket, and call `tell` when the server is up. Returns the exit code."""
    origin = settings.public_url or address(settings, listening)
    config = uvicorn.Config(
        partial(_application, settings, origin),
        factory=True,
        workers=settings.workers,
        http=partial(Protocol, limits=_connection_limits(settings)),  # type: ignore[arg-type]  # uvicorn only calls it
        ws="none",
        log_config=None,  # uvicorn's log lines are formatted like ours
        access_log=False,
        server_header=False,
        headers=headers_of_all(over_tls=origin.startswith("https:")),
        # The proxies that are trusted to state the client address of a request.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        lifespan="on",
        timeout_graceful_shutdown=settings.grace_s,
    )
    with suppress(KeyboardInterrupt), _figures(settings) as figures:
        if settings.workers > 1:
            check_settings(settings)  # once here: a worker that fails would be started again
            _Workers(config, [listening], tell, figures).run()
            _leave(settings.socket)
        else:
            _Server(config, tell, settings.socket).run(sockets=[listening])
    return 0


@contextmanager
def _figures(settings: Settings) -> Iterator[ModuleType | None]:
    """Serve metrics to Prometheus while the server runs, if a port is set. Raises OSError."""
    if not settings.metrics_port:
        yield None
        return
    with ExitStack() as stack:
        folder = None
        if settings.workers > 1:
            folder = stack.enter_context(TemporaryDirectory(prefix="healthreports-figures-"))
            pass_on("PROMETHEUS_MULTIPROC_DIR", folder)
        from healthreports import figures  # noqa: PLC0415  it looks up the folder on import

        try:
            figures.serve(settings.metrics_host, settings.metrics_port, folder)
        except OSError as error:
            where = f"{settings.metrics_host} port {settings.metrics_port}"
            says = f"cannot listen for metrics on {where}: {error.strerror}"
            raise OSError(error.errno, says) from error
        yield figures


def _connection_limits(settings: Settings) -> ConnectionLimits:
    return ConnectionLimits(
        most=settings.connections,
        most_from_address=settings.connections_from_address,
        head_s=settings.head_limit_s,
        body_s=settings.body_limit_s,
        unread_s=settings.time_limit_s,
        trusted=listed(settings.trusted_proxies),
    )


def _application(settings: Settings, origin: str) -> ASGIApp:
    """Build the application. A worker process ends when the process that started it ends."""
    if (parent := multiprocessing.parent_process()) is not None:
        logs.configure(settings.log_format, settings.log_level)

        def follow() -> None:
            parent.join()
            signal.raise_signal(signal.SIGTERM)
            time.sleep(_ORPHAN_S)
            os._exit(1)  # no process is left to wait for requests in progress

        threading.Thread(target=follow, daemon=True, name="parent").start()
    application = build(settings, origin)
    # These objects live as long as the process: exclude them from garbage collection.
    gc.collect()
    gc.freeze()
    return application


def listen(settings: Settings) -> socket.socket:
    """Return a socket that listens at the address in the settings. Raises OSError."""
    if settings.socket:
        return _listen_at_path(settings.socket)
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise OSError(
            error.errno, f"cannot listen on {settings.host} port {settings.port}: {error.strerror}"
        ) from error
    return listening


def _listen_at_path(path: str) -> socket.socket:
    """Return a Unix socket for the owner and group of the process.

    A socket file that no process serves is deleted first. Raises OSError.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if stat.S_ISSOCK(_mode_of(path)) and not _is_served(path):
            Path(path).unlink()
        listening.bind(path)
        Path(path).chmod(_OWNER_AND_GROUP)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise OSError(error.errno, f"cannot listen at {path}: {error.strerror}") from error
    return listening


def _mode_of(path: str) -> int:
    try:
        return Path(path).lstat().st_mode
    except FileNotFoundError:
        return 0


def _is_served(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        try:
            asking.connect(path)
        except ConnectionRefusedError:  # the process that created it was killed
            return False
    return True


def address(settings: Settings, listening: socket.socket) -> str:
    """The base URL to print, or the path of the Unix socket."""
    if settings.socket:
        return settings.socket
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{listening.getsockname()[1]}"
