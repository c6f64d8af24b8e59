"""How the embedded columns of a layout are cut: centroids, deciles of the distance to them, frequencies of the waves.

Fitted on half of the sample of rows; what the reference counts are others (``held_out``).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.aggregate.embeddings import whole
from mlmon_sidecar.baseline.clusters import centroids
from mlmon_sidecar.statistics.embedding_space import (
    EMBEDDING_UNIT,
    FREQUENCIES,
    PARTS,
    TURN_BITS,
    EmbeddingSpace,
    embedded_columns,
    part_names,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlmon_sidecar.baseline.row_sample import RowSample
    from mlmon_sidecar.records import FloatVector

CLUSTERS = 24
ROWS_PER_CLUSTER = 50
LEAST_CLUSTERS = 2
MAX_COLUMNS = 32  # of them, the first are counted together
DECILES = tuple(k / 10 for k in range(1, 10))
SEED = 2002  # of the frequencies


def embedding_spaces(names: Sequence[str], sample: RowSample) -> tuple[EmbeddingSpace, ...]:
    """Of the embedded columns among ``names`` (numeric features) with enough rows that have all parts."""
    found = (_space(column, sample) for column in embedded_columns(names)[:MAX_COLUMNS])
    return tuple(space for space in found if space is not None)


def _space(column: str, sample: RowSample) -> EmbeddingSpace | None:
    values = sample.fitted(part_names(column))
    points = whole(values[:, np.isfinite(values).all(axis=0)]).T  # (rows, PARTS)
    clusters = min(CLUSTERS, len(points) // ROWS_PER_CLUSTER)
    if clusters < LEAST_CLUSTERS:
        return None
    centers = np.unique(np.rint(centroids(points, clusters)), axis=0)
    if len(centers) < LEAST_CLUSTERS:
        return None  # every vector is the same
    away = ((points[:, None, :] - centers) ** 2).sum(axis=2).min(axis=1)
    edges = np.unique(np.rint(np.quantile(away, DECILES)))
    return EmbeddingSpace(
        name=column,
        centroids=tuple(tuple(map(int, center)) for center in centers),
        edges=tuple(map(int, edges)),
        frequencies=_frequencies(points),
    )


def _frequencies(points: FloatVector) -> tuple[tuple[int, ...], ...]:
    """Those of a Gaussian kernel (Rahimi and Recht, "Random features for large-scale kernel machines", 2007) as wide as
    two vectors are usually apart."""
    half = len(points) // 2
    apart = np.sqrt(((points[:half] - points[half : 2 * half]) ** 2).sum(axis=1))
    width = float(np.median(apart)) or float(EMBEDDING_UNIT)
    drawn = np.random.default_rng(SEED).normal(size=(FREQUENCIES, PARTS)) / (2 * math.pi * width)
    return tuple(tuple(int(turns) for turns in row) for row in np.rint(drawn * 2**TURN_BITS))
