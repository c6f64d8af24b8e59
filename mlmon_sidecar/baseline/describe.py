"""A baseline in the figures people read: what each column looks like, and what it takes to see a change."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlmon_sidecar.baseline.document import Baseline
from mlmon_sidecar.checks.collapse import IMPROBABLE_NATS, MORE_THAN_ROWS
from mlmon_sidecar.outcomes.tolerance import Within
from mlmon_sidecar.records import WEIGHT_UNIT
from mlmon_sidecar.statistics.edetector import FULL_CLOCK_REQUESTS
from mlmon_sidecar.statistics.indicators import FLOOR_H, feature_weights, slack_of
from mlmon_sidecar.statistics.layout import CategoricalFeature, NumericFeature
from mlmon_sidecar.statistics.quantiles import quantiles

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector

SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, slots=True)
class FeatureDescription:
    """One feature.

    Attributes:
        nulls, unusable: shares of all rows.
        quantiles: at ``SHARES``; empty for a categorical feature and for one without numbers.
        categories: the listed ones with their shares of the values, most frequent first.
        others: share of the known categories that are not listed; ``further`` is their number.
        detectable: the smallest change of a share of one half (for a number, KS at the median) that can alarm.
        weight: its part of the features' budget for false alarms.
    """

    name: str
    kind: str
    nulls: float
    unusable: float
    quantiles: tuple[float, ...]
    categories: tuple[tuple[str, float], ...]
    others: float
    further: int
    detectable: float
    weight: float


@dataclass(frozen=True, slots=True)
class DimensionDescription:
    """What rows are split by.

    Attributes:
        shares: of the rows, for each segment, the others last.
        columns: features that are counted by segment.
    """

    name: str
    shares: tuple[tuple[str, float], ...]
    columns: int


@dataclass(frozen=True, slots=True)
class Description:
    """The whole baseline.

    Attributes:
        hours: with data; 0 without timestamps.
        classes: with their shares of the predictions.
        score: quantiles at ``SHARES``; empty without a score.
        accuracy: of the labelled rows; None without.
        within: of a model that predicts numbers, the tolerance that its alarms of quality rest on (in the label's
            unit), and the share of the labelled rows with no larger error; None without labels.
        full_volume: requests an hour below which alarms come later than they could.
        groups: features that say the same, two or more each: together one of the groups that an alert counts.
        embeddings: text and vector columns, and how many clusters each has.
        together: features whose dependence is watched.
        collapse_rows: identical predictions that are told as a collapse, where each is of the commonest class.
    """

    model: str
    version: str
    created: str
    source: str
    rows: int
    hours: int
    kind: str
    classes: tuple[tuple[str, float], ...]
    score: tuple[float, ...]
    accuracy: float | None
    within: tuple[float, float] | None
    labelled: int
    calibrated: int
    features: tuple[FeatureDescription, ...]
    groups: tuple[tuple[str, ...], ...]
    embeddings: tuple[tuple[str, int], ...]
    together: tuple[str, ...]
    full_volume: float
    collapse_rows: int | None
    segments: tuple[DimensionDescription, ...]
    notes: tuple[str, ...]

    def to_document(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def describe(baseline: Baseline) -> Description:
    layout, reference = baseline.layout, baseline.reference
    classes = class_shares(baseline)
    return Description(
        model=layout.model,
        version=reference.version,
        created=baseline.created,
        source=baseline.source,
        rows=baseline.rows,
        hours=reference.hours,
        kind=layout.prediction.kind,
        classes=tuple(classes.items()),
        score=_score_quantiles(baseline),
        accuracy=accuracy_of(baseline),
        within=within_tolerance(baseline),
        labelled=labelled_rows(baseline),
        calibrated=reference.calibration_rows,
        features=tuple(_described(baseline, feature) for feature in layout.features),
        groups=reference.groups,
        embeddings=tuple((space.name, len(space.centroids)) for space in layout.embeddings),
        together=() if layout.joint is None else layout.joint.columns,
        full_volume=FULL_CLOCK_REQUESTS,
        collapse_rows=_collapse_rows(max(classes.values(), default=0.0)),
        segments=tuple(_dimension(baseline, each.name) for each in layout.segments.dimensions),
        notes=baseline.notes,
    )


def null_shares(baseline: Baseline, name: str) -> tuple[float, float]:
    """Shares of all rows that are null, and that are unusable."""
    layout, vector = baseline.layout, baseline.reference.vector
    cells, rows = layout.cells[name], max(1, int(vector[layout.traffic.rows]))
    return int(vector[cells.null]) / rows, int(vector[cells.invalid]) / rows


def category_shares(baseline: Baseline, name: str) -> tuple[dict[str, float], float]:
    """Shares of the listed categories among the values of a categorical feature, and of all others together."""
    feature = baseline.layout.feature(name)
    counts = baseline.reference.vector[baseline.layout.cells[name].bins]
    assert isinstance(feature, CategoricalFeature)
    total = max(1, int(counts.sum()))
    shares = (counts / total).tolist()
    listed = dict(zip(feature.categories, shares, strict=False))
    return listed, math.fsum(shares[len(feature.categories) :])


def class_shares(baseline: Baseline) -> dict[str, float]:
    """Share of each known class among the predictions; empty without predictions."""
    counts = baseline.reference.vector[baseline.layout.outputs.classes]
    total = int(counts.sum())
    if not total:
        return {}
    return {name: int(count) / total for name, count in zip(baseline.layout.prediction.classes, counts, strict=False)}


def score_bins(baseline: Baseline) -> IntVector:
    """(score bins,) rows; a single 0 without a score."""
    space = baseline.layout.prediction
    if not space.score_edges:
        return np.zeros(1, dtype=np.int64)
    table = baseline.reference.vector[baseline.layout.outputs.score_class]
    bins: IntVector = table.reshape(-1, len(space.classes) + 1).sum(axis=1)
    return bins


def accuracy_of(baseline: Baseline) -> float | None:
    """Share of the labelled rows that were right; None without labels."""
    confusion = np.array(baseline.reference.confusion)
    return float(np.trace(confusion) / confusion.sum()) if confusion.size else None


def labelled_rows(baseline: Baseline) -> int:
    """Rows whose prediction and label can be compared."""
    reference = baseline.reference
    return int(np.array(reference.confusion).sum()) + sum(rows for _, rows, _ in reference.errors)


def within_tolerance(baseline: Baseline) -> tuple[float, float] | None:
    """(tolerance, share of the labelled rows with no larger error) of a model that predicts numbers; None without."""
    errors = baseline.reference.errors
    usual = Within.usual(errors)
    if usual is None:
        return None
    share = usual.of_reference(errors)
    return usual.tolerance, share.hits / share.total


def _described(baseline: Baseline, feature: NumericFeature | CategoricalFeature) -> FeatureDescription:
    layout, reference = baseline.layout, baseline.reference
    cells = layout.cells[feature.name]
    nulls, unusable = null_shares(baseline, feature.name)
    bins = reference.vector[cells.bins]
    found, listed, others = None, dict[str, float](), 0.0
    if isinstance(feature, NumericFeature):
        found = quantiles(feature, bins, SHARES)
    else:
        listed, others = category_shares(baseline, feature.name)
    requests = int(reference.vector[cells.alarm].sum()) / WEIGHT_UNIT
    h = FLOOR_H + slack_of(reference, feature.name).h(requests) if requests else math.pi
    return FeatureDescription(
        name=feature.name,
        kind=feature.kind,
        nulls=nulls,
        unusable=unusable,
        quantiles=() if found is None else tuple(found.tolist()),
        categories=tuple(listed.items()),
        others=others,
        further=len(feature.known) if isinstance(feature, CategoricalFeature) else 0,
        detectable=math.sin(min(h, math.pi / 2)) / 2,
        weight=feature_weights(layout, reference)[feature.name],
    )


def _dimension(baseline: Baseline, name: str) -> DimensionDescription:
    layout, vector = baseline.layout, baseline.reference.vector
    rows = max(1, int(vector[layout.traffic.rows]))
    shares = ((block.value, int(vector[block.start]) / rows) for block in layout.segment_cells.of(name))
    return DimensionDescription(name, tuple(shares), len(layout.segments.columns))


def _score_quantiles(baseline: Baseline) -> tuple[float, ...]:
    space = baseline.layout.prediction
    if not space.score_edges:
        return ()
    low, high = space.score_edges[0], space.score_edges[-1]
    as_feature = NumericFeature("", space.score_edges, (), low, high, space.score_center, space.score_scale)
    found = quantiles(as_feature, score_bins(baseline), SHARES)
    return () if found is None else tuple(found.tolist())


def _collapse_rows(share: float) -> int | None:
    """None where every prediction of the reference is the same, or none is known."""
    if not 0 < share < 1:
        return None
    return max(MORE_THAN_ROWS + 1, math.ceil(IMPROBABLE_NATS / -math.log(share)))
