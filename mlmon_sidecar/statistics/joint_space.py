"""How numeric features are counted together, so that a change of their dependence shows while each stays as it was.

Each row's features are whole multiples q of 1/1024 of their own scale (``layout.FIXED_POINT_UNIT``), at most
``JOINT_CLIP``. A *residual* is what a linear model of the others leaves of one feature; the *error* is what the main
directions (principal components) leave of all. Coefficients are whole multiples of 1 / ``COEFFICIENT_UNIT``. Every sum
stays below 2**53: exact in whatever order it is added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

JOINT_CLIP = 8 << 10  # eight scales: a value far out says little of dependence and would say it loudly
COEFFICIENT_UNIT = 1 << 12
LARGEST_COEFFICIENT = 64
MAX_JOINT_COLUMNS = 64
ALL_TOGETHER = "(all together)"
"""Name of the unit that the error is."""


@dataclass(frozen=True, slots=True)
class JointResidual:
    """What the others leave of a feature.

    Attributes:
        name: of the feature.
        coefficients: (columns,) the feature's own is ``COEFFICIENT_UNIT``, those of the others are subtracted.
        edges: ascending; bins ``r <= edges[0]``, ..., ``r > edges[-1]``.
    """

    name: str
    coefficients: tuple[int, ...]
    edges: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class JointSpace:
    """Features that are counted together, in rows that have all of them.

    Attributes:
        columns: numeric features, 2 to ``MAX_JOINT_COLUMNS``.
        rest: (columns, columns) projection onto what the main directions leave.
        error_edges: ascending, of the squared length of that.
    """

    columns: tuple[str, ...]
    residuals: tuple[JointResidual, ...]
    rest: tuple[tuple[int, ...], ...]
    error_edges: tuple[int, ...]

    @property
    def edges(self) -> Mapping[str, tuple[int, ...]]:
        """Of each unit, residuals first."""
        return {each.name: each.edges for each in self.residuals} | {ALL_TOGETHER: self.error_edges}

    def members(self, unit: str) -> tuple[str, ...]:
        """The features that a unit is about: of a residual its own, then those that tell a tenth or more of it."""
        for each in self.residuals:
            if each.name == unit:
                strong = [
                    (-abs(c), name) for name, c in zip(self.columns, each.coefficients, strict=True)
                    if name != unit and 10 * abs(c) >= COEFFICIENT_UNIT
                ]  # fmt: skip
                return (unit, *(name for _, name in sorted(strong)))
        return self.columns

    @classmethod
    def from_document(cls, item: Mapping[str, Any]) -> JointSpace:
        """Raises ``KeyError``, ``TypeError`` or ``ValueError`` for anything that is no such space."""
        columns = tuple(item["columns"])
        residuals = tuple(
            JointResidual(each["name"], _row(each["coefficients"], len(columns)), tuple(map(int, each["edges"])))
            for each in item["residuals"]
        )
        rest = tuple(_row(row, len(columns)) for row in item["rest"])
        if not 2 <= len(columns) == len(rest) <= MAX_JOINT_COLUMNS or ALL_TOGETHER in columns:
            raise ValueError("columns that are counted together do not fit")
        return cls(columns, residuals, rest, tuple(map(int, item["error_edges"])))


@dataclass(frozen=True, slots=True)
class JointCells:
    """Of one unit."""

    bins: slice  # rows, len(edges) + 1
    alarm: slice  # weight, the same


def joint_cells(space: JointSpace, start: int) -> dict[str, JointCells]:
    """The cells of each unit from ``start`` on."""
    found = {}
    for name, edges in space.edges.items():
        middle, end = start + len(edges) + 1, start + 2 * (len(edges) + 1)
        found[name] = JointCells(slice(start, middle), slice(middle, end))
        start = end
    return found


def _row(values: Sequence[int], width: int) -> tuple[int, ...]:
    row = tuple(map(int, values))
    if len(row) != width or any(abs(value) > LARGEST_COEFFICIENT * COEFFICIENT_UNIT for value in row):
        raise ValueError("a row of coefficients does not fit its columns")
    return row
