"""The response's side of a JSON exchange: one prediction for each row of the request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.outputs import (
    CONFIDENCE_KEYS,
    PREDICTED_KEYS,
    SCORE_KEYS,
    Output,
    combine,
    first_of,
    read_output,
    read_score,
    together,
)
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import DropReason
from mlmon_sidecar.selectors import Selector

Find = Callable[[Selector], object]
"""The value a selector finds in one exchange, whichever side it reads."""


def predictions(response: object, find: Find, rows: int, options: DecodeOptions) -> list[Output]:
    """``rows`` predictions; by selectors when any is configured, else by the usual keys.

    Raises:
        DecodeError: ``wrong_shape`` when there is no prediction, ``row_mismatch`` when there are more or fewer.
    """
    if options.score or options.predicted or options.confidence:
        selectors = (options.predicted, options.score, options.confidence)
        outputs = together([per_row(s and find(s), rows) for s in selectors], options)
    elif isinstance(response, Mapping):
        outputs = _from_object(response, rows, options)
    else:
        outputs = [read_output(value, options) for value in per_row(response, rows)]
    if not any(output.given for output in outputs):
        raise DecodeError(
            "the answer holds no prediction",
            code=DropReason.WRONG_SHAPE,
            hint="Set models.<name>.prediction.score or .predicted, as in 'response.score'.",
        )
    return outputs


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
