"""Learns a unit's profile from the reference's hours.

A binomial regression with the arcsine link, fitted by iteratively reweighted least squares (McCullagh and Nelder,
*Generalized Linear Models*, 1989, section 2.5), its two parts in turn, with a ridge for hours of few rows. An hour is
one observation of variance ``deff / n + tau^2`` in Cohen's h: a busy one says no more than its wander lets it.

A part is kept only where it lowers the deviance of weeks it was not fitted on, even against odd ones, by more than
chance does: parameters that teach nothing cost sensitivity.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlmon_sidecar.statistics.profile import DAY_KINDS, DAYS_OF_WEEK, HOURS, UnitProfile, slot_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlmon_sidecar.records import FloatVector, IntVector

    Matrix = NDArray[np.float64]

SWEEPS = 4
RIDGE = 100.0  # 1 / variance: before anything is known an offset is of the order of .1 radian
FLATTEST = 0.2  # sin(2 angle) counts as no less: at the ends of the scale the link is flat
GAIN = 10.0  # more deviance than idle parameters gain by chance; times dispersion and autocorrelation
DECIMALS = 5  # of an offset in the document
STEADIEST = 0.99  # autocorrelation is taken to be no more


class Parts(NamedTuple):
    """Which of the two a model has."""

    hour: bool = False
    weekend: bool = False


@dataclass(frozen=True, eq=False)
class Hours:
    """Hours with data, of one unit.

    Attributes:
        hour: (R,) ascending Unix hours.
        x: (R, I) hits. n: (R, I) totals, none of them 0.
        angle: (I,) of the reference.
        deff, tau: of the unit, before its profile is known.
    """

    hour: IntVector
    x: Matrix
    n: Matrix
    angle: FloatVector
    deff: float
    tau: float

    def only(self, rows: NDArray[np.bool_]) -> Hours:
        return Hours(self.hour[rows], self.x[rows], self.n[rows], self.angle, self.deff, self.tau)


@dataclass(frozen=True, eq=False)
class Fit:
    """Offsets in radians; zeros for a part that the model does not have."""

    parts: Parts
    level: FloatVector  # (I,) everywhere: what hours that count alike have instead of the reference's mean over rows
    hour: Matrix  # (24, I)
    weekend: Matrix  # (2, I)

    def angles(self, seen: Hours) -> Matrix:
        """(R, I) expected."""
        of_day, kind = _slots(seen)
        return np.clip(seen.angle + self.level + self.hour[of_day] + self.weekend[kind], 0.0, np.pi / 2)

    def shares(self, seen: Hours) -> Matrix:
        """(R, I) expected."""
        shares: Matrix = np.sin(self.angles(seen)) ** 2
        return shares

    def profile(self, cells: Sequence[int]) -> UnitProfile:
        """For the document; ``cells`` name the indicators."""
        if self.parts.hour:
            weekend = _rounded(self.weekend) if self.parts.weekend else ()
            return UnitProfile(tuple(cells), _rounded(self.level + self.hour), weekend)
        return (
            UnitProfile(tuple(cells), (), _rounded(self.level + self.weekend)) if self.parts.weekend else UnitProfile()
        )


def learn_profile(seen: Hours) -> Fit:
    """The parts that help on held-out weeks, fitted on everything."""
    parts = Parts()
    for candidate in (Parts(hour=True), Parts(weekend=True)):
        wider = Parts(parts.hour or candidate.hour, parts.weekend or candidate.weekend)
        if _helps(seen, parts, wider):
            parts = wider
    return fit(seen, parts) if any(parts) else _nothing(seen)


def fit(seen: Hours, parts: Parts) -> Fit:
    """The level and the parts in turn, until none moves."""
    of_day, kind = _slots(seen)
    everywhere = np.zeros(len(seen.hour), dtype=np.int64)
    weight, found = _weights(seen), replace(_nothing(seen), parts=parts)
    for _ in range(SWEEPS):
        found = replace(found, level=_offsets(seen, found, weight, everywhere, found.level[None])[0])
        if parts.hour:
            found = replace(found, hour=_offsets(seen, found, weight, of_day, found.hour))
        if parts.weekend:
            found = replace(found, weekend=_offsets(seen, found, weight, kind, found.weekend))
    return found


def _nothing(seen: Hours) -> Fit:
    """The reference's own shares at all times."""
    width = len(seen.angle)
    return Fit(Parts(), np.zeros(width), np.zeros((HOURS, width)), np.zeros((DAY_KINDS, width)))


def autocorrelation(hour: IntVector, residual: Matrix) -> float:
    """Lag 1, over hours that stand beside each other, pooled over indicators; in [0, .99]."""
    beside = np.diff(hour) == 1
    total = float((residual**2).sum())
    rho = float((residual[1:] * residual[:-1])[beside].sum()) / total if total else 0.0
    return min(STEADIEST, max(0.0, rho))


def _offsets(seen: Hours, so_far: Fit, weight: Matrix, group: IntVector, before: Matrix) -> Matrix:
    """One weighted step for the offsets of one part; the other stays."""
    residual = _residuals(seen, so_far) + before[group]
    member = (group == np.arange(len(before))[:, None]).astype(np.float64)  # (groups, R)
    offsets: Matrix = (member @ (weight * residual)) / (member @ weight + RIDGE)
    return offsets


def _residuals(seen: Hours, model: Fit) -> Matrix:
    """(R, I) in radians, linear in the hits: the arcsine of a share of few rows would be biased."""
    angle = model.angles(seen)
    residual: Matrix = (seen.x / seen.n - np.sin(angle) ** 2) / np.maximum(np.sin(2 * angle), FLATTEST)
    return residual


def _weights(seen: Hours) -> Matrix:
    """(R, I) 1 / variance of a residual in radians, half of Cohen's h."""
    weights: Matrix = 4 / (seen.deff / seen.n + seen.tau**2)
    return weights


def _helps(seen: Hours, narrow: Parts, wide: Parts) -> bool:
    """Whether ``wide`` explains weeks it has not seen better than ``narrow``, by more than an idle parameter would."""
    weeks = (seen.hour - seen.hour[0]) // (HOURS * DAYS_OF_WEEK) % 2 == 0
    gained = 0.0
    for fitted, judged in ((seen.only(weeks), seen.only(~weeks)), (seen.only(~weeks), seen.only(weeks))):
        if not len(fitted.hour) or not len(judged.hour):
            return False
        gained += _deviance(judged, fit(fitted, narrow)) - _deviance(judged, fit(fitted, wide))
    model = fit(seen, wide)
    rho = autocorrelation(seen.hour, _residuals(seen, model))
    dispersion = _deviance(seen, model) / len(seen.hour)
    return gained > GAIN * dispersion * (1 + rho) / (1 - rho)


def _deviance(seen: Hours, model: Fit) -> float:
    """Weighted squares, the mean over the unit's indicators: they move together."""
    return float((_weights(seen) * _residuals(seen, model) ** 2).sum()) / max(1, len(seen.angle))


def _slots(seen: Hours) -> tuple[IntVector, IntVector]:
    """(R,) hour of day and (R,) 1 at weekends."""
    slot = slot_of(seen.hour)
    return slot % HOURS, slot // HOURS


def _rounded(table: Matrix) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(round(float(offset), DECIMALS) for offset in row) for row in table)
