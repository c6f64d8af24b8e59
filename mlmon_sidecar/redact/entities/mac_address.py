"""Hardware addresses: EUI-48 in six pairs or three quads (IEEE 802)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlmon_sidecar.redact.entities.kinds import Digits, Span, Token
from mlmon_sidecar.redact.page import Page

_FORM = re.compile(
    r"(?<![\w:.-])(?:[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\."
    r"[0-9A-Fa-f]{4})(?![\w]|[:.-][0-9A-Fa-f])",
    re.ASCII,
)
_NOBODYS = frozenset({"000000000000", "FFFFFFFFFFFF"})


def _find(page: Page, start: int, end: int) -> Span | None:
    shadow = page.shadow
    begin = start if shadow[start] not in ":-." else start - (4 if shadow[start] == "." else 2)
    match = _FORM.match(shadow, begin) if begin >= 0 else None
    if match is None:
        return None
    bare = re.sub("[:.-]", "", match[0]).upper()
    dotted_number = "." in match[0] and bare.isdigit()
    return None if bare in _NOBODYS or dotted_number else match.span()


def _find_quads(page: Page, start: int, end: int) -> Iterator[Span]:
    """Three quads of which the first is digits, which the gate takes for a number."""
    span = _find(page, start, end) if page.shadow.startswith(".", start + 4) else None
    if span is not None:
        yield span


_HEX = "[0-9A-Fa-f]"
MAC_ADDRESS = Token(
    "mac_address",
    (
        f":{_HEX}{_HEX}:[0-9A-Fa-f:]*",
        f"-{_HEX}{_HEX}-{_HEX}{_HEX}-{_HEX}{_HEX}-",
        rf"\.{_HEX}{_HEX}{_HEX}{_HEX}\.{_HEX}",
    ),
    ":-.",
    _find,
)
MAC_ADDRESS_QUADS = Digits("mac_address", _find_quads)
