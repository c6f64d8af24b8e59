"""Batches and exchanges to panes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.aggregate.categorical import CategoricalCounter, RedactCategory
from mlmon_sidecar.aggregate.convert import to_matrix
from mlmon_sidecar.aggregate.exemplars import error_samples
from mlmon_sidecar.aggregate.numeric import NumericCounter
from mlmon_sidecar.aggregate.outputs import OutputCounter
from mlmon_sidecar.aggregate.samples import input_hashes, new_tokens, smallest_inputs
from mlmon_sidecar.aggregate.tally import Tally
from mlmon_sidecar.aggregate.traffic import count_exchanges, exchanges_by_pane
from mlmon_sidecar.records import MINUTE_NS, Exchange, Pane, PaneKey, PredictionBatch, Sample
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.statistics.samples import ERRORS, INPUTS, NEW_PREFIX, merge_samples

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector

CHUNK_ROWS = 512  # rows counted at once
CHUNK_CELLS = 4_000_000  # cells of the chunk's matrix: 32 MB
VERSION = "version"
"""The name under which version texts pass the redactor."""

GroupSamples = dict[int, dict[str, tuple[Sample, ...]]]


class RowCounter:
    """Counts rows of one layout, grouped as the caller likes: by minute for panes, by hour or not at all elsewhere."""

    def __init__(self, layout: Layout, redact_category: RedactCategory) -> None:
        self.layout = layout
        self._numeric = NumericCounter(layout)
        self._categorical = [
            CategoricalCounter(feature, cells, redact_category) for feature, cells in layout.categorical()
        ]
        self._names = [*self._numeric.names, *(counter.name for counter in self._categorical)]
        self._outputs = OutputCounter(layout, redact_category)

    def count(self, batch: PredictionBatch, rows: slice, group: IntVector, groups: int) -> tuple[Tally, GroupSamples]:
        """Cells (groups, layout.size) of ``batch``'s ``rows``, whose groups in [0, groups) are ``group``."""
        tally = Tally(group, groups, batch.weight[rows], self.layout.size)
        samples: GroupSamples = {}
        taken = len(group)
        tally.add(self.layout.traffic.rows)
        tally.add(self.layout.traffic.rows + 1, tally.weight)
        names = self._names or sorted(batch.features)  # without a layout of features, every column tells rows apart
        columns = [_slice(batch.features.get(name), rows, taken) for name in names]
        values, codes = to_matrix(columns, taken)
        numeric = len(self._numeric.names)
        self._numeric.count(tally, values[:numeric], codes[:numeric])
        for counter, column in zip(self._categorical, columns[numeric:], strict=False):
            for at, tokens in new_tokens(counter.count(tally, column)).items():
                samples.setdefault(at, {})[NEW_PREFIX + counter.name] = tokens
        for at, inputs in smallest_inputs(input_hashes(names, columns, values, codes), group).items():
            samples.setdefault(at, {})[INPUTS] = inputs
        self._outputs.count(tally, batch.score[rows], batch.predicted[rows], batch.confidence[rows])
        return tally, samples


class PaneBuilder:
    """Gathers the panes of one model and layout until they are taken.

    What is in a pane depends on the rows and exchanges alone: not on their order, nor on how they were split.
    """

    def __init__(self, layout: Layout, redact_category: RedactCategory) -> None:
        self._layout, self._redact = layout, redact_category
        self._rows = RowCounter(layout, redact_category)
        self._vectors: dict[PaneKey, IntVector] = {}
        self._samples: dict[PaneKey, dict[str, tuple[Sample, ...]]] = {}

    def __len__(self) -> int:
        """Panes gathered so far."""
        return len(self._vectors)

    def add_batch(self, batch: PredictionBatch) -> None:
        """Count decoded rows, each in the minute of its request's start."""
        version = self._redact(VERSION, batch.version)
        minutes = batch.event_ns // MINUTE_NS
        step = CHUNK_ROWS if _is_constant(minutes) else max(1, min(CHUNK_ROWS, CHUNK_CELLS // self._layout.size))
        for start in range(0, batch.rows, step):
            rows = slice(start, min(start + step, batch.rows))
            found, group = np.unique(minutes[rows], return_inverse=True)
            tally, samples = self._rows.count(batch, rows, group.reshape(-1).astype(np.int64), len(found))
            for at, minute in enumerate(found.tolist()):
                key = self._key(version, minute)
                vector = self._vector(key)
                vector += tally.cells[at]
                self._samples[key] = merge_samples(self._samples[key], samples.get(at, {}))

    def add_exchanges(
        self,
        exchanges: Sequence[Exchange],
        versions: Mapping[str, str],
        default_version: str,
        unix_at: Callable[[int], int],
    ) -> None:
        """Count traffic.

        Args:
            exchanges: of this model, whatever became of them.
            versions: prediction id to version of those that were decoded (``traffic.decoded_versions``).
            default_version: of all others.
            unix_at: Unix ns at a monotonic reading.
        """
        timed = ((exchange, unix_at(exchange.started_ns) // MINUTE_NS) for exchange in exchanges)
        for (version, minute), (members, decoded) in exchanges_by_pane(timed, versions, default_version).items():
            key = self._key(self._redact(VERSION, version), minute)
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


def _slice(column: Sequence[object] | None, rows: slice, taken: int) -> Sequence[object]:
    return [None] * taken if column is None else column[rows]


def _is_constant(minutes: IntVector) -> bool:
    return not len(minutes) or bool((minutes == minutes[0]).all())


def _by_key(item: tuple[PaneKey, IntVector]) -> PaneKey:
    return item[0]
