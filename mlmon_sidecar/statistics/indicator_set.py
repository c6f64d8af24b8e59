"""What a sequential detector watches: shares of cells in a vector, and how far each may move before it counts.

Everything here is generic: a vector, cells, boundaries. What the cells mean is said by whoever builds the set
(``indicators.py`` for a model's panes, ``quality_detector.py`` for labels).

Angles are ``asin(sqrt(share))``, in [0, pi/2]; twice a difference of angles is Cohen's h (Cohen, *Statistical Power
Analysis for the Behavioral Sciences*, 1988, chapter 6), whose sampling variance is 1/n whatever the share.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlmon_sidecar.statistics.profile import SLOTS, UnitProfile

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector, IntVector


ANGLE_MARGIN = 0.001
"""Boundaries and alternatives stay this far inside [0, pi/2]: past the ends sin^2 turns back and the bound fails."""

TWO_SIDED, UPWARD, DOWNWARD = 0, 1, -1


class Unit(NamedTuple):
    """What an alarm names and holds: one feature, one prediction figure."""

    stream: str
    name: str
    weight: float  # its share of the stream; the shares of a stream sum to 1


@dataclass(frozen=True, eq=False)
class CellSums:
    """Many sums of cells of one vector, as one gather and one ``reduceat``. No sum is empty."""

    cells: IntVector
    starts: IntVector

    @classmethod
    def of(cls, groups: Sequence[Sequence[int]]) -> CellSums:
        sizes = [len(group) for group in groups]
        starts = np.cumsum([0, *sizes[:-1]], dtype=np.int64) if sizes else np.zeros(0, np.int64)
        return cls(np.array([cell for group in groups for cell in group], dtype=np.int64), starts)

    def of_vector(self, vector: IntVector) -> IntVector:
        """(number of sums,) int64."""
        if not len(self.starts):
            return np.zeros(0, np.int64)
        sums: IntVector = np.add.reduceat(vector[self.cells], self.starts)
        return sums


@dataclass(frozen=True, eq=False)
class IndicatorSet:
    """I indicators of U units, ordered by unit. A share is ``hits / totals`` of the vector.

    Attributes:
        units: at least one indicator each.
        unit: (I,) index into ``units``, ascending.
        angle: (I,) of the reference share.
        lower: (I,) boundary angle; NaN where a fall is not watched.
        upper: (I,) boundary angle; NaN where a rise is not watched.
        side: (I,) TWO_SIDED, UPWARD or DOWNWARD: which movement keeps an alarm open.
        tolerance: (I,) Cohen's h within which an alarm may close, > 0.
        deff: (I,) design effect, 1 or more.
        weight_unit: weight of one independent observation in ``totals``.
        stream_weight: stream -> its part of the model's false-alarm budget, in (0, 1].
        offsets: (48, I) what each hour of day and kind of day (``profile.slot_of``) adds to ``angle`` and the
            boundaries; (0, I) without a profile.
    """

    units: tuple[Unit, ...]
    unit: IntVector
    hits: CellSums
    totals: CellSums
    angle: FloatVector
    lower: FloatVector
    upper: FloatVector
    side: IntVector
    tolerance: FloatVector
    deff: FloatVector
    weight_unit: int
    stream_weight: Mapping[str, float]
    offsets: FloatVector

    @cached_property
    def signature(self) -> bytes:
        """16 bytes: detector states of equal signatures may be exchanged, others not."""
        digest = hashlib.sha256(repr((self.units, self.weight_unit, sorted(self.stream_weight.items()))).encode())
        for array in (
            self.unit, self.hits.cells, self.hits.starts, self.totals.cells, self.totals.starts, self.angle,
            self.lower, self.upper, self.side, self.tolerance, self.deff, self.offsets,
        ):  # fmt: skip
            digest.update(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes())
        return digest.digest()[:16]

    @cached_property
    def unit_starts(self) -> IntVector:
        """(U,) first indicator of each unit."""
        starts: IntVector = np.searchsorted(self.unit, np.arange(len(self.units)))
        return starts

    @cached_property
    def last_hit(self) -> IntVector:
        """(I,) highest cell among each indicator's hits: its name within the unit."""
        if not len(self.unit):
            return np.zeros(0, np.int64)
        cells: IntVector = np.maximum.reduceat(self.hits.cells, self.hits.starts)
        return cells

    @cached_property
    def index(self) -> Mapping[tuple[str, str], int]:
        """(stream, name) -> position in ``units``."""
        return {(unit.stream, unit.name): i for i, unit in enumerate(self.units)}


