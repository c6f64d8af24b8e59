"""United States social security numbers and taxpayer numbers (ITIN). SSA, RM 10201: area, group and serial."""

from __future__ import annotations

from mlmon_sidecar.redact.entities.kinds import CONTEXT, FORM, Number
from mlmon_sidecar.redact.page import Words

_ITIN_GROUPS = frozenset({*range(50, 66), *range(70, 89), 90, 91, 92, *range(94, 100)})  # IRS, Internal Revenue Manual


def is_ssn(digits: str) -> bool:
    """Whether area, group and serial can have been given out."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    if area == "000" or area == "666" or group == "00" or serial == "0000":
        return False
    return area[0] != "9" or int(group) in _ITIN_GROUPS


US_SSN = Number(
    "us_ssn",
    {"3-2-4": FORM, "3 2 4": FORM, "3.2.4": CONTEXT, "9": CONTEXT},
    is_ssn,
    Words(
        "ssn|social security|soc sec|social(?! insurance)|itin|taxpayer|tax id|tin|seguro social|ss#|ss number|ss no"
    ),
)
