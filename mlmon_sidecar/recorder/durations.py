"""How long requests took, by how they failed, with the newest trace of each bucket."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

from mlmon_sidecar.records import Distribution, End, Exchange, TraceExemplar
from mlmon_sidecar.resources.histogram import Histogram
from mlmon_sidecar.statistics.layout import DURATION_EDGES

DURATION = "mlmon.prediction.duration"
FIRST_BYTE = "mlmon.prediction.time_to_first_byte"
ABORT = "abort"  # as with language models: the operation did not succeed, and its time says when the caller left
MAX_ERRORS = 16  # distinct exceptions of the application
OTHER = "_other"

Attributes = tuple[tuple[str, str], ...]


class Durations:
    """Cumulative since the process started. Written by the recorder's thread, read by the exporter's.

    Exemplars are of requests whose trace is sampled alone: another one leads nowhere.
    """

    def __init__(self, unix_at: Callable[[int], int]) -> None:
        self._unix_at = unix_at
        self._series: dict[tuple[str, Attributes], tuple[Histogram, dict[int, TraceExemplar]]] = {}
        self._errors: set[str] = set()

    def add(self, version: str, exchange: Exchange) -> None:
        """``version`` as it may be told."""
        who: Attributes = (("mlmon.model.name", exchange.model), ("mlmon.model.version", version))
        failed = (("error.type", error),) if (error := self._error(exchange)) else ()
        self._observe(DURATION, (*who, *failed), exchange, exchange.ended_ns)
        if exchange.first_byte_ns:
            self._observe(FIRST_BYTE, who, exchange, exchange.first_byte_ns)

    def measurements(self) -> Sequence[Distribution]:
        return [
            histogram.distribution(name, who)._replace(exemplars=tuple(newest for _, newest in sorted(traces.items())))
            for (name, who), (histogram, traces) in self._copied()
        ]

    def _copied(self) -> Sequence[tuple[tuple[str, Attributes], tuple[Histogram, dict[int, TraceExemplar]]]]:
        """Each copy is made in one piece."""
        return [(key, (histogram, traces.copy())) for key, (histogram, traces) in self._series.copy().items()]

    def _observe(self, metric: str, who: Attributes, exchange: Exchange, until_ns: int) -> None:
        seconds = max(0, until_ns - exchange.started_ns) / 1e9
        found = self._series.get((metric, who))
        if found is None:
            found = self._series[metric, who] = (Histogram(DURATION_EDGES), {})
        histogram, traces = found
        histogram.observe(seconds)
        if exchange.trace_sampled and exchange.trace_id:
            bucket = bisect_left(DURATION_EDGES, seconds)
            at_ns = self._unix_at(until_ns)
            traces[bucket] = TraceExemplar(seconds, at_ns, exchange.trace_id, exchange.span_id)

    def _error(self, exchange: Exchange) -> str:
        """``error.type``; "" where the request did not fail. What the caller did wrong is no failure of ours."""
        if exchange.end is End.DISCONNECT:
            return ABORT
        if exchange.end is End.ERROR and exchange.error_type:
            if exchange.error_type not in self._errors and len(self._errors) >= MAX_ERRORS:
                return OTHER
            self._errors.add(exchange.error_type)
            return exchange.error_type
        return str(exchange.status) if exchange.status >= 500 else OTHER if exchange.end is End.ERROR else ""
