"""Figures as OpenTelemetry metrics data, built directly from our own integers: no instrument is touched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Metric as Stream
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from mlmon_sidecar.export.budget import Attributes
from mlmon_sidecar.export.catalog import CATALOG, Kind, Metric
from mlmon_sidecar.export.figures import Buckets, Collector, Figures, Value
from mlmon_sidecar.export.memory import Memory
from mlmon_sidecar.export.options import CUMULATIVE, DELTA
from mlmon_sidecar.export.otel_senders import Sender
from mlmon_sidecar.interfaces import Clock

# The encoder leaves an absent minimum and maximum out; only the type of the data point insists on a number.
_NOT_KNOWN: Any = None


class MetricsBuilder:
    """Turns one collection into one request. Temporality is of counters and histograms; sums that may fall and gauges
    have none to choose."""

    def __init__(self, resource: Resource, scope: InstrumentationScope, memory: Memory, temporality: str) -> None:
        self._resource = resource
        self._scope = scope
        self._memory = memory
        self._delta_kinds = {
            DELTA: {Kind.COUNTER, Kind.HISTOGRAM},
            CUMULATIVE: set[Kind](),
        }.get(temporality, {Kind.HISTOGRAM})  # low memory: observed counters stay cumulative, they cost nothing to keep

    def build(self, figures: Figures, now_ns: int) -> MetricsData:
        streams = [
            Stream(metric.name, metric.description, metric.unit, self._data(metric, figures[metric.name], now_ns))
            for metric in CATALOG.values()
            if metric.name in figures
        ]
        scope = ScopeMetrics(self._scope, streams, self._scope.schema_url or "")
        return MetricsData([ResourceMetrics(self._resource, [scope], self._resource.schema_url)])

    def _data(self, metric: Metric, series: dict[Attributes, Value], now_ns: int) -> Sum | Gauge | Histogram:
        if metric.kind is Kind.GAUGE:
            return Gauge([NumberDataPoint(dict(key), 0, now_ns, _plain(value)) for key, value in series.items()])
        delta = metric.kind in self._delta_kinds
        span = self._memory.delta if delta else self._memory.cumulative
        spans = {key: span((metric.name, key), value) for key, value in series.items()}
        temporality = AggregationTemporality.DELTA if delta else AggregationTemporality.CUMULATIVE
        if metric.kind is Kind.HISTOGRAM:
            return Histogram([_histogram_point(key, *spans[key], now_ns) for key in series], temporality)
        points = [NumberDataPoint(dict(key), s.start_ns, now_ns, _plain(s.value)) for key, s in spans.items()]
        return Sum(points, temporality, is_monotonic=metric.kind is Kind.COUNTER)


def _plain(value: Value) -> int | float:
    assert not isinstance(value, Buckets)
    return value


def _histogram_point(attributes: Attributes, start_ns: int, value: Value, now_ns: int) -> HistogramDataPoint:
    assert isinstance(value, Buckets)
    return HistogramDataPoint(
        attributes=dict(attributes),
        start_time_unix_nano=start_ns,
        time_unix_nano=now_ns,
        count=sum(value.counts),
        sum=value.total,
        bucket_counts=value.counts,
        explicit_bounds=value.bounds,
        min=_NOT_KNOWN,
        max=_NOT_KNOWN,
        exemplars=[
            Exemplar({}, one.value, one.at_ns, one.span_id, one.trace_id)
            for one in value.exemplars
            if start_ns < one.at_ns <= now_ns  # a point's exemplars lie within its time
        ],
    )


class MetricsLane:
    """Collect, build, send: one step of the metrics thread."""

    def __init__(
        self,
        collector: Collector,
        resource: Callable[[], Resource],
        scope: InstrumentationScope,
        temporality: str,
        sender: Sender,
        clock: Clock,
    ) -> None:
        self._collector = collector
        self._resource = resource
        self._scope = scope
        self._temporality = temporality
        self._sender = sender
        self._clock = clock
        self._memory = Memory(clock.unix_ns())
        self._builder: MetricsBuilder | None = None

    def step(self) -> None:
        if self._sender.resting:  # nothing is lost: the next export says it all
            return
        figures = self._collector.collect()
        if not figures:
            return
        if self._builder is None:  # here, on the export thread: resource detectors may wait
            self._builder = MetricsBuilder(self._resource(), self._scope, self._memory, self._temporality)
        now_ns = self._clock.unix_ns()
        if not self._sender.send(self._builder.build(figures, now_ns)):
            self._memory.taken(now_ns)

    def close(self) -> None:
        self._sender.close()
