"""Dependence that changes while every feature stays as it was."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.stats import ks_2samp

from mlmon_sidecar.aggregate.panes import PaneBuilder
from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.checks import CHECKS, CheckContext
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.records import Finding, Tier, Window
from mlmon_sidecar.statistics.edetector import Detector
from mlmon_sidecar.statistics.indicators import FEATURES, JOINT, STREAM_WEIGHT, indicators, stream_weights

ROWS = 300


def columns(seed: int, rows: int, rho: float, shift: float = 0.0) -> dict[str, list[object]]:
    """age and income correlated by rho, height by itself; all standard normal."""
    rng = np.random.default_rng(seed)
    age, own, height = rng.normal(size=(3, rows))
    income = rho * age + np.sqrt(1 - rho**2) * own
    return {"age": (age + shift).tolist(), "income": income.tolist(), "height": height.tolist()}


@cache
def baseline() -> Baseline:
    return build_baseline(
        columns(1, 8000, 0.8), Roles(), Purpose("m"), redact_category=lambda _column, token: token, policy="",
        created="2026-01-01T00:00:00Z",
    )  # fmt: skip


def contexts(hours: int, rho: float, shift: float = 0.0, seed: int = 100) -> Iterator[CheckContext]:
    layout, reference = baseline().layout, baseline().reference
    detector = Detector(indicators(layout, reference))
    state = detector.initial()
    for hour in range(hours):
        made = columns(seed + hour, ROWS, rho, shift)
        builder = PaneBuilder(layout, lambda _column, token: token)
        builder.add_batch(batch_from_columns("m", now_ns=0, features=made, options=DecodeOptions("m")))
        (pane,) = builder.take()
        step = detector.step(state, pane.vector, minute=60 * hour, hours=1.0)
        state = step.state
        window = Window("m", 60 * hour, 60 * hour + 60, pane.vector)
        yield CheckContext("m", 60 * hour, layout, reference, step, recent={"1h": window})


def told(made: Iterator[CheckContext], rule: str = "joint_drift") -> list[Finding]:
    return [finding for context in made for finding in CHECKS[rule].evaluate(context)]


def test_what_goes_together_as_it_did_is_silent() -> None:
    assert told(contexts(24, 0.8)) == []


@pytest.mark.parametrize("rho", [-0.8, 0.0, 0.99])
def test_another_correlation_is_found_though_no_feature_moved(rho: float) -> None:
    for name, values in columns(7, 4000, rho).items():
        assert ks_2samp(values, columns(8, 4000, 0.8)[name]).pvalue > 0.001  # type: ignore[call-overload]
    found = told(contexts(6, rho))
    assert found and found[0].minute <= 2 * 60
    assert "age" in found[0].summary and "income" in found[0].summary and "height" not in found[0].summary
    assert found[0].tier is Tier.P3
    assert told(contexts(6, rho), "feature_drift") == []


def test_the_finding_says_what_went_with_what() -> None:
    finding = next(f for f in told(contexts(6, -0.8)) if {"age", "income"} & set(f.features))
    name = next(iter(set(finding.features) & {"age", "income"}))
    other = "income" if name == "age" else "age"
    assert f"{name} no longer goes with {other} as it did (KS 0." in finding.summary
    said = finding.details["joint"][name]
    assert said["members"] == [other]
    assert sum(said["current_bins"]) == said["rows"] == ROWS
    assert said["ks"] == finding.value or said["ks"] < finding.value  # type: ignore[operator]
    assert said["onset_minute"] < finding.minute + 1


def test_where_a_feature_drifted_itself_that_alone_is_told() -> None:
    made = list(contexts(12, 0.8, shift=1.0))
    assert told(iter(made), "feature_drift")[0].features == ("age",)
    assert told(iter(made)) == []
    assert any(alarm.stream == JOINT for context in made for alarm in context.step.alarms)  # type: ignore[union-attr]


def test_it_never_counts_as_a_feature() -> None:
    for context in contexts(6, -0.8):
        assert all(alarm.stream != FEATURES for alarm in context.step.alarms)  # type: ignore[union-attr]
        assert not context.open_features


def test_dependence_takes_its_part_out_of_the_features_budget_alone() -> None:
    weights = stream_weights(baseline().layout)
    assert sum(weights.values()) == pytest.approx(sum(STREAM_WEIGHT.values()))
    assert weights[FEATURES] == pytest.approx(0.27) and weights[JOINT] == 0.03
    assert stream_weights(replace(baseline().layout, joint=None)) == STREAM_WEIGHT
