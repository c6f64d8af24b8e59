"""Quantiles, mean and standard deviation of a numeric feature, from counts alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.statistics.layout import FIXED_POINT_UNIT, NumericCells, NumericFeature

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlmon_sidecar.records import FloatVector, IntVector


def quantiles(feature: NumericFeature, bins: IntVector, shares: Sequence[float]) -> FloatVector | None:
    """Values below which each share lies, linear within a bin; the outer bins end at the feature's range.

    Args:
        bins: (edges + 1,) counts.
        shares: in [0, 1].

    None without counts. A value beyond the reference's range reads as the end of the range.
    """
    total = int(bins.sum())
    if total == 0:
        return None
    low = min((feature.minimum, *feature.edges[:1]))
    high = max((feature.maximum, *feature.edges[-1:]))
    edges = np.array([low, *feature.edges, high])
    cumulated = np.concatenate(([0.0], np.cumsum(bins))) / total
    steps = np.diff(cumulated) > 0
    knot = np.concatenate(([False], steps)) | np.concatenate((steps, [False]))  # never inside a run of empty bins
    values: FloatVector = np.interp(np.asarray(shares), cumulated[knot], edges[knot])
    return values


def mean_and_deviation(feature: NumericFeature, cells: NumericCells, vector: IntVector) -> tuple[float, float] | None:
    """From the fixed-point sums over valid values; None without any. Exact but for 2**-11 of the feature's scale."""
    rows = int(vector[cells.bins].sum())
    if rows == 0:
        return None
    first, second = int(vector[cells.moments]), int(vector[cells.moments + 1])
    mean = first / rows
    # In integers: a constant column has variance 0, not a rounding error.
    variance = (second * rows - first * first) / (rows * rows)
    unit = feature.scale / FIXED_POINT_UNIT
    return feature.center + mean * unit, math.sqrt(variance) * unit
