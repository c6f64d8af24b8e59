"""Which figure of labelled predictions is watched, as a share of counts.

Every metric is a share: of all answers those that are right (accuracy), of the predicted positives those that are
(precision), of the actual positives those that were found (recall), of all that are positive either way those that are
both (J, the Jaccard index), which F1 is a function of: ``F1 = 2 J / (1 + J)``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.records import OutcomeCell
from mlmon_sidecar.statistics.intervals import wilson

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector

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

    def chance(self, matrix: IntVector, classes: tuple[str, ...]) -> float:
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

    def interval(self, hits: int, total: int) -> tuple[float, float]:
        """95 % interval of the figure people read; ``total`` > 0."""
        low, high = wilson(hits, total)
        return self.shown(low), self.shown(high)

    def _member(self, predicted: str, actual: str) -> tuple[bool, bool]:
        if self.name == "accuracy":
            return predicted == actual, True
        said, true = predicted == self.positive, actual == self.positive
        member = {"precision": said, "recall": true, "f1": said or true}[self.name]
        return said and true, member


def new_counts(metric: Metric, cells: Iterable[OutcomeCell]) -> tuple[int, int]:
    """(hits, total) of labels that came for the first time, from signed gains of several days.

    A correction moves a count from one cell to another and is no new label: day by day the two cancel out, and what is
    left of a day is never negative.
    """
    days: dict[int, list[OutcomeCell]] = {}
    for cell in cells:
        days.setdefault(cell.day, []).append(cell)
    pairs = []
    for gained in days.values():
        hits, total = metric.counts(gained)
        total = max(0, total)
        pairs.append((min(max(0, hits), total), total))
    sums = np.array(pairs, np.int64).reshape(-1, 2).sum(axis=0)
    return int(sums[0]), int(sums[1])
