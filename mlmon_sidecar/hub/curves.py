"""The narrow rows that the page draws: a few a minute, one a feature and hour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.hub.estimate import estimate
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.records import Window
from mlmon_sidecar.statistics.distances import (
    kolmogorov_smirnov,
    kolmogorov_smirnov_rows,
    total_variation,
    total_variation_rows,
)
from mlmon_sidecar.statistics.layout import (
    DURATION_EDGES,
    FIXED_POINT_UNIT,
    Layout,
)
from mlmon_sidecar.store.contract import Point

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector


def minute_points(layout: Layout, minute: int, vector: IntVector) -> Iterator[Point]:
    """Traffic of one minute. The vector is that minute's whole sum."""
    cells = layout.traffic
    errors = int(vector[cells.client_error] + vector[cells.server_error] + vector[cells.aborted])
    yield Point("requests", "", minute, float(vector[cells.requests]))
    if errors:
        yield Point("errors", "", minute, float(errors))
    slow = latency(layout, vector, 0.95)
    if slow is not None:
        yield Point("p95_ms", "", minute, slow * 1000)


def hour_points(
    plan: ModelPlan, hour: int, window: Window, evidence: Mapping[tuple[str, str], float]
) -> Iterator[Point]:
    """Drift and predictions at the end of an hour. ``window`` is the day that ends with it."""
    at = hour * 60
    for name, score in drift_scores(plan, window.vector).items():
        yield Point("drift_score", name, at, score)
    for (stream, unit), value in evidence.items():
        if stream in ("features", "predictions"):
            yield Point("drift_evidence", unit, at, value)
    mean = score_mean(plan.layout, window.vector)
    if mean is not None:
        yield Point("score_mean", "", at, mean)
    confidence = confidence_mean(plan.layout, window.vector)
    if confidence is not None:
        yield Point("confidence_mean", "", at, confidence)
    for name, share in class_ratios(plan.layout, window.vector).items():
        yield Point("class_ratio", name, at, share)


def day_points(plan: ModelPlan, day: int, vector: IntVector) -> Iterator[Point]:
    """What the day's predictions should be worth before any label came."""
    metric = plan.outcome_metric
    for name in dict.fromkeys(("accuracy", metric.name if metric is not None else "accuracy")):
        found = estimate(plan, vector, name)
        if found is not None:
            yield Point(f"{name}_estimated", "", day * 1440, found.value)


def latency(layout: Layout, vector: IntVector, share: float) -> float | None:
    """Seconds below which ``share`` of the exchanges ended, linear within a bin; None without any."""
    counts = vector[layout.traffic.duration]
    total = int(counts.sum())
    if total == 0:
        return None
    edges = np.array([0.0, *DURATION_EDGES, DURATION_EDGES[-1]])
    return float(np.interp(share * total, np.concatenate(([0], np.cumsum(counts))), edges))


def drift_scores(plan: ModelPlan, vector: IntVector) -> dict[str, float]:
    """KS for numeric features and the score, total variation for categorical ones; those with data only."""
    reference = plan.reference
    if reference is None:
        return {}
    found: dict[str, float] = {}
    for table, distances in (
        (plan.layout.numeric_bins, kolmogorov_smirnov_rows),
        (plan.layout.categorical_bins, total_variation_rows),
    ):
        values = distances(table.counts(reference.vector), table.counts(vector))
        found |= {name: value for name, value in zip(table.names, values.tolist(), strict=True) if value == value}
    value = prediction_distance(plan, vector)
    if value is not None:
        found["score"] = value
    return found


def prediction_distance(plan: ModelPlan, vector: IntVector) -> float | None:
    """KS of the score, or total variation of the classes where there is no score."""
    reference = plan.reference
    if reference is None:
        return None
    cells, scored = plan.layout.outputs, bool(plan.layout.prediction.score_edges)
    if scored:
        return kolmogorov_smirnov(score_bins(plan.layout, reference.vector), score_bins(plan.layout, vector))
    return total_variation(reference.vector[cells.classes], vector[cells.classes])


def score_bins(layout: Layout, vector: IntVector) -> IntVector:
    """(score bins,) rows over all classes."""
    classes = len(layout.prediction.classes) + 1
    bins: IntVector = vector[layout.outputs.score_class].reshape(-1, classes).sum(axis=1)
    return bins


def score_mean(layout: Layout, vector: IntVector) -> float | None:
    rows = int(vector[layout.outputs.score_rows])
    if rows == 0:
        return None
    space = layout.prediction
    return space.score_center + int(vector[layout.outputs.score_moments]) / rows * space.score_scale / FIXED_POINT_UNIT


def confidence_mean(layout: Layout, vector: IntVector) -> float | None:
    rows = int(vector[layout.outputs.confidence].sum())
    return None if rows == 0 else int(vector[layout.outputs.confidence_ppm]) / 1e6 / rows


def class_ratios(layout: Layout, vector: IntVector) -> dict[str, float]:
    """Share of each known class among the predictions."""
    counts = vector[layout.outputs.classes]
    total = int(counts.sum())
    if total == 0:
        return {}
    return {name: int(count) / total for name, count in zip(layout.prediction.classes, counts, strict=False)}
