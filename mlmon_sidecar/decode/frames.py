"""Tables to batches, for predictions that no HTTP exchange carried: batch jobs, queues, history.

Dataframes are known by what they can do, so that none of their libraries is imported.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import uuid_utils

from mlmon_sidecar.decode.columns import Row, flatten
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.output_columns import together
from mlmon_sidecar.decode.outputs import class_text, complete, number
from mlmon_sidecar.decode.scalars import UNREADABLE, plain
from mlmon_sidecar.decode.text_features import derived
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import WEIGHT_UNIT, DropReason, PredictionBatch

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector, IntVector

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def batch_from_columns(
    model: str,
    *,
    now_ns: int,
    features: object = None,
    predictions: object = None,
    scores: object = None,
    confidences: object = None,
    ids: object = None,
    times: object = None,
    version: str | None = None,
    segments: object = None,
    feature_names: Sequence[str] = (),
    options: DecodeOptions | None = None,
) -> PredictionBatch:
    """One batch in which every row counts as a request of its own (it weighs ``WEIGHT_UNIT``).

    Args:
        model: its name.
        now_ns: Unix ns; the time of every row when ``times`` is not given.
        features: a mapping of columns, a list of mappings, a pandas or pyarrow table, or a two-dimensional array.
        predictions: classes, scores or vectors, as an answer over HTTP would hold them.
        scores: numbers or probability vectors.
        confidences: in [0, 1].
        ids: the caller's ids: they become aliases; the primary id is minted.
        times: datetimes (naive ones are UTC), ``datetime64``, whole Unix nanoseconds, Unix seconds as floats,
            or ISO 8601 text.
        version: None: that of ``options``, else "unversioned".
        segments: one text, or one a row.
        feature_names: of a two-dimensional array's columns; further ones are ``feature_<index>``.
        options: kind, threshold and class names, as for HTTP. None: kind "auto".

    Raises:
        DecodeError: ``row_mismatch`` when lengths differ, ``wrong_shape`` for a table of another form or a time
            that cannot be read.
    """
    options = options or DecodeOptions(name=model)
    columns = columns_of(features, feature_names or options.feature_names)
    given = {"predictions": predictions, "scores": scores, "confidences": confidences, "ids": ids, "times": times}
    lists = {name: _items(value) for name, value in given.items() if value is not None}
    rows = _common_length({**columns, **lists})
    taken_apart: Mapping[str, Any] = derived(columns, options.text, Counter(), options.embedder)
    score, predicted, confidence = _outputs(lists, rows, options)
    classes, sure = complete(score, predicted, confidence, options)
    return PredictionBatch(
        model=model,
        version=version or options.constant_version,
        event_ns=_event_ns(lists["times"]) if "times" in lists else np.full(rows, now_ns, dtype=np.int64),
        weight=np.full(rows, WEIGHT_UNIT, dtype=np.int64),
        prediction_ids=[str(uuid_utils.uuid7()) for _ in range(rows)],
        aliases=[class_text(plain(item)) for item in lists["ids"]] if "ids" in lists else [None] * rows,
        features=taken_apart,
        score=score,
        predicted=classes,
        confidence=sure,
        segments=_segments(segments, rows),
        traces=[(0, 0)] * rows,
        exemplar=[False] * rows,
    )


def columns_of(features: Any, names: Sequence[str] = ()) -> dict[str, list[object]]:
    """Columns of JSON scalars, lists and dicts out of any table that ``batch_from_columns`` takes; NaN is None."""
    if features is None:
        return {}
    if isinstance(features, Mapping):
        return {str(name): _clean(_items(values)) for name, values in features.items()}
    if hasattr(features, "column_names"):  # pyarrow
        return {str(name): _clean(_items(features.column(at))) for at, name in enumerate(features.column_names)}
    if hasattr(features, "columns"):  # pandas, polars
        return {str(name): _clean(_items(features[name])) for name in features.columns}
    if isinstance(features, np.ndarray):
        if features.ndim != 2:
            raise DecodeError("an array of features has two dimensions", code=DropReason.WRONG_SHAPE)
        named = (names[at] if at < len(names) else f"feature_{at}" for at in range(features.shape[1]))
        return {name: _clean(features[:, at].tolist()) for at, name in enumerate(named)}
    return _from_rows(_items(features))


def _from_rows(items: Iterable[object]) -> dict[str, list[object]]:
    rows: list[Row] = []
    skipped: Counter[str] = Counter()
    for item in items:
        if not isinstance(item, Mapping):
            raise DecodeError(
                "features are not a table",
                code=DropReason.WRONG_SHAPE,
                hint="Give a mapping of columns, a list of mappings, a dataframe or a two-dimensional array.",
            )
        rows.append(flatten(item, skipped))
    union = dict.fromkeys(name for row in rows for name in row)
    return {name: _clean([row.get(name) for row in rows]) for name in union}


def _items(values: Any) -> list[Any]:
    for method in ("to_pylist", "to_list", "tolist"):  # pyarrow, pandas and polars, numpy
        if hasattr(values, method):
            return list(getattr(values, method)())
    return list(values)


def _clean(values: list[Any]) -> list[object]:
    """Scalars as JSON has them; NaN is None, and so is what has no JSON form."""
    kinds = set(map(type, values))
    if kinds <= {int, str, bool, type(None)} and all(abs(v) < 1 << 63 for v in values if type(v) is int):
        return values
    if kinds <= {float, type(None)}:
        return [None if value != value else value for value in values]
    cleaned = (plain(value) for value in values)
    return [None if value is UNREADABLE or value != value else value for value in cleaned]


def _outputs(
    lists: Mapping[str, list[Any]], rows: int, options: DecodeOptions
) -> tuple[FloatVector, Sequence[str | None], FloatVector]:
    parts = lists.get("predictions"), lists.get("scores"), lists.get("confidences")
    outputs = together(parts, options, options.class_names)
    if outputs is None:
        return np.full(rows, np.nan), [None] * rows, np.full(rows, np.nan)
    return (
        np.asarray(outputs.score, dtype=np.float64),
        outputs.predicted,
        np.asarray(outputs.confidence, dtype=np.float64),
    )


def _common_length(columns: Mapping[str, list[Any]]) -> int:
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1:
        raise DecodeError(
            "columns differ in length" if lengths else "no columns",
            code=DropReason.ROW_MISMATCH,
            hint="features, predictions, scores, confidences, ids and times have one item a row.",
        )
    return lengths.pop()


def _segments(segments: Any, rows: int) -> list[str | None]:
    if segments is None or isinstance(segments, str):
        return [segments] * rows
    texts = [class_text(plain(item)) for item in _items(segments)]
    if len(texts) != rows:
        raise DecodeError("segments differ in number from the rows", code=DropReason.ROW_MISMATCH)
    return texts


def _event_ns(times: Sequence[Any]) -> IntVector:
    return np.array([unix_ns(item) for item in times], dtype=np.int64)


def unix_ns(item: Any) -> int:
    """Unix ns of one time in any of the forms ``batch_from_columns`` names."""
    if isinstance(item, np.generic) and not isinstance(item, np.datetime64):
        item = item.item()
    if isinstance(item, str):
        try:
            item = datetime.fromisoformat(item)
        except ValueError:
            raise _no_time() from None
    if isinstance(item, datetime) and item == item:
        since = (item if item.tzinfo else item.replace(tzinfo=UTC)) - _EPOCH
        whole = (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000
        return whole + int(getattr(item, "nanosecond", 0))  # pandas' Timestamp counts further
    if isinstance(item, date) and not isinstance(item, datetime):
        return (item - _EPOCH.date()).days * 86_400_000_000_000
    if isinstance(item, np.datetime64) and not np.isnat(item):
        return int(item.astype("datetime64[ns]").astype(np.int64))
    if isinstance(item, int) and not isinstance(item, bool):
        return item
    if math.isfinite(number(item)):
        return round(float(item) * 1_000_000_000)
    raise _no_time()


def _no_time() -> DecodeError:
    return DecodeError(
        "a time cannot be read",
        code=DropReason.WRONG_SHAPE,
        hint="Use datetimes, datetime64, Unix nanoseconds as integers, Unix seconds as floats, or ISO 8601 text.",
    )
