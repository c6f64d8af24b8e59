"""Rows that do not have the form they are expected to have: counted by what is wrong and where.

With a baseline its columns are expected; without one, those of the first rows. Nothing is dropped for it: what can be
counted is counted as it came.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlmon_sidecar.records import PredictionBatch
from mlmon_sidecar.statistics.schema import (
    ANY,
    NUMBER,
    TEXT,
    WINDOW_ROWS,
    ExpectedColumn,
    ExpectedSchema,
    exchanged,
    power_of_ten,
)

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector

    Column = Sequence[object] | FloatVector

LEARNING_ROWS = 256  # whose columns are expected from then on, where there is no baseline
PAUSE_ROWS = 2_048  # between two windows: to look at values costs more than to look at types
MAX_NAMES = 200  # additional columns told apart; a client may invent names without end
OTHER_NAME = "_other"

_FLOATS = frozenset({float})
_NUMBERS = frozenset({int, float})
_SCALARS = frozenset({int, float, bool})
_NOTHING = frozenset({type(None)})
_NO_KINDS: frozenset[type] = frozenset()  # of the numbers of an array


class Wrong(StrEnum):
    """Kinds of schema violation. Bounded: a metric label."""

    MISSING = "missing_feature"
    ADDITIONAL = "additional_feature"
    TYPE = "type_change"
    RESCALED = "rescaled"
    EXCHANGED = "reordered"
    WIDTH = "wrong_width"  # nameless values; seen where names are given to them


class Violation(NamedTuple):
    """Rows of one batch, or of one window of values, that break the schema in one way."""

    kind: Wrong
    feature: str
    rows: int
    detail: str  # what a person reads: no value, only kinds, powers and names of columns


class SchemaWatch:
    """Looks at the batches of one model in turn. ``expected`` without columns: the first rows teach it."""

    def __init__(self, expected: ExpectedSchema) -> None:
        self._learns = self._learned = not expected.columns
        self._seen: dict[str, Counter[str]] = {}  # while learning: column -> kinds
        self._learned_rows = 0
        self._expected = expected
        self._additional: set[str] = set()
        self._values: dict[str, list[FloatVector]] = {}
        self._gathered = 0
        self._pause = 0

    def look(self, batch: PredictionBatch) -> Sequence[Violation]:
        """What is wrong in this batch, and in the window of values that it completes."""
        if not batch.rows or not batch.features:
            return ()  # no body of ours: predictions alone
        if self._learns:
            self._learn(batch)
            return ()
        found: list[Violation] = []
        columns = self._expected.columns
        if batch.features.keys() != columns.keys():
            found += self._additions(batch)
        for name, column in columns.items():
            values = batch.features.get(name)
            kinds = _NO_KINDS if values is None else _kinds(values)
            missing = batch.rows if values is None else _nulls(values) if type(None) in kinds else 0
            if missing and column.required:
                found.append(Violation(Wrong.MISSING, name, missing, "absent or null, and never was before"))
            if values is not None and column.kind != ANY:
                wrong = _of_wrong_type(values, kinds, column.kind)
                if wrong:
                    found.append(Violation(Wrong.TYPE, name, wrong, f"not a {column.kind}"))
        return found + self._window(batch)

    def _additions(self, batch: PredictionBatch) -> list[Violation]:
        columns, found = self._expected.columns, []
        for name in sorted(batch.features.keys() - columns.keys() - self._expected.known):
            values = batch.features[name]
            rows = len(values) - _nulls(values)
            if not rows:
                continue
            if name not in self._additional and len(self._additional) >= MAX_NAMES:
                name = OTHER_NAME
            self._additional.add(name)
            found.append(Violation(Wrong.ADDITIONAL, name, rows, "not expected"))
        if self._learned:  # said once: what was learned from some rows may lack what is only sometimes there
            self._expected = ExpectedSchema(columns, self._expected.known | self._additional)
        return found

    def _learn(self, batch: PredictionBatch) -> None:
        for name, values in batch.features.items():
            self._seen.setdefault(name, Counter()).update(_kind(value) for value in values if value is not None)
        self._learned_rows += batch.rows
        if self._learned_rows < LEARNING_ROWS:
            return
        usual = {
            name: ExpectedColumn(
                next(iter(kinds)) if len(kinds) == 1 else ANY, required=kinds.total() == self._learned_rows
            )
            for name, kinds in self._seen.items()
            if 2 * kinds.total() >= self._learned_rows  # a column that is often absent is not missed
        }
        self._expected = ExpectedSchema(usual, self._expected.known | self._seen.keys())
        self._learns, self._seen = False, {}

    def _window(self, batch: PredictionBatch) -> list[Violation]:
        """Every now and then the values of ``WINDOW_ROWS`` rows are held against the healthy quantiles."""
        if self._pause > 0:
            self._pause -= batch.rows
            return []
        for name, column in self._expected.columns.items():
            values = batch.features.get(name)
            if column.quartiles is not None and values is not None:
                self._values.setdefault(name, []).append(_numbers(values))
        self._gathered += batch.rows
        if self._gathered < WINDOW_ROWS:
            return []
        windows = {name: np.concatenate(parts) for name, parts in self._values.items()}
        self._values, self._gathered, self._pause = {}, 0, PAUSE_ROWS
        return self._judged({name: window for name, window in windows.items() if 2 * len(window) >= WINDOW_ROWS})

    def _judged(self, windows: Mapping[str, FloatVector]) -> list[Violation]:
        columns = self._expected.columns
        found = []
        for name, other in exchanged(windows, columns).items():
            found.append(Violation(Wrong.EXCHANGED, name, len(windows[name]), f"holds what {other!r} held"))
        moved = {violation.feature for violation in found}
        for name, window in windows.items():
            power = 0 if name in moved else power_of_ten(window, columns[name])
            if power:
                found.append(Violation(Wrong.RESCALED, name, len(window), f"by 10**{power}"))
        return found


def _nulls(values: Column) -> int:
    """Rows without a value: null and absent are one, for the rows of other requests are beside them."""
    return values.count(None) if isinstance(values, list) else 0


def _kinds(values: Column) -> AbstractSet[type]:
    return _NO_KINDS if isinstance(values, np.ndarray) else set(map(type, values))


def _kind(value: object) -> str:
    if type(value) in _NUMBERS or isinstance(value, np.number):
        return NUMBER
    return TEXT if isinstance(value, str) else ANY


def _of_wrong_type(values: Column, kinds: AbstractSet[type], kind: str) -> int:
    """Rows of another type; null is of every type, and a boolean counts as a number."""
    if isinstance(values, np.ndarray):
        return len(values) if kind == TEXT else 0
    types = kinds - _NOTHING
    if types <= _SCALARS:
        return 0 if kind == NUMBER else sum(value is not None for value in values)
    if types == {str} and kind == TEXT:
        return 0
    right = (int, float) if kind == NUMBER else (str,)
    return sum(value is not None and not isinstance(value, right) for value in values)


def _numbers(values: Column) -> FloatVector:
    """The finite numbers among them, at most a window's."""
    if isinstance(values, np.ndarray):
        found = values[:WINDOW_ROWS].astype(np.float64)
    elif set(map(type, values)) == _FLOATS:
        found = np.array(values[:WINDOW_ROWS])
        found = found[np.abs(found) < 1e300]
    else:
        numbers = [value for value in values[:WINDOW_ROWS] if isinstance(value, int | float)]
        found = np.array([value for value in numbers if abs(value) < 1e300], dtype=np.float64)
    return found[np.isfinite(found)]
