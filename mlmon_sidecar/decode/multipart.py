"""Multipart forms (RFC 7578, https://www.rfc-editor.org/rfc/rfc7578). One form is one row.

A file becomes its size and its media type. Its content and its name go no further.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mlmon_sidecar.decode.columns import MAX_COLUMNS
from mlmon_sidecar.decode.form import row_of
from mlmon_sidecar.decode.json_text import parse_json
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.sides import Answers, Direction, RequestRows, Side
from mlmon_sidecar.decode.tensors import malformed
from mlmon_sidecar.decode.text import text_of
from mlmon_sidecar.decode.text_cells import value_of
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import DropReason

MEDIA_TYPE = "multipart/form-data"
MAX_BOUNDARY = 70  # characters, RFC 2046
MAX_PART_HEADERS = 4096  # bytes of one part's headers
_DISPOSITION = re.compile(
    rb'^content-disposition:[ \t]*form-data[^\r\n]*?;[ \t]*name=(?:"([^"\r\n]*)"|([^;\s]+))', re.I | re.M
)
_FILE_NAME = re.compile(rb"^content-disposition:[^\r\n]*;[ \t]*filename\*?=", re.I | re.M)
_CONTENT_TYPE = re.compile(rb"^content-type:[ \t]*([^;\s]+)(?:[^\r\n]*charset=\"?([\w-]+))?", re.I | re.M)


class Part(NamedTuple):
    name: str
    media_type: str  # lower case; "" when undeclared
    charset: str
    is_file: bool
    content: bytes


class MultipartDecoder:
    """Fields are columns with the type that their text has; JSON parts are taken apart."""

    name = "multipart"

    def claims(self, side: Side, direction: Direction) -> str:
        return f"content type {MEDIA_TYPE}" if side.media_type == MEDIA_TYPE and direction is Direction.REQUEST else ""

    def request(self, side: Side, options: DecodeOptions) -> RequestRows:
        parts = parts_of(side.body, side.parameters.get("boundary", ""))
        return row_of([(part.name, _value(part)) for part in parts])

    def response(self, side: Side, options: DecodeOptions, rows: int) -> Answers:
        raise DecodeError("an answer is no form", code=DropReason.UNSUPPORTED_MEDIA_TYPE)


def parts_of(body: bytes, boundary: str) -> list[Part]:
    """Raises ``DecodeError``: ``malformed`` for a body that its boundary does not divide and end."""
    if not 0 < len(boundary) <= MAX_BOUNDARY or not boundary.isascii():
        raise malformed("the form has no boundary")
    _preamble, *pieces = (b"\r\n" + body).split(b"\r\n--" + boundary.encode(), MAX_COLUMNS + 2)
    if not pieces or not pieces[-1].startswith(b"--"):
        raise malformed("the form is cut off, or has too many parts")
    return [_part(piece) for piece in pieces[:-1]]


def _part(piece: bytes) -> Part:
    line_end = piece.find(b"\r\n")
    head_end = piece.find(b"\r\n\r\n", line_end, line_end + MAX_PART_HEADERS)
    if line_end < 0 or head_end < 0 or piece[:line_end].strip(b" \t"):
        raise malformed("a part of the form has no headers")
    head, content = piece[line_end + 2 : head_end + 2], piece[head_end + 4 :]
    named = _DISPOSITION.search(head)
    if named is None:
        raise malformed("a part of the form has no name")
    typed = _CONTENT_TYPE.search(head)
    media_type, charset = (typed[1].decode("latin-1").lower(), (typed[2] or b"").decode()) if typed else ("", "")
    name = (named[1] if named[1] is not None else named[2]).decode("utf-8", "replace")
    return Part(name, media_type, charset, _FILE_NAME.search(head) is not None, content)


def _value(part: Part) -> object:
    if part.is_file or part.media_type not in ("", "text/plain", "application/json"):
        return {"bytes": len(part.content), "media_type": part.media_type or "application/octet-stream"}
    if part.media_type == "application/json":
        return parse_json(part.content, part.charset)
    return value_of(text_of(part.content, part.charset))
