"""Linear models of the numeric features by each other, fitted on half of the sample of rows.

Residuals are those of ridge regressions (Hoerl and Kennard, "Ridge regression: biased estimation for nonorthogonal
problems", 1970) on standardised columns: with ``K = (C + r I)^-1``, C their correlations, the coefficients of column t
are ``-K[t] / K[t, t]``. Only features of which the others tell something are told of, judged by models fitted on every
other row and asked about those between. The reference counts rows that no model was fitted on (``held_out``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.aggregate.joint import JointFigures, joint_units
from mlmon_sidecar.baseline.groups import closest
from mlmon_sidecar.statistics.embedding_space import embedded_columns, part_names
from mlmon_sidecar.statistics.joint_space import (
    ALL_TOGETHER,
    COEFFICIENT_UNIT,
    LARGEST_COEFFICIENT,
    MAX_JOINT_COLUMNS,
    JointResidual,
    JointSpace,
)
from mlmon_sidecar.statistics.layout import FIXED_POINT_UNIT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlmon_sidecar.baseline.row_sample import RowSample
    from mlmon_sidecar.records import FloatVector, IntVector
    from mlmon_sidecar.statistics.layout import Layout, NumericFeature

LOOKED_AT = 512  # columns, the first ones
ROWS_PER_COLUMN = 20
LARGEST_NULL_SHARE = 0.1  # a column that is missing more often would leave few complete rows
RIDGE = 0.01  # of a correlation matrix, whose diagonal is 1
TOLD = 0.1  # share of a feature's variance that the others must tell
MAX_RESIDUALS = 20  # the best told
MAIN = 0.8  # share of the variance that the main directions hold
DECILES = tuple(k / 10 for k in range(1, 10))


def joint_space(layout: Layout, sample: RowSample) -> JointSpace | None:
    """None where fewer than two columns fit, or there are fewer than 20 complete rows for each."""
    features = _candidates(layout, sample)
    values = sample.fitted([feature.name for feature in features])
    while len(features) >= 2:
        complete = np.isfinite(values).all(axis=0)
        fits = min(MAX_JOINT_COLUMNS, int(complete.sum()) // ROWS_PER_COLUMN)
        if len(features) <= fits:
            return _fitted(features, values[:, complete])
        features, values = features[: max(fits, len(features) // 2)], values[: max(fits, len(features) // 2)]
    return None


def _candidates(layout: Layout, sample: RowSample) -> list[NumericFeature]:
    """Columns that vary and are mostly there, those that go with others most closely first."""
    parts = {part for column in embedded_columns(layout.cells) for part in part_names(column)}
    named = [feature for feature, _ in layout.numeric() if feature.name not in parts and feature.name != ALL_TOGETHER]
    features = named[:LOOKED_AT]
    values = sample.fitted([feature.name for feature in features])
    if not values.size:
        return []
    known = np.isfinite(values)
    varies = np.array([len(np.unique(row[held])) > 1 for row, held in zip(values, known, strict=True)])
    fit = np.flatnonzero(varies & (known.mean(axis=1) >= 1 - LARGEST_NULL_SHARE))
    features, values = [features[at] for at in fit], values[fit]
    order = np.argsort(-closest(values), kind="stable")
    return [features[at] for at in order]


def _fitted(features: Sequence[NumericFeature], values: FloatVector) -> JointSpace:
    """From (columns, rows) without a gap."""
    center = np.array([[feature.center] for feature in features])
    scale = np.array([[feature.scale] for feature in features])
    units = joint_units(values, center, scale)
    spread = np.maximum(units.std(axis=1), 1.0)  # some may be constant to a thousandth of their scale
    told = _told(units)
    chosen = [at for at in np.argsort(-told, kind="stable").tolist() if told[at] >= TOLD][:MAX_RESIDUALS]
    columns = tuple(feature.name for feature in features)
    coefficients = _coefficients(units, spread)
    unedged = JointSpace(
        columns=columns,
        residuals=tuple(JointResidual(columns[at], _as_row(coefficients[at]), ()) for at in chosen),
        rest=tuple(map(_as_row, _rest(units, spread))),
        error_edges=(),
    )
    *edges, error_edges = map(_deciles, JointFigures(unedged).of(units))
    residuals = tuple(
        JointResidual(each.name, each.coefficients, cut) for each, cut in zip(unedged.residuals, edges, strict=True)
    )
    return JointSpace(columns, residuals, unedged.rest, error_edges)


def _coefficients(units: FloatVector, spread: FloatVector) -> FloatVector:
    """(columns, columns): of each its residual, in the columns' own units."""
    precision = np.linalg.inv(_correlations(units, spread) + RIDGE * np.eye(len(units)))
    scaled = precision / np.diag(precision)[:, None]  # of standardised columns: 1, and minus the coefficients
    found: FloatVector = scaled * spread[:, None] / spread[None, :]
    return found


def _told(units: FloatVector) -> FloatVector:
    """(columns,) share of each one's variance that the others tell, in rows that the model was not fitted on."""
    halves = np.arange(units.shape[1]) % 2
    left = np.zeros(len(units))
    for half in (0, 1):
        seen, asked = units[:, halves == half], units[:, halves != half]
        spread = np.maximum(seen.std(axis=1), 1.0)
        residual = _coefficients(seen, spread) @ (asked - seen.mean(axis=1)[:, None])
        left += (residual**2).sum(axis=1)
    told: FloatVector = 1 - left / np.maximum(((units - units.mean(axis=1)[:, None]) ** 2).sum(axis=1), 1.0)
    return told


def _rest(units: FloatVector, spread: FloatVector) -> FloatVector:
    """(columns, columns) projection of standardised columns onto the directions of least variance."""
    size, directions = np.linalg.eigh(_correlations(units, spread))  # ascending
    held = np.cumsum(size[::-1]) / size.sum()
    main = min(len(size) - 1, int(np.searchsorted(held, MAIN)) + 1)
    least = directions[:, : len(size) - main]
    found: FloatVector = least @ least.T * (FIXED_POINT_UNIT / spread)[None, :]
    return found


def _correlations(units: FloatVector, spread: FloatVector) -> FloatVector:
    standard = (units - units.mean(axis=1)[:, None]) / spread[:, None]
    found: FloatVector = standard @ standard.T / units.shape[1]
    return found


def _as_row(values: FloatVector) -> tuple[int, ...]:
    whole = np.rint(np.clip(values, -LARGEST_COEFFICIENT, LARGEST_COEFFICIENT) * COEFFICIENT_UNIT)
    return tuple(map(int, whole))


def _deciles(figure: FloatVector) -> tuple[int, ...]:
    edges: IntVector = np.unique(np.rint(np.quantile(figure, DECILES)))
    return tuple(map(int, edges))
