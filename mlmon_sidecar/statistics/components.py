"""The alternatives a detector bets on: how far beyond each boundary the truth may have gone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlmon_sidecar.statistics.indicator_set import ANGLE_MARGIN, IndicatorSet

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector, IntVector

STEPS = (0.05, 0.1, 0.2, 0.4, 0.8)  # Cohen's h beyond the boundary


@dataclass(frozen=True, eq=False)
class Components:
    """The alternatives of every indicator, ordered by unit. C of them."""

    indicator: IntVector  # (C,) index into the indicators
    hit: FloatVector  # (C,) ln(q / q0) / deff
    miss: FloatVector  # (C,) ln((1 - q) / (1 - q0)) / deff
    boundary: FloatVector  # (C,) q0
    rising: NDArray[np.bool_]  # (C,) the alternative lies above the boundary


def components(indicators: IndicatorSet) -> Components:
    """Every side that can be crossed, at every step, clipped inside the scale."""
    sides = np.stack([indicators.lower, indicators.upper], axis=1)  # (I, 2)
    index, side = np.nonzero(~np.isnan(sides))
    b = np.repeat(sides[index, side], len(STEPS))
    rising = np.repeat(side == 1, len(STEPS))
    reach = np.tile(np.array(STEPS) / 2, len(index))
    c = np.clip(b + np.where(rising, reach, -reach), ANGLE_MARGIN, math.pi / 2 - ANGLE_MARGIN)
    indicator = np.repeat(index, len(STEPS))
    deff = indicators.deff[indicator]
    return Components(
        indicator=indicator,
        hit=2 * np.log(np.sin(c) / np.sin(b)) / deff,
        miss=2 * np.log(np.cos(c) / np.cos(b)) / deff,
        boundary=np.sin(b) ** 2,
        rising=rising,
    )
