"""Italian codice fiscale: 16 characters with a check letter (D.M. 23 December 1976)."""

from __future__ import annotations

import re

from mlmon_sidecar.redact.entities.kinds import Span, Token, is_free
from mlmon_sidecar.redact.page import Page

_DIGIT = "[0-9LMNP-V]"  # letters stand in for digits where two people would have the same code
_FORM = re.compile(rf"[A-Z]{{6}}{_DIGIT}{{2}}[A-EHLMPRST]{_DIGIT}{{2}}[A-Z]{_DIGIT}{{3}}[A-Z]", re.IGNORECASE)
_ODD = dict(zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
                (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12,
                 14, 16, 10, 22, 25, 24, 23), strict=True))  # fmt: skip


def is_codice_fiscale(code: str) -> bool:
    upper = code.upper()
    odd = sum(_ODD[character] for character in upper[:15:2])
    even = sum(int(character, 36) - (0 if character.isdigit() else 10) for character in upper[1:15:2])
    return chr(ord("A") + (odd + even) % 26) == upper[15]


def _find(page: Page, start: int, end: int) -> Span | None:
    match = _FORM.match(page.shadow, start)
    if match is None or not is_free(page.shadow, *match.span()):
        return None
    return match.span() if is_codice_fiscale(match[0]) else None


_ANY = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
IT_CODICE_FISCALE = Token(
    "it_codice_fiscale",
    (r"\b[A-Za-z]{6}[0-9LMNP-Vlmnp-v]{2}[A-EHLMPRSTa-ehlmprst][0-9LMNP-Vlmnp-v]{2}[A-Za-z][0-9LMNP-Vlmnp-v]{3}",),
    _ANY,
    _find,
)
