"""A column has become constant: every row of more than a hundred holds one value, as a default does. P2.

For a numeric column the variance over the window is exactly 0 (integer sums) while the reference's was not; for a
categorical one all rows lie in one category. The run must be improbable: ``requests * -ln p >= 16`` with p the
reference share of the bin or category it is stuck in, so that a column that is 99% zero needs 1,600 requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mlmon_sidecar.checks.context import CheckContext, requests_in
from mlmon_sidecar.checks.level import IMPROBABLE_NATS, level_windows, nats, value_counts, warming_up
from mlmon_sidecar.checks.wording import number, percent, together
from mlmon_sidecar.records import Finding, Layer, Tier
from mlmon_sidecar.statistics.layout import CategoricalCells, CategoricalFeature, NumericCells, NumericFeature
from mlmon_sidecar.statistics.quantiles import mean_and_deviation

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector, Window
    from mlmon_sidecar.statistics.layout import Layout

LISTED_SHARE = 0.95  # of the rows must have a usable value; a missing column is ``schema_change``'s


class FrozenColumn:
    name = "frozen_column"
    layer = Layer.DATA

    def ready(self, context: CheckContext) -> str:
        if context.reference is None:
            return "no baseline"
        return warming_up(context)

    def evaluate(self, context: CheckContext) -> list[Finding]:
        """Repeated while it holds."""
        if context.reference is None:
            return []
        found: dict[str, dict[str, Any]] = {}
        for window in level_windows(context):
            for name in constant_columns(context.layout, window.vector):
                if name not in found:
                    told = _told(context.layout, name, context.reference.vector, window)
                    if told is not None:
                        found[name] = told
        if not found:
            return []
        strongest = max(details["nats"] for details in found.values())
        return [
            Finding(
                rule=self.name,
                layer=self.layer,
                tier=Tier.P2,
                minute=context.minute,
                summary=together([_clause(name, details) for name, details in found.items()]),
                evidence=strongest / IMPROBABLE_NATS,
                features=tuple(found),
                value=1.0,
                threshold=1.0,
                rows=max(details["rows"] for details in found.values()),
                details={"features": found},
            )
        ]

    def resolved(self, context: CheckContext) -> tuple[str, ...]:
        """Columns that vary again over the newest hundred rows."""
        if context.reference is None:
            return ()
        window = next(level_windows(context), None)
        if window is None:
            return ()
        constant = set(constant_columns(context.layout, window.vector))
        return tuple(name for name in context.layout.cells if name not in constant)


def constant_columns(layout: Layout, vector: IntVector) -> list[str]:
    """Columns with values that are all the same, numbers to a thousandth of their spread."""
    rows, fullest = value_counts(layout, vector)
    names = list(layout.cells)
    return [name for at in np.flatnonzero((rows > 0) & (fullest == rows)) if _is_one(layout, name := names[at], vector)]


def _is_one(layout: Layout, name: str, vector: IntVector) -> bool:
    """Whether the one bin that all values lie in holds one value."""
    cells = layout.cells[name]
    bins = vector[cells.bins]
    if isinstance(cells, CategoricalCells):
        return int(np.argmax(bins)) < len(bins) - 2  # unlisted and new ones are many values
    return int(vector[cells.moments + 1]) * int(bins.sum()) == int(vector[cells.moments]) ** 2


def _told(layout: Layout, name: str, reference: IntVector, window: Window) -> dict[str, Any] | None:
    """None where the reference makes the run nothing special, or too few rows have a value."""
    feature, cells = layout.feature(name), layout.cells[name]
    bins, before = window.vector[cells.bins], reference[cells.bins]
    rows, known, at = int(bins.sum()), int(before.sum()), int(np.argmax(bins))
    if known == 0 or rows < LISTED_SHARE * int(window.vector[layout.traffic.rows]):
        return None
    requests = requests_in(window, layout.traffic.rows + 1)
    share = max(1, int(before[at])) / known  # never seen in the reference is seen once: absence is no impossibility
    if int(before.max()) == known and _is_one(layout, name, reference):
        return None
    if nats(share, requests) < IMPROBABLE_NATS:
        return None
    value: float | str | None = None
    if isinstance(feature, NumericFeature) and isinstance(cells, NumericCells):
        moments = mean_and_deviation(feature, cells, window.vector)
        value = moments[0] if moments else None
    elif isinstance(feature, CategoricalFeature):
        value = feature.categories[at]
    return {
        "value": value,
        "reference_share": share,
        "rows": rows,
        "nats": nats(share, requests),
        "onset_minute": window.start_minute,
    }


def _clause(name: str, details: dict[str, Any]) -> str:
    value = details["value"]
    said = number(value) if isinstance(value, float) else repr(value)
    return (
        f"{name} is {said} in all of the last {details['rows']:,} rows; "
        f"values there were {percent(details['reference_share'])} of the baseline"
    )
