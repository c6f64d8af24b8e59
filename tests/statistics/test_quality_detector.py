"""The detector on labels: it finds what was lost, and is silent about what was not."""

import numpy as np

from mlmon_sidecar.statistics.edetector import Detector
from mlmon_sidecar.statistics.quality_detector import Part, counts, quality_indicators


def labels_until_alarm(share: float, seed: int, limit: int = 6000) -> tuple[str, ...]:
    """Units named within so many labels, 20 an hour, against a baseline of .9 on 5,000 rows, chance .5."""
    watcher = Detector(quality_indicators(Part(0.9, 5000, 0.5)))
    rng, state, named = np.random.default_rng(seed), watcher.initial(), []
    for hour in range(limit // 20):
        step = watcher.step(state, counts(int(rng.binomial(20, share)), 20), minute=hour * 60, hours=1.0)
        state = step.state
        named += [unit for alarm in step.alarms for unit in alarm.units]
    return tuple(named)


def test_unchanged_quality_never_alarms() -> None:
    assert [labels_until_alarm(0.9, seed) for seed in range(5)] == [()] * 5


def test_a_fall_past_every_tier_names_every_tier() -> None:
    assert set(labels_until_alarm(0.75, 1, limit=1200)) == {"p1", "p2", "p3"}


def test_a_small_fall_names_the_lowest_tier_only() -> None:
    assert set(labels_until_alarm(0.865, 2)) == {"p3"}


def test_quality_alarms_close_when_the_tier_is_regained() -> None:
    watcher = Detector(quality_indicators(Part(0.9, 5000, 0.5)))
    rng, state, closed = np.random.default_rng(3), watcher.initial(), set()
    for hour in range(400):
        share = 0.7 if hour < 60 else 0.9
        step = watcher.step(state, counts(int(rng.binomial(20, share)), 20), minute=hour * 60, hours=1.0)
        state = step.state
        closed |= {name for _, name in step.closed}
    assert closed == {"p1", "p2", "p3"}
    assert not state.held.any()


def test_a_baseline_no_better_than_chance_has_nothing_to_lose() -> None:
    watcher = Detector(quality_indicators(Part(0.5, 100, 0.5)))
    step = watcher.step(watcher.initial(), counts(0, 1000), minute=0, hours=1.0)
    assert (step.alarms, dict(step.evidence)) == ((), {})
