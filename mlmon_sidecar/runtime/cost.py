"""What telemetry costs with a configuration: series, bytes of an export, bytes of the store.

Nothing is estimated that can be counted: a hub in a temporary folder is fed the baseline itself as one minute of
traffic, and what it and a serving process would export is encoded as it would be sent. Left out is what only traffic
and labels bring: language models' figures, outcomes, errors, schema violations, and log records.
"""

from __future__ import annotations

import gzip
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from tempfile import TemporaryDirectory

import numpy as np

from mlmon_sidecar.clock import SystemClock
from mlmon_sidecar.config import Settings
from mlmon_sidecar.export.figures import Collector, Figures
from mlmon_sidecar.export.otel_size import encoded
from mlmon_sidecar.export.prometheus import exposition
from mlmon_sidecar.hub.hub import Hub
from mlmon_sidecar.hub.retention import FIGURE_DAYS, MINUTES_KEPT
from mlmon_sidecar.interfaces import Source
from mlmon_sidecar.recorder.figures import Totals
from mlmon_sidecar.recorder.sizes import BATCH_BOUNDS
from mlmon_sidecar.records import MINUTE_NS, Distribution, Flush, Measurement, Pane, PaneKey, RedactedRows
from mlmon_sidecar.resources.active import ActiveSource
from mlmon_sidecar.resources.gpu import GpuSource
from mlmon_sidecar.resources.histogram import PAUSE_BOUNDS, Histogram
from mlmon_sidecar.resources.loading import LoadingSource
from mlmon_sidecar.resources.process import ProcessSource
from mlmon_sidecar.runtime import assembly
from mlmon_sidecar.runtime.assembly import Watched
from mlmon_sidecar.statistics.layout import DURATION_EDGES
from mlmon_sidecar.statistics.packing import encode_vector
from mlmon_sidecar.store import open_store
from mlmon_sidecar.telemetry import Telemetry

_BEHIND = 5  # minutes of the made traffic before now
_HOURS = FIGURE_DAYS * 24
_LATER = ("mlmon.outcome.", "mlmon.self.hub.leader")  # brought by labels; of the process


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one source of figures, with each export."""

    series: int  # OTLP: a histogram is one
    prometheus_series: int  # a histogram is its buckets, sum and count
    bytes: int  # one export, uncompressed
    gzip_bytes: int


@dataclass(frozen=True, slots=True)
class Stored:
    """Of one model and version in the store."""

    pane_bytes: int  # one minute or hour
    most_bytes: int  # all panes that are kept, with traffic in each


def process_cost(settings: Settings, watched: Sequence[Watched]) -> Cost:
    """One serving process, each model in one version."""
    models = settings.captured()
    totals = Totals({one.name: one.layout for one in watched})
    for one in watched:
        totals.add(_pane(one, 0))
    named = [(("mlmon.model.name", one.name), ("mlmon.model.version", "1")) for one in watched]
    times = [
        Histogram(DURATION_EDGES).distribution(name, who)
        for name in ("mlmon.prediction.duration", "mlmon.prediction.time_to_first_byte")
        for who in named
    ]
    sizes = [Histogram(BATCH_BOUNDS).distribution("mlmon.batch.size", who) for who in named]
    pauses = [Histogram(PAUSE_BOUNDS).distribution(name) for name in ("mlmon.event_loop.lag", "mlmon.gc.pause")]
    full = (("mlmon.drop.kind", "exchange"), ("mlmon.drop.reason", "queue_full"))
    own = [
        Measurement("mlmon.self.queue.size", 0),
        Measurement("mlmon.self.queue.limit", settings.queue_max_bytes),
        Measurement("mlmon.self.dropped", 0, full),
        Measurement("mlmon.self.flush.lag", 0.0),
        Measurement("mlmon.self.hub.leader", 0),
    ]
    sources: list[Source] = [ProcessSource(), GpuSource(), ActiveSource(models, ()), LoadingSource(models, 1.0)]
    found: list[Measurement | Distribution] = [*totals.measurements(), *times, *sizes, *pauses, *own]
    for source in sources:
        found += source()
    return _cost(found)


def model_cost(settings: Settings, watched: Watched) -> Cost:
    """Model-level figures, which one hub exports."""
    clock, telemetry = SystemClock(), Telemetry()
    minute = clock.unix_ns() // MINUTE_NS - _BEHIND
    with TemporaryDirectory(prefix="mlmon-cost-") as folder:
        store = open_store(f"sqlite:///{folder}/mlmon.db")
        plan = assembly.model_plan(watched, settings)
        hub = Hub(store, [plan], clock, telemetry, assembly.hub_options(settings, "embedded"))
        try:
            recorder = str(uuid.uuid4())
            for seq, panes in ((1, ()), (2, (_pane(watched, minute),))):
                complete = {watched.name: minute if panes else -1}
                hub.flush(Flush(recorder, seq, panes, RedactedRows(), {}, complete, clock.unix_ns(), bool(panes)))
            hub.tick()
            return _cost([one for one in hub.measurements() if not one.name.startswith(_LATER)])
        finally:
            hub.close()


def stored(watched: Watched) -> Stored:
    """As many bytes as the baseline's own counts take; ordinary minutes take less."""
    pane = len(encode_vector(_pane(watched, 0).vector))
    return Stored(pane, pane * (MINUTES_KEPT + _HOURS))


def _pane(watched: Watched, minute: int) -> Pane:
    layout, baseline = watched.layout, watched.baseline
    vector = np.zeros(layout.size, dtype=np.int64) if baseline is None else baseline.reference.vector
    return Pane(PaneKey(watched.name, "1", "", layout.hash, minute), vector)


def _cost(found: Sequence[Measurement | Distribution]) -> Cost:
    figures: Figures = Collector([lambda: found], Telemetry()).collect()
    body = encoded(figures)
    lines = exposition(figures, {}).decode().splitlines()
    return Cost(
        series=sum(map(len, figures.values())),
        prometheus_series=sum(not line.startswith("#") for line in lines) - 1,  # target_info
        bytes=len(body),
        gzip_bytes=len(gzip.compress(body)),
    )
