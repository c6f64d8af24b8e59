"""Rows of a batch as they may be kept: everything that repeats is worked out once, all that does not in one pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import orjson

from mlmon_sidecar.records import KeptRow, PredictionBatch, RedactedRows

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector
    from mlmon_sidecar.redact.redactor import Redactor

NO_FEATURES = "{}"


class Redaction(NamedTuple):
    """Rows that may be kept, and how many could not be redacted and are gone."""

    rows: RedactedRows
    failed: int


class RowRedactor:
    """Ids minted here, times and numbers are no text; versions, classes and segments are few; aliases are many."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def redact(self, batch: PredictionBatch, store_features: frozenset[str], keep: Sequence[bool]) -> Redaction:
        kept = [at for at, chosen in enumerate(keep) if chosen]
        counts: Counter[str] = Counter()
        try:
            columns = self._columns(batch, store_features, kept, counts)
        except Exception:  # whatever the fault, an unredacted row must not pass; the caller counts it
            return Redaction(RedactedRows(), len(kept))
        rows = [KeptRow._make(fields) for fields in zip(*columns, strict=True) if fields[-1] is not None]
        return Redaction(RedactedRows(tuple(rows), dict(counts)), len(kept) - len(rows))

    def _columns(
        self, batch: PredictionBatch, store_features: frozenset[str], kept: Sequence[int], counts: Counter[str]
    ) -> list[Sequence[object]]:
        """The fields of ``KeptRow`` in their order, each (kept rows,)."""
        rows = len(kept)
        event_ns, score, confidence = batch.event_ns, batch.score, batch.confidence
        if rows < batch.rows:
            event_ns, score, confidence = event_ns[kept], score[kept], confidence[kept]
        version = self._repeated([batch.version] * min(rows, 1), counts)[:1] * rows
        traces = [batch.traces[at] for at in kept]
        return [
            [batch.prediction_ids[at] for at in kept],
            [batch.model] * rows,
            version,
            ["" if text is None else text for text in self._repeated([batch.segments[at] for at in kept], counts)],
            event_ns.tolist(),
            _finite(score),
            self._repeated([batch.predicted[at] for at in kept], counts),
            _finite(confidence),
            self._many([batch.aliases[at] for at in kept], counts),
            [f"{trace_id:032x}" if trace_id else "" for trace_id, _ in traces],
            [f"{span_id:016x}" if span_id else "" for _, span_id in traces],
            self._features(batch, store_features, kept, counts),
        ]

    def _repeated(self, texts: Sequence[str | None], counts: Counter[str]) -> list[str | None]:
        clean: dict[str | None, str | None] = {None: None}
        for text, times in Counter(texts).items():
            if text is not None:
                clean[text], found = self._redactor.short("", text)
                for entity, matches in found.items():
                    counts[entity] += matches * times
        return [clean[text] for text in texts]

    def _many(self, texts: Sequence[str | None], counts: Counter[str]) -> list[str | None]:
        given = [text for text in texts if text is not None]
        clean = iter(self._redactor.identifiers(given, counts) if given else ())
        return [None if text is None else next(clean) for text in texts]

    def _features(
        self, batch: PredictionBatch, store_features: frozenset[str], kept: Sequence[int], counts: Counter[str]
    ) -> Sequence[str | None]:
        """JSON of each row; None where it is none after all."""
        whole = len(kept) == batch.rows
        columns = {
            name: values if whole else [values[at] for at in kept]
            for name, values in (
                (name, values.tolist() if hasattr(values, "tolist") else values)  # JSON knows no numbers of an array
                for name, values in batch.features.items()
                if name in store_features
            )
        }
        if not columns:
            return [NO_FEATURES] * len(kept)
        clean = self._redactor.redact_columns(columns, counts)
        if clean is not None:
            return list(map(_json, _rows_of(clean)))
        redacted = self._redactor.redact_counted(_rows_of(columns), counts)
        assert isinstance(redacted, list)
        return list(map(_json, redacted))


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
