"""What of each segment the detector watches, and how the split of the traffic itself is watched.

Each segment has its own reference shares, from its own rows of the reference; profile, wander and clustering are those
that the whole column has, unless ``segment_wander`` learned that the segment moves otherwise. With m requests of the
segment, M of the whole reference and k parameters of the profile the tolerance is
``floor + 3 * sqrt(deff * (1 / m + (k - 1) / M) + tau^2)``: only the mean is the segment's own. A dimension's own column
is not watched by that dimension.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from mlmon_sidecar.records import WEIGHT_UNIT
from mlmon_sidecar.statistics.indicator_set import IndicatorBuilder, IndicatorSet
from mlmon_sidecar.statistics.indicators import (
    CONFIDENCE,
    FEATURES,
    NULLS,
    PREDICTIONS,
    SEGMENT_NULLS,
    SEGMENT_PREDICTIONS,
    SEGMENTS,
    STREAM_WEIGHT,
    Slack,
    confidence_shares,
    each_cell,
    feature_weights,
    key_of,
    known_categories,
    null_boundary,
    ordered,
    slack_of,
)
from mlmon_sidecar.statistics.layout import Layout, NumericCells
from mlmon_sidecar.statistics.profile import UnitProfile
from mlmon_sidecar.statistics.reference import Reference

if TYPE_CHECKING:
    from mlmon_sidecar.statistics.segments import Block

WHOLE: Mapping[str, str] = {SEGMENTS: FEATURES, SEGMENT_NULLS: NULLS, SEGMENT_PREDICTIONS: PREDICTIONS}
"""Stream of segments -> the stream that watches the same of the whole traffic; confidence has one of its own there."""


class SegmentUnit(NamedTuple):
    """What one unit of the segments' detector is about."""

    block: Block
    stream: str
    column: str  # a feature, or "score", "class" or "confidence"

    @property
    def segment(self) -> str:
        """
        >>> from mlmon_sidecar.statistics.segments import Block
        >>> SegmentUnit(Block("country", "DE", 0), SEGMENTS, "income").segment
        'country=DE'
        """
        return f"{self.block.dimension}={self.block.value}"

    @property
    def key(self) -> str:
        """Key of what a reference has learned of it alone."""
        return key_of(self.stream, self.name)

    @property
    def whole(self) -> tuple[str, str]:
        """(stream, unit) that watches the same of the whole traffic."""
        sure = self.stream == SEGMENT_PREDICTIONS and self.column == CONFIDENCE
        return CONFIDENCE if sure else WHOLE[self.stream], self.column

    @property
    def whole_key(self) -> str:
        """Key of what it has learned of the same in the whole traffic."""
        return key_of(*self.whole)

    @property
    def name(self) -> str:
        """As incidents name it."""
        word = {SEGMENTS: "", SEGMENT_NULLS: "missing ", SEGMENT_PREDICTIONS: "predicted "}[self.stream]
        return f"{self.segment}: {word}{self.column}"


@dataclass(frozen=True, eq=False)
class WatchedSegments:
    """The indicators of all segments, and what each unit is about by (stream, unit name)."""

    indicators: IndicatorSet
    units: Mapping[tuple[str, str], SegmentUnit]


def segment_indicators(layout: Layout, reference: Reference) -> WatchedSegments:
    """Everything the reference has data for; empty for a layout without segments."""
    watching = _Watching(layout, reference)
    for block in layout.segment_cells.blocks:
        watching.features(block)
    for block in layout.segment_cells.blocks:
        watching.missing(block)
    for block in layout.segment_cells.blocks:
        watching.predictions(block)
    indicators = watching.builder.build()
    return WatchedSegments(indicators, {(u.stream, u.name): watching.units[u.stream, u.name] for u in indicators.units})


class _Watching:
    """Adds the units of one block after the other."""

    def __init__(self, layout: Layout, reference: Reference) -> None:
        self.builder = IndicatorBuilder(WEIGHT_UNIT, STREAM_WEIGHT)
        self.units: dict[tuple[str, str], SegmentUnit] = {}
        self._layout, self._reference = layout, reference
        self._cells = layout.segment_cells
        self._weights = feature_weights(layout, reference)

    def features(self, block: Block) -> None:
        for column in self._layout.segments.columns:
            if column == block.dimension:
                continue
            cells, unit = self._layout.cells[column], SegmentUnit(block, SEGMENTS, column)
            span = self._cells.span(block, cells.alarm)
            self._unit(unit, self._weights[column], column)
            slack = self._slack(unit, column, span, cells.alarm)
            if isinstance(cells, NumericCells):
                ordered(self.builder, span, self._reference.vector, slack)
            else:
                rate = self._reference.new_rate.get(column, 0.0)
                known_categories(self.builder, span, self._reference.vector, slack, rate)

    def missing(self, block: Block) -> None:
        total = block.start + 1
        weight = int(self._reference.vector[total])
        if weight == 0:
            return
        for column in self._layout.segments.columns:
            if column == block.dimension:
                continue
            cells = self._layout.cells[column]
            self._unit(SegmentUnit(block, SEGMENT_NULLS, column), self._weights[column], None)
            slack = slack_of(self._reference, key_of(NULLS, column))
            for source in (cells.null + 1, cells.invalid + 1):
                cell = self._cells.cell(block, source)
                share = int(self._reference.vector[cell]) / weight
                boundary = null_boundary(share, slack, weight / WEIGHT_UNIT)
                self.builder.upward([cell], [total], share, boundary, slack.deff)

    def predictions(self, block: Block) -> None:
        space, outputs = self._layout.prediction, self._layout.outputs
        for column, source, watch in (
            ("score", outputs.score_alarm if space.score_edges else None, ordered),
            ("class", outputs.class_weight if space.classes else None, each_cell),
        ):
            if source is not None:
                span, slack = self._prediction(block, column, source)
                watch(self.builder, span, self._reference.vector, slack)
        if space.classes:
            span, slack = self._prediction(block, CONFIDENCE, outputs.confidence_alarm)
            chance = 1 / max(2, len(space.classes))
            confidence_shares(self.builder, span, self._reference.vector, slack, chance)

    def _prediction(self, block: Block, column: str, source: slice) -> tuple[slice, Slack]:
        """Begin a unit; its cells, and what they may move by."""
        unit, span = SegmentUnit(block, SEGMENT_PREDICTIONS, column), self._cells.span(block, source)
        self._unit(unit, 1.0, unit.whole_key)
        return span, self._slack(unit, unit.whole_key, span, source)

    def _unit(self, unit: SegmentUnit, weight: float, profile_key: str | None) -> None:
        self.units[unit.stream, unit.name] = unit
        known = self._reference.profile
        profile = None if profile_key is None else known.get(unit.key, known.get(profile_key))
        moved = None if profile is None else self._shifted(profile, unit.block)
        self.builder.unit(unit.stream, unit.name, weight, moved)

    def _shifted(self, profile: UnitProfile, block: Block) -> UnitProfile:
        """The column's own profile, for the cells of one block."""
        return replace(profile, cells=tuple(self._cells.cell(block, cell) for cell in profile.cells))

    def _slack(self, unit: SegmentUnit, key: str, span: slice, source: slice) -> Slack:
        known = slack_of(self._reference, key)
        known = replace(known, tau=self._reference.tau.get(unit.key, known.tau))
        if unit.key in self._reference.profile:
            return replace(known, parameters=self._reference.profile[unit.key].parameters)
        own, whole = int(self._reference.vector[span].sum()), int(self._reference.vector[source].sum())
        return replace(known, parameters=1 + (known.parameters - 1) * own / whole) if whole else known
