"""Has the estimated quality fallen? One step a day, with the predictions of that day: inputs differ by the hour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlmon_sidecar.checks.context import EstimateView
from mlmon_sidecar.hub.estimate import expected_confusion, why_not
from mlmon_sidecar.hub.kept_state import state_of, text_of
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.outcomes.metric import Metric
from mlmon_sidecar.outcomes.tolerance import Within
from mlmon_sidecar.records import WEIGHT_UNIT
from mlmon_sidecar.statistics.edetector import Detector, DetectorOptions
from mlmon_sidecar.statistics.estimate_detector import estimate_indicators
from mlmon_sidecar.statistics.indicators import PREDICTIONS, key_of, slack_of
from mlmon_sidecar.statistics.quality_detector import Part, counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlmon_sidecar.records import IntVector

MIN_ROWS = 100  # predictions of a day; fewer give no estimate worth an alarm
DAY_MINUTES = 1440


class EstimateWatch:
    """``document`` is the state as it is kept; a new watch goes on from it."""

    def __init__(self, plan: ModelPlan, document: Mapping[str, Any] | None) -> None:
        self._plan = plan
        self._detector: Detector | None = None
        reference, metric = plan.reference, plan.outcome_metric
        if reference is None or metric is None or isinstance(metric, Within) or why_not(plan, metric.name):
            return
        matrix = expected_confusion(plan, reference.vector)
        if matrix is None or not matrix.any():
            return
        name = "score" if plan.layout.prediction.kind == "binary" else "class"
        slack = slack_of(reference, key_of(PREDICTIONS, name))
        self._metric, self._deff = metric, slack.deff
        classes = plan.layout.prediction.classes
        judged = np.array(reference.confusion) if reference.confusion else matrix
        parts = []
        for part, (hits, total) in zip(metric.parts, _pairs(metric.parts, matrix, classes), strict=True):
            chance = part.chance(judged, classes) if total > 0 else 0.0
            parts.append(Part(hits / total if total > 0 else 0.0, max(1, round(total / slack.deff)), chance))
        value = metric.of_counts([x for part in parts for x in (part.baseline * part.rows, part.rows)])
        chance_shown = metric.of_counts([x for part in parts for x in (part.chance, 1.0)])
        self._baseline, self._chance = value or 0.0, chance_shown or 0.0
        indicators = estimate_indicators(tuple(parts), slack.tau)
        if indicators.units:
            self._detector = Detector(indicators, DetectorOptions(plan.false_alarm_days))
            self._state = state_of(self._detector, (document or {}).get("state", ""))

    @property
    def active(self) -> bool:
        return self._detector is not None

    @property
    def document(self) -> Mapping[str, Any]:
        return {} if self._detector is None else {"state": text_of(self._state)}

    def take(self, day: int, vector: IntVector, suppressed: str, dropped: float = 0.0) -> EstimateView | None:
        """Feed the counts of one Unix day; days in order. None where nothing is estimated, or of too few.

        Args:
            suppressed: why the estimate is not to be believed; "" where it is.
            dropped: share of the day that was lost.
        """
        outputs = self._plan.layout.outputs
        rows = int(vector[outputs.rows])
        if self._detector is None or rows < MIN_ROWS:
            return None
        matrix = expected_confusion(self._plan, vector)
        if matrix is None or not matrix.any():
            return None
        pairs = _pairs(self._metric.parts, matrix, self._plan.layout.prediction.classes)
        share = int(vector[outputs.rows + 1]) / WEIGHT_UNIT / self._deff / rows  # requests, of rows
        fed = [round(share * count) for pair in pairs for count in pair]
        step = self._detector.step(self._state, counts(*fed), minute=(day + 1) * DAY_MINUTES, hours=24.0)
        self._state = step.state
        value = self._metric.of_counts([count for pair in pairs for count in pair])
        if value is None:
            return None
        return EstimateView(self._metric.name, step, value, rows, self._baseline, self._chance, suppressed, dropped)


def _pairs(parts: Sequence[Metric], matrix: NDArray[np.float64], classes: tuple[str, ...]) -> list[tuple[float, float]]:
    """(hits, total) of each part, expected."""
    found = []
    for part in parts:
        if part.name == "accuracy":
            found.append((float(np.trace(matrix)), float(matrix.sum())))
            continue
        at = classes.index(part.positive)
        both, true, said = float(matrix[at, at]), float(matrix[at].sum()), float(matrix[:, at].sum())
        total = {"precision": said, "recall": true, "f1": said + true - both}[part.name]
        found.append((both, total))
    return found
