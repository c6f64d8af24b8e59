"""The response's side of a JSON exchange: one prediction for each row of the request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
from mlmon_sidecar.decode.selectors import Selector
from mlmon_sidecar.decode.sides import Outputs
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import DropReason


def predictions(response: object, rows: int, options: DecodeOptions) -> Outputs | None:
    """``rows`` predictions by the usual keys; None where there is no prediction.

    Raises:
        DecodeError: ``row_mismatch`` when there are more or fewer.
    """
    if not isinstance(response, Mapping):
        return read_outputs(per_row(response, rows) or (), options, options.class_names)
    keys = (PREDICTED_KEYS, SCORE_KEYS, CONFIDENCE_KEYS)
    predicted, scored, confidence = (first_of(response, names) for names in keys)
    names = class_names(response) or options.class_names
    if rows == 1:
        predicted, scored, confidence = _alone(predicted), _alone(scored), _alone(confidence)
        output = combine(
            NOTHING if predicted is None else read_output(predicted, options, names),
            NOTHING if scored is None else read_score(scored, options, names),
            confidence,
        )
        return Outputs((output.score,), (output.predicted,), (output.confidence,)) if output.given else None
    return together((per_row(predicted, rows), per_row(scored, rows), per_row(confidence, rows)), options, names)


def selected(find: Find, rows: int, options: DecodeOptions) -> Outputs | None:
    """``rows`` predictions where the configured selectors find them; nothing is guessed. Raises ``row_mismatch``."""

    def column(selector: Selector | None) -> Sequence[object] | None:
        return None if selector is None else per_row(find(selector), rows)

    parts = column(options.predicted), column(options.score), column(options.confidence)
    return together(parts, options, options.class_names)


def _alone(value: object) -> object:
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
