"""Outcomes of one model as the page and the status API show them: estimate, realised figure, coverage and maturity
together. Every figure that is not there has its reason beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mlmon_sidecar.hub.class_view import averages_view, baseline_averages, class_view
from mlmon_sidecar.hub.estimate import ASSUMPTION, estimate, why_not
from mlmon_sidecar.hub.evaluator import MINUTES_OF_DAY, ModelEvaluator
from mlmon_sidecar.hub.generated import as_ratings, finish_reasons_alone, rated
from mlmon_sidecar.hub.label_state import LabelState
from mlmon_sidecar.hub.label_views import answer_view, error_view, rating_view, score_view
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.hub.set_view import set_view
from mlmon_sidecar.hub.view import (
    EstimateCheckView,
    MatureView,
    OutcomeView,
    PartOutcomeView,
)
from mlmon_sidecar.hub.weighted_view import weighted_view
from mlmon_sidecar.outcomes.equal_age import at_ages
from mlmon_sidecar.outcomes.metric import Watched, counts_of
from mlmon_sidecar.outcomes.tolerance import Within
from mlmon_sidecar.records import MINUTE_NS, OutcomeCell, Part, SegmentCell, Window
from mlmon_sidecar.statistics.calibration import Estimate
from mlmon_sidecar.statistics.intervals import Z95
from mlmon_sidecar.store import Store

OUTCOME_DAYS = 7
SEGMENTS_SHOWN = 50
PARTS_DETAILED = 10  # versions, and segments: some milliseconds each of the hub's time


class _Week:
    """The newest week of predictions and its labels, whatever their age; an estimate of the newest day."""

    def __init__(self, evaluator: ModelEvaluator, store: Store, window: Window, now_ns: int) -> None:
        self.newest = (evaluator.watermark if evaluator.watermark >= 0 else now_ns // MINUTE_NS) // MINUTES_OF_DAY
        self.first = self.newest - OUTCOME_DAYS + 1
        plan, self.state = evaluator.plan, evaluator.label_state(store, self.newest)
        self.cells = store.outcome_cells(plan.name, self.first, self.newest)
        self.ratings = rated(plan, self.cells)
        self.metric = None if self.ratings else plan.outcome_metric
        self.name = "accuracy" if self.metric is None else self.metric.name
        self.realised = _figure(self.metric, self.cells)
        self.estimate, self.note = _estimate(plan, window, self.name, self.state)
        self.predictions = store.predictions_per_day(plan.name, self.first, self.newest)
        self.labelled = sum(cell.rows for cell in self.cells)
        predicted = sum(self.predictions.values())
        self.coverage = min(1.0, self.labelled / predicted) if predicted else None


class Headline(NamedTuple):
    """What alerts and dashboards need of ``outcome_view``, for a part of its cost."""

    metric: str
    realised: float | None
    estimated: float | None
    coverage: float | None


def headline(evaluator: ModelEvaluator, store: Store, window: Window, now_ns: int) -> Headline:
    week = _Week(evaluator, store, window, now_ns)
    return Headline(week.name, week.realised[0], None if week.estimate is None else week.estimate.value, week.coverage)


def outcome_view(evaluator: ModelEvaluator, store: Store, window: Window, now_ns: int) -> OutcomeView:
    """Realised over the newest week of predictions that have labels, whatever their age; estimated over the day."""
    week = _Week(evaluator, store, window, now_ns)
    plan, state, metric, cells = evaluator.plan, week.state, week.metric, week.cells
    first, newest, ratings, labelled = week.first, week.newest, week.ratings, week.labelled
    single = metric is not None and plan.predicts != "multilabel"
    value, low, high = week.realised
    mature = _mature(metric, state)
    equal_age = None if metric is None or not mature else at_ages(metric, state.mature, _young(cells, newest))
    final = _figure(metric, state.mature)[0]
    found = week.estimate
    parts = _Parts(store, plan, metric, (first, newest))
    by_segment = _by_segment(store.segment_cells(plan.name, first, newest))
    return {
        "metric": week.name,
        "tolerance": metric.tolerance if isinstance(metric, Within) else None,
        "realised": value,
        "low": low,
        "high": high,
        "mature": mature,
        "equal_age": equal_age,
        "bias": None if equal_age is None or final is None else equal_age - final,
        "estimated": None if found is None else found.value,
        "estimated_low": None if found is None else max(0.0, found.value - Z95 * found.error),
        "estimated_high": None if found is None else min(1.0, found.value + Z95 * found.error),
        "estimate_note": week.note,
        "estimate_check": _check(state),
        "baseline": evaluator.baseline_quality,
        "labelled": labelled,
        "coverage": week.coverage,
        "expected_coverage": state.maturity.coverage,
        "maturity": _maturity(state, week.predictions),
        "mature_age_days": state.maturity.mature_age,
        "delay_moved": state.maturity.moved,
        "versions": [
            {"version": name, **view} for name, view in sorted(parts.of("version", _by_version(cells)).items())
        ],
        "segments": [{"segment": name, **view} for name, view in parts.of("segment", by_segment).items()],
        "baseline_averages": baseline_averages(plan.reference) if single else None,
        "classes": class_view(cells) if single else None,
        "scores": score_view(store, plan, first, newest),
        "answers": answer_view(store, plan, first, newest),
        "errors": error_view(store, plan, first, newest),
        "ratings": rating_view(as_ratings(cells) if ratings else cells),
        "sets": set_view(cells) if plan.predicts == "multilabel" else None,
        "weighted": weighted_view(store, plan, metric, state, (first, newest)),
        "reason": "" if ratings and labelled else outcome_reason(plan, cells, labelled, value),
    }


def outcome_reason(plan: ModelPlan, cells: Sequence[OutcomeCell], labelled: int, value: float | None) -> str:
    """Why labels say nothing, or less than one would think; "" when they do."""
    if not labelled:
        return "needs labels: send them to the feedback endpoint"
    metric = plan.outcome_metric
    if metric is None:
        return "no alarm rests on them: how large a regression model's errors may be, a baseline with labels tells"
    if value is None:
        if isinstance(metric, Within):
            return "no label is a number that a prediction spoke of"
        asked = ", ".join(repr(part.positive) for part in metric.parts)
        return f"no label and no prediction of the class {asked} yet"
    known = plan.layout.prediction.classes
    strange = sum(cell.rows for cell in cells if known and cell.actual not in known)
    return (
        f"{strange} of {labelled} labels name a class the model does not have: write them as it does" if strange else ""
    )


def daily_outcomes(
    store: Store, model: str, name: str, first_day: int, last_day: int, metric: Watched | None
) -> list[tuple[int, float]]:
    """(day, value) of ``metric``, "labelled" or "coverage" by the day of the prediction."""
    days: dict[int, list[OutcomeCell]] = {}
    cells = store.outcome_cells(model, first_day, last_day)
    metric = None if finish_reasons_alone(cells) else metric
    for cell in cells:
        days.setdefault(cell.day, []).append(cell)
    predicted = store.predictions_per_day(model, first_day, last_day)
    found = []
    for day in sorted(days):
        labelled = sum(cell.rows for cell in days[day])
        value = _figure(metric, days[day])[0]
        if name == "labelled":
            found.append((day, float(labelled)))
        elif name == "coverage":
            if predicted.get(day):
                found.append((day, min(1.0, labelled / predicted[day])))
        elif value is not None:
            found.append((day, value))
    return found


def _figure(metric: Watched | None, cells: Sequence[OutcomeCell]) -> tuple[float | None, float | None, float | None]:
    """(value, low, high)."""
    if metric is None:
        return None, None, None
    counts = counts_of(metric, cells)
    return (metric.of_counts(counts), *(metric.interval_of(counts) or (None, None)))


def _mature(metric: Watched | None, state: LabelState) -> MatureView | None:
    cells = state.shown()
    value, low, high = _figure(metric, cells)
    if value is None or low is None or high is None:
        return None
    labelled, cohorts = sum(cell.rows for cell in cells), len({cell.day for cell in cells})
    return {"value": value, "low": low, "high": high, "labelled": labelled, "cohorts": cohorts}


def _young(cells: Sequence[OutcomeCell], newest: int) -> dict[int, int]:
    """Oldest age that each of the week's cohorts can have -> its labels."""
    labels: dict[int, int] = {}
    for cell in cells:
        labels[newest - cell.day] = labels.get(newest - cell.day, 0) + cell.rows
    return labels


