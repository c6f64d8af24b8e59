"""Batches and exchanges to panes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlmon_sidecar.aggregate.categorical import CategoricalCounter, RedactCategory
from mlmon_sidecar.aggregate.convert import to_matrix
from mlmon_sidecar.aggregate.embeddings import EmbeddingCounter
from mlmon_sidecar.aggregate.exemplars import error_samples
from mlmon_sidecar.aggregate.joint import JointCounter
from mlmon_sidecar.aggregate.numeric import NumericCounter
from mlmon_sidecar.aggregate.outputs import OutputCounter
from mlmon_sidecar.aggregate.samples import NewToken, input_hashes, with_rows
from mlmon_sidecar.aggregate.segments import SegmentCounter
from mlmon_sidecar.aggregate.tally import Tally
from mlmon_sidecar.aggregate.traffic import by_minute, count_exchanges
from mlmon_sidecar.pieces import finished
from mlmon_sidecar.records import MINUTE_NS, Exchange, Pane, PaneKey, PredictionBatch
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.statistics.samples import ERRORS, merge_samples

if TYPE_CHECKING:
    from mlmon_sidecar.aggregate.convert import Column
    from mlmon_sidecar.aggregate.samples import Hashes, Samples
    from mlmon_sidecar.records import IntVector

CHUNK_ROWS = 512  # rows counted at once
CHUNK_CELLS = 4_000_000  # cells of the chunk's matrix: 32 MB
VERSION = "version"
"""The name under which version texts pass the redactor."""


class Seen(NamedTuple):
    """What samples are taken from."""

    hashes: Hashes  # (rows,), of each row's input
    tokens: list[NewToken]


class RowCounter:
    """Counts rows of one layout, grouped as the caller likes: by minute for panes, by hour or not at all elsewhere."""

    def __init__(self, layout: Layout, redact_category: RedactCategory) -> None:
        self.layout = layout
        self._numeric = NumericCounter(layout)
        self._categorical = CategoricalCounter(layout, redact_category)
        self._outputs = OutputCounter(layout, redact_category)
        self._segments = SegmentCounter(layout, redact_category) if layout.segments.dimensions else None
        self._related = (EmbeddingCounter(layout), JointCounter(layout))
        self._lines = self._numeric.lines + self._categorical.lines + self._outputs.lines
        self._lines += sum(counter.lines for counter in self._related)

    def count(self, batch: PredictionBatch, rows: slice, group: IntVector, groups: int) -> tuple[Tally, Seen]:
        """Cells (groups, layout.size) of ``batch``'s ``rows``, whose groups in [0, groups) are ``group``."""
        return finished(self.counting(batch, rows, group, groups))

    def counting(
        self, batch: PredictionBatch, rows: slice, group: IntVector, groups: int
    ) -> Generator[None, None, tuple[Tally, Seen]]:
        """``count``, in pieces."""
        mirror = None if self._segments is None else self._segments.mirror(batch, rows, len(group))
        tally = Tally(group, groups, batch.weight[rows], self.layout.size, self._lines, mirror)
        # Without a layout of features, every column tells rows apart.
        names = self._numeric.names if self.layout.features else sorted(batch.features)
        columns = _columns(batch, names, rows, len(group))
        values, codes = to_matrix(columns, len(group))
        yield
        yield from self._numeric.counting(tally, values, codes)
        yield
        hashes, tokens = self._categorical.count(tally, _columns(batch, self._categorical.names, rows, len(group)))
        yield
        hashes = hashes + input_hashes(names, columns, values, codes)
        for counter in self._related:
            yield
            counter.count(tally, values, codes)
        yield
        yield from self._outputs.counting(tally, batch.score[rows], batch.predicted[rows], batch.confidence[rows])
        return tally, Seen(hashes, tokens)


