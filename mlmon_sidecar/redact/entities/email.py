"""E-mail addresses, by form: RFC 5321 sizes, a dotted domain of host-name labels, an alphabetic top-level domain."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlmon_sidecar.redact.gate import compile_gate

MAX_LOCAL = 64  # characters; RFC 5321, section 4.5.3.1
MAX_DOMAIN = 253

_LOCAL_EDGE = ".'`*~-!?#&+$%^{}"  # punctuation around an address in prose, never its first character
_LABEL = re.compile(r"(?!-)[^\W_](?:[\w-]{0,61}[^\W_])?")
_VERSION = re.compile(r"v?\d+\.\d+(?:[.-]|$)")  # name@1.0.0-rc.beta is a package
_SCALED_FILE = re.compile(r"\dx\.")  # icon@2x.png is a picture
_FILE_ENDINGS = frozenset({
    "png", "jpg", "jpeg", "gif", "svg", "webp", "bmp", "ico", "css", "js", "mjs", "json", "html", "htm", "txt", "xml",
    "yaml", "yml", "toml", "csv", "tsv", "parquet", "log", "pdf", "tar", "gz",
})  # fmt: skip
_NOBODY = frozenset({"git"})  # git@host:path is how a repository is cloned


class EmailDetector:
    """Finds addresses such as ``jo.doe+x@mail.example.org``; not ``user@host``, ``@property`` or ``pkg@1.2.3``."""

    name = "email"
    gate = r"[^\s@<>()\[\],;:\"|=/\\]+(?:@[^\s@<>()\[\],;:\"|=/\\]+)+"

    def __init__(self) -> None:
        self._find = compile_gate(self.gate)

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Confirmed (start, end) spans, ascending."""
        if "@" not in text:
            return
        for start, end in self._find(text):
            at = text.index("@", start)
            while 0 <= at < end:
                after = text.find("@", at + 1, end)
                confirmed = _confirm(text, start, at, end if after < 0 else after)
                if confirmed is not None:
                    yield confirmed
                start, at = at + 1, after


def _confirm(text: str, start: int, at: int, end: int) -> tuple[int, int] | None:
    local = text[start:at].lstrip(_LOCAL_EDGE)
    domain = _bare_domain(text[at + 1 : end])
    return (at - len(local), at + 1 + len(domain)) if _is_local(local) and _is_domain(domain) else None


def _bare_domain(domain: str) -> str:
    """The domain without what follows it in prose: ``example.org's`` and ``example.org!`` end at ``org``."""
    match = re.match(r"[\w.-]*", domain)
    return match.group().rstrip("._-") if match else ""


def _is_local(local: str) -> bool:
    return 0 < len(local) <= MAX_LOCAL and not local.endswith(".") and ".." not in local and local not in _NOBODY


def _is_domain(domain: str) -> bool:
    if len(domain) > MAX_DOMAIN or _VERSION.match(domain) or _SCALED_FILE.match(domain):
        return False
    labels = domain.split(".")
    top = labels[-1].lower()
    alphabetic = len(top) >= 2 and (top.isalpha() or top.startswith("xn--"))
    return (
        len(labels) >= 2
        and alphabetic
        and top not in _FILE_ENDINGS
        and all(_LABEL.fullmatch(label) for label in labels)
    )
