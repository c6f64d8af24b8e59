"""The request's side of a JSON exchange: where its rows are.

One object is one row; a list of objects is rows; ``{"features": ...}`` and ``{"instances": [...]}`` are opened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

from mlmon_sidecar.decode.columns import FLAT_TYPES, MAX_COLUMNS, NESTED
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.sides import RequestRows
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import DropReason


def request_rows(document: object, options: DecodeOptions) -> RequestRows:
    """Rows of a request; at least one.

    Raises:
        DecodeError: code ``wrong_shape``, or ``body_too_large`` above ``max_rows``.
    """
    return rows_of(found_in(document, options), document, options)


def found_in(document: object, options: DecodeOptions) -> object:
    """What of a request its rows are: where a selector says, or what is in the usual members, or all of it."""
    if options.features is not None:
        return options.features.find(document)
    return _opened(document) if type(document) is dict or isinstance(document, Mapping) else document


def rows_of(found: object, document: object, options: DecodeOptions) -> RequestRows:
    """One object, a list of objects, a list of lists, or one list of scalars as rows.

    Rows of another kind or width than most are bad, as long as more than half are of one. Raises like ``request_rows``.
    """
    if isinstance(found, dict):
        return RequestRows(1, records=(found,), document=document)
    if not isinstance(found, list) or not found:
        raise DecodeError("the body has no rows", code=DropReason.WRONG_SHAPE, hint="Set models.<name>.features.")
    kinds = Counter(map(type, found))
    if not kinds.keys() & {dict, list}:
        return _positional([found], document, options)
    if len(found) > options.max_rows:
        raise DecodeError("too many rows in one request", code=DropReason.BODY_TOO_LARGE)
    (kind, rows), *others = kinds.most_common()
    if kind not in NESTED or rows <= len(found) / 2:
        raise DecodeError("rows of different kinds in one body", code=DropReason.WRONG_SHAPE)
    bad: Collection[int] = ()
    if others:
        bad = frozenset(at for at, row in enumerate(found) if type(row) is not kind)
        found = [kind() if at in bad else row for at, row in enumerate(found)]
    if kind is list:
        return _positional(found, document, options, bad)
    return RequestRows(len(found), records=found, bad=bad, document=document)


def _opened(body: Mapping[str, object]) -> object:
    instances, features = body.get("instances"), body.get("features")
    if isinstance(instances, list):
        return [[item] if not isinstance(item, NESTED) else item for item in instances]
    return features if isinstance(features, NESTED) else body


def _positional(
    rows: Sequence[Sequence[object]], document: object, options: DecodeOptions, bad: Collection[int] = ()
) -> RequestRows:
    """Rows of more or fewer values than most have are bad: which value is missing or too many, nobody knows."""
    widths = Counter(map(len, rows))
    width = widths.most_common(1)[0][0]
    if len(widths) > 1:
        bad = frozenset(bad).union(at for at, row in enumerate(rows) if len(row) != width)
    names = positional_names(min(width, MAX_COLUMNS + 1), options.feature_names)  # one too many is told as left out
    if not bad and len(rows) > 1 and 0 < width <= MAX_COLUMNS:
        columns = dict(zip(names, zip(*rows, strict=True), strict=True))
        if all(FLAT_TYPES.issuperset(map(type, column)) for column in columns.values()):
            return RequestRows(len(rows), columns=columns, width=width, document=document)
    records = [dict(zip(names, row, strict=False)) for row in rows]
    return RequestRows(len(rows), records=records, width=width, bad=bad, document=document)


@lru_cache(maxsize=64)
def positional_names(width: int, names: tuple[str, ...]) -> tuple[str, ...]:
    """Of values that come without names: ``names`` as far as they go, then ``feature_<index>``."""
    return tuple(names[at] if at < len(names) else f"feature_{at}" for at in range(width))
