"""What a score means, learned on labelled reference rows, and what it lets us expect while labels are away.

Confidence-based estimation (as in NannyML's CBPE): with ``g = P(actual positive | score bin)`` every row carries its
expected outcome. It sees shifts of the inputs; it cannot see that the meaning of the score has changed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlmon_sidecar.records import FloatVector, IntVector


@dataclass(frozen=True, slots=True)
class Expected:
    """Expected quality of one window. A figure is None where its denominator is 0.

    ``accuracy_error`` is one standard error: chance of the outcomes, and of the calibration.
    """

    rows: int
    accuracy: float
    accuracy_error: float
    precision: float | None
    recall: float | None
    f1: float | None


def isotonic(values: FloatVector, weights: FloatVector) -> FloatVector:
    """Non-decreasing weighted least-squares fit, by pooling adjacent violators. Weights > 0.

    >>> import numpy as np
    >>> isotonic(np.array([1.0, 3.0, 2.0]), np.ones(3)).tolist()
    [1.0, 2.5, 2.5]
    """
    blocks: list[tuple[float, float, int]] = []  # (mean, weight, members)
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        block = (value, weight, 1)
        while blocks and blocks[-1][0] > block[0]:
            mean, mass, members = blocks.pop()
            total = mass + block[1]
            block = ((mean * mass + block[0] * block[1]) / total, total, members + block[2])
        blocks.append(block)
    return np.repeat([mean for mean, _, _ in blocks], [members for _, _, members in blocks])


def calibrate(positives: IntVector, rows: IntVector) -> FloatVector:
    """P(actual positive | score bin): isotonic over the bins with rows, the others between their neighbours.

    Args:
        positives: (bins,) labelled rows that turned out positive.
        rows: (bins,) labelled rows; at least one bin has some.
    """
    seen = np.flatnonzero(rows)
    fitted = isotonic(positives[seen] / rows[seen], rows[seen].astype(np.float64))
    probabilities: FloatVector = np.interp(np.arange(len(rows)), seen, fitted)
    return probabilities


def expect(predicted: NDArray[np.int64], probability: FloatVector, calibration_rows: int) -> Expected | None:
    """Expected figures of a binary model.

    Args:
        predicted: (bins, 2) rows per score bin, predicted negative first.
        probability: (bins,) P(actual positive | bin).
        calibration_rows: labelled rows behind ``probability``, > 0.

    None without rows.
    """
    negative, positive = predicted[:, 0], predicted[:, 1]
    rows = int(predicted.sum())
    if rows == 0:
        return None
    tp, fp = float(positive @ probability), float(positive @ (1 - probability))
    fn, tn = float(negative @ probability), float(negative @ (1 - probability))
    accuracy = (tp + tn) / rows
    variance = float((negative + positive) @ (probability * (1 - probability))) / rows**2
    variance += accuracy * (1 - accuracy) / calibration_rows
    return Expected(
        rows=rows,
        accuracy=accuracy,
        accuracy_error=math.sqrt(variance),
        precision=tp / (tp + fp) if tp + fp else None,
        recall=tp / (tp + fn) if tp + fn else None,
        f1=2 * tp / (2 * tp + fp + fn) if 2 * tp + fp + fn else None,
    )
