"""Private keys in PEM (RFC 7468); a cut-off one is masked to its end."""

from __future__ import annotations

import re

from mlmon_sidecar.redact.entities.kinds import Span, Token
from mlmon_sidecar.redact.page import Page

_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")


def _find(page: Page, start: int, end: int) -> Span | None:
    if _BEGIN.match(page.shadow, start) is None:
        return None
    limit = page.end(start)
    finish = _END.search(page.shadow, start, limit)
    return start, finish.end() if finish else limit


PRIVATE_KEY = Token("private_key", (r"-----BEGIN ",), "-", _find)
