"""The one module that touches OpenTelemetry's logs API, which is still experimental: its changes end here."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from opentelemetry._logs import LogRecord, SeverityNumber, get_logger_provider
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, set_span_in_context

from mlmon_sidecar.export.catalog import CONTENT, EVENTS, NEWER_NAMES
from mlmon_sidecar.export.lane import Lane
from mlmon_sidecar.export.otel_senders import Sender
from mlmon_sidecar.export.outcome import EVENTS_DROPPED_PREFIX
from mlmon_sidecar.export.text import MAX_BODY_CHARACTERS, MAX_CONTENT_CHARACTERS, clean
from mlmon_sidecar.records import Event, Severity
from mlmon_sidecar.telemetry import ERRORS_PREFIX, Telemetry

_NUMBERS = {
    Severity.INFO: SeverityNumber.INFO,
    Severity.WARN: SeverityNumber.WARN,
    Severity.ERROR: SeverityNumber.ERROR,
}
EVENT_BYTES = 512  # what an event takes beyond its texts


class Delivery(Protocol):
    """Where a batch of events goes. "" where it was taken, else the error type."""

    def __call__(self, events: Sequence[Event], /) -> str: ...


def host_logger_provider() -> LoggerProvider | None:
    """The application's own SDK provider, where it set one globally."""
    provider = get_logger_provider()
    return provider if isinstance(provider, LoggerProvider) else None


def through_host(provider: LoggerProvider, scope: InstrumentationScope) -> Delivery:
    """Emits through the application's provider, which alone knows what becomes of the records."""
    logger = provider.get_logger(scope.name, scope.version)
    enabled = getattr(logger, "enabled", lambda **_: True)  # absent from releases before 1.44

    def deliver(events: Sequence[Event]) -> str:
        for event in events:
            if enabled(severity_number=_NUMBERS[event.severity], event_name=event.name):
                logger.emit(_record(event))
        return ""

    return deliver


def through_sender(sender: Sender, resource: Callable[[], Resource], scope: InstrumentationScope) -> Delivery:
    """Sends through our own exporter."""
    known: list[Resource] = []

    def deliver(events: Sequence[Event]) -> str:
        if not known:  # here, on the export thread: resource detectors may wait
            known.append(resource())
        return sender.send([ReadableLogRecord(_record(event), known[0], scope) for event in events])

    return deliver


def _record(event: Event) -> LogRecord:
    return LogRecord(
        timestamp=event.at_ns,
        observed_timestamp=time.time_ns(),
        context=_context(event),
        severity_number=_NUMBERS[event.severity],
        severity_text=str(event.severity),
        body=event.body,
        attributes=dict(event.attributes),
        event_name=event.name,
    )


def _context(event: Event) -> Context:
    """The original trace and span, long ended. Whether they were sampled is not known here: the flag stays off."""
    ended = SpanContext(event.trace_id, event.span_id, is_remote=True)
    return set_span_in_context(NonRecordingSpan(ended), Context())


class LogsLane(Lane[Event]):
    """Events that are to become log records. ``mlmon.alert.key`` tells an alert that arrives twice."""

    def __init__(
        self,
        deliver: Delivery,
        telemetry: Telemetry,
        *,
        queue: int,
        batch: int,
        rests: Callable[[], bool] = lambda: False,
    ) -> None:
        def lost(amount: int, reason: str) -> None:
            telemetry.add(EVENTS_DROPPED_PREFIX + reason, amount)

        super().__init__(deliver, lost, queue=queue, batch=batch, rests=rests)
        self._telemetry = telemetry

    def put(self, event: Event) -> None:
        """Queue one event, as far as the catalogue knows it."""
        if (kind := EVENTS.get(event.name)) is None:
            self._telemetry.add(f"{ERRORS_PREFIX}export.unknown_event")
            return
        allowed = {
            key: _plain(key, value) for key, value in event.attributes if NEWER_NAMES.get(key, key) in kind.attributes
        }
        if len(allowed) < len(event.attributes):
            self._telemetry.add(f"{ERRORS_PREFIX}export.unknown_attribute")
        body = clean(event.body, MAX_BODY_CHARACTERS)
        size = EVENT_BYTES + sys.getsizeof(body) + sum(map(sys.getsizeof, allowed.values()))
        self.offer(event._replace(body=body, attributes=tuple(allowed.items())), size)


def _plain(key: str, value: str | int | float | bool) -> str | int | float | bool:
    if not isinstance(value, str):
        return value
    return clean(value, MAX_CONTENT_CHARACTERS) if key in CONTENT else clean(value)
