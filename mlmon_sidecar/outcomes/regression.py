"""Errors of a regression model, from fixed-point sums.

Sums of fixed-point values (``statistics.error_scale``) are integers: they add up in any order, and a correction takes
out exactly what it put in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlmon_sidecar.statistics.error_scale import CLIP, RELATIVE_UNIT, STEPS, Scale
from mlmon_sidecar.statistics.intervals import Z95

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector


class ErrorSums(NamedTuple):
    """Sums over labelled rows; the error is predicted minus actual. Addable, and signed for corrections."""

    rows: int = 0
    error: int = 0  # in unit / STEPS
    absolute: int = 0
    squared: int = 0  # in (unit / STEPS) ** 2
    actual: int = 0  # of actual - center
    actual_squared: int = 0
    relative: int = 0  # |error / actual| in 1 / RELATIVE_UNIT, of rows whose actual value is not 0
    relative_rows: int = 0

    def plus(self, other: ErrorSums) -> ErrorSums:
        return ErrorSums(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True)
class Errors:
    """What people read. ``bias``: mean of predicted minus actual. Intervals are 95 %, normal, of the mean.

    ``rows`` are effective ones where labels have weights. ``mape`` leaves out rows whose actual value is 0, and is None
    where all are; ``r2`` is None where the actual values are all the same.
    """

    rows: float
    mae: float
    mae_interval: tuple[float, float]
    rmse: float
    bias: float
    bias_interval: tuple[float, float]
    mape: float | None
    r2: float | None


def sums_of(predicted: FloatVector, actual: FloatVector, scale: Scale) -> ErrorSums:
    """Of rows with finite values."""
    error = _fixed(predicted - actual, scale.unit)
    level = _fixed(actual - scale.center, scale.unit)
    whole = actual != 0
    relative = np.abs((predicted - actual)[whole] / actual[whole])
    shares = np.rint(np.minimum(relative, STEPS) * RELATIVE_UNIT).astype(np.int64)
    return ErrorSums(
        rows=len(actual), error=int(error.sum()), absolute=int(np.abs(error).sum()),
        squared=int((error * error).sum()), actual=int(level.sum()), actual_squared=int((level * level).sum()),
        relative=int(shares.sum()), relative_rows=int(whole.sum()),
    )  # fmt: skip


def errors_of(sums: ErrorSums, scale: Scale, rows: float | None = None) -> Errors | None:
    """None without rows.

    Args:
        sums: of rows, or of rows times their weights in any one unit: the figures are their ratios.
        rows: that the intervals rest on; None: those of ``sums``.
    """
    n = sums.rows
    if n <= 0:
        return None
    quantum = scale.unit / STEPS
    mae, bias, square = sums.absolute / n, sums.error / n, sums.squared / n
    spread = n * sums.actual_squared - sums.actual**2  # of whole numbers: nothing cancels out
    rows = n if rows is None else rows
    return Errors(
        rows=rows,
        mae=mae * quantum,
        mae_interval=_around(mae, square, rows, quantum, floor=0.0),
        rmse=math.sqrt(square) * quantum,
        bias=bias * quantum,
        bias_interval=_around(bias, square, rows, quantum, floor=-math.inf),
        mape=sums.relative / RELATIVE_UNIT / sums.relative_rows if sums.relative_rows > 0 else None,
        r2=1 - n * sums.squared / spread if spread > 0 else None,
    )


def _fixed(value: FloatVector, unit: float) -> FloatVector:
    return np.clip(np.rint(value / unit * STEPS), -CLIP, CLIP).astype(np.int64)


def _around(mean: float, square: float, rows: float, quantum: float, floor: float) -> tuple[float, float]:
    reach = Z95 * math.sqrt(max(0.0, square - mean * mean) / rows)
    return max(floor, mean - reach) * quantum, (mean + reach) * quantum
