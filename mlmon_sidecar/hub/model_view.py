"""One model as the page and the status API show it. Every figure that is not there has its reason beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import UTC, datetime
from typing import Any, Literal

from mlmon_sidecar.alerts.incidents import WAITING
from mlmon_sidecar.hub import curves
from mlmon_sidecar.hub.evaluator import ModelEvaluator
from mlmon_sidecar.hub.outcome_view import outcome_view
from mlmon_sidecar.hub.segment_view import segment_views
from mlmon_sidecar.hub.view import (
    BaselineView,
    ClassView,
    EmbeddingView,
    FeatureView,
    IncidentView,
    ModelView,
    PredictionView,
    PullView,
    TextbookView,
    VersionView,
    WindowView,
)
from mlmon_sidecar.records import Incident, Tier, Window
from mlmon_sidecar.statistics.embedding_figures import embedding_figures
from mlmon_sidecar.statistics.indicators import EMBEDDINGS, FEATURES, NULLS
from mlmon_sidecar.statistics.layout import CategoricalCells, Feature, NumericCells
from mlmon_sidecar.store import Store

WARM_ROWS = 1_000  # rows in the day before its figures say much


def model_view(
    evaluator: ModelEvaluator,
    store: Store,
    now_ns: int,
    trouble: str = "",
    learning: str | None = None,
    pull: PullView | None = None,
) -> ModelView:
    """``trouble``: why its minutes are not sealed at present; "" when they are. ``learning``: how far a model without a
    baseline has come to one; None: this hub learns none."""
    plan, window, seen = evaluator.plan, evaluator.day(), versions(evaluator, store)
    open_now = evaluator.open_incidents
    return {
        "name": plan.name,
        "versions": seen,
        "layout": plan.layout.hash,
        "state": state(open_now),
        "sentence": sentence(plan.name, evaluator, open_now),
        "watermark_minute": evaluator.watermark if evaluator.watermark >= 0 else None,
        "window": window_view(evaluator, window),
        "baseline": baseline_view(evaluator, now_ns),
        "reason": trouble or reason(evaluator, window, seen, learning),
        "features": feature_views(evaluator, window),
        "segments": segment_views(evaluator, window),
        "embeddings": embedding_views(evaluator, window),
        "prediction": prediction_view(evaluator, window),
        "outcome": outcome_view(evaluator, store, window, now_ns),
        "pull": pull,
        "textbook": textbook_views(evaluator),
    }


def textbook_views(evaluator: ModelEvaluator) -> list[TextbookView]:
    return [
        {"rule": rule, "name": name, "value": figure.value, "threshold": figure.threshold, "fires": figure.fires}
        for rule, figures in evaluator.textbook().items()
        for name, figure in figures.items()
    ]


def state(open_now: Sequence[Incident]) -> Literal[0, 1, 2, 3]:
    """The most urgent open tier; 0: none."""
    return min((_tier(incident) for incident in open_now), default=0)


def sentence(name: str, evaluator: ModelEvaluator, open_now: Sequence[Incident]) -> str:
    if not open_now:
        return f"{name}: no open incident" if evaluator.watermark >= 0 else f"{name}: waiting for the first predictions"
    worst = min(open_now, key=lambda incident: (incident.tier, incident.opened_minute))
    count = sum(1 for incident in open_now if incident.tier == worst.tier)
    return f"{name}: {count} P{int(worst.tier)} open: {worst.summary}"


def reason(
    evaluator: ModelEvaluator, window: Window, seen_versions: Sequence[VersionView], learning: str | None = None
) -> str:
    """Why this model's figures are not all there yet; "" when they are."""
    plan = evaluator.plan
    if plan.problem:
        return plan.problem
    seen = sum(version["rows"] for version in seen_versions if not version["shadow"])
    if plan.baseline is None and plan.learning is not None and learning is not None:
        return f"learning {seen}/{plan.learning.min_rows}" if seen < plan.learning.min_rows else learning
    if plan.baseline is None:
        return "no baseline: `mlmon baseline build` makes one of data, `mlmon baseline learn` of what was served"
    rows = int(window.vector[plan.layout.traffic.rows])
    if rows >= WARM_ROWS:
        return ""
    return f"warming up {rows}/{WARM_ROWS}" if seen < WARM_ROWS else "few rows: figures vary by chance"


def versions(evaluator: ModelEvaluator, store: Store) -> list[VersionView]:
    """Those with kept rows, newest first, then shadows with the rows of a week."""
    plan, compared = evaluator.plan, evaluator.compared_versions
    kept = [found for found in store.versions(plan.name) if found[0] not in plan.shadow]
    shadows = [(version, *evaluator.version_rows(version)) for version in plan.shadow]
    return [
        {
            "version": version,
            "rows": rows,
            "last_minute": minute,
            "compared_with": compared.get(version, ""),
            "shadow": version in plan.shadow,
        }
        for version, rows, minute in (*kept, *((name, rows, minute) for name, rows, minute in shadows if rows))
    ]


def window_view(evaluator: ModelEvaluator, window: Window) -> WindowView:
    layout, vector = evaluator.plan.layout, window.vector
    cells = layout.traffic
    requests = int(vector[cells.requests])
    errors = int(vector[cells.client_error] + vector[cells.server_error] + vector[cells.aborted])
    return {
        "hours": (window.end_minute - window.start_minute) / 60,
        "requests": requests,
        "rows": int(vector[cells.rows]),
        "errors": errors,
        "error_ratio": errors / requests if requests else None,
        "p50_ms": _ms(curves.latency(layout, vector, 0.50)),
        "p95_ms": _ms(curves.latency(layout, vector, 0.95)),
    }


