"""One item of feedback to a label. Every value is checked, and no reason repeats unchecked input."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any

from mlmon_sidecar.records import Label
from mlmon_sidecar.statistics.label_sets import label_set_text
from mlmon_sidecar.statistics.layout import category_token

MAX_ID = 520  # characters: the longest alias that is read from a request (512), and the number of a row behind it
MAX_TEXT = 200  # characters of label, model and source
MAX_SET = 50  # classes in a label that is a set
MAX_SET_TEXT = 2_000  # characters of all of them as JSON
MAX_WEIGHT = 1_000_000.0
ITEM_KEYS = frozenset({"id", "label", "observed_at", "weight", "source", "model"})
MAX_UNIX_SECONDS = 4_102_444_800  # 2100-01-01: milliseconds sent as seconds lie far beyond it

_IDENTIFIER = re.compile(r"[!-~]+")  # visible ASCII: what a header, a log line and a URL can all carry
_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]*")
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?\d+[eE][+-]?\d+", re.ASCII)
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


class InvalidItem(Exception):
    """One item cannot be used; the text is its bounded reason."""


def read_item(item: object, now_ns: int) -> Label:
    """One decoded item as a label. Raises ``InvalidItem``."""
    if isinstance(item, InvalidItem):
        raise item
    if not isinstance(item, dict):
        raise InvalidItem("not an object")
    if not item.keys() <= ITEM_KEYS:
        raise InvalidItem("unknown key; known are id, label, observed_at, weight, source, model")
    observed = item.get("observed_at")
    return Label(
        id=_identifier(item),
        label=_label(item.get("label")),
        observed_ns=now_ns if observed is None else read_time(observed),
        model=_name(item, "model"),
        source=_name(item, "source"),
        weight=_weight(item.get("weight")),
    )


def item_of_cells(cells: dict[str, str]) -> dict[str, Any]:
    """A row of text cells as an item: empty cells are left out, numbers become what JSON would have made of them."""
    item: dict[str, Any] = {name: text for name, text in cells.items() if text}
    label = item.get("label", "")
    if _DECIMAL.fullmatch(label):
        item["label"] = float(label)
    for name in ("observed_at", "weight"):
        if _NUMBER.fullmatch(item.get(name, "")):
            item[name] = float(item[name])
    return item


def checked_id(item: object) -> str:
    """The id for an answer; "" where it may not be repeated."""
    try:
        return _identifier(item) if isinstance(item, dict) else ""
    except InvalidItem:
        return ""


def read_time(value: object) -> int:
    """RFC 3339 text or Unix seconds as Unix nanoseconds. Raises ``InvalidItem``."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise InvalidItem("observed_at is neither RFC 3339 text nor Unix seconds")
    nanoseconds = _rfc3339(value) if isinstance(value, str) else _unix_seconds(value)
    if not 0 <= nanoseconds < MAX_UNIX_SECONDS * 1_000_000_000:
        raise InvalidItem("observed_at lies outside 1970 to 2100; numbers are Unix seconds")
    return nanoseconds


def _unix_seconds(value: float) -> int:
    if not math.isfinite(value) or abs(value) > MAX_UNIX_SECONDS:
        return -1
    whole = math.floor(value)
    return whole * 1_000_000_000 + round((value - whole) * 1_000_000_000)


def _rfc3339(text: str) -> int:
    matched = _RFC3339.fullmatch(text)
    if matched is None:
        raise InvalidItem("observed_at is not RFC 3339 text with a time zone")
    day, clock, fraction, zone = matched.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in 'Zz' else zone}")
    except ValueError:
        raise InvalidItem("observed_at names no real time") from None
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + int((fraction or "").ljust(9, "0"))


def _identifier(item: dict[str, Any]) -> str:
    value = item.get("id")
    if not isinstance(value, str):
        raise InvalidItem("id is missing or not a string")
    if not 1 <= len(value) <= MAX_ID:
        raise InvalidItem(f"id does not have 1 to {MAX_ID} characters")
    if not _IDENTIFIER.fullmatch(value):
        raise InvalidItem("id has characters other than visible ASCII")
    return value


def _label(value: object) -> str:
    if value is None:
        raise InvalidItem("label is missing")
    if isinstance(value, list):
        return _set(value)
    if not isinstance(value, (str, bool, int, float)):
        raise InvalidItem("label is not a string, number, boolean or list of strings")
    text = category_token(value)
    if not 1 <= len(text) <= MAX_TEXT or not _NAME.fullmatch(text):
        raise InvalidItem(f"label does not have 1 to {MAX_TEXT} printable characters")
    return text


def _set(values: list[object]) -> str:
    """Several classes at once as one text: sorted, each once, as a JSON list."""
    if len(values) > MAX_SET or not all(isinstance(value, str) for value in values):
        raise InvalidItem(f"label as a set is not a list of at most {MAX_SET} strings")
    names = {str(value) for value in values}
    if not all(1 <= len(name) <= MAX_TEXT and _NAME.fullmatch(name) for name in names):
        raise InvalidItem(f"a class of the label does not have 1 to {MAX_TEXT} printable characters")
    text = label_set_text(names)
    if len(text) > MAX_SET_TEXT:
        raise InvalidItem(f"label as a set has more than {MAX_SET_TEXT} characters")
    return text


def _weight(value: object) -> float:
    if value is None:
        return 1.0
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= MAX_WEIGHT:
        raise InvalidItem(f"weight is not a number above 0 and at most {MAX_WEIGHT:.0f}")
    return float(value)


def _name(item: dict[str, Any], key: str) -> str:
    value = item.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_TEXT or not _NAME.fullmatch(value):
        raise InvalidItem(f"{key} is not a string of at most {MAX_TEXT} printable characters")
    return value
