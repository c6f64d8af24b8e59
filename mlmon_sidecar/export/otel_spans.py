"""Joining the span the application itself has open, OpenTelemetry's or Datadog's.

Where the application's tracing lies outside of us its span is current when a request comes in. Where it lies further in
the span begins later: a span processor on the application's own provider sees that, whatever starts it. It must be the
span of the request, of kind SERVER; those of single messages, which instrumentations open around it, are not.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any, Protocol
from weakref import WeakValueDictionary

from opentelemetry import context, trace

from mlmon_sidecar.export.catalog import MODEL_NAME, PREDICTION_ID

Found = tuple[Any, int, int, bool]
DATADOG = "ddtrace.trace"

_watched: WeakValueDictionary[int, Any] = WeakValueDictionary()  # providers by their id: not all can be hashed


class Taker(Protocol):
    """A request that is being answered."""

    def take_span(self, span: object, trace_id: int, span_id: int, sampled: bool) -> None: ...


class HostSpanHook:
    """Called on the event loop: one look-up at a request's start, one ``set_attributes`` as its answer begins."""

    def __init__(self) -> None:
        self.idle = _nothing_current()

    def current(self) -> Found | None:
        """(span, trace_id, span_id, sampled) of the current span; None where there is no valid one."""
        span = trace.get_current_span()
        if span is trace.INVALID_SPAN:  # the usual answer where nothing traces
            return _datadog()
        said = span.get_span_context()
        if not said.is_valid:
            return None
        return span, said.trace_id, said.span_id, said.trace_flags.sampled

    def inside(self) -> Found | None:
        """Datadog's tracer calls us within its request's span, and opens none for a message."""
        return _datadog()

    def join(self, span: Any, prediction_id: str, model: str) -> None:
        """Put the prediction's id and model on ``span``, while it is open and recording."""
        recording = getattr(span, "is_recording", None)
        if recording is None:
            if not span.finished:  # Datadog's
                span.set_tag(PREDICTION_ID, prediction_id)
                span.set_tag(MODEL_NAME, model)
        elif recording():
            span.set_attributes({PREDICTION_ID: prediction_id, MODEL_NAME: model})


def watch_spans(request: Callable[[], Taker | None]) -> None:
    """Have the application's own provider, where it set one globally, tell the request of its span. Once a provider.

    ``request``: the one that is being answered in the present context.
    """
    provider = trace.get_tracer_provider()
    add = getattr(provider, "add_span_processor", None)  # the SDK's, and providers that wrap it
    if add is None or id(provider) in _watched:  # a processor cannot be taken back
        return
    from opentelemetry.sdk.trace import SpanProcessor

    class Watcher(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            with contextlib.suppress(Exception):  # the application's tracing goes on whatever becomes of ours
                if span.kind is trace.SpanKind.SERVER and (taker := request()) is not None:
                    said = span.get_span_context()
                    taker.take_span(span, said.trace_id, said.span_id, said.trace_flags.sampled)

    add(Watcher())
    _watched[id(provider)] = provider


def _nothing_current() -> tuple[ContextVar[Any], object, str] | None:
    """Where OpenTelemetry keeps its context, and the empty one that is there unless somebody put in another. None: it
    keeps it elsewhere, and has to be asked each time."""
    variable = getattr(context._RUNTIME_CONTEXT, "_current_context", None)
    if not isinstance(variable, ContextVar):
        return None
    try:
        empty = Context().run(variable.get)
    except LookupError:
        return None
    return (variable, empty, DATADOG) if empty == {} else None


def _datadog() -> Found | None:
    module = sys.modules.get(DATADOG)  # loaded by the application, or not at all
    span = None if module is None else module.tracer.current_span()
    if span is None:
        return None
    priority = span.context.sampling_priority
    return span, span.trace_id, span.span_id, priority is None or priority > 0
