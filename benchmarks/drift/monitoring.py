"""A simulated model: a baseline from its healthy month, then panes through the project's detector."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.drift.counting import FIRST_MINUTE, Counts, column_of, count, layout_of
from benchmarks.drift.streams import DAY, Stream, Traffic, traffic
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
    seen.kept.clear()  # hundreds of megabytes
    return Month(seen, start, counts, reference, Detector(indicators(layout, reference)))


def reference_of(counts: Counts, layout: Layout, seen: Traffic, start: int) -> Reference:
    """What ``mlmon baseline build`` would learn from the minutes before ``start``."""
    halves = counts.by(30, 0, start)
    reference = Reference(
        layout=layout.hash,
        version="baseline",
        vector=counts.vectors(halves.sum(axis=0)[None])[0],
        new_rate=_new_rates(layout, seen, start),
    )
    watched = indicators(layout, reference)
    used = np.flatnonzero(halves[:, -1])
    hits, totals = np.empty((2, len(used), len(watched.unit)), dtype=np.int64)
    for at, half in enumerate(used):
        vector = counts.vectors(halves[half][None])[0]
        hits[at], totals[at] = watched.hits.of_vector(vector), watched.totals.of_vector(vector)
    learned = learn_wander(watched, used + FIRST_MINUTE // 30, hits, totals)
    hours = len(np.unique(used // 2))
    return replace(reference, hours=hours, tau=learned.tau, deff=learned.deff, profile=learned.profile)


def steps(month: Month, counts: Counts, pane: int, start: int, end: int) -> Iterator[tuple[int, Step]]:
    """Panes of ``pane`` minutes from minute ``start`` to ``end``: the minute after each, and its step.

    Empty panes do not exist.
    """
    state = month.detector.initial()
    vector = np.zeros(counts.layout.size, dtype=np.int64)
    for first in range(start, end, CHUNK_MINUTES):
        sums = counts.by(pane, first, min(first + CHUNK_MINUTES, end))
        for at, weights in enumerate(sums):
            if not weights[-1]:
                continue
            vector[counts.cells] = weights
            begins = first + at * pane
            step = month.detector.step(state, vector, minute=FIRST_MINUTE + begins, hours=pane / 60)
            state = step.state
            yield begins + pane, step


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
