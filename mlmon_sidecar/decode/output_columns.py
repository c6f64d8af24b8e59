"""Predictions of many rows at once. Says exactly what ``outputs`` says of each row by itself, only faster.

Columns of one type (numbers, texts, vectors of one length, objects of one shape) are read as arrays; anything else, and
the few rows of a small request, value by value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.outputs import (
    CLASS_NAME_KEYS,
    CONFIDENCE_KEYS,
    MAX_CLASS_TEXT,
    MAX_CLASSES,
    NOTHING,
    PREDICTED_KEYS,
    PROBABILITY_SLACK,
    SCORE_KEYS,
    Output,
    class_text,
    combine,
    read_output,
    read_score,
)
from mlmon_sidecar.decode.scalars import plain
from mlmon_sidecar.decode.sides import Outputs

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector

FEW = 8  # rows that cost less one by one than arrays do
_NUMBERS = frozenset({int, float})
_SAYING_NOTHING = frozenset({type(None), dict})
_OBJECT_KEYS = (*PREDICTED_KEYS, *SCORE_KEYS, *CONFIDENCE_KEYS, *CLASS_NAME_KEYS)

Part = Sequence[object] | None
Parts = tuple[Part, Part, Part]
"""Predictions, scores, confidences, each with one item a row; None where a column or an item is not there."""


def read_outputs(values: Sequence[object], options: DecodeOptions, names: Sequence[str] = ()) -> Outputs | None:
    """Predictions of one row each, as columns; None where not one of them says anything.

    ``names`` are those of the classes, in the order of probability vectors.
    """
    return together((values, None, None), options, names)


def together(
    parts: Parts,
    options: DecodeOptions,
    names: Sequence[str] = (),
) -> Outputs | None:
    """Row by row from three columns of one length; None for a result that says nothing."""
    rows = max((len(column) for column in parts if column is not None), default=0)
    whole = None if rows < FEW else _at_once(parts, options, names)
    if whole is None:
        nothing = [None] * rows
        columns = [nothing if column is None else column for column in parts]
        whole = as_columns(
            [
                combine(
                    NOTHING if given is None else read_output(given, options, names),
                    NOTHING if score is None else read_score(score, options, names),
                    sure,
                )
                for given, score, sure in zip(*columns, strict=True)
            ]
        )
    return whole if _says_anything(whole) else None


def as_columns(outputs: Sequence[Output]) -> Outputs:
    score, predicted, confidence = zip(*outputs, strict=True) if outputs else ((), (), ())
    return Outputs(score, predicted, confidence)


def _says_anything(outputs: Outputs) -> bool:
    if any(name is not None for name in outputs.predicted):
        return True
    return any(score == score for score in outputs.score)


def _at_once(parts: Parts, options: DecodeOptions, names: Sequence[str]) -> Outputs | None:
    """None where the values are not of one type."""
    predicted, scored, confidence = parts
    first = None if predicted is None else _predictions(predicted, options, names)
    second = None if scored is None else _scores(scored, options, names)
    third = None if confidence is None else _numbers(confidence)
    if (first is None and predicted is not None) or (second is None and scored is not None):
        return None
    if third is None and confidence is not None:
        return None
    return _combined(first, second, third)


def _combined(first: Outputs | None, second: Outputs | None, sure: FloatVector | None) -> Outputs | None:
    """``outputs.combine`` for whole columns."""
    if first is None or second is None:
        both = first or second
        if both is None or sure is None:
            return both
        return Outputs(both.score, both.predicted, np.where(np.isnan(sure), both.confidence, sure))
    confidence = np.where(np.isnan(second.confidence), first.confidence, second.confidence)
    return Outputs(
        np.where(np.isnan(second.score), first.score, second.score),
        [two if one is None else one for one, two in zip(first.predicted, second.predicted, strict=True)],
        confidence if sure is None else np.where(np.isnan(sure), confidence, sure),
    )


def _predictions(values: Sequence[object], options: DecodeOptions, names: Sequence[str]) -> Outputs | None:
    """``outputs.read_output`` for a column."""
    kinds = set(map(type, values))
    if options.kind == "multilabel":
        return None  # sets are read one by one
    if kinds == {dict}:
        return _objects(values, options, names)
    if kinds == {list}:
        return _vectors(values, options, names)
    if options.kind == "regression":
        return _scores(values, options, names) if kinds <= _NUMBERS else None
    if kinds == {float}:
        return _floats(np.array(values, dtype=np.float64), options)
    if kinds == {str}:
        return _classes([value[:MAX_CLASS_TEXT] for value in values])  # type: ignore[index]
    if kinds == {int}:
        return _classes([class_text(plain(value)) for value in values])
    return None


def _scores(values: Sequence[object], options: DecodeOptions, names: Sequence[str]) -> Outputs | None:
    """``outputs.read_score`` for a column."""
    if set(map(type, values)) == {list}:
        return _vectors(values, options, names)
    score = _numbers(values)
    return None if score is None else Outputs(score, [None] * len(score), _missing(len(score)))


def _floats(numbers: FloatVector, options: DecodeOptions) -> Outputs:
    finite = np.isfinite(numbers)
    whole = finite if options.kind == "multiclass" else finite & (np.floor(numbers) == numbers)
    score = np.where(finite & ~whole, numbers, np.nan)
    classes: list[str | None] = [None] * len(numbers)
    for at in np.flatnonzero(whole).tolist():
        classes[at] = class_text(float(numbers[at]))
    return Outputs(score, classes, _missing(len(numbers)))


def _classes(classes: Sequence[str | None]) -> Outputs:
    return Outputs(_missing(len(classes)), classes, _missing(len(classes)))


def _objects(values: Sequence[object], options: DecodeOptions, names: Sequence[str]) -> Outputs | None:
    """Objects that say the same things in every row, none of them null or an object."""
    members: Sequence[Mapping[str, object]] = values  # type: ignore[assignment]
    known = [name for name in _OBJECT_KEYS if name in members[0]]
    columns = {name: [member.get(name) for member in members] for name in known}
    if not known or not columns.keys().isdisjoint(CLASS_NAME_KEYS):
        return None
    if not all(_SAYING_NOTHING.isdisjoint(map(type, column)) for column in columns.values()):
        return None
    if not frozenset(_OBJECT_KEYS).difference(columns).isdisjoint(chain.from_iterable(members)):
        return None

    def under(keys: Sequence[str]) -> Part:
        return next((columns[name] for name in keys if name in columns), None)

    parts = under(PREDICTED_KEYS), under(SCORE_KEYS), under(CONFIDENCE_KEYS)
    return None if parts[0] is None and parts[1] is None else _at_once(parts, options, names)


def _vectors(values: Sequence[object], options: DecodeOptions, names: Sequence[str]) -> Outputs | None:
    """Vectors of one length, of numbers alone."""
    vectors: Sequence[Sequence[object]] = values  # type: ignore[assignment]
    widths = set(map(len, vectors))
    if len(widths) != 1 or not 1 < min(widths) <= MAX_CLASSES or options.kind == "regression":
        return None
    flat = _numbers([item for vector in vectors for item in vector])
    if flat is None or np.isnan(flat).any():
        return None
    matrix = flat.reshape(len(vectors), -1)
    rows, width = matrix.shape
    tops = matrix.argmax(axis=1)
    top = matrix[np.arange(rows), tops]
    labels = names if len(names) == width else [str(at) for at in range(width)]
    probable = (matrix >= 0).all(axis=1) & (matrix <= 1).all(axis=1)
    probable &= np.abs([math.fsum(vector) - 1 for vector in matrix.tolist()]) <= PROBABILITY_SLACK
    if not probable.all():
        return None
    predicted: list[str | None] = [labels[at] for at in tops.tolist()]
    sure = top - np.partition(matrix, -2, axis=1)[:, -2] if options.margin else top
    if width == 2 and options.kind != "multiclass":
        return Outputs(matrix[:, 1], [None] * rows if options.is_binary else predicted, sure)
    return Outputs(top, predicted, sure)


def _numbers(values: Sequence[object]) -> FloatVector | None:
    """Finite numbers, NaN for others that are no number in JSON's sense; None where one is not even a number."""
    if not _NUMBERS.issuperset(map(type, values)):
        return None
    try:
        numbers = np.array(values, dtype=np.float64)
    except OverflowError:
        return None
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _missing(rows: int) -> FloatVector:
    return np.full(rows, np.nan)
