"""JSON out of bytes: strict and fast, then once more with patience for what Python's own writers produce."""

from __future__ import annotations

import json

import orjson

from mlmon_sidecar.decode.text import text_of
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import DropReason

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MAX_PATIENT_BYTES = 256 * 1024  # of a body that is parsed a second time: some milliseconds, not more
MAX_INT_DIGITS = 19  # beyond it a number is a float, as in the strict parser
_WIDE_MARKS = frozenset({b"\xff\xfe", b"\xfe\xff"})
_USUAL = (b"{", b"[")
_FIRST_BYTES = frozenset(b'{["-0123456789tfnNI')
PLAIN_CHARSETS = frozenset({"", "utf-8", "utf8", "ascii", "us-ascii"})


def looks_like_json(body: bytes) -> bool:
    """Whether the first byte that is no space may begin a JSON value, in any charset."""
    if body[:1] in _USUAL:
        return True
    start = body[:64].lstrip(b" \t\r\n\xef\xbb\xbf\xff\xfe\x00")
    return bool(start) and start[0] in _FIRST_BYTES


def parse_json(body: bytes, charset: str = "") -> object:
    """Python's NaN and infinities are floats, numbers beyond a double are infinite, the last of equal keys wins.

    Raises:
        DecodeError: ``not_json``, with the place of the fault and without its text.
    """
    if (charset and charset.lower() not in PLAIN_CHARSETS) or body[:2] in _WIDE_MARKS or 0 in body[:2]:
        body = _as_utf8(body, charset)
    skipped = 3 if body[:3] == BYTE_ORDER_MARK else 0
    if skipped:
        body = body[skipped:]
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # The cause is cut off: it carries the document.
        at_byte = len(error.doc[: error.pos].encode("utf-8", "surrogatepass")) + skipped
    if len(body) <= MAX_PATIENT_BYTES:
        try:
            return json.loads(body.decode(), parse_int=_integer)
        except (ValueError, RecursionError):
            pass
    raise not_json(at_byte)


def not_json(at_byte: int) -> DecodeError:
    return DecodeError("the body is not JSON", code=DropReason.NOT_JSON, at_byte=at_byte)


def _as_utf8(body: bytes, charset: str) -> bytes:
    """RFC 8259 wants UTF-8; others are read where they are declared or show by their first bytes."""
    name = charset if charset.lower() not in PLAIN_CHARSETS else json.detect_encoding(body)
    try:
        return text_of(body, name).encode("utf-8", "surrogatepass")
    except DecodeError:
        raise not_json(0) from None


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_INT_DIGITS else float(digits)
