"""Bodies as text: the charsets that are read, and no codec beyond them."""

from __future__ import annotations

import codecs

from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import DropReason

CHARSETS = frozenset({
    "ascii", "utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "iso8859-1",
    "iso8859-15", "cp1250", "cp1251", "cp1252", "koi8-r", "shift_jis", "euc_jp", "euc_kr", "gb2312", "gbk", "gb18030",
    "big5",
})  # fmt: skip
"""As ``codecs.lookup`` names them. Python's other codecs are no charsets, or cost more than linear time."""


def text_of(body: bytes, charset: str) -> str:
    """``charset`` "" means UTF-8, a byte order mark is left out. Raises ``DecodeError`` (``malformed``)."""
    try:
        name = codecs.lookup(charset.strip() or "utf-8").name
    except (LookupError, ValueError):
        name = ""
    if name not in CHARSETS:
        raise DecodeError("the body's charset is unknown", code=DropReason.MALFORMED)
    try:
        return body.decode(name).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        at_byte = error.start
    raise DecodeError("the body is not text in its charset", code=DropReason.MALFORMED, at_byte=at_byte)
