"""Cells of numeric features, all features at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.aggregate.convert import INVALID, NULL, VALID
from mlmon_sidecar.aggregate.tally import Tally, alarm_table, fixed_point
from mlmon_sidecar.statistics.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlmon_sidecar.aggregate.convert import Codes
    from mlmon_sidecar.records import FloatVector, IntVector


class NumericCounter:
    """Counts (features, rows) matrices. Every constant here is (features, 1) unless it says otherwise."""

    def __init__(self, layout: Layout) -> None:
        pairs = list(layout.numeric())
        self.names = [feature.name for feature, _ in pairs]
        self._edges = [np.array(feature.edges, dtype=np.float64) for feature, _ in pairs]  # (edges,) of each feature
        alarms = [cells.alarm.start + alarm_table(len(feature.edges), feature.alarm) for feature, cells in pairs]
        self._alarm_cell = np.concatenate([np.zeros(0, dtype=np.int64), *alarms])  # (bins of all features,)
        starts = np.cumsum([0, *map(len, alarms)])[:-1]
        self._alarm_start = _column(starts.tolist())  # where a feature begins in it
        self._bins = _column([cells.bins.start for _, cells in pairs])
        self._null = _column([cells.null for _, cells in pairs])
        self._invalid = _column([cells.invalid for _, cells in pairs])
        self._below = _column([cells.below for _, cells in pairs])
        self._above = _column([cells.above for _, cells in pairs])
        moments = _column([cells.moments for _, cells in pairs])
        self._moments = np.stack((moments, moments + 1))  # (2, features, 1)
        self._minimum = _floats([feature.minimum for feature, _ in pairs])
        self._maximum = _floats([feature.maximum for feature, _ in pairs])
        self._center = _floats([feature.center for feature, _ in pairs])
        self._scale = _floats([feature.scale for feature, _ in pairs])
        self.lines = 4 * len(pairs)  # of a tally

    def counting(self, tally: Tally, values: FloatVector, codes: Codes | None) -> Iterator[None]:
        """In pieces. ``values`` and ``codes`` as ``to_matrix`` makes them, in the order of ``names``."""
        if not self.names:
            return
        cell, amount = (lines.reshape(4, *values.shape) for lines in tally.lines(self.lines))
        # How many edges lie below, so that x <= edge goes left.
        bins = [edges.searchsorted(column) for edges, column in zip(self._edges, values, strict=True)]
        np.concatenate(bins, out=cell[0].reshape(-1))
        yield
        cell[1] = self._alarm_cell.take(cell[0] + self._alarm_start)
        cell[0] += self._bins
        cell[2:] = self._moments
        amount[0] = 1
        amount[1] = tally.weight
        amount[2] = fixed_point(values, self._center, self._scale)
        np.multiply(amount[2], amount[2], out=amount[3])
        below, above = values < self._minimum, values > self._maximum
        if codes is not None:
            valid = codes == VALID
            amount *= valid
            below &= valid
            above &= valid
            tally.add_with_weight(self._null, codes == NULL)
            tally.add_with_weight(self._invalid, codes == INVALID)
        tally.add_with_weight(self._below, below)
        tally.add_with_weight(self._above, above)


def _column(cells: list[int]) -> IntVector:
    return np.array(cells, dtype=np.int64).reshape(-1, 1)


def _floats(values: list[float]) -> FloatVector:
    return np.array(values, dtype=np.float64).reshape(-1, 1)
