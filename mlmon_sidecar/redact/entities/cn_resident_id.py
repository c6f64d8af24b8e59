"""Chinese resident identity number: place, date of birth, order, and an ISO 7064 MOD 11-2 check (GB 11643-1999)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mlmon_sidecar.redact.entities.checksums import is_day, weighted
from mlmon_sidecar.redact.entities.kinds import FORM, Digits, Number, Span, is_free
from mlmon_sidecar.redact.page import Page, Words

_WITH_LETTER = re.compile(r"(?<![0-9])[1-9][0-9]{16}[Xx]")
_WEIGHTS = [2**place % 11 for place in range(17, 0, -1)]


def is_resident_id(number: str) -> bool:
    last = 10 if number[17] in "xX" else int(number[17])
    born = number[6:8] in ("19", "20") and is_day(number[10:12], number[12:14])
    return born and (weighted(number[:17], _WEIGHTS) + last) % 11 == 1


def _find(page: Page, start: int, end: int) -> Sequence[Span]:
    """The letter ends a run of digits: it is the next character."""
    match = _WITH_LETTER.match(page.shadow, end - 17) if end - start >= 17 else None
    return (match.span(),) if match and is_free(page.shadow, *match.span()) and is_resident_id(match[0]) else ()


CN_RESIDENT_ID = Number(
    "cn_resident_id",
    {"18": FORM},
    lambda digits: digits[0] != "0" and is_resident_id(digits),
    Words("resident id|resident identity|identity card|id card|id number", ("身份证", "身份號", "身分證")),
)
CN_RESIDENT_ID_WITH_LETTER = Digits("cn_resident_id", _find)
