"""A reference whose positive rate was put right to the population's.

Training sets are often balanced by hand: half frauds, where one in a hundred is. Rows of the class that is too frequent
are left out, chosen by a hash of all they hold, until the rate is right but for chance. Every count stays the count of
real rows, so that a reference of fewer rows is also known to be less sure; weighing rows up would hide that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.errors import BaselineError

if TYPE_CHECKING:
    from mlmon_sidecar.baseline.rows import RowFilter, Rows

_SALT = np.uint64(0x9E3779B97F4A7C15)  # not the hash that the time sample orders by


def at_base_rate(labels: Mapping[str, int], positive: str, rate: float) -> RowFilter:
    """Keeps rows so that the share of ``positive`` labels becomes ``rate``; rows without a label are left out.

    Args:
        labels: rows of each label.
        rate: in (0, 1).

    Raises:
        BaselineError: ``base_rate_invalid`` for another rate, or labels that do not have both classes.
    """
    positives = labels.get(positive, 0)
    others = sum(labels.values()) - positives
    if not 0 < rate < 1:
        raise BaselineError(
            f"{rate:g} is no base rate", code="base_rate_invalid", hint="Give the share of positives, between 0 and 1."
        )
    if not positives or not others:
        raise BaselineError(
            "a base rate needs labels of both classes",
            code="base_rate_invalid",
            hint="Name the label column with --label, and the positive class in `prediction.positive`.",
        )
    keep_positive = min(1.0, rate * others / ((1 - rate) * positives))
    keep_other = min(1.0, (1 - rate) * positives / (rate * others))

    def keep(rows: Rows) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        given = rows.raw_labels or ()
        share = np.array([0.0 if x is None else keep_positive if x == positive else keep_other for x in given])
        mixed = rows.hashes * _SALT
        return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53 < share

    return keep
