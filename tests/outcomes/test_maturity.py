"""What young cohorts will still gain, learned from the old ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlmon_sidecar.outcomes.maturity import LabelCount, Maturity, maturity
from mlmon_sidecar.outcomes.slices import closed_age

ROWS = 1_000


def known_on(today: int, share: list[float], coverage: float, *, horizon: int = 60, days: int = 60) -> Maturity:
    """Each cohort's labels come at the same ages; those of slices that are open today are a lie to be ignored."""
    slices = [
        LabelCount(day, age, round(ROWS * coverage * part) if age <= closed_age(day, today) else 500)
        for day in range(today - days, today)
        for age, part in enumerate(share)
        if age <= today - day
    ]
    return maturity(slices, dict.fromkeys(range(today - days, today), ROWS), today, horizon)


def geometric(mean: float, ages: int = 50) -> list[float]:
    edges = 1 - np.exp(-np.arange(ages + 1) / mean)
    return (np.diff(edges) / edges[-1]).tolist()


@given(st.floats(0.3, 6), st.floats(0.2, 1))
@settings(deadline=None, max_examples=25)
def test_the_delay_curve_and_the_final_coverage_are_found(mean: float, coverage: float) -> None:
    share = geometric(mean)
    found = known_on(1_000, share, coverage)
    truth = np.cumsum(share)
    seen = min(len(found.arrived), len(truth))
    assert found.arrived[:seen] == pytest.approx(truth[:seen], abs=0.02)
    assert found.coverage == pytest.approx(coverage, abs=0.02)
    assert found.mature_age == pytest.approx(int(np.argmax(truth >= 0.95)), abs=1)
    assert not found.moved


def test_a_cohort_is_mature_once_most_of_its_labels_are_in() -> None:
    found = known_on(1_000, [0.5, 0.3, 0.15, 0.05], 0.8)
    assert found.mature_age == 2
    assert [found.is_mature(day) for day in (995, 996, 997, 998, 999)] == [True, True, False, False, False]
    assert [round(found.share(day), 2) for day in (996, 997, 998, 999)] == [0.95, 0.8, 0.5, 0.0]


def test_nobody_knows_how_slow_labels_are_before_they_were_waited_for() -> None:
    assert known_on(1_000, geometric(3), 1.0, days=6).mature_age is None
    assert known_on(1_000, [1.0], 1.0, days=4).mature_age == 0
    assert known_on(1_000, [0.0] * 30 + [1.0], 1.0, days=25).mature_age is None
    nothing = maturity([], {}, 1_000, 60)
    assert (nothing.mature_age, nothing.coverage, nothing.share(990)) == (None, None, 0.0)
    assert nothing.is_mature(900), "past the horizon nothing is waited for"


def test_a_cohort_that_lacks_labels_is_waited_for_but_not_for_ever() -> None:
    today, share = 1_000, [0.5, 0.3, 0.15, 0.05]
    predictions = dict.fromkeys(range(940, today), ROWS)
    slices = [
        LabelCount(d, a, round(800 * p)) for d in range(940, today) for a, p in enumerate(share) if d not in (993, 996)
    ]
    found = maturity(slices, predictions, today, 60)
    assert not found.is_mature(996) and found.is_mature(995) and found.is_mature(993)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_another_speed_is_noticed_and_the_slower_one_is_waited_for(factor: float) -> None:
    today, change = 1_000, 985
    before, after = geometric(3), geometric(3 * factor)
    rng = np.random.default_rng(1)
    slices = [
        LabelCount(day, age, int(rng.poisson(ROWS * part)))
        for day in range(941, today)
        for age, part in enumerate(before if day < change else after)
        if age <= closed_age(day, today)
    ]
    found = maturity(slices, dict.fromkeys(range(941, today), ROWS), today, 60)
    assert found.moved
    steady = known_on(today, before, 1.0)
    assert steady.mature_age is not None and found.mature_age is not None
    assert found.mature_age >= steady.mature_age - 1
