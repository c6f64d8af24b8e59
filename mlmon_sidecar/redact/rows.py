"""Rows of a batch as they may be kept: everything that repeats is worked out once, all that does not in one pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import orjson

from mlmon_sidecar.records import KeptRow, PredictionBatch, RedactedRows

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector
    from mlmon_sidecar.redact.redactor import Redactor

NO_FEATURES = "{}"
Item = TypeVar("Item")


class Redaction(NamedTuple):
    """Rows that may be kept, and how many could not be redacted and are gone."""

    rows: RedactedRows
    failed: int


class _Kept:
    """The rows of a batch that are kept. ``chosen`` (rows,) is None where all are."""

    def __init__(self, batch: PredictionBatch, chosen: Sequence[bool] | None) -> None:
        self.batch, self._chosen = batch, chosen

    def of(self, column: Sequence[Item]) -> Sequence[Item]:
        return column if self._chosen is None else list(compress(column, self._chosen))


class RowRedactor:
    """Ids minted here, times and numbers are no text; versions, classes and segments are few; aliases are many."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def redact(self, batch: PredictionBatch, store_features: frozenset[str], keep: Sequence[bool]) -> Redaction:
        counts: Counter[str] = Counter()
        kept = batch.rows if all(keep) else sum(keep)
        try:
            columns = self._columns(_Kept(batch, keep if kept < batch.rows else None), store_features, counts)
        except Exception:  # whatever the fault, an unredacted row must not pass; the caller counts it
            return Redaction(RedactedRows(), kept)
        rows = [KeptRow._make(fields) for fields in zip(*columns, strict=True) if fields[-1] is not None]
        return Redaction(RedactedRows(tuple(rows), dict(counts)), kept - len(rows))

    def _columns(self, kept: _Kept, store_features: frozenset[str], counts: Counter[str]) -> list[Sequence[object]]:
        """The fields of ``KeptRow`` in their order, each (kept rows,)."""
        batch, prediction_ids = kept.batch, kept.of(kept.batch.prediction_ids)
        rows = len(prediction_ids)
        version = self._repeated([batch.version] * min(rows, 1), counts)[:1] * rows
        trace_ids, span_ids = _hexadecimal(kept.of(batch.traces))
        return [
            prediction_ids,
            [batch.model] * rows,
            version,
            ["" if text is None else text for text in self._repeated(kept.of(batch.segments), counts)],
            kept.of(batch.event_ns.tolist()),
            kept.of(_finite(batch.score)),
            self._repeated(kept.of(batch.predicted), counts),
            kept.of(_finite(batch.confidence)),
            self._many(kept.of(batch.aliases), counts),
            trace_ids,
            span_ids,
            self._features(kept, store_features, rows, counts),
        ]

    def _repeated(self, texts: Sequence[str | None], counts: Counter[str]) -> list[str | None]:
        clean: dict[str | None, str | None] = {None: None}
        distinct = Counter(texts)
        if distinct.keys() == clean.keys():
            return list(texts)
        for text, times in distinct.items():
            if text is not None:
                clean[text], found = self._redactor.short("", text)
                for entity, matches in found.items():
                    counts[entity] += matches * times
        return [clean[text] for text in texts]

    def _many(self, texts: Sequence[str | None], counts: Counter[str]) -> list[str | None]:
        given = [text for text in texts if text is not None]
        if not given:
            return list(texts)
        clean = iter(self._redactor.identifiers(given, counts))
        return [None if text is None else next(clean) for text in texts]

    def _features(
        self, kept: _Kept, store_features: frozenset[str], rows: int, counts: Counter[str]
    ) -> Sequence[str | None]:
        """JSON of each row; None where it is none after all."""
        columns = {
            name: kept.of(values.tolist() if hasattr(values, "tolist") else values)  # JSON knows no numbers of an array
            for name, values in kept.batch.features.items()
            if name in store_features
        }
        if not columns:
            return [NO_FEATURES] * rows
        clean = self._redactor.redact_columns(columns, counts)
        if clean is not None:
            return list(map(_json, _rows_of(clean)))
        redacted = self._redactor.redact_counted(_rows_of(columns), counts)
        assert isinstance(redacted, list)
        return list(map(_json, redacted))


def _hexadecimal(traces: Sequence[tuple[int, int]]) -> tuple[list[str], list[str]]:
    """Trace ids and span ids; "" where there is none."""
    if not any(map(any, traces)):
        return [""] * len(traces), [""] * len(traces)
    return (
        [f"{trace_id:032x}" if trace_id else "" for trace_id, _ in traces],
        [f"{span_id:016x}" if span_id else "" for _, span_id in traces],
    )


def _rows_of(columns: Mapping[str, Sequence[object]]) -> list[dict[str, object]]:
    """Without what is null."""
    rows = zip(*columns.values(), strict=True)
    if any(None in values for values in columns.values()):
        return [{name: value for name, value in zip(columns, row, strict=True) if value is not None} for row in rows]
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _json(features: object) -> str | None:
    try:
        return orjson.dumps(features).decode()
    except TypeError:  # what orjson raises; its message may quote the value
        return None


def _finite(values: FloatVector) -> list[float | None]:
    """(rows,): None for what is no number."""
    finite = np.isfinite(values)
    numbers: list[float | None] = values.tolist()
    return numbers if finite.all() else [one if is_one else None for one, is_one in zip(numbers, finite, strict=True)]
