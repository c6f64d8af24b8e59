"""Spanish DNI and NIE: number and its letter, by the rest of a division by 23 (Ministerio del Interior)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mlmon_sidecar.redact.entities.kinds import Digits, Span, Token, left_free, right_free
from mlmon_sidecar.redact.page import Page, Words

LONGEST = 11  # characters before the letter and its sign

_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_DNI = re.compile(r"(?<![0-9])([0-9]{8}|[0-9]{2}\.[0-9]{3}\.[0-9]{3})[ -]?([A-Za-z])(?![A-Za-z0-9])")
_NIE = re.compile(r"([XYZxyz])-?([0-9]{7})-?([A-Za-z])")

WORDS = Words(r"dni|d\.n\.i|nif|documento|documento nacional|identidad|identificacion|identificador fiscal|spanish id")


def is_dni(digits: str, letter: str) -> bool:
    return _LETTERS[int(digits) % 23] == letter.upper()


def _find_dni(page: Page, start: int, end: int) -> Sequence[Span]:
    """A letter ends a run of digits, or it is the next character."""
    shadow = page.shadow
    match = _DNI.search(shadow, max(start, end - LONGEST), end + 1) if shadow[end : end + 1].isalpha() else None
    if match is None or not (left_free(shadow, match.start()) and right_free(shadow, match.end())):
        return ()
    if not is_dni(match[1].replace(".", ""), match[2]):
        return ()
    by_form = "." in match[1]  # the letter alone fits one of 23 part numbers
    return (match.span(),) if by_form or page.speaks_of(WORDS, *match.span()) else ()


def _find_nie(page: Page, start: int, end: int) -> Span | None:
    match = _NIE.match(page.shadow, start)
    if match is None or not (left_free(page.shadow, start) and right_free(page.shadow, match.end())):
        return None
    return match.span() if is_dni(str("XYZ".index(match[1].upper())) + match[2], match[3]) else None


ES_DNI = Digits("es_dni", _find_dni)
ES_NIE = Token("es_nie", (r"\b[XYZxyz]-?[0-9]{7}-?[A-Za-z]",), "XYZxyz", _find_nie)
