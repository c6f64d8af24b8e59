"""The matrix that one chunk of rows is counted into, and the arithmetic all counters share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlmon_sidecar.statistics.layout import FIXED_POINT_CLIP, FIXED_POINT_UNIT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlmon_sidecar.records import FloatVector, IntVector

    Mask = NDArray[np.bool_]


class Tally:
    """Integer cells (groups, size) int64, and which group and weight each row of the chunk has.

    Sums are made of 64-bit integers only, so neither order nor split can change them.
    """

    def __init__(self, group: IntVector, groups: int, weight: IntVector, size: int) -> None:
        self.cells: IntVector = np.zeros((groups, size), dtype=np.int64)
        self.group = group  # (rows,) in [0, groups)
        self.weight = weight  # (rows,)
        self._flat = self.cells.reshape(-1)
        self._start = group * size  # (rows,) where each row's group begins in the flat cells

    def add(self, cell: IntVector | int, amount: Any = 1, where: Mask | None = None) -> None:
        """Add ``amount`` to a cell for each row.

        ``cell`` and ``amount`` are one number, (rows,) or (columns, rows); ``where`` has the shape they make together.
        """
        index = self._start + cell
        if where is not None and not where.all():
            if isinstance(amount, np.ndarray):
                amount = amount[where] if amount.shape == where.shape else amount[where.nonzero()[-1]]
            index = index[where]
        # Spelled out: numpy's add.at reads past the amounts when they have fewer dimensions than the index.
        np.add.at(self._flat, index, np.broadcast_to(amount, np.shape(index)))

    def add_with_weight(self, cell: IntVector | int, where: Mask) -> None:
        """One row in ``cell`` and its weight in the next, where ``where`` (as in ``add``) says."""
        if where.any():
            index = (self._start + cell)[where]
            np.add.at(self._flat, index, 1)
            np.add.at(self._flat, index + 1, self.weight[where.nonzero()[-1]])


def fixed_point(values: FloatVector, center: Any, scale: Any) -> IntVector:
    """``rint(clip((x - center) / scale, -64, 64) * 2**10)`` as int64; |q| <= 2**16."""
    with np.errstate(over="ignore"):
        standard = np.clip((values - center) / scale, -FIXED_POINT_CLIP, FIXED_POINT_CLIP)
    fixed: IntVector = np.rint(standard * FIXED_POINT_UNIT).astype(np.int64)
    return fixed


def alarm_table(edges: int, alarm: Sequence[int]) -> IntVector:
    """(edges + 1,): the alarm bin of each fine bin. Alarm edge ``a`` lies below x exactly when x's bin is above a."""
    return np.searchsorted(np.asarray(alarm, dtype=np.int64), np.arange(edges + 1), side="left").astype(np.int64)
