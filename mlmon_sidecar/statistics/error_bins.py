"""A fixed grid for the absolute errors of numbers, the same for every model and unit.

Bins are even in the logarithm, eight an octave: neighbouring edges are 9 % apart, and nobody has to say beforehand how
large errors will be. A bin holds its upper edge, so that an error of exactly 8 is one of at most 8.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector, IntVector

PER_OCTAVE = 8
LAST_BIN = 64 * PER_OCTAVE  # errors beyond 2**64 count as it, those below 2**-64 (and none at all) as that
SLACK = 1e-6  # of a bin, for the rounding of logarithms and differences
_TEXT = re.compile(r"error (-?\d{1,3})")


def bin_of(error: FloatVector) -> IntVector:
    """(rows,) bins of finite errors, of any sign."""
    size = np.abs(error)
    octaves = np.log2(size, out=np.full(size.shape, -np.inf), where=size > 0)
    bins: IntVector = np.clip(np.ceil(octaves * PER_OCTAVE - SLACK), -LAST_BIN, LAST_BIN).astype(np.int64)
    return bins


def upper_edge(bin_: int) -> float:
    """The largest absolute error in a bin."""
    return float(2.0 ** (bin_ / PER_OCTAVE))


def text_of(bin_: int) -> str:
    """What stands for a bin where counts go by the actual class: as labels of classes cannot be mistaken for."""
    return f"error {bin_}"


def bin_in(text: str) -> int | None:
    """The bin that ``text_of`` wrote; None for anything else."""
    found = _TEXT.fullmatch(text)
    return int(found[1]) if found else None
