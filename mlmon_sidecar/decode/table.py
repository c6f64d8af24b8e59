"""Exchanges of one model version, gathered until they become batches of columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlmon_sidecar.decode.columns import Block, blocks_of, too_wide
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.outputs import complete
from mlmon_sidecar.decode.sides import Outputs
from mlmon_sidecar.decode.text_features import derived
from mlmon_sidecar.records import WEIGHT_UNIT, Exchange, PredictionBatch

if TYPE_CHECKING:
    from mlmon_sidecar.decode.sides import Column
    from mlmon_sidecar.records import FloatVector, IntVector


class DecodedRows(NamedTuple):
    """Rows of an exchange, or of several, before they become part of a batch. One item a row."""

    event_ns: Sequence[int]
    weight: Sequence[int]
    prediction_ids: Sequence[str]
    aliases: Sequence[str | None]
    records: Sequence[Mapping[str, object]]  # or else columns
    columns: Mapping[str, Column]
    outputs: Outputs
    segments: Sequence[str | None]
    traces: Sequence[tuple[int, int]]
    exemplar: Sequence[bool]


def row_weight(rows: int) -> int:
    """Weight of each of the ``rows`` rows of a request: they count as one request together."""
    return max(1, round(WEIGHT_UNIT / rows))


def is_exemplar(exchange: Exchange, options: DecodeOptions) -> bool:
    """Whether its rows are kept whatever the sampling says: it was slow."""
    return 0 < options.slow_ns <= exchange.ended_ns - exchange.started_ns


class Table:
    """Rows of one version in arrival order. Splits into several batches where the union of columns grows too wide."""

    def __init__(self) -> None:
        self._members: list[DecodedRows] = []

    def add(self, member: DecodedRows) -> None:
        self._members.append(member)

    def batches(self, version: str, options: DecodeOptions, skipped: Counter[str]) -> Iterator[PredictionBatch | None]:
        """Of all its rows. None: nothing yet, and a place to let others go on."""
        yield None
        whole = self._without_features(version, options)
        yield None
        hidden = None if options.id is None else options.id.member
        start = 0
        for block in _parts(self._blocks(skipped)):
            if block is None:
                yield None
                continue
            rows, columns = block
            shown = {name: column for name, column in columns.items() if name != hidden}
            yield None
            features = derived(shown, options.text, skipped, options.embedder)
            yield _cut(whole, start, start + rows, features)
            start += rows

    def _blocks(self, skipped: Counter[str]) -> Iterator[Block | None]:
        run: list[Mapping[str, object]] = []
        for member in self._members:
            if member.records:
                run.extend(member.records)
                continue
            if run:
                yield from blocks_of(run, skipped)
                run = []
            yield len(member.prediction_ids), member.columns
        if run:
            yield from blocks_of(run, skipped)

    def _without_features(self, version: str, options: DecodeOptions) -> PredictionBatch:
        members = self._members
        score = _floats(member.outputs.score for member in members)
        predicted, confidence = complete(
            score,
            list(chain.from_iterable(member.outputs.predicted for member in members)),
            _floats(member.outputs.confidence for member in members),
            options,
        )
        return PredictionBatch(
            model=options.name,
            version=version,
            event_ns=_integers(member.event_ns for member in members),
            weight=_integers(member.weight for member in members),
            prediction_ids=list(chain.from_iterable(member.prediction_ids for member in members)),
            aliases=list(chain.from_iterable(member.aliases for member in members)),
            features={},
            score=score,
            predicted=predicted,
            confidence=confidence,
            segments=list(chain.from_iterable(member.segments for member in members)),
            traces=list(chain.from_iterable(member.traces for member in members)),
            exemplar=list(chain.from_iterable(member.exemplar for member in members)),
        )


def _parts(blocks: Iterable[Block | None]) -> Iterator[Block | None]:
    """Neighbours joined, as long as the union of their columns stays small. None goes through."""
    members: list[Block] = []
    names: dict[str, None] = {}
    rows = cells = 0
    for block in blocks:
        if block is None:
            yield None
            continue
        cells += block[0] * len(block[1])
        wider = names if block[1].keys() <= names.keys() else names | dict.fromkeys(block[1])
        if members and too_wide(len(wider), rows + block[0], 3 * cells // 2):
            yield rows, _joined(members, names)
            members, rows, wider, cells = [], 0, dict.fromkeys(block[1]), block[0] * len(block[1])
        members.append(block)
        rows, names = rows + block[0], wider
    if members:
        yield rows, _joined(members, names)


def _joined(blocks: Sequence[Block], names: Iterable[str]) -> Mapping[str, Column]:
    if len(blocks) == 1:
        return blocks[0][1]
    return {name: _joined_column([(count, columns.get(name)) for count, columns in blocks]) for name in names}


def _joined_column(parts: Sequence[tuple[int, Column | None]]) -> Column:
    if all(isinstance(column, np.ndarray) and column.dtype == np.float64 for _, column in parts):
        return np.concatenate([np.asarray(column, dtype=np.float64) for _, column in parts])
    joined: list[object] = []
    for count, column in parts:
        joined.extend([None] * count if column is None else _listed(column, floats=True))
    return joined


def _cut(whole: PredictionBatch, start: int, stop: int, features: Mapping[str, Column]) -> PredictionBatch:
    rows = slice(start, stop)
    return PredictionBatch(
        model=whole.model,
        version=whole.version,
        event_ns=whole.event_ns[rows],
        weight=whole.weight[rows],
        prediction_ids=whole.prediction_ids[rows],
        aliases=whole.aliases[rows],
        features={name: _listed(column) for name, column in features.items()},
        score=whole.score[rows],
        predicted=whole.predicted[rows],
        confidence=whole.confidence[rows],
        segments=whole.segments[rows],
        traces=whole.traces[rows],
        exemplar=whole.exemplar[rows],
    )


def _listed(column: Column, *, floats: bool = False) -> Sequence[object]:
    """Floats stay an array, unless they are asked for; whole numbers become Python's, which are categories of their
    own."""
    if isinstance(column, np.ndarray):
        return column.tolist() if floats or column.dtype != np.float64 else column  # type: ignore[return-value]
    return column if isinstance(column, list) else list(column)


def _floats(parts: Iterable[Sequence[float] | FloatVector]) -> FloatVector:
    parts = list(parts)
    if not any(isinstance(part, np.ndarray) for part in parts):
        return np.array(list(chain.from_iterable(parts)), dtype=np.float64)
    return np.concatenate([np.asarray(part, dtype=np.float64) for part in parts])


def _integers(parts: Iterable[Sequence[int]]) -> IntVector:
    return np.array(list(chain.from_iterable(parts)), dtype=np.int64)
