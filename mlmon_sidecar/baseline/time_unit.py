"""Which unit the whole numbers of a time column are in."""

from __future__ import annotations

from collections.abc import Sequence

PLAUSIBLE_SECONDS = 631_152_000, 4_102_444_800  # from 1990 to 2100
UNITS_NS = 1_000_000_000, 1_000_000, 1_000, 1  # seconds, milliseconds, microseconds, nanoseconds


class TimeUnit:
    """Told by all of a column: whole numbers that lie between 1990 and 2100 in one unit are in that unit, others are
    nanoseconds. Times in other forms say nothing."""

    def __init__(self) -> None:
        self._least: int | None = None
        self._most = 0

    def add(self, column: Sequence[object]) -> None:
        whole = [value for value in column if isinstance(value, int) and not isinstance(value, bool)]
        if whole:
            least, most = min(whole), max(whole)
            self._least, self._most = (
                (least, most) if self._least is None else (min(self._least, least), max(self._most, most))
            )

    @property
    def ns(self) -> int:
        """Nanoseconds of one unit."""
        if self._least is None:
            return 1
        first, end = (limit * 1_000_000_000 for limit in PLAUSIBLE_SECONDS)
        return next((ns for ns in UNITS_NS if first <= self._least * ns and self._most * ns < end), 1)


def in_nanoseconds(column: Sequence[object], unit_ns: int) -> Sequence[object]:
    """Whole numbers of a unit as whole nanoseconds; other forms as they are."""
    if unit_ns == 1:
        return column
    return [value * unit_ns if isinstance(value, int) and not isinstance(value, bool) else value for value in column]
