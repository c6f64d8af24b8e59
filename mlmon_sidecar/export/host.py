"""Figures through a MeterProvider that the application set up itself: they go wherever its other metrics go."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable
from weakref import WeakKeyDictionary

from opentelemetry.metrics import CallbackOptions, Observation, get_meter_provider
from opentelemetry.sdk.metrics import MeterProvider

from mlmon_sidecar.export.budget import Attributes
from mlmon_sidecar.export.catalog import CATALOG, RECORDER, Kind
from mlmon_sidecar.export.figures import Buckets, Collector, Figures
from mlmon_sidecar.export.spread import since, values
from mlmon_sidecar.statistics.layout import DURATION_EDGES

DURATION = "mlmon.prediction.duration"

_made: WeakKeyDictionary[MeterProvider, list[HostMetrics]] = WeakKeyDictionary()


def host_meter_provider() -> MeterProvider | None:
    """The application's own SDK provider, where it set one globally."""
    provider = get_meter_provider()
    return provider if isinstance(provider, MeterProvider) else None


class HostMetrics:
    """One observable instrument for each name without histogram points; and ``mlmon.prediction.duration``.

    A histogram cannot be observed: it is recorded value by value as each cycle begins, which costs some 10 us a request
    on the export thread. Points carry ``mlmon.recorder``: the application's resource does not tell its workers apart.
    """

    def __init__(self, provider: MeterProvider, collector: Collector, version: str, instance_id: str) -> None:
        self._provider = provider
        self.renew(collector, instance_id)
        meter = provider.get_meter("mlmon_sidecar", version)
        makers = {
            Kind.COUNTER: meter.create_observable_counter,
            Kind.UPDOWN: meter.create_observable_up_down_counter,
            Kind.GAUGE: meter.create_observable_gauge,
        }
        for metric in CATALOG.values():
            if make := makers.get(metric.kind):
                make(metric.name, [self._callback(metric.name)], metric.unit, metric.description)
        duration = CATALOG[DURATION]
        self._durations = meter.create_histogram(
            DURATION, duration.unit, duration.description, explicit_bucket_boundaries_advisory=DURATION_EDGES
        )

    @classmethod
    def of(cls, provider: MeterProvider, collector: Collector, version: str, instance_id: str) -> HostMetrics:
        """Those that ended in this process or were a parent's, begun again: instruments cannot be made twice."""
        made = _made.setdefault(provider, [])
        for known in made:
            if known.ended:
                known.renew(collector, instance_id)
                return known
        made.append(cls(provider, collector, version, instance_id))
        return made[-1]

    @property
    def ended(self) -> bool:
        """Closed, or of the process that this one was forked from."""
        return self._closed or self._pid != os.getpid()

    def renew(self, collector: Collector, instance_id: str) -> None:
        """Begin, or begin again in the child of a fork: nobody else runs there, and the lock may have been held."""
        self._collector, self._pid = collector, os.getpid()
        self._instance_id = instance_id
        self._lock = threading.Lock()
        self._figures: Figures = {}
        self._recorded: dict[Attributes, Buckets] = {}
        self._served: set[str] = set(CATALOG)  # the first to ask collects
        self._closed = False

    def flush(self, deadline_seconds: float) -> threading.Thread | None:
        """Have the provider collect and export now, in a thread: after ``close`` nobody hears the last figures. None
        where that has happened."""
        if self.ended:
            return None

        def run() -> None:
            with contextlib.suppress(Exception):  # the application's exporters: theirs to tell
                self._provider.force_flush(timeout_millis=deadline_seconds * 1000)

        thread = threading.Thread(target=run, name="mlmon-export-host", daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        """Instruments cannot be taken back, nor made twice; until renewed they have no points."""
        self._closed = True

    def _callback(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            return [] if self.ended else self._observations(name)

        return observe

    def _record_durations(self) -> None:
        """What came since the last cycle. The reader that asks collects this instrument after the observables."""
        for attributes, value in self._figures.get(DURATION, {}).items():
            assert isinstance(value, Buckets), "a histogram in the catalogue"
            known = {**dict(attributes), RECORDER: self._instance_id}
            for seconds, count in values(since(self._recorded.get(attributes), value)):
                for _ in range(count):
                    self._durations.record(seconds, known)
            self._recorded[attributes] = value

    def _observations(self, name: str) -> list[Observation]:
        with self._lock:
            if name in self._served:  # a new cycle began: one collection serves every instrument once
                self._figures, self._served = self._collector.collect(), set()
                self._record_durations()
            self._served.add(name)
            series = self._figures.get(name, {})
        return [
            Observation(value, {**dict(attributes), RECORDER: self._instance_id})
            for attributes, value in series.items()
            if not isinstance(value, Buckets)
        ]
