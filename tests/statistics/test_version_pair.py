"""Versions that are alike give the detector one half; versions that differ do not. Against scipy, and in simulation."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from mlmon_sidecar.records import WEIGHT_UNIT
from mlmon_sidecar.statistics.edetector import Detector
from mlmon_sidecar.statistics.indicators import BUDGET_RESERVE, FEATURES, NULLS, PREDICTIONS, SERVICE, indicators
from mlmon_sidecar.statistics.layout import CategoricalFeature, Layout, NumericFeature, PredictionSpace
from mlmon_sidecar.statistics.profile import UnitProfile
from mlmon_sidecar.statistics.reference import Reference
from mlmon_sidecar.statistics.version_pair import VERSIONS_SHARE, VersionPair, version_pair

LAYOUT = Layout(
    "m",
    (
        NumericFeature("x", (-1.0, 0.0, 1.0), (0, 1, 2), -3.0, 3.0, 0.0, 1.0),
        CategoricalFeature("town", ("A", "B"), alarm=2),
    ),
    PredictionSpace("binary", ("no", "yes"), "yes", (0.25, 0.5, 0.75), (1,), 0.5, 0.25),
)


def vector(rng: np.random.Generator, requests: int, *, high: float = 0.5, errors: float = 0.001) -> np.ndarray:
    """``high``: share of scores above the alarm edge."""
    counted = np.zeros(LAYOUT.size, np.int64)
    cells, outputs = LAYOUT.traffic, LAYOUT.outputs
    counted[cells.rows] = counted[cells.requests] = requests
    counted[cells.rows + 1] = requests * WEIGHT_UNIT
    above = rng.binomial(requests, high)
    counted[outputs.score_alarm] = np.array([requests - above, above]) * WEIGHT_UNIT
    counted[cells.server_error] = rng.binomial(requests, errors)
    for feature in LAYOUT.features:
        span = LAYOUT.cells[feature.name].alarm
        width = span.stop - span.start
        counted[span] = rng.multinomial(requests, np.full(width, 1 / width)) * WEIGHT_UNIT
    return counted


REFERENCE = Reference(LAYOUT.hash, "v0", vector(np.random.default_rng(0), 8_000), hours=800, tau={"*": 0.03})
PAIR = version_pair(LAYOUT, REFERENCE)


def position(pair: VersionPair, stream: str, name: str) -> int:
    """Of the first share of a unit."""
    unit = pair.indicators.index[(stream, name)]
    return int(pair.indicators.hits.cells[pair.indicators.unit_starts[unit]]) % pair.size


def z_of(pair: VersionPair, given: np.ndarray, at: int) -> float:
    """How many standard errors the share lies above one half."""
    total = given[2 * pair.size + at]
    n = total / WEIGHT_UNIT
    return float((given[at] / total - 0.5) * 2 * np.sqrt(n))


def test_the_difference_in_standard_errors_is_that_of_two_proportions() -> None:
    at = position(PAIR, PREDICTIONS, "score")
    rng = np.random.default_rng(1)
    for requests, high in ((100, 0.5), (1_000, 0.55), (5_000, 0.48)):
        new, old = vector(rng, requests, high=high), vector(rng, 900)
        given, used = PAIR.together(PAIR.shares(new), PAIR.shares(old))
        assert used[at]
        cells = LAYOUT.outputs.score_alarm
        table = np.stack([new[cells], old[cells]]) // WEIGHT_UNIT
        chi = stats.chi2_contingency(table, correction=False).statistic
        assert abs(z_of(PAIR, given, at)) == pytest.approx(np.sqrt(chi), abs=0.05)


def test_too_few_requests_or_hits_wait() -> None:
    rng = np.random.default_rng(2)
    few, many = PAIR.shares(vector(rng, 19)), PAIR.shares(vector(rng, 900))
    given, used = PAIR.together(few, many)
    assert not used.any()
    assert not given.any()
    errors = position(PAIR, SERVICE, "errors")
    assert not PAIR.together(PAIR.shares(vector(rng, 100, errors=0.0)), many)[1][errors]
    assert PAIR.together(PAIR.shares(vector(rng, 1_000, errors=0.05)), many)[1][errors]


def test_against_days_before_their_requests_and_the_wander_are_tolerated() -> None:
    """The boundary lies where ``indicators`` puts it for a reference of as many requests."""
    at, old = position(PAIR, PREDICTIONS, "score"), np.zeros(48)
    before = vector(np.random.default_rng(3), 8_000)
    requests = int(before[LAYOUT.outputs.score_alarm].sum()) / WEIGHT_UNIT
    share = float(before[LAYOUT.outputs.score_alarm][0]) / (requests * WEIGHT_UNIT)
    slack = 3 * np.sqrt(1 / requests + REFERENCE.tau["*"] ** 2)
    limit = np.sin(np.arcsin(np.sqrt(share)) + (0.10 + slack) / 2) ** 2  # of the share below the edge
    new = vector(np.random.default_rng(4), 1_000)
    new[LAYOUT.outputs.score_alarm] = np.rint(np.array([limit, 1 - limit]) * 1_000_000 * WEIGHT_UNIT).astype(np.int64)
    given, used = PAIR.after(PAIR.shares(new), PAIR.shares(before), 0, old)
    assert used[at]
    share = given[at] / given[2 * PAIR.size + at]
    assert share == pytest.approx(np.sin(np.pi / 4 + 0.05) ** 2, abs=1e-4)  # just at the boundary of .10


def test_units_and_their_budget() -> None:
    assert {unit.name for unit in PAIR.indicators.units if unit.stream == FEATURES} == {"x", "town"}
    assert {unit.name for unit in PAIR.indicators.units if unit.stream == NULLS} == {"x", "town"}
    assert {unit.name for unit in PAIR.indicators.units if unit.stream == PREDICTIONS} == {
        "score", "class", "confidence",
    }  # fmt: skip
    assert sum(PAIR.indicators.stream_weight.values()) * 4 == pytest.approx(VERSIONS_SHARE)
    assert VERSIONS_SHARE <= BUDGET_RESERVE
    bare = version_pair(Layout.bare("m"), None)
    assert {unit.stream for unit in bare.indicators.units if unit.stream != PREDICTIONS} == {SERVICE}
    assert not any(unit.stream == SERVICE for unit in version_pair(LAYOUT, None, service=False).indicators.units)


@pytest.mark.parametrize("requests", [(30, 270), (100, 900), (1_000, 1_000), (2_000, 50)])
def test_alike_versions_stay_far_below_the_line(requests: tuple[int, int]) -> None:
    """Sixty days of hours, each share's evidence on average at most the hours: M grows no faster than time."""
    rng, detector = np.random.default_rng(sum(requests)), Detector(PAIR.indicators)
    state, alarms = detector.initial(), 0
    for hour in range(60 * 24):
        given, _ = PAIR.together(PAIR.shares(vector(rng, requests[0])), PAIR.shares(vector(rng, requests[1])))
        step = detector.step(state, given, minute=hour * 60, hours=1.0)
        state, alarms = step.state, alarms + len(step.alarms)
    assert alarms == 0
    assert max(step.evidence.values()) < 0.5


def test_a_profile_is_taken_out_of_hours_that_are_compared_with_days() -> None:
    watched = indicators(LAYOUT, REFERENCE)
    unit = watched.index[(PREDICTIONS, "score")]
    cell = int(watched.last_hit[watched.unit_starts[unit]])
    hourly = UnitProfile((cell,), tuple((0.1 if hour >= 12 else -0.1,) for hour in range(24)))
    pair = version_pair(LAYOUT, replace(REFERENCE, profile={"@predictions:score": hourly}, tau={"*": 0.0}))
    at, before = position(pair, PREDICTIONS, "score"), np.full(48, 10.0)
    rng = np.random.default_rng(5)
    share = np.sin(np.pi / 4 + 0.1) ** 2  # below the edge, as the afternoon has it
    new, old = vector(rng, 1_000, high=1 - share), vector(rng, 100_000)
    afternoon, _ = pair.after(pair.shares(new), pair.shares(old), 15, before)
    morning, _ = pair.after(pair.shares(new), pair.shares(old), 3, before)
    assert abs(z_of(pair, afternoon, at)) < 3
    assert z_of(pair, morning, at) > 5
