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
    """Counts (features, rows) matrices. Everything here is (features, 1), or (features, longest edges) where named."""

    def __init__(self, layout: Layout) -> None:
        pairs = list(layout.numeric())
        self.names = [feature.name for feature, _ in pairs]
        width = max((len(feature.edges) for feature, _ in pairs), default=0)
        self._edges = np.full((len(pairs), width), np.inf)  # (features, width); nothing lies above the filling
        self._alarm_cell = np.zeros((len(pairs), width + 1), dtype=np.int64)  # (features, width + 1)
        for at, (feature, cells) in enumerate(pairs):
            bins = len(feature.edges) + 1
            self._edges[at, : bins - 1] = feature.edges
            self._alarm_cell[at, :bins] = cells.alarm.start + alarm_table(bins - 1, feature.alarm)
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

    def count(self, tally: Tally, values: FloatVector, codes: Codes) -> None:
        """``values`` and ``codes`` as ``to_matrix`` makes them, in the order of ``names``."""
        if not self.names:
            return
        valid = codes == VALID
        bins = self._bin(values)
        tally.add(self._bins + bins, where=valid)
        tally.add(np.take_along_axis(self._alarm_cell, bins, axis=1), tally.weight, where=valid)
        fixed = fixed_point(values, self._center, self._scale)
        tally.add(self._moments, fixed, where=valid)
        tally.add(self._moments + 1, fixed * fixed, where=valid)
        tally.add_with_weight(self._null, codes == NULL)
        tally.add_with_weight(self._invalid, codes == INVALID)
        tally.add_with_weight(self._below, valid & (values < self._minimum))
        tally.add_with_weight(self._above, valid & (values > self._maximum))

    def _bin(self, values: FloatVector) -> IntVector:
        """(features, rows): how many of the feature's edges lie below each value, so that x <= edge goes left."""
        bins = np.empty(values.shape, dtype=np.int64)
        for at, edges in enumerate(self._edges):
            bins[at] = np.searchsorted(edges, values[at], side="left")
        return bins


def _column(cells: list[int]) -> IntVector:
    return np.array(cells, dtype=np.int64).reshape(-1, 1)


def _floats(values: list[float]) -> FloatVector:
    return np.array(values, dtype=np.float64).reshape(-1, 1)
