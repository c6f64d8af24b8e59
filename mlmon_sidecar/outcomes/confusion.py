"""Labelled predictions as a confusion matrix, and as slices that each count once.

A slice is (prediction day, label age). It closes when no label of its age can be observed any more: predictions of day
d are made until d + 1, and a label of age a is observed less than a + 1 days later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.records import OutcomeCell

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector


def closing_day(day: int, age: int) -> int:
    """The first Unix day on which slice (day, age) cannot grow by event time."""
    return day + age + 2


def confusion(cells: Iterable[OutcomeCell], classes: Sequence[str]) -> IntVector:
    """(K, K) counts, actual-major: row i holds the predictions whose actual class is ``classes[i]``."""
    index = {name: position for position, name in enumerate(classes)}
    matrix = np.zeros((len(classes), len(classes)), np.int64)
    for cell in cells:
        matrix[index[cell.actual], index[cell.predicted]] += cell.rows
    return matrix


def closed_on(cells: Iterable[OutcomeCell], day: int) -> list[OutcomeCell]:
    """Cells of the slices that close on ``day``."""
    return [cell for cell in cells if closing_day(cell.day, cell.age) == day]


def right(cells: Iterable[OutcomeCell]) -> tuple[int, int]:
    """(correct, total) labelled predictions."""
    correct = total = 0
    for cell in cells:
        total += cell.rows
        correct += cell.rows if cell.predicted == cell.actual else 0
    return correct, total
