"""Parts of the traffic that are watched by themselves: a block of cells for each value of a dimension.

A block repeats those weights of the whole vector that alarms rest on, counted over the rows of its segment alone: rows,
classes, score, confidence, and of each chosen column the alarm bins and what is missing. One dimension at a time: a row
is in one block of each dimension. Figures are those of the whole traffic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from mlmon_sidecar.errors import BaselineError

if TYPE_CHECKING:
    from mlmon_sidecar.statistics.layout import CategoricalCells, NumericCells, PredictionCells, PredictionSpace

ANNOTATED = "segment"
"""The dimension that ``annotate(segment=...)`` and ``prediction.segment`` fill; where they say nothing, the column."""

OTHER_SEGMENT = "_other"
MAX_VALUES = 20


@dataclass(frozen=True, slots=True)
class Dimension:
    """What rows are split by: a column, or ``ANNOTATED``."""

    name: str
    values: tuple[str, ...]  # most frequent first, at most ``MAX_VALUES``; tokens as ``category_token`` writes them

    @property
    def segments(self) -> tuple[str, ...]:
        """The values, and the one that any other row is in."""
        return (*self.values, OTHER_SEGMENT)


@dataclass(frozen=True, slots=True)
class SegmentSpace:
    """How the rows of one model are split; empty where they are not."""

    dimensions: tuple[Dimension, ...] = ()
    columns: tuple[str, ...] = ()  # features that are counted by segment

    @classmethod
    def from_document(cls, item: Mapping[str, Any]) -> SegmentSpace:
        """Raises ``KeyError`` or ``TypeError`` for anything else than ``asdict`` gave."""
        dimensions = tuple(Dimension(each["name"], tuple(each["values"])) for each in item["dimensions"])
        return cls(dimensions, tuple(item["columns"]))

    def require_valid(self, features: Sequence[str]) -> None:
        """Raises ``BaselineError`` for what cannot be told apart, or names no feature."""
        names = [dimension.name for dimension in self.dimensions]
        values = [dimension.segments for dimension in self.dimensions]
        if len(set(names)) != len(names) or any(len(set(of_one)) != len(of_one) for of_one in values):
            raise BaselineError("a segment is listed twice", code="layout_invalid")
        if any(len(dimension.values) > MAX_VALUES for dimension in self.dimensions):
            raise BaselineError(f"a dimension has more than {MAX_VALUES} segments", code="layout_invalid")
        if not set(self.columns) <= set(features):
            raise BaselineError("a segment counts a column that is no feature", code="layout_invalid")


NO_SEGMENTS = SegmentSpace()


class Block(NamedTuple):
    """The cells of one segment."""

    dimension: str
    value: str
    start: int  # first cell: rows; the next is their weight


class SegmentCells:
    """Where the blocks lie.

    Attributes:
        sources: (width,) the cell of the whole traffic that each cell of a block is a part of.
        blocks: in the order of the dimensions and their segments.
        end: the cell after the last.
    """

    def __init__(self, space: SegmentSpace, sources: Sequence[int], first: int) -> None:
        self.sources = tuple(sources)
        self._place = {cell: at for at, cell in enumerate(self.sources)}
        names = ((dimension.name, value) for dimension in space.dimensions for value in dimension.segments)
        width = len(self.sources)
        self.blocks = tuple(Block(name, value, first + at * width) for at, (name, value) in enumerate(names))
        self.end = first + width * len(self.blocks)

    def of(self, dimension: str) -> tuple[Block, ...]:
        """The blocks of one dimension, ``OTHER_SEGMENT`` last."""
        return tuple(block for block in self.blocks if block.dimension == dimension)

    def cell(self, block: Block, source: int) -> int:
        """The cell in ``block`` that repeats ``source``."""
        return block.start + self._place[source]

    def span(self, block: Block, source: slice) -> slice:
        """The same of a span, which is not empty."""
        start = self.cell(block, source.start)
        return slice(start, start + source.stop - source.start)


def block_sources(
    rows: int,
    space: PredictionSpace,
    outputs: PredictionCells,
    columns: Sequence[NumericCells | CategoricalCells],
) -> Iterator[int]:
    """The cells that a block repeats. ``rows``: that of the traffic; the next is their weight."""
    yield from (rows, rows + 1)
    if space.classes:
        yield from range(outputs.class_weight.start, outputs.class_weight.stop)
        yield from range(outputs.confidence_alarm.start, outputs.confidence_alarm.stop)
    yield from range(outputs.score_alarm.start, outputs.score_alarm.stop)
    for cells in columns:
        yield from column_sources(cells)


def column_sources(cells: NumericCells | CategoricalCells) -> Iterator[int]:
    """What of one column a block repeats: its alarm bins, nulls, unusable values, all as weights."""
    yield from range(cells.alarm.start, cells.alarm.stop)
    yield from (cells.null + 1, cells.invalid + 1)
