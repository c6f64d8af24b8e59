"""Rows of a batch as they may be kept: everything that repeats is worked out once, all that does not in one pass."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import orjson

from mlmon_sidecar.records import KeptRow, PredictionBatch, RedactedRows

if TYPE_CHECKING:
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
        rows = [row for row in map(_row, zip(*columns, strict=True)) if row is not None]
        return Redaction(RedactedRows(tuple(rows), dict(counts)), len(kept) - len(rows))

    def _columns(
        self, batch: PredictionBatch, store_features: frozenset[str], kept: Sequence[int], counts: Counter[str]
    ) -> list[Sequence[object]]:
        """The fields of ``KeptRow`` in their order, each (kept rows,)."""
        rows = len(kept)
        version = self._repeated([batch.version] * min(rows, 1), counts)[:1] * rows
        traces = [batch.traces[at] for at in kept]
        return [
            [batch.prediction_ids[at] for at in kept],
            [batch.model] * rows,
            version,
            ["" if text is None else text for text in self._repeated([batch.segments[at] for at in kept], counts)],
            [int(batch.event_ns[at]) for at in kept],
            [_finite(batch.score[at]) for at in kept],
            self._repeated([batch.predicted[at] for at in kept], counts),
            [_finite(batch.confidence[at]) for at in kept],
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
        clean = iter(self._redactor.redact_texts(given, counts) if given else ())
        return [None if text is None else next(clean) for text in texts]

    def _features(
        self, batch: PredictionBatch, store_features: frozenset[str], kept: Sequence[int], counts: Counter[str]
    ) -> Sequence[object]:
        columns = [
            (name, values.tolist() if hasattr(values, "tolist") else values)  # JSON knows no numbers of an array
            for name, values in batch.features.items()
            if name in store_features
        ]
        if not columns:
            return [NO_FEATURES] * len(kept)
        given = [{name: values[at] for name, values in columns if values[at] is not None} for at in kept]
        clean = self._redactor.redact_counted(given, counts)
        assert isinstance(clean, list)
        return clean


def _row(fields: tuple[object, ...]) -> KeptRow | None:
    """None where the features are no JSON after all."""
    features = fields[-1]
    if features is NO_FEATURES:
        return KeptRow._make(fields)
    try:
        return KeptRow._make((*fields[:-1], orjson.dumps(features).decode()))
    except TypeError:  # what orjson raises; its message may quote the value
        return None


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
