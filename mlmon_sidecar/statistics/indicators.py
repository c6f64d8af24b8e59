"""Which shares of a model's panes the detector watches, and how far each may move.

Tolerance of a distribution, in Cohen's h: ``floor + 3 * sqrt(deff * k / m + tau^2)`` with m reference requests, k
parameters of their profile, ``deff`` their clustering and ``tau`` the wander of healthy data. Nulls and confidence have
boundaries of their own, stated at their functions; to both the same ``3 * sqrt(deff / m ...)`` is added, so that a
small reference is not blamed on the present.

The false-alarm budget belongs to the model and is split over everything that may alert. The parts below sum to 1
with ``BUDGET_RESERVE``, which the comparison of versions draws from: adding one never loosens those already running.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.errors import BaselineError
from mlmon_sidecar.records import WEIGHT_UNIT
from mlmon_sidecar.statistics.indicator_set import IndicatorBuilder, IndicatorSet, angle_of
from mlmon_sidecar.statistics.layout import (
    CONFIDENCE_ALARM,
    CONFIDENCE_EDGES,
    CategoricalCells,
    Layout,
    NumericCells,
)
from mlmon_sidecar.statistics.reference import Reference

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector, IntVector

FEATURES, NULLS, PREDICTIONS, CONFIDENCE, QUALITY = "features", "nulls", "predictions", "confidence", "quality"
NEW, RANGE, SERVICE, VOLUME = "new", "range", "service", "volume"
MIX, SEGMENTS = "segment_mix", "segments"
SEGMENT_NULLS, SEGMENT_PREDICTIONS = "segment_nulls", "segment_predictions"
LABELS, ESTIMATES = "labels", "estimates"

STREAM_WEIGHT: Mapping[str, float] = {
    FEATURES: 0.30,
    NULLS: 0.08,
    NEW: 0.04,
    RANGE: 0.03,
    PREDICTIONS: 0.15,
    CONFIDENCE: 0.05,
    QUALITY: 0.12,
    SERVICE: 0.04,
    VOLUME: 0.04,
    MIX: 0.01,
    SEGMENTS: 0.025,
    SEGMENT_NULLS: 0.005,
    SEGMENT_PREDICTIONS: 0.01,
}
OUTCOME_STREAM_WEIGHT: Mapping[str, float] = {LABELS: 0.02, ESTIMATES: 0.03}
"""Of detectors of their own, beside those of panes and of quality."""

BUDGET_RESERVE = 0.05  # versions

EMBEDDINGS, JOINT = "embeddings", "joint"
OUT_OF_FEATURES: Mapping[str, float] = {EMBEDDINGS: 0.03, JOINT: 0.03}
"""What a layout that has them takes out of the features' part: they are features seen together. A layout without them
keeps all of it."""

RARE_STREAMS = frozenset({NULLS, NEW, RANGE})
"""Events too rare to tell wander by: they have burstiness instead."""

FLOOR_H = 0.10  # about .05 KS at the median
PRIOR_TAU = 0.08  # wander assumed until 14 days of healthy data are known
CONFIDENCE_SHRINK = 0.075  # half of the 15% that makes a confidence alert
NULL_GROWTH, NULL_STEP = 1.5, 0.002
RANGE_STEP = 0.01  # a value beyond the ends of the reference is as rare as one in a thousand, and no fault by itself
MIN_WEIGHT = 0.25  # of an equal share: no feature is weighed out of sight

ANY = "*"
"""Key of ``Reference.tau`` and ``.deff`` for whatever is not listed."""


@dataclass(frozen=True, slots=True)
class Slack:
    """What a healthy figure may differ from its reference by chance: clustering and wander.

    ``parameters`` are those of the profile: a reference cut into more of them knows each less well.
    """

    deff: float
    tau: float
    parameters: float = 1

    def h(self, requests: float) -> float:
        """Cohen's h, three standard errors; ``requests`` > 0."""
        return 3 * math.sqrt(self.deff * self.parameters / requests + self.tau**2)


def key_of(stream: str, name: str) -> str:
    """Key of a unit in ``Reference.tau`` and ``.deff``: a feature's own name, ``@stream:name`` for anything else."""
    return name if stream == FEATURES else f"@{stream}:{name}"


