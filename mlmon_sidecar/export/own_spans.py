"""One SERVER span for each prediction of an application that traces nothing itself. Made after the request, in the
recorder's thread: the event loop has no part in it.

Attributes: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span; ``url.scheme`` is not known.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind, Status, StatusCode

from mlmon_sidecar.export.catalog import MODEL_NAME, PREDICTION_ID
from mlmon_sidecar.records import End, Exchange
from mlmon_sidecar.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

SPAN_BYTES = 4096  # what one takes as objects, its attributes included; the path is bounded
MAX_PATH = 256  # characters of a path that are told
OTHER_METHOD = "_OTHER"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})


def nobody_traces() -> bool:
    """Whether the application has set up neither an SDK nor Datadog's tracer: their spans are joined, not doubled."""
    return not hasattr(trace.get_tracer_provider(), "add_span_processor") and "ddtrace.trace" not in sys.modules


class _Ended(SpanProcessor):
    def __init__(self, offer: Callable[[ReadableSpan, int], None]) -> None:
        self._offer = offer

    def on_end(self, span: ReadableSpan) -> None:
        self._offer(span, SPAN_BYTES)


class OwnSpans:
    """Continues the caller's trace, as ``OTEL_PROPAGATORS`` says; ``OTEL_TRACES_SAMPLER`` says which are kept."""

    def __init__(self, offer: Callable[[ReadableSpan, int], None], unix_at: Callable[[int], int]) -> None:
        provider = TracerProvider(resource=Resource.get_empty(), shutdown_on_exit=False)
        provider.add_span_processor(_Ended(offer))
        self._tracer = provider.get_tracer("mlmon_sidecar", __version__)
        self._unix_at = unix_at

    def trace(self, exchange: Exchange, route: str, path: str) -> Exchange:
        """The exchange with the ids of its span. ``route``: the template, "" where it is unknown; ``path`` as it may
        be told."""
        if exchange.trace_id:
            return exchange
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in exchange.request_headers}
        span = self._tracer.start_span(
            f"{exchange.method} {route}".rstrip() if exchange.method in _METHODS else f"HTTP {route}".rstrip(),
            propagate.extract(carrier, Context()),
            SpanKind.SERVER,
            _attributes(exchange, route, path),
            start_time=self._unix_at(exchange.started_ns),
        )
        if exchange.end is End.ERROR or exchange.status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end(self._unix_at(exchange.ended_ns))
        context = span.get_span_context()
        sampled = context.trace_flags.sampled
        return exchange._replace(trace_id=context.trace_id, span_id=context.span_id, trace_sampled=sampled)


def with_resource(spans: Sequence[ReadableSpan], resource: Resource, scope: InstrumentationScope) -> list[ReadableSpan]:
    """The spans as they are sent: who we are is asked for on the export thread, where detectors may wait."""
    return [
        ReadableSpan(
            span.name, span.context, span.parent, resource, span.attributes, span.events, span.links, span.kind,
            None, span.status, span.start_time, span.end_time, scope,
        )
        for span in spans
    ]  # fmt: skip


def header_names() -> frozenset[bytes]:
    """Headers that carry the caller's trace."""
    return frozenset(name.lower().encode("latin-1") for name in propagate.get_global_textmap().fields)


def _attributes(exchange: Exchange, route: str, path: str) -> Mapping[str, Any]:
    known = exchange.method in _METHODS
    found: dict[str, Any] = {
        "http.request.method": exchange.method if known else OTHER_METHOD,
        "url.path": path[:MAX_PATH],
        PREDICTION_ID: exchange.prediction_id,
        MODEL_NAME: exchange.model,
    }
    if route:
        found["http.route"] = route
    if exchange.status:
        found["http.response.status_code"] = exchange.status
    if exchange.end is End.ERROR or exchange.status >= 500:
        found["error.type"] = exchange.error_type or str(exchange.status or OTHER_METHOD)
    return found
