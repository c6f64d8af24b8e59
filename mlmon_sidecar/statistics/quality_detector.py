"""The sequential detector on labels: has the share of right answers fallen by a tier?

Per tier one indicator, watched downwards. The boundary is half the tier's drop from the baseline towards chance,
lowered by 1.5 standard errors of the baseline itself (in arcsine): a fixed-sample interval rechecked after every
label would sooner or later cross anything. An alarm also needs the point estimate past the tier: see the check.

Input of a step is ``counts(correct, total)``; each label weighs one request.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.statistics.indicator_set import IndicatorBuilder, IndicatorSet, angle_of
from mlmon_sidecar.statistics.indicators import QUALITY, STREAM_WEIGHT

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector

BOUNDARY_DROP: Mapping[str, float] = {"p1": 0.10, "p2": 0.05, "p3": 0.0}
"""Part of (baseline - chance) that may be lost before evidence grows."""

TIER_DROP: Mapping[str, float] = {"p1": 0.20, "p2": 0.10, "p3": 0.05}
"""Part that must be lost for an alarm, and regained for it to close."""

CORRECT, TOTAL = 0, 1


def quality_indicators(baseline: float, rows: int, *, chance: float = 0.0) -> IndicatorSet:
    """Three units of the stream "quality".

    Args:
        baseline: the metric on held-out reference rows, a share in [0, 1].
        rows: labelled rows behind it, > 0.
        chance: what answering without looking would reach, below ``baseline``; a baseline at or below it leaves
            nothing to lose and gives an empty set.
    """
    builder = IndicatorBuilder(weight_unit=1, stream_weight=STREAM_WEIGHT)
    if baseline <= chance:
        return builder.build()
    angle = angle_of(baseline)
    for name, drop in BOUNDARY_DROP.items():
        boundary = angle_of(after_drop(baseline, chance, drop)) - 1.5 / math.sqrt(rows)
        closes_within = 2 * (angle - angle_of(after_drop(baseline, chance, TIER_DROP[name])))
        builder.unit(QUALITY, name, 1.0)
        builder.downward([CORRECT], [TOTAL], baseline, boundary, closes_within)
    return builder.build()


def after_drop(baseline: float, chance: float, drop: float) -> float:
    """The metric when the part ``drop`` of what lies above chance is lost."""
    return chance + (baseline - chance) * (1 - drop)


def counts(correct: int, total: int) -> IntVector:
    """(2,) int64 vector of one step; 0 <= correct <= total."""
    return np.array([correct, total], dtype=np.int64)
