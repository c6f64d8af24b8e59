"""Quality of classifications from a confusion matrix of unweighted counts, actual-major.

Figures equal scikit-learn's with ``zero_division=0``: a class never predicted has precision 0, a class that never
occurs has recall 0, and averages run over the classes that occur or were predicted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlmon_sidecar.records import FloatVector

    Matrix = NDArray[np.int64]


class Average(StrEnum):
    MACRO = "macro"  # every class counts the same
    WEIGHTED = "weighted"  # by how often the class occurs


@dataclass(frozen=True, slots=True)
class Quality:
    """Each in [0, 1]."""

    rows: int
    accuracy: float
    precision: float
    recall: float
    f1: float


def quality(confusion: Matrix, positive: int | Average) -> Quality | None:
    """Figures of one positive class (by position) or averaged over classes. None without rows.

    >>> import numpy as np
    >>> quality(np.array([[50, 10], [5, 35]]), 1).recall
    0.875
    """
    rows = int(confusion.sum())
    if rows == 0:
        return None
    hits = np.diag(confusion).astype(np.float64)
    actual, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    precision, recall, f1 = _ratio(hits, predicted), _ratio(hits, actual), _ratio(2 * hits, actual + predicted)
    if isinstance(positive, Average):
        seen = (actual + predicted) > 0
        share = seen / seen.sum() if positive is Average.MACRO else actual / rows
    else:
        share = np.eye(len(hits))[positive]
    return Quality(rows, float(hits.sum() / rows), float(precision @ share), float(recall @ share), float(f1 @ share))


def right_answers(confusion: Matrix) -> tuple[int, int]:
    """(correct, total): the quality detector's input for accuracy."""
    return int(np.trace(confusion)), int(confusion.sum())


def overlap(confusion: Matrix, positive: int) -> tuple[int, int]:
    """(TP, TP + FP + FN): the quality detector's input under imbalance; F1 = 2 J / (1 + J) for their ratio J."""
    hit = int(confusion[positive, positive])
    return hit, int(confusion[positive].sum() + confusion[:, positive].sum()) - hit


def majority_share(confusion: Matrix) -> float:
    """Accuracy of always answering the most frequent class: what chance means for accuracy. Needs rows."""
    return float(confusion.sum(axis=1).max() / confusion.sum())


def _ratio(numerator: FloatVector, denominator: Matrix) -> FloatVector:
    return np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=denominator > 0)
