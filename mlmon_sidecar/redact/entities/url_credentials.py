"""User and password in a URL (RFC 3986, section 3.2.1)."""

from __future__ import annotations

import re

from mlmon_sidecar.redact.entities.kinds import Span, Token
from mlmon_sidecar.redact.page import Page

LONGEST = 256  # characters of user and password together

_USERINFO = re.compile(r"://([^\s/?#@:\"'<>\x1d\x1e]*:[^\s/?#\"'<>\x1d\x1e]+)@(?=[A-Za-z0-9\[\x7f])")


def _find(page: Page, start: int, end: int) -> Span | None:
    if page.shadow.find("@", end, end + LONGEST) < 0:
        return None
    match = _USERINFO.match(page.shadow, start, min(end + LONGEST, page.end(start)))
    return match.span(1) if match else None


URL_CREDENTIALS = Token("url_credentials", (r"://",), ":", _find)
