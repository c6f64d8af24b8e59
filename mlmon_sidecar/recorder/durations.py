"""How long requests took, by how they failed, with the newest trace of each bucket."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.records import Distribution, End, Exchange, TraceExemplar
from mlmon_sidecar.resources.histogram import Histogram
from mlmon_sidecar.statistics.layout import DURATION_EDGES

DURATION = "mlmon.prediction.duration"
FIRST_BYTE = "mlmon.prediction.time_to_first_byte"
ABORT = "abort"  # as with language models: the operation did not succeed, and its time says when the caller left
MAX_ERRORS = 16  # distinct exceptions of the application
OTHER = "_other"
_EDGES = np.array(DURATION_EDGES)

if TYPE_CHECKING:
    from mlmon_sidecar.aggregate.traffic import Traffic
    from mlmon_sidecar.records import IntVector

Attributes = tuple[tuple[str, str], ...]


class Durations:
    """Cumulative since the process started. Written by the recorder's thread, read by the exporter's.

    Exemplars are of requests whose trace is sampled alone: another one leads nowhere.
    """

    def __init__(self, unix_at: Callable[[int], int]) -> None:
        self._unix_at = unix_at
        self._series: dict[tuple[str, Attributes], tuple[Histogram, dict[int, TraceExemplar]]] = {}
        self._errors: set[str] = set()

    def add(self, version: str, traffic: Traffic) -> None:
        """Of one model; ``version`` as it may be told."""
        for error, members in self._by_error(traffic).items():
            who: Attributes = (("mlmon.model.name", members.exchanges[0].model), ("mlmon.model.version", version))
            failed = (("error.type", error),) if error else ()
            self._observe(DURATION, (*who, *failed), members, members.ended_ns)
            answered = members.first_byte_ns != 0
            if answered.any():
                if not answered.all():
                    members = members.part(answered.tolist().__getitem__)
                self._observe(FIRST_BYTE, who, members, members.first_byte_ns)

    def _by_error(self, traffic: Traffic) -> Mapping[str, Traffic]:
        fine = (traffic.complete & (traffic.status < 500)).tolist()
        if all(fine):
            return {"": traffic}
        errors = ["" if one else self._error(each) for one, each in zip(fine, traffic.exchanges, strict=True)]
        return {error: traffic.part(lambda at, own=error: errors[at] == own) for error in dict.fromkeys(errors)}  # type: ignore[misc]

    def measurements(self) -> Sequence[Distribution]:
        return [
            histogram.distribution(name, who)._replace(exemplars=tuple(newest for _, newest in sorted(traces.items())))
            for (name, who), (histogram, traces) in self._copied()
        ]

    def _copied(self) -> Sequence[tuple[tuple[str, Attributes], tuple[Histogram, dict[int, TraceExemplar]]]]:
        """Each copy is made in one piece."""
        return [(key, (histogram, traces.copy())) for key, (histogram, traces) in self._series.copy().items()]

    def _observe(self, metric: str, who: Attributes, members: Traffic, until_ns: IntVector) -> None:
        found = self._series.get((metric, who))
        if found is None:
            found = self._series[metric, who] = (Histogram(DURATION_EDGES), {})
        histogram, traces = found
        seconds = np.maximum(until_ns - members.started_ns, 0) / 1e9
        counts = np.bincount(_EDGES.searchsorted(seconds), minlength=len(_EDGES) + 1)
        histogram.add(counts.tolist(), float(seconds.sum()))
        if not members.traced:
            return
        for one, took, until in zip(members.exchanges, seconds.tolist(), until_ns.tolist(), strict=True):
            if one.trace_sampled and one.trace_id:
                bucket = bisect_left(DURATION_EDGES, took)
                traces[bucket] = TraceExemplar(took, self._unix_at(until), one.trace_id, one.span_id)

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
