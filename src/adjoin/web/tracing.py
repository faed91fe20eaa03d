"""Traces of requests by OpenTelemetry, for installations that want them: one span a request, sent by OTLP over HTTP.

Where they go and how many are kept is said as everywhere, by the variables OTEL_… of the OpenTelemetry specification.
Spans hold no query, no header and no body: those can hold names and tokens.
"""

from __future__ import annotations

import time
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from adjoin import __version__
from adjoin.web.exchange import Request, Response

_CALLER: Final = TraceContextTextMapPropagator()


class Traces:
    """The traces of a running service."""

    def __init__(self, processor: SpanProcessor | None = None) -> None:
        """Spans go to `processor`; without one, by OTLP to where the environment says."""
        usual = Resource({SERVICE_NAME: "adjoin", SERVICE_VERSION: __version__})
        # What the operator says of the service (OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES) wins.
        self._provider = TracerProvider(resource=usual.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
        self._provider.add_span_processor(processor or BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("adjoin", __version__)

    def add(self, request: Request, response: Response, scheme: str, seconds: float) -> None:
        """Note a request that has been answered just now, and how long that took.

        Names are those of the semantic conventions for HTTP servers; the caller's trace goes on where it named one.
        """
        ended = time.time_ns()
        carried = {name.decode(): value.decode("latin-1") for name, value in request.raw if name in _CARRIED}
        stages = request.watch.stages() if request.watch is not None else {}
        span = self._tracer.start_span(
            request.operation,
            _CALLER.extract(carried),
            SpanKind.SERVER,
            {
                "http.request.method": request.method,
                "http.response.status_code": response.status,
                "url.scheme": scheme,
                "url.path": request.path,
                "adjoin.request_id": request.id,
                **{f"adjoin.{name}.seconds": taken for name, taken in stages.items()},
            },
            start_time=ended - int(seconds * 1e9),
        )
        if response.status >= 500:
            span.set_attribute("error.type", str(response.status))
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended)

    def close(self) -> None:
        """Send what is left, for a few seconds at most."""
        self._provider.shutdown()


_CARRIED: Final = frozenset({b"traceparent", b"tracestate"})
