"""The bins of many features as rows of one table: a thousand distances then cost little more than one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlmon_sidecar.records import IntVector


@dataclass(frozen=True, eq=False)
class BinTable:
    """Where the bins of each feature lie in a vector.

    Attributes:
        names: one a row.
        cells: (rows, widest) positions in the vector; anything beyond a feature's last bin.
        inside: (rows, widest) whether there is a bin.
    """

    names: tuple[str, ...]
    cells: NDArray[np.int64]
    inside: NDArray[np.bool_]

    @classmethod
    def of(cls, bins: Iterable[tuple[str, slice]]) -> BinTable:
        """
        >>> BinTable.of([("a", slice(1, 3)), ("b", slice(3, 6))]).counts(np.array([9, 1, 2, 3, 4, 5])).tolist()
        [[1, 2, 0], [3, 4, 5]]
        """
        named = list(bins)
        starts = np.array([span.start for _, span in named], dtype=np.int64).reshape(-1, 1)
        ends = np.array([span.stop for _, span in named], dtype=np.int64).reshape(-1, 1)
        cells = starts + np.arange(int((ends - starts).max(initial=0)))
        inside = cells < ends
        return cls(tuple(name for name, _ in named), np.where(inside, cells, 0), inside)

    def counts(self, vector: IntVector) -> NDArray[np.int64]:
        """(rows, widest): 0 beyond a feature's last bin."""
        found: NDArray[np.int64] = np.where(self.inside, vector[self.cells], 0)
        return found
