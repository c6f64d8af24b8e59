"""The matrix that one chunk of rows is counted into, and the arithmetic all counters share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mlmon_sidecar.statistics.layout import FIXED_POINT_CLIP, FIXED_POINT_UNIT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlmon_sidecar.records import FloatVector, IntVector

    Mask = NDArray[np.bool_]


class Mirror(NamedTuple):
    """Cells that count a row a second time, in the blocks of its segments.

    Attributes:
        place: (size,) of each cell of the whole traffic in a block; -1 for those that a block does not repeat.
        starts: of each dimension (rows,), where the block of each row begins.
    """

    place: IntVector
    starts: Sequence[IntVector]


class Tally:
    """Integer cells (groups, size) int64, and which group and weight each row of the chunk has.

    Sums are made of 64-bit integers only, so neither order nor split can change them. What is to be added is written
    into lines, and added in one go when ``cells`` is asked for: a call of numpy costs as much as the sums of a
    thousand rows.
    """

    def __init__(
        self, group: IntVector, groups: int, weight: IntVector, size: int, lines: int, mirror: Mirror | None = None
    ) -> None:
        self.group = group  # (rows,) in [0, groups)
        self.groups = groups
        self.weight = weight  # (rows,)
        self._cells: IntVector = np.zeros((groups, size), dtype=np.int64)
        self._start: IntVector | int = group * size if groups > 1 else 0  # where each row's group begins, flat
        self._cell: IntVector = np.empty((lines, len(group)), dtype=np.int64)
        self._amount: IntVector = np.empty_like(self._cell)
        self._used = 0
        self._mirror = mirror

    @property
    def cells(self) -> IntVector:
        """(groups, size), everything added so far."""
        if self._used:
            index = self._cell[: self._used]
            if self._mirror is not None:
                self._repeat_lines(self._mirror, index)
            index += self._start
            np.add.at(self._cells.reshape(-1), index.reshape(-1), self._amount[: self._used].reshape(-1))
            self._used = 0
        return self._cells

    def lines(self, count: int) -> tuple[IntVector, IntVector]:
        """Cells and amounts (count, rows), to be filled in: each row adds the amount to the cell of its group."""
        span = slice(self._used, self._used + count)
        self._used += count
        return self._cell[span], self._amount[span]

    def add_with_weight(self, cell: IntVector | int, where: Mask) -> None:
        """One row in ``cell`` and its weight in the next, where ``where`` (columns, rows) or (rows,) says: seldom.

        ``cell`` stretches to its shape.
        """
        if where.any():
            flat, rows = self._cells.reshape(-1), where.nonzero()[-1]
            index: IntVector = np.empty(where.shape, dtype=np.int64)
            np.add(self._start, cell, out=index)
            picked = index[where]
            np.add.at(flat, picked, 1)
            np.add.at(flat, picked + 1, self.weight[rows])
            if self._mirror is not None:
                self._repeat_weights(self._mirror, np.broadcast_to(cell, where.shape)[where] + 1, rows)

    def _repeat_lines(self, mirror: Mirror, cell: IntVector) -> None:
        """``cell`` (lines, rows), of the whole traffic. All cells of a line are repeated, or none of them is: a line is
        one column's weights, or something that blocks do not hold."""
        repeated = np.flatnonzero(mirror.place[cell[:, :1]].max(axis=1, initial=-1) >= 0)
        place = mirror.place[cell[repeated]]
        amount = self._amount[repeated].reshape(-1)
        for start in mirror.starts:
            np.add.at(self._cells.reshape(-1), (place + (start + self._start)).reshape(-1), amount)

    def _repeat_weights(self, mirror: Mirror, cell: IntVector, rows: IntVector) -> None:
        """``cell`` and ``rows`` (n,): the cell of the whole traffic that the weight of each of these rows was added
        to."""
        place = mirror.place[cell]
        held = place >= 0
        place, rows = place[held], rows[held]
        for start in mirror.starts:
            np.add.at(self._cells.reshape(-1), place + (start + self._start)[rows], self.weight[rows])

    def by_group(self) -> Iterator[tuple[int, Any]]:
        """Each group that has rows, and which rows those are, as an index."""
        if self.groups == 1:
            yield 0, slice(None)
            return
        order = np.argsort(self.group, kind="stable")
        numbers, starts = np.unique(self.group[order], return_index=True)
        yield from zip(numbers.tolist(), np.split(order, starts[1:]), strict=True)


def fixed_point(values: FloatVector, center: Any, scale: Any) -> FloatVector:
    """``rint(clip((x - center) / scale, -64, 64) * 2**10)``: whole numbers; |q| <= 2**16."""
    with np.errstate(over="ignore"):
        standard = (values - center) / scale
    np.minimum(standard, FIXED_POINT_CLIP, out=standard)
    np.maximum(standard, -FIXED_POINT_CLIP, out=standard)
    standard *= FIXED_POINT_UNIT
    return np.rint(standard, out=standard)  # type: ignore[no-any-return]  # of that type


def alarm_table(edges: int, alarm: Sequence[int]) -> IntVector:
    """(edges + 1,): the alarm bin of each fine bin. Alarm edge ``a`` lies below x exactly when x's bin is above a."""
    return np.searchsorted(np.asarray(alarm, dtype=np.int64), np.arange(edges + 1), side="left").astype(np.int64)
