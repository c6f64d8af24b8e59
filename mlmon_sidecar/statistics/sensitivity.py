"""How small a shift the detector can find, however long it lasts, in units people know."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.statistics.components import STEPS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlmon_sidecar.records import FloatVector
    from mlmon_sidecar.statistics.indicator_set import IndicatorSet

NEAREST = STEPS[0] / 2
"""Cohen's h beyond a boundary from which the nearest alternative gains: halfway to it (equal distances in angle)."""


def minimum_detectable(indicators: IndicatorSet) -> Mapping[tuple[str, str], float]:
    """(stream, unit) -> the movement of a watched share that is found wherever in the column it happens.

    A number in (0, 1]. For a numeric column it is a Kolmogorov-Smirnov distance at the watched edges: a shift of at
    least this much at any of them is found sooner or later; at outer edges, where shares vary less, smaller ones are.
    """
    worst = np.maximum.reduceat(_movements(indicators), indicators.unit_starts) if len(indicators.units) else ()
    return {(unit.stream, unit.name): float(ks) for unit, ks in zip(indicators.units, worst, strict=True)}


def _movements(indicators: IndicatorSet) -> FloatVector:
    """(I,) the larger of the movements to both sides that can be crossed."""
    share = np.sin(indicators.angle) ** 2
    far = [
        np.abs(np.sin(np.clip(bound + reach, 0.0, math.pi / 2)) ** 2 - share)
        for bound, reach in ((indicators.lower, -NEAREST / 2), (indicators.upper, NEAREST / 2))
    ]
    movements: FloatVector = np.fmax(*far)
    return movements
