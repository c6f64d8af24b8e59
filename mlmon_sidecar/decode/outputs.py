"""What a model answered, value by value, and what follows from it.

A value is a class, a score, a vector of class probabilities, an object of these, or a name-to-probability object.
The same reading serves live answers and tables given to ``observe``, so that a baseline counts what serving counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.scalars import plain
from mlmon_sidecar.statistics.label_sets import label_set_text

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector

PREDICTED_KEYS = (
    "prediction", "predictions", "label", "class", "predicted_class", "predicted_label", "y_pred", "output", "outputs",
    "ranking", "recommendations",
)  # fmt: skip
SCORE_KEYS = ("score", "scores", "probability", "probabilities", "proba", "y_pred_proba")
CONFIDENCE_KEYS = ("confidence",)
CLASS_NAME_KEYS = ("classes", "class_names")
MAX_CLASSES = 10_000  # numbers of a probability vector, or items of a ranked list; longer ones are no prediction
MAX_CLASS_TEXT = 256  # characters of a class name; the rest is cut
PROBABILITY_SLACK = 0.01  # how far from 1 the sum of rounded class probabilities may be


class Output(NamedTuple):
    """One row's prediction; NaN and None where absent."""

    score: float = math.nan
    predicted: str | None = None
    confidence: float = math.nan

    @property
    def given(self) -> bool:
        """Whether it says anything."""
        return self.predicted is not None or not math.isnan(self.score)


NOTHING = Output()


def read_output(value: object, options: DecodeOptions, names: Sequence[str] = ()) -> Output:
    """One prediction out of whatever a model calls one. ``names``: of the classes, in a vector's order."""
    value = plain(value)
    if options.kind == "multilabel" and not isinstance(value, Mapping):
        return Output(predicted=_label_set(value, names))
    if isinstance(value, list):
        return _vector(value, options, names)
    if isinstance(value, Mapping):
        return _object(value, options, names)
    if options.kind != "regression" and _names_a_class(value, options):
        return Output(predicted=class_text(value))
    return Output(score=number(value))


def read_score(value: object, options: DecodeOptions, names: Sequence[str] = ()) -> Output:
    """A value that is known to be a score or a vector of them."""
    value = plain(value)
    if isinstance(value, list):
        return _vector(value, options, names)
    if isinstance(value, Mapping):
        return _named_probabilities(value, options)
    return Output(score=number(value))


def combine(predicted: Output, scored: Output, confidence: object) -> Output:
    """One row from its parts: an explicit class, score and confidence before derived ones."""
    sure = number(plain(confidence))
    if math.isnan(sure):
        sure = predicted.confidence if math.isnan(scored.confidence) else scored.confidence
    return Output(
        score=predicted.score if math.isnan(scored.score) else scored.score,
        predicted=scored.predicted if predicted.predicted is None else predicted.predicted,
        confidence=sure,
    )


def first_of(body: Mapping[str, object], keys: Sequence[str]) -> object:
    """The value under the first key that is there and not null."""
    for key in keys:
        value = body.get(key)
        if value is not None:
            return value
    return None


def complete(
    score: FloatVector, predicted: Sequence[str | None], confidence: FloatVector, options: DecodeOptions
) -> tuple[list[str | None], FloatVector]:
    """Fill in what follows from a binary score: the class (score >= threshold) and the confidence max(p, 1 - p).

    ``score`` and ``confidence`` are (rows,). Confidences outside [0, 1] become NaN.
    """
    with np.errstate(invalid="ignore"):
        sure = np.where((confidence >= 0) & (confidence <= 1), confidence, np.nan)
        if not options.is_binary:
            return list(predicted), sure
        probability = (score >= 0) & (score <= 1)
        derived = np.where(probability, np.maximum(score, 1 - score), np.nan)
        if options.margin:
            derived = np.abs(2 * derived - 1)
    scored, positive = np.isfinite(score).tolist(), (score >= options.cut).tolist()
    yes, no = options.positive, options.other_class
    classes = [
        (yes if is_positive else no) if name is None and is_scored else name
        for name, is_scored, is_positive in zip(predicted, scored, positive, strict=True)
    ]
    return classes, np.where(np.isnan(sure), derived, sure)


