"""The response's side of a JSON exchange: one prediction for each row of the request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import itemgetter

from mlmon_sidecar.decode.naming import Find
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.output_columns import read_outputs, together
from mlmon_sidecar.decode.outputs import (
    CONFIDENCE_KEYS,
    NOTHING,
    PREDICTED_KEYS,
    SCORE_KEYS,
    class_names,
    combine,
    first_of,
    read_output,
    read_score,
)
from mlmon_sidecar.decode.sides import Outputs
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import DropReason
from mlmon_sidecar.selectors import Selector

FEW_MEMBERS = 32  # of an answer: what is in more is not remembered
_KEYS = (PREDICTED_KEYS, SCORE_KEYS, CONFIDENCE_KEYS)
_NOTHING = type(None)


def predictions(response: object, rows: int, options: DecodeOptions) -> Outputs | None:
    """``rows`` predictions by the usual keys; None where there is no prediction.

    Raises:
        DecodeError: ``row_mismatch`` when there are more or fewer.
    """
    if not isinstance(response, Mapping):
        return read_outputs(per_row(response, rows) or (), options, options.class_names)
    names = class_names(response) or options.class_names
    if rows == 1:
        predicted, scored, confidence = parts_of_one(response)
        output = combine(
            NOTHING if predicted is None else read_output(predicted, options, names),
            NOTHING if scored is None else read_score(scored, options, names),
            confidence,
        )
        return Outputs((output.score,), (output.predicted,), (output.confidence,)) if output.given else None
    predicted, scored, confidence = (first_of(response, keys) for keys in _KEYS)
    return together((per_row(predicted, rows), per_row(scored, rows), per_row(confidence, rows)), options, names)


def parts_of_one(response: object) -> tuple[object, object, object]:
    """Prediction, score and confidence in the answer to a single row; None for what is not there.

    Raises ``DecodeError`` (``row_mismatch``) where there is room for them and nothing in it.
    """
    if type(response) is not dict and not isinstance(response, Mapping):  # to be a dict is seen at once
        return alone(response), None, None
    predicted, scored, confidence = _keys_in(tuple(response)) if len(response) <= FEW_MEMBERS else _KEYS
    return (
        alone(first_of(response, predicted)) if predicted else None,
        alone(first_of(response, scored)) if scored else None,
        alone(first_of(response, confidence)) if confidence else None,
    )


def parts_alike(responses: Sequence[object]) -> list[Sequence[object]] | None:
    """Predictions, scores and confidences of answers to a single row each, as ``parts_of_one`` finds them.

    None where the answers do not have the same members, or where it takes a look at each to tell.
    """
    if set(map(type, responses)) != {dict}:
        return None
    bodies: Sequence[Mapping[str, object]] = responses  # type: ignore[assignment]  # as was just seen
    members = set(map(tuple, bodies))
    if len(members) != 1 or len(bodies[0]) > FEW_MEMBERS:
        return None
    columns: list[Sequence[object]] = []
    for keys in _keys_in(*members):
        column: Sequence[object] = list(map(itemgetter(keys[0]), bodies)) if keys else [None] * len(bodies)
        kinds = set(map(type, column))
        if list in kinds or (len(keys) > 1 and _NOTHING in kinds):
            return None
        columns.append(column)
    return columns


@lru_cache(maxsize=256)
def _keys_in(members: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """The keys of each part that an answer with these ``members`` has at all."""
    return tuple(tuple(key for key in keys if key in members) for keys in _KEYS)


def selected(find: Find, rows: int, options: DecodeOptions) -> Outputs | None:
    """``rows`` predictions where the configured selectors find them; nothing is guessed. Raises ``row_mismatch``."""

    def column(selector: Selector | None) -> Sequence[object] | None:
        return None if selector is None else per_row(find(selector), rows)

    parts = column(options.predicted), column(options.score), column(options.confidence)
    return together(parts, options, options.class_names)


def alone(value: object) -> object:
    """``per_row`` for a single row."""
    if isinstance(value, list) and len(value) < 2:
        if not value:
            raise _mismatch()
        return value[0]
    return value


def _mismatch() -> DecodeError:
    return DecodeError("rows and predictions differ in number", code=DropReason.ROW_MISMATCH)


def per_row(value: object, rows: int) -> Sequence[object] | None:
    """One value for each of ``rows`` rows; None where there is none. A single row takes a longer list as one vector.

    Raises ``DecodeError`` (``row_mismatch``) when they do not fit.
    """
    if value is None:
        return None
    if isinstance(value, list) and len(value) == rows:
        return value
    if rows == 1 and value != []:
        return [value]
    raise _mismatch()