class PaneBuilder:
    """Gathers the panes of one model and layout until they are taken.

    What is in a pane depends on the rows and exchanges alone: not on their order, nor on how they were split.
    """

    def __init__(self, layout: Layout, redact_category: RedactCategory) -> None:
        self._layout, self._redact = layout, redact_category
        self._rows = RowCounter(layout, redact_category)
        self._vectors: dict[PaneKey, IntVector] = {}
        self._samples: dict[PaneKey, Samples] = {}

    def __len__(self) -> int:
        """Panes gathered so far."""
        return len(self._vectors)

    def add_batch(self, batch: PredictionBatch) -> None:
        """Count decoded rows, each in the minute of its request's start."""
        finished(self.adding(batch))

    def adding(self, batch: PredictionBatch) -> Generator[None, None, None]:
        """``add_batch``, in pieces. What is counted is in the panes after the last one, or up to some hundred rows
        before it."""
        version = self._redact(VERSION, batch.version)
        minutes = batch.event_ns // MINUTE_NS
        step = CHUNK_ROWS if _is_constant(minutes) else max(1, min(CHUNK_ROWS, CHUNK_CELLS // self._layout.size))
        for start in range(0, batch.rows, step):
            rows = slice(start, min(start + step, batch.rows))
            found, group = _groups(minutes[rows])
            tally, seen = yield from self._rows.counting(batch, rows, group, len(found))
            yield
            for at, of_group in tally.by_group():
                key = self._key(version, found[at])
                vector = self._vector(key)
                vector += tally.cells[at]
                tokens = [(token.feature, token.token) for token in seen.tokens if token.group == at]
                self._samples[key] = with_rows(self._samples[key], seen.hashes[of_group], tokens)

    def add_exchanges(
        self,
        exchanges: Mapping[str | None, Sequence[Exchange]],
        default_version: str,
        unix_at: Callable[[int], int],
    ) -> None:
        """Count traffic.

        Args:
            exchanges: of this model, whatever became of them, by their version where they were decoded.
            default_version: of all others, under None.
            unix_at: Unix ns at a monotonic reading.
        """
        for version, same in exchanges.items():
            told = self._redact(VERSION, default_version if version is None else version)
            for minute, members in by_minute(same, unix_at).items():
                key = self._key(told, minute)
                decoded = 0 if version is None else len(members)
                count_exchanges(self._vector(key), self._layout.traffic, members, decoded)
                if errors := error_samples(members, unix_at):
                    self._samples[key] = merge_samples(self._samples[key], {ERRORS: errors})

    def take(self) -> list[Pane]:
        """Everything gathered, ordered by key; the builder is empty afterwards."""
        panes = [Pane(key, vector, self._samples[key]) for key, vector in sorted(self._vectors.items(), key=_by_key)]
        self._vectors, self._samples = {}, {}
        return panes

    def _key(self, version: str, minute: int) -> PaneKey:
        return PaneKey(self._layout.model, version, "", self._layout.hash, minute)

    def _vector(self, key: PaneKey) -> IntVector:
        if key not in self._vectors:
            self._vectors[key] = np.zeros(self._layout.size, dtype=np.int64)
            self._samples[key] = {}
        return self._vectors[key]


def _columns(batch: PredictionBatch, names: Sequence[str], rows: slice, taken: int) -> list[Column]:
    absent: Column = [None] * taken
    whole = [batch.features.get(name, absent) for name in names]
    return whole if taken == batch.rows else [column if column is absent else column[rows] for column in whole]


def _groups(minutes: IntVector) -> tuple[list[int], IntVector]:
    """The distinct minutes, and which of them is each row's (rows,)."""
    if _is_constant(minutes):
        return minutes[:1].tolist(), np.zeros(len(minutes), dtype=np.int64)
    found, group = np.unique(minutes, return_inverse=True)
    return found.tolist(), group.reshape(-1).astype(np.int64)


def _is_constant(minutes: IntVector) -> bool:
    return not len(minutes) or bool((minutes == minutes[0]).all())


def _by_key(item: tuple[PaneKey, IntVector]) -> PaneKey:
    return item[0]
