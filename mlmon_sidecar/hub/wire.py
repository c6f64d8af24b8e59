"""What recorder and hub say to each other, as bytes, and back.

A message is ``b"MLMN", u16 version, u16 kind, u32 header length``, a JSON header, and for a flush the packed vectors
and samples of its panes in the order of the header. Everything little-endian. Rows go by columns, panes by position:
another field means another ``WIRE_VERSION``.

Decoding trusts nothing: declared lengths are compared with what is there before anything is allocated, every field
has its type checked, and whatever is wrong raises ``WireError``, which holds no byte of the message.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from enum import IntEnum
from types import NoneType
from typing import Any, TypeVar

import orjson

from mlmon_sidecar.errors import WireError
from mlmon_sidecar.records import (
    BaselineOrder,
    BaselineState,
    Erased,
    Flush,
    FlushReceipt,
    FlushStatus,
    HeldBaseline,
    KeptRows,
    Label,
    LabelReceipt,
    LabelStatus,
    Pane,
    PaneKey,
    RedactedRows,
)
from mlmon_sidecar.shipping import frames as shipping
from mlmon_sidecar.statistics.packing import (
    canonical_json,
    decode_samples,
    decode_vector,
    encode_samples,
    encode_vector,
)

__all__ = [
    "MAX_FRAME_BYTES",
    "MAX_HEADER_BYTES",
    "MAX_PANES",
    "WIRE_VERSION",
    "Kind",
    "decode_erase",
    "decode_erased",
    "decode_error",
    "decode_flush",
    "decode_flush_receipt",
    "decode_held",
    "decode_label_receipts",
    "decode_labels",
    "decode_order",
    "decode_query",
    "decode_samples",
    "decode_vector",
    "encode_erase",
    "encode_erased",
    "encode_error",
    "encode_flush",
    "encode_flush_receipt",
    "encode_held",
    "encode_label_receipts",
    "encode_labels",
    "encode_order",
    "encode_query",
    "encode_samples",
    "encode_vector",
]  # fmt: skip

WIRE_VERSION = 3
MAX_FRAME_BYTES = 64 * 1024 * 1024
MAX_HEADER_BYTES = 16 * 1024 * 1024  # about 50,000 kept rows; as Python objects JSON takes up to 25 times its bytes
MAX_PANES = 16_384  # of one flush

_MAGIC = b"MLMN"
_PREFIX = struct.Struct("<4sHHI")
_Types = frozenset[type]
_TEXT: _Types = frozenset({str})
_INT: _Types = frozenset({int})
_BOOL: _Types = frozenset({bool})
_REAL: _Types = frozenset({float, int, NoneType})
_OPTIONAL_TEXT: _Types = frozenset({str, NoneType})
_KEPT_ROW = (
    _TEXT, _TEXT, _TEXT, _TEXT, _INT, _REAL, _OPTIONAL_TEXT, _REAL, _OPTIONAL_TEXT, _TEXT, _TEXT, _TEXT,
)  # fmt: skip
_PANE = (_TEXT, _TEXT, _TEXT, _TEXT, _INT, _INT, _INT)  # the key, bytes of the vector, bytes of the samples
_LABEL = (_TEXT, _TEXT, _INT, _TEXT, _TEXT, frozenset({float, int}))
_RECEIPT = (_TEXT, _TEXT, _TEXT)

Status = TypeVar("Status", BaselineState, FlushStatus, LabelStatus)


class Kind(IntEnum):
    """What a message is."""

    FLUSH = 1
    FLUSH_RECEIPT = 2
    LABELS = 3
    LABEL_RECEIPTS = 4
    QUERY = 5
    ANSWER = 6  # the bytes of the answer as they are, without a header
    PING = 7  # empty
    PONG = 8  # empty
    ERROR = 9
    ERASE = 10
    ERASED = 11
    ORDER = 12
    HELD = 13
    OPENING = shipping.OPENING  # exchanges follow, in frames of their own
    OPENED = shipping.OPENED


def encode_flush(flush: Flush) -> bytes:
    """Raises ``WireError`` for a flush above the limits of this module."""
    blobs: list[bytes] = []
    panes: list[list[Any]] = []
    for pane in flush.panes:
        packed = encode_vector(pane.vector), encode_samples(pane.samples)
        blobs += packed
        panes.append([*pane.key, *map(len, packed)])
    if len(panes) > MAX_PANES:
        raise _too_large("panes")
    header = {
        "recorder_id": flush.recorder_id,
        "seq": flush.seq,
        "panes": panes,
        "rows": flush.rows.rows.columns,
        "redactions": flush.rows.redactions,
        "counters": flush.counters,
        "complete_through": flush.complete_through,
        "sent_ns": flush.sent_ns,
        "closing": flush.closing,
        "origin": flush.origin,
    }
    return _message(Kind.FLUSH, header, blobs)


def decode_flush(data: bytes | bytearray) -> Flush:
    """Vectors are (n,) int64. Whether n is the layout's size is for the hub to check."""
    header, body = _open(Kind.FLUSH, data)
    rows = RedactedRows(KeptRows(_columns(header, "rows", _KEPT_ROW)), _integers(header, "redactions"))
    return Flush(
        recorder_id=_field(header, "recorder_id", _TEXT),
        seq=_field(header, "seq", _INT),
        panes=_panes(_tuples(header, "panes", _PANE), body),
        rows=rows,
        counters=_integers(header, "counters"),
        complete_through=_integers(header, "complete_through"),
        sent_ns=_field(header, "sent_ns", _INT),
        closing=_field(header, "closing", _BOOL),
        origin=_field(header, "origin", _TEXT),
    )


