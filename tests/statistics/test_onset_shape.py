"""Steps and ramps whose truth is known, as a detector's indicators see them hour by hour."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from detector_traffic import normal_counts, normal_layout, normal_reference

from mlmon_sidecar.statistics.indicators import FEATURES, indicators
from mlmon_sidecar.statistics.onset_shape import Shape, hourly_effects, shape_of

ONSET = 500_000  # Unix hour
LAYOUT = normal_layout(1)
WATCHED = indicators(LAYOUT, normal_reference(LAYOUT))
UNIT = WATCHED.index[(FEATURES, "x0")]
SEEDS = range(20)
WANDER = 0.05  # sigma; hourly, correlated .9


def seen(
    seed: int, shift: list[float], *, before: int = 24, rows: int = 500, wander: float = 0.0, tau: float = 0.02
) -> Shape | None:
    """What is said after the hours of ``shift`` (sigma); ``before`` is how many healthy ones are known."""
    rng, level, hours = np.random.default_rng(seed), 0.0, {}
    for at, moved in enumerate([0.0] * before + shift, start=ONSET - before):
        level = 0.9 * level + np.sqrt(1 - 0.81) * rng.normal()
        hours[at] = normal_counts(LAYOUT, rng, rows, {"x0": moved + wander * level})
    return shape_of(*hourly_effects(WATCHED, UNIT, tau, hours, ONSET * 60 - 1))


def kinds(shift: list[float], **how: float) -> list[str | None]:
    found = [seen(seed, shift, **how) for seed in SEEDS]  # type: ignore[arg-type]
    return [None if shape is None else shape.kind for shape in found]


@pytest.mark.parametrize("sigma", [0.5, -0.5, 1.0])
def test_a_step_is_called_a_step_within_hours(sigma: float) -> None:
    assert kinds([sigma] * 6) == ["step"] * len(SEEDS)
    found = seen(1, [sigma] * 6)
    assert found is not None and found.since_hour == ONSET and found.nats > 4


def test_a_ramp_is_called_a_ramp() -> None:
    assert kinds([0.02 * hour for hour in range(48)]) == ["ramp"] * len(SEEDS)
    found = seen(1, [0.02 * hour for hour in range(48)])
    assert found is not None and abs(found.since_hour - ONSET) < 8


def test_a_ramp_that_began_before_all_known_hours_is_one() -> None:
    assert kinds([0.3 + 0.003 * hour for hour in range(168)], before=0) == ["ramp"] * len(SEEDS)


def test_a_step_that_began_before_all_known_hours_is_one() -> None:
    found = kinds([0.4] * 48, before=0)
    assert found.count("step") >= 0.8 * len(SEEDS) and "ramp" not in found


def test_one_hour_has_no_shape() -> None:
    assert kinds([1.0]) == [None] * len(SEEDS)


def test_what_is_no_drift_has_no_shape() -> None:
    assert kinds([0.0] * 24) == [None] * len(SEEDS)


@pytest.mark.parametrize(("shift", "wrong"), [([0.5] * 24, "ramp"), ([0.02 * h for h in range(48)], "step")])
def test_wander_that_is_known_makes_it_silent_rather_than_wrong(shift: list[float], wrong: str) -> None:
    found = kinds(shift, wander=WANDER, tau=0.05)
    assert found.count(wrong) == 0
    assert found.count(None) <= len(SEEDS) / 4


def test_hours_with_few_requests_do_not_count() -> None:
    assert seen(1, [1.0] * 6, rows=10) is None
