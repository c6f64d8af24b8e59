"""The model's answers are distributed differently from the reference's: score or classes. P2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlmon_sidecar.checks.context import CheckContext, closed_names, smallest_seen
from mlmon_sidecar.checks.wording import movement, percent, together
from mlmon_sidecar.records import Finding, Layer, Tier
from mlmon_sidecar.statistics.distances import kolmogorov_smirnov, total_variation
from mlmon_sidecar.statistics.figures import ordered_effect, unordered_effect
from mlmon_sidecar.statistics.indicators import PREDICTIONS
from mlmon_sidecar.statistics.layout import FIXED_POINT_UNIT, Layout

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector

OTHER_CLASS = "(other)"


class PredictionDrift:
    """Units are "score" and "class"; a finding names those that crossed."""

    name = "prediction_drift"
    layer = Layer.PREDICTION

    def ready(self, context: CheckContext) -> str:
        return context.distributions_unready()

    def evaluate(self, context: CheckContext) -> list[Finding]:
        if self.ready(context) or context.step is None:
            return []
        findings = []
        for alarm in context.step.alarms:
            if alarm.stream != PREDICTIONS:
                continue
            told = {name: self._told(context, name) for name in alarm.units}
            for onset, (name, details) in zip(alarm.onset, told.items(), strict=True):
                details |= {"onset_minute": onset, **smallest_seen(context, PREDICTIONS, name)}
            distances = [float(details["distance"]) for details in told.values() if details.get("distance") is not None]
            findings.append(
                Finding(
                    rule=self.name,
                    layer=self.layer,
                    tier=Tier.P2,
                    minute=context.minute,
                    summary=together([details.pop("clause") for details in told.values()]),
                    evidence=max(alarm.evidence),
                    features=alarm.units,
                    value=max(distances, default=None),
                    rows=max(int(details["rows"]) for details in told.values()),
                    details={"predictions": told},
                )
            )
        return findings

    def resolved(self, context: CheckContext) -> tuple[str, ...]:
        """Units back within their tolerance."""
        return closed_names(context.step, PREDICTIONS)

    @staticmethod
    def _told(context: CheckContext, name: str) -> dict[str, Any]:
        window = context.window(context.layout.outputs.rows)
        if context.reference is None or window is None:
            return {"clause": f"the {name} of predictions changed", "rows": 0}
        before, after = context.reference.vector, window.vector
        of = score_difference if name == "score" else class_difference
        return of(context.layout, before, after)


def score_bins(layout: Layout, vector: IntVector) -> IntVector:
    """(score edges + 1,) rows per score bin, over all classes."""
    bins: IntVector = vector[layout.outputs.score_class].reshape(-1, len(layout.prediction.classes) + 1).sum(axis=1)
    return bins


def mean_score(layout: Layout, vector: IntVector) -> float | None:
    """None without scores."""
    outputs, space = layout.outputs, layout.prediction
    rows = int(vector[outputs.score_rows])
    if rows == 0:
        return None
    return space.score_center + int(vector[outputs.score_moments]) / rows * space.score_scale / FIXED_POINT_UNIT


def score_difference(layout: Layout, before: IntVector, after: IntVector) -> dict[str, Any]:
    """One clause, and the figures of both (layout.size,) counts."""
    bins = score_bins(layout, before), score_bins(layout, after)
    means = mean_score(layout, before), mean_score(layout, after)
    distance, effect = kolmogorov_smirnov(*bins), ordered_effect(*bins)
    clause = "score changed"
    if means[0] is not None and means[1] is not None and distance is not None:
        clause = f"score {movement('mean', means[0], means[1])} (KS {distance:.2f})"
    return {
        "clause": clause, "method": "ks", "distance": distance, "effect": effect,
        "reference_mean": means[0], "current_mean": means[1], "rows": int(bins[1].sum()),
    }  # fmt: skip


def class_difference(layout: Layout, before: IntVector, after: IntVector) -> dict[str, Any]:
    """As ``score_difference``."""
    old, new = before[layout.outputs.classes], after[layout.outputs.classes]
    names, rows = (*layout.prediction.classes, OTHER_CLASS), int(new.sum())
    distance, top = total_variation(old, new), unordered_effect(old, new)
    clause, shares = "predicted classes changed", []
    if top is not None and distance is not None:
        shares = [(int(a) / int(old.sum()), int(b) / rows) for a, b in zip(old, new, strict=True)]
        was, now = shares[top[0]]
        clause = f"class {names[top[0]]!r} went from {percent(was)} to {percent(now)} (TV {distance:.2f})"
    return {
        "clause": clause, "method": "total_variation", "distance": distance, "effect": top[1] if top else None,
        "shares": dict(zip(names, shares, strict=False)), "rows": rows,
    }  # fmt: skip
