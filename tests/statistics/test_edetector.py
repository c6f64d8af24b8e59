"""Simulations of the detector on seeded traffic, and the bound it rests on."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest

from mlmon_sidecar.errors import BaselineError, StoreError
from mlmon_sidecar.records import WEIGHT_UNIT
from mlmon_sidecar.statistics.components import components
from mlmon_sidecar.statistics.detector_state import DetectorState
from mlmon_sidecar.statistics.edetector import Detector, DetectorOptions, Step
from mlmon_sidecar.statistics.indicator_set import IndicatorBuilder, IndicatorSet
from mlmon_sidecar.statistics.indicators import indicators
from mlmon_sidecar.statistics.profile import UnitProfile

sys.path.insert(0, str(Path(__file__).parent))
from detector_traffic import normal_counts, normal_layout, normal_reference

TEN = normal_layout(10)


def detector(tau: float = 0.0, nulls: float = 0.0) -> Detector:
    return Detector(indicators(TEN, normal_reference(TEN, tau=tau, nulls=nulls)))


def run_hours(
    watcher: Detector,
    state: DetectorState,
    hours: range,
    seed: int,
    shift: dict[str, float] | None = None,
    rows: int = 1000,
    nulls: float = 0.0,
) -> tuple[DetectorState, list[tuple[int, Step]]]:
    """Hourly panes; steps that alarmed or closed something, with their hour."""
    rng, events = np.random.default_rng(seed), []
    for hour in hours:
        vector = normal_counts(TEN, rng, rows, shift, nulls)
        step = watcher.step(state, vector, minute=hour * 60, hours=1.0)
        state = step.state
        if step.alarms or step.closed:
            events.append((hour, step))
    return state, events


def one_indicator(share: float, h: float, deff: float = 1.0) -> IndicatorSet:
    builder = IndicatorBuilder(WEIGHT_UNIT, {"s": 1.0})
    builder.unit("s", "u", 1.0)
    builder.two_sided([0], [0, 1], share, h, deff)
    return builder.build()


@pytest.mark.parametrize("share", [0.0, 1e-6, 1e-4, 0.003, 0.02, 0.3, 0.5, 0.9, 0.999, 1.0])
@pytest.mark.parametrize("h", [0.1, 0.35, 1.2])
def test_expected_likelihood_ratio_is_at_most_one_inside_the_tolerance(share: float, h: float) -> None:
    """For one row, over the null region of every component; then for weights of 1/7 and clustering by Jensen."""
    watched = one_indicator(share, h)
    stakes = components(watched).stakes(watched)
    angle = math.asin(math.sqrt(share))
    for truth in np.sin(np.clip(np.linspace(angle - h / 2, angle + h / 2, 401), 0, math.pi / 2)) ** 2:
        expected = truth * np.exp(stakes.hit) + (1 - truth) * np.exp(stakes.miss)
        assert (expected <= 1 + 1e-12).all()
        seventh = (truth * np.exp(stakes.hit / 7) + (1 - truth) * np.exp(stakes.miss / 7)) ** 7
        assert (seventh <= 1 + 1e-12).all()


def test_every_component_grows_under_its_own_alternative() -> None:
    watched = one_indicator(0.3, 0.1)
    parts = components(watched)
    stakes = parts.stakes(watched)
    far = np.where(parts.rising, 0.95, 0.001)
    assert len(stakes.hit) == 10
    assert (far * stakes.hit + (1 - far) * stakes.miss > 0).all()


@pytest.mark.parametrize("share", [0.02, 0.3, 0.97])
@pytest.mark.parametrize("moved", [-1.2, -0.2, -0.01, 0.05, 0.3, 1.4])
def test_the_bound_holds_in_every_hour_of_a_profile(share: float, moved: float) -> None:
    """The null region moves with the profile; where a boundary leaves the scale nothing is gained or lost."""
    h, offsets = 0.15, [(0.0,)] * 23 + [(moved,)]
    builder = IndicatorBuilder(WEIGHT_UNIT, {"s": 1.0})
    builder.unit("s", "u", 1.0, UnitProfile(cells=(0,), hour=tuple(offsets)))
    builder.two_sided([0], [0, 1], share, h, 1.0)
    watched = builder.build()
    angle = math.asin(math.sqrt(share)) + moved
    stakes = components(watched).stakes(watched, 23)
    assert not np.array_equal(stakes.hit, components(watched).stakes(watched, 22).hit)
    for truth in np.sin(np.clip(np.linspace(angle - h / 2, angle + h / 2, 401), 0, math.pi / 2)) ** 2:
        expected = truth * np.exp(stakes.hit) + (1 - truth) * np.exp(stakes.miss)
        assert (expected <= 1 + 1e-12).all()


def test_sides_past_the_end_of_the_scale_are_left_out() -> None:
    assert components(one_indicator(0.0, 0.2)).rising.all()
    assert not components(one_indicator(1.0, 0.2)).rising.any()


def test_thirty_healthy_days_by_the_hour_raise_nothing() -> None:
    watcher = detector()
    state, events = run_hours(watcher, watcher.initial(), range(720), seed=5)
    assert events == []
    assert max(watcher.evidence(state).values()) < 0.5


def test_thirty_healthy_days_by_the_minute_raise_nothing() -> None:
    # A fifth of the traffic on two features keeps 43,200 panes affordable; evidence depends on requests, not panes.
    layout = normal_layout(2)
    watcher = Detector(indicators(layout, normal_reference(layout)))
    rng, state = np.random.default_rng(6), watcher.initial()
    for minute in range(30 * 1440):
        step = watcher.step(state, normal_counts(layout, rng, 3), minute=minute, hours=1 / 60)
        state = step.state
        assert not step.alarms


@pytest.mark.parametrize(("shift", "within"), [(1.0, 3), (0.5, 3), (-1.0, 3)])
def test_a_shift_is_found_soon_and_named(shift: float, within: int) -> None:
    watcher = detector()
    state, _ = run_hours(watcher, watcher.initial(), range(48), seed=7)
    _, events = run_hours(watcher, state, range(48, 48 + within), seed=8, shift={"x3": shift})
    alarm = events[0][1].alarms[0]
    assert (alarm.stream, alarm.units) == ("features", ("x3",))
    assert 47 * 60 <= alarm.onset[0] <= 48 * 60
    assert alarm.evidence[0] > 1


def test_a_large_shift_is_found_within_150_rows_arriving_one_a_minute() -> None:
    watcher, rng = detector(tau=0.08), np.random.default_rng(9)
    state = watcher.initial()
    for minute in range(3000):
        step = watcher.step(state, normal_counts(TEN, rng, 1), minute=minute, hours=1 / 60)
        state = step.state
        assert not step.alarms
    for minute in range(3000, 3150):
        step = watcher.step(state, normal_counts(TEN, rng, 1, {"x3": 1.3}), minute=minute, hours=1 / 60)
        state = step.state
        if step.alarms:
            break
    assert step.alarms[0].units == ("x3",)


def test_a_second_smaller_drift_is_named_while_the_first_is_held() -> None:
    watcher = detector()
    state, _ = run_hours(watcher, watcher.initial(), range(24), seed=10)
    state, first = run_hours(watcher, state, range(24, 60), seed=11, shift={"x1": 1.5})
    assert [step.alarms[0].units for _, step in first] == [("x1",)]
    state, second = run_hours(watcher, state, range(60, 72), seed=12, shift={"x1": 1.5, "x2": 0.4})
    assert [step.alarms[0].units for _, step in second] == [("x2",)]
    assert second[0][1].held == (("features", "x1"), ("features", "x2"))


def test_several_features_moving_together_are_named_together() -> None:
    watcher = detector()
    state, _ = run_hours(watcher, watcher.initial(), range(24), seed=13)
    _, events = run_hours(watcher, state, range(24, 26), seed=14, shift={"x1": 1.0, "x4": -1.0, "x7": 0.9})
    assert set(events[0][1].alarms[0].units) == {"x1", "x4", "x7"}


def test_recovery_closes_the_alarm_and_a_later_drift_is_found_again() -> None:
    watcher = detector()
    state, opened = run_hours(watcher, watcher.initial(), range(6), seed=15, shift={"x0": 1.0})
    assert opened[0][1].alarms[0].units == ("x0",)
    state, back = run_hours(watcher, state, range(6, 16), seed=16)
    assert [step.closed for _, step in back] == [(("features", "x0"),)]
    assert back[0][0] <= 9
    assert not state.held.any()
    assert watcher.evidence(state)[("features", "x0")] < 0.1
    _, again = run_hours(watcher, state, range(16, 20), seed=17, shift={"x0": 1.0})
    assert again[0][1].alarms[0].units == ("x0",)


def test_a_lasting_drift_stays_open_and_alarms_once() -> None:
    watcher = detector()
    _, events = run_hours(watcher, watcher.initial(), range(72), seed=18, shift={"x0": 0.5})
    assert len(events) == 1


def test_an_alarm_closes_no_sooner_than_an_hour_after_its_evidence_last_rose() -> None:
    watcher, rng, closed = detector(), np.random.default_rng(27), []
    state = watcher.initial()
    for minute in range(400):
        moved = {"x0": 1.0} if minute < 120 else {}
        step = watcher.step(state, normal_counts(TEN, rng, 300, moved), minute=minute, hours=1 / 60)
        state = step.state
        closed += [minute] if step.closed else []
    assert len(closed) == 1
    assert 179 <= closed[0] <= 190


def test_a_drift_that_only_moderates_stays_open() -> None:
    """.2 sigma is outside the tolerance of .12, though the evidence of 1 sigma before it is falling."""
    watcher = detector()
    state, _ = run_hours(watcher, watcher.initial(), range(6), seed=28, shift={"x0": 1.0})
    nats = watcher.evidence(state)[("features", "x0")]
    state, events = run_hours(watcher, state, range(6, 18), seed=29, shift={"x0": 0.2})
    assert watcher.evidence(state)[("features", "x0")] < nats
    assert events == []
    assert state.held.sum() == 1


def test_a_late_pane_from_before_the_trailing_window_is_not_counted_in_it() -> None:
    watcher = detector()
    state, _ = run_hours(watcher, watcher.initial(), range(3), seed=30, shift={"x0": 1.0})
    vector = normal_counts(TEN, np.random.default_rng(31), 100)
    late = watcher.step(state, vector, minute=1, hours=0.0).state
    present = watcher.step(state, vector, minute=2 * 60 + 1, hours=0.0).state
    assert np.array_equal(late.trailing_totals, state.trailing_totals)
    assert present.trailing_totals.sum() > state.trailing_totals.sum()


def test_nulls_rise_in_their_own_stream() -> None:
    watcher = detector(nulls=0.02)
    state, healthy = run_hours(watcher, watcher.initial(), range(48), seed=19, nulls=0.02)
    assert healthy == []
    _, events = run_hours(watcher, state, range(48, 52), seed=20, nulls=0.10)
    assert {alarm.stream for alarm in events[0][1].alarms} == {"nulls"}


def test_no_data_is_no_evidence_however_long_it_lasts() -> None:
    watcher = detector()
    state, _ = run_hours(watcher, watcher.initial(), range(24), seed=21)
    before, empty = state.log_m, np.zeros(TEN.size, np.int64)
    for hour in range(24, 24 + 2000):
        step = watcher.step(state, empty, minute=hour * 60, hours=1.0)
        state = step.state
        assert not step.alarms
    assert np.array_equal(state.log_m, before)


def test_a_trickle_never_fires_by_the_clock_alone() -> None:
    watcher, rng = detector(), np.random.default_rng(22)
    state = watcher.initial()
    for hour in range(4000):
        step = watcher.step(state, normal_counts(TEN, rng, hour % 2), minute=hour * 60, hours=1.0)
        state = step.state
        assert not step.alarms


def test_rows_of_one_request_count_as_one() -> None:
    """2,000 identical rows in one request are one observation."""
    watcher = detector()
    vector = normal_counts(TEN, np.random.default_rng(1), 0)
    for _, cells in TEN.numeric():
        vector[cells.alarm.stop - 1] = 2000 * (WEIGHT_UNIT // 2000)
    step = watcher.step(watcher.initial(), vector, minute=0, hours=1.0)
    assert max(step.evidence.values()) < 0.1


def test_a_late_pane_adds_evidence_but_no_time() -> None:
    watcher = detector()
    vector = normal_counts(TEN, np.random.default_rng(2), 1000, {"x0": 3.0})
    late = watcher.step(watcher.initial(), vector, minute=0, hours=0.0)
    assert np.isneginf(late.state.log_m).all()
    on_time = watcher.step(watcher.initial(), vector, minute=0, hours=1.0).state
    assert watcher.step(on_time, vector, minute=0, hours=0.0).state.log_m.max() > on_time.log_m.max()


def test_fewer_false_alarm_days_alarm_earlier() -> None:
    layout_set = indicators(TEN, normal_reference(TEN))
    vector = normal_counts(TEN, np.random.default_rng(3), 350, {"x0": 0.45})
    calm, eager = (Detector(layout_set, DetectorOptions(days)) for days in (900.0, 1.0))
    key = ("features", "x0")
    calm_step, eager_step = (w.step(w.initial(), vector, minute=0, hours=1.0) for w in (calm, eager))
    assert eager_step.evidence[key] > calm_step.evidence[key]


def test_a_notice_precedes_the_alarm() -> None:
    watcher, rng, seen = detector(), np.random.default_rng(23), []
    state = watcher.initial()
    for minute in range(600):
        step = watcher.step(state, normal_counts(TEN, rng, 10, {"x5": 0.6}), minute=minute, hours=1 / 60)
        state = step.state
        seen += ["notice"] if step.notices else []
        if step.alarms:
            seen.append("alarm")
            break
    assert seen[0] == "notice"
    assert seen[-1] == "alarm"


def test_equal_sequences_give_equal_bytes_and_the_old_state_is_untouched() -> None:
    watcher = detector()
    first, _ = run_hours(watcher, watcher.initial(), range(30), seed=24, shift={"x1": 0.8})
    kept = first.to_bytes()
    second, _ = run_hours(detector(), detector().initial(), range(30), seed=24, shift={"x1": 0.8})
    assert second.to_bytes() == kept
    assert second == first
    run_hours(watcher, first, range(30, 40), seed=25)
    assert first.to_bytes() == kept


def test_a_restart_between_panes_changes_nothing() -> None:
    watcher = detector()
    through, _ = run_hours(watcher, watcher.initial(), range(40), seed=26, shift={"x1": 0.8})
    rng, state = np.random.default_rng(26), watcher.initial()
    for hour in range(40):
        state = DetectorState.from_bytes(state.to_bytes())
        state = watcher.step(state, normal_counts(TEN, rng, 1000, {"x1": 0.8}), minute=hour * 60, hours=1.0).state
    assert state.to_bytes() == through.to_bytes()


@pytest.mark.parametrize("spoil", [lambda b: b[:-1], lambda b: b"X" + b[1:], lambda b: b"", lambda b: b + b"\0"])
def test_bytes_that_are_no_state_are_refused(spoil) -> None:  # type: ignore[no-untyped-def]
    data = detector().initial().to_bytes()
    with pytest.raises(StoreError, match="detector_state"):
        DetectorState.from_bytes(spoil(data))


def test_a_state_of_another_reference_is_refused() -> None:
    old, new = detector(), detector(tau=0.02)
    assert not new.accepts(old.initial())
    with pytest.raises(StoreError, match="another baseline"):
        new.step(old.initial(), np.zeros(TEN.size, np.int64), minute=0, hours=0.0)


def test_a_reference_of_another_layout_is_refused() -> None:
    with pytest.raises(BaselineError, match="layout_mismatch"):
        indicators(normal_layout(3), normal_reference(TEN))
