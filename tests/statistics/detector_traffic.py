"""Seeded traffic straight into the cells a detector reads, for the detector's simulations."""

import numpy as np
from scipy.special import ndtr, ndtri

from mlmon_sidecar.records import WEIGHT_UNIT
from mlmon_sidecar.statistics.layout import Layout, NumericFeature, PredictionSpace
from mlmon_sidecar.statistics.reference import Reference

EDGES = tuple(float(x) for x in ndtri(np.arange(1, 50) / 50))
ALARM = tuple(range(4, 49, 5))


def normal_layout(features: int) -> Layout:
    columns = tuple(NumericFeature(f"x{k}", EDGES, ALARM, -3.1, 3.1, 0.0, 1.0) for k in range(features))
    return Layout("m", columns, PredictionSpace("none"))


def normal_counts(
    layout: Layout, rng: np.random.Generator, rows: int, shift: dict[str, float] | None = None, nulls: float = 0.0
) -> np.ndarray:
    """Rows of independent standard normals, those named in ``shift`` moved, each value null with some probability."""
    vector = np.zeros(layout.size, np.int64)
    vector[layout.traffic.rows] = rows
    vector[layout.traffic.rows + 1] = rows * WEIGHT_UNIT
    cuts = np.array(EDGES)[list(ALARM)]
    for feature, cells in layout.numeric():
        missing = int(rng.binomial(rows, nulls)) if nulls else 0
        below = ndtr(cuts - (shift or {}).get(feature.name, 0.0))
        shares = np.diff(np.concatenate(([0.0], below, [1.0])))
        vector[cells.alarm] = rng.multinomial(rows - missing, shares) * WEIGHT_UNIT
        vector[cells.null] = missing
        vector[cells.null + 1] = missing * WEIGHT_UNIT
    return vector


def normal_reference(layout: Layout, rows: int = 20_000, tau: float = 0.0, nulls: float = 0.0) -> Reference:
    vector = normal_counts(layout, np.random.default_rng(1), rows, nulls=nulls)
    return Reference(layout.hash, "v1", vector, hours=1000, tau={"*": tau})
