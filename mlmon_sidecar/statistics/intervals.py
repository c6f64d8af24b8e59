"""Intervals of shares."""

from __future__ import annotations

import math

Z95 = 1.959963984540054


def wilson(hits: float, total: float, z: float = Z95) -> tuple[float, float]:
    """Score interval of a share (Wilson, JASA 22, 1927). ``total`` > 0, ``0 <= hits <= total``.

    >>> tuple(round(bound, 4) for bound in wilson(8, 10))
    (0.4902, 0.9433)
    """
    share = hits / total
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    middle, scale = share + z * z / (2 * total), 1 + z * z / total
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def arcsine(hits: float, total: float, z: float = Z95) -> tuple[float, float]:
    """Interval of a share on the variance-stabilising scale: ``asin(sqrt(p)) +- z / (2 sqrt(n))``, clipped.

    >>> tuple(round(bound, 4) for bound in arcsine(50, 100))
    (0.4026, 0.5974)
    """
    angle, reach = math.asin(math.sqrt(hits / total)), z / (2 * math.sqrt(total))
    return math.sin(max(0.0, angle - reach)) ** 2, math.sin(min(math.pi / 2, angle + reach)) ** 2


def f1_interval(true_positive: float, false: float, z: float = Z95) -> tuple[float, float]:
    """Interval of F1 through J = TP / (TP + FP + FN), a plain share: F1 = 2 J / (1 + J).

    ``false`` is FP + FN; not both arguments 0.
    """
    low, high = (2 * j / (1 + j) for j in wilson(true_positive, true_positive + false, z))
    return low, high
