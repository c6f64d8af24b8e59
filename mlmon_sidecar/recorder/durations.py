"""How long requests took, by how they failed, with the newest trace of each bucket."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.aggregate.traffic import all_fine, times_of
from mlmon_sidecar.records import Distribution, End, Exchange, TraceExemplar
from mlmon_sidecar.resources.histogram import Histogram
from mlmon_sidecar.statistics.layout import DURATION_EDGES

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector

DURATION = "mlmon.prediction.duration"
FIRST_BYTE = "mlmon.prediction.time_to_first_byte"
ABORT = "abort"  # as with language models: the operation did not succeed, and its time says when the caller left
MAX_ERRORS = 16  # distinct exceptions of the application
OTHER = "_other"
_COMPLETE = End.COMPLETE  # a look-up by name is slow in Python 3.11
_EDGES = np.array(DURATION_EDGES)
_SAMPLED = itemgetter(Exchange._fields.index("trace_sampled"))

Attributes = tuple[tuple[str, str], ...]


class Durations:
    """Cumulative since the process started. Written by the recorder's thread, read by the exporter's.

    Exemplars are of requests whose trace is sampled alone: another one leads nowhere.
    """

    def __init__(self, unix_at: Callable[[int], int]) -> None:
        self._unix_at = unix_at
        self._series: dict[tuple[str, Attributes], tuple[Histogram, dict[int, TraceExemplar]]] = {}
        self._errors: set[str] = set()

    def add(self, version: str, exchanges: Sequence[Exchange]) -> None:
        """Of one model; ``version`` as it may be told."""
        for error, members in self._by_error(exchanges).items():
            who: Attributes = (("mlmon.model.name", members[0].model), ("mlmon.model.version", version))
            failed = (("error.type", error),) if error else ()
            started, first_byte, ended = times_of(members)
            self._observe(DURATION, (*who, *failed), members, started, ended)
            answered = first_byte.nonzero()[0]
            if len(answered) == len(members):
                self._observe(FIRST_BYTE, who, members, started, first_byte)
            elif len(answered):
                some = [members[at] for at in answered.tolist()]
                self._observe(FIRST_BYTE, who, some, started[answered], first_byte[answered])

    def measurements(self) -> Sequence[Distribution]:
        return [
            histogram.distribution(name, who)._replace(exemplars=tuple(newest for _, newest in sorted(traces.items())))
            for (name, who), (histogram, traces) in self._copied()
        ]

    def _copied(self) -> Sequence[tuple[tuple[str, Attributes], tuple[Histogram, dict[int, TraceExemplar]]]]:
        """Each copy is made in one piece."""
        return [(key, (histogram, traces.copy())) for key, (histogram, traces) in self._series.copy().items()]

    def _by_error(self, exchanges: Sequence[Exchange]) -> dict[str, Sequence[Exchange]]:
        if all_fine(exchanges):
            return {"": exchanges}
        found: dict[str, list[Exchange]] = {}
        for exchange in exchanges:
            fine = exchange.end is _COMPLETE and exchange.status < 500
            found.setdefault("" if fine else self._error(exchange), []).append(exchange)
        return dict(found)

    def _observe(
        self, metric: str, who: Attributes, members: Sequence[Exchange], since_ns: IntVector, until_ns: IntVector
    ) -> None:
        found = self._series.get((metric, who))
        if found is None:
            found = self._series[metric, who] = (Histogram(DURATION_EDGES), {})
        histogram, traces = found
        seconds = np.maximum(until_ns - since_ns, 0) / 1e9
        buckets = _EDGES.searchsorted(seconds)
        histogram.observe_counted(np.bincount(buckets, minlength=len(_EDGES) + 1).tolist(), sum(seconds.tolist()))
        for at, sampled in enumerate(map(_SAMPLED, members)):
            if sampled and members[at].trace_id:
                one, until = members[at], int(until_ns[at])
                traces[int(buckets[at])] = TraceExemplar(
                    float(seconds[at]), self._unix_at(until), one.trace_id, one.span_id
                )

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
