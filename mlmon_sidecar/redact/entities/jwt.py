"""JSON web tokens (RFC 7519): three parts, of which the first decodes to a JSON header that names an algorithm."""

from __future__ import annotations

import base64
import binascii
import re

import orjson

from mlmon_sidecar.redact.entities.kinds import Span, Token
from mlmon_sidecar.redact.page import Page

MAX_HEADER = 2048  # characters

_FORM = re.compile(r"([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*){1,3}")


def _find(page: Page, start: int, end: int) -> Span | None:
    match = _FORM.match(page.shadow, start, end)
    return (start, match.end()) if match and _is_header(match[1]) else None


def _is_header(part: str) -> bool:
    if len(part) > MAX_HEADER:
        return False
    try:
        header = orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, ValueError):
        return False
    return isinstance(header, dict) and ("alg" in header or "enc" in header)


JWT = Token("jwt", (r"\beyJ[A-Za-z0-9_.\-]+",), "e", _find)
