"""AUC, average precision, log loss, Brier and calibration error of a binary score, from counts by bins of the score.

Scores of one bin (``statistics.score_grid``) count as equal; ``Ranked.auc_within`` bounds what that can do to AUC. Log
loss and Brier are not read off bins: each row adds its own, in units of 2**-20.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlmon_sidecar.statistics.intervals import Z95
from mlmon_sidecar.statistics.score_grid import LOSS_UNIT, SMALLEST, score_of

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector, IntVector

CALIBRATION_BINS = 10  # equal in probability, for the calibration error


class ScoreCell(NamedTuple):
    """Labelled rows of one score bin. Signed where a correction takes rows out."""

    bin: int  # -LAST_BIN - 1 (score 0) to LAST_BIN + 1 (score 1)
    negatives: int
    positives: int


class Losses(NamedTuple):
    """Sums over rows in units of 1 / LOSS_UNIT."""

    rows: int
    log_loss: int
    squared: int


@dataclass(frozen=True, slots=True)
class Ranked:
    """A figure is None where it is not defined: one class alone ranks nothing.

    Attributes:
        auc_within: AUC of the scores themselves differs from ``auc`` by no more than this.
        auc_error: one standard error (Hanley and McNeil, Radiology 143, 1982).
        calibration_error: mean over ten bins of |share of positives - mean score|, weighted by rows.
    """

    rows: int
    auc: float | None
    auc_within: float
    auc_error: float | None
    average_precision: float | None
    calibration_error: float | None


def losses_of(score: FloatVector, positive: IntVector) -> Losses:
    """Of rows with a score in [0, 1] and ``positive`` 0 or 1."""
    said = np.clip(np.where(positive == 1, score, 1 - score), SMALLEST, 1.0)
    squared = np.rint((score - positive) ** 2 * LOSS_UNIT)
    return Losses(len(score), int(np.rint(-np.log(said) * LOSS_UNIT).sum()), int(squared.sum()))


def ranked(cells: list[ScoreCell]) -> Ranked:
    """Cells of one bin may come in several pieces; none may be negative in sum."""
    bins, counts = _summed(cells)
    negatives, positives = counts
    n, p = int(negatives.sum()), int(positives.sum())
    total = n + p
    if not total:
        return Ranked(0, None, 0.0, None, None, None)
    calibration = _calibration_error(bins, negatives, positives)
    if not p or not n:
        return Ranked(total, None, 0.0, None, None if not p else 1.0, calibration)
    below = np.cumsum(negatives) - negatives
    ties = float(positives.astype(np.float64) @ negatives) / (2.0 * p * n)
    auc = float(positives.astype(np.float64) @ below) / p / n + ties
    return Ranked(total, auc, ties, _auc_error(auc, p, n), _average_precision(negatives, positives), calibration)


def auc_interval(found: Ranked) -> tuple[float, float] | None:
    """95 %, clipped to [0, 1]."""
    if found.auc is None or found.auc_error is None:
        return None
    reach = Z95 * found.auc_error
    return max(0.0, found.auc - reach), min(1.0, found.auc + reach)


def mean_loss(total: int, rows: float) -> float | None:
    """A sum of losses as a mean; None without rows."""
    return total / LOSS_UNIT / rows if rows > 0 else None


def _summed(cells: list[ScoreCell]) -> tuple[IntVector, tuple[IntVector, IntVector]]:
    table = np.array(cells, dtype=np.int64).reshape(-1, 3)
    bins, place = np.unique(table[:, 0], return_inverse=True)
    negatives, positives = np.zeros(len(bins), np.int64), np.zeros(len(bins), np.int64)
    np.add.at(negatives, place, table[:, 1])
    np.add.at(positives, place, table[:, 2])
    return bins, (negatives, positives)


def _average_precision(negatives: IntVector, positives: IntVector) -> float:
    """Rows of one bin count as one threshold, as equal scores do in scikit-learn."""
    hits, misses = np.cumsum(positives[::-1]), np.cumsum(negatives[::-1])
    found = hits + misses
    gained = positives[::-1].astype(np.float64)
    return float((gained * hits / np.maximum(found, 1)).sum() / hits[-1])


def _auc_error(auc: float, positives: int, negatives: int) -> float:
    twice, both = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    spread = auc * (1 - auc) + (positives - 1) * (twice - auc * auc) + (negatives - 1) * (both - auc * auc)
    return math.sqrt(max(0.0, spread) / (positives * negatives))


def _calibration_error(bins: IntVector, negatives: IntVector, positives: IntVector) -> float:
    scores, rows = score_of(bins), negatives + positives
    groups = np.minimum((scores * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    said = np.bincount(groups, weights=scores * rows, minlength=CALIBRATION_BINS)
    true = np.bincount(groups, weights=positives, minlength=CALIBRATION_BINS)
    return float(np.abs(said - true).sum() / rows.sum())
