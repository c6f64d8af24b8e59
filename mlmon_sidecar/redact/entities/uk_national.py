"""United Kingdom: national insurance numbers (HMRC, NIM39110) and NHS numbers (MOD 11)."""

from __future__ import annotations

import re

from mlmon_sidecar.redact.entities.checksums import weighted
from mlmon_sidecar.redact.entities.kinds import CONTEXT, Number, Span, Token, is_free
from mlmon_sidecar.redact.page import Page, Words

_NINO = re.compile(
    r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]"
    r"(?: ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?|-[0-9]{2}-[0-9]{2}-[0-9]{2}-)[A-D]",
    re.IGNORECASE,
)
_FIRST = "ABCEGHJKLMNOPRSTWXYZ"


def _find_nino(page: Page, start: int, end: int) -> Span | None:
    match = _NINO.match(page.shadow, start)
    return match.span() if match and is_free(page.shadow, *match.span()) else None


UK_NINO = Token(
    "uk_nino",
    (
        r"\b[A-Za-z]{2}[0-9]{2}",
        r"\b[A-Za-z]{2} [0-9]{2} [0-9]{2} [0-9]{2}",
        r"\b[A-Za-z]{2}-[0-9]{2}-[0-9]{2}-[0-9]{2}",
    ),
    _FIRST + _FIRST.lower(),
    _find_nino,
)


def is_nhs(digits: str) -> bool:
    check = 11 - weighted(digits[:9], range(10, 1, -1)) % 11
    return check != 10 and check % 11 == int(digits[9])


UK_NHS = Number("uk_nhs", {"3 3 4": CONTEXT, "3-3-4": CONTEXT, "10": CONTEXT}, is_nhs, Words("nhs|health service"))
