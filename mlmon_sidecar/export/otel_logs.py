"""The one module that touches OpenTelemetry's logs API, which is still experimental: its changes end here."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from opentelemetry._logs import LogRecord, SeverityNumber, get_logger_provider
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, set_span_in_context

from mlmon_sidecar.export.catalog import CONTENT, EVENTS, NEWER_NAMES
from mlmon_sidecar.export.otel_senders import Sender
from mlmon_sidecar.export.outcome import EVENTS_DROPPED_PREFIX
from mlmon_sidecar.export.text import MAX_BODY_CHARACTERS, MAX_CONTENT_CHARACTERS, clean
from mlmon_sidecar.records import DropReason, Event, Severity
from mlmon_sidecar.telemetry import ERRORS_PREFIX, Telemetry

_NUMBERS = {
    Severity.INFO: SeverityNumber.INFO,
    Severity.WARN: SeverityNumber.WARN,
    Severity.ERROR: SeverityNumber.ERROR,
}
MAX_ATTEMPTS = 60  # of one batch: about five minutes with a collector that never answers
EXPORT_FAILED = "export_failed"
MAX_QUEUE_BYTES = 8 * 1024 * 1024  # of events that wait, whatever their number: prompts and answers may be long
EVENT_BYTES = 512  # what an event takes beyond its texts
_WORTH_REPEATING = {"408", "429"}  # the client errors that another attempt may cure
_HOPELESS = {"INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "UNAUTHENTICATED",
             "FAILED_PRECONDITION", "UNIMPLEMENTED"}  # fmt: skip
"""Their like in gRPC: https://opentelemetry.io/docs/specs/otlp/#failures"""


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


class LogsLane:
    """A queue of events, bounded in number and bytes, and the step of the logs thread that empties it.

    A batch that fails is offered again, so an alert outlives a short outage of the collector; it may then arrive twice
    (``mlmon.alert.key`` tells). What cannot be kept is counted. ``rests`` says when nothing is to be offered.
    """

    def __init__(
        self,
        deliver: Delivery,
        telemetry: Telemetry,
        *,
        queue: int,
        batch: int,
        rests: Callable[[], bool] = lambda: False,
    ) -> None:
        self._deliver = deliver
        self._telemetry = telemetry
        self._rests = rests
        self._limit = queue
        self._batch = min(batch, queue)
        self._lock = threading.Lock()  # of the two sums: events come from several threads
        self._held = self._held_bytes = 0  # waiting or offered
        self._waiting: deque[tuple[Event, int]] = deque()
        self._offered: list[tuple[Event, int]] = []
        self._attempts = 0
        self._closed = False

    @property
    def held(self) -> tuple[int, int]:
        """(events, bytes) that are not delivered and not given up."""
        return self._held, self._held_bytes

    def put(self, event: Event) -> None:
        """Queue one event; never waits for a collector. The newest is dropped where the queue is full."""
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
        if not self._takes(size):
            self._lost(1, DropReason.QUEUE_FULL)
            return
        self._waiting.append((event._replace(body=body, attributes=tuple(allowed.items())), size))

    def step(self) -> None:
        """Send what waits, batch by batch, until a batch fails."""
        while (self._offered or self._waiting) and not self._rests():
            while self._waiting and len(self._offered) < self._batch:
                self._offered.append(self._waiting.popleft())
            error_type = self._deliver([event for event, _ in self._offered])
            if self._closed:  # abandoned while it was under way, and counted
                return
            self._attempts += 1
            if error_type and not _hopeless(error_type) and self._attempts < MAX_ATTEMPTS:
                return
            if error_type:
                self._lost(len(self._offered), EXPORT_FAILED)
            self._release()

    def close(self) -> None:
        """Count what nobody will send any more. A batch still under way counts too, though it may yet arrive."""
        self._closed = True
        self._lost(len(self._offered) + len(self._waiting), DropReason.SHUTDOWN)

    def _takes(self, size: int) -> bool:
        with self._lock:
            if self._held >= self._limit or self._held_bytes + size > MAX_QUEUE_BYTES:
                return False
            self._held += 1
            self._held_bytes += size
            return True

    def _release(self) -> None:
        """What was offered is somebody else's now, or lost."""
        with self._lock:
            self._held -= len(self._offered)
            self._held_bytes -= sum(size for _, size in self._offered)
        self._offered, self._attempts = [], 0

    def _lost(self, amount: int, reason: str) -> None:
        self._telemetry.add(EVENTS_DROPPED_PREFIX + reason, amount)


def _hopeless(error_type: str) -> bool:
    """The collector answered, and will answer the same again."""
    return error_type in _HOPELESS or (error_type.startswith("4") and error_type not in _WORTH_REPEATING)


def _plain(key: str, value: str | int | float | bool) -> str | int | float | bool:
    if not isinstance(value, str):
        return value
    return clean(value, MAX_CONTENT_CHARACTERS) if key in CONTENT else clean(value)
