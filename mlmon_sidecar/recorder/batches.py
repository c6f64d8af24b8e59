"""Decoded batches put together and cut, so that counting is done for many rows at once and for few at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from mlmon_sidecar.records import MINUTE_NS, PredictionBatch

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector

ROW_UNITS = 8  # what a row costs beyond its features, in cells
_Kind = tuple[str, str, tuple[str, ...]]


class Gathered:
    """Batches in the order of their kinds' first sight: those of one model, version and columns can be joined."""

    def __init__(self) -> None:
        self._kinds: dict[_Kind, _Lot] = {}
        self.units = 0

    def __bool__(self) -> bool:
        return bool(self._kinds)

    def add(self, batch: PredictionBatch) -> None:
        if batch.rows:
            self._kinds.setdefault((batch.model, batch.version, tuple(batch.features)), _Lot()).batches.append(batch)
            self.units += units(batch)

    def take(self, limit: int) -> list[PredictionBatch]:
        """About ``limit`` units of one kind, at most half as much again, or a row; only where there are any."""
        kind, lot = next(iter(self._kinds.items()))
        taken = lot.take(max(1, limit // (len(kind[-1]) + ROW_UNITS)))
        if not lot.batches:
            del self._kinds[kind]
        self.units -= sum(map(units, taken))
        return taken


class _Lot:
    """Batches of one kind, in order."""

    __slots__ = ("batches", "begun")

    def __init__(self) -> None:
        self.batches: deque[PredictionBatch] = deque()
        self.begun = 0  # rows of the first that are gone

    def take(self, rows: int) -> list[PredictionBatch]:
        """Whole batches of at most so many rows together, or the first, or a part of it where it is much larger."""
        first = self.batches[0].rows - self.begun
        if 2 * first > 3 * rows:
            return [self._cut(rows)]
        taken: list[PredictionBatch] = []
        count = 0
        while self.batches and (left := self.batches[0].rows - self.begun) + count <= max(rows, first):
            whole = self.batches.popleft()
            taken.append(part(whole, slice(self.begun, whole.rows)) if self.begun else whole)
            self.begun, count = 0, count + left
        return taken

    def _cut(self, rows: int) -> PredictionBatch:
        whole = self.batches[0]
        left = whole.rows - self.begun
        rows = -(-left // max(2, round(left / rows)))  # evenly, that the last part is not of a row or two
        cut = part(whole, slice(self.begun, self.begun + rows))
        self.begun += rows
        return cut


def units(batch: PredictionBatch) -> int:
    """What counting and keeping the batch costs, about: cells of its table."""
    return batch.rows * (len(batch.features) + ROW_UNITS)


def part(batch: PredictionBatch, rows: slice) -> PredictionBatch:
    """Some of the rows, in their order."""
    return _taken(
        batch, {name: column[rows] for name, column in batch.features.items()}, rows, lambda items: items[rows]
    )


def join(batches: Sequence[PredictionBatch]) -> PredictionBatch:
    """One batch of all rows. All are of one model, version and set of columns."""
    first, *others = batches
    if not others:
        return first
    return replace(
        first,
        event_ns=np.concatenate([batch.event_ns for batch in batches]),
        weight=np.concatenate([batch.weight for batch in batches]),
        prediction_ids=list(chain.from_iterable(batch.prediction_ids for batch in batches)),
        aliases=list(chain.from_iterable(batch.aliases for batch in batches)),
        features={name: _joined([batch.features[name] for batch in batches]) for name in first.features},
        score=np.concatenate([batch.score for batch in batches]),
        predicted=list(chain.from_iterable(batch.predicted for batch in batches)),
        confidence=np.concatenate([batch.confidence for batch in batches]),
        segments=list(chain.from_iterable(batch.segments for batch in batches)),
        traces=list(chain.from_iterable(batch.traces for batch in batches)),
        exemplar=list(chain.from_iterable(batch.exemplar for batch in batches)),
    )


def by_minutes(batch: PredictionBatch, minutes: int) -> Iterator[PredictionBatch]:
    """The batch itself, or parts of it in the order of time, of so many distinct minutes each: a year of rows at once
    must not become half a million panes at once."""
    distinct, of_row = np.unique(batch.event_ns // MINUTE_NS, return_inverse=True)
    if len(distinct) <= minutes:
        yield batch
        return
    number = of_row.reshape(-1) // minutes
    for at in range(int(number.max()) + 1):
        rows = np.flatnonzero(number == at)
        pick = rows.tolist()

        def picked(items: Any, pick: list[int] = pick) -> list[Any]:
            return [items[row] for row in pick]

        columns: Mapping[str, Any] = batch.features
        features = {
            name: column[rows] if isinstance(column, np.ndarray) else picked(column) for name, column in columns.items()
        }
        yield _taken(batch, features, rows, picked)


def _taken(batch: PredictionBatch, features: Mapping[str, Any], rows: slice | IntVector, of: Any) -> PredictionBatch:
    return replace(
        batch,
        event_ns=batch.event_ns[rows],
        weight=batch.weight[rows],
        prediction_ids=of(batch.prediction_ids),
        aliases=of(batch.aliases),
        features=features,
        score=batch.score[rows],
        predicted=of(batch.predicted),
        confidence=batch.confidence[rows],
        segments=of(batch.segments),
        traces=of(batch.traces),
        exemplar=of(batch.exemplar),
    )


def _joined(columns: Sequence[Any]) -> Any:
    if all(isinstance(column, np.ndarray) for column in columns):
        return np.concatenate(columns)
    return list(chain.from_iterable(c.tolist() if isinstance(c, np.ndarray) else c for c in columns))
