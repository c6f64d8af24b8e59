"""Cells of categorical features."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlmon_sidecar.statistics.layout import CategoricalCells, CategoricalFeature, category_token, hashed_token

if TYPE_CHECKING:
    from mlmon_sidecar.aggregate.tally import Tally

RedactCategory = Callable[[str, str], str]
"""(column name, token) -> the token as it may be counted and shown."""

MAX_REMEMBERED = 4096  # tokens of one feature whose cell is remembered; then the memory starts afresh


class Place(NamedTuple):
    """Where a value is counted."""

    rows: int  # cell
    weight: int  # cell
    new_token: str | None = None  # redacted; only where the layout has never seen it


class CategoricalCounter:
    """Counts one column of one feature."""

    def __init__(self, feature: CategoricalFeature, cells: CategoricalCells, redact: RedactCategory) -> None:
        self.name = feature.name
        self._redact = redact
        self._index: Mapping[str, int] = {token: at for at, token in enumerate(feature.categories)}
        self._known = frozenset(feature.known)
        self._categories, self._alarm = len(feature.categories), feature.alarm
        self._cells = cells
        self._null, self._invalid = Place(cells.null, cells.null + 1), Place(cells.invalid, cells.invalid + 1)
        self._remembered: dict[str, Place] = {}

    def count(self, tally: Tally, column: Sequence[object]) -> list[tuple[int, str]]:
        """Returns (group, redacted token) of each row whose category is new."""
        places = [self._place(value) for value in column]
        tally.add(np.array([place.rows for place in places], dtype=np.int64))
        tally.add(np.array([place.weight for place in places], dtype=np.int64), tally.weight)
        return [
            (int(tally.group[at]), place.new_token) for at, place in enumerate(places) if place.new_token is not None
        ]

    def _place(self, value: object) -> Place:
        if value is None:
            return self._null
        if not isinstance(value, (str, int, float)) or (isinstance(value, float) and math.isnan(value)):
            return self._invalid
        token = category_token(value)
        place = self._remembered.get(token)
        if place is None:
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            place = self._remembered[token] = self._find(self._redact(self.name, token))
        return place

    def _find(self, token: str) -> Place:
        bins, alarm = self._cells.bins.start, self._cells.alarm.start
        at = self._index.get(token)
        if at is not None:
            return Place(bins + at, alarm + min(at, self._alarm))
        if hashed_token(token) in self._known:
            return Place(bins + self._categories, alarm + self._alarm)
        return Place(bins + self._categories + 1, alarm + self._alarm + 1, token)
