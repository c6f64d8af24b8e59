"""What a score means, learned on labelled reference rows, and what it lets us expect while labels are away.

Confidence-based estimation (as in NannyML's CBPE): with ``g = P(actual positive | score bin)`` every row carries its
expected outcome. It sees shifts of the inputs; it cannot see that the meaning of the score has changed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlmon_sidecar.records import FloatVector, IntVector


class Estimate(NamedTuple):
    """A figure to be expected, and one standard error of what will be realised around it: chance of the outcomes, and
    of the calibration."""

    value: float
    error: float


@dataclass(frozen=True, slots=True)
class Expected:
    """Expected quality of one window.

    ``figures`` by name: accuracy, precision, recall, f1 and auc of a binary model, accuracy of one with several
    classes. One whose denominator is 0 is missing.
    """

    rows: int
    figures: Mapping[str, Estimate]


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


def expect(predicted: NDArray[np.int64], probability: FloatVector, behind: FloatVector) -> Expected | None:
    """Expected figures of a binary model; None without rows.

    Each row moves a figure by its influence d: the outcomes add ``sum h d^2 g (1 - g)`` to its variance, and the
    calibration, whose every g rests on m rows, ``sum (h d)^2 g (1 - g) / m``. Of the accuracy the second part is not
    taken below ``accuracy (1 - accuracy) / sum m``.

    Args:
        predicted: (bins, 2) rows per score bin, predicted negative first.
        probability: (bins,) g = P(actual positive | bin).
        behind: (bins,) labelled rows behind each probability; their sum is > 0.
    """
    rows = int(predicted.sum())
    if rows == 0:
        return None
    table = predicted.astype(np.float64)
    doubt = probability * (1 - probability)
    figures = {}
    for name, (value, influence) in _figures(table, probability).items():
        outcomes = float(((table * influence**2).sum(axis=1) * doubt).sum())
        learned = float((((table * influence).sum(axis=1)) ** 2 * doubt / np.maximum(behind, 1.0)).sum())
        if name == "accuracy":
            learned = max(learned, value * (1 - value) / float(behind.sum()))
        figures[name] = Estimate(value, math.sqrt(outcomes + learned))
    return Expected(rows, figures)


def expect_right(confidence: IntVector, probability: FloatVector, behind: FloatVector) -> Expected | None:
    """Expected accuracy of a model with several classes; None without rows.

    Args:
        confidence: (bins,) rows per confidence bin.
        probability: (bins,) P(the predicted class is the actual one | bin).
        behind: (bins,) labelled rows behind each probability; their sum is > 0.
    """
    rows = int(confidence.sum())
    if rows == 0:
        return None
    value = float(confidence @ probability) / rows
    variance = float(confidence @ (probability * (1 - probability))) / rows**2
    variance += value * (1 - value) / float(behind.sum())
    return Expected(rows, {"accuracy": Estimate(value, math.sqrt(variance))})


def _figures(table: NDArray[np.float64], g: FloatVector) -> dict[str, tuple[float, NDArray[np.float64]]]:
    """Name -> (value, (bins, 2) what one row of a cell adds when it turns from negative to positive)."""
    negative, positive = table[:, 0], table[:, 1]
    rows, said, true = float(table.sum()), float(positive.sum()), float((negative + positive) @ g)
    hits = float(positive @ g)
    one = np.ones(len(g))
    right = (hits + float(negative @ (1 - g))) / rows
    found = {"accuracy": (right, np.stack((-one, one), axis=1) / rows)}
    if said:
        found["precision"] = hits / said, np.stack((0 * one, one), axis=1) / said
    if true:
        share = hits / true
        found["recall"] = share, np.stack((-share * one, (1 - share) * one), axis=1) / true
    if said + true:
        share = 2 * hits / (said + true)
        found["f1"] = share, np.stack((-share * one, (2 - share) * one), axis=1) / (said + true)
    if 0 < true < rows:
        positives, negatives = (negative + positive) * g, (negative + positive) * (1 - g)
        below = np.cumsum(negatives) - negatives / 2
        above = true - np.cumsum(positives) + positives / 2
        area = float(positives @ below) / (true * (rows - true))
        moved = (below - above) / (true * (rows - true)) - area / true + area / (rows - true)
        found["auc"] = area, np.stack((moved, moved), axis=1)
    return found
