"""Whole months of traffic into the cells the detector reads, a feature at a time.

The cells are those of the project's layout. ``tests/benchmarks`` shows on a sample that they hold exactly what the
recorder's own counter puts there.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.streams import BATCH_ROWS, Drift, Traffic
from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.document import Roles
from mlmon_sidecar.records import WEIGHT_UNIT
from mlmon_sidecar.statistics.layout import CategoricalFeature, Layout, NumericFeature, hashed_token

Array = NDArray[Any]

FIRST_MINUTE = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) // 60  # a Monday
FEW_CODES = 64
LAYOUT_ROWS = 5_000  # of the baseline's, evenly: what the layout is cut by; the counts are of all


def column_of(feature: int) -> str:
    return f"x{feature}"


def keep(_column: str, token: str) -> str:
    """Nothing is redacted here."""
    return token


def layout_of(seen: Traffic, features: int, start: int, rows: int = LAYOUT_ROWS) -> Layout:
    """The layout that ``mlmon baseline build`` cuts from ``rows`` of the rows before minute ``start``."""
    healthy = int(np.searchsorted(seen.minute, start))
    taken = slice(0, healthy, max(1, healthy // rows))
    columns: dict[str, Sequence[object]] = {}
    for feature in range(features):
        values, missing = seen.values(feature)
        columns[column_of(feature)] = scalars(values[taken], missing[taken])
    built = build_baseline(
        columns, Roles(), Purpose("drift"), redact_category=keep, policy="", created="2024-01-01T00:00:00+00:00"
    )
    return built.layout


def scalars(values: Array, missing: Array) -> list[object]:
    """As a request would hold them: codes are names of categories."""
    texts = values.dtype.kind == "i"
    pairs = zip(values.tolist(), missing.tolist(), strict=True)
    return [None if gone else (category(value) if texts else value) for value, gone in pairs]


def category(code: int) -> str:
    return f"c{code}"


@dataclass(frozen=True)
class Counts:
    """Weights per minute of the cells that the detector reads.

    Attributes:
        cells: (cells,) positions in a vector of the layout, those of a feature together; the last is the weight of
            all rows.
        weights: (minutes, cells) int32.
        spans: feature -> its place in ``cells``.
    """

    layout: Layout
    cells: Array
    weights: Array
    spans: tuple[slice, ...]

    def by(self, minutes: int, start: int, end: int) -> Array:
        """(panes, cells) int64 sums of every ``minutes`` from minute ``start`` to ``end``."""
        part = self.weights[start:end].reshape(-1, minutes, len(self.cells))
        sums: Array = part.sum(axis=1, dtype=np.int64)
        return sums

    def vectors(self, sums: Array) -> Array:
        """(panes, layout.size) int64."""
        vectors = np.zeros((len(sums), self.layout.size), dtype=np.int64)
        vectors[:, self.cells] = sums
        return vectors

    def with_drift(self, seen: Traffic, drift: Drift) -> Counts:
        """The twin: one feature counted again."""
        span, weights = self.spans[drift.feature], self.weights.copy()
        weights[:, span] = _feature_weights(self.layout, seen, drift.feature, drift)
        return Counts(self.layout, self.cells, weights, self.spans)


def count(layout: Layout, seen: Traffic, features: int) -> Counts:
    places = [_places(layout, column_of(feature)) for feature in range(features)]
    ends = np.cumsum([0, *map(len, places)])
    spans = tuple(slice(int(a), int(b)) for a, b in itertools.pairwise(ends))
    weights = np.empty((seen.minutes, int(ends[-1]) + 1), dtype=np.int32)
    for feature, span in enumerate(spans):
        weights[:, span] = _feature_weights(layout, seen, feature, None)
    weights[:, -1:] = _sums(seen, np.zeros(len(seen.minute), dtype=np.int64), 1)
    return Counts(layout, np.array([*np.concatenate(places), layout.traffic.rows + 1]), weights, spans)


def _places(layout: Layout, name: str) -> list[int]:
    """Alarm cells, then the weight of what is missing."""
    cells = layout.cells[name]
    return [*range(cells.alarm.start, cells.alarm.stop), cells.null + 1]


def _sums(seen: Traffic, place: Array, width: int) -> Array:
    """(minutes, width) int64 weights; ``place`` is (rows,) in [0, width)."""
    weights = np.where(seen.batch, round(WEIGHT_UNIT / BATCH_ROWS), WEIGHT_UNIT) if seen.stream.batch else None
    sums = np.bincount(seen.minute * width + place.astype(np.int64), weights, minlength=seen.minutes * width).reshape(
        -1, width
    )
    exact: Array = sums.astype(np.int64)
    return exact * WEIGHT_UNIT if weights is None else exact


def _feature_weights(layout: Layout, seen: Traffic, feature: int, drift: Drift | None) -> Array:
    """(minutes, alarm cells + 1) int64."""
    values, missing = seen.values(feature, drift)
    width = len(_places(layout, column_of(feature)))
    place = np.where(missing, width - 1, bins_of(layout, column_of(feature))(values))
    return _sums(seen, place, width)


def bins_of(layout: Layout, name: str) -> Callable[[Array], Array]:
    """Numbers or codes -> which alarm cell of the feature counts them."""
    feature = layout.feature(name)
    return _numbers(feature) if isinstance(feature, NumericFeature) else _codes(feature)


def _numbers(feature: NumericFeature) -> Callable[[Array], Array]:
    """A comparison an edge: ten times as fast as a search for each value."""
    edges = np.array([feature.edges[at] for at in feature.alarm])
    rounded = edges.astype(np.float32)
    # Rounded down, so that a float32 lies above the edge exactly when it lies above the edge it stands for.
    below = np.where(rounded > edges, np.nextafter(rounded, np.float32(-np.inf)), rounded)

    def bins(values: Array) -> Array:
        place = np.zeros(len(values), dtype=np.int8)
        for edge in below:
            place += values > edge
        return place

    return bins


def _codes(feature: CategoricalFeature) -> Callable[[Array], Array]:
    index = {token: min(at, feature.alarm) for at, token in enumerate(feature.categories)}
    known = frozenset(feature.known)
    new = feature.alarm + 1

    def bins(codes: Array) -> Array:
        few = codes.max(initial=0) < FEW_CODES  # then a table is quicker than sorting
        distinct, place = (np.arange(FEW_CODES), codes) if few else np.unique(codes, return_inverse=True)
        cells = np.empty(len(distinct), dtype=np.int64)
        for at, code in enumerate(distinct.tolist()):
            token = category(code)
            cells[at] = index.get(token, feature.alarm if hashed_token(token) in known else new)
        taken: Array = cells[place.reshape(-1)]
        return taken

    return bins
