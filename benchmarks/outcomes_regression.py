"""Quality alarms on simulated labels of a model that predicts numbers: how often false, and how soon growth is found.

    python benchmarks/outcomes_regression.py                # 200 seeds a scenario, a minute or two on one core

As ``benchmarks/outcomes.py``, with errors in the place of classes: each prediction's error is drawn, and the age of its
label. Each seed builds its own baseline of errors; a constant answer is off by four times as much.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlmon_sidecar.baseline.document import Baseline
from mlmon_sidecar.checks.context import CheckContext
from mlmon_sidecar.checks.quality_drop import QualityDrop
from mlmon_sidecar.hub.outcome_watch import History, OutcomeWatch
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.outcomes.maturity import LabelCount
from mlmon_sidecar.outcomes.slices import closing_day
from mlmon_sidecar.records import OutcomeCell, Tier
from mlmon_sidecar.statistics.error_bins import bin_of, text_of
from mlmon_sidecar.statistics.layout import Layout, PredictionSpace
from mlmon_sidecar.statistics.reference import Reference

LAYOUT = Layout("m", (), PredictionSpace("regression", ()))
HORIZON = 60
Errors = Literal["normal", "t3"]


@dataclass(frozen=True)
class Scenario:
    """``grows``: errors are so many times as large from ``change_day`` on. ``late_large``: mean days until the label of
    an error above the median; 3 for all others."""

    name: str
    wanted: str
    per_day: int = 480
    baseline_rows: int = 2_000
    errors: Errors = "normal"
    grows: float = 1.0
    change_day: int = 25
    days: int = 60
    late_large: float = 3.0


SCENARIOS = [
    Scenario("no change, normal errors, 20/h", "<= 1% urgent"),
    Scenario("no change, t(3) errors, 20/h", "<= 1% urgent", errors="t3"),
    Scenario("no change, 1,000/h", "<= 1% urgent", per_day=24_000),
    Scenario("no change, labels of large errors late", "<= 1% urgent", late_large=8.0),
    Scenario("errors grow by 15%", "found", grows=1.15, baseline_rows=20_000),
    Scenario("errors grow by 30%", "found", grows=1.3),
    Scenario("errors double", "found", grows=2.0),
    Scenario("t(3) errors double", "found", grows=2.0, errors="t3"),
]


def draw(kind: Errors, rows: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.standard_normal(rows) if kind == "normal" else rng.standard_t(3, rows) / np.sqrt(3)


def baseline(scenario: Scenario, rng: np.random.Generator) -> Baseline:
    errors = draw(scenario.errors, scenario.baseline_rows, rng)
    constant = errors + 4 * rng.standard_normal(len(errors))
    counts = [Counter(bin_of(values).tolist()) for values in (errors, constant)]
    bins = tuple((bin_, counts[0][bin_], counts[1][bin_]) for bin_ in sorted(counts[0] | counts[1]))
    return Baseline(LAYOUT, Reference(LAYOUT.hash, "v", np.zeros(LAYOUT.size, np.int64), errors=bins))


def labels(scenario: Scenario, rng: np.random.Generator) -> list[OutcomeCell]:
    cells: Counter[tuple[int, int, int]] = Counter()
    for day in range(scenario.days):
        errors = draw(scenario.errors, scenario.per_day, rng)
        delay = np.where(np.abs(errors) > np.median(np.abs(errors)), scenario.late_large, 3.0)
        age = rng.exponential(delay).astype(int)
        said = (age < HORIZON) & (rng.random(len(errors)) < 0.9)
        grown = errors * (scenario.grows if day >= scenario.change_day else 1.0)
        cells.update(zip([day] * int(said.sum()), age[said].tolist(), bin_of(grown[said]).tolist(), strict=True))
    return [OutcomeCell("v", day, age, "", text_of(bin_), rows) for (day, age, bin_), rows in sorted(cells.items())]


def simulate(scenario: Scenario, seed: int) -> tuple[bool, int | None]:
    """Whether a P1 or P2 came, and how many days after labels of changed predictions were first judged."""
    rng = np.random.default_rng(seed)
    plan = ModelPlan("m", LAYOUT, baseline(scenario, rng), kind="regression", horizon_days=HORIZON)
    watch, check = OutcomeWatch(plan), QualityDrop()
    cells = labels(scenario, rng)
    sums: Counter[tuple[int, int]] = Counter()
    closing: dict[int, list[OutcomeCell]] = {}
    for cell in cells:
        sums[cell.day, cell.age] += cell.rows
        closing.setdefault(closing_day(cell.day, cell.age), []).append(cell)
    history = History(
        [LabelCount(day, age, rows) for (day, age), rows in sums.items()],
        dict.fromkeys(range(scenario.days), scenario.per_day),
    )
    state, recent, waiting, judged = watch.restore(b""), (), list[OutcomeCell](), None
    for today in range(2, scenario.days):
        waiting += closing.get(today, [])
        closed = watch.close_days(state, recent, range(today, today + 1), waiting, history)
        state, recent, taken = closed.state, closed.recent, set(closed.taken)
        waiting = [cell for cell in waiting if cell not in taken]
        if judged is None and any(cell.day >= scenario.change_day for cell in taken):
            judged = today
        for judgement in closed.judgements:
            found = check.evaluate(CheckContext("m", today * 1440, LAYOUT, quality=watch.view(judgement)))
            if any(finding.tier is not Tier.P3 for finding in found):
                return True, None if judged is None else today - judged
    return False, None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=200)
    seeds = parser.parse_args().seeds
    print(f"{'scenario':<42} {'P1/P2 runs':>10} {'days to find (worst)':>20}  wanted")
    for scenario in SCENARIOS:
        runs = [simulate(scenario, seed) for seed in range(seeds)]
        urgent = sum(found for found, _ in runs) / len(runs)
        days = sorted(999 if after is None else after for _, after in runs)
        later = f"{days[len(days) // 2]} ({days[-1]})" if scenario.wanted == "found" else ""
        print(f"{scenario.name:<42} {urgent:>10.1%} {later:>20}  {scenario.wanted}", flush=True)


if __name__ == "__main__":
    main()
