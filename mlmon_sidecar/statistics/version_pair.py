"""Two versions of one model, counted on one layout: how far apart their shares are, as a detector can take it.

What both versions see at the same time (the hour of day, a holiday, a drift of the world) is no difference between
them. So an hour of the one is compared with the same hour of the other. With x hits of n requests and
``a = asin(sqrt((x + 3/8) / (n + 3/4)))`` (Anscombe, Biometrika 35, 1948, 246-254) the difference ``d`` of the two
angles has variance ``(1/n + 1/m) / 4`` whatever the share, so the detector is given the share ``sin^2(pi/4 + d)`` of
``n m / (n + m)`` requests: one half where the versions agree.

Where the older version no longer answers, its counts of the days before are the reference. Then their number of
requests and the wander of healthy data enter the tolerance, three standard errors of
``s = 3 sqrt(deff / m + tau^2)`` in Cohen's h: upwards ``d - s/2`` is judged, downwards ``d + s/2``; what the hour of
day explains (the baseline's profile) is taken out before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlmon_sidecar.records import WEIGHT_UNIT
from mlmon_sidecar.statistics.indicator_set import CellSums, IndicatorBuilder, IndicatorSet
from mlmon_sidecar.statistics.indicators import (
    FEATURES,
    FLOOR_H,
    NULLS,
    PREDICTIONS,
    PRIOR_TAU,
    SERVICE,
    Slack,
    feature_weights,
    key_of,
    slack_of,
)
from mlmon_sidecar.statistics.layout import Layout, NumericCells
from mlmon_sidecar.statistics.profile import SLOTS
from mlmon_sidecar.statistics.service import ERRORS, LATENCY, SERVICE_H

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlmon_sidecar.records import FloatVector, IntVector
    from mlmon_sidecar.statistics.reference import Reference

VERSIONS_SHARE = 0.05
"""Of a model's false-alarm budget: what ``indicators.BUDGET_RESERVE`` keeps for versions."""

MOST_PAIRS = 4  # compared at once; each has an equal part of the share, used or not
STREAM_PART: Mapping[str, float] = {FEATURES: 0.3, NULLS: 0.1, PREDICTIONS: 0.4, SERVICE: 0.2}
LEAST_REQUESTS = 20.0  # of each version before a share is compared
LEAST_EXPECTED = 2.0  # hits, and misses, of the smaller side: fewer are not near enough to normal
MIDDLE = math.pi / 4  # angle of one half
WORSE_UP, WORSE_DOWN, EITHER = 1, -1, 0


class _Spec(NamedTuple):
    """One share that is compared."""

    stream: str
    name: str
    hits: Sequence[int]
    totals: Sequence[int]
    floor: float  # Cohen's h that always is tolerated
    watched: int = EITHER


class Shares(NamedTuple):
    """Hits and totals of the I shares, in the layout's units."""

    hits: IntVector
    totals: IntVector


@dataclass(frozen=True, eq=False)
class VersionPair:
    """What is compared of any two versions on one layout.

    Attributes:
        indicators: over the vectors that ``together`` and ``after`` give; every reference share is one half.
        hits, totals: (I,) sums of cells of the layout's vector.
        unit: (I,) what one request counts in them.
        deff, tau: (I,) clustering and wander of healthy data.
        offsets: (48, I) radians that the hour of day adds to a share's angle.
    """

    indicators: IndicatorSet
    hits: CellSums
    totals: CellSums
    unit: FloatVector
    deff: FloatVector
    tau: FloatVector
    offsets: FloatVector

    @property
    def size(self) -> int:
        return len(self.unit)

    def shares(self, vector: IntVector) -> Shares:
        """Of one version's (layout.size,) counts."""
        return Shares(self.hits.of_vector(vector), self.totals.of_vector(vector))

    def together(self, new: Shares, old: Shares) -> tuple[IntVector, NDArray[np.bool_]]:
        """Counts of the same hours: the vector, and (I,) which shares are in it; the others have too little as yet."""
        enough = self._enough(new, old) & self._enough(old, new)
        n, m = new.totals / self.unit, old.totals / self.unit
        size = np.where(enough, n * m / np.maximum(n + m, 1.0), 0.0) / self.deff
        apart = self._angles(new) - self._angles(old)
        return self._vector(apart, apart, size), enough

    def after(self, new: Shares, old: Shares, slot: int, old_slots: FloatVector) -> tuple[IntVector, NDArray[np.bool_]]:
        """An hour of the new version against what the old one counted before, as ``together``.

        Args:
            slot: of the hour (``profile.slot_of``).
            old_slots: (48,) requests of the old version by slot.
        """
        enough = self._enough(new, old) & (old.totals / self.unit >= LEAST_REQUESTS)
        n, m = new.totals / self.unit, np.maximum(old.totals / self.unit, 1.0)
        usual = old_slots @ self.offsets / max(1.0, float(old_slots.sum()))
        apart = self._angles(new) - self._angles(old) - (self.offsets[slot] - usual)
        slack = 1.5 * np.sqrt(self.deff / m + self.tau**2)  # s / 2: h is twice an angle
        return self._vector(apart - slack, apart + slack, np.where(enough, n, 0.0) / self.deff), enough

    def _enough(self, one: Shares, other: Shares) -> NDArray[np.bool_]:
        """Whether ``one`` alone has the requests, and lets expect the hits and misses."""
        n = one.totals / self.unit
        both = np.maximum((one.totals + other.totals) / self.unit, 1e-9)
        share = (one.hits + other.hits) / self.unit / both
        enough: NDArray[np.bool_] = (n >= LEAST_REQUESTS) & (n * np.minimum(share, 1 - share) >= LEAST_EXPECTED)
        return enough

    def _angles(self, counted: Shares) -> FloatVector:
        x, n = counted.hits / self.unit, counted.totals / self.unit
        angles: FloatVector = np.arcsin(np.sqrt(np.clip((x + 0.375) / (n + 0.75), 0.0, 1.0)))
        return angles

    def _vector(self, rising: FloatVector, falling: FloatVector, size: FloatVector) -> IntVector:
        """Hits if judged upwards, hits if judged downwards, totals."""
        totals = np.rint(size * WEIGHT_UNIT)
        hits = [totals * np.sin(np.clip(MIDDLE + d, 0.0, math.pi / 2)) ** 2 for d in (rising, falling)]
        vector: IntVector = np.rint(np.concatenate([*hits, totals])).astype(np.int64)
        return vector


