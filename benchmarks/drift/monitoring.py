"""A simulated model: a baseline from its healthy month, then panes through the project's detector."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.drift.counting import FIRST_MINUTE, Counts, column_of, count, layout_of
from benchmarks.drift.streams import DAY, Stream, Traffic, traffic
from mlmon_sidecar.statistics.detector_state import DetectorState
from mlmon_sidecar.statistics.edetector import Detector, Step
from mlmon_sidecar.statistics.indicators import indicators
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.statistics.reference import Reference
from mlmon_sidecar.statistics.wander import learn_wander

CHUNK_MINUTES = 1440


@dataclass(frozen=True)
class Month:
    """Traffic, its first part the baseline, and the detector that watches the rest."""

    seen: Traffic
    start: int  # first monitored minute
    counts: Counts
    reference: Reference
    detector: Detector


def month_of(stream: Stream, seed: int, features: int, *, baseline_days: int, days: int) -> Month:
    """Everything before the first monitored pane."""
    seen, start = traffic(stream, seed, baseline_days + days), baseline_days * DAY
    layout = layout_of(seen, features, start)
    counts = count(layout, seen, features)
    reference = reference_of(counts, layout, seen, start)
    return Month(seen, start, counts, reference, Detector(indicators(layout, reference)))


def reference_of(counts: Counts, layout: Layout, seen: Traffic, start: int) -> Reference:
    """What ``mlmon baseline build`` would learn from the minutes before ``start``."""
    hourly = counts.by(60, 0, start)
    total = hourly.sum(axis=0)
    reference = Reference(
        layout=layout.hash,
        version="baseline",
        vector=counts.vectors(total[None])[0],
        new_rate=_new_rates(layout, seen, start),
    )
    watched = indicators(layout, reference)
    used = np.flatnonzero(hourly[:, -1])
    vectors = counts.vectors(hourly[used])
    hits = np.stack([watched.hits.of_vector(vector) for vector in vectors])
    totals = np.stack([watched.totals.of_vector(vector) for vector in vectors])
    learned = learn_wander(watched, used + FIRST_MINUTE // 60, hits, totals)
    return replace(reference, hours=len(used), tau=learned.tau, deff=learned.deff)


def steps(month: Month, counts: Counts, pane: int, start: int, end: int, state: DetectorState) -> Iterator[Step]:
    """Panes of ``pane`` minutes from monitored minute ``start`` to ``end``, each one step. Empty panes do not exist."""
    for first in range(start, end, CHUNK_MINUTES):
        last = min(first + CHUNK_MINUTES, end)
        sums = counts.by(pane, first, last)
        vector = np.zeros(counts.layout.size, dtype=np.int64)
        for at, weights in enumerate(sums):
            if not weights[-1]:
                continue
            vector[counts.cells] = weights
            minute = FIRST_MINUTE + first + at * pane
            step = month.detector.step(state, vector, minute=minute, hours=pane / 60)
            state = step.state
            yield step


def _new_rates(layout: Layout, seen: Traffic, start: int) -> dict[str, float]:
    """Good-Turing's, as in ``baseline.columns.unseen_rate``, over all rows before ``start``."""
    rates = {}
    before = int(np.searchsorted(seen.minute, start))
    for feature in range(len(layout.features)):
        if seen.is_categorical(feature):
            values, missing = seen.values(feature)
            counts = np.unique(values[:before][~missing[:before]], return_counts=True)[1]
            rates[column_of(feature)] = max(1, int((counts == 1).sum())) / max(1, int(counts.sum()))
    return rates
