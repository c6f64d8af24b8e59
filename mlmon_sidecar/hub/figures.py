"""Model-level figures under their catalogue names. They come from the hub only, or they would count once a process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlmon_sidecar.hub import curves
from mlmon_sidecar.hub.bins import bin_figures
from mlmon_sidecar.hub.evaluator import ModelEvaluator
from mlmon_sidecar.hub.model_view import feature_views
from mlmon_sidecar.hub.outcome_view import headline
from mlmon_sidecar.hub.view import FeatureView
from mlmon_sidecar.records import MINUTE_NS, Measurement, Window
from mlmon_sidecar.statistics.layout import NumericCells
from mlmon_sidecar.statistics.quantiles import mean_and_deviation
from mlmon_sidecar.statistics.reference import Reference
from mlmon_sidecar.store import Store

Attributes = tuple[tuple[str, str], ...]

WINDOW = ("mlmon.window", "24h")
MAX_FEATURES = 50  # of a model that have series of their own: seven each
OTHER_FEATURES = "_other"  # the greatest of all others


def model_figures(evaluator: ModelEvaluator, store: Store, now_ns: int, *, bins: bool = False) -> Iterator[Measurement]:
    """All of one model over the newest 24 hours. What has no value has no point."""
    plan, window = evaluator.plan, evaluator.day()
    reference = plan.reference
    model = ("mlmon.model.name", plan.name)
    who: Attributes = (model,) if reference is None else (model, ("mlmon.model.version", reference.version))
    yield Measurement("mlmon.window.samples", int(window.vector[plan.layout.traffic.rows]), (*who, WINDOW))
    yield from _alerts(evaluator, model)
    if reference is not None:
        yield from _features(evaluator, window, who)
        yield from _predictions(evaluator, window, who)
    yield from _outcomes(evaluator, store, window, who, now_ns)
    if evaluator.watermark >= 0:
        age = now_ns - (evaluator.watermark + 1) * MINUTE_NS
        yield Measurement("mlmon.self.aggregate.age", max(0.0, age / 1e9), (model,))
    built = plan.baseline_age_seconds(now_ns)
    if built is not None:
        yield Measurement("mlmon.self.baseline.age", built, who)
    if bins and reference is not None:
        yield from bin_figures(plan.layout, reference.vector, window, who)


def _features(evaluator: ModelEvaluator, window: Window, who: Attributes) -> Iterator[Measurement]:
    views = feature_views(evaluator, window)
    told, rest = _told_apart(views, evaluator.plan.reference)
    for view in told:
        feature = (*who, ("mlmon.feature.name", view["name"]))
        windowed = (*feature, WINDOW)
        for name, value, attributes in (
            ("mlmon.feature.drift.score", view["drift"], (*windowed, ("mlmon.drift.method", view["method"]))),
            ("mlmon.feature.drift.evidence", view["evidence"], feature),
            ("mlmon.feature.missing.ratio", view["missing"], windowed),
            ("mlmon.feature.out_of_range.ratio", view["out_of_range"], windowed),
            ("mlmon.feature.unseen_category.ratio", view["unseen"], windowed),
        ):
            if value is not None:
                yield Measurement(name, value, attributes)
        yield from _moments(evaluator, window, view["name"], windowed)
    yield from _greatest(rest, who)
    if views:
        drifted = sum(view["held"] for view in views)
        yield Measurement("mlmon.drift.features.drifted.ratio", drifted / len(views), (*who, WINDOW))


def _told_apart(
    views: Sequence[FeatureView], reference: Reference | None
) -> tuple[Sequence[FeatureView], Sequence[FeatureView]]:
    """(features with series of their own, the others): those an alarm has named, then by importance, then in the
    baseline's order. Few series begin and end that way."""
    if len(views) <= MAX_FEATURES:
        return views, ()
    weight = {} if reference is None else reference.weight
    ranked = sorted(views, key=lambda view: (not view["held"], -weight.get(view["name"], 0.0)))
    return ranked[:MAX_FEATURES], ranked[MAX_FEATURES:]


