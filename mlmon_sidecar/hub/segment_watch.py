"""Segments by the hour: one step of their detector for each hour that is over, with the whole hour's counts.

An hour is over when the first pane of a later one is sealed. What comes after that is a step of its own without time.
The hour's counts are sums of sealed panes and need no store of their own; the detector's state is large, and is written
only by a seal that changed it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from mlmon_sidecar.checks.context import HeldSegment, SegmentsView
from mlmon_sidecar.statistics.detector_state import DetectorState
from mlmon_sidecar.statistics.edetector import Detector, DetectorOptions, Step
from mlmon_sidecar.statistics.segment_indicators import segment_indicators

if TYPE_CHECKING:
    from mlmon_sidecar.hub.plan import ModelPlan
    from mlmon_sidecar.records import IntVector
    from mlmon_sidecar.statistics.layout import Layout
    from mlmon_sidecar.statistics.reference import Reference
    from mlmon_sidecar.statistics.segment_indicators import SegmentUnit

HOUR = 60


class SegmentWatch:
    """One model's, from the beginning; ``restore`` goes on from elsewhere."""

    def __init__(self, layout: Layout, reference: Reference, false_alarm_days: float) -> None:
        self._watched = segment_indicators(layout, reference)
        self._detector = Detector(self._watched.indicators, DetectorOptions(false_alarm_days))
        self.restore(b"", -1)

    @classmethod
    def of(cls, plan: ModelPlan) -> SegmentWatch | None:
        """None where the baseline knows no segments."""
        if plan.reference is None or not plan.layout.segments.dimensions:
            return None
        return cls(plan.layout, plan.reference, plan.false_alarm_days)

    def restore(self, state: bytes, through: int) -> None:
        """Go on from what ``changed_state`` gave last and from ``through`` then; empty and -1: from nothing."""
        stored = DetectorState.from_bytes(state) if state else self._detector.initial()
        self._state = stored if self._detector.accepts(stored) else self._detector.initial()
        self.through = through  # the newest hour that was judged, by whichever baseline
        self._closed: list[tuple[str, str]] = []  # since the last view
        self._step: Step | None = None
        self._changed = False

    def turn(self, hours: Mapping[int, IntVector], hour: int) -> None:
        """At the first pane of ``hour``: judge the hours before it.

        Args:
            hours: Unix hour to its (layout.size,) counts.
        """
        for past in sorted(known for known in hours if self.through < known < hour):
            self._take(hours[past], past * HOUR + HOUR - 1, 1.0)
        self.through = max(self.through, hour - 1)

    def late(self, vector: IntVector, minute: int) -> None:
        """Counts (layout.size,) that an earlier minute gains; those of an hour not judged yet come with it."""
        if minute // HOUR <= self.through:
            self._take(vector, minute, 0.0)

    def view(self, told: frozenset[str]) -> SegmentsView | None:
        """What the detector said since the last time; None where it was not asked. ``told``: names of units that open
        incidents name."""
        step = self._step
        if step is None:
            return None
        held = {}
        for key in step.held:
            at = self._watched.indicators.index[key]
            held[key] = HeldSegment(self._watched.units[key], step.evidence[key], int(step.state.onset[at]))
        closed = tuple(self._watched.units[key].name for key in self._closed)
        self._step, self._closed = None, []
        return SegmentsView(held, closed, told)

    def changed_state(self) -> bytes | None:
        """The detector's state where it changed since the last time, else None."""
        if not self._changed:
            return None
        self._changed = False
        return self._state.to_bytes()

    def figures(self) -> Iterator[tuple[SegmentUnit, float, bool]]:
        """Each unit, its evidence now (1 alone is the alarm line), and whether it is held."""
        evidence = self._detector.evidence(self._state)
        for unit, held in zip(self._watched.indicators.units, self._state.held.tolist(), strict=True):
            key = unit.stream, unit.name
            yield self._watched.units[key], evidence[key], bool(held)

    def _take(self, vector: IntVector, minute: int, hours: float) -> None:
        self._step = self._detector.step(self._state, vector, minute=minute, hours=hours)
        self._state = self._step.state
        self._closed += self._step.closed
        self._changed = True
