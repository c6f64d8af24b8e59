"""Joining the span the application itself has open. We start none."""

from __future__ import annotations

from typing import Any

from opentelemetry import trace

from mlmon_sidecar.export.catalog import MODEL_NAME, PREDICTION_ID


class OTelSpanHook:
    """Called on the event loop: one look-up at a request's start, one ``set_attributes`` as its answer begins."""

    def current(self) -> tuple[Any, int, int, bool] | None:
        """(span, trace_id, span_id, sampled) of the current span; None where there is no valid one."""
        span = trace.get_current_span()
        if span is trace.INVALID_SPAN:  # the usual answer where nothing traces
            return None
        context = span.get_span_context()
        if not context.is_valid:
            return None
        return span, context.trace_id, context.span_id, context.trace_flags.sampled

    def join(self, span: Any, prediction_id: str, model: str) -> None:
        """Put the prediction's id and model on ``span``, while it is open and recording."""
        if span.is_recording():
            span.set_attributes({PREDICTION_ID: prediction_id, MODEL_NAME: model})
