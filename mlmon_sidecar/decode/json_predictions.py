"""The response's side of a JSON exchange: one prediction for each row of the request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.outputs import (
    CONFIDENCE_KEYS,
    PREDICTED_KEYS,
    SCORE_KEYS,
    Output,
    as_columns,
    combine,
    first_of,
    read_output,
    read_outputs,
    read_score,
    together,
)
from mlmon_sidecar.decode.selectors import Selector
from mlmon_sidecar.decode.sides import Outputs
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import DropReason

Find = Callable[[Selector], object]
"""The value a selector finds in one exchange, whichever side it reads."""


def predictions(response: object, rows: int, options: DecodeOptions) -> Outputs | None:
    """``rows`` predictions by the usual keys; None where there is no prediction.

    Raises:
        DecodeError: ``row_mismatch`` when there are more or fewer.
    """
    if not isinstance(response, Mapping):
        return read_outputs(per_row(response, rows), options)
    outputs = _from_object(response, rows, options)
    return as_columns(outputs) if any(output.given for output in outputs) else None


def selected(find: Find, rows: int, options: DecodeOptions) -> Outputs | None:
    """``rows`` predictions where the configured selectors find them; nothing is guessed. Raises ``row_mismatch``."""
    selectors = (options.predicted, options.score, options.confidence)
    outputs = together([per_row(s and find(s), rows) for s in selectors], options)
    return as_columns(outputs) if any(output.given for output in outputs) else None


def per_row(value: object, rows: int) -> Sequence[object]:
    """One value for each of ``rows`` rows. A single row takes a longer list as one vector.

    Raises ``DecodeError`` (``row_mismatch``) when they do not fit.
    """
    if value is None:
        return [None] * rows
    if isinstance(value, list) and len(value) == rows:
        return value
    if rows == 1 and value != []:
        return [value]
    raise DecodeError("rows and predictions differ in number", code=DropReason.ROW_MISMATCH)


def _from_object(body: Mapping[str, object], rows: int, options: DecodeOptions) -> list[Output]:
    keys = (PREDICTED_KEYS, SCORE_KEYS, CONFIDENCE_KEYS)
    predicted, scored, confidence = (first_of(body, names) for names in keys)
    if rows == 1 and isinstance(predicted, Mapping):  # {"prediction": {"label": ..., "score": ...}}
        return [combine(read_output(predicted, options), read_score(scored, options), confidence)]
    return together([per_row(part, rows) for part in (predicted, scored, confidence)], options)