def indicators(layout: Layout, reference: Reference) -> IndicatorSet:
    """Everything the reference has data for. Raises ``BaselineError`` where the two do not belong together."""
    if reference.layout != layout.hash or len(reference.vector) != layout.size:
        raise BaselineError(
            f"reference of layout {reference.layout!r} does not fit layout {layout.hash!r}",
            code="layout_mismatch",
            hint="Build the reference on this layout, or activate the layout it was built on.",
        )
    builder = IndicatorBuilder(WEIGHT_UNIT, stream_weights(layout))
    weights = feature_weights(layout, reference)
    for name, cells in layout.cells.items():
        builder.unit(FEATURES, name, weights[name], reference.profile.get(name))
        if isinstance(cells, NumericCells):
            ordered(builder, cells.alarm, reference.vector, slack_of(reference, name))
        else:
            rate = reference.new_rate.get(name, 0.0)
            known_categories(builder, cells.alarm, reference.vector, slack_of(reference, name), rate)
    for name, cells in layout.cells.items():
        builder.unit(NULLS, name, weights[name])
        _missing(builder, layout, reference, name, cells)
    for name, cells in layout.cells.items():
        if isinstance(cells, NumericCells):
            builder.unit(RANGE, name, weights[name])
            _out_of_range(builder, reference, name, cells)
        else:
            builder.unit(NEW, name, weights[name])
            _unseen(builder, reference, name, cells)
    _predictions(builder, layout, reference)
    _confidence(builder, layout, reference)
    _embeddings(builder, layout, reference)
    _joint(builder, layout, reference)
    _mix(builder, layout, reference)
    return builder.build()


def stream_weights(layout: Layout) -> Mapping[str, float]:
    """Parts of the budget of what this layout counts."""
    there = {EMBEDDINGS: bool(layout.embeddings), JOINT: layout.joint is not None}
    taken = {stream: part for stream, part in OUT_OF_FEATURES.items() if there[stream]}
    if not taken:
        return STREAM_WEIGHT
    return {**STREAM_WEIGHT, FEATURES: STREAM_WEIGHT[FEATURES] - sum(taken.values()), **taken}


def feature_weights(layout: Layout, reference: Reference) -> Mapping[str, float]:
    """Importance with a floor; equal where none is known. Sums to 1."""
    equal = 1 / max(1, len(layout.features))
    given = {f.name: max(reference.weight.get(f.name, equal), MIN_WEIGHT * equal) for f in layout.features}
    total = sum(given.values())
    return {name: weight / total for name, weight in given.items()}


def slack_of(reference: Reference, key: str) -> Slack:
    """Clustering and wander known for a feature or prediction figure, else for any, else the priors."""
    return Slack(
        deff=max(1.0, reference.deff.get(key, reference.deff.get(ANY, 1.0))),
        tau=reference.tau.get(key, reference.tau.get(ANY, PRIOR_TAU)),
        parameters=reference.profile[key].parameters if key in reference.profile else 1,
    )


def null_boundary(share: float, slack: Slack, requests: float, step: float = NULL_STEP) -> float:
    """Angle a rare share may rise to: half as much again, at least ``step`` more, and three standard errors."""
    limit = min(1.0, max(NULL_GROWTH * share, share + step))
    return angle_of(limit) + Slack(slack.deff, 0.0).h(requests) / 2


def shrunk_shares(bins: FloatVector, chance: float, shrink: float) -> FloatVector:
    """Shares at or below each alarm edge when every confidence c becomes ``chance + (1 - shrink) (c - chance)``.

    Args:
        bins: (50,) reference confidence counts, or (10,) of the alarm's bins alone.
        chance: 1/K. Edges at or below it cannot be crossed by shrinking and come out NaN.
    """
    edges = np.array(CONFIDENCE_EDGES)[list(CONFIDENCE_ALARM)]
    cumulated = np.concatenate(([0.0], np.cumsum(bins))) / bins.sum()
    grid = np.concatenate(([0.0], edges if len(bins) == len(edges) + 1 else CONFIDENCE_EDGES, [1.0]))
    before = np.minimum(1.0, chance + (edges - chance) / (1 - shrink))
    shares: FloatVector = np.where(edges > chance, np.interp(before, grid, cumulated), np.nan)
    return shares


