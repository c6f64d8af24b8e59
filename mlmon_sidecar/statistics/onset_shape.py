"""Whether a figure left its reference in one step or along a ramp, told only where the data prefer one clearly.

The hourly differences y of a watched share from its reference (angles, as Cohen's h) are fitted by least squares with
two curves of two parameters each: ``c`` from hour t0 on, and ``s (t - t0 + 1/2)`` from hour t0 on; 0 before. Weights
are ``1 / (deff / n + tau^2)``, n requests in the hour. Both have the same number of parameters, so half the difference
of their weighted sums of squares is the logarithm of a likelihood ratio and needs no correction.

A change that began in the newest hour alone fits both equally well: it has no shape yet.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from mlmon_sidecar.statistics.profile import slot_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlmon_sidecar.records import FloatVector, IntVector
    from mlmon_sidecar.statistics.indicator_set import IndicatorSet

STEP, RAMP = "step", "ramp"
CLEAR_NATS = 4.0  # the better curve must be so much likelier: e^4 is 55 to 1
LEAST_HOURS = 3  # with data
LEAST_REQUESTS = 20.0  # an hour with fewer is left out
BEFORE_HOURS = 24  # looked at before the onset, where they are known
EARLIER_STARTS = 3  # a ramp may have begun this many windows before the first hour that is still known


class Shape(NamedTuple):
    kind: Literal["step", "ramp"]
    nats: float  # by which it is likelier than the other, ``CLEAR_NATS`` or more
    since_hour: int  # Unix hour in which it began


def shape_of(hour: IntVector, effect: FloatVector, variance: FloatVector) -> Shape | None:
    """None where neither curve is clearly better.

    Args:
        hour: (T,) ascending Unix hours.
        effect: (T,) difference from the reference. variance: (T,) of each, > 0.
    """
    if len(hour) < LEAST_HOURS:
        return None
    weight = 1 / variance
    t = hour - hour[0]
    starts = np.arange(-EARLIER_STARTS * (t[-1] + 1), t[-1] + 1)[:, None]
    since = np.where(t >= starts, t - starts + 0.5, 0.0)  # (starts, T)
    ramps = _explained(since, effect, weight)
    steps = _explained((t >= starts[-t[-1] - 1 :]).astype(np.float64), effect, weight)
    nats = (float(steps.max()) - float(ramps.max())) / 2
    if abs(nats) < CLEAR_NATS:
        return None
    if nats > 0:
        return Shape("step", nats, int(hour[0]) + int(np.argmax(steps)))
    return Shape("ramp", -nats, int(hour[0]) + int(starts[np.argmax(ramps), 0]))


def hourly_effects(
    indicators: IndicatorSet, unit: int, tau: float, hours: Mapping[int, IntVector], onset_minute: int
) -> tuple[IntVector, FloatVector, FloatVector]:
    """(T,) hours, effects and variances of that indicator of a unit which moved most since the onset, signed so that
    the movement counts up.

    Args:
        tau: wander in Cohen's h. hours: Unix hour -> counts.
        onset_minute: of the last minute without evidence.
    """
    members = np.flatnonzero(indicators.unit == unit)
    known = np.array(sorted(h for h in hours if h >= onset_minute // 60 - BEFORE_HOURS), dtype=np.int64)
    hits = np.array([indicators.hits.of_vector(hours[h])[members] for h in known]).reshape(len(known), len(members))
    totals = np.array([indicators.totals.of_vector(hours[h])[members] for h in known]).reshape(hits.shape)
    enough = (totals >= LEAST_REQUESTS * indicators.weight_unit).all(axis=1)
    known, hits, totals = known[enough], hits[enough], totals[enough]
    expected = indicators.angle[members] + (indicators.offsets[slot_of(known)][:, members] if _moves(indicators) else 0)
    effects = 2 * (np.arcsin(np.sqrt(hits / np.maximum(totals, 1))) - np.clip(expected, 0.0, math.pi / 2))
    after = effects[known >= onset_minute // 60].sum(axis=0)
    most = int(np.argmax(np.abs(after)))
    n = totals[:, most] / indicators.weight_unit
    variance: FloatVector = indicators.deff[members[most]] / np.maximum(n, 1.0) + tau**2
    return known, effects[:, most] * (1.0 if after[most] >= 0 else -1.0), variance


def _moves(indicators: IndicatorSet) -> bool:
    return bool(len(indicators.offsets))


def _explained(curves: FloatVector, effect: FloatVector, weight: FloatVector) -> FloatVector:
    """(C,) weighted sum of squares that each curve (C, T) explains, scaled as fits best and never turned over."""
    fitted: FloatVector = np.maximum(curves @ (weight * effect), 0.0) ** 2 / (curves**2 @ weight)
    return fitted
