"""Whether labels rate a language model's answers, or name the class that a prediction should have been.

The predicted class of a generation is its finish reason: no label says that it should have been another.
"""

from __future__ import annotations

from collections.abc import Sequence

from mlmon_sidecar.aggregate.generations import FINISH_REASONS
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.records import OutcomeCell


def rated(plan: ModelPlan, cells: Sequence[OutcomeCell]) -> bool:
    """By the baseline; without one by what was predicted and said: finish reasons alone, and never as a label."""
    return plan.generates if plan.generates or plan.layout.prediction.classes else finish_reasons_alone(cells)


def finish_reasons_alone(cells: Sequence[OutcomeCell]) -> bool:
    """Whether nothing else was predicted, and none of them is a label."""
    predicted = {cell.predicted for cell in cells} - {""}
    return bool(predicted) and predicted <= FINISH_REASONS and FINISH_REASONS.isdisjoint(c.actual for c in cells)


def as_ratings(cells: Sequence[OutcomeCell]) -> list[OutcomeCell]:
    """Labels of answers without a class."""
    return [cell._replace(predicted="") for cell in cells]
