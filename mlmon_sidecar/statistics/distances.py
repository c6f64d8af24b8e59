"""How far apart two histograms on the same bins are. Figures to read: alarms rest on the detector, not on these."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlmon_sidecar.records import FloatVector, IntVector

    IntTable = NDArray[np.int64]

PSI_FLOOR = 1e-4  # an empty bin counts as this share, else PSI is infinite


def kolmogorov_smirnov(reference: IntVector, current: IntVector) -> float | None:
    """Largest difference of the cumulated shares over the bin edges, in [0, 1]; at most the exact statistic.

    None where either side is empty.

    >>> import numpy as np
    >>> kolmogorov_smirnov(np.array([10, 10]), np.array([15, 5]))
    0.25
    """
    shares = _shares(reference, current)
    return None if shares is None else float(np.abs(np.cumsum(shares[0] - shares[1])).max())


def total_variation(reference: IntVector, current: IntVector) -> float | None:
    """Half the sum of absolute differences, in [0, 1]. None where either side is empty.

    >>> import numpy as np
    >>> total_variation(np.array([10, 10, 0]), np.array([5, 5, 10]))
    0.5
    """
    shares = _shares(reference, current)
    return None if shares is None else float(np.abs(shares[0] - shares[1]).sum() / 2)


def population_stability(reference: IntVector, current: IntVector) -> float | None:
    """PSI, ``sum (p - q) ln(p / q)`` with shares of at least 1e-4; 0 or more. None where either side is empty.

    >>> import numpy as np
    >>> population_stability(np.array([10, 10]), np.array([10, 10]))
    0.0
    """
    shares = _shares(reference, current)
    if shares is None:
        return None
    p, q = (np.maximum(side, PSI_FLOOR) for side in shares)
    return float(((p - q) * np.log(p / q)).sum())


def kolmogorov_smirnov_rows(reference: IntTable, current: IntTable) -> FloatVector:
    """``kolmogorov_smirnov`` of each row: (rows, bins) counts to (rows,) distances; NaN where either side is empty."""
    difference = _row_shares(reference) - _row_shares(current)
    distances: FloatVector = np.abs(np.cumsum(difference, axis=1)).max(axis=1, initial=0.0)
    return distances


def total_variation_rows(reference: IntTable, current: IntTable) -> FloatVector:
    """``total_variation`` of each row, as above."""
    distances: FloatVector = np.abs(_row_shares(reference) - _row_shares(current)).sum(axis=1) / 2
    return distances


def _row_shares(counts: IntTable) -> NDArray[np.float64]:
    sums = counts.sum(axis=1, keepdims=True).astype(np.float64)
    shares: NDArray[np.float64] = counts / np.where(sums == 0, np.nan, sums)
    return shares


def _shares(reference: IntVector, current: IntVector) -> tuple[FloatVector, FloatVector] | None:
    sums = int(reference.sum()), int(current.sum())
    if not all(sums):
        return None
    return reference / sums[0], current / sums[1]
