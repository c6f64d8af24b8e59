"""What people read about one embedded column: how its window differs from the reference, from counts alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.statistics.distances import kolmogorov_smirnov, total_variation
from mlmon_sidecar.statistics.embedding_space import EMBEDDING_UNIT, FREQUENCIES, PARTS, WAVE_UNIT

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector, IntVector
    from mlmon_sidecar.statistics.embedding_space import EmbeddingCells

CLEAR_LENGTHS = 4.0  # the reference's mean must be so many standard errors of the window's long to be a direction


@dataclass(frozen=True, slots=True)
class EmbeddingFigures:
    """One column over one window. None: no rows, or not defined.

    Attributes:
        rows: with a vector.
        cluster_tv: total variation of the shares of the clusters, in [0, 1].
        distance_ks: Kolmogorov-Smirnov of the distances to the nearest centroid; positive where they grew.
        centroid_cosine: of the mean vectors, in [-1, 1]; None where the reference has no direction that so few rows
            could show.
        mmd: maximum mean discrepancy in a Gaussian kernel, in [0, 1.5], chance taken out; by random Fourier features.
    """

    rows: int
    cluster_tv: float | None
    distance_ks: float | None
    centroid_cosine: float | None
    mmd: float | None


def embedding_figures(cells: EmbeddingCells, reference: IntVector, current: IntVector) -> EmbeddingFigures:
    """Both vectors are (layout.size,) counts."""
    rows, before = int(current[cells.clusters].sum()), int(reference[cells.clusters].sum())
    return EmbeddingFigures(
        rows=rows,
        cluster_tv=total_variation(reference[cells.clusters], current[cells.clusters]),
        distance_ks=_signed_ks(reference[cells.distances], current[cells.distances]),
        centroid_cosine=_cosine(cells, reference, current, rows) if rows and before else None,
        mmd=_discrepancy(cells, reference, current, rows, before) if rows > 1 and before > 1 else None,
    )


def _signed_ks(before: IntVector, after: IntVector) -> float | None:
    distance = kolmogorov_smirnov(before, after)
    if distance is None:
        return None
    gaps = np.cumsum(before) / before.sum() - np.cumsum(after) / after.sum()
    return distance if gaps[np.argmax(np.abs(gaps))] >= 0 else -distance


def _cosine(cells: EmbeddingCells, reference: IntVector, current: IntVector, rows: int) -> float | None:
    """Unit vectors folded along random signs have a mean square of ``PARTS``: that is their scatter at most."""
    a = reference[cells.sums] / (int(reference[cells.clusters].sum()) * EMBEDDING_UNIT)
    b = current[cells.sums] / (rows * EMBEDDING_UNIT)
    squares = float(a @ a), float(b @ b)
    if squares[1] == 0 or squares[0] < CLEAR_LENGTHS**2 * PARTS / rows:
        return None
    return float(a @ b) / math.sqrt(squares[0] * squares[1])


def _discrepancy(cells: EmbeddingCells, reference: IntVector, current: IntVector, rows: int, before: int) -> float:
    """``mean |phi_p - phi_q|^2`` over the frequencies, less what two samples of one distribution differ by."""
    p, q = _waves(reference[cells.waves], before), _waves(current[cells.waves], rows)
    chance = sum((1 - np.abs(phi) ** 2) / (n - 1) for phi, n in ((p, before), (q, rows)))
    squares = np.abs(p - q) ** 2 - chance
    return math.sqrt(max(0.0, float(squares.mean())))


def _waves(sums: IntVector, rows: int) -> np.ndarray[tuple[int], np.dtype[np.complex128]]:
    """(FREQUENCIES,) of the empirical characteristic function."""
    parts: FloatVector = sums / (rows * WAVE_UNIT)
    found: np.ndarray[tuple[int], np.dtype[np.complex128]] = parts[:FREQUENCIES] + 1j * parts[FREQUENCIES:]
    return found
