"""Fixed point for values of any size.

A value is counted as ``q = rint((x - center) / unit * 1024)``, clipped at 1,024 units. The quantum of one value is
``unit / 1024``, and of a mean no more; q * q stays below 2**40, so that 2**23 rows fit into one sum of 64 bits.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

STEPS = 1024  # in one unit
CLIP = STEPS * STEPS
RELATIVE_UNIT = 1 << 20  # relative errors are in units of 2**-20, clipped at 1,024


class Scale(NamedTuple):
    """How values of one model are counted."""

    center: float  # of the actual values
    unit: float  # > 0, about their spread


def scale_of(actual: Sequence[float]) -> Scale:
    """A scale for values like these, at least one, all finite: their median, and a power of two above their spread.

    >>> scale_of([9.0, 10.0, 14.0])
    Scale(center=10.0, unit=2.0)
    """
    center = float(statistics.median(actual))
    spread = sum(abs(value - center) for value in actual) / len(actual) or abs(center) or 1.0
    return Scale(center, 2.0 ** math.ceil(math.log2(spread)))
