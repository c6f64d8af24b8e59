"""What would change if one baseline took another's place.

Two baselines cut their columns in different places, so a distance between them is known only from below: at an edge of
the one, the other's share lies between those at its own two edges around it. Figures are therefore "at least"; where
both are cut alike, they are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlmon_sidecar.baseline.describe import (
    accuracy_of,
    category_shares,
    class_shares,
    labelled_rows,
    null_shares,
    score_bins,
    within_tolerance,
)
from mlmon_sidecar.baseline.document import Baseline
from mlmon_sidecar.statistics.layout import NumericFeature

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector, IntVector

KS, TV = "ks", "tv"


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """One column, or the score or the classes of the predictions.

    Attributes:
        method: ``KS`` or ``TV``.
        distance: at least, in [0, 1]; None where the kind changed or one side has no values.
        kinds: before, after.
        nulls: shares before, after.
        appeared, vanished: categories or classes listed only after, and only before.
    """

    name: str
    method: str
    distance: float | None
    kinds: tuple[str, str]
    nulls: tuple[float, float]
    appeared: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """``figures`` are (name, before, after) of whatever is said once, where the two sides differ."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    columns: tuple[ColumnChange, ...]
    predictions: tuple[ColumnChange, ...]
    figures: tuple[tuple[str, object, object], ...]

    def to_document(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def compare(before: Baseline, after: Baseline) -> Comparison:
    old, new = (tuple(feature.name for feature in side.layout.features) for side in (before, after))
    return Comparison(
        added=tuple(name for name in new if name not in set(old)),
        removed=tuple(name for name in old if name not in set(new)),
        columns=tuple(_column(name, before, after) for name in old if name in set(new)),
        predictions=tuple(_predictions(before, after)),
        figures=tuple(figure for figure in _figures(before, after) if figure[1] != figure[2]),
    )


def least_ks(
    edges: Sequence[float], bins: IntVector, other_edges: Sequence[float], other_bins: IntVector
) -> float | None:
    """The least Kolmogorov-Smirnov distance that two binnings of different edges allow; None where one is empty.

    >>> import numpy as np
    >>> least_ks([1.0], np.array([1, 1]), [1.0, 2.0], np.array([0, 1, 1]))
    0.5
    """
    if not bins.sum() or not other_bins.sum():
        return None
    points = np.unique(np.concatenate((edges, other_edges)))
    low, high = _bounds(edges, bins, points)
    other_low, other_high = _bounds(other_edges, other_bins, points)
    gap = np.maximum(low - other_high, other_low - high)
    return float(max(0.0, gap.max(initial=0.0)))


def least_tv(before: dict[str, float], after: dict[str, float]) -> float:
    """Total variation over what both sides list, all else being one.

    >>> least_tv({"a": 0.5, "b": 0.5}, {"a": 0.25, "c": 0.75})
    0.25
    """
    common = before.keys() & after.keys()
    gaps = [abs(before[name] - after[name]) for name in sorted(common)]
    rest = [1 - sum(side[name] for name in sorted(common)) for side in (before, after)]
    return (sum(gaps) + abs(rest[0] - rest[1])) / 2


def _bounds(edges: Sequence[float], bins: IntVector, points: FloatVector) -> tuple[FloatVector, FloatVector]:
    """Least and greatest share at or below each point."""
    shares = np.concatenate(([0.0], np.cumsum(bins) / bins.sum()))
    below = np.searchsorted(edges, points, side="right")  # edges at or below the point
    at_edge = below > np.searchsorted(edges, points, side="left")
    return shares[below], np.where(at_edge, shares[below], shares[below + 1])


def _column(name: str, before: Baseline, after: Baseline) -> ColumnChange:
    features = before.layout.feature(name), after.layout.feature(name)
    nulls = null_shares(before, name)[0], null_shares(after, name)[0]
    kinds = features[0].kind, features[1].kind
    if isinstance(features[0], NumericFeature) and isinstance(features[1], NumericFeature):
        bins = [side.reference.vector[side.layout.cells[name].bins] for side in (before, after)]
        distance = least_ks(features[0].edges, bins[0], features[1].edges, bins[1])
        return ColumnChange(name, KS, distance, kinds, nulls)
    if kinds[0] != kinds[1]:
        return ColumnChange(name, TV, None, kinds, nulls)
    old, new = category_shares(before, name)[0], category_shares(after, name)[0]
    return _shares_change(name, old, new, kinds, nulls)


def _shares_change(
    name: str, old: dict[str, float], new: dict[str, float], kinds: tuple[str, str], nulls: tuple[float, float]
) -> ColumnChange:
    return ColumnChange(
        name, TV, least_tv(old, new), kinds, nulls, appeared=tuple(sorted(new.keys() - old.keys())),
        vanished=tuple(sorted(old.keys() - new.keys())),
    )  # fmt: skip


def _predictions(before: Baseline, after: Baseline) -> list[ColumnChange]:
    spaces = before.layout.prediction, after.layout.prediction
    kinds = spaces[0].kind, spaces[1].kind
    found: list[ColumnChange] = []
    old, new = class_shares(before), class_shares(after)
    if old or new:
        found.append(_shares_change("class", old, new, kinds, (0.0, 0.0)))
    if spaces[0].score_edges and spaces[1].score_edges:
        bins = score_bins(before), score_bins(after)
        distance = least_ks(spaces[0].score_edges, bins[0], spaces[1].score_edges, bins[1])
        found.append(ColumnChange("score", KS, distance, kinds, (0.0, 0.0)))
    return found


def _figures(before: Baseline, after: Baseline) -> list[tuple[str, object, object]]:
    def figures(side: Baseline) -> dict[str, object]:
        return {
            "model": side.layout.model,
            "version": side.reference.version,
            "layout": side.layout.hash,
            "policy": side.policy,
            "rows": side.rows,
            "hours": side.reference.hours,
            "prediction kind": side.layout.prediction.kind,
            "positive class": side.layout.prediction.positive,
            "threshold": side.layout.prediction.threshold,
            "accuracy": accuracy_of(side),
            "error tolerance, share within": within_tolerance(side),
            "labelled rows": labelled_rows(side),
            "segments": ", ".join(f"{each.name} ({len(each.values)})" for each in side.layout.segments.dimensions),
            "calibration rows": side.reference.calibration_rows,
        }

    old, new = figures(before), figures(after)
    return [(name, old[name], new[name]) for name in old]
