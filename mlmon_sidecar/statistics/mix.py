"""How much of a change is another mix of segments, and how much happened within them.

With the share w of the rows that a segment has and the share p of its rows that are hit, a share of the whole traffic
is ``sum w p``. Its change parts without a remainder into

    ``sum (w1 - w0) (p0 + p1) / 2``  the mix, and  ``sum (p1 - p0) (w0 + w1) / 2``  within segments.

Source: E. M. Kitagawa, "Components of a difference between two rates", Journal of the American Statistical Association
50 (1955), 1168-1194.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.statistics.layout import Layout, NumericCells, NumericFeature

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector, IntVector

OTHER, NEW = "(other)", "(new)"


@dataclass(frozen=True, slots=True)
class Split:
    """The change of one share of a column, by one dimension.

    Attributes:
        share: whose change it is, in words: the one of the column that moved most.
        before, after: that share.
        mix, within: parts of the change, which sum to ``after - before``.
        segment: the one with the largest part of ``within``; "" where none moved.
        segment_within: that part, signed.
    """

    dimension: str
    share: str
    before: float
    after: float
    mix: float
    within: float
    segment: str
    segment_within: float

    @property
    def mix_part(self) -> float:
        """How much of both parts' sizes the mix is, in [0, 1]; 0 where nothing moved."""
        sizes = abs(self.mix) + abs(self.within)
        return abs(self.mix) / sizes if sizes else 0.0


def kitagawa(
    hits0: FloatVector, rows0: FloatVector, hits1: FloatVector, rows1: FloatVector
) -> tuple[FloatVector, FloatVector]:
    """(segments,) mix and within of each. All arguments (segments,) >= 0, ``rows0`` and ``rows1`` not all 0.

    A segment without rows on one side is taken to have had the other side's share: all it changes is the mix.
    """
    w0, w1 = rows0 / rows0.sum(), rows1 / rows1.sum()
    p0 = np.divide(hits0, rows0, out=np.zeros_like(w0), where=rows0 > 0)
    p1 = np.divide(hits1, rows1, out=np.zeros_like(w1), where=rows1 > 0)
    p0, p1 = np.where(rows0 > 0, p0, p1), np.where(rows1 > 0, p1, p0)
    return (w1 - w0) * (p0 + p1) / 2, (p1 - p0) * (w0 + w1) / 2


def split_change(layout: Layout, column: str, before: IntVector, after: IntVector) -> list[Split]:
    """One for each dimension; none for a column that segments do not count, or without values on one side.

    Args:
        before, after: (layout.size,) counts.
    """
    if column not in layout.segments.columns:
        return []
    cells, ordered = layout.cells[column], isinstance(layout.cells[column], NumericCells)
    span = cells.alarm
    if not before[span].any() or not after[span].any() or span.stop - span.start < 2:
        return []
    at, change = _most_moved(before[span], after[span], ordered=ordered)
    found = []
    for dimension in layout.segments.dimensions:
        blocks = layout.segment_cells.of(dimension.name)
        spans = [layout.segment_cells.span(block, span) for block in blocks]
        sides = [_hits_and_rows([vector[s] for s in spans], at, ordered=ordered) for vector in (before, after)]
        mix, within = kitagawa(*sides[0], *sides[1])
        most = int(np.abs(within).argmax())
        found.append(
            Split(
                dimension=dimension.name,
                share=_words(layout, column, at),
                before=change[0],
                after=change[1],
                mix=float(mix.sum()),
                within=float(within.sum()),
                segment=blocks[most].value if within[most] else "",
                segment_within=float(within[most]),
            )
        )
    return found


def share_words(layout: Layout, column: str, before: IntVector, after: IntVector) -> tuple[str, float, float] | None:
    """The share of a column's alarm bins that moved most, in words, before and after; None without values.

    Args:
        before, after: (alarm bins,) of the whole traffic or of one segment.
    """
    if not before.any() or not after.any():
        return None
    at, (old, new) = _most_moved(before, after, ordered=isinstance(layout.cells[column], NumericCells))
    return _words(layout, column, at), old, new


def _most_moved(before: IntVector, after: IntVector, *, ordered: bool) -> tuple[int, tuple[float, float]]:
    """Which bin's share moved most, in Cohen's h, and the share before and after; ``ordered``: which cumulated one."""
    old, new = before / before.sum(), after / after.sum()
    if ordered:
        old, new = np.cumsum(old)[:-1], np.cumsum(new)[:-1]
    if not len(old):
        return 0, (1.0, 1.0)  # one bin, which holds everything
    effect = np.abs(np.arcsin(np.sqrt(np.clip(new, 0, 1))) - np.arcsin(np.sqrt(np.clip(old, 0, 1))))
    at = int(effect.argmax())
    return at, (float(old[at]), float(new[at]))


def _hits_and_rows(bins: list[IntVector], at: int, *, ordered: bool) -> tuple[FloatVector, FloatVector]:
    """(segments,) each, as floats."""
    table = np.array(bins, dtype=np.float64)
    return table[:, : at + 1].sum(axis=1) if ordered else table[:, at], table.sum(axis=1)


def _words(layout: Layout, column: str, at: int) -> str:
    feature = layout.feature(column)
    if isinstance(feature, NumericFeature):
        return f"<= {feature.edges[feature.alarm[at]]:g}" if feature.alarm else "any"
    listed = (*feature.categories[: feature.alarm], OTHER, NEW)
    return repr(listed[at]) if at < feature.alarm else listed[at]
