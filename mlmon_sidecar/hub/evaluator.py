"""One model's evaluation: sealed minutes in order, each consumed once; out comes what the sealing transaction writes.

Everything that depends on the path (detector states, watermark, open incidents) is in the store and read back by
``reload``; windows and runs are sums of panes and can be built again at any time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mlmon_sidecar.alerts.incidents import RESOLVED, IncidentBook, Transition
from mlmon_sidecar.checks import CHECKS, QUALITY_CHECKS
from mlmon_sidecar.checks.collapse import Collapse
from mlmon_sidecar.checks.context import CheckContext, QualityContext
from mlmon_sidecar.hub.curves import day_points, hour_points, minute_points
from mlmon_sidecar.hub.identical_run import IdenticalRun
from mlmon_sidecar.hub.outcome_watch import Judgement, OutcomeWatch
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.hub.seal import Delta, Sums, sum_panes
from mlmon_sidecar.hub.windows import HOURS_KEPT, Windows
from mlmon_sidecar.records import Finding, Incident, Window
from mlmon_sidecar.statistics.detector_state import DetectorState
from mlmon_sidecar.statistics.edetector import Detector, DetectorOptions, Step
from mlmon_sidecar.statistics.indicators import indicators
from mlmon_sidecar.store import Store
from mlmon_sidecar.store.contract import ModelState, Point, Seal, StoredPane

RULE_OF_STREAM = {
    "features": "feature_drift",
    "nulls": "null_rate",
    "predictions": "prediction_drift",
    "confidence": "confidence_drop",
    "quality": "quality_drop",
}
MINUTES_OF_DAY = 1440
RUN_MINUTES = MINUTES_OF_DAY  # how far back a run of identical predictions is looked for after a restart


class ModelEvaluator:
    """Evaluates one model for the hub that owns the store."""

    def __init__(self, plan: ModelPlan, store: Store) -> None:
        self.plan = plan
        self._store = store
        self._detector: Detector | None = None
        if plan.reference is not None:
            options = DetectorOptions(plan.false_alarm_days)
            self._detector = Detector(indicators(plan.layout, plan.reference), options)
        self._outcomes = OutcomeWatch(plan)
        self._classes = np.zeros(len(plan.layout.prediction.classes) + 1, np.int64)
        self.reload()

    def reload(self) -> None:
        """Back to what the store says: after a start, and after a seal that did not commit."""
        stored = self._store.model_state(self.plan.name)
        self.watermark = -1 if stored is None else stored.watermark
        self._state = self._detector_state(b"" if stored is None else stored.detector)
        self._quality = self._outcomes.restore(b"" if stored is None else stored.quality)
        self._progress: dict[str, Any] = {} if stored is None else dict(stored.progress)
        self._book = IncidentBook(self.plan.name, self._store.incidents(self.plan.name, only_open=True))
        self._windows = Windows(self.plan.name, self.plan.layout.size)
        self._run = IdenticalRun(self.plan.layout)
        if self.watermark >= 0:
            self._load_panes()

    def _detector_state(self, data: bytes) -> DetectorState | None:
        if self._detector is None:
            return None
        state = DetectorState.from_bytes(data) if data else self._detector.initial()
        return state if self._detector.accepts(state) else self._detector.initial()

    def _load_panes(self) -> None:
        first = (self.watermark // 60 - HOURS_KEPT + 1) * 60
        for pane in self._store.fleet_panes(self.plan.name, first, self.watermark + 1):
            if pane.key.layout == self.plan.layout.hash and pane.key.segment == "":
                self._windows.add(pane.key.minute, pane.vector, pane.samples)
                if pane.key.minute > self.watermark - RUN_MINUTES:
                    self._run.add(pane.key.minute, pane.vector, pane.samples)

    # ------------------------------------------------------------ sealing

    def advance(self, sums: Sums) -> Seal:
        """Take the minutes in; the answer is one transaction. The state here goes ahead of the store until it
        commits: call ``reload`` if it does not."""
        points: list[Point] = []
        moves: list[Transition] = []
        for delta in sums.deltas.get(self.plan.layout.hash, ()):
            self._take(delta, points, moves)
        self.watermark = max(self.watermark, sums.minutes[-1])
        return Seal(
            model=self.plan.name,
            consumed=sums.consumed,
            panes=sums.panes,
            state=ModelState(
                watermark=self.watermark,
                detector=b"" if self._state is None else self._state.to_bytes(),
                quality=b"" if self._quality is None else self._quality.to_bytes(),
                progress=self._progress,
            ),
            series=points,
            incidents=self._to_write(moves),
        )

    def _take(self, delta: Delta, points: list[Point], moves: list[Transition]) -> None:
        late = delta.minute <= self.watermark
        if not late:
            self._turn(delta.minute, points, moves)
            points.extend(minute_points(self.plan.layout, delta.minute, delta.vector))
            self._run.add(delta.minute, delta.vector, delta.samples)
        self._windows.add(delta.minute, delta.vector, delta.samples)
        self._classes += delta.vector[self.plan.layout.outputs.classes]
        step = self._step(delta, late)
        if step is not None:
            moves += self._moves(self._drift_findings(step, delta.minute), step, delta.minute)
        if not late:
            moves += self._collapse_moves(delta.minute)
            self.watermark = delta.minute

    def _step(self, delta: Delta, late: bool) -> Step | None:
        if self._detector is None or self._state is None:
            return None
        hours = 0.0 if late else 1 / 60
        step = self._detector.step(self._state, delta.vector, minute=delta.minute, hours=hours)
        self._state = step.state
        return step

    def _turn(self, minute: int, points: list[Point], moves: list[Transition]) -> None:
        """At the first pane of a new hour or day: write the curves of the last one, and close its label slices."""
        hour, day = minute // 60, minute // MINUTES_OF_DAY
        last_hour = self._progress.get("hour", hour)
        last_day = self._progress.get("day", day)
        if hour > last_hour:
            points.extend(hour_points(self.plan, last_hour, self._windows.hours(last_hour * 60, 24), self.evidence()))
        if day > last_day:
            points.extend(day_points(self.plan, last_day, self._windows.hours(day * MINUTES_OF_DAY - 1, 24).vector))
            moves += self._judge_outcomes(last_day + 1, day)
        self._progress = {**self._progress, "hour": max(hour, last_hour), "day": max(day, last_day)}

    # ------------------------------------------------------------ findings

    def _drift_findings(self, step: Step, minute: int) -> list[Finding]:
        reference = self.plan.reference
        if not step.alarms or reference is None:
            return []
        known = self._book.widening("feature_drift", minute)
        context = CheckContext(
            layout=self.plan.layout,
            reference=reference,
            step=step,
            minute=minute,
            day=self._windows.hours(minute, 24),
            hour=self._windows.hours(minute, 2),
            drifting=() if known is None else known.features,
        )
        return [finding for check in CHECKS.values() for finding in check.evaluate(context)]

    def _judge_outcomes(self, first: int, last: int) -> list[Transition]:
        def cells(start: int, end: int) -> Sequence[Any]:
            return self._store.outcome_cells(self.plan.name, start, end)

        self._quality, judgements = self._outcomes.close_days(self._quality, first, last, cells)
        moves: list[Transition] = []
        for judgement in judgements:
            minute = judgement.day * MINUTES_OF_DAY
            moves += self._moves(self._quality_findings(judgement, minute), judgement.step, minute)
        return moves

    def _quality_findings(self, judgement: Judgement, minute: int) -> list[Finding]:
        if not judgement.step.alarms or self._outcomes.baseline is None or judgement.total == 0:
            return []
        context = QualityContext(
            step=judgement.step,
            minute=minute,
            metric="accuracy",
            baseline=self._outcomes.baseline,
            chance=self._outcomes.chance,
            correct=judgement.correct,
            total=judgement.total,
        )
        return [finding for check in QUALITY_CHECKS.values() for finding in check.evaluate(context)]

    def _moves(self, findings: Iterable[Finding], step: Step, minute: int) -> list[Transition]:
        moves = [move for finding in findings if (move := self._book.find(finding)) is not None]
        closed: dict[str, list[str]] = {}
        for stream, unit in step.closed:
            closed.setdefault(RULE_OF_STREAM[stream], []).append(unit)
        return moves + self._book.close_units(closed, minute)

    def _collapse_moves(self, minute: int) -> list[Transition]:
        finding = self._collapse(self._run.window, minute)
        if finding is not None:
            move = self._book.find(finding)
            confirmed = [self._book.confirm(incident.key) for incident in self._book.open_of(Collapse.name)]
            updates = [Transition(incident, "", minute) for incident in confirmed if incident is not None]
            return updates if move is None else [move, *updates]
        open_now = [i for i in self._book.open_of(Collapse.name) if i.opened_minute <= minute]
        if open_now and self._recovered(minute):
            return self._book.clear(Collapse.name, minute)
        return []

    def _collapse(self, run: Window | None, minute: int) -> Finding | None:
        return None if run is None else Collapse().judge(self.plan.layout, self.plan.reference, run, minute)

    def _recovered(self, minute: int) -> bool:
        """A mixed pane since the last finding: the newest run began after the incident opened and is short."""
        run = self._run.window
        return run is None or self._collapse(run, minute) is None

    def provisional(self, stored: Sequence[StoredPane]) -> list[tuple[Incident, str, int]]:
        """Collapse in panes that are not sealed yet: it pages now, under the key the seal will use."""
        run = self._run.copy()
        for delta in sum_panes(stored, ()).deltas.get(self.plan.layout.hash, ()):
            minute = delta.minute
            if minute <= self.watermark:
                continue
            run.add(minute, delta.vector, delta.samples)
            finding = self._collapse(run.window, minute)
            if finding is not None:
                move = self._book.open_provisionally(finding)
                return [] if move is None else self._to_write([move])
        return []

    def _to_write(self, moves: Sequence[Transition]) -> list[tuple[Incident, str, int]]:
        """Every move for the outbox; open incidents besides, whose waiting units may have changed."""
        written = [(move.incident, move.kind, move.minute) for move in moves]
        resolved = {move.incident.key for move in moves if move.kind == RESOLVED}
        silent = [(incident, "", 0) for incident in self._book.open if incident.key not in resolved]
        return written + silent

    # ------------------------------------------------------------ reading

    def evidence(self) -> Mapping[tuple[str, str], float]:
        """(stream, unit) -> evidence now; 1 alone is the alarm line."""
        if self._detector is None or self._state is None:
            return {}
        return self._detector.evidence(self._state)

    def day(self) -> Window:
        """The 24 hours up to the watermark's, that hour included."""
        return self._windows.hours(max(0, self.watermark), 24)

    @property
    def open_incidents(self) -> Sequence[Incident]:
        return self._book.open

    @property
    def held(self) -> frozenset[tuple[str, str]]:
        """Units of open incidents that are out of the detector for now."""
        if self._detector is None or self._state is None:
            return frozenset()
        names = [(unit.stream, unit.name) for unit in self._detector.indicators.units]
        return frozenset(name for name, held in zip(names, self._state.held, strict=True) if held)

    def class_totals(self) -> Mapping[str, int]:
        """Sealed predictions of each known class since this hub started."""
        classes = self.plan.layout.prediction.classes
        return {name: int(count) for name, count in zip(classes, self._classes, strict=False)}

    @property
    def baseline_quality(self) -> float | None:
        return self._outcomes.baseline