def class_text(value: object) -> str | None:
    """A class as text: ``1`` and ``1.0`` are "1", ``true`` is "true"; None for null, NaN and nested values."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value[:MAX_CLASS_TEXT]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return str(int(value)) if value.is_integer() else repr(value)
    return None


def _label_set(value: object, names: Sequence[str]) -> str | None:
    """A set of classes as the text that labels have too; None for what is none.

    A list of classes, one class alone, or a list of ones and zeros over all ``names``.
    """
    items = [plain(item) for item in value] if isinstance(value, list) else [value]
    if len(items) > MAX_CLASSES:
        return None
    if names and len(items) == len(names) and all(item in (0, 1) for item in items):
        items = [name for name, item in zip(names, items, strict=True) if item]
    texts = [class_text(item) for item in items]
    named = [text for text in texts if text is not None]
    return label_set_text(named) if len(named) == len(texts) else None


def number(value: object) -> float:
    """A finite float; NaN for anything else (booleans and texts are not scores)."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value) if math.isfinite(value) else math.nan
    return math.nan


def _names_a_class(value: object, options: DecodeOptions) -> bool:
    if options.kind == "multiclass":
        return True
    return not isinstance(value, float) or value.is_integer()


def _object(body: Mapping[str, object], options: DecodeOptions, names: Sequence[str]) -> Output:
    predicted = first_of(body, PREDICTED_KEYS)
    scored = first_of(body, SCORE_KEYS)
    if predicted is None and scored is None:
        return _named_probabilities(body, options)
    names = class_names(body) or names
    return combine(
        NOTHING if isinstance(predicted, Mapping) else read_output(predicted, options, names),
        read_score(scored, options, names),
        first_of(body, CONFIDENCE_KEYS),
    )


def _vector(values: Sequence[object], options: DecodeOptions, names: Sequence[str]) -> Output:
    if len(values) > MAX_CLASSES:
        return NOTHING
    if values and isinstance(values[0], (str, Mapping)):
        return _ranked(values, options)
    numbers = [number(plain(value)) for value in values]
    if len(values) == 1:
        return read_output(values[0], options) if not isinstance(values[0], list) else NOTHING
    if not numbers or any(math.isnan(item) for item in numbers) or options.kind == "regression":
        return NOTHING
    top = max(range(len(numbers)), key=numbers.__getitem__)
    name = names[top] if len(names) == len(numbers) else str(top)
    if not _are_probabilities(numbers):
        return Output(numbers[top], name) if options.kind == "multiclass" else NOTHING
    sure = _certainty(numbers, options)
    if len(numbers) == 2 and options.kind != "multiclass":
        return Output(numbers[1], None if options.is_binary else name, sure)
    return Output(numbers[top], name, sure)


def _ranked(values: Sequence[object], options: DecodeOptions) -> Output:
    """A list of texts or of objects, the best first: the first item is the prediction."""
    if len(set(map(type, values))) != 1:
        return NOTHING
    top = read_output(values[0], options)
    if math.isnan(top.confidence) and 0 <= top.score <= 1 and top.predicted is not None and len(values) > 1:
        scores = [read_output(value, options).score for value in values]
        if _are_probabilities(scores):
            return top._replace(confidence=_certainty(scores, options))
    return top


def class_names(body: Mapping[str, object]) -> Sequence[str]:
    """Names of the classes in the order of probability vectors, where the answer lists them."""
    found = first_of(body, CLASS_NAME_KEYS)
    if isinstance(found, list) and 1 < len(found) <= MAX_CLASSES:
        names = [class_text(item) for item in found]
        return [name for name in names if name is not None]
    return ()


def _certainty(probabilities: Sequence[float], options: DecodeOptions) -> float:
    """The greatest probability, or how far it is ahead of the second."""
    if not options.margin:
        return max(probabilities)
    second, first = sorted(probabilities)[-2:]
    return first - second


def _named_probabilities(values: Mapping[str, object], options: DecodeOptions) -> Output:
    named = {str(name): number(plain(value)) for name, value in values.items()}
    if not named or any(math.isnan(item) for item in named.values()) or not _are_probabilities(list(named.values())):
        return NOTHING
    top = max(named, key=named.__getitem__)
    sure = _certainty(list(named.values()), options) if len(named) > 1 else named[top]
    if not options.is_binary or options.positive not in named or len(named) != 2:
        return Output(named[top], class_text(top), sure)
    (other,) = named.keys() - {options.positive}
    score = named[options.positive]
    return Output(score, class_text(options.positive if score >= options.cut else other), sure)


def _are_probabilities(numbers: Sequence[float]) -> bool:
    return all(0 <= item <= 1 for item in numbers) and abs(sum(numbers) - 1) <= PROBABILITY_SLACK
