"""Cells of features that are counted together: residuals and error, in rows that have all of the features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.aggregate.convert import VALID
from mlmon_sidecar.aggregate.tally import fixed_point
from mlmon_sidecar.statistics.joint_space import COEFFICIENT_UNIT, JOINT_CLIP

if TYPE_CHECKING:
    from mlmon_sidecar.aggregate.convert import Codes
    from mlmon_sidecar.aggregate.tally import Tally
    from mlmon_sidecar.records import FloatVector
    from mlmon_sidecar.statistics.joint_space import JointSpace
    from mlmon_sidecar.statistics.layout import Layout


class JointCounter:
    """Counts what ``layout.joint`` says; nothing where it says nothing."""

    def __init__(self, layout: Layout) -> None:
        self._space, self._cells = layout.joint, list(layout.joint_cells.values())
        self.lines = 2 * len(self._cells)  # of a tally
        if layout.joint is None:
            return
        at = {feature.name: row for row, (feature, _) in enumerate(layout.numeric())}
        features = [feature for feature, _ in layout.numeric()]
        self._rows = np.array([at[name] for name in layout.joint.columns])
        self._center = np.array([[features[row].center] for row in self._rows])
        self._scale = np.array([[features[row].scale] for row in self._rows])
        self._figures = JointFigures(layout.joint)
        self._edges = [np.array(edges, dtype=np.float64) for edges in layout.joint.edges.values()]

    def count(self, tally: Tally, values: FloatVector, codes: Codes | None) -> None:
        """``values`` and ``codes`` of the numeric features, as ``to_matrix`` makes them."""
        if self._space is None:
            return
        there = 1 if codes is None else (codes[self._rows] == VALID).all(axis=0)
        figures = self._figures.of(joint_units(values[self._rows], self._center, self._scale))
        cell, amount = tally.lines(self.lines)
        for at, (cells, edges, figure) in enumerate(zip(self._cells, self._edges, figures, strict=True)):
            bins = edges.searchsorted(figure)
            cell[2 * at], cell[2 * at + 1] = bins + cells.bins.start, bins + cells.alarm.start
        amount[0::2], amount[1::2] = there, tally.weight * there


class JointFigures:
    """Residuals and error of rows, whole numbers held in doubles, below 2**53."""

    def __init__(self, space: JointSpace) -> None:
        width = len(space.columns)
        rows = [each.coefficients for each in space.residuals]
        self._residuals = np.array(rows, dtype=np.float64).reshape(-1, width)
        self._rest = np.array(space.rest, dtype=np.float64)

    def of(self, units: FloatVector) -> FloatVector:
        """(residuals + 1, rows) from (columns, rows), in the order of ``JointSpace.edges``."""
        rest = np.rint(self._rest @ units / COEFFICIENT_UNIT)
        figures: FloatVector = np.concatenate((self._residuals @ units, (rest**2).sum(axis=0, keepdims=True)))
        return figures


def joint_units(values: FloatVector, center: FloatVector, scale: FloatVector) -> FloatVector:
    """(columns, rows) whole numbers from as many values; ``center`` and ``scale`` (columns, 1)."""
    return np.clip(fixed_point(values, center, scale), -JOINT_CLIP, JOINT_CLIP)
