"""One side of an exchange as bytes: media type, completeness and compression."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import islice
from types import MappingProxyType

from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import DropReason

MAX_INFLATED_BYTES = 1 << 20  # of one compressed body; beyond it the exchange is counted, not read
MAX_MEMBERS = 16  # gzip members of one body; writers use one, bombs use thousands
MAX_CONTENT_TYPE = 256  # bytes of the header; the rest is cut
MAX_PARAMETERS = 8
_NO_PARAMETERS: Mapping[str, str] = MappingProxyType({})
_PARAMETER = re.compile(r'([^\s;="]+)[ \t]*=[ \t]*("([^"]*)"|[^\s;"]*)')
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_RAW_DEFLATE = -zlib.MAX_WBITS

Headers = Sequence[tuple[bytes, bytes]]


def header(headers: Headers, name: bytes) -> str | None:
    """The first header of that lower-case name, as text; None where absent."""
    return next((value.decode("latin-1").strip() for key, value in headers if key == name), None)


@lru_cache(maxsize=256)
def _parsed_type(declared: bytes) -> tuple[str, Mapping[str, str]]:
    media_type, _, rest = declared.decode("latin-1").partition(";")
    found = islice(_PARAMETER.finditer(rest), MAX_PARAMETERS)
    parameters = {match[1].lower(): match[2] if match[3] is None else match[3] for match in found}
    return media_type.strip().lower(), MappingProxyType(parameters)


def content_type(headers: Headers) -> tuple[str, Mapping[str, str]]:
    """Media type in lower case ("" when undeclared) and its parameters, names in lower case."""
    for name, value in headers:
        if name == b"content-type":
            return _parsed_type(value[:MAX_CONTENT_TYPE])
    return "", _NO_PARAMETERS


def body_bytes(chunks: Sequence[bytes], length: int, headers: Headers) -> bytes:
    """The body, inflated. ``length`` counts the bytes that went by, kept or not.

    Raises:
        DecodeError: ``body_too_large`` or ``unsupported_encoding``.
    """
    body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    if length > len(body):
        raise DecodeError("the body is larger than what is kept", code=DropReason.BODY_TOO_LARGE)
    declared = [value for name, value in headers if name == b"content-encoding"]
    encoding = declared[0].decode("latin-1").strip().lower() if declared else "identity"
    if encoding in {"", "identity"} or not body:
        return bytes(body)
    if encoding in {"gzip", "x-gzip"}:
        return _inflated(body, _GZIP_OR_ZLIB)
    if encoding == "deflate":
        # RFC 9110 means zlib by "deflate"; some clients send the bare stream.
        return _inflated(body, _GZIP_OR_ZLIB if body[0] & 0x0F == zlib.DEFLATED else _RAW_DEFLATE)
    raise _unsupported()


def _inflated(body: bytes, window_bits: int) -> bytes:
    parts: list[bytes] = []
    left = MAX_INFLATED_BYTES
    rest = body
    for _ in range(MAX_MEMBERS):
        stream = zlib.decompressobj(window_bits)
        try:
            part = stream.decompress(rest, left + 1)
        except zlib.error:
            raise _unsupported() from None
        left -= len(part)
        if left < 0:
            raise DecodeError("the body inflates beyond its cap", code=DropReason.BODY_TOO_LARGE)
        if not stream.eof:
            raise _unsupported()
        parts.append(part)
        rest = stream.unused_data
        if not rest:
            return b"".join(parts)
    raise _unsupported()


def _unsupported() -> DecodeError:
    return DecodeError("the body's content encoding cannot be read", code=DropReason.UNSUPPORTED_ENCODING)
