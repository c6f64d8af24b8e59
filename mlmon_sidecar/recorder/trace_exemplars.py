"""Which traces stand behind a histogram of durations: the newest of each bucket."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

from mlmon_sidecar.records import Exchange, TraceExemplar
from mlmon_sidecar.statistics.layout import DURATION_EDGES

DURATION = "mlmon.prediction.duration"
FIRST_BYTE = "mlmon.prediction.time_to_first_byte"


class TraceExemplars:
    """Of requests whose trace is sampled: another one leads nowhere. Written by the recorder's thread, read by the
    exporter's."""

    def __init__(self, unix_at: Callable[[int], int]) -> None:
        self._unix_at = unix_at
        self._newest: dict[tuple[str, str, str], dict[int, TraceExemplar]] = {}  # metric, model, version -> bucket

    def add(self, version: str, exchange: Exchange) -> None:
        """``version`` as it may be told."""
        if exchange.trace_sampled and exchange.trace_id:
            self._keep(DURATION, version, exchange, exchange.ended_ns)
            if exchange.first_byte_ns:
                self._keep(FIRST_BYTE, version, exchange, exchange.first_byte_ns)

    def of(self, metric: str, model: str, version: str) -> tuple[TraceExemplar, ...]:
        """In the order of their buckets."""
        return tuple(one for _, one in sorted(self._newest.get((metric, model, version), {}).copy().items()))

    def _keep(self, metric: str, version: str, exchange: Exchange, until_ns: int) -> None:
        seconds = max(0, until_ns - exchange.started_ns) / 1e9
        found = self._newest.setdefault((metric, exchange.model, version), {})
        found[bisect_left(DURATION_EDGES, seconds)] = TraceExemplar(
            seconds, self._unix_at(until_ns), exchange.trace_id, exchange.span_id
        )
