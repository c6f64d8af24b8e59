"""What people said of a language model's answers: the share of thumbs up, and the mean of scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mlmon_sidecar.statistics.intervals import Z95, wilson

UP = frozenset({"up", "thumbs_up", "thumbsup", "👍", "positive", "helpful", "good", "like", "true", "yes"})
DOWN = frozenset({"down", "thumbs_down", "thumbsdown", "👎", "negative", "unhelpful", "bad", "dislike", "false", "no"})


@dataclass(frozen=True, slots=True)
class Ratings:
    """A rate or mean is None without labels of its sort; intervals are 95 %.

    Attributes:
        up: labels that say yes, by one of ``UP``; ``down`` by one of ``DOWN``.
        scores: labels that are a finite number.
        other: anything else.
    """

    up: int
    down: int
    scores: int
    other: int
    up_rate: float | None = None
    up_interval: tuple[float, float] | None = None
    mean: float | None = None
    mean_interval: tuple[float, float] | None = None


def ratings_of(labels: Mapping[str, int]) -> Ratings:
    """Of counts by label text; none negative.

    >>> found = ratings_of({"up": 3, "down": 1, "4": 2, "5": 2})
    >>> found.up_rate, found.mean
    (0.75, 4.5)
    """
    up = down = other = 0
    scored: dict[float, int] = {}
    for label, count in labels.items():
        word, number = label.strip().lower(), _number(label)
        if word in UP:
            up += count
        elif word in DOWN:
            down += count
        elif number is not None:
            scored[number] = scored.get(number, 0) + count
        else:
            other += count
    scores, mean, around = _mean(scored)
    rate = up / (up + down) if up + down else None
    return Ratings(up, down, scores, other, rate, wilson(up, up + down) if up + down else None, mean, around)


def _mean(scored: Mapping[float, int]) -> tuple[int, float | None, tuple[float, float] | None]:
    """(labels, mean, interval): normal, by the spread of the scores; two labels or more have one."""
    rows = sum(scored.values())
    if not rows:
        return 0, None, None
    mean = math.fsum(score * count for score, count in scored.items()) / rows
    if rows < 2:
        return rows, mean, None
    squares = math.fsum(count * (score - mean) ** 2 for score, count in scored.items())
    reach = Z95 * math.sqrt(squares / (rows - 1) / rows)
    return rows, mean, (mean - reach, mean + reach)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
