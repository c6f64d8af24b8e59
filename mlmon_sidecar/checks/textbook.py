"""The rules everybody knows, each by its name: always reported as figures, alarms only where configuration asks.

They are asked every minute without a budget of false alarms: a p-value below 0.05 comes up in most hours of a healthy
month somewhere among fifty features. Each looks at the shortest recent window of whole hours with at least 50 rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mlmon_sidecar.checks.collapse import MORE_THAN_ROWS, is_identical
from mlmon_sidecar.checks.confidence_drop import mean_confidence
from mlmon_sidecar.checks.context import CheckContext
from mlmon_sidecar.checks.prediction_drift import mean_score
from mlmon_sidecar.checks.wording import number, together
from mlmon_sidecar.records import Finding, Layer, Tier
from mlmon_sidecar.statistics.embedding_figures import embedding_figures
from mlmon_sidecar.statistics.figures import feature_figures
from mlmon_sidecar.statistics.layout import FIXED_POINT_UNIT
from mlmon_sidecar.statistics.quantiles import mean_and_deviation
from mlmon_sidecar.statistics.textbook import ks_p_value, low_mean_confidence

if TYPE_CHECKING:
    from mlmon_sidecar.records import Window
    from mlmon_sidecar.statistics.reference import Reference

SIGNIFICANT = 0.05
DEVIATIONS = 2.0
DOUBLED = 2.0
ALIGNED = 0.9
SCORE, CONFIDENCE, PREDICTION = "score", "confidence", "prediction"


class Figure(NamedTuple):
    """What a rule looks at, and the line it draws."""

    value: float
    threshold: float
    fires: bool


Figures = Mapping[str, Figure]
"""By feature, or "score", "confidence", "prediction"."""

Rule = Callable[[CheckContext, "Reference", "Window"], Figures]


def ks_p_values(context: CheckContext, reference: Reference, window: Window) -> Figures:
    """p of the two-sample test per numeric feature, below 0.05."""
    found = {}
    for feature, cells in context.layout.numeric():
        p = ks_p_value(reference.vector[cells.bins], window.vector[cells.bins])
        if p is not None:
            found[feature.name] = Figure(p, SIGNIFICANT, p < SIGNIFICANT)
    return found


def mean_shifts(context: CheckContext, reference: Reference, window: Window) -> Figures:
    """Distance of the mean from the reference's, in the reference's standard deviations, above 2."""
    found = {}
    for feature, cells in context.layout.numeric():
        before = mean_and_deviation(feature, cells, reference.vector)
        after = mean_and_deviation(feature, cells, window.vector)
        if before is not None and after is not None and before[1] > 0:
            shift = (after[0] - before[0]) / before[1]
            found[feature.name] = Figure(shift, DEVIATIONS, abs(shift) > DEVIATIONS)
    return found


def null_rates(context: CheckContext, reference: Reference, window: Window) -> Figures:
    """Share of missing or unusable values, above twice the reference's."""
    found = {}
    for name in context.layout.cells:
        old = feature_figures(context.layout, name, reference.vector, reference.vector).missing
        new = feature_figures(context.layout, name, reference.vector, window.vector).missing
        if old is not None and new is not None:
            found[name] = Figure(new, DOUBLED * old, new > DOUBLED * old)
    return found


def prediction_mean_shift(context: CheckContext, reference: Reference, window: Window) -> Figures:
    """Distance of the hour's mean score from the reference's, in standard deviations of its scores, above 2."""
    layout = context.layout
    before, after = mean_score(layout, reference.vector), mean_score(layout, window.vector)
    rows = int(reference.vector[layout.outputs.score_rows])
    if before is None or after is None:
        return {}
    first, second = (int(reference.vector[layout.outputs.score_moments + k]) for k in (0, 1))
    deviation = math.sqrt(second * rows - first * first) / rows * layout.prediction.score_scale / FIXED_POINT_UNIT
    if deviation == 0:
        return {}
    shift = (after - before) / deviation
    return {SCORE: Figure(shift, DEVIATIONS, abs(shift) > DEVIATIONS)}


