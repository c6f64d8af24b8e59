"""One model's evaluation: sealed minutes in order, each consumed once; out comes what the sealing transaction writes.

Everything that depends on the path (detector states, watermark, open incidents) is in the store and read back by
``reload``; windows and runs are sums of panes and can be built again at any time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from mlmon_sidecar.alerts.incidents import WAITING, IncidentBook, Transition
from mlmon_sidecar.checks import CHECKS, ModelCheck
from mlmon_sidecar.checks.context import CheckContext, ServiceView, VersionDifferences
from mlmon_sidecar.checks.textbook import TEXTBOOK, Figures
from mlmon_sidecar.hub.curves import day_points, hour_points, minute_points
from mlmon_sidecar.hub.estimate_watch import EstimateWatch
from mlmon_sidecar.hub.label_drift_watch import LabelDriftWatch
from mlmon_sidecar.hub.label_state import LabelState, label_state
from mlmon_sidecar.hub.losses import LossWatch
from mlmon_sidecar.hub.newest import NewestByVersion, NewestPredictions
from mlmon_sidecar.hub.outcome_watch import OutcomeWatch, label_history
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.hub.retention import MINUTES_KEPT
from mlmon_sidecar.hub.seal import Delta, Sums, minutes_of, sum_panes
from mlmon_sidecar.hub.segment_watch import SegmentWatch
from mlmon_sidecar.hub.service_watch import ServiceWatch
from mlmon_sidecar.hub.shapes import look_again, shapes
from mlmon_sidecar.hub.version_watch import VersionWatch
from mlmon_sidecar.hub.windows import HOURS_KEPT, RecentSamples, RecentWindows, Windows
from mlmon_sidecar.records import Incident, Losses, OutcomeCell, Pane, Window
from mlmon_sidecar.statistics.detector_state import DetectorState
from mlmon_sidecar.statistics.edetector import Detector, DetectorOptions, Step
from mlmon_sidecar.statistics.indicator_set import tolerances
from mlmon_sidecar.statistics.indicators import FEATURES, indicators
from mlmon_sidecar.statistics.onset_shape import Shape
from mlmon_sidecar.store import Store
from mlmon_sidecar.store.contract import ModelState, Point, Seal, StoredPane

MINUTES_OF_DAY = 1440
EARLY_MINUTES = 16  # unsealed minutes looked at; with more of them the seal is behind, and tells
LOADED_MINUTES = 60  # read back at once
RUN_MINUTES = MINUTES_OF_DAY  # how far back a run of identical predictions is looked for after a restart
BELIED = "labels of earlier days have belied the estimate"
COLLAPSE = CHECKS["collapse"]  # the one check that looks at minutes before they are sealed
SEGMENTS = CHECKS["segment_drift"].name
SILENCE = CHECKS["throughput_zero"]  # and the one that looks at minutes that never came


class Memory(Protocol):
    """What an evaluation reads back of what it wrote: a ``Store`` has it, and so may a history that is replayed."""

    def model_state(self, model: str) -> ModelState | None: ...
    def incidents(self, model: str | None = None, *, only_open: bool = False) -> list[Incident]: ...
    def fleet_panes(self, model: str, start: int, end: int) -> list[Pane]: ...
    def newer_panes(self, model: str, after: int) -> list[StoredPane]: ...
    def unjudged_cells(self, model: str, closed_by: int) -> list[OutcomeCell]: ...
    def label_slices(self, model: str, first_day: int, last_day: int) -> list[tuple[int, int, int]]: ...
    def predictions_per_day(self, model: str, first_day: int, last_day: int) -> dict[int, int]: ...
    def outcome_cells(self, model: str, first_day: int, last_day: int) -> list[OutcomeCell]: ...
    def series(self, model: str, name: str, label: str, since_minute: int) -> list[Point]: ...
    def losses(self, first_day: int, last_day: int) -> dict[int, Losses]: ...


class ModelEvaluator:
    """Evaluates one model: for the hub that owns the store, or over a history.

    ``curves``: whether a seal brings the points that the page draws. They cost more than the evaluation of an hour.
    """

    def __init__(self, plan: ModelPlan, store: Memory, *, curves: bool = True) -> None:
        self.plan = plan
        self._store = store
        self._draws = curves
        self._detector: Detector | None = None
        if plan.reference is not None:
            options = DetectorOptions(plan.false_alarm_days)
            self._detector = Detector(indicators(plan.layout, plan.reference), options)
        self._tolerance = {} if self._detector is None else tolerances(self._detector.indicators)
        self.checks: Mapping[str, ModelCheck] = {**CHECKS, **{name: TEXTBOOK[name] for name in plan.textbook}}
        self.segments = SegmentWatch.of(plan)
        self._outcomes = OutcomeWatch(plan)
        self._label_state: tuple[tuple[int, int], LabelState] | None = None
        self._classes = np.zeros(len(plan.layout.prediction.classes) + 1, np.int64)  # of seals that committed
        self.reload()

    def reload(self) -> None:
        """Back to what the store says: after a start, and after a seal that did not commit."""
        stored = self._store.model_state(self.plan.name)
        self._gained = np.zeros_like(self._classes)  # by the newest seal: counted twice if it has to be repeated
        self.watermark = -1 if stored is None else stored.watermark
        self._state = self._detector_state(b"" if stored is None else stored.detector)
        self._quality = self._outcomes.restore(b"" if stored is None else stored.quality)
        self._progress: dict[str, Any] = {} if stored is None else dict(stored.progress)
        self._label_drift = LabelDriftWatch(self.plan, self._progress.get("label_drift"))
        self._estimates = EstimateWatch(self.plan, self._progress.get("estimates"))
        self._losses = LossWatch(self._store, self._progress.get("losses"))
        self._book = IncidentBook(self.plan.name, self._store.incidents(self.plan.name, only_open=True))
        self._windows = Windows(self.plan.name, self.plan.layout.size)
        self._newest = NewestPredictions(self.plan.layout)
        self._newest_by_version = NewestByVersion(self.plan.layout)
        self._service = ServiceWatch(self.plan, self._progress.get("service")) if self.plan.service else None
        if self.segments is not None:
            segments = b"" if stored is None else stored.segments or b""
            self.segments.restore(segments, self._progress.get("segments", -1))
        self._versions = VersionWatch(self.plan, self._progress.get("versions"), self.watermark)
        self._early: dict[int, Delta] = {}  # minutes not sealed yet, as far as they are known
        self._looked_through = 0  # id of the newest open pane in them
        self._unseen_through = -1  # up to this minute the seal alone sees
        if self.watermark >= 0:
            self._load_panes()

    def _detector_state(self, data: bytes) -> DetectorState | None:
        if self._detector is None:
            return None
        state = DetectorState.from_bytes(data) if data else self._detector.initial()
        return state if self._detector.accepts(state) else self._detector.initial()

    def _load_panes(self) -> None:
        """An hour at a time: a week of panes in one reading is a hundred megabytes, and a lock held for as long."""
        first = (self.watermark // 60 - HOURS_KEPT + 1) * 60
        for start in range(first, self.watermark + 1, LOADED_MINUTES):
            panes = self._store.fleet_panes(self.plan.name, start, min(start + LOADED_MINUTES, self.watermark + 1))
            for delta in minutes_of(panes, self.plan.shadow).get(self.plan.layout.hash, ()):  # as when sealed
                self._windows.add(delta.minute, delta.vector, delta.samples)
                self._versions.load(delta.minute, delta.parts)
                if delta.minute > self.watermark - RUN_MINUTES:
                    self._newest.add(delta.minute, delta.vector, delta.samples)
                    self._newest_by_version.add(delta)

    # ------------------------------------------------------------ sealing

    def advance(self, sums: Sums) -> Seal:
        """Take the minutes in; the answer is one transaction. The state here goes ahead of the store until it
        commits: call ``reload`` if it does not."""
        points: list[Point] = []
        moves: list[Transition] = []
        self._judged: dict[tuple[Any, ...], OutcomeCell] = {}  # labels that this seal takes
        self._classes, self._gained = self._classes + self._gained, np.zeros_like(self._classes)
        for delta in sums.deltas.get(self.plan.layout.hash, ()):
            if self._draws and delta.minute <= self.watermark and self._has_minutes(delta.minute):
                points.extend(minute_points(self.plan.layout, delta.minute, sums.whole(self.plan.layout.hash, delta)))
            self._take(delta, points, moves)
        self.watermark = max(self.watermark, sums.minutes[-1])
        self._early = {minute: delta for minute, delta in self._early.items() if minute > self.watermark}
        if self._service is not None:
            self._progress = {**self._progress, "service": self._service.document}
        if self.segments is not None:
            self._progress = {**self._progress, "segments": self.segments.through}
        self._progress = {**self._progress, "versions": self._versions.document}
        return Seal(
            model=self.plan.name,
            consumed=sums.consumed,
            panes=sums.panes,
            state=ModelState(
                watermark=self.watermark,
                detector=b"" if self._state is None else self._state.to_bytes(),
                quality=b"" if self._quality is None else self._quality.to_bytes(),
                progress=self._progress,
                segments=None if self.segments is None else self.segments.changed_state(),
            ),
            series=points,
            incidents=[(move.incident, move.kind, move.minute) for move in moves],
            judged=list(self._judged.values()),
        )

    def _take(self, delta: Delta, points: list[Point], moves: list[Transition]) -> None:
        late = delta.minute <= self.watermark
        if not late:
            self._turn(delta.minute, points, moves)
            if self._draws:
                points.extend(minute_points(self.plan.layout, delta.minute, delta.vector))
            self._newest.add(delta.minute, delta.vector, delta.samples, delta.minutes)
            self._newest_by_version.add(delta)
        self._windows.add(delta.minute, delta.vector, delta.samples)
        if late and self.segments is not None:
            self.segments.late(delta.vector, delta.minute)
        self._gained += delta.vector[self.plan.layout.outputs.classes]
        service = None if self._service is None else self._service.take(delta.vector, delta.minute, late=late)
        versions = self._versions.take(delta.minute, delta.parts)
        moves += self._judge(self._step(delta, late), delta.minute, service, versions)
        self.watermark = max(self.watermark, delta.minute)

    def _has_minutes(self, minute: int) -> bool:
        """Whether sealed panes as old as ``minute`` are still those of single minutes (``retention``)."""
        return minute // 60 > self.watermark // 60 - MINUTES_KEPT // 60

    def _step(self, delta: Delta, late: bool) -> Step | None:
        if self._detector is None or self._state is None:
            return None
        hours = 0.0 if late else delta.minutes / 60
        step = self._detector.step(self._state, delta.vector, minute=delta.minute, hours=hours)
        self._state = step.state
        return step

    def _turn(self, minute: int, points: list[Point], moves: list[Transition]) -> None:
        """At the first pane of a new hour or day: write the curves of the last one, and close its label slices."""
        hour, day = minute // 60, minute // MINUTES_OF_DAY
        last_hour = self._progress.get("hour", hour)
        last_day = self._progress.get("day", day)
        if hour > last_hour and self._service is not None:
            self._service.turn(self._windows.by_hour, hour)
        if hour > last_hour and self.segments is not None:
            self.segments.turn(self._windows.by_hour, hour)
        if hour > last_hour and self._detector is not None and self.plan.reference is not None:
            moves += look_again(self._book, self._detector.indicators, self.plan.reference, self._windows, minute)
        if hour > last_hour and self._draws:
            points.extend(hour_points(self.plan, last_hour, self._windows.hours(last_hour * 60, 24), self.evidence()))
        if day > last_day:
            window = self._windows.hours((last_day + 1) * MINUTES_OF_DAY - 1, 24)
            if self._draws:
                points.extend(day_points(self.plan, last_day, window.vector))
            moves += self._judge_estimate(last_day, window)
            moves += self._judge_outcomes(last_day + 1, day)
        self._progress = {**self._progress, "hour": max(hour, last_hour), "day": max(day, last_day)}

    # ------------------------------------------------------------ findings

    def _judge(
        self, step: Step | None, minute: int, service: ServiceView | None, versions: Sequence[VersionDifferences]
    ) -> list[Transition]:
        known = self._book.recent("feature_drift", minute)
        context = CheckContext(
            model=self.plan.name,
            minute=minute,
            layout=self.plan.layout,
            reference=self.plan.reference,
            step=step,
            recent=RecentWindows(self._windows, minute),
            open_features=frozenset() if known is None else frozenset(known.features),
            identical=self._newest.identical,
            newest=self._newest.newest,
            by_version=self._newest_by_version.view(self.plan.shadow),
            collapsed=self._told(COLLAPSE.name),
            differs_since=self._newest.differs_since,
            samples=RecentSamples(self._windows, minute),
            service=service,
            segments=None if self.segments is None else self.segments.view(self._told(SEGMENTS)),
            confidence_floor=self.plan.confidence_floor,
            shapes=self._shapes(step),
            tolerance=self._tolerance if self._service is None else {**self._tolerance, **self._service.tolerance},
            versions=tuple(versions) if versions or self._versions.compared else None,
        )
        return self._moves(context)

    def _told(self, rule: str) -> frozenset[str]:
        """Names that open incidents of a rule have, and that have not ended."""
        return frozenset(name for i in self._book.open if i.rule == rule for name in i.details[WAITING])

    def _shapes(self, step: Step | None) -> Mapping[str, Shape]:
        if step is None or not step.alarms or self._detector is None or self.plan.reference is None:
            return {}
        onsets = [pair for a in step.alarms if a.stream == FEATURES for pair in zip(a.units, a.onset, strict=True)]
        return shapes(self._detector.indicators, self.plan.reference, self._windows, onsets)

    def _judge_outcomes(self, first: int, last: int) -> list[Transition]:
        """Labels of cohorts that are mature on days ``first`` to ``last``. What the detector has taken is marked in
        the store by the seal, so that no restart feeds a label twice."""
        gained = []
        for cell in self._store.unjudged_cells(self.plan.name, last):
            taken = self._judged.get(cell[:-1])  # by an earlier day of the same seal
            rows = cell.rows - (0 if taken is None else taken.rows)
            if rows:
                gained.append(cell._replace(rows=rows))
        recent = tuple(tuple(entry) for entry in self._progress.get("labels", ()))
        history = label_history(self._store, self.plan, last)
        closed = self._outcomes.close_days(self._quality, recent, range(first, last + 1), gained, history)
        self._quality = closed.state
        for cell in closed.taken:
            before = self._judged.get(cell[:-1])
            self._judged[cell[:-1]] = cell._replace(rows=cell.rows + (0 if before is None else before.rows))
        if closed.recent:
            self._progress = {**self._progress, "labels": [list(entry) for entry in closed.recent]}
        moves: list[Transition] = []
        for judgement in closed.judgements:
            minute = judgement.day * MINUTES_OF_DAY
            dropped = self._losses.of_labels(judgement.day, judgement.ripe)
            view = self._outcomes.view(judgement, dropped)
            labels = self._label_drift.take(judgement.day, judgement.ripe)
            moves += self._moves(CheckContext(self.plan.name, minute, self.plan.layout, quality=view, labels=labels))
        kept = {"label_drift": self._label_drift.document, "losses": self._losses.document}
        self._progress = {**self._progress, **kept}
        return moves

    def _judge_estimate(self, day: int, window: Window) -> list[Transition]:
        """What the scores of a whole day promise; not where labels have belied such promises before."""
        if not self._estimates.active:
            return []
        gap = label_state(self._store, self.plan, day + 1).gap
        view = self._estimates.take(
            day, window.vector, "" if gap is None or not gap.broken else BELIED, self._losses.of_day(day)
        )
        self._progress = {**self._progress, "estimates": self._estimates.document}
        if view is None:
            return []
        minute = (day + 1) * MINUTES_OF_DAY
        return self._moves(CheckContext(self.plan.name, minute, self.plan.layout, estimate=view))

    def _moves(self, context: CheckContext) -> list[Transition]:
        moves: list[Transition] = []
        for check in self.checks.values():
            found = (self._book.find(finding) for finding in check.evaluate(context))
            moves += [move for move in found if move is not None]
            moves += self._book.end(check.name, check.resolved(context), context.minute)
        return moves

    def end_comparison(self, minute: int) -> list[tuple[Incident, str, int]]:
        """Another baseline counts from ``minute`` on: incidents that say how traffic differs from this one end.
        Identical predictions are a collapse whatever they are compared with."""
        moves: list[Transition] = []
        for incident in self._book.open:
            if incident.rule != COLLAPSE.name:
                moves += self._book.end(incident.rule, incident.features, minute)
        return [(move.incident, move.kind, move.minute) for move in moves]

    def look_ahead(self) -> list[tuple[Incident, str, int]]:
        """Collapse in panes that are not sealed yet: it pages now, under the key the seal will use.

        Called every half second: it reads and adds only what came since the last time. What is returned is open here
        already: call ``reload`` if it is not written.
        """
        if not self._take_newer():
            return []
        newest, by_version = self._newest.copy(), self._newest_by_version.copy()
        for _, delta in sorted(self._early.items()):
            newest.add(delta.minute, delta.vector, delta.samples)
            by_version.add(delta)
            context = CheckContext(
                model=self.plan.name,
                minute=delta.minute,
                layout=self.plan.layout,
                reference=self.plan.reference,
                identical=newest.identical,
                by_version=by_version.view(self.plan.shadow),
            )
            moves = [self._book.find(finding, provisional=True) for finding in COLLAPSE.evaluate(context)]
            if moves:
                return [(move.incident, move.kind, move.minute) for move in moves if move is not None]
        return []

    def look_for_silence(self, seen_minute: int, now_minute: int) -> list[tuple[Incident, str, int]]:
        """Nothing came since ``seen_minute``, though the hour expects traffic. As with ``look_ahead``, what is returned
        is open here already."""
        if self._service is None or now_minute - self.watermark > MINUTES_OF_DAY:
            return []  # history that is read in now: its time is not this one
        view = self._service.silence(max(seen_minute, self.watermark), now_minute)
        if view is None:
            return []
        context = CheckContext(self.plan.name, now_minute, self.plan.layout, service=view)
        moves = [self._book.find(finding) for finding in SILENCE.evaluate(context)]
        return [(move.incident, move.kind, move.minute) for move in moves if move is not None]

    def _take_newer(self) -> bool:
        """Add open panes that came since the last time. False: there are none."""
        taken = False
        while stored := self._store.newer_panes(self.plan.name, self._looked_through):
            taken = True
            self._looked_through = stored[-1].pane_id
            for delta in sum_panes(stored, (), self.plan.shadow).deltas.get(self.plan.layout.hash, ()):
                if delta.minute > max(self.watermark, self._unseen_through):
                    early = self._early.get(delta.minute)
                    self._early[delta.minute] = delta if early is None else early + delta
            if len(self._early) > EARLY_MINUTES:  # a part of a minute must not be taken for the whole
                self._unseen_through = max(self._early)
                self._early.clear()
        return taken

    # ------------------------------------------------------------ reading

    def evidence(self) -> Mapping[tuple[str, str], float]:
        """(stream, unit) -> evidence now; 1 alone is the alarm line."""
        if self._detector is None or self._state is None:
            return {}
        return self._detector.evidence(self._state)

    def day(self) -> Window:
        """The 24 hours up to the watermark's, that hour included."""
        return self._windows.hours(max(0, self.watermark), 24)

    def textbook(self) -> Mapping[str, Figures]:
        """What the rules everybody knows say now, by rule."""
        context = CheckContext(
            model=self.plan.name,
            minute=self.watermark,
            layout=self.plan.layout,
            reference=self.plan.reference,
            recent=RecentWindows(self._windows, max(0, self.watermark)),
            confidence_floor=self.plan.confidence_floor,
        )
        return {name: check.figures(context) for name, check in TEXTBOOK.items()}

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

    @property
    def compared_versions(self) -> Mapping[str, str]:
        """New version to the one it is compared with."""
        return self._versions.compared

    def version_rows(self, version: str) -> tuple[int, int]:
        """(rows of a week's whole hours, last minute of the newest of them)."""
        counts = self._versions.counts
        return counts.rows(version), counts.last_hour(version) * 60 + 59

    def class_totals(self) -> Mapping[str, int]:
        """Sealed predictions of each known class since this hub started."""
        classes = self.plan.layout.prediction.classes
        return {name: int(count) for name, count in zip(classes, self._classes + self._gained, strict=False)}

    def label_state(self, store: Store, day: int) -> LabelState:
        """What complete labels tell on a Unix day; read from the store once an hour of the model's own time."""
        key = day, self.watermark // 60
        if self._label_state is None or self._label_state[0] != key:
            self._label_state = key, label_state(store, self.plan, day)
        return self._label_state[1]

    @property
    def baseline_quality(self) -> float | None:
        return self._outcomes.baseline
