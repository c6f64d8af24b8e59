"""Where the shared profile and wander do not hold for a segment: learned from the segment's own hours.

A column's profile is that of the whole traffic. Where segments of different means are busy at different hours, part of
it is their mix, and within a segment the same hours are flat. What a segment moves beyond the shared profile and
wander, and beyond chance, becomes its own wander (``wander``); where it moves less without the profile, it has none.

Beyond chance: the hours' mean excess ``(x - n p)^2 / (p (1 - p)) - n (deff + n tau^2)`` is more than two of its
standard errors above 0.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlmon_sidecar.statistics.indicator_set import CellSums, IndicatorSet
from mlmon_sidecar.statistics.indicators import SEGMENT_NULLS, slack_of
from mlmon_sidecar.statistics.profile import UnitProfile, slot_of
from mlmon_sidecar.statistics.wander import RARE, wander

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mlmon_sidecar.records import FloatVector, IntVector
    from mlmon_sidecar.statistics.reference import Reference
    from mlmon_sidecar.statistics.segment_indicators import WatchedSegments

    Matrix = NDArray[np.float64]

SAMPLED_SHARES = (0.25, 0.5, 0.75)
"""Wander is one figure a unit: these of its shares tell it, and memory holds a third of what it would."""

LEAST_HOURS = 100  # with rows of the segment; with fewer the shared wander stands
BEYOND_CHANCE = 2.0  # standard errors


class OwnWander(NamedTuple):
    """What replaces the column's for some segments, by ``SegmentUnit.key``."""

    tau: Mapping[str, float]
    profile: Mapping[str, UnitProfile]  # empty ones: no profile


def sampled(watched: WatchedSegments) -> IndicatorSet:
    """The indicators that tell each segment's wander; none of what is missing, which has burstiness instead."""
    these, chosen = watched.indicators, list[int]()
    share = np.sin(these.angle) ** 2
    for at, unit in enumerate(these.units):
        members = np.flatnonzero((these.unit == at) & (share >= RARE) & (share <= 1 - RARE))
        if unit.stream != SEGMENT_NULLS and len(members):
            chosen += sorted({int(members[np.abs(share[members] - wanted).argmin()]) for wanted in SAMPLED_SHARES})
    return _only(these, np.array(chosen, dtype=np.int64))


def learn_segment_wander(
    watched: WatchedSegments,
    these: IndicatorSet,
    reference: Reference,
    half_hour: IntVector,
    hits: NDArray[np.int64],
    totals: NDArray[np.int64],
) -> OwnWander:
    """The segments that need wander of their own.

    Args:
        these: as ``sampled`` chose them.
        reference: what was learned of the whole traffic.
        half_hour: (R,) ascending half hours (Unix) with data.
        hits: (R, I) of ``these`` in each. totals: (R, I).
    """
    hour, first = np.unique(half_hour // 2, return_index=True)
    tau, profile = dict[str, float](), dict[str, UnitProfile]()
    if len(hour) < LEAST_HOURS:
        return OwnWander(tau, profile)
    offsets = these.offsets[slot_of(hour)] if len(these.offsets) else None
    for at in np.unique(these.unit).tolist():
        members = np.flatnonzero(these.unit == at)
        x, n = (np.add.reduceat(counts[:, members], first) / these.weight_unit for counts in (hits, totals))
        full = n.all(axis=1)
        if full.sum() < LEAST_HOURS:
            continue
        unit = watched.units[these.units[at].stream, these.units[at].name]
        known, deff, angle = (
            slack_of(reference, unit.whole_key).tau,
            float(these.deff[members[0]]),
            these.angle[members],
        )
        x, n = x[full], n[full]
        flat = np.broadcast_to(np.sin(angle) ** 2, x.shape)
        moved = flat if offsets is None else np.sin(np.clip(angle + offsets[full][:, members], 0, math.pi / 2)) ** 2
        if not _exceeds(x, n, moved, deff, known):
            continue
        key = unit.key
        with_profile, without = (wander(hour[full], x, n, share, deff) for share in (moved, flat))
        tau[key] = max(known, min(with_profile, without))
        if without < with_profile:
            profile[key] = UnitProfile()
    return OwnWander(tau, profile)


def _exceeds(x: Matrix, n: Matrix, share: FloatVector, deff: float, tau: float) -> bool:
    share = np.clip(share, RARE / 2, 1 - RARE / 2)
    excess = ((x - n * share) ** 2 / (share * (1 - share)) - n * deff - (n * tau) ** 2).mean(axis=1)
    return bool(excess.mean() > BEYOND_CHANCE * excess.std() / math.sqrt(len(excess)))


def _only(these: IndicatorSet, chosen: IntVector) -> IndicatorSet:
    """Some of the indicators, of the same units."""

    def sums(of: CellSums) -> CellSums:
        groups = np.split(of.cells, of.starts[1:])
        return CellSums.of([groups[at].tolist() for at in chosen.tolist()])

    return replace(
        these, unit=these.unit[chosen], hits=sums(these.hits), totals=sums(these.totals), angle=these.angle[chosen],
        lower=these.lower[chosen], upper=these.upper[chosen], side=these.side[chosen],
        tolerance=these.tolerance[chosen], deff=these.deff[chosen], offsets=these.offsets[:, chosen],
    )  # fmt: skip