def ordered(builder: IndicatorBuilder, span: slice, vector: IntVector, slack: Slack) -> None:
    """``x <= edge`` for every alarm edge."""
    cells = list(range(span.start, span.stop))
    total = int(vector[span].sum())
    if total == 0 or len(cells) < 2:
        return
    h = FLOOR_H + slack.h(total / WEIGHT_UNIT)
    shares = np.cumsum(vector[span]) / total
    for k in range(1, len(cells)):
        builder.two_sided(cells[:k], cells, float(shares[k - 1]), h, slack.deff)


def each_cell(builder: IndicatorBuilder, span: slice, vector: IntVector, slack: Slack) -> None:
    """Each cell of a span."""
    total = int(vector[span].sum())
    if total == 0:
        return
    cells = list(range(span.start, span.stop))
    h = FLOOR_H + slack.h(total / WEIGHT_UNIT)
    for cell in cells:
        builder.two_sided([cell], cells, int(vector[cell]) / total, h, slack.deff)


def known_categories(
    builder: IndicatorBuilder, span: slice, vector: IntVector, slack: Slack, new_rate: float = 0.0
) -> None:
    """Each listed category, and the known ones that are not listed together. What was never seen has its own stream.

    A value that only one row has is known to that row's own reference and would be new to any other. Where such values
    are much of what is not listed, it is watched together with what was never seen.

    Args:
        new_rate: Good-Turing's share of values never seen, in [0, 1].
    """
    total = int(vector[span].sum())
    if total == 0:
        return
    everything = list(range(span.start, span.stop))
    h = FLOOR_H + slack.h(total / WEIGHT_UNIT)
    unlisted = int(vector[everything[-2]]) / total
    alone = 2 * (angle_of(unlisted) - angle_of(unlisted - new_rate)) <= FLOOR_H / 4
    others = everything[-2:-1] if alone else everything[-2:]
    for cells in [*([cell] for cell in everything[:-2]), others]:
        builder.two_sided(cells, everything, int(vector[cells].sum()) / total, h, slack.deff)


def _unseen(builder: IndicatorBuilder, reference: Reference, name: str, cells: CategoricalCells) -> None:
    """Good-Turing's share and what of the reference itself counts as new: more categories than a layout can list."""
    everything = list(range(cells.alarm.start, cells.alarm.stop))
    total = int(reference.vector[cells.alarm].sum())
    if total == 0:
        return
    unlisted = int(reference.vector[everything[-1]]) / total
    share = min(1.0, reference.new_rate.get(name, WEIGHT_UNIT / total) + unlisted)
    slack = slack_of(reference, key_of(NEW, name))
    boundary = null_boundary(share, slack, total / WEIGHT_UNIT)
    builder.upward([everything[-1]], everything, share, boundary, slack.deff)


def _out_of_range(builder: IndicatorBuilder, reference: Reference, name: str, cells: NumericCells) -> None:
    """Below the reference's minimum, and above its maximum."""
    everything = list(range(cells.alarm.start, cells.alarm.stop))
    total = int(reference.vector[cells.alarm].sum())
    if total == 0:
        return
    slack = slack_of(reference, key_of(RANGE, name))
    for cell in (cells.below + 1, cells.above + 1):
        share = int(reference.vector[cell]) / total
        boundary = null_boundary(share, slack, total / WEIGHT_UNIT, RANGE_STEP)
        builder.upward([cell], everything, share, boundary, slack.deff)


def _missing(
    builder: IndicatorBuilder,
    layout: Layout,
    reference: Reference,
    name: str,
    cells: NumericCells | CategoricalCells,
) -> None:
    """Null or unusable (not finite, of another type), over all decoded rows. Watched upwards only."""
    total = layout.traffic.rows + 1
    weight = int(reference.vector[total])
    if weight == 0:
        return
    for cell in (cells.null + 1, cells.invalid + 1):
        share = int(reference.vector[cell]) / weight
        slack = slack_of(reference, key_of(NULLS, name))
        builder.upward([cell], [total], share, null_boundary(share, slack, weight / WEIGHT_UNIT), slack.deff)


