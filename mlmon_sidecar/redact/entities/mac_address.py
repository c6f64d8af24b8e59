"""Hardware addresses: EUI-48 in six pairs or three quads (IEEE 802)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mlmon_sidecar.redact.entities.kinds import Digits, Span, Token
from mlmon_sidecar.redact.page import Page

LONGEST = 17  # characters

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
    return match.span() if match and _is_somebodys(match[0]) else None


def _is_somebodys(text: str) -> bool:
    """Neither nobody's or everybody's address nor a number with points in it."""
    bare = re.sub("[:.-]", "", text).upper()
    return bare not in _NOBODYS and not ("." in text and bare.isdigit())


def _find_after_digits(page: Page, start: int, end: int) -> Sequence[Span]:
    """Pairs or quads whose beginning the gate takes for a run of digits, but for a letter before it."""
    shadow = page.shadow
    if end - start > LONGEST:  # a run of digits alone is looked at where it goes on
        start = end - LONGEST
    match = _FORM.search(shadow, max(0, start - 1), end + LONGEST)
    return (match.span(),) if match and _is_somebodys(match[0]) else ()


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
MAC_ADDRESS_IN_DIGITS = Digits("mac_address", _find_after_digits, "-.")
