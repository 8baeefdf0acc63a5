"""What Prometheus is told of a server: counters, gauges and histograms, on an address of its own.

Read only where a port for it is set. Several workers write into files of one folder, which the
process that started them adds up (the library's multiprocess mode; it looks for the folder as it is
imported, so `share` comes first). No label has a value that a stranger chooses.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, NoReturn

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    multiprocess,
    start_http_server,
)

from healthreports import __version__

# In seconds: what a person feels, what an alarm asks for.
_SECONDS: Final = (0.001, 0.005, 0.02, 0.1, 0.5, 2, 10)
_GROUPS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_SAMPLED_EVERY_S: Final = 1.0

requests: Final = Counter(
    "healthreports_requests",
    "Requests that were answered, by the operation and the status of the answer",
    ("operation", "status"),
)
request_seconds: Final = Histogram(
    "healthreports_request_seconds",
    "From a request's head to the end of its answer, by operation",
    ("operation",),
    buckets=_SECONDS,
)
transaction_seconds: Final = Histogram(
    "healthreports_transaction_seconds",
    "A use case in its transaction, waiting for a turn included, by what it does: read or write",
    ("does",),
    buckets=_SECONDS,
)
loop_lag_seconds: Final = Histogram(
    "healthreports_event_loop_lag_seconds",
    "By how much the event loop woke late, once a second",
    buckets=_SECONDS,
)
commit_writes: Final = Histogram(
    "healthreports_commit_writes", "How many writes shared a commit", buckets=_GROUPS
)
waiting_writes: Final = Gauge(
    "healthreports_waiting_writes",
    "Writes that wait for their turn",
    multiprocess_mode="livesum",
)
connections: Final = Gauge(
    "healthreports_connections", "Connections that are open", multiprocess_mode="livesum"
)
closed_connections: Final = Gauge(
    "healthreports_closed_connections",
    "Connections that a limit closed, by why",
    ("why",),
    multiprocess_mode="sum",
)
memory_bytes: Final = Gauge(
    "healthreports_memory_bytes",
    "What is remembered of earlier answers of the database, by what it is",
    ("memory",),
    multiprocess_mode="livesum",
)
sign_in_failures: Final = Counter(
    "healthreports_sign_in_failures",
    "Sign-ins that were refused, by what was wrong: password, factor, passkey, provider",
    ("what",),
)
replaced_workers: Final = Counter(
    "healthreports_replaced_workers", "Workers that ended and were replaced"
)
build: Final = Gauge(
    "healthreports_build",
    "1, with the version of the program",
    ("version",),
    multiprocess_mode="max",
)


def serve(host: str, port: int, folder: str | None) -> None:
    """Answer at an address, in a thread; with what workers keep in `folder`. Raises OSError."""
    build.labels(__version__).set(1)
    registry = REGISTRY
    if folder is not None:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
    start_http_server(port, host, registry)


def forget_worker(pid: int) -> None:
    """Leave a worker that ended out of what is open or waits; what it counted stays."""
    multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]


def count_request(operation: str | None, status: int, seconds: float) -> None:
    """Note a request that was answered."""
    operation = operation or "unknown"
    requests.labels(operation, str(status)).inc()
    request_seconds.labels(operation).observe(seconds)


def note_transaction(does: str, seconds: float) -> None:
    """Note how long a transaction took."""
    transaction_seconds.labels(does).observe(seconds)


def note_sign_in_failure(what: str) -> None:
    """Note that somebody was refused."""
    sign_in_failures.labels(what).inc()


async def sample(look: Callable[[], Iterable[tuple[Gauge, float]]]) -> NoReturn:
    """Set what `look` finds, and note how late the event loop is, every second."""
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        await asyncio.sleep(_SAMPLED_EVERY_S)
        loop_lag_seconds.observe(max(0.0, loop.time() - began - _SAMPLED_EVERY_S))
        with suppress(OSError):  # the folder is gone, since the server ends
            for gauge, value in look():
                gauge.set(value)
