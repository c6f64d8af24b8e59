"""What handlers said, as JSON that reads back as decoding would have taken the values themselves.

Values of other libraries become what decoding makes of them. NaN and infinities, which JSON lacks, and values without
any JSON form are marked, so that they are counted as the same invalid or unreadable value on the other side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import orjson

from mlmon_sidecar.records import Annotation
from mlmon_sidecar.shipping.frames import malformed

MARK = "\x00mlmon"
"""The key of an object that stands for a value JSON cannot hold."""

MAX_BITS = 2_048  # of a whole number; all above 1,024 are beyond a double, and as invalid as an infinity
_MARK_BYTES = b"\\u0000mlmon"  # as JSON writes it
_UNREADABLE = {MARK: "unreadable"}
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS
_NULLS = frozenset({"NAType", "NaTType"})  # pandas' own, known by name so that pandas is not imported
_AS_THEY_ARE = frozenset({str, int, bool, type(None)})


def pack_said(annotations: Sequence[Annotation]) -> bytes:
    """b"" for none. Never raises on what a value is."""
    if not annotations:
        return b""
    plain = [(_named(a.features), _value(a.prediction), _value(a.confidence), a.segment) for a in annotations]
    try:
        return orjson.dumps(plain, default=_other, option=_OPTIONS)
    except (orjson.JSONEncodeError, RecursionError):
        return orjson.dumps([_each_alone(said) for said in plain], option=_OPTIONS)


def unpack_said(data: bytes) -> tuple[Annotation, ...]:
    """Raises ``WireError``."""
    if not data:
        return ()
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise malformed("holds no annotations") from None
    if not isinstance(found, list):
        raise malformed("holds no annotations")
    if _MARK_BYTES in data:
        found = _unmarked(found)
    return tuple(_annotation(said) for said in found)


def _annotation(said: object) -> Annotation:
    if not isinstance(said, list) or len(said) != 4:
        raise malformed("holds an annotation that is none")
    features, prediction, confidence, segment = said
    if not isinstance(features, dict | None) or not isinstance(segment, str | None):
        raise malformed("holds an annotation that is none")
    return Annotation(features, prediction, confidence, segment)


def _named(features: Any) -> Any:
    return None if features is None else {str(name): _value(value) for name, value in features.items()}


def _value(value: object) -> object:
    """A number that JSON has no form for, marked. Inside lists and mappings it becomes null."""
    if type(value) in _AS_THEY_ARE:
        return value
    if not isinstance(value, float) and getattr(value, "shape", None) == ():
        value = value.item()  # type: ignore[attr-defined]  # a scalar of numpy or of what resembles it
    if isinstance(value, float) and not math.isfinite(value):
        return {MARK: str(float(value))}
    return value


def _other(value: object) -> object:
    """What orjson has no form for, as decoding would take it."""
    if type(value).__name__ in _NULLS:
        return None
    if isinstance(value, float | Decimal):
        return _value(float(value))
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, tuple):
        return list(value)
    to_list = getattr(value, "tolist", None)  # an array that is not contiguous, or of a type orjson lacks
    return to_list() if callable(to_list) else _UNREADABLE


def _each_alone(said: Sequence[Any]) -> list[object]:
    """One value that cannot be written costs itself, not the others."""
    features, *rest = said
    kept = None if features is None else {_text(name): _alone(value) for name, value in features.items()}
    return [kept, *map(_alone, rest[:2]), None if rest[2] is None else _text(rest[2])]


def _alone(value: object) -> object:
    if isinstance(value, int) and value.bit_length() > 63:
        return {MARK: str(value) if value.bit_length() < MAX_BITS else "inf" if value > 0 else "-inf"}
    try:
        return orjson.Fragment(orjson.dumps(value, default=_other, option=_OPTIONS))
    except Exception:  # whatever an object of the application's raises
        return _UNREADABLE


def _text(text: object) -> str:
    return str(text).encode("utf-8", "replace").decode()  # lone surrogates have no UTF-8


def _unmarked(value: Any) -> Any:
    if isinstance(value, list):
        return [_unmarked(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and MARK in value:
        return _of_mark(value[MARK])
    return {name: _unmarked(item) for name, item in value.items()}


def _of_mark(said: object) -> object:
    if said in ("nan", "inf", "-inf"):
        return float(str(said))
    digits = said.removeprefix("-") if isinstance(said, str) else ""
    return int(str(said)) if 0 < len(digits) < MAX_BITS and digits.isdecimal() else object()  # it cannot be read
