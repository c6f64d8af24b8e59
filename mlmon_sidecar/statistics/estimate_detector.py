"""The sequential detector on estimated quality: has the share of expected right answers fallen by a tenth?

Input of a step is (hits, total) for each part, as of labels (see ``quality_detector``), but expected: counts weighed by
what scores meant on the reference. The boundary is half the drop, lowered by what the mix of inputs may wander and by
1.5 standard errors of the reference's own rows.
"""

from __future__ import annotations

import math

from mlmon_sidecar.statistics.indicator_set import IndicatorBuilder, IndicatorSet, angle_of
from mlmon_sidecar.statistics.indicators import ESTIMATES, OUTCOME_STREAM_WEIGHT
from mlmon_sidecar.statistics.quality_detector import Part, after_drop

ESTIMATE_DROP = 0.10  # of what lies above chance, for an alarm
ESTIMATE_UNIT = "estimate"


def estimate_indicators(parts: tuple[Part, ...], tau: float) -> IndicatorSet:
    """One unit with one indicator a part; a part at or below chance is left out. ``tau``: wander, in Cohen's h."""
    builder = IndicatorBuilder(weight_unit=1, stream_weight=OUTCOME_STREAM_WEIGHT)
    builder.unit(ESTIMATES, ESTIMATE_UNIT, 1.0)
    for at, (baseline, rows, chance) in enumerate(parts):
        if baseline <= chance:
            continue
        slack = 1.5 * math.sqrt(1 / rows + tau**2)
        boundary = angle_of(after_drop(baseline, chance, ESTIMATE_DROP / 2)) - slack
        tier = angle_of(after_drop(baseline, chance, ESTIMATE_DROP))
        builder.downward([2 * at], [2 * at + 1], baseline, boundary, 2 * max(angle_of(baseline) - tier, slack))
    return builder.build()
