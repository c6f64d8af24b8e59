"""A fixed grid for scores in [0, 1], the same for every model and version.

Bins are even in log-odds, 1/1024 apart, from -16 to 16, and exactly 0 and 1 stand alone: fine where probabilities are
small or large.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector, IntVector

STEPS = 1024  # bins in one unit of log-odds
LAST_BIN = 16 * STEPS  # |log-odds| beyond 16 (1e-7) count as 16; 0 and 1 are the bins beyond
LOSS_UNIT = 1 << 20  # sums of losses are in units of 2**-20
SMALLEST = 2.0**-52  # a probability below it counts as it, as in scikit-learn


def bin_of(score: FloatVector) -> IntVector:
    """(rows,) bins of scores in [0, 1]."""
    with np.errstate(divide="ignore"):
        odds = np.log(score / np.where(score < 1, 1 - score, 0.0)) if score.size else score
    bins: IntVector = np.clip(np.round(np.clip(odds, -17, 17) * STEPS), -LAST_BIN, LAST_BIN).astype(np.int64)
    return np.where(score <= 0, -LAST_BIN - 1, np.where(score >= 1, LAST_BIN + 1, bins))


def score_of(bins: IntVector) -> FloatVector:
    """(bins,) the score that stands for each."""
    inner = 1 / (1 + np.exp(-bins / STEPS))
    scores: FloatVector = np.where(bins < -LAST_BIN, 0.0, np.where(bins > LAST_BIN, 1.0, inner))
    return scores
