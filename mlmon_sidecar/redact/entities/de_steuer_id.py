"""German tax identification number: 11 digits, MOD 11,10, one digit two or three times (Section 139b AO)."""

from __future__ import annotations

from collections import Counter

from mlmon_sidecar.redact.entities.checksums import mod11_10
from mlmon_sidecar.redact.entities.kinds import CONTEXT, FORM, Number
from mlmon_sidecar.redact.page import Words


def is_steuer_id(digits: str) -> bool:
    repeated = [count for count in Counter(digits[:10]).values() if count > 1]
    return digits[0] != "0" and repeated in ([2], [3]) and mod11_10(digits)


DE_STEUER_ID = Number(
    "de_steuer_id",
    {"2 3 3 3": FORM, "11": CONTEXT},
    is_steuer_id,
    Words(r"steuer-?\s?id(?:nr|entifikationsnummer)?|idnr|id-nr|steuernummer|identifikationsnummer|tax id|tin"
          r"|steuerliche\w*"),
)  # fmt: skip
