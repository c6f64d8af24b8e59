"""The figures of labels by their weights, beside those that count every label once.

Alarms count every label once: a weight says how much an answer matters, not how much evidence it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from mlmon_sidecar.hub.label_state import LabelState
from mlmon_sidecar.hub.label_views import error_figures, score_figures
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.hub.view import ErrorView, ScoreView, WeightedView
from mlmon_sidecar.outcomes.metric import Watched, counts_of
from mlmon_sidecar.outcomes.ratings import ratings_of
from mlmon_sidecar.records import LABEL_UNIT, OutcomeCell, WeightedCell
from mlmon_sidecar.statistics.error_bins import bin_in
from mlmon_sidecar.store import Store


def weighted_view(
    store: Store, plan: ModelPlan, metric: Watched | None, state: LabelState, days: tuple[int, int]
) -> WeightedView | None:
    """Of predictions from the first to the last of ``days``; None where every label weighs 1."""
    cells = store.weighted_cells(plan.name, *days)
    weight = sum(cell.weight for cell in cells)
    squares = sum(cell.squares for cell in cells)
    if weight <= 0 or squares <= 0:
        return None
    effective = (weight / LABEL_UNIT) ** 2 / squares
    value, interval = None, None
    if metric is not None:
        counts = counts_of(metric, in_units(cells))
        value = metric.of_counts(counts)
        interval = metric.interval_of([count * effective / weight for count in counts])
    said = ratings_of(_answers(cells, everything=metric is None and plan.predicts != "regression"))
    return {
        "realised": value,
        "low": None if interval is None else interval[0],
        "high": None if interval is None else interval[1],
        "mature": _mature(store, plan, metric, state),
        "effective": effective,
        "scores": _scores(store, plan, days, effective / weight),
        "errors": _errors(store, plan, days, effective / weight),
        "up_rate": said.up_rate,
        "mean": said.mean,
    }


def in_units(cells: Sequence[WeightedCell]) -> list[OutcomeCell]:
    """Counts in units of 1 / LABEL_UNIT: every metric is a share of counts, whatever their unit."""
    return [OutcomeCell(cell.version, cell.day, cell.age, cell.predicted, cell.actual, cell.weight) for cell in cells]


def _mature(store: Store, plan: ModelPlan, metric: Watched | None, state: LabelState) -> float | None:
    days = {cell.day for cell in state.shown()}
    if metric is None or not days:
        return None
    cells = store.weighted_cells(plan.name, min(days), max(days)) or ()
    kept = [cell for cell in cells if cell.day in days and cell.age < plan.horizon_days]
    return metric.of_counts(counts_of(metric, in_units(kept)))


def _scores(store: Store, plan: ModelPlan, days: tuple[int, int], share: float) -> ScoreView | None:
    positive = plan.positive or plan.layout.prediction.positive
    if not positive or plan.predicts == "multiclass" or plan.generates:
        return None
    labelled = store.weighted_scores(plan.name, positive, *days)
    if labelled.rows <= 0:
        return None
    return score_figures(labelled, max(1, round(labelled.rows * share)), labelled.rows / LABEL_UNIT)


def _errors(store: Store, plan: ModelPlan, days: tuple[int, int], share: float) -> ErrorView | None:
    labelled = store.weighted_errors(plan.name, *days)
    return None if labelled is None else error_figures(labelled, labelled.sums[0] * share)


def _answers(cells: Sequence[WeightedCell], *, everything: bool) -> dict[str, int]:
    """Weights of labels of answers without a class, or of all answers, by what they say."""
    weights: dict[str, int] = {}
    for cell in cells:
        if (everything or not cell.predicted) and cell.actual and bin_in(cell.actual) is None:
            weights[cell.actual] = weights.get(cell.actual, 0) + cell.weight
    return {said: weight for said, weight in weights.items() if weight > 0}
