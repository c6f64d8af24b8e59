"""The reference vector, counted by the code that serving counts with, and its half hours one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.aggregate.panes import RowCounter
from mlmon_sidecar.baseline.predictions import texts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlmon_sidecar.aggregate.categorical import RedactCategory
    from mlmon_sidecar.baseline.predictions import Judge
    from mlmon_sidecar.baseline.rows import RowReader, Rows
    from mlmon_sidecar.records import IntVector
    from mlmon_sidecar.statistics.indicator_set import IndicatorSet
    from mlmon_sidecar.statistics.layout import Layout

HALF_HOUR_NS = 1_800_000_000_000
CHUNK_ROWS = 512
CHUNK_CELLS = 4_000_000  # 32 MB at a time
MAX_HALF_HOURLY = 1 << 23  # figures of all half hours: 64 MB of hits, and as much of totals


@dataclass(frozen=True, slots=True)
class HalfHourlyCounts:
    """Hits and totals of every indicator, (R, indicators) each, of the half hours (R,) that have rows."""

    half_hour: IntVector
    hits: NDArray[np.int64]
    totals: NDArray[np.int64]


class Counted:
    """Counts rows that stand for any number of rows, a few at a time."""

    def __init__(self, layout: Layout, redact: RedactCategory) -> None:
        self._counter = RowCounter(layout, redact)
        self._size = layout.size
        lines = 8 * max(1, len(layout.features))  # words a row needs while it is counted, about
        self._step = max(1, min(CHUNK_ROWS, CHUNK_CELLS // lines))

    def vectors(self, rows: Rows, group: IntVector) -> Iterator[tuple[int, IntVector]]:
        """(group, its counts (layout.size,)) of some of the rows at a time. ``group`` (rows,)."""
        kinds, kind = np.unique(np.stack((group, rows.counts)), axis=1, return_inverse=True)
        kind = kind.reshape(-1)
        step = max(1, min(self._step, CHUNK_CELLS // self._size)) if kinds.shape[1] > 1 else self._step
        for start in range(0, rows.batch.rows, step):
            part = slice(start, min(start + step, rows.batch.rows))
            found, place = np.unique(kind[part], return_inverse=True)
            tally, _ = self._counter.count(rows.batch, part, place.reshape(-1).astype(np.int64), len(found))
            for cells, which in zip(tally.cells, found.tolist(), strict=True):
                yield int(kinds[0, which]), cells * kinds[1, which]


def count_all(
    layout: Layout, reader: RowReader, redact: RedactCategory, progress: Callable[[float], None], judge: Judge
) -> IntVector:
    """(layout.size,) counts of all rows; rows with labels are shown to ``judge`` on the way."""
    counted, vector = Counted(layout, redact), np.zeros(layout.size, dtype=np.int64)
    for rows in reader.read(progress):
        for _, cells in counted.vectors(rows, np.zeros(rows.batch.rows, dtype=np.int64)):
            vector += cells
        if rows.labels is not None:
            judge.add(rows, texts(rows.batch.predicted, redact))
    return vector


def count_half_hours(
    layout: Layout,
    reader: RowReader,
    redact: RedactCategory,
    indicators: IndicatorSet,
    half_hours: IntVector,
    progress: Callable[[float], None],
) -> HalfHourlyCounts:
    """Of the given half hours (R,), ascending. Only the indicators are kept of each, not its vector."""
    counted = Counted(layout, redact)
    hits = np.zeros((len(half_hours), len(indicators.unit)), dtype=np.int64)
    totals = np.zeros_like(hits)
    for rows in reader.read(progress):
        asked = rows.only(np.isin(rows.batch.event_ns // HALF_HOUR_NS, half_hours))
        group = np.searchsorted(half_hours, asked.batch.event_ns // HALF_HOUR_NS)
        for at, vector in counted.vectors(asked, group):
            hits[at] += indicators.hits.of_vector(vector)
            totals[at] += indicators.totals.of_vector(vector)
    return HalfHourlyCounts(half_hours, hits, totals)


def counted_half_hours(half_hours: IntVector, indicators: IndicatorSet) -> IntVector:
    """The latest of them, as many as memory is set apart for."""
    kept = max(1, MAX_HALF_HOURLY // max(1, len(indicators.unit)))
    return half_hours[-kept:]
