"""Young cohorts beside mature ones at the same ages: is a figure low because it is young?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.outcomes.metric import Watched, counts_of

if TYPE_CHECKING:
    from mlmon_sidecar.records import OutcomeCell


def at_ages(metric: Watched, mature: Sequence[OutcomeCell], young: Mapping[int, int]) -> float | None:
    """What mature cohorts showed when they were as young as these.

    Args:
        mature: cells of mature cohorts, of every age.
        young: oldest age that a young cohort can have -> its labels.

    Each young cohort gets the mature cohorts' counts up to its own age, scaled to its number of labels. None where they
    say nothing.
    """
    sums = np.zeros(2 * len(metric.parts))
    for age, labels in young.items():
        then = [cell for cell in mature if cell.age <= age]
        rows = sum(cell.rows for cell in then)
        if rows > 0:
            sums += np.array(counts_of(metric, then)) * (labels / rows)
    return metric.of_counts(sums.tolist())
