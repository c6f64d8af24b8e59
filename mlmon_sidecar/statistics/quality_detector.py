"""The sequential detector on labels: has the share of right answers fallen by a tier?

Per tier one indicator, watched downwards. The boundary is half the tier's drop from the baseline towards chance,
lowered by 1.5 standard errors of the baseline itself (in arcsine): a fixed-sample interval rechecked after every
label would sooner or later cross anything. An alarm also needs the point estimate past the tier: see the check.

Input of a step is ``counts(correct, total, ...)``, two for each part; each label weighs one request.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlmon_sidecar.statistics.indicator_set import IndicatorBuilder, IndicatorSet, angle_of
from mlmon_sidecar.statistics.indicators import QUALITY, STREAM_WEIGHT

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector

BOUNDARY_DROP: Mapping[str, float] = {"p1": 0.10, "p2": 0.05, "p3": 0.0}
"""Part of (baseline - chance) that may be lost before evidence grows."""

TIER_DROP: Mapping[str, float] = {"p1": 0.20, "p2": 0.10, "p3": 0.05}
"""Part that must be lost for an alarm, and regained for it to close."""


class Part(NamedTuple):
    """One share that is watched.

    ``baseline`` on held-out reference rows and ``chance``, what answering without looking would reach, lie in [0, 1];
    ``rows`` > 0 are the labelled rows behind the baseline.
    """

    baseline: float
    rows: int
    chance: float = 0.0


def quality_indicators(*parts: Part) -> IndicatorSet:
    """Three units of the stream "quality", each with one indicator a part: any part that falls is evidence.

    A part whose baseline is at or below chance has nothing to lose and is left out; without any the set is empty.
    """
    builder = IndicatorBuilder(weight_unit=1, stream_weight=STREAM_WEIGHT)
    for name, drop in BOUNDARY_DROP.items():
        builder.unit(QUALITY, name, 1.0)
        for at, (baseline, rows, chance) in enumerate(parts):
            if baseline <= chance:
                continue
            boundary = angle_of(after_drop(baseline, chance, drop)) - 1.5 / math.sqrt(rows)
            tier = after_drop(baseline, chance, TIER_DROP[name])
            closes_within = 2 * (angle_of(baseline) - angle_of(tier))
            builder.downward([2 * at], [2 * at + 1], baseline, boundary, closes_within)
    return builder.build()


def after_drop(baseline: float, chance: float, drop: float) -> float:
    """The metric when the part ``drop`` of what lies above chance is lost."""
    return chance + (baseline - chance) * (1 - drop)


def counts(*pairs: int) -> IntVector:
    """(2 * parts,) int64 vector of one step: correct and total of each part; 0 <= correct <= total."""
    return np.array(pairs, dtype=np.int64)
