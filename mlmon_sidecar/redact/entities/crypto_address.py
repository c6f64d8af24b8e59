"""Addresses of Bitcoin (base58check; bech32 and bech32m, BIP 173 and 350) and Ethereum (20 bytes in hex)."""

from __future__ import annotations

import hashlib
import re

from mlmon_sidecar.redact.entities.kinds import Span, Token
from mlmon_sidecar.redact.page import Page

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CONSTANTS = (1, 0x2BC830A3)

_LEGACY = re.compile(rf"(?<![A-Za-z0-9_])[13][{_BASE58}]{{25,34}}(?![A-Za-z0-9_])")
_SEGWIT = re.compile(r"(?<![A-Za-z0-9_])(?:bc1|tb1|BC1|TB1)[A-Za-z0-9]{11,71}(?![A-Za-z0-9_])")
_ETHER = re.compile(r"(?<![A-Za-z0-9_])0[xX][0-9a-fA-F]{40}(?![A-Za-z0-9_])")


def is_base58check(text: str) -> bool:
    """25 bytes: version 0 or 5, 20 bytes, the first four bytes of a doubled SHA-256."""
    number = 0
    for character in text:
        number = number * 58 + _BASE58.index(character)
    if number >= 1 << 200:
        return False
    raw = number.to_bytes(25, "big")
    digest = hashlib.sha256(hashlib.sha256(raw[:21]).digest()).digest()
    return raw[0] in (0, 5) and digest[:4] == raw[21:]


def is_bech32(text: str) -> bool:
    """Lower or upper case, not mixed; the checksum's polynomial leaves one of two constants."""
    if text not in (text.lower(), text.upper()):
        return False
    prefix, data = text[:2].lower(), text[3:].lower()
    if any(character not in _BECH32 for character in data):
        return False
    values = [ord(letter) >> 5 for letter in prefix] + [0] + [ord(letter) & 31 for letter in prefix]
    check = 1
    for value in values + [_BECH32.index(character) for character in data]:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, term in enumerate(_GENERATOR):
            check ^= term if top >> bit & 1 else 0
    return check in _CONSTANTS


def _find_legacy(page: Page, start: int, end: int) -> Span | None:
    match = _LEGACY.match(page.shadow, start)
    return match.span() if match and is_base58check(match[0]) else None


def _find_segwit(page: Page, start: int, end: int) -> Span | None:
    match = _SEGWIT.match(page.shadow, start)
    return match.span() if match and is_bech32(match[0]) else None


def _find_ether(page: Page, start: int, end: int) -> Span | None:
    match = _ETHER.match(page.shadow, start)
    return match.span() if match and len(set(match[0].lower())) > 3 else None


BITCOIN = Token("crypto_address", (r"\b[13]" + f"[{_BASE58}]" * 20 + f"[{_BASE58}]*",), "13", _find_legacy)
BITCOIN_SEGWIT = Token("crypto_address", (r"\b(?:bc1|tb1|BC1|TB1)[A-Za-z0-9]+",), "btBT", _find_segwit)
ETHER = Token("crypto_address", (r"\b0[xX]" + "[0-9a-fA-F]" * 8,), "0", _find_ether)
