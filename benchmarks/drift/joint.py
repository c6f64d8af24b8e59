"""Dependence between features: false alarms while it stays, delay once it changes and every feature stays as it was.

``python -m benchmarks.drift.joint [--seeds 3] [--days 30] [--streams iid,wander]``

Ten numeric features in five pairs of correlation .8, a baseline of 30 days and 30 days without drift, a pane an hour,
counted by the code that serving counts with: every alarm is a false one, of either stream. Then the twins, where from a
day on the correlation of the first pair is another, and neither of its features moves: median and worst of the seeds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from mlmon_sidecar.aggregate.panes import PaneBuilder
from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.records import MINUTE_NS
from mlmon_sidecar.statistics.edetector import Detector, Step
from mlmon_sidecar.statistics.indicators import FEATURES, JOINT, indicators
from mlmon_sidecar.statistics.layout import Layout

FIRST_HOUR = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) // 3600  # a Monday
HOUR_NS = 60 * MINUTE_NS
PAIRS, RHO = 5, 0.8
NAMES = tuple(f"x{k}" for k in range(2 * PAIRS))
ONSET_HOURS, LOOKED_HOURS = 24, 7 * 24
TWINS = {"-.8": -0.8, "0": 0.0, ".5": 0.5, ".95": 0.95}

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Habit:
    """What healthy traffic does besides: hourly AR(1) wander of every feature, a daily sine, sessions; in sigma."""

    rows: int = 300  # an hour
    wander: float = 0.0
    rho: float = 0.9
    diurnal: float = 0.0
    session: int = 1
    nulls: float = 0.0


STREAMS = {
    "iid": Habit(),
    "wander": Habit(wander=0.1),
    "sessions": Habit(session=5),
    "diurnal": Habit(diurnal=0.3),
    "nulls": Habit(nulls=0.02),
}


class Pairs:
    """Hours of rows, one after the other. The same seed draws the same noise whatever the correlation."""

    def __init__(self, habit: Habit, seed: int) -> None:
        self._habit, self._rng = habit, np.random.default_rng([seed, 4711])
        self._level = self._rng.normal(size=len(NAMES))
        self._phase = np.random.default_rng(4711).uniform(0, 2 * np.pi, len(NAMES))  # the day of a feature is its own

    def hour(self, number: int, rho: float = RHO) -> Array:
        """(features, rows), NaN where a value is missing; ``rho`` of the first pair."""
        habit, rng = self._habit, self._rng
        rows = max(habit.session, int(rng.poisson(habit.rows)))
        noise = rng.normal(size=(len(NAMES), rows))
        if habit.session > 1:
            common = np.repeat(rng.normal(size=(len(NAMES), rows // habit.session + 1)), habit.session, axis=1)
            noise = np.sqrt(0.5) * (noise + common[:, :rows])
        size = np.full(PAIRS, RHO)
        size[0] = rho
        noise[1::2] = size[:, None] * noise[0::2] + np.sqrt(1 - size**2)[:, None] * noise[1::2]
        self._level = habit.rho * self._level + np.sqrt(1 - habit.rho**2) * rng.normal(size=len(NAMES))
        noise += (habit.wander * self._level)[:, None]
        noise += (habit.diurnal * np.sin(2 * np.pi * number / 24 + self._phase))[:, None]
        noise[rng.random(noise.shape) < habit.nulls] = np.nan
        return noise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--days", type=int, default=30, help="of the baseline, and of quiet traffic")
    parser.add_argument("--streams", default=",".join(STREAMS))
    said = parser.parse_args()
    print(f"{'correlations of .8':<20}{'joint':>8}{'features':>10}" + "".join(f"{'to ' + name:>14}" for name in TWINS))
    for name in said.streams.split(","):
        alarms, delays = [0, 0], {twin: list[float]() for twin in TWINS}
        for seed in range(1, said.seeds + 1):
            baseline = baseline_of(STREAMS[name], seed, said.days)
            for step in watch(baseline, STREAMS[name], seed + 100, said.days * 24):
                alarms[0] += sum(alarm.stream == JOINT for alarm in step.alarms)
                alarms[1] += sum(alarm.stream == FEATURES for alarm in step.alarms)
            for twin, rho in TWINS.items():
                delays[twin].append(delay(baseline, STREAMS[name], seed + 200, rho))
            print(f"seed {seed} {name}: {alarms} {delays}", file=sys.stderr, flush=True)
        told = "".join(f"{f'{statistics.median(d):.3g} h, {max(d):.3g} h':>14}" for d in delays.values())
        print(f"{name:<20}{alarms[0]:>8}{alarms[1]:>10}{told}", flush=True)


def baseline_of(habit: Habit, seed: int, days: int) -> Baseline:
    """What ``mlmon baseline build`` makes of so many days."""
    pairs = Pairs(habit, seed)
    hours = [pairs.hour(FIRST_HOUR + number) for number in range(days * 24)]
    values = np.concatenate(hours, axis=1)
    at = [
        (FIRST_HOUR + n) * HOUR_NS + k * HOUR_NS // rows.shape[1]
        for n, rows in enumerate(hours)
        for k in range(rows.shape[1])
    ]
    columns: dict[str, list[object]] = {"at": at}
    for name, row in zip(NAMES, values, strict=True):
        columns[name] = [None if value != value else value for value in row.tolist()]
    return build_baseline(
        columns, Roles(timestamp="at"), Purpose("joint"), redact_category=lambda _column, token: token, policy="",
        created="2024-01-01T00:00:00+00:00",
    )  # fmt: skip


def watch(baseline: Baseline, habit: Habit, seed: int, hours: int, rho: float = RHO) -> Iterator[Step]:
    """A step an hour, beginning where the baseline ends; the first pair's correlation is ``rho`` from a day on."""
    detector = Detector(indicators(baseline.layout, baseline.reference))
    state, pairs = detector.initial(), Pairs(habit, seed)
    first = FIRST_HOUR + 30 * 24
    for hour in range(first, first + hours):
        rows = pairs.hour(hour, rho if hour >= first + ONSET_HOURS else RHO)
        step = detector.step(state, counted(baseline.layout, rows), minute=60 * hour, hours=1.0)
        state = step.state
        yield step


def delay(baseline: Baseline, habit: Habit, seed: int, rho: float) -> float:
    """Hours from the onset to the end of the first pane with a joint alarm; infinite if none in a week."""
    for hour, step in enumerate(watch(baseline, habit, seed, ONSET_HOURS + LOOKED_HOURS, rho), start=1):
        if hour > ONSET_HOURS and any(alarm.stream == JOINT for alarm in step.alarms):
            return float(hour - ONSET_HOURS)
    return float("inf")


def counted(layout: Layout, rows: Array) -> NDArray[np.int64]:
    """(layout.size,) of one hour."""
    features = {
        name: row if np.isfinite(row).all() else [None if value != value else value for value in row.tolist()]
        for name, row in zip(NAMES, rows, strict=True)
    }
    builder = PaneBuilder(layout, lambda _column, token: token)
    builder.add_batch(batch_from_columns("joint", now_ns=0, features=features, options=DecodeOptions("joint")))
    (pane,) = builder.take()
    return pane.vector


if __name__ == "__main__":
    main()