def _maturity(state: LabelState, predictions: dict[int, int]) -> float | None:
    """Mean over the week's predictions of the share of their labels that is in."""
    total = sum(predictions.values())
    if not total or state.maturity.mature_age is None:
        return None
    return sum(rows * state.maturity.share(day) for day, rows in predictions.items()) / total


def _estimate(plan: ModelPlan, window: Window, name: str, state: LabelState) -> tuple[Estimate | None, str]:
    reason = why_not(plan, name)
    if reason:
        return None, reason
    if state.gap is not None and state.gap.broken:
        side = "above" if state.gap.gap > 0 else "below"
        missed = f"over {state.gap.days} days the estimate was {abs(state.gap.gap):.3f} {side} what labels then said"
        return None, f"{missed}: a score no longer means what it meant on the baseline"
    found = estimate(plan, window.vector, name)
    return found, f"assumes that {ASSUMPTION}; it cannot see concept drift" if found else "no scores in the window"


def _check(state: LabelState) -> EstimateCheckView | None:
    gap = state.gap
    return None if gap is None else {"days": gap.days, "gap": gap.gap, "broken": gap.broken}


def _by_version(cells: Sequence[OutcomeCell]) -> dict[str, list[OutcomeCell]]:
    parts: dict[str, list[OutcomeCell]] = {}
    for cell in cells:
        parts.setdefault(cell.version, []).append(cell)
    return parts


