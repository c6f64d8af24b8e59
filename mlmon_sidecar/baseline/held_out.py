"""What is fitted to rows fits those rows too well: their counts are taken out of the reference again.

Centroids lie nearer to the rows that they were fitted on than to any others, and the next rows would seem to have
moved. So half of the sample is fitted on, and the reference of what was fitted is that of all other rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.aggregate.convert import INVALID, VALID
from mlmon_sidecar.aggregate.embeddings import EmbeddingCounter
from mlmon_sidecar.aggregate.joint import JointCounter
from mlmon_sidecar.aggregate.tally import Tally
from mlmon_sidecar.records import WEIGHT_UNIT

if TYPE_CHECKING:
    from mlmon_sidecar.baseline.row_sample import RowSample
    from mlmon_sidecar.records import IntVector
    from mlmon_sidecar.statistics.layout import Layout


def without_fitted(layout: Layout, vector: IntVector, sample: RowSample) -> IntVector:
    """The counts (layout.size,) of all rows, and of what was fitted those of rows that it was not fitted on."""
    values = sample.fitted([feature.name for feature, _ in layout.numeric()])
    rows = values.shape[1]
    known = np.isfinite(values)
    counters = (EmbeddingCounter(layout), JointCounter(layout))
    weight = np.full(rows, WEIGHT_UNIT, dtype=np.int64)
    tally = Tally(np.zeros(rows, dtype=np.int64), 1, weight, layout.size, sum(counter.lines for counter in counters))
    codes = np.where(known, np.int8(VALID), np.int8(INVALID))
    for counter in counters:
        counter.count(tally, np.where(known, values, 0.0), codes)
    left: IntVector = vector - tally.cells[0]
    return left
