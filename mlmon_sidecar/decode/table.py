"""Rows of one model version, gathered until they become one batch of columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from mlmon_sidecar.decode.json_rows import MAX_COLUMNS
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.outputs import Output, complete
from mlmon_sidecar.records import WEIGHT_UNIT, PredictionBatch

MAX_CELLS = 4_000_000  # columns x rows of one batch: 32 MB of references


class DecodedRow(NamedTuple):
    """One row before it becomes columns."""

    event_ns: int
    weight: int
    prediction_id: str
    alias: str | None
    features: Mapping[str, object]
    output: Output
    segment: str | None
    trace: tuple[int, int]
    exemplar: bool


def row_weight(rows: int) -> int:
    """Weight of each of the ``rows`` rows of a request: they count as one request together."""
    return max(1, round(WEIGHT_UNIT / rows))


class Table:
    """Rows of one version in arrival order. Splits into several batches where the union of columns grows too wide."""

    def __init__(self) -> None:
        self._parts: list[tuple[list[DecodedRow], dict[str, None]]] = [([], {})]

    def extend(self, rows: Iterable[DecodedRow]) -> None:
        for row in rows:
            members, columns = self._parts[-1]
            if row.features.keys() - columns.keys():
                wider = columns | dict.fromkeys(row.features)
                if members and (len(wider) > MAX_COLUMNS or len(wider) * (len(members) + 1) > MAX_CELLS):
                    members, wider = [], dict.fromkeys(row.features)
                    self._parts.append((members, wider))
                else:
                    self._parts[-1] = (members, wider)
            members.append(row)

    def batches(self, version: str, options: DecodeOptions) -> Iterator[PredictionBatch]:
        for rows, columns in self._parts:
            if rows:
                yield _batch(rows, columns, version, options)


def _batch(
    rows: list[DecodedRow], columns: Mapping[str, None], version: str, options: DecodeOptions
) -> PredictionBatch:
    features = [row.features for row in rows]
    score = np.array([row.output.score for row in rows], dtype=np.float64)
    confidence = np.array([row.output.confidence for row in rows], dtype=np.float64)
    predicted, confidence = complete(score, [row.output.predicted for row in rows], confidence, options)
    return PredictionBatch(
        model=options.name,
        version=version,
        event_ns=np.array([row.event_ns for row in rows], dtype=np.int64),
        weight=np.array([row.weight for row in rows], dtype=np.int64),
        prediction_ids=[row.prediction_id for row in rows],
        aliases=[row.alias for row in rows],
        features={name: [row.get(name) for row in features] for name in columns},
        score=score,
        predicted=predicted,
        confidence=confidence,
        segments=[row.segment for row in rows],
        traces=[row.trace for row in rows],
        exemplar=[row.exemplar for row in rows],
    )
