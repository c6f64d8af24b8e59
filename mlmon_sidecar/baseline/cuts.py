"""Where to cut a numeric column so that counts tell its distribution.

Edges lie midway between adjacent distinct values, at the quantiles k/bins, and on both sides of every value that
holds at least 1% of the rows: an edge on a data value would hide a move of that value by a hair.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlmon_sidecar.baseline.sketch import Cells
from mlmon_sidecar.statistics.layout import NumericFeature

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector, IntVector

FIGURE_BINS = 50
SCORE_BINS = 200
ALARM_SHARES = tuple(k / 10 for k in range(1, 10))
ATOM_SHARE = 0.01
FEW_DISTINCT = 20  # a bin of its own for each value


class Cuts(NamedTuple):
    """Edges ascending; ``alarm`` indexes into them."""

    edges: tuple[float, ...]
    alarm: tuple[int, ...]


def cut(cells: Cells, bins: int) -> Cuts:
    """Edges of at least one value; none for a constant column. A cell is never cut in two.

    >>> cut(Cells.of(np.array([1.0, 1.0, 2.0, 4.0])), 50)
    Cuts(edges=(1.5, 3.0), alarm=(0, 1))
    """
    below = (np.cumsum(cells.rows) / cells.total)[:-1]  # share at or below each gap
    if len(cells.rows) <= FEW_DISTINCT:
        gaps = np.arange(len(below))
        return Cuts(_midway(cells, gaps), tuple(range(len(gaps))))
    atoms = np.flatnonzero(cells.rows >= ATOM_SHARE * cells.total)
    wanted = _nearest(below, np.arange(1, bins) / bins)
    gaps = np.unique(np.concatenate((wanted, atoms - 1, atoms)).astype(np.int64))
    gaps = gaps[(gaps >= 0) & (gaps < len(below))]
    alarm = np.unique(_nearest(below[gaps], np.array(ALARM_SHARES)))
    return Cuts(_midway(cells, gaps), tuple(alarm.tolist()))


def coarse(feature: NumericFeature) -> NumericFeature:
    """With the alarm edges only."""
    edges = tuple(feature.edges[at] for at in feature.alarm)
    return replace(feature, edges=edges, alarm=tuple(range(len(edges))))


def _nearest(ascending: FloatVector, shares: FloatVector) -> IntVector:
    """(shares,): the place of the nearest one, the lower of two that are as near."""
    above = np.searchsorted(ascending, shares).clip(1, max(1, len(ascending) - 1))
    lower = above - 1
    upper = above.clip(0, len(ascending) - 1)
    nearer = np.abs(ascending[upper] - shares) < np.abs(ascending[lower] - shares)
    places: IntVector = np.where(nearer, upper, lower)
    return places


def _midway(cells: Cells, gaps: np.ndarray[tuple[int], np.dtype[np.int64]]) -> tuple[float, ...]:
    left, right = cells.high[gaps], cells.low[gaps + 1]
    middle = left / 2 + right / 2  # halves first: the sum of two huge values overflows
    # Between neighbouring floats there is no middle; "x <= left" parts them as well.
    return tuple(np.where((middle >= left) & (middle < right), middle, left).tolist())
