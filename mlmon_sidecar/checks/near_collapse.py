"""Answers have lost most of their variety without being all the same: a model that answers nearly one thing. P2.

Needs both: the detector holds the score or the classes as moved, and a quarter or less is left of the score's
variance or, where there is no score, of the effective number of classes beyond one, ``1 / sum p^2 - 1`` (Hill,
"Diversity and evenness", Ecology 54, 1973). The share of the top answer and the entropy are told beside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mlmon_sidecar.checks.collapse import is_identical
from mlmon_sidecar.checks.context import CheckContext, closed_names, is_held, smallest_seen
from mlmon_sidecar.checks.wording import number, percent, together
from mlmon_sidecar.records import Finding, Layer, Tier
from mlmon_sidecar.statistics.indicators import PREDICTIONS

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector, Window
    from mlmon_sidecar.statistics.layout import Layout

LEFT = 0.25


class NearCollapse:
    """Silent while predictions are becoming identical, and until such a run has left the window: ``collapse``'s."""

    name = "near_collapse"
    layer = Layer.PREDICTION

    def ready(self, context: CheckContext) -> str:
        unready = context.distributions_unready()
        if unready:
            return unready
        return "" if context.newest is not None else "warming up: fewer than 100 predictions"

    def evaluate(self, context: CheckContext) -> list[Finding]:
        window = context.newest
        if self.ready(context) or window is None or context.reference is None or context.step is None:
            return []
        if _is_collapse(context, window):
            return []
        before = variety(context.layout, context.reference.vector)
        if "score" in before:
            before.pop("class", None)  # the score tells more: a class may be rare and its scores as varied as ever
        after = variety(context.layout, window.vector)
        told: dict[str, dict[str, Any]] = {}
        for unit, old in before.items():
            new = after.get(unit)
            if new is None or not old["spread"] or not is_held(context.step, PREDICTIONS, unit):
                continue
            if new["spread"] / old["spread"] < LEFT:
                told[unit] = {"left": new["spread"] / old["spread"], "reference": old, "current": new}
                told[unit] |= smallest_seen(context, PREDICTIONS, unit)
        if not told:
            return []
        return [
            Finding(
                rule=self.name,
                layer=self.layer,
                tier=Tier.P2,
                minute=context.minute,
                summary=together([_clause(unit, details) for unit, details in told.items()]),
                evidence=max(context.step.evidence[(PREDICTIONS, unit)] for unit in told),
                features=tuple(told),
                value=min(details["left"] for details in told.values()),
                threshold=LEFT,
                rows=int(window.vector[context.layout.outputs.rows]),
                details={"predictions": told},
            )
        ]

    def resolved(self, context: CheckContext) -> tuple[str, ...]:
        """Units that are distributed as in the reference again."""
        return closed_names(context.step, PREDICTIONS)


def _is_collapse(context: CheckContext, window: Window) -> bool:
    """Whether the window's lack of variety is that of a run of identical predictions, one that goes on or is over."""
    if is_identical(context.layout, window.vector) or window.start_minute < context.differs_since:
        return True
    run, rows = context.identical, context.layout.outputs.rows
    return run is not None and 2 * int(run.vector[rows]) >= int(window.vector[rows])


def variety(layout: Layout, vector: IntVector) -> dict[str, dict[str, float]]:
    """Of "score" and "class", where there are any: ``spread`` (variance in reference units, or effective number beyond
    one), ``top`` share, ``effective`` number and ``entropy`` in nats, of the score's bins or the classes."""
    outputs, space = layout.outputs, layout.prediction
    found: dict[str, dict[str, float]] = {}
    rows = int(vector[outputs.score_rows])
    if space.score_edges and rows:
        bins = vector[outputs.score_class].reshape(-1, len(space.classes) + 1).sum(axis=1)
        first, second = int(vector[outputs.score_moments]), int(vector[outputs.score_moments + 1])
        found["score"] = _shape(bins) | {"spread": (second * rows - first * first) / (rows * rows)}
    classes = vector[outputs.classes]
    if space.classes and classes.any():
        shape = _shape(classes)
        found["class"] = shape | {"spread": shape["effective"] - 1}
    return found


def _shape(counts: IntVector) -> dict[str, float]:
    shares = counts[counts > 0] / counts.sum()
    return {
        "top": float(shares.max()),
        "effective": float(1 / (shares**2).sum()),
        "entropy": float(-(shares * np.log(shares)).sum()),
    }


def _clause(unit: str, details: dict[str, Any]) -> str:
    top = percent(details["current"]["top"])
    if unit == "score":
        return f"{percent(details['left'])} of the score's variance is left, {top} of answers in one bin"
    was, now = (number(details[which]["effective"]) for which in ("reference", "current"))
    return f"answers are {now} classes' worth, were {was}; {top} are one class"
