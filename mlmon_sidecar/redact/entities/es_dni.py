"""Spanish DNI and NIE: number and its letter, by the rest of a division by 23 (Ministerio del Interior)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlmon_sidecar.redact.entities.kinds import Digits, Span, Token, left_free, right_free
from mlmon_sidecar.redact.page import Page

_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_DNI = re.compile(r"(?<![0-9])([0-9]{8}|[0-9]{2}\.[0-9]{3}\.[0-9]{3})[ -]?([A-Za-z])")
_NIE = re.compile(r"([XYZxyz])-?([0-9]{7})-?([A-Za-z])")


def is_dni(digits: str, letter: str) -> bool:
    return _LETTERS[int(digits) % 23] == letter.upper()


def _find_dni(page: Page, start: int, end: int) -> Iterator[Span]:
    shadow = page.shadow
    for match in _DNI.finditer(shadow, start, end + 2):
        free = left_free(shadow, match.start()) and right_free(shadow, match.end())
        if free and is_dni(match[1].replace(".", ""), match[2]):
            yield match.span()


def _find_nie(page: Page, start: int, end: int) -> Span | None:
    match = _NIE.match(page.shadow, start)
    if match is None or not (left_free(page.shadow, start) and right_free(page.shadow, match.end())):
        return None
    return match.span() if is_dni(str("XYZ".index(match[1].upper())) + match[2], match[3]) else None


ES_DNI = Digits("es_dni", _find_dni)
ES_NIE = Token("es_nie", (r"\b[XYZxyz]-?[0-9]{7}-?[A-Za-z]",), "XYZxyz", _find_nie)
