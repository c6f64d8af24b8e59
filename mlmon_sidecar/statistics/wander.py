"""How much healthy data moves from hour to hour beyond chance, learned from the reference's own hours.

Wander, per feature and pooled over its indicators: with n requests in an hour and x hits,
``E (x - n p)^2 / (p (1 - p)) = n + n^2 tau^2``, tau in Cohen's h. The estimate is raised to an upper bound by
``nu / chi2.ppf(.10, nu)``, ``nu = max(3, R (1 - rho) / (1 + rho))`` with R hours and rho the lag-1 autocorrelation of
the hourly residuals: slow wander is seen fewer times than there are hours.

Clustering of distributions is the constant 1: between hours it is part of tau already. Rare events (nulls) come in
bursts that tau does not cover, so they have ``deff = sum c^2 / sum c - mean c`` over the hourly counts, at least 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.statistics.indicators import ANY, PRIOR_TAU, RARE_STREAMS, key_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mlmon_sidecar.records import FloatVector, IntVector
    from mlmon_sidecar.statistics.indicator_set import IndicatorSet

KNOWN_HOURS = 14 * 24  # fewer hours with data than this leave the prior in place
RARE = 0.02  # shares below it say nothing about wander


@dataclass(frozen=True, slots=True)
class Wander:
    """``Reference.tau`` and ``Reference.deff``."""

    tau: Mapping[str, float] = field(default_factory=lambda: {ANY: PRIOR_TAU})
    deff: Mapping[str, float] = field(default_factory=lambda: {ANY: 1.0})


def learn_wander(
    indicators: IndicatorSet, hour: IntVector, hits: NDArray[np.int64], totals: NDArray[np.int64]
) -> Wander:
    """Wander of every unit with enough hours; the prior otherwise.

    Args:
        hour: (R,) ascending hour numbers with data.
        hits: (R, I) of each hour. totals: (R, I).
    """
    if len(hour) < KNOWN_HOURS:
        return Wander()
    tau: dict[str, float] = {ANY: PRIOR_TAU}
    deff: dict[str, float] = {ANY: 1.0}
    share = np.sin(indicators.angle) ** 2
    for u, unit in enumerate(indicators.units):
        members = np.flatnonzero(indicators.unit == u)
        key = key_of(unit.stream, unit.name)
        if unit.stream in RARE_STREAMS:
            deff[key] = max(burstiness(hits[:, i] / indicators.weight_unit) for i in members)
            continue
        common = members[(share[members] >= RARE) & (share[members] <= 1 - RARE)]
        x, n = hits[:, common] / indicators.weight_unit, totals[:, common] / indicators.weight_unit
        if len(common) and n.any():
            tau[key] = wander(hour, x, n, share[common])
    return Wander(tau, deff)


def wander(hour: IntVector, x: NDArray[np.float64], n: NDArray[np.float64], share: FloatVector) -> float:
    """Upper bound of tau from (R, I) hourly hits and totals and (I,) shares, none of them 0 or 1."""
    # Imported here: the hub learns a baseline rarely, and scipy costs start-up time and memory.
    from scipy.special import chdtri

    residual = (x - n * share) / np.sqrt(share * (1 - share))
    variance = float((residual**2 - n).sum() / (n**2).sum())
    beside = np.diff(hour) == 1
    rho = float((residual[1:] * residual[:-1])[beside].sum() / (residual**2).sum())
    rho = min(0.99, max(0.0, rho))
    nu = max(3.0, len(hour) * (1 - rho) / (1 + rho))
    return math.sqrt(max(0.0, variance) * nu / float(chdtri(nu, 0.90)))


def burstiness(counts: FloatVector) -> float:
    """``sum c^2 / sum c - mean c``: 1 for Poisson counts, more where they come together; never below 1."""
    total = float(counts.sum())
    if total == 0:
        return 1.0
    return max(1.0, float((counts**2).sum() / total - counts.mean()))
