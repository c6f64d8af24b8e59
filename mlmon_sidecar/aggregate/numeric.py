"""Cells of numeric features, all features at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.aggregate.convert import INVALID, NULL, VALID
from mlmon_sidecar.aggregate.tally import Tally, alarm_table, fixed_point
from mlmon_sidecar.statistics.layout import Layout

if TYPE_CHECKING:
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
        self._moments = _column([cells.moments for _, cells in pairs])
        self._minimum = _floats([feature.minimum for feature, _ in pairs])
        self._maximum = _floats([feature.maximum for feature, _ in pairs])
        self._center = _floats([feature.center for feature, _ in pairs])
        self._scale = _floats([feature.scale for feature, _ in pairs])

    def count(self, tally: Tally, values: FloatVector, codes: Codes | None) -> None:
        """``values`` and ``codes`` as ``to_matrix`` makes them, in the order of ``names``."""
        if not self.names:
            return
        valid = None if codes is None else codes == VALID
        bins = self._bin(values)
        tally.add(self._bins + bins, where=valid)
        bins += self._alarm_start
        tally.add(self._alarm_cell.take(bins), tally.weight, where=valid)
        fixed = fixed_point(values, self._center, self._scale)
        tally.add(self._moments, fixed, where=valid)
        tally.add(self._moments + 1, fixed * fixed, where=valid)
        below, above = values < self._minimum, values > self._maximum
        if codes is not None and valid is not None:
            below &= valid
            above &= valid
            tally.add_with_weight(self._null, codes == NULL)
            tally.add_with_weight(self._invalid, codes == INVALID)
        tally.add_with_weight(self._below, below)
        tally.add_with_weight(self._above, above)

    def _bin(self, values: FloatVector) -> IntVector:
        """(features, rows): how many of the feature's edges lie below each value, so that x <= edge goes left."""
        bins = np.empty(values.shape, dtype=np.int64)
        for edges, column, found in zip(self._edges, values, bins, strict=True):
            found[:] = edges.searchsorted(column)
        return bins


def _column(cells: list[int]) -> IntVector:
    return np.array(cells, dtype=np.int64).reshape(-1, 1)


def _floats(values: list[float]) -> FloatVector:
    return np.array(values, dtype=np.float64).reshape(-1, 1)
