"""Durations as people write them: ``60d``, ``90s``, ``1d12h``."""

from __future__ import annotations

import re
from datetime import timedelta

UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
LONGEST_DAYS = 3_660  # ten years: a larger horizon is a slip of the keyboard
_PART = re.compile(r"(\d{1,9})([wdhms])")
_WHOLE = re.compile(r"(?:\d{1,9}[wdhms])+")


def parse_duration(value: object) -> timedelta:
    """A text such as ``60d`` or ``1d12h``, or a timedelta, in (0, 10 years]. Raises ``ValueError`` for anything else.

    >>> parse_duration("1d12h")
    datetime.timedelta(days=1, seconds=43200)
    """
    if isinstance(value, timedelta):
        duration = value
    elif isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        duration = timedelta(seconds=sum(int(count) * UNITS[unit] for count, unit in _PART.findall(value)))
    else:
        raise ValueError("is not a duration; write a number and a unit (s, m, h, d, w)")
    if not timedelta(0) < duration <= timedelta(days=LONGEST_DAYS):
        raise ValueError(f"must be longer than zero and at most {LONGEST_DAYS}d")
    return duration


def format_duration(duration: timedelta) -> str:
    """A text that ``parse_duration`` reads back, to the second. Weeks are written as days.

    >>> format_duration(timedelta(hours=36))
    '1d12h'
    """
    left = int(duration.total_seconds())
    text = ""
    for unit in "dhms":
        count, left = divmod(left, UNITS[unit])
        text += f"{count}{unit}" if count else ""
    return text or "0s"
