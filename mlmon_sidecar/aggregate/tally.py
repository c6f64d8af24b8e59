"""The matrix that one chunk of rows is counted into, and the arithmetic all counters share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlmon_sidecar.statistics.layout import FIXED_POINT_CLIP, FIXED_POINT_UNIT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlmon_sidecar.records import FloatVector, IntVector

    Mask = NDArray[np.bool_]


class Tally:
    """Integer cells (groups, size) int64, and which group and weight each row of the chunk has.

    Sums are made of 64-bit integers only, so neither order nor split can change them. What is added is noted, and
    added in one go when ``cells`` is asked for: a call of numpy costs as much as the sums of a thousand rows.
    """

    def __init__(self, group: IntVector, groups: int, weight: IntVector, size: int) -> None:
        self.group = group  # (rows,) in [0, groups)
        self.groups = groups
        self.weight = weight  # (rows,)
        self._rows = len(group)
        self._cells: IntVector = np.zeros((groups, size), dtype=np.int64)
        self._start: IntVector | int = group * size if groups > 1 else 0  # where each row's group begins, flat
        self._index: IntVector = np.empty(32 * self._rows, dtype=np.int64)  # the first ``_noted`` wait to be added
        self._amount: IntVector = np.empty_like(self._index)
        self._noted = 0

    @property
    def cells(self) -> IntVector:
        """(groups, size), everything added so far."""
        if self._noted:
            np.add.at(self._cells.reshape(-1), self._index[: self._noted], self._amount[: self._noted])
            self._noted = 0
        return self._cells

    def add(self, cell: IntVector | int, amount: Any = 1, where: Mask | None = None) -> None:
        """Add ``amount`` to a cell for each row.

        ``cell`` is a number, (rows,), (columns, 1) or (columns, rows); ``amount`` and ``where`` stretch to its rows.
        """
        shape = (len(cell), self._rows) if isinstance(cell, np.ndarray) and cell.ndim == 2 else (self._rows,)
        index, added = self._note(shape)
        np.add(self._start, cell, out=index)
        added[...] = amount
        if where is not None:
            added *= where

    def add_with_weight(self, cell: IntVector | int, where: Mask) -> None:
        """One row in ``cell`` and its weight in the next, where ``where`` (as in ``add``) says: seldom."""
        if where.any():
            index: IntVector = np.empty(where.shape, dtype=np.int64)
            np.add(self._start, cell, out=index)
            picked = index[where]
            for at, amount in ((picked, 1), (picked + 1, self.weight[where.nonzero()[-1]])):
                noted, added = self._note(picked.shape)
                noted[...], added[...] = at, amount

    def by_group(self) -> Iterator[tuple[int, Any]]:
        """Each group that has rows, and which rows those are, as an index."""
        if self.groups == 1:
            yield 0, slice(None)
            return
        order = np.argsort(self.group, kind="stable")
        numbers, starts = np.unique(self.group[order], return_index=True)
        yield from zip(numbers.tolist(), np.split(order, starts[1:]), strict=True)

    def _note(self, shape: tuple[int, ...]) -> tuple[IntVector, IntVector]:
        """Index and amount, to be filled in."""
        end = self._noted + math.prod(shape)
        if end > len(self._index):
            more = np.empty(end, dtype=np.int64)  # and as much again as there is
            self._index, self._amount = np.concatenate((self._index, more)), np.concatenate((self._amount, more))
        span = slice(self._noted, end)
        self._noted = end
        return self._index[span].reshape(shape), self._amount[span].reshape(shape)


def fixed_point(values: FloatVector, center: Any, scale: Any) -> IntVector:
    """``rint(clip((x - center) / scale, -64, 64) * 2**10)`` as int64; |q| <= 2**16."""
    with np.errstate(over="ignore"):
        standard = (values - center) / scale
    np.minimum(standard, FIXED_POINT_CLIP, out=standard)
    np.maximum(standard, -FIXED_POINT_CLIP, out=standard)
    standard *= FIXED_POINT_UNIT
    fixed: IntVector = np.rint(standard, out=standard).astype(np.int64)
    return fixed


def alarm_table(edges: int, alarm: Sequence[int]) -> IntVector:
    """(edges + 1,): the alarm bin of each fine bin. Alarm edge ``a`` lies below x exactly when x's bin is above a."""
    return np.searchsorted(np.asarray(alarm, dtype=np.int64), np.arange(edges + 1), side="left").astype(np.int64)
