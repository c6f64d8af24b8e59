"""A bounded sample of rows, for what columns have to do with time and with each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.baseline.columns import number_of, rank_correlation

if TYPE_CHECKING:
    from mlmon_sidecar.aggregate.samples import Hashes
    from mlmon_sidecar.baseline.rows import Rows
    from mlmon_sidecar.records import FloatVector


class RowSample:
    """Rows whose hash is smallest, each distinct one once: which rows does not depend on their order."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._hashes: Hashes = np.zeros(0, dtype=np.uint64)
        self._time: FloatVector = np.zeros(0)
        self._values: dict[str, FloatVector] = {}

    def add(self, rows: Rows) -> None:
        hashes = np.concatenate((self._hashes, rows.hashes))
        _, kept = np.unique(hashes, return_index=True)  # ascending in hash
        kept = kept[: self._size]
        before = len(self._hashes)
        stays, comes = kept[kept < before], kept[kept >= before] - before
        if not len(comes):
            return
        self._hashes = np.concatenate((self._hashes[stays], rows.hashes[comes]))
        self._time = np.concatenate((self._time[stays], rows.batch.event_ns[comes].astype(np.float64)))
        at = comes.tolist()
        absent_before, absent_now = np.full(len(stays), np.nan), np.full(len(at), np.nan)
        for name in {*self._values, *rows.batch.features}:
            column = rows.batch.features.get(name)
            held = self._values[name][stays] if name in self._values else absent_before
            new = absent_now if column is None else np.array([number_of(column[k]) for k in at])
            self._values[name] = np.concatenate((held, new))

    def correlation(self, name: str) -> float:
        """Spearman's, of a column with time; 0 where it is not known."""
        values = self._values.get(name, np.zeros(0))
        known = np.isfinite(values)
        if known.sum() < 3:
            return 0.0
        order = np.argsort(self._hashes[known])  # the same sums for the same rows
        return rank_correlation(values[known][order], self._time[known][order])

    def matrix(self, names: Sequence[str]) -> FloatVector:
        """(names, rows) values, NaN where there is no finite number. Equal tables give equal bytes."""
        order = np.argsort(self._hashes)
        absent = np.full(len(order), np.nan)
        return np.array([self._values.get(name, absent)[order] for name in names]).reshape(len(names), len(order))

    def fitted(self, names: Sequence[str]) -> FloatVector:
        """The half of the rows that models of them are fitted on, as ``matrix`` has them."""
        return self.matrix(names)[:, : len(self._hashes) // 2]
