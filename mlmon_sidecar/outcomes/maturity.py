"""How many labels are still to come, learned from the ages of those that came.

A cohort is the predictions of one day. Labels of age a are complete ``a + 2`` days later (``slices``), so the newest
cohorts show their youngest ages only. The share of a cohort's labels that is in by age a is estimated age by age from
the cohorts old enough to tell (chain ladder, as actuaries estimate claims that are incurred but not reported: Mack,
ASTIN Bulletin 23, 1993). A figure of young cohorts speaks of quick labels alone, and those may be wrong more often than
slow ones: alarms wait until a cohort is mature.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlmon_sidecar.outcomes.slices import closed_age

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector, IntVector

MATURE = 0.95  # share of the labels to be expected that makes a cohort mature
RECENT_COHORTS = 7  # whose ages are compared with those of the cohorts before
CURVE_COHORTS = 28  # what the curve is learned from, so that it follows a lasting change
MOVED_DISTANCE = 0.10  # of two age distributions, below it a difference is not worth waiting for
MOVED_Z = 4.0  # labels of one batch share their age: a large multiple of the error of independent ones


class LabelCount(NamedTuple):
    """Labels of one slice."""

    day: int
    age: int
    labels: int


@dataclass(frozen=True, slots=True)
class Maturity:
    """What is known of the labels on one day.

    Attributes:
        today: Unix day; slices that close by it are complete.
        horizon: days after which no label counts.
        arrived: (known,) share of all labels to come that is in by each age; the last entry is 1.
        mature_age: the first age at which ``MATURE`` of the labels are in; None while it is not known.
        coverage: labels over predictions that are to be expected of a cohort in the end; None without predictions.
        moved: labels now come at other ages than before.
        cohorts: day -> (predictions, labels, closed age).
    """

    today: int
    horizon: int
    arrived: FloatVector
    mature_age: int | None
    coverage: float | None
    moved: bool
    cohorts: Mapping[int, tuple[int, int, int]]

    def share(self, day: int) -> float:
        """Share of the labels to be expected of a cohort that its age lets be in, in [0, 1]."""
        age = closed_age(day, self.today)
        return 0.0 if age < 0 or not len(self.arrived) else float(self.arrived[min(age, len(self.arrived) - 1)])

    def is_mature(self, day: int) -> bool:
        """Old enough, and with about as many labels as its age promises. Past the horizon always.

        Labels that have become slower are missing where the curve expects them, and are waited for up to twice the
        mature age.
        """
        age = closed_age(day, self.today)
        if age + 1 >= self.horizon:
            return True
        if self.mature_age is None or age < self.mature_age:
            return False
        predictions, labels, _ = self.cohorts.get(day, (0, 0, 0))
        if age > 2 * self.mature_age or not predictions or self.coverage is None:
            return True
        expected = MATURE * self.share(day) * self.coverage
        return labels >= predictions * expected - 3 * math.sqrt(predictions * expected * max(0.0, 1 - expected))


def maturity(slices: Iterable[LabelCount], predictions: Mapping[int, int], today: int, horizon: int) -> Maturity:
    """Learned from slices that close by ``today``; others are left out, however many of their labels came.

    Args:
        slices: signed counts; corrections inside a cohort cancel out.
        predictions: by Unix day, of days whose predictions are all kept.
        horizon: days, 1 or more; older labels do not count.
    """
    days = sorted(day for day in predictions if closed_age(day, today) >= 0)
    first = days[0] if days else today
    table = np.zeros((max(0, today - first - 1), max(1, min(horizon, today - first - 1))), np.int64)
    for day, age, labels in slices:
        if first <= day and age <= closed_age(day, today) and age < table.shape[1]:
            table[day - first, age] += labels
    closed = np.array([closed_age(first + row, today) for row in range(len(table))], dtype=np.int64)
    arrived = _arrived(table, closed, CURVE_COHORTS)
    mature_age = _mature_age(arrived, horizon)
    moved = _moved(table, closed)
    if moved and mature_age is not None:
        newest = _arrived(table, closed, RECENT_COHORTS)
        mature_age = max(mature_age, int(np.argmax(newest >= MATURE)))
    cohorts = {
        first + row: (predictions.get(first + row, 0), int(table[row].sum()), int(closed[row]))
        for row in range(len(table))
    }
    return Maturity(today, horizon, arrived, mature_age, _coverage(cohorts, arrived), moved, cohorts)


def _arrived(table: IntVector, closed: IntVector, cohorts: int) -> FloatVector:
    """(ages,) by development factors: labels by age a over labels by age a - 1, of the newest cohorts closed at a."""
    ages = min(int(closed.max(initial=-1)) + 1, table.shape[1])
    if not table.any():
        return np.zeros(0)
    sums = np.cumsum(table, axis=1)
    share = np.ones(ages)
    for age in range(ages - 1, 0, -1):
        known = np.flatnonzero(closed >= age)[-cohorts:]
        before, after = int(sums[known, age - 1].sum()), int(sums[known, age].sum())
        share[age - 1] = share[age] * (min(1.0, before / after) if after > 0 else 1.0)
    return share


def _mature_age(arrived: FloatVector, horizon: int) -> int | None:
    """Unknown until cohorts have been watched for twice as long, or up to the horizon: labels may come later still."""
    if not len(arrived):
        return None
    age = int(np.argmax(arrived >= MATURE))
    return age if len(arrived) >= min(2 * age + 2, horizon - 2) else None


def _moved(table: IntVector, closed: IntVector) -> bool:
    """Two samples of ages, cut at every age that the newer cohorts can have in turn."""
    sums = np.cumsum(table, axis=1)
    for cut in range(1, min(table.shape[1], CURVE_COHORTS)):
        able = np.flatnonzero(closed >= cut)
        newer, older = able[-RECENT_COHORTS:], able[-RECENT_COHORTS - CURVE_COHORTS : -RECENT_COHORTS]
        now, before = sums[newer, : cut + 1].sum(axis=0), sums[older, : cut + 1].sum(axis=0)
        if not len(older) or now[-1] <= 0 or before[-1] <= 0:
            continue
        distance = float(np.abs(now / now[-1] - before / before[-1]).max())
        if distance > MOVED_DISTANCE + MOVED_Z * 0.5 * math.sqrt(1 / now[-1] + 1 / before[-1]):
            return True
    return False


def _coverage(cohorts: Mapping[int, tuple[int, int, int]], arrived: FloatVector) -> float | None:
    """Labels over the predictions whose labels could have come: each prediction weighs by the share of its age."""
    if not len(arrived):
        return None
    due = sum(rows * float(arrived[min(age, len(arrived) - 1)]) for rows, _, age in cohorts.values())
    return min(1.0, sum(labels for _, labels, _ in cohorts.values()) / due) if due > 0 else None