def baseline_view(evaluator: ModelEvaluator, now_ns: int) -> BaselineView | None:
    baseline = evaluator.plan.baseline
    if baseline is None:
        return None
    return {
        "version": baseline.reference.version,
        "rows": baseline.rows,
        "age_days": round((evaluator.plan.baseline_age_seconds(now_ns) or 0.0) / 86_400, 2),
    }


def feature_views(evaluator: ModelEvaluator, window: Window) -> list[FeatureView]:
    scores = curves.drift_scores(evaluator.plan, window.vector)
    evidence, held = evaluator.evidence(), evaluator.held
    return [
        _feature_view(feature, evaluator, window, scores, evidence, held) for feature in evaluator.plan.layout.features
    ]


def _feature_view(
    feature: Feature,
    evaluator: ModelEvaluator,
    window: Window,
    scores: Mapping[str, float],
    evidence: Mapping[tuple[str, str], float],
    held: Set[tuple[str, str]],
) -> FeatureView:
    layout, vector = evaluator.plan.layout, window.vector
    cells = layout.cells[feature.name]
    rows, decoded = int(vector[cells.bins].sum()), int(vector[layout.traffic.rows])
    numeric = isinstance(cells, NumericCells)
    outside = int(vector[cells.below] + vector[cells.above]) if isinstance(cells, NumericCells) else 0
    unseen = int(vector[cells.bins][-1]) if isinstance(cells, CategoricalCells) else 0
    return {
        "name": feature.name,
        "kind": feature.kind,
        "drift": scores.get(feature.name),
        "method": "ks" if numeric else "total_variation",
        "evidence": evidence.get((FEATURES, feature.name)),
        "missing": int(vector[cells.null] + vector[cells.invalid]) / decoded if decoded else None,
        "out_of_range": outside / rows if rows and numeric else None,
        "unseen": unseen / rows if rows and not numeric else None,
        "rows": rows,
        "held": (FEATURES, feature.name) in held,
        "missing_held": (NULLS, feature.name) in held,
        "reason": "" if rows else ("all values are missing" if decoded else "no rows in the last 24 hours"),
    }


def embedding_views(evaluator: ModelEvaluator, window: Window) -> list[EmbeddingView]:
    reference = evaluator.plan.reference
    if reference is None:
        return []
    evidence, held = evaluator.evidence(), evaluator.held
    views: list[EmbeddingView] = []
    for name, cells in evaluator.plan.layout.embedding_cells.items():
        found = embedding_figures(cells, reference.vector, window.vector)
        views.append(
            {
                "name": name,
                "rows": found.rows,
                "cluster_tv": found.cluster_tv,
                "distance_ks": found.distance_ks,
                "centroid_cosine": found.centroid_cosine,
                "mmd": found.mmd,
                "evidence": evidence.get((EMBEDDINGS, name)),
                "held": (EMBEDDINGS, name) in held,
                "reason": "" if found.rows else "no vectors in the last 24 hours",
            }
        )
    return views


def prediction_view(evaluator: ModelEvaluator, window: Window) -> PredictionView:
    plan, vector = evaluator.plan, window.vector
    reference = plan.reference
    now = curves.class_ratios(plan.layout, vector)
    before = {} if reference is None else curves.class_ratios(plan.layout, reference.vector)
    evidence = [value for (stream, _), value in evaluator.evidence().items() if stream == "predictions"]
    classes: list[ClassView] = [
        {"name": name, "ratio": now.get(name), "reference_ratio": before.get(name)}
        for name in plan.layout.prediction.classes
    ]
    return {
        "kind": plan.layout.prediction.kind,
        "mean_score": curves.score_mean(plan.layout, vector),
        "classes": classes,
        "confidence_mean": curves.confidence_mean(plan.layout, vector),
        "drift": curves.prediction_distance(plan, vector),
        "evidence": max(evidence, default=None),
        "reason": "" if reference is not None else "no baseline",
    }


def incident_view(incident: Incident) -> IncidentView:
    resolved = incident.resolved_minute
    return {
        "key": incident.key,
        "model": incident.model,
        "rule": incident.rule,
        "layer": incident.layer.value,
        "tier": _tier(incident),
        "opened_ms": incident.opened_minute * 60_000,
        "resolved_ms": None if resolved is None else resolved * 60_000,
        "summary": incident.summary,
        "evidence": incident.evidence,
        "features": list(incident.features),
        "details": readable(incident.details),
        "provisional": incident.provisional,
    }


def readable(details: Mapping[str, Any]) -> dict[str, Any]:
    """Unix minutes as UTC times, and without what only the life of the incident needs."""
    return {key.removesuffix("_minute"): _told(key, value) for key, value in details.items() if key != WAITING}


def _told(key: str, value: Any) -> Any:
    if key.endswith("_minute") and isinstance(value, int):
        return datetime.fromtimestamp(value * 60, UTC).strftime("%Y-%m-%dT%H:%MZ") if value >= 0 else None
    return readable(value) if isinstance(value, Mapping) else value


def _tier(incident: Incident) -> Literal[1, 2, 3]:
    return {Tier.P1: 1, Tier.P2: 2, Tier.P3: 3}[incident.tier]  # type: ignore[return-value]  # Literals, told apart.


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
