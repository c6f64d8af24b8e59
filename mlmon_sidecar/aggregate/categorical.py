"""Cells of categorical features, all features at once.

Each distinct value of a feature gets a *slot*, a number under which is remembered where it is counted and what it
hashes to. A column then is one look-up a value, and everything else is arithmetic on arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mlmon_sidecar.aggregate.samples import NewToken, hash_of
from mlmon_sidecar.statistics.layout import CategoricalCells, CategoricalFeature, Layout, category_token, hashed_token

if TYPE_CHECKING:
    from mlmon_sidecar.aggregate.convert import Column
    from mlmon_sidecar.aggregate.samples import Hashes
    from mlmon_sidecar.aggregate.tally import Mask, Tally
    from mlmon_sidecar.records import IntVector

    Known = dict[type, dict[Hashable, int]]

RedactCategory = Callable[[str, str], str]
"""(column name, token) -> the token as it may be counted and shown."""

MAX_SLOTS = 16_384  # of all features together; then the memory starts afresh
MAX_CHARACTERS = 1_000_000  # of the texts that are remembered, the same
_NESTED = "nested"


class Place(NamedTuple):
    """Where a value is counted."""

    rows: int  # cell
    weight: int  # cell
    new_token: str | None = None  # redacted; only where the layout has never seen it


class CategoricalCounter:
    """Counts the columns of all categorical features."""

    def __init__(self, layout: Layout, redact: RedactCategory) -> None:
        self._features = [_Feature(feature, cells, redact) for feature, cells in layout.categorical()]
        self.names = [feature.name for feature in self._features]
        self._slots = _Slots()
        self.lines = 2 * len(self._features)  # of a tally

    def count(self, tally: Tally, columns: Sequence[Column]) -> tuple[Hashes, list[NewToken]]:
        """What each row's values add to its hash (rows,), and the new categories with the group they are in."""
        rows = len(tally.group)
        if not columns:
            return np.zeros(rows, dtype=np.uint64), []
        if self._slots.full:
            for feature in self._features:
                feature.forget()
            self._slots = _Slots()
        found = np.empty((len(columns), rows), dtype=np.int64)
        for at, (feature, column) in enumerate(zip(self._features, columns, strict=True)):
            found[at] = feature.slots(column, rows, self._slots)
        cell, amount = (lines.reshape(2, *found.shape) for lines in tally.lines(self.lines))
        cell[0], cell[1] = self._slots.rows.take(found), self._slots.weight.take(found)
        amount[0], amount[1] = 1, tally.weight
        hashes: Hashes = self._slots.hashes.take(found).sum(axis=0, dtype=np.uint64)
        return hashes, self._new(tally.group, found, self._slots.is_new.take(found))

    def _new(self, group: IntVector, found: IntVector, is_new: Mask) -> list[NewToken]:
        if not is_new.any():
            return []
        at, row = is_new.nonzero()
        distinct = set(zip(group[row].tolist(), at.tolist(), found[at, row].tolist(), strict=True))
        return [NewToken(number, self.names[name], self._slots.tokens[slot]) for number, name, slot in distinct]


class _Slots:
    """What is remembered by slot. The arrays are longer than what is in use."""

    def __init__(self) -> None:
        self.used = 0
        self._characters = 0
        self.rows: IntVector = np.zeros(64, dtype=np.int64)  # cell
        self.weight: IntVector = np.zeros(64, dtype=np.int64)  # cell
        self.hashes: Hashes = np.zeros(64, dtype=np.uint64)
        self.is_new: Mask = np.zeros(64, dtype=bool)
        self.tokens: dict[int, str] = {}  # redacted; of those that are new

    @property
    def full(self) -> bool:
        return self.used >= MAX_SLOTS or self._characters >= MAX_CHARACTERS

    def take(self, place: Place, word: int, characters: int) -> int:
        slot = self.used
        if slot == len(self.rows):
            self.rows, self.weight, self.hashes, self.is_new = map(
                _doubled, (self.rows, self.weight, self.hashes, self.is_new)
            )
        self.rows[slot], self.weight[slot], self.hashes[slot] = place.rows, place.weight, word
        if place.new_token is not None:
            self.is_new[slot] = True
            self.tokens[slot] = place.new_token
        self._characters += characters
        self.used += 1
        return slot


def _doubled(values: Any) -> Any:
    return np.concatenate((values, np.zeros_like(values)))


class _Feature:
    """Where the values of one feature are counted."""

    def __init__(self, feature: CategoricalFeature, cells: CategoricalCells, redact: RedactCategory) -> None:
        self.name = feature.name
        self._redact = redact
        self._index: Mapping[str, int] = {token: at for at, token in enumerate(feature.categories)}
        self._known = frozenset(feature.known)
        self._categories, self._alarm = len(feature.categories), feature.alarm
        self._cells = cells
        self._null, self._invalid = Place(cells.null, cells.null + 1), Place(cells.invalid, cells.invalid + 1)
        self.forget()

    def forget(self) -> None:
        self._remembered: Known = {str: {}}  # None is among the texts

    def slots(self, column: Column, rows: int, slots: _Slots) -> IntVector | list[int]:
        """(rows,): the slot of each value. Values of one type are looked up as they are; 1, 1.0 and true are equal,
        and not the same category."""
        values: Sequence[Any] = column.tolist() if isinstance(column, np.ndarray) else column
        kind: type = str
        try:
            return np.fromiter(map(self._remembered[kind].__getitem__, values), dtype=np.int64, count=rows)
        except (KeyError, TypeError):  # one is no text, or is seen for the first time
            kinds = set(map(type, values))
        if len(kinds) == 1 and (kind := kinds.pop()) in self._remembered:
            try:
                return np.fromiter(map(self._remembered[kind].__getitem__, values), dtype=np.int64, count=rows)
            except KeyError:
                pass
        return [self._slot(value, slots) for value in values]

    def _slot(self, value: object, slots: _Slots) -> int:
        kind, key = type(value), value
        if value is None:
            kind = str
        elif not isinstance(value, (str, int, float)):
            kind, key = type(None), _NESTED
        elif value != value:
            key = math.nan  # always the same object, so that it is found
        members = self._remembered.setdefault(kind, {})
        slot = members.get(key)
        if slot is None:
            characters = len(value) if isinstance(value, str) else 1
            slot = members[key] = slots.take(self._place(value), hash_of(self.name, value), characters)
        return slot

    def _place(self, value: object) -> Place:
        if value is None:
            return self._null
        if not isinstance(value, (str, int, float)) or value != value:
            return self._invalid
        token = self._redact(self.name, category_token(value))
        bins, alarm = self._cells.bins.start, self._cells.alarm.start
        at = self._index.get(token)
        if at is not None:
            return Place(bins + at, alarm + min(at, self._alarm))
        if hashed_token(token) in self._known:
            return Place(bins + self._categories, alarm + self._alarm)
        return Place(bins + self._categories + 1, alarm + self._alarm + 1, token)