def _greatest(rest: Sequence[FeatureView], who: Attributes) -> Iterator[Measurement]:
    """The most that any of the other features shows."""
    feature = (*who, ("mlmon.feature.name", OTHER_FEATURES))
    evidence = max((view["evidence"] for view in rest if view["evidence"] is not None), default=None)
    if evidence is not None:
        yield Measurement("mlmon.feature.drift.evidence", evidence, feature)
    scores: dict[str, float] = {}
    for view in rest:
        if view["drift"] is not None:
            scores[view["method"]] = max(view["drift"], scores.get(view["method"], 0.0))
    for method, score in scores.items():
        yield Measurement("mlmon.feature.drift.score", score, (*feature, WINDOW, ("mlmon.drift.method", method)))


def _moments(evaluator: ModelEvaluator, window: Window, name: str, attributes: Attributes) -> Iterator[Measurement]:
    layout = evaluator.plan.layout
    cells, feature = layout.cells[name], layout.feature(name)
    if not isinstance(cells, NumericCells) or feature.kind != "numeric":
        return
    found = mean_and_deviation(feature, cells, window.vector)  # type: ignore[arg-type]  # Numeric by its kind.
    if found is not None:
        yield Measurement("mlmon.feature.mean", found[0], attributes)
        yield Measurement("mlmon.feature.stddev", found[1], attributes)


def _predictions(evaluator: ModelEvaluator, window: Window, who: Attributes) -> Iterator[Measurement]:
    plan, windowed = evaluator.plan, (*who, WINDOW)
    distance = curves.prediction_distance(plan, window.vector)
    if distance is not None:
        method = "ks" if plan.layout.prediction.score_edges else "total_variation"
        yield Measurement("mlmon.prediction.drift.score", distance, (*windowed, ("mlmon.drift.method", method)))
    confidence = curves.confidence_mean(plan.layout, window.vector)
    if confidence is not None:
        yield Measurement("mlmon.prediction.confidence.mean", min(1.0, confidence), windowed)
    ratios = curves.class_ratios(plan.layout, window.vector)
    if ratios:
        yield Measurement("mlmon.prediction.dominant.ratio", max(ratios.values()), windowed)
    for name, count in evaluator.class_totals().items():
        yield Measurement("mlmon.prediction.class", count, (*who, ("mlmon.class", name)))


def _outcomes(
    evaluator: ModelEvaluator, store: Store, window: Window, who: Attributes, now_ns: int
) -> Iterator[Measurement]:
    said = headline(evaluator, store, window, now_ns)
    metric = ("mlmon.metric.name", said.metric)
    for value, window_name, estimated in ((said.realised, "7d", "false"), (said.estimated, "24h", "true")):
        if value is not None:
            attributes = (*who, ("mlmon.window", window_name), metric, ("mlmon.estimated", estimated))
            yield Measurement("mlmon.outcome.score", value, attributes)
    if said.coverage is not None:
        yield Measurement("mlmon.outcome.coverage.ratio", said.coverage, (*who, ("mlmon.window", "7d")))
    for status, count in store.label_counts(evaluator.plan.name).items():
        if status != "waiting":  # it falls when they are joined, and a counter never falls
            attributes = (("mlmon.model.name", evaluator.plan.name), ("mlmon.label.status", status))
            yield Measurement("mlmon.outcome.labels", count, attributes)


def _alerts(evaluator: ModelEvaluator, model: tuple[str, str]) -> Iterator[Measurement]:
    """0 well, 1 a P3, 2 a P2, 3 a P1: larger is worse, so that ``max`` over anything means something."""
    worst = dict.fromkeys(evaluator.checks, 0)
    for incident in evaluator.open_incidents:
        if incident.rule in worst:  # the store may hold incidents of a check that is no more
            worst[incident.rule] = max(worst[incident.rule], 4 - int(incident.tier))
    for rule, value in worst.items():
        layer = evaluator.checks[rule].layer.value
        yield Measurement("mlmon.alert.state", value, (model, ("mlmon.alert.rule", rule), ("mlmon.alert.layer", layer)))
