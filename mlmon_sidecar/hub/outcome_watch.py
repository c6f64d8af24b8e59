"""Is the model still right? Labels enter the quality detector slice by slice, each slice once, when it is complete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mlmon_sidecar.checks.context import QualityView
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.outcomes.confusion import closed_on, closing_day, right
from mlmon_sidecar.records import OutcomeCell
from mlmon_sidecar.statistics.detector_state import DetectorState
from mlmon_sidecar.statistics.edetector import Detector, DetectorOptions, Step
from mlmon_sidecar.statistics.quality import majority_share, right_answers
from mlmon_sidecar.statistics.quality_detector import counts, quality_indicators

RECENT_DAYS = 7  # matured slices of so many days make the point estimate

Cells = Callable[[int, int], Sequence[OutcomeCell]]
"""Outcome cells of predictions made from the first to the last Unix day."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the slices that closed on one day said."""

    day: int
    step: Step
    correct: int  # over the matured slices of the last ``RECENT_DAYS``
    total: int


class OutcomeWatch:
    """The quality detector of one model, fed with slices that closed."""

    def __init__(self, plan: ModelPlan) -> None:
        self._horizon = plan.horizon_days
        self.baseline: float | None = None
        self.chance = 0.0
        self._detector: Detector | None = None
        reference = plan.reference
        if reference is not None and reference.confusion:
            matrix = np.array(reference.confusion, np.int64)
            correct, total = right_answers(matrix)
            self.baseline, self.chance = correct / total, majority_share(matrix)
            indicators = quality_indicators(self.baseline, total, chance=self.chance)
            if indicators.units:
                self._detector = Detector(indicators, DetectorOptions(plan.false_alarm_days))

    def view(self, judgement: Judgement) -> QualityView | None:
        """As the check reads it; None without labels or without a baseline."""
        if self.baseline is None or judgement.total == 0:
            return None
        value = judgement.correct / judgement.total
        return QualityView("accuracy", judgement.step, value, judgement.total, self.baseline, self.chance)

    def restore(self, data: bytes) -> DetectorState | None:
        """The state in ``data`` where it belongs to this baseline; else a new one; None without a baseline."""
        if self._detector is None:
            return None
        state = DetectorState.from_bytes(data) if data else self._detector.initial()
        return state if self._detector.accepts(state) else self._detector.initial()

    def close_days(
        self, state: DetectorState | None, first: int, last: int, cells: Cells
    ) -> tuple[DetectorState | None, list[Judgement]]:
        """Feed the slices that close on Unix days ``first`` to ``last``, in order."""
        judgements: list[Judgement] = []
        if self._detector is None or state is None or last < first:
            return state, judgements
        # The oldest age that counts, of the first of the recent closing days.
        known = cells(first - RECENT_DAYS - self._horizon, last - 2)
        known = [cell for cell in known if cell.age < self._horizon]
        for day in range(first, last + 1):
            correct, total = right(closed_on(known, day))
            step = self._detector.step(state, counts(correct, total), minute=day * 1440, hours=24.0 if total else 0.0)
            state = step.state
            recent = [c for c in known if day - RECENT_DAYS < closing_day(c.day, c.age) <= day]
            judgements.append(Judgement(day, step, *right(recent)))
        return state, judgements