def encode_flush_receipt(receipt: FlushReceipt) -> bytes:
    return _message(Kind.FLUSH_RECEIPT, {"status": receipt.status, "lost": receipt.lost})


def decode_flush_receipt(data: bytes | bytearray) -> FlushReceipt:
    header = _open_header(Kind.FLUSH_RECEIPT, data)
    return FlushReceipt(_status(FlushStatus, _field(header, "status", _TEXT)), _field(header, "lost", _INT))


def encode_labels(labels: Sequence[Label], key: str = "") -> bytes:
    return _message(Kind.LABELS, {"labels": [list(label) for label in labels], "key": key})


def decode_labels(data: bytes | bytearray) -> tuple[list[Label], str]:
    """Labels, and the key of their request."""
    header = _open_header(Kind.LABELS, data)
    return [Label(*item) for item in _tuples(header, "labels", _LABEL)], _field(header, "key", _TEXT)


def encode_label_receipts(receipts: Sequence[LabelReceipt]) -> bytes:
    return _message(Kind.LABEL_RECEIPTS, {"receipts": [list(receipt) for receipt in receipts]})


def decode_label_receipts(data: bytes | bytearray) -> list[LabelReceipt]:
    items = _tuples(_open_header(Kind.LABEL_RECEIPTS, data), "receipts", _RECEIPT)
    return [LabelReceipt(id_, _status(LabelStatus, status), reason) for id_, status, reason in items]


def encode_query(path: str, params: Mapping[str, str]) -> bytes:
    return _message(Kind.QUERY, {"path": path, "params": params})


def decode_query(data: bytes | bytearray) -> tuple[str, dict[str, str]]:
    header = _open_header(Kind.QUERY, data)
    return _field(header, "path", _TEXT), _mapping(header, "params", _TEXT)


def encode_erase(ids: Sequence[str], aliases: Sequence[str]) -> bytes:
    return _message(Kind.ERASE, {"ids": [[id_] for id_ in ids], "aliases": [[alias] for alias in aliases]})


def decode_erase(data: bytes | bytearray) -> tuple[list[str], list[str]]:
    header = _open_header(Kind.ERASE, data)
    ids, aliases = ([name for (name,) in _tuples(header, key, (_TEXT,))] for key in ("ids", "aliases"))
    return ids, aliases


def encode_erased(erased: Erased) -> bytes:
    return _message(Kind.ERASED, {"predictions": erased.predictions, "labels": erased.labels})


def decode_erased(data: bytes | bytearray) -> Erased:
    header = _open_header(Kind.ERASED, data)
    return Erased(_field(header, "predictions", _INT), _field(header, "labels", _INT))


def encode_order(order: BaselineOrder) -> bytes:
    return _message(Kind.ORDER, order._asdict())


def decode_order(data: bytes | bytearray) -> BaselineOrder:
    header = _open_header(Kind.ORDER, data)
    return BaselineOrder(*(_field(header, name, _TEXT) for name in BaselineOrder._fields))


def encode_held(held: HeldBaseline) -> bytes:
    return _message(Kind.HELD, held._asdict())


def decode_held(data: bytes | bytearray) -> HeldBaseline:
    header = _open_header(Kind.HELD, data)
    numbers = ("from_minute", "received_ns", "rows")
    found = {name: _field(header, name, _INT if name in numbers else _TEXT) for name in HeldBaseline._fields}
    return HeldBaseline(**{**found, "state": _status(BaselineState, found["state"])})


def encode_error(error_type: str, code: str, hint: str) -> bytes:
    """``error_type``: class name of the error as the hub raised it."""
    return _message(Kind.ERROR, {"type": error_type, "code": code, "hint": hint})


def decode_error(data: bytes | bytearray) -> tuple[str, str, str]:
    """Type, code and hint."""
    header = _open_header(Kind.ERROR, data)
    return _field(header, "type", _TEXT), _field(header, "code", _TEXT), _field(header, "hint", _TEXT)


