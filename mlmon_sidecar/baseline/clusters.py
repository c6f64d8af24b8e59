"""Centroids of vectors: Lloyd's algorithm, begun as k-means++ has it.

Sources: Lloyd, "Least squares quantization in PCM" (1982); Arthur and Vassilvitskii, "k-means++: the advantages of
careful seeding" (2007).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector, IntVector

STARTS = 4  # the tightest counts
ROUNDS = 50  # centroids hardly move any more long before


def centroids(points: FloatVector, clusters: int, seed: int = 0) -> FloatVector:
    """(at most clusters, dimensions), fewer where the points have fewer distinct values. Equal points give equal ones.

    Args:
        points: (rows, dimensions), at least one.

    >>> sorted(centroids(np.array([[0.0], [0.2], [9.0], [9.2]]), 2).round(3).ravel().tolist())
    [0.1, 9.1]
    """
    rng = np.random.default_rng(seed)
    tried = [_settled(points, _seeded(points, clusters, rng)) for _ in range(STARTS)]
    return min(tried, key=lambda centers: float(((points - centers[_nearest(points, centers)]) ** 2).sum()))


def _settled(points: FloatVector, centers: FloatVector) -> FloatVector:
    for _ in range(ROUNDS):
        near = _nearest(points, centers)
        counts = np.bincount(near, minlength=len(centers))
        sums = np.stack([np.bincount(near, column, len(centers)) for column in points.T], axis=1)
        moved = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centers)
        if np.array_equal(moved, centers):
            break
        centers = moved
    return centers


def _nearest(points: FloatVector, centers: FloatVector) -> IntVector:
    """(rows,) index of the nearest center."""
    near: IntVector = ((centers**2).sum(axis=1) - 2 * points @ centers.T).argmin(axis=1)
    return near


def _seeded(points: FloatVector, clusters: int, rng: np.random.Generator) -> FloatVector:
    """Each next center is a point, drawn by its squared distance from those there are."""
    chosen = [points[rng.integers(len(points))]]
    away = ((points - chosen[0]) ** 2).sum(axis=1)
    while len(chosen) < clusters and away.sum() > 0:
        chosen.append(points[rng.choice(len(points), p=away / away.sum())])
        away = np.minimum(away, ((points - chosen[-1]) ** 2).sum(axis=1))
    return np.array(chosen)
