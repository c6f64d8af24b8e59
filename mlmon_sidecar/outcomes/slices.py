"""Labelled predictions in slices that each count once.

A slice is (prediction day, label age). It closes when no label of its age can be observed any more: predictions of day
d are made until d + 1, and a label of age a is observed less than a + 1 days later.
"""

from __future__ import annotations


def closing_day(day: int, age: int) -> int:
    """The first Unix day on which slice (day, age) cannot grow by event time."""
    return day + age + 2


def closed_age(day: int, today: int) -> int:
    """The oldest age of predictions of ``day`` that is complete on the Unix day ``today``; below 0: none."""
    return today - day - 2
