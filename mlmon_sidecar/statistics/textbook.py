"""Statistics as textbooks have them, from counts. They know nothing of how often they are asked: see ``edetector``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.statistics.distances import kolmogorov_smirnov
from mlmon_sidecar.statistics.layout import CONFIDENCE_EDGES

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector

TERMS = 100  # of the series; it ends long before where the distance means anything
FIRST_PERCENTILE_Z = 2.3263478740408408


def ks_p_value(reference: IntVector, current: IntVector) -> float | None:
    """Two-sample Kolmogorov-Smirnov, two-sided, from histograms on the same edges. None where a side is empty.

    ``Q(l) = 2 sum (-1)^(k-1) exp(-2 k^2 l^2)`` with Stephens' ``l = (sqrt(n) + .12 + .11 / sqrt(n)) D`` and
    ``n = n1 n2 / (n1 + n2)`` (Stephens, "Use of the Kolmogorov-Smirnov, Cramer-von Mises and related statistics",
    JRSS B 32, 1970). D is binned, so never above the exact one: this p is never too small for that.
    """
    distance = kolmogorov_smirnov(reference, current)
    if distance is None:
        return None
    sums = int(reference.sum()), int(current.sum())
    root = math.sqrt(sums[0] * sums[1] / (sums[0] + sums[1]))
    scaled = (root + 0.12 + 0.11 / root) * distance
    if scaled < 0.2:  # the series is 1 to 12 digits, and slow
        return 1.0
    k = np.arange(1, TERMS + 1)
    total = 2 * float((np.where(k % 2, 1.0, -1.0) * np.exp(-2 * (k * scaled) ** 2)).sum())
    return min(1.0, max(0.0, total))


def low_mean_confidence(bins: IntVector, mean: float, rows: int) -> float:
    """The first percentile of the mean confidence of ``rows`` rows, were they drawn from the reference.

    Args:
        bins: (50,) reference confidences.
        mean: of the reference.
        rows: > 0.
    """
    edges = np.array([0.0, *CONFIDENCE_EDGES, 1.0])
    middles, total = (edges[:-1] + edges[1:]) / 2, int(bins.sum())
    variance = float((bins * (middles - (bins * middles).sum() / total) ** 2).sum()) / total
    return mean - FIRST_PERCENTILE_Z * math.sqrt(variance / rows)
