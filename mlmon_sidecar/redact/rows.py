"""Rows of a batch as they may be kept: everything that repeats is worked out once, all that does not in one pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import orjson

from mlmon_sidecar.records import KeptRows, PredictionBatch, RedactedRows

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector
    from mlmon_sidecar.redact.redactor import Redactor

NO_FEATURES = "{}"
_NUMBERS = frozenset({int, float, bool})
_TEXTS = frozenset({str})
_UNTRACED = (0, 0)


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
        if None in columns[-1]:
            there = [text is not None for text in columns[-1]]
            columns = [list(compress(column, there)) for column in columns]
        rows = KeptRows(columns)
        return Redaction(RedactedRows(rows, dict(counts)), len(kept) - len(rows))

    def _columns(
        self, batch: PredictionBatch, store_features: frozenset[str], kept: Sequence[int], counts: Counter[str]
    ) -> list[Sequence[object]]:
        """As ``KeptRows`` has them."""
        rows = len(kept)
        event_ns, score, confidence = batch.event_ns, batch.score, batch.confidence
        if rows < batch.rows:
            event_ns, score, confidence = event_ns[kept], score[kept], confidence[kept]

        def chosen(items: Sequence[Any]) -> Sequence[Any]:
            return items if rows == batch.rows else [items[at] for at in kept]

        version = self._repeated([batch.version] * min(rows, 1), counts)[:1] * rows
        traces = chosen(batch.traces)
        untraced = traces.count(_UNTRACED) == rows
        return [
            chosen(batch.prediction_ids),
            [batch.model] * rows,
            version,
            self._repeated(chosen(batch.segments), counts, nothing=""),
            event_ns.tolist(),
            _finite(score),
            self._repeated(chosen(batch.predicted), counts),
            _finite(confidence),
            self._many(chosen(batch.aliases), counts),
            [""] * rows if untraced else [f"{trace_id:032x}" if trace_id else "" for trace_id, _ in traces],
            [""] * rows if untraced else [f"{span_id:016x}" if span_id else "" for _, span_id in traces],
            self._features(batch, store_features, kept, counts),
        ]

    def _repeated(
        self, texts: Sequence[str | None], counts: Counter[str], nothing: str | None = None
    ) -> list[str | None]:
        """``nothing`` stands where there is no text."""
        if texts.count(None) == len(texts):
            return [nothing] * len(texts)
        clean: dict[str | None, str | None] = {None: nothing}
        for text, times in Counter(texts).items():
            if text is not None:
                clean[text], found = self._redactor.short("", text)
                for entity, matches in found.items():
                    counts[entity] += matches * times
        return list(map(clean.__getitem__, texts))

    def _many(self, texts: Sequence[str | None], counts: Counter[str]) -> list[str | None]:
        if texts.count(None) == len(texts):
            return [None] * len(texts)
        clean = iter(self._redactor.identifiers([text for text in texts if text is not None], counts))
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
            return _texts_of(clean) or list(map(_json, _rows_of(clean)))
        redacted = self._redactor.redact_counted(_rows_of(columns), counts)
        assert isinstance(redacted, list)
        return list(map(_json, redacted))


def _texts_of(columns: Mapping[str, Sequence[object]]) -> list[str] | None:
    """JSON of each row, as ``_json`` writes it; None where a column is neither of numbers nor of texts alone, and where
    one of them is none after all."""
    try:
        written = [_column_texts(values) for values in columns.values()]
        names = [orjson.dumps(name).decode().replace("%", "%%") for name in columns]
    except TypeError:  # what orjson raises
        return None
    form = "{" + ",".join(f"{name}:%s" for name in names) + "}"
    return list(map(form.__mod__, zip(*written, strict=True)))


def _column_texts(values: Sequence[object]) -> Sequence[str]:
    """JSON of each value. Raises ``TypeError``. No number is written with a comma, and few texts are distinct."""
    kinds = set(map(type, values))
    if kinds == _TEXTS:
        texts = {text: orjson.dumps(text).decode() for text in set(values)}
        return list(map(texts.__getitem__, values))
    if kinds and kinds <= _NUMBERS:
        return orjson.dumps(values)[1:-1].decode().split(",")
    raise TypeError


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
