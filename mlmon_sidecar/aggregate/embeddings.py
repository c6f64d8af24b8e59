"""Cells of embedded columns: nearest centroid, distance to it, and sums of directions and waves.

All arithmetic is on whole numbers held in doubles, below 2**53: exact, whatever the library adds first.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.aggregate.convert import VALID
from mlmon_sidecar.statistics.embedding_space import (
    EMBEDDING_CLIP,
    EMBEDDING_UNIT,
    TURN_BITS,
    WAVE_BITS,
    WAVE_UNIT,
    EmbeddingCells,
    EmbeddingSpace,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlmon_sidecar.aggregate.convert import Codes
    from mlmon_sidecar.aggregate.tally import Mask, Tally
    from mlmon_sidecar.records import FloatVector, IntVector
    from mlmon_sidecar.statistics.layout import Layout

_WAVES = 1 << WAVE_BITS
_COSINE = np.array([round(WAVE_UNIT * math.cos(2 * math.pi * k / _WAVES)) for k in range(_WAVES)], dtype=np.int64)
_SINE = np.roll(_COSINE, _WAVES // 4)


class EmbeddingCounter:
    """Counts the embedded columns of one layout."""

    def __init__(self, layout: Layout) -> None:
        at = {feature.name: row for row, (feature, _) in enumerate(layout.numeric())}
        self._columns = [_Column(space, layout.embedding_cells[space.name], at) for space in layout.embeddings]
        self.lines = 4 * len(self._columns)  # of a tally

    def count(self, tally: Tally, values: FloatVector, codes: Codes | None) -> None:
        """``values`` and ``codes`` of the numeric features, as ``to_matrix`` makes them."""
        for column in self._columns:
            column.count(tally, values, codes)


class _Column:
    def __init__(self, space: EmbeddingSpace, cells: EmbeddingCells, at: Mapping[str, int]) -> None:
        self._rows = np.array([at[part] for part in space.parts])
        self._cells = cells
        self._centroids = np.array(space.centroids, dtype=np.float64)
        self._squares = (self._centroids**2).sum(axis=1)[:, None]
        self._edges = np.array(space.edges, dtype=np.float64)
        self._frequencies = np.array(space.frequencies, dtype=np.float64)

    def count(self, tally: Tally, values: FloatVector, codes: Codes | None) -> None:
        there: Mask = np.ones(values.shape[1], bool) if codes is None else (codes[self._rows] == VALID).all(axis=0)
        q = whole(values[self._rows])
        away = (q**2).sum(axis=0) + self._squares - 2 * (self._centroids @ q)  # (clusters, rows) squared distances
        nearest = away.argmin(axis=0)
        distance = self._edges.searchsorted(away[nearest, np.arange(len(nearest))])
        cell, amount = tally.lines(4)
        cell[0], cell[1] = nearest + self._cells.clusters.start, nearest + self._cells.cluster_weight.start
        cell[2], cell[3] = distance + self._cells.distances.start, distance + self._cells.distance_weight.start
        amount[0::2], amount[1::2] = there, tally.weight * there
        self._add_sums(tally, q, there)

    def _add_sums(self, tally: Tally, q: FloatVector, there: Mask) -> None:
        turned = (self._frequencies @ q).astype(np.int64) >> (TURN_BITS - WAVE_BITS) & (_WAVES - 1)
        sums: IntVector = np.concatenate((q.astype(np.int64), _COSINE[turned], _SINE[turned]))
        sums[:, ~there] = 0
        span = slice(self._cells.sums.start, self._cells.waves.stop)
        for group, rows in tally.by_group():
            tally.cells[group, span] += sums[:, rows].sum(axis=1)


def whole(values: FloatVector) -> FloatVector:
    """Parts as whole multiples of 1 / ``EMBEDDING_UNIT``."""
    with np.errstate(over="ignore"):
        q: FloatVector = np.rint(np.clip(values * EMBEDDING_UNIT, -EMBEDDING_CLIP, EMBEDDING_CLIP))
    return q
