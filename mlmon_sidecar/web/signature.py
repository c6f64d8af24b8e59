"""Signed feedback: who holds the key wrote this body, a moment ago.

The header ``x-mlmon-signature: t=<Unix milliseconds>,v1=<hex>`` holds HMAC-SHA256 over ``<t>.<idempotency key>.<body>``
(RFC 2104). A captured request can be repeated within the window only, and then gets the answer of the first.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence

from mlmon_sidecar.web.answers import Refusal

SIGNATURE_HEADER = "x-mlmon-signature"
WINDOW_MS = 300_000  # either way: clocks differ

_FORM = re.compile(r"t=(\d{1,16}),\s*v1=([0-9a-f]{64})", re.ASCII)


def sign(key: str, body: bytes, at_ms: int, idempotency_key: str = "") -> str:
    """The header's value.

    >>> sign("k" * 16, b"{}", 1_700_000_000_000)[:22]
    't=1700000000000,v1=19b'
    """
    return f"t={at_ms},v1={_digest(key, str(at_ms), idempotency_key, body)}"


def check_signature(header: str, body: bytes, idempotency_key: str, keys: Sequence[str], now_ms: int) -> None:
    """Raises ``Refusal`` (401) unless one of ``keys`` signed this within the window."""
    matched = _FORM.fullmatch(header.strip())
    if matched is None:
        raise Refusal(
            401,
            "signature_required",
            "The body is not signed",
            f"Send the header {SIGNATURE_HEADER}: t=<Unix milliseconds>,v1=<HMAC-SHA256 in hex>.",
        )
    at, given = matched.groups()
    valid = [_digest(key, at, idempotency_key, body) for key in keys]
    # A sum, not any(): time does not tell which key matched.
    if not sum(hmac.compare_digest(given, expected) for expected in valid):
        hint = "Sign '<t>.<idempotency key, if sent>.<body>' as it goes over the wire, with the hub's key."
        raise Refusal(401, "signature_wrong", "The signature does not belong to this body", hint)
    if abs(now_ms - int(at)) > WINDOW_MS:
        hint = f"Sign anew; t may differ from the hub's clock by {WINDOW_MS // 1000} seconds."
        raise Refusal(401, "signature_expired", "The signature is too old, or of a clock that runs ahead", hint)


def _digest(key: str, at: str, idempotency_key: str, body: bytes) -> str:
    return hmac.new(key.encode(), f"{at}.{idempotency_key}.".encode() + body, hashlib.sha256).hexdigest()
