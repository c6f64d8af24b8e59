"""Columns of very many categories: healthy traffic brings values that the reference never saw, and that is no drift."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mlmon_sidecar.aggregate.panes import PaneBuilder
from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.records import MINUTE_NS
from mlmon_sidecar.statistics.edetector import Detector
from mlmon_sidecar.statistics.indicators import FEATURES, NEW, indicators

HOURS, ROWS = 15 * 24, 40


def uniform(rng: np.random.Generator, rows: int) -> list[str]:
    return [f"k{value}" for value in rng.integers(0, 10**6, rows)]


def zipf(rng: np.random.Generator, rows: int) -> list[str]:
    return [f"k{value}" for value in rng.zipf(1.3, rows)]


def built(draw: object, rng: np.random.Generator) -> Baseline:
    columns: dict[str, list[object]] = {
        "at": [hour * 60 * MINUTE_NS + row for hour in range(HOURS) for row in range(ROWS)],
        "shop": draw(rng, HOURS * ROWS),  # type: ignore[operator]
        "x": rng.normal(size=HOURS * ROWS).tolist(),
    }
    return build_baseline(
        columns, Roles(timestamp="at"), Purpose("m"), redact_category=lambda _name, token: token, policy="",
        created="2026-01-01T00:00:00Z",
    )  # fmt: skip


def alarms(baseline: Baseline, hours: list[list[str]], rng: np.random.Generator) -> set[tuple[str, str]]:
    detector = Detector(indicators(baseline.layout, baseline.reference))
    state, found = detector.initial(), set()
    for hour, shops in enumerate(hours, start=HOURS):
        builder = PaneBuilder(baseline.layout, lambda _name, token: token)
        columns = {"shop": shops, "x": rng.normal(size=len(shops)).tolist()}
        builder.add_batch(batch_from_columns("m", now_ns=0, features=columns, options=DecodeOptions("m")))
        (pane,) = builder.take()
        vector: NDArray[np.int64] = pane.vector
        step = detector.step(state, vector, minute=60 * hour, hours=1.0)
        state = step.state
        found |= {(alarm.stream, unit) for alarm in step.alarms for unit in alarm.units}
    return found


@pytest.mark.parametrize("draw", [uniform, zipf])
def test_values_that_nobody_saw_are_no_drift_where_they_are_usual(draw: object) -> None:
    rng = np.random.default_rng(4)
    baseline = built(draw, rng)
    assert baseline.reference.new_rate["shop"] > 0.04, "else the test shows nothing"
    assert alarms(baseline, [draw(rng, ROWS) for _ in range(10 * 24)], rng) == set()  # type: ignore[operator]


def test_values_that_nobody_saw_are_drift_where_they_take_the_place_of_frequent_ones() -> None:
    rng = np.random.default_rng(5)
    baseline = built(zipf, rng)
    found = alarms(baseline, [uniform(rng, ROWS // 2) + zipf(rng, ROWS // 2) for _ in range(3 * 24)], rng)
    assert {(FEATURES, "shop"), (NEW, "shop")} <= found
