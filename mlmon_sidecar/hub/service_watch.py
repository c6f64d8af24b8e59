"""How a model's service answers, against the week it was learned from: answers by the minute, volume by the hour.

Volume is judged in whole hours, empty ones included, for callers come in clumps: a job that asks for everything in the
first minute of each hour is no surge and no silence. So a silence, too, must be longer than the week's own were.
The week is learned anew every week, so what has lasted for one is no longer news; whatever was held ends then.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlmon_sidecar.checks.context import ServiceView, Silence
from mlmon_sidecar.statistics.detector_state import DetectorState
from mlmon_sidecar.statistics.edetector import Alarm, Detector, DetectorOptions, Step
from mlmon_sidecar.statistics.indicator_set import tolerances
from mlmon_sidecar.statistics.service import (
    WEEK_HOURS,
    ServiceReference,
    learn_service,
    service_counts,
    service_indicators,
    volume_counts,
)

if TYPE_CHECKING:
    from mlmon_sidecar.hub.plan import ModelPlan
    from mlmon_sidecar.records import IntVector

GAP_HOURS = 24  # a longer silence says no more than a day of it
GAPS_KEPT = 200  # newest; one an hour for a week
LEAST_GAP = 5  # minutes; shorter ones are no silence


class ServiceWatch:
    """One model's. ``document`` is all it needs to go on elsewhere."""

    def __init__(self, plan: ModelPlan, document: Mapping[str, Any] | None) -> None:
        self._layout = plan.layout
        self._options = DetectorOptions(plan.false_alarm_days)
        self._reference: ServiceReference | None = None
        self._detector: Detector | None = None
        self.tolerance: Mapping[tuple[str, str], float] = {}  # (stream, unit) to Cohen's h; of what was learned
        self._state: DetectorState | None = None
        self._through = -1  # hour whose volume was judged last
        self._alarms: tuple[Alarm, ...] = ()  # of hours judged, told with the next minute
        self._closed: tuple[tuple[str, str], ...] = ()
        self._last = -1  # minute with requests
        self._gaps: deque[tuple[int, int]] = deque(maxlen=GAPS_KEPT)  # (first, end) of silent minutes
        if document:
            self._last = document["last"]
            self._gaps.extend((first, end) for first, end in document["gaps"])
            if document["reference"] is not None:
                self._restore(document)

    def _restore(self, document: Mapping[str, Any]) -> None:
        detector = self._watch(ServiceReference.from_document(document["reference"]))
        state = DetectorState.from_bytes(base64.b64decode(document["state"]))
        if detector.accepts(state):
            self._state = state
        self._through = document["through"]

    @property
    def document(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "reference": None if self._reference is None else self._reference.to_document(),
            "state": "" if self._state is None else base64.b64encode(self._state.to_bytes()).decode(),
            "through": self._through,
            "last": self._last,
            "gaps": [list(gap) for gap in self._gaps],
        }

    def turn(self, hours: Mapping[int, IntVector], hour: int) -> None:
        """At the beginning of an hour: judge the volume of those before, and learn where a week has passed.

        Args:
            hours: Unix hour to its (layout.size,) counts.
        """
        if self._reference is not None:
            for past in range(max(self._through + 1, hour - GAP_HOURS), hour):
                self._judge_volume(hours.get(past), past)
            self._through = hour - 1
            if hour < self._reference.learned_hour + WEEK_HOURS:
                return
        learned = learn_service(self._layout, hours, hour, list(self._gaps))
        if learned is not None:
            self._closed += self._held()
            self._watch(learned)
            self._through = hour - 1

    def take(self, vector: IntVector, minute: int, *, late: bool) -> ServiceView | None:
        """One pane; None while nothing is learned."""
        if not late and vector[self._layout.traffic.requests]:
            if self._last >= 0 and minute - self._last > LEAST_GAP:
                self._gaps.append((self._last + 1, minute))
            self._last = minute
        if self._reference is None:
            return None
        step = self._step(service_counts(self._layout, vector), minute, 0.0 if late else 1 / 60)
        view = ServiceView(self._reference, alarms=(*self._alarms, *step.alarms), closed=(*self._closed, *step.closed))
        self._alarms, self._closed = (), ()
        return view

    def _judge_volume(self, counts: IntVector | None, hour: int) -> None:
        assert self._reference is not None
        if self._reference.is_idle(hour):
            return
        requests = 0 if counts is None else int(counts[self._layout.traffic.requests])
        expected = self._reference.expected_between(hour * 60, hour * 60 + 60)
        step = self._step(volume_counts(requests, expected), hour * 60 + 59, 1.0)
        self._alarms += step.alarms
        self._closed += step.closed

    def silence(self, seen_minute: int, now_minute: int) -> ServiceView | None:
        """When nothing came since ``seen_minute`` and it is now ``now_minute``, which is not over yet."""
        if self._reference is None:
            return None
        since = max(seen_minute, self._last) + 1
        expected = self._reference.expected_between(since, now_minute)
        nats = expected / self._reference.volume_deff
        silence = Silence(since, expected, nats, self._reference.silent_nats)
        return ServiceView(self._reference, silence=silence)

    def _step(self, counted: IntVector, minute: int, hours: float) -> Step:
        assert self._detector is not None
        assert self._state is not None
        step = self._detector.step(self._state, counted, minute=minute, hours=hours)
        self._state = step.state
        return step

    def _watch(self, reference: ServiceReference) -> Detector:
        detector = Detector(service_indicators(reference), self._options)
        self._reference, self._detector, self._state = reference, detector, detector.initial()
        self.tolerance = tolerances(detector.indicators)
        return detector

    def _held(self) -> tuple[tuple[str, str], ...]:
        if self._detector is None or self._state is None:
            return ()
        units = self._detector.indicators.units
        return tuple((u.stream, u.name) for u, held in zip(units, self._state.held, strict=True) if held)