def confidence_floor(context: CheckContext, reference: Reference, window: Window) -> Figures:
    """Mean confidence below the number configured, or the 1st percentile of means of as many reference rows."""
    outputs = context.layout.outputs
    before, after = mean_confidence(context.layout, reference.vector), mean_confidence(context.layout, window.vector)
    if before is None or after is None:
        return {}
    rows = int(window.vector[outputs.confidence].sum())
    floor = context.confidence_floor
    if floor is None:
        floor = low_mean_confidence(reference.vector[outputs.confidence], before, rows)
    return {CONFIDENCE: Figure(after, floor, after < floor)}


def identical_predictions(context: CheckContext, _reference: Reference, window: Window) -> Figures:
    """Rows of the window where all predictions are one, else 0; above 100."""
    same = is_identical(context.layout, window.vector)
    rows = int(window.vector[context.layout.outputs.rows]) if same else 0
    return {PREDICTION: Figure(float(rows), float(MORE_THAN_ROWS), rows > MORE_THAN_ROWS)}


def centroid_cosines(context: CheckContext, reference: Reference, window: Window) -> Figures:
    """Cosine between the mean vector and the reference's, per text or vector column, below 0.9."""
    found = {}
    for name, cells in context.layout.embedding_cells.items():
        cosine = embedding_figures(cells, reference.vector, window.vector).centroid_cosine
        if cosine is not None:
            found[name] = Figure(cosine, ALIGNED, cosine < ALIGNED)
    return found


@dataclass(slots=True)
class TextbookCheck:
    """One of the rules as a check: true while it fires. P3, for it has no bound on false alarms."""

    name: str
    layer: Layer
    rule: Rule
    says: str  # of one unit: name, value and threshold

    def ready(self, context: CheckContext) -> str:
        return "no baseline" if context.reference is None else ""

    def figures(self, context: CheckContext) -> Figures:
        """Empty before a baseline, and where the rule has nothing to look at."""
        outputs = context.layout.outputs
        window = context.window(context.layout.traffic.rows if self.layer is Layer.DATA else outputs.rows)
        if context.reference is None or window is None or not window.vector[context.layout.traffic.rows]:
            return {}
        return self.rule(context, context.reference, window)

    def evaluate(self, context: CheckContext) -> list[Finding]:
        firing = {unit: figure for unit, figure in self.figures(context).items() if figure.fires}
        if not firing:
            return []
        clauses = [self.says.format(unit, number(f.value), number(f.threshold)) for unit, f in firing.items()]
        first = next(iter(firing.values()))
        return [
            Finding(
                rule=self.name,
                layer=self.layer,
                tier=Tier.P3,
                minute=context.minute,
                summary=together(clauses),
                evidence=1.0,
                features=tuple(firing),
                value=first.value,
                threshold=first.threshold,
                details={"features": {unit: figure._asdict() for unit, figure in firing.items()}},
            )
        ]

    def resolved(self, context: CheckContext) -> tuple[str, ...]:
        """Units for which the rule has something to look at and does not fire."""
        return tuple(unit for unit, figure in self.figures(context).items() if not figure.fires)


TEXTBOOK: Mapping[str, TextbookCheck] = {
    check.name: check
    for check in (
        TextbookCheck("ks_p_value", Layer.DATA, ks_p_values, "{}: KS p-value {} < {}"),
        TextbookCheck("mean_shift_2sd", Layer.DATA, mean_shifts, "{}: mean moved by {} standard deviations (limit {})"),
        TextbookCheck("null_rate_doubled", Layer.DATA, null_rates, "{}: share missing {}, twice the baseline's is {}"),
        TextbookCheck(
            "prediction_mean_shift_2sd", Layer.PREDICTION, prediction_mean_shift,
            "mean {} moved by {} standard deviations (limit {})",
        ),
        TextbookCheck("confidence_floor", Layer.PREDICTION, confidence_floor, "mean {} {} is below {}"),
        TextbookCheck("centroid_cosine", Layer.DATA, centroid_cosines, "{}: centroid cosine {} < {}"),
        TextbookCheck("identical_predictions", Layer.PREDICTION, identical_predictions, "every {} is one over {} rows"),
    )
}  # fmt: skip
