"""How large a regression model's errors are on the rows of a reference, and those of one constant answer."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.statistics.error_bins import bin_of

if TYPE_CHECKING:
    from mlmon_sidecar.baseline.rows import Rows
    from mlmon_sidecar.records import FloatVector, IntVector


class ErrorTally:
    """Counted a few rows at a time. ``constant``: what is answered to everyone where nobody looks."""

    def __init__(self, constant: float) -> None:
        self._constant = constant
        self._model: Counter[int] = Counter()
        self._mean: Counter[int] = Counter()

    def add(self, rows: Rows) -> None:
        """Those whose label and prediction are finite numbers."""
        actual = np.array([_number(text) for text in rows.raw_labels or ()])
        known = np.isfinite(actual) & np.isfinite(rows.batch.score[: len(actual)])
        if known.any():
            weights = rows.counts[known]
            _count(self._model, rows.batch.score[known] - actual[known], weights)
            _count(self._mean, self._constant - actual[known], weights)

    def bins(self) -> tuple[tuple[int, int, int], ...]:
        """(bin, rows, rows with the constant answer), ascending; empty without labels that are numbers."""
        return tuple((bin_, self._model[bin_], self._mean[bin_]) for bin_ in sorted(self._model | self._mean))


def _count(into: Counter[int], errors: FloatVector, weights: IntVector) -> None:
    bins, place = np.unique(bin_of(errors), return_inverse=True)
    rows = np.zeros(len(bins), dtype=np.int64)
    np.add.at(rows, place, weights)
    into.update(dict(zip(bins.tolist(), rows.tolist(), strict=True)))


def _number(text: str | None) -> float:
    try:
        return math.nan if text is None else float(text)
    except ValueError:
        return math.nan
