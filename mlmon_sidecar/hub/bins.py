"""What is in the bins of each feature, now and in the baseline: counts that add up over hubs, so that a query over all
of them can say how far a fleet has drifted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.records import Measurement, Window
from mlmon_sidecar.statistics.layout import Layout, NumericFeature

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector

MAX_SERIES = 1000  # of one model; features beyond it have none at all, half of one would be wrong
WINDOW = ("mlmon.window", "24h")

Attributes = tuple[tuple[str, str], ...]


def bin_figures(layout: Layout, reference: IntVector, window: Window, who: Attributes) -> Iterator[Measurement]:
    """Every bin of every feature, empty ones too. ``reference``: (layout.size,)."""
    series = 0
    for feature in layout.features:
        before, now = (coarse_bins(layout, feature.name, vector) for vector in (reference, window.vector))
        series += 2 * len(now)
        if series > MAX_SERIES:
            return
        rows = int(before.sum())
        for place, (was, count) in enumerate(zip(before.tolist(), now.tolist(), strict=True)):
            named = (*who, ("mlmon.feature.name", feature.name), ("mlmon.bin", f"{place:02d}"))
            yield Measurement("mlmon.feature.bin", count, (*named, WINDOW))
            if rows:
                yield Measurement("mlmon.baseline.bin.ratio", was / rows, named)


def coarse_bins(layout: Layout, name: str, vector: IntVector) -> IntVector:
    """Rows in the bins alarms rest on: about ten of a number, the most frequent categories, the rest, and new ones."""
    feature, bins = layout.feature(name), vector[layout.cells[name].bins]
    if isinstance(feature, NumericFeature):
        starts = [0, *(edge + 1 for edge in feature.alarm)]
    else:
        starts = [*range(feature.alarm + 1), len(feature.categories) + 1]
    found: IntVector = np.add.reduceat(bins, starts)
    return found
