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
class Stakes:
    """What each of C alternatives gains, in nats, from one request."""

    hit: FloatVector  # (C,) ln(q / q0) / deff
    miss: FloatVector  # (C,) ln((1 - q) / (1 - q0)) / deff


@dataclass(frozen=True, eq=False)
class Components:
    """The alternatives of every indicator, ordered by unit. C of them."""

    indicator: IntVector  # (C,) index into the indicators
    rising: NDArray[np.bool_]  # (C,) the alternative lies above the boundary
    boundary: FloatVector  # (C,) angle, without the profile
    reach: FloatVector  # (C,) how far beyond it the alternative lies; negative where it lies below

    def stakes(self, indicators: IndicatorSet, slot: int | None = None) -> Stakes:
        """As ``components``, moved by the profile of one slot; None: by none.

        Where the profile moves a boundary past the end of the scale, nothing is gained or lost: it cannot be crossed.
        """
        b = self.boundary
        if slot is not None:
            b = b + indicators.offsets[slot, self.indicator]
        b = np.clip(b, ANGLE_MARGIN, math.pi / 2 - ANGLE_MARGIN)
        c = np.clip(b + self.reach, ANGLE_MARGIN, math.pi / 2 - ANGLE_MARGIN)
        deff = indicators.deff[self.indicator]
        return Stakes(2 * np.log(np.sin(c) / np.sin(b)) / deff, 2 * np.log(np.cos(c) / np.cos(b)) / deff)


def components(indicators: IndicatorSet) -> Components:
    """Every side that can be crossed, at every step."""
    sides = np.stack([indicators.lower, indicators.upper], axis=1)  # (I, 2)
    index, side = np.nonzero(~np.isnan(sides))
    rising = np.repeat(side == 1, len(STEPS))
    steps = np.tile(np.array(STEPS) / 2, len(index))
    return Components(
        indicator=np.repeat(index, len(STEPS)),
        rising=rising,
        boundary=np.repeat(sides[index, side], len(STEPS)),
        reach=np.where(rising, steps, -steps),
    )
