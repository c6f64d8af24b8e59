"""Quality alarms on simulated labels: how often they are false, and how soon a true fall is found.

    python benchmarks/outcomes.py                 # 200 seeds a scenario, some minutes on one core
    python benchmarks/outcomes.py --seeds 20 --only fraud

Days of predictions are drawn as counts of (predicted, actual, age of the label); they pass through the hub's own
``OutcomeWatch`` and the check that turns its judgements into alarms, from the first day of monitoring on. Each seed
draws its own baseline. The naive figure is that of all labels of the newest seven days of predictions, whatever their
age.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from mlmon_sidecar.baseline.document import Baseline
from mlmon_sidecar.checks.context import CheckContext
from mlmon_sidecar.checks.label_drift import LabelDrift
from mlmon_sidecar.checks.quality_drop import QualityDrop
from mlmon_sidecar.hub.label_drift_watch import LabelDriftWatch
from mlmon_sidecar.hub.outcome_watch import History, OutcomeWatch
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.outcomes.maturity import LabelCount
from mlmon_sidecar.outcomes.slices import closing_day
from mlmon_sidecar.records import OutcomeCell, Tier
from mlmon_sidecar.statistics.layout import Layout, PredictionSpace
from mlmon_sidecar.statistics.reference import Reference

CLASSES = ("no", "yes")
LAYOUT = Layout("m", (), PredictionSpace("binary", CLASSES, "yes"))
HORIZON = 60
WANDER = 0.02  # of the classes, as a baseline of some weeks knows it; for label drift alone
PAIRS = [(predicted, actual) for actual in CLASSES for predicted in CLASSES]  # as a confusion matrix is read
RIGHT = np.array([predicted == actual for predicted, actual in PAIRS])


@dataclass(frozen=True)
class World:
    """What is true. ``delay`` and ``delay_wrong``: mean days until the label of a right and of a wrong answer;
    ``delay_positive``, where it is given, until that of a positive one."""

    positives: float = 0.5
    recall: float = 0.85
    false_alarms: float = 0.15
    delay: float = 3.0
    delay_wrong: float = 3.0
    delay_positive: float | None = None
    coverage: float = 0.9

    def shares(self) -> NDArray[np.float64]:
        """(4,) of ``PAIRS``."""
        p, r, f = self.positives, self.recall, self.false_alarms
        return np.array([(1 - p) * (1 - f), (1 - p) * f, p * (1 - r), p * r])

    def ages(self) -> NDArray[np.float64]:
        """(4, HORIZON + 1) probabilities of each age, and of no label at all."""
        edges = np.arange(HORIZON + 1)
        rows = []
        for right, (_, actual) in zip(RIGHT, PAIRS, strict=True):
            delay = self.delay if right else self.delay_wrong
            if self.delay_positive is not None:
                delay = self.delay_positive if actual == "yes" else self.delay
            done = 1 - np.exp(-edges / delay)
            ages = self.coverage * np.diff(done) / done[-1]
            rows.append([*ages, max(0.0, 1 - ages.sum())])
        return np.array(rows)


@dataclass(frozen=True)
class Scenario:
    name: str
    wanted: str
    metric: str
    per_day: int
    baseline_rows: int
    before: World
    after: World = field(default_factory=World)
    change_day: int = 10_000
    days: int = 30


@dataclass
class Run:
    """``found_after``: days from the first closing day of a mature changed cohort to the first P1 or P2."""

    urgent: bool = False
    minor: bool = False
    moved: bool = False  # an alarm that classes of labels changed
    moved_after: int | None = None  # as ``found_after``
    found_after: int | None = None
    waited: int | None = None
    naive_off: float = 0.0


def simulate(scenario: Scenario, seed: int) -> Run:
    rng = np.random.default_rng(seed)
    table = np.array([draw(scenario, rng, day) for day in range(scenario.days)])  # (days, 4, HORIZON + 1)
    matrix = rng.multinomial(scenario.baseline_rows, scenario.before.shares()).reshape(2, 2)
    reference = Reference(
        LAYOUT.hash,
        "v",
        np.zeros(LAYOUT.size, np.int64),
        tau={"*": WANDER},
        confusion=tuple(map(tuple, matrix.tolist())),
    )
    plan = ModelPlan("m", LAYOUT, Baseline(LAYOUT, reference), metric=scenario.metric, horizon_days=HORIZON)
    watch, check, run = OutcomeWatch(plan), QualityDrop(), Run()
    classes, drift = LabelDriftWatch(plan, None), LabelDrift()
    labels = table[:, :, :HORIZON].sum(axis=1)
    slices = [LabelCount(int(day), int(age), int(labels[day, age])) for day, age in np.argwhere(labels)]
    history = History(slices, dict.fromkeys(range(scenario.days), scenario.per_day))
    state, recent, waiting = watch.restore(b""), (), list[OutcomeCell]()
    for today in range(2, scenario.days):
        waiting += closing(table, today)
        closed = watch.close_days(state, recent, range(today, today + 1), waiting, history)
        state, recent = closed.state, closed.recent
        taken = set(closed.taken)
        waiting = [cell for cell in waiting if cell not in taken]
        if run.waited is None and any(cell.day >= scenario.change_day for cell in taken):
            run.waited = today - scenario.change_day
        for judgement in closed.judgements:
            labels = classes.take(judgement.day, judgement.ripe)
            if drift.evaluate(CheckContext("m", today * 1440, LAYOUT, labels=labels)):
                run.moved = True
                if run.moved_after is None and run.waited is not None:
                    run.moved_after = today - scenario.change_day - run.waited
            for finding in check.evaluate(CheckContext("m", today * 1440, LAYOUT, quality=watch.view(judgement))):
                run.minor |= finding.tier is Tier.P3
                if finding.tier is not Tier.P3:
                    run.urgent = True
                    if run.found_after is None and run.waited is not None:
                        run.found_after = today - scenario.change_day - run.waited
    run.naive_off = naive_off(scenario, table)
    return run


def draw(scenario: Scenario, rng: np.random.Generator, day: int) -> NDArray[np.int64]:
    world = scenario.after if day >= scenario.change_day else scenario.before
    answers = rng.multinomial(scenario.per_day, world.shares())
    return np.array([rng.multinomial(n, ages) for n, ages in zip(answers, world.ages(), strict=True)])


def closing(table: NDArray[np.int64], today: int) -> list[OutcomeCell]:
    """Cells of the slices that close today."""
    found = []
    for day in range(max(0, today - HORIZON - 1), today - 1):
        age = today - day - 2
        assert closing_day(day, age) == today
        found += [
            OutcomeCell("v", day, age, predicted, actual, int(rows))
            for (predicted, actual), rows in zip(PAIRS, table[day, :, age], strict=True)
            if rows
        ]
    return found


def naive_off(scenario: Scenario, table: NDArray[np.int64]) -> float:
    """Naive figure at the end, minus the true one; averaged over the last ten days."""
    metric = ModelPlan("m", LAYOUT, metric=scenario.metric).outcome_metric
    assert metric is not None
    gaps = []
    for today in range(scenario.days - 10, scenario.days):
        seen = sum(table[day, :, : today - day].sum(axis=1) for day in range(today - 7, today))
        whole = table[today - 7 : today].sum(axis=(0, 2))
        values = [
            metric.of_counts(metric.parts[0].counts_of_matrix(np.reshape(c, (2, 2)), CLASSES)) for c in (seen, whole)
        ]
        if values[0] is not None and values[1] is not None:
            gaps.append(values[0] - values[1])
    return float(np.mean(gaps)) if gaps else 0.0


FRAUD = World(positives=0.01, recall=0.7, false_alarms=0.002, delay=4, delay_wrong=4)
EVEN = World()
SLOW = replace(EVEN, delay=8, delay_wrong=1)
FIRST = replace(EVEN, delay=8, delay_positive=1)
SCENARIOS = [
    Scenario("fraud 1%, 1,000/h, F1, no change", "<= 1% urgent", "f1", 24_000, 2_000, FRAUD, days=60),
    Scenario("fraud 1%, 1,000/h, recall, no change", "<= 1% urgent", "recall", 24_000, 2_000, FRAUD, days=60),
    Scenario("balanced, 20/h, accuracy, no change", "<= 1% urgent", "accuracy", 480, 2_000, EVEN, days=60),
    Scenario("balanced, 20/h, F1, no change", "<= 1% urgent", "f1", 480, 2_000, EVEN, days=60),
    Scenario("recall falls by 40%", "found within 1 day", "recall", 480, 2_000, EVEN,
             replace(EVEN, recall=0.51), 20, 45),
    Scenario("accuracy .85 falls by 10%, 500 labels/day", "found within 10 days", "accuracy", 500, 20_000,
             replace(EVEN, coverage=1.0), World(recall=0.765, false_alarms=0.235, coverage=1.0), 20, 50),
    Scenario("labels twice as fast", "0 urgent", "accuracy", 480, 2_000, EVEN,
             replace(EVEN, delay=1.5, delay_wrong=1.5), 30, 60),
    Scenario("labels twice as slow", "0 urgent", "accuracy", 480, 2_000, EVEN,
             replace(EVEN, delay=6, delay_wrong=6), 30, 60),
    Scenario("wrong answers' labels come first", "0 urgent", "accuracy", 480, 20_000, SLOW, days=60),
    Scenario("the same, then twice as slow", "0 urgent", "accuracy", 480, 20_000, SLOW,
             replace(SLOW, delay=16, delay_wrong=2), 35, 70),
    Scenario("the same, then twice as fast", "0 urgent", "accuracy", 480, 20_000, SLOW,
             replace(SLOW, delay=4, delay_wrong=0.5), 35, 70),
    Scenario("positives' labels come first", "no label drift", "accuracy", 480, 20_000, FIRST, days=60),
    Scenario("the same, then twice as slow", "no label drift", "accuracy", 480, 20_000, FIRST,
             replace(FIRST, delay=16, delay_positive=2), 35, 70),
    Scenario("the same, then twice as fast", "no label drift", "accuracy", 480, 20_000, FIRST,
             replace(FIRST, delay=4, delay_positive=0.5), 35, 70),
    Scenario("positives rise from 30% to 50%", "label drift", "recall", 480, 20_000,
             replace(EVEN, positives=0.3), replace(EVEN, positives=0.5), 20, 50),
    Scenario("fraud 1% becomes 4%", "label drift", "recall", 24_000, 2_000, FRAUD, replace(FRAUD, positives=0.04),
             20, 50),
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--only", default="", help="part of a scenario's name")
    arguments = parser.parse_args()
    print(
        f"{'scenario':<42} {'P1/P2 runs':>10} {'P3':>6} {'days to find (worst)':>20} {'label drift':>11} "
        f"{'days (worst)':>12} {'naive off':>9}  wanted"
    )
    for scenario in SCENARIOS:
        if arguments.only not in scenario.name:
            continue
        began = time.process_time()
        runs = [simulate(scenario, seed) for seed in range(arguments.seeds)]
        later = days_to_find([run.found_after for run in runs]) if scenario.wanted.startswith("found") else ""
        moved_later = days_to_find([run.moved_after for run in runs]) if scenario.wanted == "label drift" else ""
        urgent, minor, moved = (
            sum(getattr(run, kind) for run in runs) / len(runs) for kind in ("urgent", "minor", "moved")
        )
        naive, spent = np.mean([run.naive_off for run in runs]), time.process_time() - began
        print(
            f"{scenario.name:<42} {urgent:>10.1%} {minor:>6.1%} {later:>20} {moved:>11.1%} {moved_later:>12} "
            f"{naive:>+9.3f}  {scenario.wanted} ({spent:.0f} s CPU)",
            flush=True,
        )


def days_to_find(days: list[int | None]) -> str:
    """Median and worst; 999: never."""
    found = sorted(999 if day is None else day for day in days)
    return f"{found[len(found) // 2]} ({found[-1]})"


if __name__ == "__main__":
    main()
