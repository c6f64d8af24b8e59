"""Feedback bodies to labels and back to receipts. Synchronous: runs on a worker thread, never on the event loop.

A body is one item, a list of items, or one item a line (NDJSON). An item that cannot be used gets the receipt
``invalid`` with a bounded reason; the others are committed all the same. No receipt repeats unchecked input.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson

from mlmon_sidecar.interfaces import Clock, HubClient
from mlmon_sidecar.records import Label, LabelReceipt, LabelStatus
from mlmon_sidecar.statistics.layout import category_token
from mlmon_sidecar.web.answers import Refusal

MAX_ITEMS = 10_000
MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_ID = 520  # characters: the longest alias that is read from a request (512), and the number of a row behind it
MAX_TEXT = 200  # characters of label, model and source
NDJSON_TYPES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})
ITEM_KEYS = frozenset({"id", "label", "observed_at", "model", "source"})
MAX_UNIX_SECONDS = 4_102_444_800  # 2100-01-01: milliseconds sent as seconds lie far beyond it
ITEMS_A_SLICE = 64  # between two chances for the event loop to take the interpreter

_IDENTIFIER = re.compile(r"[!-~]+")  # visible ASCII: what a header, a log line and a URL can all carry
_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]*")
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


class InvalidItem(Exception):
    """One item cannot be used; the text is its bounded reason."""


def is_supported(media_type: str) -> bool:
    """JSON (also ``application/*+json``) and NDJSON."""
    kind = media_type.partition(";")[0].strip().lower()
    return kind in NDJSON_TYPES or kind == "application/json" or bool(re.fullmatch(r"application/[\w.-]+\+json", kind))


def take_feedback(body: bytes, media_type: str, hub: HubClient, clock: Clock) -> bytes:
    """Commit the labels in ``body`` and answer the receipts as JSON, in the order of the items.

    Raises ``Refusal`` (400, 413) for a body that cannot be used as a whole and passes on ``HubUnavailable``; nothing
    is acknowledged then.
    """
    ndjson = media_type.partition(";")[0].strip().lower() in NDJSON_TYPES
    items = list(_lines(body)) if ndjson else _items(body)
    if len(items) > MAX_ITEMS:
        raise Refusal(413, "too_many_items", "Too many items", f"Send at most {MAX_ITEMS} items in one request.")
    receipts: list[LabelReceipt | None] = []
    labels: list[Label] = []
    now_ns = clock.unix_ns()
    for number, item in enumerate(items):
        if number % ITEMS_A_SLICE == 0:
            time.sleep(0)  # Lets the serving event loop run: pure Python would keep the interpreter for 5 ms.
        try:
            labels.append(read_item(item, now_ns))
            receipts.append(None)
        except InvalidItem as invalid:
            receipts.append(LabelReceipt(_checked_id(item), LabelStatus.INVALID, str(invalid)))
    committed = hub.labels(labels) if labels else ()
    if len(committed) != len(labels):
        raise RuntimeError("the hub answered another number of receipts than it was given labels")
    order = iter(committed)
    return _answer([receipt or next(order) for receipt in receipts])


def read_item(item: object, now_ns: int) -> Label:
    """One decoded item as a label. Raises ``InvalidItem``."""
    if isinstance(item, InvalidItem):
        raise item
    if not isinstance(item, dict):
        raise InvalidItem("not an object")
    if not item.keys() <= ITEM_KEYS:
        raise InvalidItem("unknown key; known are id, label, observed_at, model, source")
    observed = item.get("observed_at")
    return Label(
        id=_identifier(item),
        label=_label(item.get("label")),
        observed_ns=now_ns if observed is None else read_time(observed),
        model=_name(item, "model"),
        source=_name(item, "source"),
    )


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


def _checked_id(item: object) -> str:
    try:
        return _identifier(item) if isinstance(item, dict) else ""
    except InvalidItem:
        return ""


def _label(value: object) -> str:
    if value is None:
        raise InvalidItem("label is missing")
    if not isinstance(value, (str, bool, int, float)):
        raise InvalidItem("label is not a string, number or boolean")
    text = category_token(value)
    if not 1 <= len(text) <= MAX_TEXT or not _NAME.fullmatch(text):
        raise InvalidItem(f"label does not have 1 to {MAX_TEXT} printable characters")
    return text


def _name(item: dict[str, Any], key: str) -> str:
    value = item.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_TEXT or not _NAME.fullmatch(value):
        raise InvalidItem(f"{key} is not a string of at most {MAX_TEXT} printable characters")
    return value


def _items(body: bytes) -> list[Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        hint = "Send one item, a list of items, or one item a line as application/x-ndjson."
        raise Refusal(400, "invalid_json", "The body is not JSON", hint) from None
    if isinstance(document, list):
        return document
    if isinstance(document, dict):
        return [document]
    raise Refusal(400, "wrong_shape", "The body is neither an item nor a list of items", "An item is a JSON object.")


def _lines(body: bytes) -> Iterator[Any]:
    """Items of NDJSON. A line that is not JSON spoils itself alone."""
    number = 0
    for line in body.split(b"\n"):
        if not line.strip():
            continue
        number += 1
        if number > MAX_ITEMS + 1:
            return  # Enough to know that there are too many.
        try:
            yield orjson.loads(line)
        except orjson.JSONDecodeError:
            yield InvalidItem("the line is not JSON")
    if number == 0:
        raise Refusal(400, "empty_body", "The body holds no item", "Send one JSON object a line.")


def _answer(receipts: list[LabelReceipt]) -> bytes:
    counts = dict.fromkeys((str(status) for status in LabelStatus), 0)
    for receipt in receipts:
        counts[receipt.status] += 1
    return orjson.dumps({**counts, "items": [receipt._asdict() for receipt in receipts]})
