"""Accuracy, precision, recall and F1 in every average, from counts alone: equal to scikit-learn's on the same rows.

Counts may be rows or fixed-point weights of any unit. A class that neither the model nor a label names does not enter
an average. Where a denominator is 0 the figure is ``zero_division`` (0 unless said otherwise), as in scikit-learn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from mlmon_sidecar.statistics.intervals import Z95, f1_interval, wilson

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector, IntVector

Average = Literal["micro", "macro", "weighted"]
Figure = Literal["precision", "recall", "f1"]


class Scores(NamedTuple):
    """Three figures, each in [0, 1]."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """Per class: ``both`` predicted and actual, ``said`` predicted, ``true`` actual; (K,) int64 each.

    Of a multi-class model each row is counted in one ``said`` and one ``true``; of a multi-label model in any number.
    """

    both: IntVector
    said: IntVector
    true: IntVector

    @classmethod
    def of_matrix(cls, matrix: IntVector) -> ClassCounts:
        """Of (K, K) counts, actual-major."""
        return cls(np.diag(matrix).copy(), matrix.sum(axis=0), matrix.sum(axis=1))

    def of_class(self, at: int, zero_division: float = 0.0) -> Scores:
        """One class against all others: scikit-learn's ``average="binary"`` with that class as the positive one."""
        both, said, true = (column[at : at + 1] for column in (self.both, self.said, self.true))
        return Scores(*(float(column[0]) for column in _scores(both, said, true, zero_division)))

    def average(self, how: Average, zero_division: float = 0.0) -> Scores:
        """Over all classes that occur. Without any, ``zero_division`` three times."""
        seen = (self.said > 0) | (self.true > 0)
        both, said, true = self.both[seen], self.said[seen], self.true[seen]
        if not seen.any():
            return Scores(zero_division, zero_division, zero_division)
        if how == "micro":
            both, said, true = (column.sum(keepdims=True) for column in (both, said, true))
        weights = true if how == "weighted" and true.any() else np.ones(len(both))
        return Scores(
            *(float(np.average(column, weights=weights)) for column in _scores(both, said, true, zero_division))
        )

    def interval(self, figure: Figure, at: int) -> tuple[float, float] | None:
        """95 % of one class: Wilson's; for F1 Wilson's on J = F1 / (2 - F1). None where the denominator is 0."""
        both, said, true = (int(column[at]) for column in (self.both, self.said, self.true))
        if figure == "f1":
            return f1_interval(both, said + true - 2 * both) if said + true else None
        total = said if figure == "precision" else true
        return wilson(both, total) if total else None


def accuracy(matrix: IntVector) -> float | None:
    """Share on the diagonal; None without rows."""
    total = int(matrix.sum())
    return int(np.trace(matrix)) / total if total else None


def average_interval(matrix: IntVector, figure: Figure, how: Average) -> tuple[float, float] | None:
    """95 % of an average over classes, by the delta method on the multinomial cells; None without rows.

    Each row of cell (i, j) moves the figure by its influence; their variance over n is the figure's. With ``micro`` all
    three are the accuracy, and the interval Wilson's. Small counts make it too narrow: below some 30 rows a class.
    """
    rows = int(matrix.sum())
    if not rows:
        return None
    if how == "micro":
        return wilson(int(np.trace(matrix)), rows)
    counts = ClassCounts.of_matrix(matrix)
    value = getattr(counts.average(how), figure)
    influence = _influence(matrix, counts, figure, how)
    share = matrix / rows
    variance = float((share * influence**2).sum() - (share * influence).sum() ** 2) / rows
    reach = Z95 * math.sqrt(max(0.0, variance))
    return max(0.0, value - reach), min(1.0, value + reach)


@dataclass(frozen=True, slots=True)
class LabelSets:
    """Rows of a multi-label model, counted.

    Attributes:
        classes: per label.
        rows: by (labels right, labels predicted, labels actual) of the row.
    """

    classes: ClassCounts
    rows: Mapping[tuple[int, int, int], int]

    def samples(self, zero_division: float = 0.0) -> Scores:
        """Mean over rows of each row's own figures: scikit-learn's ``average="samples"``."""
        if not self.rows:
            return Scores(zero_division, zero_division, zero_division)
        both, said, true = np.array(list(self.rows), dtype=np.int64).T
        weights = list(self.rows.values())
        return Scores(
            *(float(np.average(column, weights=weights)) for column in _scores(both, said, true, zero_division))
        )

    def exact(self) -> float | None:
        """Share of rows whose set is right as a whole: what scikit-learn calls their accuracy; None without rows."""
        total = sum(self.rows.values())
        right = sum(count for (both, said, true), count in self.rows.items() if both == said == true)
        return right / total if total else None


def _scores(both: IntVector, said: IntVector, true: IntVector, zero_division: float) -> tuple[FloatVector, ...]:
    return (
        _share(both, said, zero_division),
        _share(both, true, zero_division),
        _share(2 * both, said + true, zero_division),
    )


def _share(hits: IntVector, totals: IntVector, zero_division: float) -> FloatVector:
    return np.where(totals > 0, hits / np.maximum(totals, 1), zero_division)


def _influence(matrix: IntVector, counts: ClassCounts, figure: Figure, how: Average) -> FloatVector:
    """(K, K) derivative of the figure by the share of each cell."""
    rows, size = int(matrix.sum()), len(matrix)
    seen = (counts.said > 0) | (counts.true > 0)
    each = np.array(_scores(counts.both, counts.said, counts.true, 0.0)[("precision", "recall", "f1").index(figure)])
    weights = counts.true / rows if how == "weighted" else seen / seen.sum()
    right = np.eye(size)
    by_said = np.tile(np.arange(size), (size, 1))
    by_true = by_said.T
    spread = weights * rows
    if figure == "precision":
        part = spread / np.maximum(counts.said, 1)
        influence = part[by_said] * (right - each[by_said])
    elif figure == "recall":
        part = spread / np.maximum(counts.true, 1)
        influence = part[by_true] * (right - each[by_true])
    else:
        part = spread / np.maximum(counts.said + counts.true, 1)
        influence = 2 * right * part[by_said] - (part * each)[by_said] - (part * each)[by_true]
    moved: FloatVector = influence + (each[by_true] if how == "weighted" else 0.0)
    return moved
