"""What the software counts about itself, under its catalogue names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mlmon_sidecar.export.catalog import COMPONENT, DROP_KIND, DROP_REASON, ERROR_TYPE, PII_TYPE, SIGNAL
from mlmon_sidecar.export.outcome import EVENTS_DROPPED_PREFIX, FAILURES_PREFIX, SPANS_DROPPED_PREFIX
from mlmon_sidecar.records import Measurement
from mlmon_sidecar.telemetry import (
    DROPPED_PREFIX,
    ERRORS_PREFIX,
    REDACTIONS_PREFIX,
    ROWS_DROPPED_PREFIX,
    Telemetry,
)

Naming = Callable[[str], tuple[tuple[str, str], ...]]


def _dropped(kind: str) -> Naming:
    return lambda rest: ((DROP_KIND, kind), (DROP_REASON, rest))


def _two(first: str, second: str) -> Naming:
    """``rest`` is "<first>.<second>"; the first holds no dot."""

    def attributes(rest: str) -> tuple[tuple[str, str], ...]:
        head, _, tail = rest.partition(".")
        return (first, head), (second, tail)

    return attributes


_RULES: tuple[tuple[str, str, Naming], ...] = (
    (DROPPED_PREFIX, "mlmon.self.dropped", _dropped("exchange")),
    (ROWS_DROPPED_PREFIX, "mlmon.self.dropped", _dropped("row")),
    (EVENTS_DROPPED_PREFIX, "mlmon.self.dropped", _dropped("event")),
    (SPANS_DROPPED_PREFIX, "mlmon.self.dropped", _dropped("span")),
    (REDACTIONS_PREFIX, "mlmon.self.redactions", lambda rest: ((PII_TYPE, rest),)),
    (ERRORS_PREFIX, "mlmon.self.errors", _two(COMPONENT, ERROR_TYPE)),
    (FAILURES_PREFIX, "mlmon.self.export.failures", _two(SIGNAL, ERROR_TYPE)),
)


class TelemetrySource:
    """The counters of ``Telemetry`` that have a place in the catalogue. The exporter brings its own: add no second."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def __call__(self) -> Sequence[Measurement]:
        return [
            Measurement(metric, count, attributes(name.removeprefix(prefix)))
            for name, count in self._telemetry.snapshot().items()
            for prefix, metric, attributes in _RULES
            if name.startswith(prefix)
        ]
