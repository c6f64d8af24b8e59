"""Figures through a MeterProvider that the application set up itself: they go wherever its other metrics go."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, Observation, get_meter_provider
from opentelemetry.sdk.metrics import MeterProvider

from mlmon_sidecar.export.catalog import CATALOG, RECORDER, Kind
from mlmon_sidecar.export.figures import Buckets, Collector, Figures


def host_meter_provider() -> MeterProvider | None:
    """The application's own SDK provider, where it set one globally."""
    provider = get_meter_provider()
    return provider if isinstance(provider, MeterProvider) else None


class HostMetrics:
    """One observable instrument for each catalogue name that has no histogram points.

    Points carry ``mlmon.recorder``: the application's resource does not tell its worker processes apart.
    """

    def __init__(self, provider: MeterProvider, collector: Collector, version: str, instance_id: str) -> None:
        self._collector = collector
        self.renew(instance_id)
        meter = provider.get_meter("mlmon_sidecar", version)
        makers = {
            Kind.COUNTER: meter.create_observable_counter,
            Kind.UPDOWN: meter.create_observable_up_down_counter,
            Kind.GAUGE: meter.create_observable_gauge,
        }
        for metric in CATALOG.values():
            if make := makers.get(metric.kind):
                make(metric.name, [self._callback(metric.name)], metric.unit, metric.description)

    def renew(self, instance_id: str) -> None:
        """Begin, or begin again in the child of a fork: nobody else runs there, and the lock may have been held."""
        self._instance_id = instance_id
        self._lock = threading.Lock()
        self._figures: Figures = {}
        self._served: set[str] = set(CATALOG)  # the first to ask collects
        self._closed = False

    def close(self) -> None:
        """Instruments cannot be taken back, nor made twice; until renewed they have no points."""
        self._closed = True

    def _callback(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            return [] if self._closed else self._observations(name)

        return observe

    def _observations(self, name: str) -> list[Observation]:
        with self._lock:
            if name in self._served:  # a new cycle began: one collection serves every instrument once
                self._figures, self._served = self._collector.collect(), set()
            self._served.add(name)
            series = self._figures.get(name, {})
        return [
            Observation(value, {**dict(attributes), RECORDER: self._instance_id})
            for attributes, value in series.items()
            if not isinstance(value, Buckets)
        ]
