"""How much healthy data moves from hour to hour beyond chance, learned from the reference's own hours.

Clustering, per feature and pooled over its indicators: the two halves of an hour differ by
``E (f1 - f2)^2 = deff p (1 - p) (1 / n1 + 1 / n2)``, whatever moves from hour to hour. Wander is what remains, once the
profile (``profile_fit``) is taken out: with n requests in an hour and x hits,
``E (x - n p)^2 / (p (1 - p)) = n deff + n^2 tau^2``, tau in Cohen's h. The estimate is raised to an upper bound by
``nu / chi2.ppf(.10, nu)``, ``nu = max(3, R (1 - rho) / (1 + rho))`` with R hours and rho the lag-1 autocorrelation of
the hourly residuals: slow wander is seen fewer times than there are hours.

Rare events (nulls) come in bursts that neither covers, so their clustering is that of whole hours,
``deff = sum (x - n p)^2 / sum x``, at least 1. They have no profile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.statistics.indicators import ANY, PRIOR_TAU, RARE_STREAMS, key_of
from mlmon_sidecar.statistics.profile import UnitProfile
from mlmon_sidecar.statistics.profile_fit import Fit, Hours, autocorrelation, learn_profile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mlmon_sidecar.records import FloatVector, IntVector
    from mlmon_sidecar.statistics.indicator_set import IndicatorSet

KNOWN_HOURS = 14 * 24  # fewer hours with data than this leave the prior in place
PROFILE_ROUNDS = 2  # the first takes the profile itself for wander, and so trusts busy hours too little
RARE = 0.02  # shares below it say nothing about wander


@dataclass(frozen=True, slots=True)
class Wander:
    """``Reference.tau``, ``.deff`` and ``.profile``."""

    tau: Mapping[str, float] = field(default_factory=lambda: {ANY: PRIOR_TAU})
    deff: Mapping[str, float] = field(default_factory=lambda: {ANY: 1.0})
    profile: Mapping[str, UnitProfile] = field(default_factory=dict)


def learn_wander(
    indicators: IndicatorSet, half_hour: IntVector, hits: NDArray[np.int64], totals: NDArray[np.int64]
) -> Wander:
    """Profile, clustering and wander of every unit with enough hours; the priors otherwise.

    Args:
        half_hour: (R,) ascending numbers of half hours (Unix) with data.
        hits: (R, I) of each half hour. totals: (R, I).
    """
    hour, first = np.unique(half_hour // 2, return_index=True)
    if len(hour) < KNOWN_HOURS:
        return Wander()
    tau: dict[str, float] = {ANY: PRIOR_TAU}
    deff: dict[str, float] = {ANY: 1.0}
    profile: dict[str, UnitProfile] = {}
    share = np.sin(indicators.angle) ** 2
    for u, unit in enumerate(indicators.units):
        members = np.flatnonzero(indicators.unit == u)
        key = key_of(unit.stream, unit.name)
        if unit.stream in RARE_STREAMS:
            x, n = (np.add.reduceat(counts[:, members], first) / indicators.weight_unit for counts in (hits, totals))
            deff[key] = max(burstiness(x[:, at], n[:, at]) for at in range(len(members)))
            continue
        common = members[(share[members] >= RARE) & (share[members] <= 1 - RARE)]
        x, n = hits[:, common] / indicators.weight_unit, totals[:, common] / indicators.weight_unit
        if not len(common) or not n.any(axis=0).all():
            continue
        angle = indicators.angle[common]
        deff[key] = clustering(half_hour, x, n, share[common])
        found, tau[key] = _rhythm(hour, np.add.reduceat(x, first), np.add.reduceat(n, first), angle, deff[key])
        if any(found.parts):
            profile[key] = found.profile(indicators.last_hit[common].tolist())
    return Wander(tau, deff, profile)


def _rhythm(
    hour: IntVector, x: NDArray[np.float64], n: NDArray[np.float64], angle: FloatVector, deff: float
) -> tuple[Fit, float]:
    """The profile of one unit, and the wander that it leaves."""
    full = n.all(axis=1)
    hour, x, n = hour[full], x[full], n[full]
    seen = Hours(hour, x, n, angle, deff, wander(hour, x, n, np.sin(angle) ** 2, deff))
    for _ in range(PROFILE_ROUNDS):
        found = learn_profile(seen)
        if not any(found.parts):
            break
        seen = replace(seen, tau=wander(hour, x, n, found.shares(seen), deff))
    return found, seen.tau


def wander(
    hour: IntVector, x: NDArray[np.float64], n: NDArray[np.float64], share: FloatVector, deff: float = 1.0
) -> float:
    """Upper bound of tau from (R, I) hourly hits and totals and the shares expected, (I,) or (R, I)."""
    # Imported here: the hub learns a baseline rarely, and scipy costs start-up time and memory.
    from scipy.special import chdtri

    share = np.clip(share, RARE / 2, 1 - RARE / 2)  # a profile may come near the ends, where variance means little
    residual = (x - n * share) / np.sqrt(share * (1 - share))
    variance = float((residual**2 - n * deff).sum() / (n**2).sum())
    rho = autocorrelation(hour, residual)
    nu = max(3.0, len(hour) * (1 - rho) / (1 + rho))
    return math.sqrt(max(0.0, variance) * nu / float(chdtri(nu, 0.90)))


def clustering(half_hour: IntVector, x: NDArray[np.float64], n: NDArray[np.float64], share: FloatVector) -> float:
    """deff from the halves of each hour, (R, I) hits and totals and (I,) shares; 1 or more."""
    first = np.flatnonzero((np.diff(half_hour) == 1) & (half_hour[:-1] % 2 == 0))
    first = first[(n[first] > 0).all(axis=1) & (n[first + 1] > 0).all(axis=1)]
    if not len(first):
        return 1.0
    x1, n1, x2, n2 = x[first], n[first], x[first + 1], n[first + 1]
    squares = (x1 / n1 - x2 / n2) ** 2 / (share * (1 - share)) / (1 / n1 + 1 / n2)
    return max(1.0, float(squares.mean()))


def burstiness(counts: FloatVector, totals: FloatVector) -> float:
    """``sum (x - n p)^2 / sum x``: 1 for Poisson counts, more where they come together; never below 1."""
    total = float(counts.sum())
    if total == 0:
        return 1.0
    expected = totals * (total / float(totals.sum()))
    return max(1.0, float(((counts - expected) ** 2).sum() / total))
