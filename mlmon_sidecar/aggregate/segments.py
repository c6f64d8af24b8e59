"""Which segment of each dimension a row is in.

A value is one of the baseline's by the same rules as a category: as ``category_token`` writes it, redacted under the
dimension's name. Anything else, and nothing at all, is in ``_other``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlmon_sidecar.aggregate.tally import Mirror
from mlmon_sidecar.records import PredictionBatch
from mlmon_sidecar.statistics.layout import Layout, category_token
from mlmon_sidecar.statistics.segments import ANNOTATED, Block

if TYPE_CHECKING:
    from mlmon_sidecar.aggregate.categorical import RedactCategory
    from mlmon_sidecar.aggregate.convert import Column
    from mlmon_sidecar.records import IntVector

MAX_REMEMBERED = 4096  # values of one dimension; then the memory starts afresh
MAX_REMEMBERED_TEXT = 200  # characters of one that is


class SegmentCounter:
    """Finds the blocks of rows under one layout with segments."""

    def __init__(self, layout: Layout, redact: RedactCategory) -> None:
        cells = layout.segment_cells
        self._dimensions = [_Blocks(each.name, cells.of(each.name), redact) for each in layout.segments.dimensions]
        self._place: IntVector = np.full(layout.size, -1, dtype=np.int64)
        self._place[list(cells.sources)] = np.arange(len(cells.sources))

    def mirror(self, batch: PredictionBatch, rows: slice, taken: int) -> Mirror:
        """Of ``batch``'s ``rows``, ``taken`` of them."""
        return Mirror(self._place, [each.starts(batch, rows, taken) for each in self._dimensions])


def dimension_values(batch: PredictionBatch, name: str) -> Column | None:
    """(rows,) values of one dimension; None where the batch has no such column."""
    column = batch.features.get(name)
    if name != ANNOTATED:
        return column
    if column is None:
        return batch.segments
    return [value if said is None else said for said, value in zip(batch.segments, column, strict=True)]


class _Blocks:
    """Where the blocks of one dimension begin, by value."""

    def __init__(self, name: str, blocks: Sequence[Block], redact: RedactCategory) -> None:
        self.name = name
        self._redact: Callable[[str, str], str] = redact
        self._start = {block.value: block.start for block in blocks[:-1]}
        self._other = blocks[-1].start
        self._texts: dict[object, int] = {None: self._other}  # texts, and nothing
        self._others: dict[tuple[type, Hashable], int] = {}  # by type too: 1 and True are equal, and not the same

    def starts(self, batch: PredictionBatch, rows: slice, taken: int) -> IntVector:
        """(taken,) first cell of each row's block."""
        column = dimension_values(batch, self.name)
        if column is None:
            return np.full(taken, self._other, dtype=np.int64)
        part = column[rows]
        values: Sequence[object] = part.tolist() if isinstance(part, np.ndarray) else part
        try:
            return np.fromiter(map(self._texts.__getitem__, values), dtype=np.int64, count=taken)
        except (KeyError, TypeError):  # one is no text, or is seen for the first time
            return np.fromiter(map(self._of, values), dtype=np.int64, count=taken)

    def _of(self, value: object) -> int:
        if not isinstance(value, (str, int, float)) or value != value:
            return self._other
        known: dict[Any, int] = self._texts if isinstance(value, str) else self._others
        key = value if isinstance(value, str) else (type(value), value)
        start = known.get(key)
        if start is None:
            start = self._start.get(self._redact(self.name, category_token(value)), self._other)
            if not isinstance(value, str) or len(value) <= MAX_REMEMBERED_TEXT:
                if len(self._texts) + len(self._others) >= MAX_REMEMBERED:
                    self._texts, self._others = {None: self._other}, {}
                    known = self._texts if isinstance(value, str) else self._others
                known[key] = start
        return start
