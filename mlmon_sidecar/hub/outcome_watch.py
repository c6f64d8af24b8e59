"""Is the model still right? Each label enters the quality detector once: when its cohort, the predictions of one day,
is mature, or when it comes later than that, as labels do that are sent in batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from mlmon_sidecar.checks.context import QualityView
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.outcomes.maturity import LabelCount, Maturity, maturity
from mlmon_sidecar.outcomes.metric import Watched, new_counts
from mlmon_sidecar.outcomes.slices import closing_day
from mlmon_sidecar.outcomes.tolerance import Share, Within
from mlmon_sidecar.records import OutcomeCell
from mlmon_sidecar.statistics.detector_state import DetectorState
from mlmon_sidecar.statistics.edetector import Detector, DetectorOptions, Step
from mlmon_sidecar.statistics.quality_detector import Part, counts, quality_indicators

RECENT_DAYS = 7  # what entered the detector in so many days makes the point estimate

Recent = tuple[tuple[int, ...], ...]
"""(Unix day, hits, total of each part) that entered the detector, oldest first, of ``RECENT_DAYS``."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the labels of one day said: (hits, total) of each part over the last ``RECENT_DAYS``.

    ``ripe``: cells that entered the detector on this day.
    """

    day: int
    step: Step
    counts: tuple[int, ...]
    ripe: Sequence[OutcomeCell] = ()


@dataclass(frozen=True, slots=True)
class History:
    """When labels came: by slice, and how many predictions were made by day. Of as many days as the horizon has."""

    slices: Sequence[LabelCount] = ()
    predictions: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Closed:
    """What closing some days changed. ``taken``: the detector has seen them, or never will."""

    state: DetectorState | None
    recent: Recent
    judgements: Sequence[Judgement] = ()
    taken: Sequence[OutcomeCell] = ()


class OutcomeWatch:
    """The quality detector of one model, fed with labels."""

    def __init__(self, plan: ModelPlan) -> None:
        self._horizon = plan.horizon_days
        self._metric: Watched | None = plan.outcome_metric
        self.baseline: float | None = None  # as people read it
        self._chance = 0.0
        self._detector: Detector | None = None
        shares = _reference_shares(plan, self._metric)
        if self._metric is None or not shares:
            return
        parts = {
            at: Part(share.hits / share.total, share.total, share.chance)
            for at, share in enumerate(shares)
            if share.total
        }
        self.baseline = self._metric.of_counts([count for share in shares for count in (share.hits, share.total)])
        if self.baseline is None:
            return
        chance = self._metric.of_counts([x for at in range(len(shares)) for x in _chance_counts(parts.get(at))])
        self._chance = chance or 0.0
        nothing = Part(0.0, 1)  # a class without a reference row has nothing to lose
        indicators = quality_indicators(*(parts.get(at, nothing) for at in range(len(shares))))
        if indicators.units:
            self._detector = Detector(indicators, DetectorOptions(plan.false_alarm_days))

    def view(self, judgement: Judgement, dropped: float = 0.0) -> QualityView | None:
        """As the check reads it; None without labels or without a baseline. ``dropped``: share of predictions that was
        lost."""
        if self.baseline is None or self._metric is None:
            return None
        value = self._metric.of_counts(judgement.counts)
        if value is None:
            return None
        rows = sum(judgement.counts[1::2])
        tolerance = self._metric.tolerance if isinstance(self._metric, Within) else None
        return QualityView(
            self._metric.name, judgement.step, value, rows, self.baseline, self._chance, dropped, tolerance
        )

    def restore(self, data: bytes) -> DetectorState | None:
        """The state in ``data`` where it belongs to this baseline; else a new one; None without a baseline."""
        if self._detector is None:
            return None
        state = DetectorState.from_bytes(data) if data else self._detector.initial()
        return state if self._detector.accepts(state) else self._detector.initial()

    def maturity(self, history: History, day: int) -> Maturity:
        """What is known of the labels on ``day``."""
        return maturity(history.slices, history.predictions, day, self._horizon)

    def close_days(
        self,
        state: DetectorState | None,
        recent: Recent,
        days: range,
        gained: Sequence[OutcomeCell],
        history: History,
    ) -> Closed:
        """Feed what cohorts that are mature on these Unix days have gained in closed slices; in order."""
        if self._detector is None or self._metric is None or state is None:
            return Closed(state, recent, taken=gained)
        taken = [cell for cell in gained if cell.age >= self._horizon]
        waiting = [cell for cell in gained if cell.age < self._horizon]
        judgements: list[Judgement] = []
        for day in days:
            known = self.maturity(history, day)
            ripe = [c for c in waiting if closing_day(c.day, c.age) <= day and known.is_mature(c.day)]
            waiting = [c for c in waiting if closing_day(c.day, c.age) > day or not known.is_mature(c.day)]
            taken += ripe
            new = new_counts(self._metric, ripe)
            step = self._detector.step(state, counts(*new), minute=day * 1440, hours=24.0 if any(new) else 0.0)
            state = step.state
            fitting = (entry for entry in (*recent, (day, *new)) if len(entry) == len(new) + 1)
            recent = tuple(entry for entry in fitting if entry[0] > day - RECENT_DAYS)
            sums = [sum(column) for column in zip(*recent, strict=True)]
            judgements.append(Judgement(day, step, tuple(sums[1:]), ripe))
        return Closed(state, recent, judgements, taken)


class LabelCounts(Protocol):
    """Of a store, or of a history that is replayed."""

    def label_slices(self, model: str, first_day: int, last_day: int) -> list[tuple[int, int, int]]: ...
    def predictions_per_day(self, model: str, first_day: int, last_day: int) -> dict[int, int]: ...


def label_history(store: LabelCounts, plan: ModelPlan, day: int) -> History:
    """As the store knows it on ``day``: of cohorts whose predictions are all kept still."""
    first = day - plan.horizon_days + 1
    slices = [LabelCount(*found) for found in store.label_slices(plan.name, first, day)]
    return History(slices, store.predictions_per_day(plan.name, first, day))


def _reference_shares(plan: ModelPlan, metric: Watched | None) -> list[Share]:
    """Of each part of the metric, in the reference; empty where its rows have no labels."""
    reference, classes = plan.reference, plan.layout.prediction.classes
    if reference is None or metric is None:
        return []
    if isinstance(metric, Within):
        return [metric.of_reference(reference.errors)]
    if not reference.confusion:
        return []
    matrix = np.array(reference.confusion, np.int64)
    found = [(part.counts_of_matrix(matrix, classes), part) for part in metric.parts]
    return [Share(*counts, part.chance(matrix, classes) if counts[1] else 0.0) for counts, part in found]


def _chance_counts(part: Part | None) -> tuple[float, float]:
    return (0.0, 0.0) if part is None else (part.chance, 1.0)
