"""Chinese resident identity number: place, date of birth, order, and an ISO 7064 MOD 11-2 check (GB 11643-1999)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlmon_sidecar.redact.entities.checksums import is_day, weighted
from mlmon_sidecar.redact.entities.kinds import Digits, Span, is_free
from mlmon_sidecar.redact.page import Page

_FORM = re.compile(r"[1-9][0-9]{16}[0-9Xx]")
_WEIGHTS = [2**place % 11 for place in range(17, 0, -1)]


def is_resident_id(number: str) -> bool:
    last = 10 if number[17] in "xX" else int(number[17])
    born = number[6:8] in ("19", "20") and is_day(number[10:12], number[12:14])
    return born and (weighted(number[:17], _WEIGHTS) + last) % 11 == 1


def _find(page: Page, start: int, end: int) -> Iterator[Span]:
    if end - start >= 17:
        for match in _FORM.finditer(page.shadow, start, min(end + 1, len(page.shadow))):
            if is_free(page.shadow, *match.span()) and is_resident_id(match[0]):
                yield match.span()


CN_RESIDENT_ID = Digits("cn_resident_id", _find)
