"""A version does not do what the version before it does: its answers, its inputs, how it serves.

Predictions, latency and errors are P2; inputs alone are P3, for the two versions may be asked different things.
``statistics.version_pair`` says how they are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mlmon_sidecar.checks.confidence_drop import mean_confidence
from mlmon_sidecar.checks.context import CheckContext, VersionDifferences
from mlmon_sidecar.checks.latency import seconds
from mlmon_sidecar.checks.prediction_drift import class_difference, score_difference
from mlmon_sidecar.checks.wording import change, movement, number, percent, together
from mlmon_sidecar.records import Finding, Layer, Tier
from mlmon_sidecar.statistics.distances import kolmogorov_smirnov
from mlmon_sidecar.statistics.figures import feature_figures, ordered_effect
from mlmon_sidecar.statistics.indicators import FEATURES, NULLS
from mlmon_sidecar.statistics.service import ERRORS, LATENCY

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector
    from mlmon_sidecar.statistics.layout import Layout

Told = dict[str, Any]  # "clause" and "rows", and figures by name
INPUT_STREAMS = frozenset({FEATURES, NULLS})


class VersionDifference:
    """A finding speaks of one pair of versions; its names are "new vs old: what"."""

    name = "version_difference"
    layer = Layer.PREDICTION

    def ready(self, context: CheckContext) -> str:
        return "no two versions are compared" if context.versions is None else ""

    def evaluate(self, context: CheckContext) -> list[Finding]:
        told = context.versions or ()
        return [self._finding(context, pair) for pair in told if pair.alarms and pair.counts is not None]

    def resolved(self, context: CheckContext) -> tuple[str, ...]:
        """What is alike again, or compared no longer."""
        return tuple(
            label(pair, stream, unit) for pair in context.versions or () for stream, unit in sorted(pair.closed)
        )

    def _finding(self, context: CheckContext, pair: VersionDifferences) -> Finding:
        assert pair.counts is not None
        found: dict[str, Told] = {}
        clauses = []
        for alarm in pair.alarms:
            for unit, evidence, onset in zip(alarm.units, alarm.evidence, alarm.onset, strict=True):
                told = difference(context.layout, alarm.stream, unit, *pair.counts)
                clauses.append(f"{pair.new} vs {pair.old}: {told.pop('clause')}")
                found[label(pair, alarm.stream, unit)] = {"evidence": evidence, "onset_minute": onset, **told}
        only_inputs = all(alarm.stream in INPUT_STREAMS for alarm in pair.alarms)
        distances = [float(told["distance"]) for told in found.values() if told.get("distance") is not None]
        return Finding(
            rule=self.name,
            layer=self.layer,
            tier=Tier.P3 if only_inputs else Tier.P2,
            minute=context.minute,
            summary=together(clauses),
            evidence=max(max(alarm.evidence) for alarm in pair.alarms),
            features=tuple(found),
            value=max(distances, default=None),
            rows=max(int(told["rows"]) for told in found.values()),
            details={
                "versions": {f"{pair.new} vs {pair.old}": {"shadow": pair.shadow, "same_hours": pair.together}},
                "differences": found,
            },
        )


def label(pair: VersionDifferences, stream: str, unit: str) -> str:
    """The name under which an incident waits for this difference to end."""
    return f"{pair.new} vs {pair.old}: {'missing ' if stream == NULLS else ''}{unit}"


def difference(layout: Layout, stream: str, unit: str, new: IntVector, old: IntVector) -> Told:
    """One clause, the rows of the new version behind it, and both versions' figures.

    Args:
        new, old: (layout.size,) counts.
    """
    if stream == FEATURES:
        return _feature(layout, unit, new, old)
    if stream == NULLS:
        return _missing(layout, unit, new, old)
    return _OTHERS[unit](layout, new, old)


def _feature(layout: Layout, name: str, new: IntVector, old: IntVector) -> Told:
    before, after = feature_figures(layout, name, old, old), feature_figures(layout, name, old, new)
    return {
        "clause": change(before, after), "rows": after.rows, "old_rows": before.rows,
        "method": after.method, "distance": after.distance, "effect": after.effect,
    }  # fmt: skip


def _missing(layout: Layout, name: str, new: IntVector, old: IntVector) -> Told:
    cells, rows = layout.cells[name], layout.traffic.rows
    shares = [int(v[cells.null] + v[cells.invalid]) / max(1, int(v[rows])) for v in (old, new)]
    return {
        "clause": f"{name} missing in {percent(shares[1])} of rows, not {percent(shares[0])}",
        "rows": int(new[rows]), "old_rows": int(old[rows]), "old_share": shares[0], "new_share": shares[1],
    }  # fmt: skip


def _score(layout: Layout, new: IntVector, old: IntVector) -> Told:
    return score_difference(layout, old, new)


def _classes(layout: Layout, new: IntVector, old: IntVector) -> Told:
    return class_difference(layout, old, new)


def _confidence(layout: Layout, new: IntVector, old: IntVector) -> Told:
    cells = layout.outputs.confidence
    means = mean_confidence(layout, old), mean_confidence(layout, new)
    distance = kolmogorov_smirnov(old[cells], new[cells])
    clause = "confidence changed"
    if means[0] is not None and means[1] is not None and distance is not None:
        clause = f"confidence {movement('mean', means[0], means[1])} (KS {distance:.2f})"
    return {
        "clause": clause, "rows": int(new[cells].sum()), "method": "ks", "distance": distance,
        "effect": ordered_effect(old[cells], new[cells]), "reference_mean": means[0], "current_mean": means[1],
    }  # fmt: skip


def _latency(layout: Layout, new: IntVector, old: IntVector) -> Told:
    cells = layout.traffic.duration
    before, after = seconds(old[cells]), seconds(new[cells])
    clause = "requests take longer"
    if before is not None and after is not None:
        told = [f"{name} {number(b * 1000)} -> {number(a * 1000)} ms" for name, b, a in zip(
            ("p50", "p95"), before, after, strict=True)]  # fmt: skip
        clause = f"requests take longer, {', '.join(told)}"
    return {
        "clause": clause, "rows": int(new[cells].sum()), "old_rows": int(old[cells].sum()),
        "p50_p95_old": before, "p50_p95_new": after,
    }  # fmt: skip


def _errors(layout: Layout, new: IntVector, old: IntVector) -> Told:
    cells = layout.traffic
    shares = [int(v[cells.server_error]) / max(1, int(v[cells.requests])) for v in (old, new)]
    return {
        "clause": f"{percent(shares[1])} of requests end in a server error, not {percent(shares[0])}",
        "rows": int(new[cells.requests]), "old_rows": int(old[cells.requests]),
        "old_share": shares[0], "new_share": shares[1],
    }  # fmt: skip


_OTHERS: Mapping[str, Callable[[Layout, IntVector, IntVector], Told]] = {
    "score": _score, "class": _classes, "confidence": _confidence, LATENCY: _latency, ERRORS: _errors,
}  # fmt: skip
