"""E-mail addresses, by form: RFC 5321 sizes, a dotted domain of host-name labels, an alphabetic top-level domain."""

from __future__ import annotations

import re

from mlmon_sidecar.redact.entities.kinds import Span, Token
from mlmon_sidecar.redact.page import Page
from mlmon_sidecar.redact.shadow import FOREIGN

MAX_LOCAL = 64  # characters; RFC 5321, section 4.5.3.1
MAX_DOMAIN = 253

_LOCAL_EDGE = ".'`*~-!?#&+$%^{}"  # punctuation around an address in prose, never its first character
_LOCAL = re.compile(r"""[^\s@<>()\[\],;:"|=/\\\x1d\x1e\x7f]+""")
_FOREIGN_LOCAL = re.compile(rf"[\w.+\-{FOREIGN}]+", re.ASCII)
_PLAIN_DOMAIN = re.compile(
    rf"(?:[A-Za-z](?:[A-Za-z0-9-]{{0,61}}[A-Za-z0-9])?\.){{1,8}}([A-Za-z]{{2,63}})(?![A-Za-z0-9_{FOREIGN}-]|\.[A-Za-z0-9_{FOREIGN}.-])"
)  # what most are
_DOMAIN = re.compile(r"[A-Za-z0-9_.\-]+")
_FOREIGN_DOMAIN = re.compile(rf"[A-Za-z0-9{FOREIGN}.\-]+")
_LABEL = re.compile(rf"(?!-)[A-Za-z0-9{FOREIGN}](?:[A-Za-z0-9_{FOREIGN}-]{{0,61}}[A-Za-z0-9{FOREIGN}])?")
_VERSION = re.compile(r"v?[0-9]+\.[0-9]+(?:[.-]|$)")  # name@1.0.0-rc.beta is a package
_SCALED_FILE = re.compile(r"[0-9]x\.")  # icon@2x.png is a picture
_FILE_ENDINGS = frozenset({
    "png", "jpg", "jpeg", "gif", "svg", "webp", "bmp", "ico", "css", "js", "mjs", "json", "html", "htm", "txt", "xml",
    "yaml", "yml", "toml", "csv", "tsv", "parquet", "log", "pdf", "tar", "gz",
})  # fmt: skip
_NOBODY = frozenset({"git"})  # git@host:path is how a repository is cloned


def _find(page: Page, start: int, end: int) -> Span | None:
    """``start`` is an ``@``; what stands before and after it is looked at here, within the sizes of the RFC."""
    shadow = page.shadow
    plain = _PLAIN_DOMAIN.match(shadow, start + 1, start + 1 + MAX_DOMAIN)
    if plain is not None:
        domain, top = plain.group(0, 1)
        if top.lower() in _FILE_ENDINGS or (domain[0] == "v" and _VERSION.match(domain)):
            return None
    else:
        domain = _domain(_DOMAIN, shadow, start + 1) or _domain(_FOREIGN_DOMAIN, shadow, start + 1)
        if not domain:
            return None
    window = shadow[start - MAX_LOCAL - 1 if start > MAX_LOCAL else 0 : start][::-1]
    before = _LOCAL.match(window) or _FOREIGN_LOCAL.match(window)
    if before is None:
        return None
    local = before[0][::-1].lstrip(_LOCAL_EDGE)
    if not local or local[-1] == "." or len(local) > MAX_LOCAL or ".." in local or local in _NOBODY:
        return None
    return start - len(local), start + 1 + len(domain)


def _domain(form: re.Pattern[str], shadow: str, start: int) -> str:
    match = form.match(shadow, start, start + 1 + MAX_DOMAIN)
    if match is None or "." not in match[0]:
        return ""
    domain = match[0].rstrip("._-")
    return domain if _is_domain(domain) else ""


def _is_domain(domain: str) -> bool:
    if "." not in domain or len(domain) > MAX_DOMAIN or _VERSION.match(domain) or _SCALED_FILE.match(domain):
        return False
    labels = domain.split(".")
    top = labels[-1].lower()
    alphabetic = len(top) >= 2 and (top.replace(FOREIGN, "a").isalpha() or top.startswith("xn--"))
    return alphabetic and top not in _FILE_ENDINGS and all(_LABEL.fullmatch(label) for label in labels)


EMAIL = Token("email", (rf"@[A-Za-z0-9{FOREIGN}][A-Za-z0-9_{FOREIGN}-]*[.]",), "@", _find)
