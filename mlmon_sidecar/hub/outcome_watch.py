"""Is the model still right? Each label enters the quality detector once: when its slice is complete, or when it comes
later than that, as labels do that are sent in batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlmon_sidecar.checks.context import QualityView
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.outcomes.metric import new_counts
from mlmon_sidecar.outcomes.slices import closing_day
from mlmon_sidecar.records import OutcomeCell
from mlmon_sidecar.statistics.detector_state import DetectorState
from mlmon_sidecar.statistics.edetector import Detector, DetectorOptions, Step
from mlmon_sidecar.statistics.quality_detector import counts, quality_indicators

RECENT_DAYS = 7  # what entered the detector in so many days makes the point estimate

Recent = tuple[tuple[int, int, int], ...]
"""(Unix day, hits, total) that entered the detector, oldest first, of ``RECENT_DAYS``."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the labels of one day said."""

    day: int
    step: Step
    hits: int  # over the last ``RECENT_DAYS``
    total: int


class OutcomeWatch:
    """The quality detector of one model, fed with labels."""

    def __init__(self, plan: ModelPlan) -> None:
        self._horizon = plan.horizon_days
        self._metric = plan.outcome_metric
        self.baseline: float | None = None  # as people read it
        self._chance = 0.0
        self._detector: Detector | None = None
        reference, classes = plan.reference, plan.layout.prediction.classes
        if reference is None or not reference.confusion or self._metric is None:
            return
        matrix = np.array(reference.confusion, np.int64)
        hits, total = self._metric.counts_of_matrix(matrix, classes)
        if total == 0:
            return
        chance = self._metric.chance(matrix, classes)
        self.baseline, self._chance = self._metric.shown(hits / total), self._metric.shown(chance)
        indicators = quality_indicators(hits / total, total, chance=chance)
        if indicators.units:
            self._detector = Detector(indicators, DetectorOptions(plan.false_alarm_days))

    def view(self, judgement: Judgement) -> QualityView | None:
        """As the check reads it; None without labels or without a baseline."""
        if self.baseline is None or self._metric is None or judgement.total == 0:
            return None
        value = self._metric.shown(judgement.hits / judgement.total)
        return QualityView(self._metric.name, judgement.step, value, judgement.total, self.baseline, self._chance)

    def restore(self, data: bytes) -> DetectorState | None:
        """The state in ``data`` where it belongs to this baseline; else a new one; None without a baseline."""
        if self._detector is None:
            return None
        state = DetectorState.from_bytes(data) if data else self._detector.initial()
        return state if self._detector.accepts(state) else self._detector.initial()

    def close_days(
        self, state: DetectorState | None, recent: Recent, days: range, gained: Sequence[OutcomeCell]
    ) -> tuple[DetectorState | None, Recent, list[Judgement]]:
        """Feed what slices that close on these Unix days, or closed before, have gained; in order."""
        judgements: list[Judgement] = []
        if self._detector is None or self._metric is None or state is None:
            return state, recent, judgements
        counted = [cell for cell in gained if cell.age < self._horizon]
        for day in days:
            of_day = [cell for cell in counted if max(days.start, closing_day(cell.day, cell.age)) == day]
            hits, total = new_counts(self._metric, of_day)
            step = self._detector.step(state, counts(hits, total), minute=day * 1440, hours=24.0 if total else 0.0)
            state = step.state
            recent = tuple(entry for entry in (*recent, (day, hits, total)) if entry[0] > day - RECENT_DAYS)
            sums = [sum(column) for column in zip(*recent, strict=True)]
            judgements.append(Judgement(day, step, sums[1], sums[2]))
        return state, recent, judgements
