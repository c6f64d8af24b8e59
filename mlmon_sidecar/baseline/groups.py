"""Features that say the same: what moves one of them moves the others, and that is one thing that happened.

Two numeric features belong together where the absolute value of Spearman's rank correlation exceeds .8, and a group is
all that hang together so (the connected components). The parts of one embedding are one group, correlated or not.
Categories have no order: each categorical feature is a group of its own.

Ranks are taken over the values that a column has, and correlated over the rows in which both columns have one, so that
nulls that come by chance change nothing but the number of rows. Ranks are doubled, which makes them whole numbers, and
every sum stays below 2**53: no order of additions changes a bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.statistics.embedding_space import embedded_columns, part_names

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlmon_sidecar.records import FloatVector, IntVector

SAME = 0.8  # absolute rank correlation above it
LEAST_ROWS = 50  # in which both columns have a value: fewer say nothing of .8
BLOCK = 512  # columns compared with all others at once


def correlated_groups(names: Sequence[str], values: FloatVector) -> tuple[tuple[str, ...], ...]:
    """Groups of two or more, each in the order of ``names``.

    Args:
        values: (names, rows), NaN where a row has none; at most 4,096 rows.
    """
    group = np.arange(len(names))
    for first, second in [*_pairs(values), *_parts(names)]:
        one, other = group[first], group[second]
        if one != other:
            group[group == max(one, other)] = min(one, other)
    found = (np.flatnonzero(group == label).tolist() for label in np.unique(group))
    return tuple(tuple(names[at] for at in members) for members in found if len(members) > 1)


def rank_correlations(values: FloatVector, rows: slice) -> FloatVector:
    """(taken, names) Spearman's, of the columns in ``rows`` with all; 0 where it is not known."""
    return _correlations(*_ranks(values), rows)


def closest(values: FloatVector) -> FloatVector:
    """(names,) the largest absolute rank correlation of each column with any other."""
    ranks, known = _ranks(values)
    found = np.zeros(len(values))
    for start in range(0, len(values), BLOCK):
        block = np.abs(_correlations(ranks, known, slice(start, start + BLOCK)))
        block[np.arange(len(block)), np.arange(len(block)) + start] = 0.0
        found[start : start + BLOCK] = block.max(axis=1)
    return found


def _pairs(values: FloatVector) -> list[tuple[int, int]]:
    ranks, known = _ranks(values)
    pairs = []
    for start in range(0, len(values), BLOCK):
        first, second = np.nonzero(np.abs(_correlations(ranks, known, slice(start, start + BLOCK))) > SAME)
        pairs += [(a + start, b) for a, b in zip(first.tolist(), second.tolist(), strict=True) if a + start < b]
    return pairs


def _parts(names: Sequence[str]) -> list[tuple[int, int]]:
    place = {name: at for at, name in enumerate(names)}
    columns = map(part_names, embedded_columns(names))
    return [(place[parts[0]], place[part]) for parts in columns for part in parts[1:]]


def _correlations(ranks: FloatVector, known: NDArray[np.float64], rows: slice) -> FloatVector:
    if known.all():
        squares = (ranks**2).sum(axis=1)
        both, spread = known.shape[1], np.sqrt(squares[rows, None] * squares)
    else:
        both = known[rows] @ known.T
        spread = np.sqrt((ranks[rows] ** 2 @ known.T) * (known[rows] @ (ranks**2).T))
    usable = (both >= LEAST_ROWS) & (spread > 0)
    found: FloatVector = np.where(usable, ranks[rows] @ ranks.T / np.where(usable, spread, 1.0), 0.0)
    return found


def _ranks(values: FloatVector) -> tuple[FloatVector, NDArray[np.float64]]:
    """Twice the centred ranks, 0 where there is no value, and where there is one; (names, rows) each."""
    known = np.isfinite(values)
    ranks = np.zeros(values.shape)
    for row, held, column in zip(ranks, known, values, strict=True):
        row[held] = _doubled_ranks(column[held])
    return ranks, known.astype(np.float64)


def _doubled_ranks(values: FloatVector) -> IntVector:
    """Whole numbers that sum to 0; ties at their mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: IntVector = (2 * ends - counts - len(values))[place.reshape(-1)]
    return ranks
