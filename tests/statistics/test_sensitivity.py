"""The smallest shift that is found, against the detector itself on counts without noise."""

import math

import numpy as np
import pytest

from mlmon_sidecar.records import WEIGHT_UNIT
from mlmon_sidecar.statistics.edetector import Detector
from mlmon_sidecar.statistics.indicator_set import IndicatorBuilder, IndicatorSet
from mlmon_sidecar.statistics.sensitivity import minimum_detectable


def two_sided(share: float, h: float) -> IndicatorSet:
    builder = IndicatorBuilder(WEIGHT_UNIT, {"s": 1.0})
    builder.unit("s", "u", 1.0)
    builder.two_sided([0], [0, 1], share, h, 1.0)
    return builder.build()


def is_found(watched: IndicatorSet, share: float) -> bool:
    """In a hundred days of 1,000 requests an hour that hold exactly this share."""
    detector = Detector(watched)
    vector = np.rint(1000 * WEIGHT_UNIT * np.array([share, 1 - share])).astype(np.int64)
    state = detector.initial()
    for hour in range(2400):
        step = detector.step(state, vector, minute=60 * hour, hours=1.0)
        state = step.state
        if step.alarms:
            return True
    return False


@pytest.mark.parametrize(("share", "h"), [(0.5, 0.1), (0.3, 0.25), (0.1, 0.15), (0.9, 0.15)])
def test_a_little_more_is_found_and_a_little_less_is_not(share: float, h: float) -> None:
    watched = two_sided(share, h)
    ks = minimum_detectable(watched)[("s", "u")]
    away = 1 if share <= 0.5 else -1  # towards the middle a tolerance in angles is wider in shares
    assert is_found(watched, share + away * ks * 1.1)
    assert not is_found(watched, share + away * ks * 0.9)


def test_at_the_median_it_is_half_of_cohens_h() -> None:
    ks = minimum_detectable(two_sided(0.5, 0.1))[("s", "u")]
    assert ks == pytest.approx(math.sin((0.1 + 0.025) / 2) * math.cos((0.1 + 0.025) / 2), rel=1e-6)


def test_a_side_that_cannot_be_crossed_says_nothing() -> None:
    ks = minimum_detectable(two_sided(0.0, 0.2))[("s", "u")]
    assert 0 < ks == pytest.approx(math.sin(0.1 + 0.0125) ** 2)


def test_nothing_watched_is_an_empty_answer() -> None:
    assert minimum_detectable(IndicatorBuilder(WEIGHT_UNIT, {}).build()) == {}
