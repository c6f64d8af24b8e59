"""How healthy shares move with the hour of day and at weekends (UTC): offsets to the reference's angles.

Factorial: at hour k of a weekend day the expected angle of an indicator is ``reference + hour[k] + weekend[1]``.
``profile_fit`` learns it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector

Hour = TypeVar("Hour", int, NDArray[np.int64])

HOURS, DAY_KINDS = 24, 2
SLOTS = HOURS * DAY_KINDS
DAYS_OF_WEEK = 7
FIRST_WEEKDAY = 3  # Unix day 0 was a Thursday; Monday is 0
SATURDAY = 5


@dataclass(frozen=True, slots=True)
class UnitProfile:
    """What one unit's indicators do with the time. An indicator is named by the highest cell among its hits.

    Attributes:
        cells: of the indicators that follow the time.
        hour: 24 times one offset a cell, in radians; empty where the hour does not matter.
        weekend: for weekdays, then for weekends, one offset a cell; empty where it does not matter.
    """

    cells: tuple[int, ...] = ()
    hour: tuple[tuple[float, ...], ...] = ()
    weekend: tuple[tuple[float, ...], ...] = ()

    @property
    def parameters(self) -> int:
        """Fitted for each indicator, its mean included; 1 or more."""
        return 1 + (HOURS - 1) * bool(self.hour) + (DAY_KINDS - 1) * bool(self.weekend)

    def offsets(self) -> Mapping[int, FloatVector]:
        """Cell -> (SLOTS,) radians, in the order of ``slot_of``."""
        hour = np.array(self.hour) if self.hour else np.zeros((HOURS, len(self.cells)))
        weekend = np.array(self.weekend) if self.weekend else np.zeros((DAY_KINDS, len(self.cells)))
        table = (weekend[:, None, :] + hour[None, :, :]).reshape(SLOTS, len(self.cells))
        return {cell: table[:, at] for at, cell in enumerate(self.cells)}

    @classmethod
    def from_document(cls, item: Mapping[str, Any]) -> UnitProfile:
        """Raises ``KeyError``, ``TypeError`` or ``ValueError`` for anything that is no profile."""
        return cls(
            cells=tuple(map(int, item["cells"])),
            hour=_table(item["hour"], HOURS, len(item["cells"])),
            weekend=_table(item["weekend"], DAY_KINDS, len(item["cells"])),
        )


def slot_of(hour: Hour) -> Hour:
    """Which offset holds in an hour (Unix hours, one or an array): hour of day, 24 more at weekends.

    >>> slot_of(0), slot_of(2 * 24 + 5)  # Thursday midnight, Saturday at five
    (0, 29)
    """
    weekend = (hour // HOURS + FIRST_WEEKDAY) % DAYS_OF_WEEK // SATURDAY
    return hour % HOURS + HOURS * weekend


def _table(rows: Sequence[Sequence[float]], length: int, width: int) -> tuple[tuple[float, ...], ...]:
    if len(rows) not in (0, length) or any(len(row) != width for row in rows):
        raise ValueError("a profile's table has another size")
    return tuple(tuple(map(float, row)) for row in rows)
