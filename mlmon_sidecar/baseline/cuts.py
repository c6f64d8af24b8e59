"""Where to cut a numeric column so that counts tell its distribution.

Edges lie midway between adjacent distinct values, at the quantiles k/bins, and on both sides of every value that
holds at least 1% of the rows: an edge on a data value would hide a move of that value by a hair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlmon_sidecar.baseline.sketch import Cells

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector

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
    wanted = [_nearest(below, k / bins) for k in range(1, bins)]
    gaps = np.unique(np.concatenate((wanted, atoms - 1, atoms)).astype(np.int64))
    gaps = gaps[(gaps >= 0) & (gaps < len(below))]
    alarm = sorted({_nearest(below[gaps], share) for share in ALARM_SHARES})
    return Cuts(_midway(cells, gaps), tuple(alarm))


def coarse(cuts: Cuts) -> Cuts:
    """The alarm edges only."""
    return Cuts(tuple(cuts.edges[at] for at in cuts.alarm), tuple(range(len(cuts.alarm))))


def _nearest(shares: FloatVector, share: float) -> int:
    return int(np.argmin(np.abs(shares - share)))


def _midway(cells: Cells, gaps: np.ndarray[tuple[int], np.dtype[np.int64]]) -> tuple[float, ...]:
    left, right = cells.high[gaps], cells.low[gaps + 1]
    middle = left / 2 + right / 2  # halves first: the sum of two huge values overflows
    # Between neighbouring floats there is no middle; "x <= left" parts them as well.
    return tuple(float(x) for x in np.where((middle >= left) & (middle < right), middle, left))