def _predictions(builder: IndicatorBuilder, layout: Layout, reference: Reference) -> None:
    outputs = layout.outputs
    if layout.prediction.score_edges:
        _output(builder, PREDICTIONS, "score", reference)
        ordered(builder, outputs.score_alarm, reference.vector, slack_of(reference, key_of(PREDICTIONS, "score")))
    if layout.prediction.classes:
        _output(builder, PREDICTIONS, "class", reference)
        each_cell(builder, outputs.class_weight, reference.vector, slack_of(reference, key_of(PREDICTIONS, "class")))


def _mix(builder: IndicatorBuilder, layout: Layout, reference: Reference) -> None:
    """The share of each segment in the traffic. A dimension that is a categorical feature has no unit: there the mix
    is that feature."""
    categorical = {feature.name for feature, _ in layout.categorical()}
    total = int(reference.vector[layout.traffic.rows + 1])
    for dimension in layout.segments.dimensions:
        if dimension.name in categorical or not total:
            continue
        slack = slack_of(reference, key_of(MIX, dimension.name))
        h = FLOOR_H + slack.h(total / WEIGHT_UNIT)
        _output(builder, MIX, dimension.name, reference)
        for block in layout.segment_cells.of(dimension.name):
            share = int(reference.vector[block.start + 1]) / total
            builder.two_sided([block.start + 1], [layout.traffic.rows + 1], share, h, slack.deff)


def _embeddings(builder: IndicatorBuilder, layout: Layout, reference: Reference) -> None:
    """Where vectors lie, and how far from what is known there."""
    for name, cells in layout.embedding_cells.items():
        _output(builder, EMBEDDINGS, name, reference)
        slack = slack_of(reference, key_of(EMBEDDINGS, name))
        each_cell(builder, cells.cluster_weight, reference.vector, slack)
        ordered(builder, cells.distance_weight, reference.vector, slack)


def _joint(builder: IndicatorBuilder, layout: Layout, reference: Reference) -> None:
    """What features leave of each other unexplained, in rows that have all of them."""
    for name, cells in layout.joint_cells.items():
        _output(builder, JOINT, name, reference)
        ordered(builder, cells.alarm, reference.vector, slack_of(reference, key_of(JOINT, name)))


def _output(builder: IndicatorBuilder, stream: str, name: str, reference: Reference) -> None:
    builder.unit(stream, name, 1.0, reference.profile.get(key_of(stream, name)))


def _confidence(builder: IndicatorBuilder, layout: Layout, reference: Reference) -> None:
    outputs, vector = layout.outputs, reference.vector
    bins = vector[outputs.confidence].astype(np.float64)
    if vector[outputs.confidence_alarm].any() and bins.any():
        chance = 1 / max(2, len(layout.prediction.classes))
        _output(builder, CONFIDENCE, "confidence", reference)
        slack = slack_of(reference, key_of(CONFIDENCE, "confidence"))
        confidence_shares(builder, outputs.confidence_alarm, vector, slack, chance, bins)


def confidence_shares(
    builder: IndicatorBuilder,
    span: slice,
    vector: IntVector,
    slack: Slack,
    chance: float,
    bins: FloatVector | None = None,
) -> None:
    """One-sided: more low confidences than the reference would show if every confidence shrank towards chance.

    Args:
        span: of the alarm's bins.
        bins: finer ones, where they are counted.
    """
    total = int(vector[span].sum())
    if total == 0:
        return
    cells = list(range(span.start, span.stop))
    shares = np.cumsum(vector[span]) / total
    margin = slack.h(total / WEIGHT_UNIT) / 2
    bins = vector[span].astype(np.float64) if bins is None else bins
    for k, limit in enumerate(shrunk_shares(bins, chance, CONFIDENCE_SHRINK), start=1):
        if not math.isnan(limit):
            share = float(shares[k - 1])
            boundary = angle_of(max(share, float(limit))) + margin
            builder.upward(cells[:k], cells, share, boundary, slack.deff)