def version_pair(layout: Layout, reference: Reference | None, *, service: bool = True) -> VersionPair:
    """What a layout lets compare.

    Args:
        reference: the model's, for what healthy data does by itself; None: the priors.
        service: whether latency and errors are compared, too.
    """
    specs = [*_specs(layout), *(_service(layout) if service else ())]
    weights = _weights(layout, reference)
    builder = IndicatorBuilder(WEIGHT_UNIT, {s: VERSIONS_SHARE / MOST_PAIRS * part for s, part in STREAM_PART.items()})
    known: tuple[str, str] | None = None
    for at, spec in enumerate(specs):
        if known != (spec.stream, spec.name):
            known = spec.stream, spec.name
            builder.unit(spec.stream, spec.name, weights.get(spec.name, 1.0))
        total, h = [2 * len(specs) + at], spec.floor
        if spec.watched != WORSE_DOWN:
            builder.upward([at], total, 0.5, MIDDLE + h / 2, 1.0)
        if spec.watched != WORSE_UP:
            builder.downward([len(specs) + at], total, 0.5, MIDDLE - h / 2, h)
    slacks = [_slack(spec, reference) for spec in specs]
    return VersionPair(
        indicators=builder.build(),
        hits=CellSums.of([spec.hits for spec in specs]),
        totals=CellSums.of([spec.totals for spec in specs]),
        unit=np.array([1.0 if spec.stream == SERVICE else WEIGHT_UNIT for spec in specs]),
        deff=np.array([slack.deff for slack in slacks]),
        tau=np.array([slack.tau for slack in slacks]),
        offsets=_offsets(specs, reference),
    )


def _weights(layout: Layout, reference: Reference | None) -> Mapping[str, float]:
    return {} if reference is None else feature_weights(layout, reference)


def _slack(spec: _Spec, reference: Reference | None) -> Slack:
    if reference is None or spec.stream == SERVICE:
        return Slack(1.0, PRIOR_TAU)
    return slack_of(reference, key_of(spec.stream, spec.name))


def _offsets(specs: Sequence[_Spec], reference: Reference | None) -> FloatVector:
    table = np.zeros((SLOTS, len(specs)))
    profiles = {} if reference is None else {key: profile.offsets() for key, profile in reference.profile.items()}
    for at, spec in enumerate(specs):
        offsets = profiles.get(key_of(spec.stream, spec.name), {}).get(max(spec.hits))
        if offsets is not None:
            table[:, at] = offsets
    return table


def _specs(layout: Layout) -> Iterator[_Spec]:
    """Units one after the other."""
    for name, cells in layout.cells.items():
        if isinstance(cells, NumericCells):
            yield from _ordered(FEATURES, name, cells.alarm)
        else:
            yield from _each(FEATURES, name, cells.alarm)
    weight = layout.traffic.rows + 1
    for name, cells in layout.cells.items():
        yield _Spec(NULLS, name, (cells.null + 1, cells.invalid + 1), (weight,), FLOOR_H)
    outputs = layout.outputs
    yield from _ordered(PREDICTIONS, "score", outputs.score_alarm)
    yield from _each(PREDICTIONS, "class", outputs.class_weight)
    yield from _ordered(PREDICTIONS, "confidence", outputs.confidence_alarm)


def _service(layout: Layout) -> Iterator[_Spec]:
    """Slower, or more errors of the server. Faster is no fault."""
    cells = layout.traffic
    durations = range(cells.duration.start, cells.duration.stop)
    for k in range(1, len(durations)):
        yield _Spec(SERVICE, LATENCY, durations[:k], durations, SERVICE_H, WORSE_DOWN)
    yield _Spec(SERVICE, ERRORS, (cells.server_error,), (cells.requests,), SERVICE_H, WORSE_UP)


def _ordered(stream: str, name: str, span: slice) -> Iterator[_Spec]:
    cells = range(span.start, span.stop)
    for k in range(1, len(cells)):
        yield _Spec(stream, name, cells[:k], cells, FLOOR_H)


def _each(stream: str, name: str, span: slice) -> Iterator[_Spec]:
    cells = range(span.start, span.stop)
    for cell in cells if len(cells) > 1 else ():
        yield _Spec(stream, name, (cell,), cells, FLOOR_H)
