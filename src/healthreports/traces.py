"""OpenTelemetry traces: a span for each request, its use case and its SQL statements.

This module is imported only if tracing is on. The library is an extra:
`pip install 'healthreports[otel]'`. Spans contain names of operations and SQL, and never values,
addresses, ids or texts.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, TypeVar

from opentelemetry import context, propagate
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from healthreports import __version__
from healthreports.store.engine.database import Transaction
from healthreports.store.engine.traced import TracedTransaction

T = TypeVar("T")
_SERVER_ERROR: Final = 500


class Traces:
    """The spans of this process, sent to the collector at `endpoint` (OTLP over HTTP)."""

    def __init__(self, endpoint: str) -> None:
        about = {"service.name": "healthreports", "service.version": __version__}
        self._provider = TracerProvider(resource=Resource.create(about))
        exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("healthreports", __version__)

    def requests(self, app: ASGIApp) -> ASGIApp:
        """`app` with a span for each request, a child of the span that its `traceparent` names."""

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            said = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
            above = propagate.extract(said)
            with self._tracer.start_as_current_span(
                scope["method"], context=above, kind=SpanKind.SERVER
            ) as span:

                async def told(message: Message) -> None:
                    if message["type"] == "http.response.start":
                        span.set_attribute("http.response.status_code", message["status"])
                        if message["status"] >= _SERVER_ERROR:
                            span.set_status(Status(StatusCode.ERROR))
                    await send(message)

                try:
                    await app(scope, receive, told)
                finally:
                    span.set_attribute("http.request.method", scope["method"])
                    if operation := scope.get("operation"):
                        span.update_name(operation)

        return traced

    def in_span(self, does: str, work: Callable[[Transaction], T]) -> Callable[[Transaction], T]:
        """`work` in a child span of the span that is current here, in any thread."""
        here = context.get_current()

        def run(tx: Transaction) -> T:
            with self._tracer.start_as_current_span(does, context=here):
                return work(TracedTransaction(tx, self._statement))

        return run

    def _statement(self, sql: str) -> AbstractContextManager[object]:
        about = {"db.query.text": sql}
        return self._tracer.start_as_current_span(
            sql.partition(" ")[0], kind=SpanKind.CLIENT, attributes=about
        )

    def end(self) -> None:
        """Send the remaining spans."""
        self._provider.shutdown()
