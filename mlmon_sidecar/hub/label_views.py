"""Figures of labels beside the one that is watched: of scores, of errors, of ratings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.hub.view import ErrorView, RatingView, ScoreView
from mlmon_sidecar.outcomes.ranking import ScoreCell, auc_interval, mean_loss, ranked
from mlmon_sidecar.outcomes.ratings import ratings_of
from mlmon_sidecar.outcomes.regression import ErrorSums, errors_of
from mlmon_sidecar.records import LabelErrors, LabelScores, OutcomeCell, Part
from mlmon_sidecar.statistics.error_bins import bin_in
from mlmon_sidecar.statistics.error_scale import Scale
from mlmon_sidecar.store import Store

Nothing = tuple[None, None]


def score_view(
    store: Store, plan: ModelPlan, first_day: int, last_day: int, part: Part | None = None
) -> ScoreView | None:
    """None for a model without a positive class or without labelled scores; of several classes, the score is that of
    the class that was answered and ranks no class alone."""
    positive = plan.positive or plan.layout.prediction.positive
    if not positive or plan.predicts == "multiclass" or plan.generates:
        return None
    labelled = store.label_scores(plan.name, positive, first_day, last_day, part)
    return None if labelled.rows <= 0 else score_figures(labelled, labelled.rows, labelled.rows)


def answer_view(
    store: Store, plan: ModelPlan, first_day: int, last_day: int, part: Part | None = None
) -> ScoreView | None:
    """How well a model of several classes knows when it is right; None for others and without labelled scores."""
    if plan.predicts != "multiclass" or plan.generates:
        return None
    labelled = store.answer_scores(plan.name, first_day, last_day, part)
    return None if labelled.rows <= 0 else score_figures(labelled, labelled.rows, labelled.rows)


def score_figures(labelled: LabelScores, rows: int, weight: float) -> ScoreView:
    """Of ``labelled.rows`` > 0, which may be in any unit: ``rows`` make the interval, ``weight`` the mean losses."""
    found = ranked([ScoreCell(*cell) for cell in labelled.cells])
    if found.auc_error is not None:
        found = replace(found, auc_error=found.auc_error * math.sqrt(labelled.rows / rows))
    low, high = auc_interval(found) or (None, None)
    return {
        "rows": rows,
        "auc": found.auc,
        "auc_low": low,
        "auc_high": high,
        "average_precision": found.average_precision,
        "log_loss": mean_loss(labelled.log_loss, weight),
        "brier": mean_loss(labelled.squared, weight),
        "calibration_error": found.calibration_error,
    }


def error_view(
    store: Store, plan: ModelPlan, first_day: int, last_day: int, part: Part | None = None
) -> ErrorView | None:
    """None without labels that are the number a prediction spoke of."""
    labelled = store.label_errors(plan.name, first_day, last_day, part)
    return None if labelled is None else error_figures(labelled, labelled.sums[0])


def error_figures(labelled: LabelErrors, rows: float) -> ErrorView | None:
    """Of sums by weight in any unit; intervals rest on ``rows``. None where nothing is summed."""
    found = errors_of(ErrorSums(*labelled.sums), Scale(labelled.center, labelled.unit), rows)
    if found is None:
        return None
    return {
        "rows": round(found.rows),
        "mae": found.mae,
        "mae_low": found.mae_interval[0],
        "mae_high": found.mae_interval[1],
        "rmse": found.rmse,
        "bias": found.bias,
        "bias_low": found.bias_interval[0],
        "bias_high": found.bias_interval[1],
        "mape": found.mape,
        "r2": found.r2,
    }


def rating_view(cells: Sequence[OutcomeCell]) -> RatingView | None:
    """Of labels of answers without a class; None where there is neither thumb nor score among them."""
    labels: dict[str, int] = {}
    for cell in cells:
        if not cell.predicted and cell.actual and bin_in(cell.actual) is None:
            labels[cell.actual] = labels.get(cell.actual, 0) + cell.rows
    found = ratings_of({text: rows for text, rows in labels.items() if rows > 0})
    if not found.up + found.down + found.scores:
        return None
    nothing: Nothing = (None, None)
    up_low, up_high = found.up_interval or nothing
    mean_low, mean_high = found.mean_interval or nothing
    return {
        "up": found.up,
        "down": found.down,
        "up_rate": found.up_rate,
        "up_low": up_low,
        "up_high": up_high,
        "scores": found.scores,
        "mean": found.mean,
        "mean_low": mean_low,
        "mean_high": mean_high,
        "other": found.other,
    }
