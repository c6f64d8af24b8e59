"""How far apart two histograms on the same bins are. Figures to read: alarms rest on the detector, not on these."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector, IntVector

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


def _shares(reference: IntVector, current: IntVector) -> tuple[FloatVector, FloatVector] | None:
    sums = int(reference.sum()), int(current.sum())
    if not all(sums):
        return None
    return reference / sums[0], current / sums[1]