def _by_segment(cells: Sequence[SegmentCell]) -> dict[str, list[OutcomeCell]]:
    parts: dict[str, list[OutcomeCell]] = {}
    for cell in cells:
        own = OutcomeCell("", 0, 0, cell.predicted, cell.actual, cell.rows)
        parts.setdefault(cell.segment, []).append(own)
    return parts


class _Parts:
    """Figures of versions and segments. Figures alone: of many parts some are bad by chance."""

    def __init__(self, store: Store, plan: ModelPlan, metric: Watched | None, days: tuple[int, int]) -> None:
        self._store, self._plan, self._metric, self._days = store, plan, metric, days
        self._single = metric is not None and plan.predicts != "multilabel"

    def of(self, kind: str, parts: Mapping[str, Sequence[OutcomeCell]]) -> dict[str, PartOutcomeView]:
        """Those with the most labels, these first."""
        ranked = sorted(parts, key=lambda name: (-sum(cell.rows for cell in parts[name]), name))
        shown = ranked if kind == "version" else ranked[:SEGMENTS_SHOWN]
        return {name: self._view(kind, name, parts[name], at < PARTS_DETAILED) for at, name in enumerate(shown)}

    def _view(self, kind: str, name: str, cells: Sequence[OutcomeCell], detailed: bool) -> PartOutcomeView:
        value, low, high = _figure(self._metric, cells)
        where = (self._store, self._plan, *self._days, Part(kind, name))
        return {
            "realised": value,
            "low": low,
            "high": high,
            "labelled": sum(cell.rows for cell in cells),
            "averages": averages_view(cells) if detailed and self._single else None,
            "scores": score_view(*where) if detailed else None,
            "answers": answer_view(*where) if detailed else None,
            "errors": error_view(*where) if detailed else None,
        }
