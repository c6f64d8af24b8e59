"""Rhythm of healthy data: learned where it helps, and taken into account where it was learned."""

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mlmon_sidecar.baseline.document import Baseline
from mlmon_sidecar.errors import BaselineError
from mlmon_sidecar.records import WEIGHT_UNIT
from mlmon_sidecar.statistics.edetector import Detector
from mlmon_sidecar.statistics.indicator_set import IndicatorBuilder, IndicatorSet
from mlmon_sidecar.statistics.indicators import indicators
from mlmon_sidecar.statistics.layout import Layout, NumericFeature, PredictionSpace
from mlmon_sidecar.statistics.profile import UnitProfile, slot_of
from mlmon_sidecar.statistics.profile_fit import Hours, Parts, learn_profile
from mlmon_sidecar.statistics.reference import Reference

MONDAY = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) // 3600
WEEKS = np.arange(MONDAY, MONDAY + 28 * 24)
ANGLE = math.asin(math.sqrt(0.3))
DAILY = 0.1 * np.sin(2 * np.pi * np.arange(24) / 24)  # radians
CELLS = (1,)


def hours(angle: np.ndarray, seed: int, rows: int = 1000, tau: float = 0.0) -> Hours:
    n = np.full((len(WEEKS), 1), float(rows))
    x = np.random.default_rng(seed).binomial(rows, np.sin(angle)[:, None] ** 2).astype(float)
    return Hours(WEEKS, x, n, np.array([ANGLE]), 1.0, tau)


def is_weekend(hour: int) -> bool:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=hour)).weekday() >= 5


def test_slots_are_those_of_the_calendar() -> None:
    for hour in [*range(200), *range(MONDAY, MONDAY + 400)]:
        assert slot_of(hour) == hour % 24 + 24 * is_weekend(hour)
    assert slot_of(WEEKS).tolist() == [slot_of(int(hour)) for hour in WEEKS]


def test_a_daily_rhythm_is_recovered_and_no_weekend_is_invented() -> None:
    fit = learn_profile(hours(ANGLE + DAILY[WEEKS % 24], seed=1))
    assert fit.parts == Parts(hour=True, weekend=False)
    error = 1 / math.sqrt(4 * 1000 * 28)
    assert np.abs(fit.level + fit.hour[:, 0] - DAILY).max() < 4 * error


def test_a_weekend_is_recovered_beside_a_daily_rhythm() -> None:
    weekend = np.array([is_weekend(int(hour)) for hour in WEEKS])
    fit = learn_profile(hours(ANGLE + DAILY[WEEKS % 24] - 0.1 * weekend, seed=2))
    assert fit.parts == Parts(hour=True, weekend=True)
    assert fit.weekend[0, 0] - fit.weekend[1, 0] == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("rho", [0.0, 0.9])
def test_what_is_no_rhythm_is_not_learned(seed: int, rho: float) -> None:
    rng, level = np.random.default_rng(100 + seed), np.zeros(len(WEEKS))
    for at in range(1, len(level)):
        level[at] = rho * level[at - 1] + math.sqrt(1 - rho**2) * rng.normal()
    seen = hours(ANGLE + 0.04 * level, seed, tau=0.08)
    assert learn_profile(seen).parts == Parts()


def test_hours_without_rows_stay_at_the_reference() -> None:
    by_day = WEEKS % 24 >= 6
    seen = hours(ANGLE + DAILY[WEEKS % 24], seed=3).only(by_day)
    fit = learn_profile(seen)
    assert fit.parts.hour
    assert not fit.hour[:6].any()
    assert np.ptp(fit.hour[6:]) == pytest.approx(0.2, abs=0.02)


def watched(profile: UnitProfile | None) -> IndicatorSet:
    builder = IndicatorBuilder(WEIGHT_UNIT, {"s": 1.0})
    builder.unit("s", "u", 1.0, profile)
    builder.two_sided([1], [0, 1], 0.3, 0.1, 1.0)
    return builder.build()


def daily(moved: float = 0.0) -> dict[int, np.ndarray]:
    """Counts of each hour of a day, exactly as expected; ``moved`` radians off."""
    share = np.sin(ANGLE + DAILY + moved) ** 2
    return {hour: np.rint(1000 * WEIGHT_UNIT * np.array([1 - p, p])).astype(np.int64) for hour, p in enumerate(share)}


PROFILE = UnitProfile(cells=CELLS, hour=tuple((float(offset),) for offset in DAILY))


def test_a_known_rhythm_is_no_drift_and_an_unknown_one_is() -> None:
    counts = daily()
    for profile, alarmed in ((PROFILE, False), (None, True)):
        detector, seen = Detector(watched(profile)), False
        state = detector.initial()
        for hour in range(7 * 24):
            step = detector.step(state, counts[hour % 24], minute=hour * 60, hours=1.0)
            state, seen = step.state, seen or bool(step.alarms)
        assert seen == alarmed


def test_a_drift_on_top_of_a_rhythm_is_found_and_closes_when_the_rhythm_is_back() -> None:
    detector, healthy, moved = Detector(watched(PROFILE)), daily(), daily(0.15)
    state, alarms, closed = detector.initial(), [], []
    for hour in range(72):
        counts = moved if 24 <= hour < 30 else healthy
        step = detector.step(state, counts[hour % 24], minute=hour * 60, hours=1.0)
        state = step.state
        alarms += [hour] if step.alarms else []
        closed += [hour] if step.closed else []
    assert len(alarms) == len(closed) == 1
    assert 24 <= alarms[0] <= 26
    assert 30 <= closed[0] <= 34


def test_states_are_not_exchanged_between_profiles_and_bytes_stay_without_one() -> None:
    assert watched(PROFILE).signature != watched(None).signature
    assert watched(UnitProfile()).signature == watched(None).signature


def test_a_profile_of_cells_that_are_not_watched_moves_nothing() -> None:
    assert watched(replace(PROFILE, cells=(7,))).offsets.shape == (0, 1)


def test_parameters_widen_the_tolerance() -> None:
    layout = Layout("m", (NumericFeature("x", (0.0,), (0,), -3.0, 3.0, 0.0, 1.0),), PredictionSpace("none"))
    cells = layout.cells["x"].alarm
    vector = np.zeros(layout.size, np.int64)
    vector[cells] = 5000 * WEIGHT_UNIT
    plain = Reference(layout.hash, "v", vector, tau={"*": 0.0})
    profile = UnitProfile((cells.start,), ((0.0,),) * 24, ((0.0,),) * 2)
    assert indicators(layout, plain).tolerance[0] == pytest.approx(0.1 + 3 * math.sqrt(1 / 10_000))
    found = indicators(layout, replace(plain, profile={"x": profile}))
    assert found.tolerance[0] == pytest.approx(0.1 + 3 * math.sqrt(25 / 10_000))


def test_a_profile_travels_in_the_baseline_document() -> None:
    layout = Layout("m", (), PredictionSpace("none"))
    weekend = ((0.01,), (-0.02,))
    reference = Reference(
        layout.hash, "v", np.zeros(layout.size, np.int64), profile={"x": replace(PROFILE, weekend=weekend)}
    )
    document = json.loads(json.dumps(Baseline(layout, reference).to_document()))
    assert Baseline.from_document(document).reference.profile == reference.profile
    document["reference"]["profile"]["x"]["hour"].pop()
    with pytest.raises(BaselineError, match="baseline_invalid"):
        Baseline.from_document(document)
