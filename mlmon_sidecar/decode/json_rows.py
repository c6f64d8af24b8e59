"""The request's side of a JSON exchange: where its rows are.

One object is one row; a list of objects is rows; ``{"features": ...}`` and ``{"instances": [...]}`` are opened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from mlmon_sidecar.decode.columns import NESTED
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.sides import RequestRows
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import DropReason


def request_rows(document: object, options: DecodeOptions) -> RequestRows:
    """Rows of a request; at least one.

    Raises:
        DecodeError: code ``wrong_shape``, or ``body_too_large`` above ``max_rows``.
    """
    found = document if options.features is None else options.features.find(document)
    if options.features is None and isinstance(found, Mapping):
        found = _opened(found)
    return rows_of(found, document, options)


def rows_of(found: object, document: object, options: DecodeOptions) -> RequestRows:
    """One object, a list of objects, a list of lists, or one list of scalars as rows. Raises like ``request_rows``."""
    if isinstance(found, dict):
        return RequestRows(1, records=(found,), document=document)
    if not isinstance(found, list) or not found:
        raise DecodeError("the body has no rows", code=DropReason.WRONG_SHAPE, hint="Set models.<name>.features.")
    kinds = set(map(type, found))
    if not kinds & {dict, list}:
        return _positional([found], document, options)
    if len(found) > options.max_rows:
        raise DecodeError("too many rows in one request", code=DropReason.BODY_TOO_LARGE)
    if kinds == {dict}:
        return RequestRows(len(found), records=found, document=document)
    if kinds == {list}:
        return _positional(found, document, options)
    raise DecodeError("rows of different kinds in one body", code=DropReason.WRONG_SHAPE)


def _opened(body: Mapping[str, object]) -> object:
    instances, features = body.get("instances"), body.get("features")
    if isinstance(instances, list):
        return [[item] if not isinstance(item, NESTED) else item for item in instances]
    return features if isinstance(features, NESTED) else body


def _positional(rows: Sequence[Sequence[object]], document: object, options: DecodeOptions) -> RequestRows:
    names = positional_names(max(map(len, rows)), options.feature_names)
    return RequestRows(len(rows), records=[dict(zip(names, row, strict=False)) for row in rows], document=document)


@lru_cache(maxsize=64)
def positional_names(width: int, names: tuple[str, ...]) -> tuple[str, ...]:
    """Of values that come without names: ``names`` as far as they go, then ``feature_<index>``."""
    return tuple(names[at] if at < len(names) else f"feature_{at}" for at in range(width))
