"""Masks personal data in values and in rows. Fails closed: what cannot be redacted is not kept."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import orjson

from mlmon_sidecar.records import KeptRow, PredictionBatch, RedactedRows
from mlmon_sidecar.redact.entities import ENTITIES
from mlmon_sidecar.redact.policy import RedactionPolicy

MASK = "<redacted>"
"""In place of the whole value under a masked name, and of what cannot be looked into."""

MAX_DEPTH = 64  # nesting that is looked into; what lies deeper is masked
KEY = "key"  # what matches by name are counted under

_SCALARS = (bool, int, float, type(None))


class Redaction(NamedTuple):
    """Rows that may be kept, and how many could not be redacted and are gone."""

    rows: RedactedRows
    failed: int


class Redactor:
    """Applies one policy. Keeps no state; safe to share between threads."""

    def __init__(self, policy: RedactionPolicy | None = None) -> None:
        self.policy = policy if policy is not None else RedactionPolicy()
        self._detectors = [ENTITIES[name]() for name in self.policy.entities]

    def redact(self, value: object) -> object:
        """A copy of a decoded JSON value without personal data. Numbers are never looked at, only masked by name."""
        return self._value(value, 0, Counter())

    def redact_text(self, text: str) -> str:
        """The text with every entity replaced by its name in angle brackets. Redacting twice changes nothing."""
        return self._text(text, Counter())

    def category(self, name: str, token: str) -> str:
        """A category of the column ``name`` as it may be counted and shown."""
        return MASK if self.policy.masks(name) else self.redact_text(token)

    def redact_batch(self, batch: PredictionBatch, store_features: frozenset[str], keep: Sequence[bool]) -> Redaction:
        """The rows chosen by ``keep`` (rows,), with only the features named in ``store_features``."""
        counts: Counter[str] = Counter()
        columns = [
            (name, values.tolist() if hasattr(values, "tolist") else values)  # arrays hold numbers that JSON knows not
            for name, values in batch.features.items()
            if name in store_features
        ]
        rows, failed = [], 0
        for at in range(batch.rows):
            if not keep[at]:
                continue
            try:
                rows.append(self._row(batch, at, columns, counts))
            except Exception:  # whatever the fault, an unredacted row must not pass; the caller counts it
                failed += 1
        return Redaction(RedactedRows(tuple(rows), dict(counts)), failed)

    def _row(
        self, batch: PredictionBatch, at: int, columns: Sequence[tuple[str, Sequence[object]]], counts: Counter[str]
    ) -> KeptRow:
        trace_id, span_id = batch.traces[at]
        features = {name: values[at] for name, values in columns if values[at] is not None}
        return KeptRow(
            prediction_id=batch.prediction_ids[at],
            model=batch.model,
            version=self._stored(batch.version, counts) or "",
            segment=self._stored(batch.segments[at], counts) or "",
            event_ns=int(batch.event_ns[at]),
            score=_finite(batch.score[at]),
            predicted=self._stored(batch.predicted[at], counts),
            confidence=_finite(batch.confidence[at]),
            alias=self._stored(batch.aliases[at], counts),
            trace_id=f"{trace_id:032x}" if trace_id else "",
            span_id=f"{span_id:016x}" if span_id else "",
            features=orjson.dumps(self._value(features, 0, counts)).decode(),
        )

    def _stored(self, text: str | None, counts: Counter[str]) -> str | None:
        return None if text is None else _writable(self._text(text, counts))

    def _value(self, value: object, depth: int, counts: Counter[str]) -> object:
        if isinstance(value, _SCALARS):
            return value
        if isinstance(value, str):
            return _writable(self._text(value, counts))
        if depth >= MAX_DEPTH:
            return MASK
        if isinstance(value, Mapping):
            return {
                _writable(self._text(str(key), counts)): self._member(str(key), inner, depth, counts)
                for key, inner in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self._value(inner, depth + 1, counts) for inner in value]
        return MASK

    def _member(self, name: str, value: object, depth: int, counts: Counter[str]) -> object:
        if value is None or not self.policy.masks(name):
            return self._value(value, depth + 1, counts)
        if value != MASK:
            counts[KEY] += 1
        return MASK

    def _text(self, text: str, counts: Counter[str]) -> str:
        for detector in self._detectors:
            parts, after = [], 0
            for start, end in detector.spans(text):
                if start < after:
                    continue
                parts += [text[after:start], f"<{detector.name}>"]
                after = end
                counts[detector.name] += 1
            text = "".join([*parts, text[after:]]) if parts else text
        return text


def _writable(text: str) -> str:
    """Lone surrogates as question marks: no store and no wire takes them."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
