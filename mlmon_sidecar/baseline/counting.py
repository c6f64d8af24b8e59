"""The reference vector, counted by the code that serving counts with, and its half hours one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.aggregate.panes import RowCounter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlmon_sidecar.aggregate.categorical import RedactCategory
    from mlmon_sidecar.records import IntVector, PredictionBatch
    from mlmon_sidecar.statistics.indicator_set import IndicatorSet
    from mlmon_sidecar.statistics.layout import Layout

HALF_HOUR_NS = 1_800_000_000_000
CHUNK_ROWS = 512
CHUNK_CELLS = 4_000_000  # 32 MB at a time


@dataclass(frozen=True, slots=True)
class HalfHourlyCounts:
    """Hits and totals of every indicator, (R, indicators) each, of the half hours (R,) that have rows."""

    half_hour: IntVector
    hits: NDArray[np.int64]
    totals: NDArray[np.int64]


def count_all(
    layout: Layout, batch: PredictionBatch, redact: RedactCategory, progress: Callable[[float], None]
) -> IntVector:
    """(layout.size,) counts of the whole batch."""
    counter, vector = RowCounter(layout, redact), np.zeros(layout.size, dtype=np.int64)
    for start in range(0, batch.rows, CHUNK_ROWS):
        rows = slice(start, min(start + CHUNK_ROWS, batch.rows))
        tally, _ = counter.count(batch, rows, np.zeros(rows.stop - start, dtype=np.int64), 1)
        vector += tally.cells[0]
        progress(rows.stop / batch.rows)
    return vector


def count_half_hours(
    layout: Layout,
    batch: PredictionBatch,
    redact: RedactCategory,
    indicators: IndicatorSet,
    progress: Callable[[float], None],
) -> HalfHourlyCounts:
    """Rows of ``batch`` ascend in time. Only the indicators are kept of each half hour, not its vector."""
    counter = RowCounter(layout, redact)
    halves, place = np.unique(batch.event_ns // HALF_HOUR_NS, return_inverse=True)
    place = place.reshape(-1)
    hits = np.zeros((len(halves), len(indicators.unit)), dtype=np.int64)
    totals = np.zeros_like(hits)
    step = max(1, min(CHUNK_ROWS, CHUNK_CELLS // layout.size))
    for start in range(0, batch.rows, step):
        rows = slice(start, min(start + step, batch.rows))
        first = int(place[start])
        group = (place[rows] - first).astype(np.int64)
        tally, _ = counter.count(batch, rows, group, int(group[-1]) + 1)
        for at, vector in enumerate(tally.cells, start=first):
            hits[at] += indicators.hits.of_vector(vector)
            totals[at] += indicators.totals.of_vector(vector)
        progress(rows.stop / batch.rows)
    return HalfHourlyCounts(halves.astype(np.int64), hits, totals)