def tolerances(indicators: IndicatorSet) -> Mapping[tuple[str, str], float]:
    """(stream, unit) to the Cohen's h beyond which any of its shares counts as moved: a lesser shift stays unseen."""
    largest = np.maximum.reduceat(indicators.tolerance, indicators.unit_starts) if indicators.units else ()
    return {(u.stream, u.name): float(h) for u, h in zip(indicators.units, largest, strict=True)}


class IndicatorBuilder:
    """Collects indicators and freezes them. What cannot be tested is left out rather than tested wrongly."""

    def __init__(self, weight_unit: int, stream_weight: Mapping[str, float]) -> None:
        self._weight_unit = weight_unit
        self._stream_weight = stream_weight
        self._units: list[Unit] = []
        self._offsets: list[Mapping[int, FloatVector]] = []  # of each unit: last hit cell -> (48,)
        self._rows: list[tuple[int, Sequence[int], Sequence[int], float, float, float, int, float, float]] = []

    def unit(self, stream: str, name: str, weight: float, profile: UnitProfile | None = None) -> None:
        """Indicators added from now on belong to this unit."""
        self._units.append(Unit(stream, name, weight))
        self._offsets.append({} if profile is None else profile.offsets())

    def two_sided(self, hits: Sequence[int], totals: Sequence[int], share: float, h: float, deff: float) -> None:
        """A share that may move by Cohen's ``h`` (> 0) either way."""
        angle = angle_of(share)
        self._add(hits, totals, angle, (angle - h / 2, angle + h / 2), TWO_SIDED, h, deff)

    def upward(self, hits: Sequence[int], totals: Sequence[int], share: float, boundary: float, deff: float) -> None:
        """A share that may rise to the boundary angle."""
        angle = angle_of(share)
        self._add(hits, totals, angle, (math.nan, boundary), UPWARD, 2 * (boundary - angle), deff)

    def downward(
        self, hits: Sequence[int], totals: Sequence[int], share: float, boundary: float, closes_within: float
    ) -> None:
        """A share that may fall to the boundary angle; an alarm closes within Cohen's h ``closes_within``."""
        self._add(hits, totals, angle_of(share), (boundary, math.nan), DOWNWARD, closes_within, 1.0)

    def build(self) -> IndicatorSet:
        kept = sorted({row[0] for row in self._rows})
        position = {old: new for new, old in enumerate(kept)}
        figures = np.array([row[3:] for row in self._rows], dtype=np.float64).reshape(-1, 6)
        angle, lower, upper, side, tolerance, deff = (np.ascontiguousarray(column) for column in figures.T)
        return IndicatorSet(
            units=_shares([self._units[old] for old in kept]),
            unit=np.array([position[row[0]] for row in self._rows], dtype=np.int64),
            hits=CellSums.of([row[1] for row in self._rows]),
            totals=CellSums.of([row[2] for row in self._rows]),
            angle=angle,
            lower=lower,
            upper=upper,
            side=side.astype(np.int64),
            tolerance=tolerance,
            deff=deff,
            weight_unit=self._weight_unit,
            stream_weight=self._stream_weight,
            offsets=self._profiles(),
        )

    def _profiles(self) -> FloatVector:
        found = {at: self._offsets[row[0]].get(max(row[1])) for at, row in enumerate(self._rows)}
        known = {at: offsets for at, offsets in found.items() if offsets is not None}
        table = np.zeros((SLOTS if known else 0, len(self._rows)))
        for at, offsets in known.items():
            table[:, at] = offsets
        return table

    def _add(
        self, hits: Sequence[int], totals: Sequence[int], angle: float, bounds: tuple[float, float], side: int,
        tolerance: float, deff: float,
    ) -> None:  # fmt: skip
        lower, upper = (_inside(bound) for bound in bounds)
        if math.isnan(lower) and math.isnan(upper):
            return
        unit = len(self._units) - 1
        self._rows.append((unit, hits, totals, angle, lower, upper, side, tolerance, max(1.0, deff)))


def angle_of(share: float) -> float:
    """``asin(sqrt(share))`` for a share in [0, 1]."""
    return math.asin(math.sqrt(min(1.0, max(0.0, share))))


def _inside(boundary: float) -> float:
    """The boundary, or NaN: a side whose boundary lies at or past the end of the scale cannot be crossed."""
    return boundary if ANGLE_MARGIN <= boundary <= math.pi / 2 - ANGLE_MARGIN else math.nan


def _shares(units: Sequence[Unit]) -> tuple[Unit, ...]:
    totals: dict[str, float] = {}
    for unit in units:
        totals[unit.stream] = totals.get(unit.stream, 0.0) + unit.weight
    return tuple(unit._replace(weight=unit.weight / totals[unit.stream]) for unit in units)