def _message(kind: Kind, header: Mapping[str, object], blobs: Sequence[bytes] = ()) -> bytes:
    packed = canonical_json(header)
    message = b"".join((_PREFIX.pack(_MAGIC, WIRE_VERSION, kind, len(packed)), packed, *blobs))
    if len(packed) > MAX_HEADER_BYTES or len(message) > MAX_FRAME_BYTES:
        raise _too_large("bytes")
    return message


def _open(kind: Kind, data: bytes | bytearray) -> tuple[dict[str, Any], memoryview]:
    if len(data) > MAX_FRAME_BYTES:
        raise _too_large("bytes")
    if len(data) < _PREFIX.size:
        raise _malformed("is cut off")
    magic, version, number, header_size = _PREFIX.unpack_from(data)
    if magic != _MAGIC or number != kind:
        raise _malformed(f"is not a {kind.name.lower()}")
    if version != WIRE_VERSION:
        raise WireError(
            f"wire version {version} is not {WIRE_VERSION}",
            code="wire_version",
            hint="Recorder and hub must run versions of mlmon that know each other.",
        )
    rest = memoryview(data)[_PREFIX.size :]
    if header_size > min(len(rest), MAX_HEADER_BYTES):
        raise _malformed("declares a longer header than it has or may have")
    try:
        header = orjson.loads(rest[:header_size])
    except orjson.JSONDecodeError as error:
        raise _malformed("has a header that is not JSON") from error
    if type(header) is not dict:
        raise _malformed("has a header that is not an object")
    return header, rest[header_size:]


def _open_header(kind: Kind, data: bytes | bytearray) -> dict[str, Any]:
    header, body = _open(kind, data)
    if body:
        raise _malformed("goes on after its end")
    return header


def _panes(entries: list[list[Any]], body: memoryview) -> tuple[Pane, ...]:
    if len(entries) > MAX_PANES:
        raise _too_large("panes")
    if any(min(entry[-2:]) < 0 for entry in entries) or sum(sum(entry[-2:]) for entry in entries) != len(body):
        raise _malformed("declares other lengths than it has")
    panes, at = [], 0
    for *key, vector_size, samples_size in entries:
        middle = at + vector_size
        end = middle + samples_size
        panes.append(Pane(PaneKey(*key), decode_vector(body[at:middle]), decode_samples(body[middle:end])))
        at = end
    return tuple(panes)


def _fits(value: object, kinds: _Types) -> bool:
    """Exact types (a bool is no int), and integers of 64 signed bits as every store has them."""
    return type(value) in kinds and (type(value) is not int or -(1 << 63) <= value < 1 << 63)


def _field(header: Mapping[str, Any], name: str, kinds: _Types) -> Any:
    value = header.get(name)
    if not _fits(value, kinds):
        raise _malformed(f"has no valid {name}")
    return value


def _mapping(header: Mapping[str, Any], name: str, kinds: _Types) -> dict[str, Any]:
    value = header.get(name)
    if type(value) is not dict or not all(_fits(item, kinds) for item in value.values()):
        raise _malformed(f"has no valid {name}")
    return value


def _integers(header: Mapping[str, Any], name: str) -> dict[str, int]:
    return _mapping(header, name, _INT)


def _tuples(header: Mapping[str, Any], name: str, shape: Sequence[_Types]) -> list[list[Any]]:
    items = header.get(name)
    if type(items) is not list:
        raise _malformed(f"has no valid {name}")
    for item in items:
        if type(item) is not list or len(item) != len(shape) or not all(map(_fits, item, shape)):
            raise _malformed(f"has no valid {name}")
    return items


def _columns(header: Mapping[str, Any], name: str, shape: Sequence[_Types]) -> list[list[Any]]:
    """As long as each other, and every item of its column's types."""
    columns = header.get(name)
    if type(columns) is not list or len(columns) != len(shape) or any(type(column) is not list for column in columns):
        raise _malformed(f"has no valid {name}")
    if len(set(map(len, columns))) != 1 or not all(map(_all_fit, columns, shape)):
        raise _malformed(f"has no valid {name}")
    return columns


def _all_fit(column: list[Any], kinds: _Types) -> bool:
    found = set(map(type, column))
    if int not in found:
        return found <= kinds
    integers = column if len(found) == 1 else [item for item in column if type(item) is int]
    return found <= kinds and _fits(min(integers), kinds) and _fits(max(integers), kinds)


def _status(statuses: type[Status], text: str) -> Status:
    try:
        return statuses(text)
    except ValueError as error:
        raise _malformed("has an unknown status") from error


def _malformed(what: str) -> WireError:
    return WireError(f"a message {what}", code="wire_malformed")


def _too_large(what: str) -> WireError:
    return WireError(
        f"a message has too many {what}",
        code="frame_too_large",
        hint=f"At most {MAX_FRAME_BYTES} bytes, {MAX_HEADER_BYTES} of them header, and {MAX_PANES} panes.",
    )
