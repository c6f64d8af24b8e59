"""What people read about one feature: how its window differs from the reference, from counts alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.statistics.distances import kolmogorov_smirnov, population_stability, total_variation
from mlmon_sidecar.statistics.layout import CategoricalCells, CategoricalFeature, Layout, NumericCells, NumericFeature
from mlmon_sidecar.statistics.quantiles import mean_and_deviation, quantiles

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector, IntVector

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
OTHER, NEW = "(other)", "(new)"


@dataclass(frozen=True, slots=True)
class FeatureFigures:
    """One feature over one window. None: not defined for its kind, or no data.

    Attributes:
        kind: "numeric" or "categorical".
        rows: with a usable value.
        method: "ks" or "total_variation", the meaning of ``distance``.
        effect: largest Cohen's h over the cumulated (numeric) or single (categorical) shares, signed: positive means
            larger values, or more of ``moved``.
        moved: the category with that effect.
        missing: share of null or unusable values among all rows.
        out_of_range: share outside the reference's range.
        unseen: share of categories the reference does not know.
        quantiles: at ``QUANTILES``.
        shares: category -> share, in the layout's order, then (other) and (new).
    """

    name: str
    kind: str
    rows: int
    method: str
    distance: float | None
    stability: float | None
    effect: float | None
    missing: float | None
    moved: str | None = None
    out_of_range: float | None = None
    unseen: float | None = None
    mean: float | None = None
    deviation: float | None = None
    quantiles: tuple[float, ...] | None = None
    shares: tuple[tuple[str, float], ...] | None = None


def feature_figures(layout: Layout, name: str, reference: IntVector, current: IntVector) -> FeatureFigures:
    """Both vectors are (layout.size,) counts."""
    feature, cells = layout.feature(name), layout.cells[name]
    if isinstance(feature, NumericFeature) and isinstance(cells, NumericCells):
        return _numeric(feature, cells, reference, current)
    assert isinstance(feature, CategoricalFeature)
    assert isinstance(cells, CategoricalCells)
    return _categorical(feature, cells, reference, current)


def _numeric(feature: NumericFeature, cells: NumericCells, reference: IntVector, current: IntVector) -> FeatureFigures:
    before, after = reference[cells.bins], current[cells.bins]
    rows = int(after.sum())
    moments = mean_and_deviation(feature, cells, current)
    points = quantiles(feature, after, QUANTILES)
    return FeatureFigures(
        name=feature.name,
        kind="numeric",
        rows=rows,
        method="ks",
        distance=kolmogorov_smirnov(before, after),
        stability=population_stability(before, after),
        effect=ordered_effect(before, after),
        missing=_missing(cells, current, rows),
        out_of_range=int(current[cells.below] + current[cells.above]) / rows if rows else None,
        mean=moments[0] if moments else None,
        deviation=moments[1] if moments else None,
        quantiles=None if points is None else tuple(map(float, points)),
    )


def _categorical(
    feature: CategoricalFeature, cells: CategoricalCells, reference: IntVector, current: IntVector
) -> FeatureFigures:
    before, after = reference[cells.bins], current[cells.bins]
    rows, names = int(after.sum()), (*feature.categories, OTHER, NEW)
    top = unordered_effect(before, after)
    return FeatureFigures(
        name=feature.name,
        kind="categorical",
        rows=rows,
        method="total_variation",
        distance=total_variation(before, after),
        stability=population_stability(before, after),
        effect=top[1] if top else None,
        moved=names[top[0]] if top else None,
        missing=_missing(cells, current, rows),
        unseen=int(after[-1]) / rows if rows else None,
        shares=tuple((name, int(count) / rows) for name, count in zip(names, after, strict=True)) if rows else None,
    )


def ordered_effect(before: IntVector, after: IntVector) -> float | None:
    """Largest Cohen's h of the shares above each edge: positive when values grew. None where a side is empty."""
    if not before.sum() or not after.sum():
        return None
    old, new = (np.cumsum(side)[:-1] / side.sum() for side in (before, after))
    effects = _angles(1 - new) - _angles(1 - old)
    return float(effects[np.argmax(np.abs(effects))]) if len(effects) else 0.0


def unordered_effect(before: IntVector, after: IntVector) -> tuple[int, float] | None:
    """(position, Cohen's h) of the share that moved most. None where a side is empty."""
    if not before.sum() or not after.sum():
        return None
    effects = _angles(after / after.sum()) - _angles(before / before.sum())
    top = int(np.argmax(np.abs(effects)))
    return top, float(effects[top])


def _angles(shares: FloatVector) -> FloatVector:
    """Twice ``asin(sqrt(share))``: differences are Cohen's h."""
    angles: FloatVector = 2 * np.arcsin(np.sqrt(np.clip(shares, 0.0, 1.0)))
    return angles


def _missing(cells: NumericCells | CategoricalCells, current: IntVector, rows: int) -> float | None:
    missing = int(current[cells.null] + current[cells.invalid])
    return missing / (missing + rows) if missing + rows else None
