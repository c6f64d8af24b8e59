"""Numbers in bounded memory: how many there are of each value, or of each narrow range of values.

While a column has at most ``cap`` distinct values they are counted one by one. Beyond, neighbouring values share a
cell: doubles are mapped to 64-bit integers in their own order, and the lowest bits are dropped, as few as leave at most
``cap`` cells. A cell knows its count and its smallest and largest value, so that edges between cells still lie midway
between two values that are next to each other in the data.

How many bits are dropped depends on the set of values alone (a part of them never needs more than all of them), so
neither the order of the rows nor how they are split changes a bit of the result. Relative to its values a cell is
narrow: with 8,192 of them 2.5e-4 or less where the numbers are of one magnitude, 8e-3 where they span ten. The
collapsing is that of UDDSketch (Epicoco et al., "UDDSketch: Accurate Tracking of Quantiles in Data Streams", 2020), on
the doubles' own binades.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector, IntVector

CROWDED = 0.01  # share of a cell of several values that is looked at more closely
_LOWER_63 = np.int64((1 << 63) - 1)


class Cells(NamedTuple):
    """Ascending, disjoint ranges ``low <= x <= high`` of finite values; a single value where the two are equal."""

    low: FloatVector
    high: FloatVector
    rows: IntVector

    @classmethod
    def of(cls, values: FloatVector) -> Cells:
        """Every distinct value by itself."""
        distinct, counts = np.unique(values + 0.0, return_counts=True)
        return cls(distinct, distinct, counts.astype(np.int64))

    @property
    def total(self) -> int:
        return int(self.rows.sum())

    @property
    def exact(self) -> bool:
        return bool((self.low == self.high).all())

    def quantile(self, share: float) -> float:
        """Linear between ranks, as ``numpy.quantile`` has it, and within a range. ``total`` > 0."""
        rank = (self.total - 1) * share
        below, part = int(rank), rank - int(rank)
        first, second = self._at(below), self._at(min(below + 1, self.total - 1))
        return first + (second - first) * part

    def mean_and_spread(self) -> tuple[float, float]:
        """Mean and standard deviation (0 or more), from the middles of the ranges. ``total`` > 0."""
        middle = self.low / 2 + self.high / 2
        unit = float(np.abs(middle).max()) or 1.0  # squares of huge values overflow
        share = self.rows / self.total
        scaled = middle / unit
        mean = float((scaled * share).sum())
        spread = float(np.sqrt((share * (scaled - mean) ** 2).sum()))
        return mean * unit, spread * unit

    def _at(self, rank: int) -> float:
        ends = np.cumsum(self.rows)
        cell = int(np.searchsorted(ends, rank, side="right"))
        low, high, rows = float(self.low[cell]), float(self.high[cell]), int(self.rows[cell])
        if low == high or rows < 2:
            return low
        return low + (high - low) * ((rank - int(ends[cell]) + rows) / (rows - 1))


class NumberSketch:
    """Counts of finite values in at most ``cap`` cells, 2 or more: 32 bytes each, and 16 for each value that waits."""

    def __init__(self, cap: int) -> None:
        self._cap, self._dropped = cap, 0
        self._key: IntVector = np.zeros(0, dtype=np.int64)
        self._cells = Cells(np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64))
        self._waiting: list[tuple[FloatVector, IntVector]] = []
        self._waiting_values = 0

    def add(self, values: FloatVector, counts: IntVector) -> None:
        """``counts`` (values,) > 0: how often each one is there."""
        if not len(values):
            return
        self._waiting.append((values + 0.0, counts))  # adding zero makes one of the two zeros
        self._waiting_values += len(values)
        if self._waiting_values >= self._cap:
            self._fold()

    def cells(self) -> Cells:
        self._fold()
        return self._cells

    def _fold(self) -> None:
        if not self._waiting:
            return
        values = np.concatenate([self._cells.low, *(values for values, _ in self._waiting)])
        highs = np.concatenate([self._cells.high, *(values for values, _ in self._waiting)])
        counts = np.concatenate([self._cells.rows, *(counts for _, counts in self._waiting)])
        self._waiting, self._waiting_values = [], 0
        keys = _keys(values) >> self._dropped
        order = np.argsort(keys, kind="stable")
        self._group(keys[order], Cells(values[order], highs[order], counts[order]))
        while len(self._key) > self._cap:
            self._dropped += 1
            self._group(self._key >> 1, self._cells)

    def _group(self, keys: IntVector, cells: Cells) -> None:
        """``keys`` ascending; equal ones become one cell."""
        starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
        self._key = keys[starts]
        self._cells = Cells(
            np.minimum.reduceat(cells.low, starts),
            np.maximum.reduceat(cells.high, starts),
            np.add.reduceat(cells.rows, starts),
        )


class Numbers:
    """One column's numbers: a sketch, and a second one for the ranges into which many rows fall."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._sketch = NumberSketch(cap)
        self._closer: NumberSketch | None = None
        self._crowded: Cells | None = None

    def add(self, values: FloatVector, counts: IntVector) -> None:
        """In the first look."""
        self._sketch.add(values, counts)

    @property
    def is_crowded(self) -> bool:
        """Whether a value that many rows share may hide among its neighbours, so that a closer look pays."""
        return bool(self._where_crowded().any())

    def look_closer(self, values: FloatVector, counts: IntVector) -> None:
        """In a second look at the same rows."""
        if self._closer is None:
            where = self._where_crowded()
            low, high, rows = self._sketch.cells()
            self._crowded = Cells(low[where], high[where], rows[where])
            self._closer = NumberSketch(self._cap)
        assert self._crowded is not None
        if not len(self._crowded.low):
            return
        at = np.searchsorted(self._crowded.low, values + 0.0, side="right") - 1
        inside = (at >= 0) & (values <= self._crowded.high[np.maximum(at, 0)])
        self._closer.add(values[inside], counts[inside])

    def cells(self) -> Cells:
        """What both looks found."""
        if self._closer is None:
            return self._sketch.cells()
        kept = ~self._where_crowded()
        first, closer = self._sketch.cells(), self._closer.cells()
        low = np.concatenate((first.low[kept], closer.low))
        high = np.concatenate((first.high[kept], closer.high))
        rows = np.concatenate((first.rows[kept], closer.rows))
        order = np.argsort(low)
        return Cells(low[order], high[order], rows[order])

    def _where_crowded(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        cells = self._sketch.cells()
        where: np.ndarray[tuple[int], np.dtype[np.bool_]] = (cells.low < cells.high) & (
            cells.rows >= CROWDED * cells.total
        )
        return where


def _keys(values: FloatVector) -> IntVector:
    """(values,) integers in the order of the values, none of them NaN or -0.0."""
    bits = values.view(np.int64)
    keys: IntVector = bits ^ ((bits >> 63) & _LOWER_63)
    return keys
