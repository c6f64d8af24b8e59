"""French social security number (NIR): sex, year, month, place, order, key of MOD 97 (INSEE)."""

from __future__ import annotations

from mlmon_sidecar.redact.entities.kinds import FORM, Number
from mlmon_sidecar.redact.page import Words


def is_nir(digits: str) -> bool:
    """Numbers of Corsica, which carry a letter, are found by key only."""
    month = int(digits[3:5])
    known = 1 <= month <= 12 or 20 <= month <= 42 or 50 <= month <= 99  # from 20: the month of birth is not known
    return digits[0] in "123478" and known and 97 - int(digits[:13]) % 97 == int(digits[13:])


FR_NIR = Number(
    "fr_nir",
    {"15": FORM, "13 2": FORM, "1 2 2 2 3 3 2": FORM, "1-2-2-2-3-3-2": FORM, "1.2.2.2.3.3.2": FORM},
    is_nir,
    Words("securite sociale|nir|insee|carte vitale"),
)
