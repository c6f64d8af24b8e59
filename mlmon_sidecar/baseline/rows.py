"""A table's rows as serving would decode them, a few at a time, as often as they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.aggregate.convert import to_matrix
from mlmon_sidecar.aggregate.samples import input_hashes
from mlmon_sidecar.baseline.columns import RedactCategory
from mlmon_sidecar.baseline.document import Roles
from mlmon_sidecar.baseline.predictions import texts
from mlmon_sidecar.baseline.survey import Survey, row_counts
from mlmon_sidecar.baseline.tables import Source
from mlmon_sidecar.baseline.time_unit import in_nanoseconds
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.decode.outputs import class_text
from mlmon_sidecar.decode.text_features import vector_columns

if TYPE_CHECKING:
    from mlmon_sidecar.aggregate.samples import Hashes
    from mlmon_sidecar.records import FloatVector, IntVector, PredictionBatch

# No column of a table has these names.
_TIME = ("\x00time", "\x00time below")
_ID, _SCORE, _LABEL, _CLASS = "\x00id", "\x00score", "\x00label", "\x00class"
_ROWS = "\x00rows"  # so that rows without a feature still have a number


@dataclass(frozen=True)
class Rows:
    """Some rows.

    Attributes:
        counts: (rows,) how many rows each one stands for; 1 or more.
        labels: as serving writes them; None without a label column.
        raw_labels: likewise, before redaction.
    """

    batch: PredictionBatch
    counts: IntVector
    labels: Sequence[str | None] | None
    raw_labels: Sequence[str | None] | None

    @cached_property
    def hashes(self) -> Hashes:
        """(rows,): of everything a row holds, so that what is chosen by it does not depend on where a row stands."""
        batch = self.batch
        columns: dict[str, Sequence[object] | FloatVector] = {
            **batch.features,
            _TIME[0]: (batch.event_ns >> 32).astype(np.float64),  # one double does not hold all of it
            _TIME[1]: (batch.event_ns & 0xFFFFFFFF).astype(np.float64),
            _ID: batch.aliases,
            _SCORE: [None if score != score else score for score in batch.score.tolist()],
            _CLASS: batch.predicted,
        }
        if self.raw_labels is not None:
            columns[_LABEL] = self.raw_labels
        held = list(columns.values())
        return input_hashes(list(columns), held, *to_matrix(held, batch.rows))

    def only(self, kept: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Rows:
        """``kept`` (rows,)."""
        if kept.all():
            return self
        return Rows(
            _only(self.batch, np.flatnonzero(kept)),
            self.counts[kept],
            None if self.labels is None else [label for label, keep in zip(self.labels, kept, strict=True) if keep],
            None
            if self.raw_labels is None
            else [label for label, keep in zip(self.raw_labels, kept, strict=True) if keep],
        )


RowFilter = Callable[[Rows], "np.ndarray[tuple[int], np.dtype[np.bool_]]"]


class RowReader:
    """Reads a surveyed table again and again."""

    def __init__(
        self,
        source: Source,
        found: Survey,
        roles: Roles,
        redact_category: RedactCategory,
        chunk_rows: int,
        keep: RowFilter | None = None,
    ) -> None:
        self._source, self._found, self._roles = source, found, roles
        self._redact, self._chunk_rows, self._keep = redact_category, chunk_rows, keep
        self._features = [name for name in found.names if name not in roles.named()]

    def read(self, progress: Callable[[float], None]) -> Iterator[Rows]:
        """All rows that stand for at least one. Raises ``DecodeError`` for a time that cannot be read."""
        for columns, done in self._source.chunks(self._chunk_rows):
            rows = self._decoded(columns)
            rows = rows.only(rows.counts > 0)
            if self._keep is not None and rows.batch.rows:
                rows = rows.only(self._keep(rows))
            if rows.batch.rows:
                yield rows
            progress(done)

    def _decoded(self, columns: Mapping[str, Sequence[object]]) -> Rows:
        counts = row_counts(columns, self._roles)

        def role(name: str) -> Sequence[object] | None:
            return columns.get(name, [None] * len(counts)) if name else None

        features, times = self._flat(columns), role(self._roles.timestamp)
        batch = batch_from_columns(
            self._found.options.name,
            now_ns=0,
            features=features or {_ROWS: [None] * len(counts)},
            predictions=role(self._roles.prediction) if self._found.kind != "none" else None,
            scores=role(self._roles.score),
            confidences=role(self._roles.score) if self._found.kind == "multiclass" else None,
            ids=role(self._roles.id),
            times=None if times is None else in_nanoseconds(times, self._found.time_unit_ns),
            segments=role(self._roles.segment),
            options=self._found.options,
        )
        labels = role(self._roles.label)
        return Rows(
            batch if features else replace(batch, features={}),
            np.array(counts, dtype=np.int64),
            None if labels is None else texts(labels, self._redact),
            None if labels is None else [class_text(label) for label in labels],
        )

    def _flat(self, columns: Mapping[str, Sequence[object]]) -> dict[str, Sequence[object]]:
        """Vectors taken apart for all rows or for none: decoding by itself would judge by the rows it sees."""
        result: dict[str, Sequence[object]] = {}
        for name in self._features:
            column = columns.get(name)
            if column is None:
                continue
            if name in self._found.vectors:
                result.update(vector_columns(name, [value if isinstance(value, list) else None for value in column]))
            elif list in set(map(type, column)):
                result[name] = [{} if isinstance(value, list) else value for value in column]
            else:
                result[name] = column
        return result


def _only(batch: PredictionBatch, places: IntVector) -> PredictionBatch:
    at = places.tolist()
    return replace(
        batch,
        event_ns=batch.event_ns[places],
        weight=batch.weight[places],
        prediction_ids=[batch.prediction_ids[k] for k in at],
        aliases=[batch.aliases[k] for k in at],
        features={name: [column[k] for k in at] for name, column in batch.features.items()},
        score=batch.score[places],
        predicted=[batch.predicted[k] for k in at],
        confidence=batch.confidence[places],
        segments=[batch.segments[k] for k in at],
        traces=[batch.traces[k] for k in at],
        exemplar=[batch.exemplar[k] for k in at],
    )
