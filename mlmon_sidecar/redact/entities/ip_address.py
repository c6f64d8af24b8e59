"""IPv4 (RFC 791 dotted quads) and IPv6 (RFC 4291) addresses; not versions, times or names of C++."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from mlmon_sidecar.redact.entities.kinds import Digits, Span, Token
from mlmon_sidecar.redact.page import Page, Words

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_DOTTED = re.compile(rf"(?<![\w.]){_OCTET}(?:\.{_OCTET}){{3}}(?![\w]|\.[0-9]|-[A-Za-z])")
_SIX = re.compile(r"[0-9A-Fa-f:]{0,34}\Z")
_SIX_REST = re.compile(r"[0-9A-Fa-f:]{0,30}:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f:]{1,39}")
_PRIVATE = re.compile(
    r"10\.|192\.168\.|172\.(?:1[6-9]|2[0-9]|3[01])\.|169\.254\.|100\.(?:6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])\."
)
_NOBODYS = re.compile(r"0\.|127\.|255\.")  # no host, this host, netmasks and broadcast

ABOUT_VERSIONS = Words(
    r"v|ver|version|versions|release|build|firmware|rev|revision|section|sec|chapter|model|driver|sdk"
)
ABOUT_HOSTS = Words(
    r"ip|ips|ipv4|ip address|ip-adresse|adresse ip|direccion ip|indirizzo ip|host|client|remote|peer|addr|address"
    r"|server|gateway|login|logged"
)


def _find_four(page: Page, start: int, end: int) -> Iterator[Span]:
    shadow = page.shadow
    if shadow.count(".", start, end) < 3:
        return
    for match in _DOTTED.finditer(shadow, start, end):
        page.look()
        if not _NOBODYS.match(match[0]) and not _is_product(shadow, match.start()) and _is_host(page, match):
            yield match.span()


def _is_product(shadow: str, start: int) -> bool:
    """``Chrome/120.0.10.5``, as user agents write versions."""
    return start > 1 and shadow[start - 1] == "/" and shadow[start - 2].isalpha()


def _is_host(page: Page, match: re.Match[str]) -> bool:
    if page.speaks_of(ABOUT_VERSIONS, *match.span()):
        return False
    if (
        _PRIVATE.match(match[0])
        or page.continues("ip_address", match.start())
        or page.speaks_of(ABOUT_HOSTS, *match.span())
    ):
        return True
    # Versions are made of small numbers, addresses seldom: 1.5% of random ones have not two octets from 20 on.
    return sum(int(octet) >= 20 for octet in match[0].split(".")) >= 2


def _find_six(page: Page, start: int, end: int) -> Span | None:
    shadow = page.shadow
    before = _SIX.search(shadow[max(0, start - 34) : start])
    begin = start - len(before[0]) if before else start
    match = _SIX_REST.match(shadow, begin)
    if match is None or (begin and (shadow[begin - 1].isalnum() or shadow[begin - 1] in "_.-")):
        return None
    text = match[0] if match[0].endswith("::") else match[0].rstrip(":")
    finish = begin + len(text)
    if shadow[finish : finish + 1].isalnum() or shadow[finish : finish + 1] == "_" or not _is_six(text):
        return None
    return begin, finish


def _is_six(text: str) -> bool:
    groups = [group for group in text.split(":") if group]
    if len(groups) < 2 or not any(character.isdigit() for character in text):
        return False
    if len(groups) < 3 and not re.match(r"(?i)[23][0-9a-f]{3}:|fe[89ab]|f[cd][0-9a-f]{2}|::ffff:", text):
        return False
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


IPV4 = Digits("ip_address", _find_four)
IPV6 = Token("ip_address", (r":[0-9A-Fa-f]?[0-9A-Fa-f]?[0-9A-Fa-f]?[0-9A-Fa-f]?:[0-9A-Fa-f:]*",), ":", _find_six)
