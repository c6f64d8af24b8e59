"""What predictions should turn out to be, class by class, from the confidence they came with.

Rows are counted by confidence bin and predicted class. ``right`` says how often each such row is right; the wrong ones
turn out as the wrong ones of the reference did, in shares of the other classes. With two classes nothing is assumed by
that: a wrong answer is the other class. It sees shifts of the inputs; not that the meaning of a confidence has changed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.statistics.calibration import Estimate, calibrate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlmon_sidecar.records import FloatVector, IntVector


@dataclass(frozen=True, eq=False)
class ClassCalibration:
    """Of K classes and B confidence bins.

    Attributes:
        right: (K, B) P(a row predicted so is right | bin).
        behind: (K, B) labelled rows behind each.
        wrong: (K, K) shares of the actual classes among the wrong rows predicted so; predicted-major, diagonal 0.
        wrong_rows: (K,) labelled rows behind each line of ``wrong``.
    """

    right: NDArray[np.float64]
    behind: NDArray[np.float64]
    wrong: NDArray[np.float64]
    wrong_rows: FloatVector

    @classmethod
    def of(
        cls, right: Sequence[Sequence[float]], behind: NDArray[np.float64], confusion: Sequence[Sequence[int]]
    ) -> ClassCalibration:
        """``confusion``: (K, K) reference counts, actual-major. A class that was never wrong is wrong as often as the
        others are frequent."""
        missed = np.array(confusion, np.float64).T.copy()
        frequent = np.array(confusion, np.float64).sum(axis=1)
        np.fill_diagonal(missed, 0.0)
        rows = missed.sum(axis=1)
        others = np.tile(frequent, (len(frequent), 1))
        np.fill_diagonal(others, 0.0)
        shares = np.where(rows[:, None] > 0, missed, others)
        return cls(np.array(right), behind, shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-300), rows)


def calibrate_classes(hits: IntVector, rows: IntVector) -> tuple[tuple[float, ...], ...]:
    """(K, B) of (K, B) labelled rows and those that were right; a class without labelled rows goes by all classes."""
    together = calibrate(hits.sum(axis=0), rows.sum(axis=0))
    found = [calibrate(hits[k], rows[k]) if rows[k].any() else together for k in range(len(rows))]
    return tuple(tuple(map(float, line)) for line in found)


def expected_matrix(table: IntVector, known: ClassCalibration) -> NDArray[np.float64]:
    """(K, K) rows to be expected, actual-major, of (K, B) rows by predicted class and confidence bin."""
    right = (table * known.right).sum(axis=1)
    wrong = (table.sum(axis=1) - right)[:, None] * known.wrong
    matrix: NDArray[np.float64] = (wrong + np.diag(right)).T
    return matrix


def class_estimates(table: IntVector, known: ClassCalibration, positive: int | None) -> Mapping[str, Estimate]:
    """Accuracy, precision, recall and F1 with one standard error each; those of one class, or their mean over the
    classes that occur. Figures whose denominator is 0 are missing.

    A row predicted j moves a figure by ``v[j, k]`` where it turns out to be k. The outcomes add the variance of v over
    k to that of the figure, and what was learned from few rows its own.
    """
    matrix = expected_matrix(table, known)
    found = {}
    for name in ("accuracy", "precision", "recall", "f1"):
        value = _figure(name, matrix, positive)
        if value is not None:
            found[name] = Estimate(value[0], _error(table, known, value[1]))
    return found


def _figure(name: str, matrix: NDArray[np.float64], positive: int | None) -> tuple[float, NDArray[np.float64]] | None:
    """The figure, and v: (K, K), predicted-major."""
    size = len(matrix)
    both, true, said = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    eye = np.eye(size)
    if name == "accuracy":
        rows = float(matrix.sum())
        return (float(both.sum()) / rows, eye / rows) if rows > 0 else None
    total = {"precision": said, "recall": true, "f1": said + true}[name]
    part = (total > 0) if positive is None else (total > 0) & (np.arange(size) == positive)
    if not part.any():
        return None
    safe = np.where(part, total, 1.0)
    share = np.where(part, (2 if name == "f1" else 1) * both / safe, 0.0)
    weight = part / part.sum() / safe
    hit = (2 if name == "f1" else 1) * eye * weight
    moved = hit if name == "precision" else hit - share * weight
    return float(share[part].mean()), np.asarray(moved, np.float64)


def _error(table: IntVector, known: ClassCalibration, moved: NDArray[np.float64]) -> float:
    rows = table.astype(np.float64)
    own, others = np.diag(moved)[:, None], (known.wrong * moved).sum(axis=1)[:, None]
    scatter = (known.wrong * moved**2).sum(axis=1)[:, None]
    g = known.right
    mean = g * own + (1 - g) * others
    outcomes = float((rows * (g * own**2 + (1 - g) * scatter - mean**2)).sum())
    learned = float(((rows * (own - others)) ** 2 * g * (1 - g) / np.maximum(known.behind, 1.0)).sum())
    wrong = (rows * (1 - g)).sum(axis=1)
    spread = scatter[:, 0] - others[:, 0] ** 2
    mixed = float((wrong**2 * spread / np.maximum(known.wrong_rows, 1.0)).sum())
    return math.sqrt(max(0.0, outcomes) + learned + max(0.0, mixed))
