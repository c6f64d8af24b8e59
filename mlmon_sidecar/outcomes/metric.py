"""Which figure of labelled predictions is watched, as a share of counts.

Every metric is a share: of all answers those that are right (accuracy), of the predicted positives those that are
(precision), of the actual positives those that were found (recall), of all that are positive either way those that are
both (J, the Jaccard index), which F1 is a function of: ``F1 = 2 J / (1 + J)``. Of numbers, those that are about right
(``outcomes.tolerance``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.outcomes.tolerance import Within
from mlmon_sidecar.records import OutcomeCell
from mlmon_sidecar.statistics.intervals import wilson

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector, IntVector

METRICS = ("accuracy", "precision", "recall", "f1")


@dataclass(frozen=True, slots=True)
class Metric:
    """``name`` is one of ``METRICS``; all but accuracy speak of one ``positive`` class."""

    name: str
    positive: str = ""

    def counts(self, cells: Iterable[OutcomeCell]) -> tuple[int, int]:
        """(hits, total): signed, as the cells are."""
        hits = total = 0
        for cell in cells:
            hit, member = self._member(cell.predicted, cell.actual)
            hits += cell.rows * hit
            total += cell.rows * member
        return hits, total

    def counts_of_matrix(self, matrix: IntVector, classes: tuple[str, ...]) -> tuple[int, int]:
        """The same of (K, K) counts, actual-major."""
        return self.counts(
            OutcomeCell("", 0, 0, predicted, actual, int(matrix[row, column]))
            for row, actual in enumerate(classes)
            for column, predicted in enumerate(classes)
        )

    def chance(self, matrix: IntVector | FloatVector, classes: tuple[str, ...]) -> float:
        """The share that answering without looking would reach: always the most frequent class (accuracy), always the
        positive one (precision and J), the positive one as often as the model says it (recall)."""
        if self.name == "accuracy":
            return float(matrix.sum(axis=1).max() / matrix.sum())
        at = classes.index(self.positive)
        said = matrix[:, at] if self.name == "recall" else matrix[at]
        return float(said.sum() / matrix.sum())

    def shown(self, share: float) -> float:
        """The figure people read, of a share."""
        return 2 * share / (1 + share) if self.name == "f1" else share

    def interval(self, hits: float, total: float) -> tuple[float, float]:
        """95 % interval of the figure people read; ``total`` > 0."""
        low, high = wilson(hits, total)
        return self.shown(low), self.shown(high)

    @property
    def parts(self) -> tuple[Metric, ...]:
        """The shares that are watched for it."""
        return (self,)

    def of_counts(self, counts: Sequence[float]) -> float | None:
        """The figure people read, of (hits, total); None where the total is 0."""
        return self.shown(counts[0] / counts[1]) if counts[1] > 0 else None

    def interval_of(self, counts: Sequence[float]) -> tuple[float, float] | None:
        """Its 95 % interval; None where the total is 0."""
        return self.interval(counts[0], counts[1]) if counts[1] > 0 else None

    def _member(self, predicted: str, actual: str) -> tuple[bool, bool]:
        if self.name == "accuracy":
            return predicted == actual, True
        said, true = predicted == self.positive, actual == self.positive
        member = {"precision": said, "recall": true, "f1": said or true}[self.name]
        return said and true, member


@dataclass(frozen=True, slots=True)
class Averaged:
    """Precision, recall or F1 of a model with several classes: the mean over the classes that occur (macro).

    A mean is no share of counts, so each class is watched by itself, and their mean is what people read.
    """

    name: str
    classes: tuple[str, ...]

    @property
    def parts(self) -> tuple[Metric, ...]:
        return tuple(Metric(self.name, positive) for positive in self.classes)

    def of_counts(self, counts: Sequence[float]) -> float | None:
        """Of (hits, total) of each class in turn; None where all totals are 0."""
        found = [
            part.of_counts(counts[2 * at : 2 * at + 2]) for at, part in enumerate(self.parts) if counts[2 * at + 1] > 0
        ]
        known = [value for value in found if value is not None]
        return sum(known) / len(known) if known else None

    def interval_of(self, counts: Sequence[float]) -> tuple[float, float] | None:
        """Classes taken as independent: their errors, by the width of their own intervals, add up in squares."""
        value = self.of_counts(counts)
        if value is None:
            return None
        own = [part.interval_of(counts[2 * at : 2 * at + 2]) for at, part in enumerate(self.parts)]
        widths = [(high - low) / 2 for low, high in (found for found in own if found is not None)]
        reach = math.sqrt(sum(width**2 for width in widths)) / len(widths)
        return max(0.0, value - reach), min(1.0, value + reach)


Watched = Metric | Averaged | Within
"""What a model is judged by."""


def counts_of(metric: Watched, cells: Sequence[OutcomeCell]) -> tuple[int, ...]:
    """(hits, total) of each part in turn; signed, as the cells are."""
    return tuple(count for part in metric.parts for count in part.counts(cells))


def new_counts(metric: Watched, cells: Iterable[OutcomeCell]) -> tuple[int, ...]:
    """(hits, total) of each part, of labels that came for the first time, from signed gains of several days.

    A correction moves a count from one cell to another and is no new label: day by day the two cancel out, and what is
    left of a day is never negative.
    """
    days: dict[int, list[OutcomeCell]] = {}
    for cell in cells:
        days.setdefault(cell.day, []).append(cell)
    parts: Sequence[Metric | Within] = metric.parts
    sums = np.zeros(2 * len(parts), np.int64)
    for gained in days.values():
        for at, part in enumerate(parts):
            hits, total = part.counts(gained)
            total = max(0, total)
            sums[2 * at : 2 * at + 2] += (min(max(0, hits), total), total)
    return tuple(map(int, sums))
