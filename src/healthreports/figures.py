"""The Prometheus metrics of a server: counters, gauges and histograms, on a separate address.

This module is imported only if a metrics port is set. With several workers, each writes its metrics
into files of one folder, and the process that started the workers adds them up. This is the
library's multiprocess mode. The library reads the folder's path when it is imported, so
PROMETHEUS_MULTIPROC_DIR must be set first. No label has a value that a client can choose freely.
"""

import asyncio
from bisect import bisect_left
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

# Bucket limits in seconds: delays that a person notices, and delays that alerts are set for.
_SECONDS: Final = (0.001, 0.005, 0.02, 0.1, 0.5, 2, 10)
_GROUPS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_SAMPLED_EVERY_S: Final = 1.0

request_seconds: Final = Histogram(
    "healthreports_request_seconds",
    "From a request's head to the end of its answer, by the operation and the status",
    ("operation", "status"),
    buckets=_SECONDS,
)
transaction_seconds: Final = Histogram(
    "healthreports_transaction_seconds",
    "A use case in its transaction, with its waiting time, by what it does: read or write",
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
    "Writes that wait to be executed",
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
    "The memory of cached results of the database, by cache",
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
    """Serve the metrics at an address, in a thread. Raises OSError.

    With a `folder`, the metrics are those that the workers write there.
    """
    build.labels(__version__).set(1)
    registry = REGISTRY
    if folder is not None:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
    start_http_server(port, host, registry)


def forget_worker(pid: int) -> None:
    """Remove a worker that ended from the gauges of live workers. Its counters stay."""
    multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]


class _Observed:
    """Observations made ten thousand times a second, added to the library's histogram in batches.

    An observation takes the library over half a microsecond, and each request makes two. To
    collect it here takes a third of that.
    """

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._kept: dict[tuple[str, ...], list[float]] = {}

    def note(self, labels: tuple[str, ...], seconds: float) -> None:
        """Collect an observation. Called on the event loop."""
        kept = self._kept.get(labels)
        if kept is None:
            kept = self._kept[labels] = [0.0] * (len(_SECONDS) + 2)
        kept[bisect_left(_SECONDS, seconds)] += 1
        kept[-1] += seconds

    def hand_over(self) -> None:
        """Add the collected observations to the histogram.

        The library has no public way to add many at once, so this writes to its private parts.
        """
        kept, self._kept = self._kept, {}
        for labels, (*counts, total) in kept.items():
            child = self._histogram.labels(*labels)
            child._sum.inc(total)  # noqa: SLF001  see above; a test covers these parts
            for bucket, count in zip(child._buckets, counts, strict=True):  # noqa: SLF001  see above
                if count:
                    bucket.inc(count)


_requests: Final = _Observed(request_seconds)
_transactions: Final = _Observed(transaction_seconds)
_STATUSES: Final = {number: str(number) for number in range(600)}


def count_request(operation: str | None, status: int, seconds: float) -> None:
    """Count a request that was answered."""
    _requests.note((operation or "unknown", _STATUSES[status]), seconds)


def note_transaction(does: str, seconds: float) -> None:
    """Record how long a transaction took."""
    _transactions.note((does,), seconds)


def hand_over() -> None:
    """Make all collected observations visible to readers of the metrics."""
    with suppress(OSError):  # the folder was deleted because the server is stopping
        _requests.hand_over()
        _transactions.hand_over()


def note_sign_in_failure(what: str) -> None:
    """Count a sign-in that was refused. `what` names what was wrong."""
    sign_in_failures.labels(what).inc()


async def sample(look: Callable[[], Iterable[tuple[Gauge, float]]]) -> NoReturn:
    """Set the gauges that `look` returns, and observe the lag of the event loop, every second."""
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        await asyncio.sleep(_SAMPLED_EVERY_S)
        loop_lag_seconds.observe(max(0.0, loop.time() - began - _SAMPLED_EVERY_S))
        hand_over()
        with suppress(OSError):  # see `hand_over`
            for gauge, value in look():
                gauge.set(value)
