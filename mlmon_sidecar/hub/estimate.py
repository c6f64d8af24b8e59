"""What the predictions of a window should be worth before any label came.

It assumes that a score still means what it meant on the baseline: it sees that there are more hard cases, and cannot
see that the world has changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.outcomes.metric import Metric
from mlmon_sidecar.statistics.calibration import Estimate, Expected, expect, expect_right
from mlmon_sidecar.statistics.expected_matrix import ClassCalibration, class_estimates, expected_matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlmon_sidecar.records import FloatVector, IntVector

ASSUMPTION = "a score means what it meant on the baseline"
FEW_ROWS = 200  # labelled rows behind the calibration: fewer say too little


def estimate(plan: ModelPlan, vector: IntVector, name: str) -> Estimate | None:
    """One of "accuracy", "precision", "recall", "f1", "auc"; None where ``why_not`` says why, or without rows."""
    if why_not(plan, name):
        return None
    found = expected(plan, vector)
    return None if found is None else found.figures.get(name)


def expected(plan: ModelPlan, vector: IntVector) -> Expected | None:
    """All figures of a model whose baseline is calibrated (``why_not`` is empty); None without rows."""
    reference, space, cells = plan.reference, plan.layout.prediction, plan.layout.outputs
    if reference is None or not reference.calibration:
        return None
    probability = np.array(reference.calibration)
    if space.kind == "multiclass" and reference.class_calibration:
        table, known = joint_table(plan, vector), class_calibration(plan)
        rows, named = int(table.sum()), plan.positive or space.positive
        at = space.classes.index(named) if named in space.classes else None
        return Expected(rows, class_estimates(table, known, at)) if rows else None
    if space.kind == "multiclass":
        behind = _behind(reference.vector[cells.confidence], reference.calibration_rows)
        return expect_right(vector[cells.confidence], probability, behind)
    positive = space.classes.index(space.positive)
    columns = [1 - positive, positive]
    now, before = (v[cells.score_class].reshape(-1, len(space.classes) + 1) for v in (vector, reference.vector))
    return expect(now[:, columns], probability, _behind(before.sum(axis=1), reference.calibration_rows))


def why_not(plan: ModelPlan, name: str) -> str:
    """Why there is no estimate of this figure, however many predictions come; "" when there can be."""
    reference, space = plan.reference, plan.layout.prediction
    if reference is None:
        return "no baseline"
    if space.kind == "regression":
        return "a predicted number does not say how sure the model is"
    if not reference.calibration:
        return "the baseline has no labels beside a score or a confidence"
    if reference.calibration_rows < FEW_ROWS:
        return f"the baseline has {reference.calibration_rows} of {FEW_ROWS} labelled rows to learn from"
    if space.kind == "multiclass":
        if name == "auc":
            return "what the model says of the classes it does not predict is not counted"
        without = "" if reference.class_calibration else "the baseline does not count confidence by class"
        return "" if name == "accuracy" else without
    if len(space.classes) != 2 or space.positive not in space.classes:
        return "the classes of the baseline are not two"
    metric = plan.outcome_metric
    other = name != "accuracy" and isinstance(metric, Metric) and metric.positive not in ("", space.positive)
    return f"the score speaks for the class {space.positive!r}" if other else ""


def expected_confusion(plan: ModelPlan, vector: IntVector) -> NDArray[np.float64] | None:
    """(classes, classes) rows to be expected, actual-major; None where nothing is learned. Of several classes without
    ``class_calibration`` only the share on the diagonal means anything."""
    reference, space, cells = plan.reference, plan.layout.prediction, plan.layout.outputs
    if reference is None or not reference.calibration:
        return None
    if space.kind == "multiclass" and reference.class_calibration:
        return expected_matrix(joint_table(plan, vector), class_calibration(plan))
    probability = np.array(reference.calibration)
    matrix = np.zeros((len(space.classes), len(space.classes)))
    if space.kind == "multiclass":
        bins = vector[cells.confidence]
        right = float(bins @ probability)
        matrix[0, 0], matrix[0, 1] = right, float(bins.sum()) - right
        return matrix
    said = vector[cells.score_class].reshape(-1, len(space.classes) + 1)
    positive = space.classes.index(space.positive)
    for at in (positive, 1 - positive):
        matrix[positive, at] = float(said[:, at] @ probability)
        matrix[1 - positive, at] = float(said[:, at] @ (1 - probability))
    return matrix


def joint_table(plan: ModelPlan, vector: IntVector) -> IntVector:
    """(classes, confidence bins) rows; predictions of other classes left out."""
    classes = len(plan.layout.prediction.classes)
    table: IntVector = vector[plan.layout.outputs.confidence_class].reshape(-1, classes + 1)[:, :classes].T
    return table


def class_calibration(plan: ModelPlan) -> ClassCalibration:
    """Of a baseline that has one."""
    reference = plan.reference
    if reference is None:
        raise ValueError("no baseline")
    table = joint_table(plan, reference.vector)
    behind = table / max(1, int(table.sum())) * reference.calibration_rows
    return ClassCalibration.of(reference.class_calibration, behind, reference.confusion)


def _behind(bins: IntVector, rows: int) -> FloatVector:
    """(bins,) labelled rows behind each probability: they are a random half of the reference."""
    behind: FloatVector = bins / max(1, int(bins.sum())) * rows
    return behind
