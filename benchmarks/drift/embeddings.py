"""Texts and vectors: false alarms while their topics stay, delay once there is another, or another mix of them.

``python -m benchmarks.drift.embeddings [--seeds 3] [--days 30] [--streams iid,wander]``

One column of vectors of 64 dimensions: twelve topics, each a direction with noise around it, folded to eight numbers as
serving folds them. A baseline of 30 days and 30 days without drift, a pane an hour, counted by the code that serving
counts with: every alarm is a false one, of the vectors as a whole or of their eight numbers. Then the twins, from a day
on: median and worst of the seeds until the whole (``embedding_drift``) is named.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from mlmon_sidecar.aggregate.panes import PaneBuilder
from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.text_features import vector_columns
from mlmon_sidecar.records import MINUTE_NS
from mlmon_sidecar.statistics.edetector import Detector, Step
from mlmon_sidecar.statistics.indicators import EMBEDDINGS, FEATURES, indicators
from mlmon_sidecar.statistics.layout import Layout

FIRST_HOUR = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) // 3600  # a Monday
HOUR_NS = 60 * MINUTE_NS
TOPICS, DIMENSIONS, NOISE = 12, 64, 0.6  # the noise's length, beside topics of length 1
ONSET_HOURS, LOOKED_HOURS = 24, 7 * 24

Columns = dict[str, list[float | None]]


@dataclass(frozen=True, slots=True)
class World:
    """What texts are about, an hour. ``wander``: of each topic's log odds, AR(1) by the hour; ``diurnal``: a sine of
    its own a day. ``new``: share of a topic nobody has seen; ``twice``: the first topic's share is doubled; ``moved``:
    every vector goes so far along one direction."""

    rows: int = 300
    wander: float = 0.0
    diurnal: float = 0.0
    session: int = 1
    new: float = 0.0
    twice: bool = False
    moved: float = 0.0


STREAMS = {
    "iid": World(),
    "wander": World(wander=0.1),
    "sessions": World(session=5),
    "diurnal": World(diurnal=0.3),
}
TWINS = {
    "new topic 10%": {"new": 0.10},
    "new topic 2%": {"new": 0.02},
    "topic 8% to 17%": {"twice": True},
    "all moved by .2": {"moved": 0.2},
}


class Texts:
    """Hours of vectors, one after the other. The same seed draws the same topics' directions always."""

    def __init__(self, seed: int) -> None:
        self._rng, fixed = np.random.default_rng([seed, 815]), np.random.default_rng(815)
        centers = fixed.normal(size=(TOPICS + 2, DIMENSIONS))
        self._centers = centers / np.linalg.norm(centers, axis=1, keepdims=True)  # of the new topic, and the way moved
        self._phase = fixed.uniform(0, 2 * np.pi, TOPICS)
        self._level = self._rng.normal(size=TOPICS)

    def hour(self, number: int, world: World) -> Columns:
        rng = self._rng
        rows = max(world.session, int(rng.poisson(world.rows)))
        self._level = 0.9 * self._level + np.sqrt(1 - 0.81) * rng.normal(size=TOPICS)
        odds = world.wander * self._level + world.diurnal * np.sin(2 * np.pi * number / 24 + self._phase)
        mix = np.exp(odds) * np.where((np.arange(TOPICS) == 0) & world.twice, 2.2, 1.0)
        shares = np.append(mix / mix.sum() * (1 - world.new), world.new)
        topic = np.repeat(rng.choice(TOPICS + 1, rows // world.session + 1, p=shares), world.session)[:rows]
        noise = rng.normal(size=(rows, DIMENSIONS)) * NOISE / np.sqrt(DIMENSIONS)
        vectors = self._centers[topic] + noise + world.moved * self._centers[-1]
        return vector_columns("note", vectors.tolist())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--days", type=int, default=30, help="of the baseline, and of quiet traffic")
    parser.add_argument("--streams", default=",".join(STREAMS))
    said = parser.parse_args()
    print(f"{'topics':<12}{'whole':>8}{'numbers':>9}" + "".join(f"{name:>20}" for name in TWINS))
    for name in said.streams.split(","):
        quiet, alarms, delays = STREAMS[name], [0, 0], {twin: list[float]() for twin in TWINS}
        for seed in range(1, said.seeds + 1):
            baseline = baseline_of(quiet, seed, said.days)
            for step in watch(baseline, quiet, quiet, seed + 100, said.days * 24):
                alarms[0] += sum(alarm.stream == EMBEDDINGS for alarm in step.alarms)
                alarms[1] += sum(alarm.stream == FEATURES for alarm in step.alarms)
            for twin, changes in TWINS.items():
                delays[twin].append(delay(baseline, quiet, replace(quiet, **changes), seed + 200))
            print(f"seed {seed} {name}: {alarms} {delays}", file=sys.stderr, flush=True)
        told = "".join(f"{f'{statistics.median(d):.3g} h, {max(d):.3g} h':>20}" for d in delays.values())
        print(f"{name:<12}{alarms[0]:>8}{alarms[1]:>9}{told}", flush=True)


def baseline_of(world: World, seed: int, days: int) -> Baseline:
    """What ``mlmon baseline build`` makes of so many days."""
    texts = Texts(seed)
    columns: dict[str, list[object]] = {"at": []}
    for number in range(days * 24):
        hour = texts.hour(FIRST_HOUR + number, world)
        for name, values in hour.items():
            columns.setdefault(name, []).extend(values)
        rows = len(next(iter(hour.values())))
        columns["at"] += [(FIRST_HOUR + number) * HOUR_NS + k * HOUR_NS // rows for k in range(rows)]
    return build_baseline(
        columns, Roles(timestamp="at"), Purpose("texts"), redact_category=lambda _column, token: token, policy="",
        created="2024-01-01T00:00:00+00:00",
    )  # fmt: skip


def watch(baseline: Baseline, quiet: World, after: World, seed: int, hours: int) -> Iterator[Step]:
    """A step an hour, beginning where the baseline ends; the world is another from a day on."""
    detector = Detector(indicators(baseline.layout, baseline.reference))
    state, texts = detector.initial(), Texts(seed)
    first = FIRST_HOUR + 30 * 24
    for hour in range(first, first + hours):
        columns = texts.hour(hour, after if hour >= first + ONSET_HOURS else quiet)
        step = detector.step(state, counted(baseline.layout, columns), minute=60 * hour, hours=1.0)
        state = step.state
        yield step


def delay(baseline: Baseline, quiet: World, after: World, seed: int) -> float:
    """Hours from the onset to the end of the first pane with an alarm of the whole; infinite if none in a week."""
    for hour, step in enumerate(watch(baseline, quiet, after, seed, ONSET_HOURS + LOOKED_HOURS), start=1):
        if hour > ONSET_HOURS and any(alarm.stream == EMBEDDINGS for alarm in step.alarms):
            return float(hour - ONSET_HOURS)
    return float("inf")


def counted(layout: Layout, columns: Columns) -> NDArray[np.int64]:
    """(layout.size,) of one hour."""
    builder = PaneBuilder(layout, lambda _column, token: token)
    builder.add_batch(batch_from_columns("texts", now_ns=0, features=columns, options=DecodeOptions("texts")))
    (pane,) = builder.take()
    return pane.vector


if __name__ == "__main__":
    main()
