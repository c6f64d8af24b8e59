"""How exporting goes: the last outcome of each signal, and the count of failures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mlmon_sidecar.interfaces import Clock
from mlmon_sidecar.telemetry import Telemetry

FAILURES_PREFIX = "export.failures."
EVENTS_DROPPED_PREFIX = "events.dropped."
METRICS = "metrics"
LOGS = "logs"
TRACES = "traces"  # spans of our own; not told where there are none
SPANS_DROPPED_PREFIX = "spans.dropped."

OFF = "off"  # not configured
HOST = "host"  # through the application's own provider, which alone knows how it went
NEVER = "never"  # configured, nothing sent yet
OK = "ok"


class Outcome(NamedTuple):
    """``text`` is "off", "host", "never", "ok" or "failed: <error type>"."""

    text: str
    at_ns: int  # Unix ns of the last attempt; 0: none


class Outcomes:
    """Written by the export threads, one signal each; read from anywhere."""

    def __init__(self, telemetry: Telemetry, clock: Clock) -> None:
        self._telemetry = telemetry
        self._clock = clock
        self._last = dict.fromkeys((METRICS, LOGS), Outcome(OFF, 0))
        self._failures = dict.fromkeys((METRICS, LOGS), 0)

    def declare(self, signal: str, text: str) -> None:
        self._failures.setdefault(signal, 0)
        self._last[signal] = Outcome(text, 0)

    def record(self, signal: str, error_type: str) -> None:
        """One export ended. ``error_type`` is "" where the collector took it."""
        if error_type:
            self._failures[signal] += 1
            self._telemetry.add(f"{FAILURES_PREFIX}{signal}.{error_type}")
        self._last[signal] = Outcome(f"failed: {error_type}" if error_type else OK, self._clock.unix_ns())

    def last(self) -> Mapping[str, Outcome]:
        return dict(self._last)

    def failures(self) -> int:
        """Failed exports so far, over all signals."""
        return sum(self._failures.values())
