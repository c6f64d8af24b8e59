"""Alarms on estimated quality, simulated: how often they are false, and how soon harder inputs are found.

    python benchmarks/estimate_alarms.py                 # 200 seeds a scenario

Scores are calibrated: a prediction with score s is positive with probability s. Days of predictions pass through the
hub's own ``EstimateWatch`` and its check. Each seed draws its own baseline and learns its calibration from one half of
it. What the inputs are like wanders from day to day.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlmon_sidecar.baseline.document import Baseline
from mlmon_sidecar.checks.context import CheckContext
from mlmon_sidecar.checks.estimate_drop import EstimateDrop
from mlmon_sidecar.hub.estimate_watch import EstimateWatch
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.records import WEIGHT_UNIT
from mlmon_sidecar.statistics.calibration import calibrate
from mlmon_sidecar.statistics.layout import Layout, PredictionSpace
from mlmon_sidecar.statistics.reference import Reference

EDGES = tuple(np.linspace(0.005, 0.995, 199).tolist())
LAYOUT = Layout("m", (), PredictionSpace("binary", ("no", "yes"), "yes", EDGES, (50, 100, 150), threshold=0.5))
WANDER = 0.02  # in Cohen's h, as the baseline knows it


@dataclass(frozen=True)
class Scenario:
    """``spread``: of the scores' log-odds around their center; smaller ones are harder to judge."""

    name: str
    wanted: str
    metric: str
    per_day: int
    baseline_rows: int
    center: float = 0.0
    spread: float = 3.0
    after: float = 3.0
    change_day: int = 10_000
    days: int = 60
    wander: float = 0.05  # of center and ln(spread) from day to day


SCENARIOS = [
    Scenario("no change, 2,000 a day, accuracy", "<= 1%", "accuracy", 2_000, 10_000),
    Scenario("no change, 2,000 a day, F1, 5% positive", "<= 1%", "f1", 2_000, 10_000, center=-6.0),
    Scenario("no change, 24,000 a day, accuracy", "<= 1%", "accuracy", 24_000, 50_000),
    Scenario("no change, baseline of 1,000 rows", "<= 1%", "accuracy", 2_000, 1_000),
    Scenario("inputs half as clear", "found", "accuracy", 2_000, 10_000, after=1.5, change_day=20, days=50),
    Scenario("the same, F1, 5% positive", "found", "f1", 2_000, 10_000, -6.0, after=1.5, change_day=20, days=50),
]


def simulate(scenario: Scenario, seed: int) -> int | None:
    """The day of the first alarm."""
    rng = np.random.default_rng(seed)
    score = draw(rng, scenario, scenario.baseline_rows, scenario.spread, 0.0)
    actual = rng.random(len(score)) < score
    half = rng.random(len(score)) < 0.5
    bins = np.searchsorted(EDGES, score)
    rows, hits = (np.bincount(bins[chosen], minlength=len(EDGES) + 1) for chosen in (half, half & actual))
    confusion = np.bincount(2 * actual + (score >= 0.5), minlength=4).reshape(2, 2)
    reference = Reference(
        LAYOUT.hash, "v", vector(score), tau={"*": WANDER}, calibration=tuple(calibrate(hits, rows).tolist()),
        calibration_rows=int(rows.sum()), confusion=tuple(map(tuple, confusion.tolist())),
    )  # fmt: skip
    watch = EstimateWatch(ModelPlan("m", LAYOUT, Baseline(LAYOUT, reference), metric=scenario.metric), None)
    check = EstimateDrop()
    for day in range(scenario.days):
        spread = scenario.after if day >= scenario.change_day else scenario.spread
        view = watch.take(day, vector(draw(rng, scenario, scenario.per_day, spread, scenario.wander)), "")
        if check.evaluate(CheckContext("m", (day + 1) * 1440, LAYOUT, estimate=view)):
            return day
    return None


def draw(rng: np.random.Generator, scenario: Scenario, rows: int, spread: float, wander: float) -> NDArray[np.float64]:
    center = scenario.center + wander * rng.normal()
    return 1 / (1 + np.exp(-center - spread * np.exp(wander * rng.normal()) * rng.normal(size=rows)))


def vector(score: NDArray[np.float64]) -> NDArray[np.int64]:
    """What a pane counts of these scores: a request each."""
    found, cells = np.zeros(LAYOUT.size, np.int64), LAYOUT.outputs
    found[cells.rows], found[cells.rows + 1] = len(score), len(score) * WEIGHT_UNIT
    place = np.searchsorted(EDGES, score) * 3 + (score >= 0.5)
    found[cells.score_class] = np.bincount(place, minlength=3 * (len(EDGES) + 1))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=200)
    arguments = parser.parse_args()
    print(f"{'scenario':<42} {'alarms before':>13} {'found':>7} {'days (worst)':>12}  wanted")
    for scenario in SCENARIOS:
        days = [simulate(scenario, seed) for seed in range(arguments.seeds)]
        early = sum(day is not None and day < scenario.change_day for day in days) / len(days)
        later = sorted(day - scenario.change_day for day in days if day is not None and day >= scenario.change_day)
        when = f"{later[len(later) // 2]} ({later[-1]})" if later else ""
        found = f"{len(later) / len(days):.1%}" if scenario.wanted == "found" else ""
        print(f"{scenario.name:<42} {early:>13.1%} {found:>7} {when:>12}  {scenario.wanted}", flush=True)


if __name__ == "__main__":
    main()
