"""A small service with a baseline, and seeded traffic counted by the code that serving counts with."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np

from mlmon_sidecar.aggregate.panes import PaneBuilder
from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.checks.context import CheckContext
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.records import MINUTE_NS, Window
from mlmon_sidecar.statistics.edetector import Detector, DetectorState, Step
from mlmon_sidecar.statistics.indicators import indicators
from mlmon_sidecar.statistics.samples import merge_samples

OPTIONS = DecodeOptions("loans", kind="binary", positive="yes", negative="no")
FEATURES = ("age", "income", "height", "weight", "town")


def same(_column: str, token: str) -> str:
    return token


def rows(
    seed: int,
    count: int,
    *,
    moved: dict[str, float] | None = None,
    town: str = "",
    nulls: float = 0.0,
    score: float | None = None,
    unsure: float = 1.0,
) -> dict[str, list[object]]:
    """Columns of healthy rows, spoilt as asked: numeric features moved, one town, nulls in age, one score for all."""
    rng, moved = np.random.default_rng(seed), moved or {}
    columns: dict[str, list[object]] = {
        name: (100 + 10 * (rng.normal(size=count) + moved.get(name, 0.0))).tolist() for name in FEATURES[:-1]
    }
    columns["age"] = [None if rng.random() < nulls else value for value in columns["age"]]
    columns["town"] = [town or str(t) for t in rng.choice(["A", "B", "C"], count, p=[0.6, 0.3, 0.1])]
    scores = 0.5 + (rng.beta(0.5, 0.5, count) - 0.5) * unsure
    columns["score"] = [score] * count if score is not None else scores.tolist()
    return columns


@cache
def baseline() -> Baseline:
    columns = rows(1, 8000)
    columns["at"] = [minute * MINUTE_NS * 6 for minute in range(8000)]  # 800 hours
    return build_baseline(
        columns, Roles(timestamp="at", score="score"), Purpose("loans", kind="binary", positive="yes"),
        redact_category=same, policy="p", created="2026-01-01T00:00:00Z",
    )  # fmt: skip


def pane(minute: int, columns: dict[str, list[object]]) -> Window:
    """One minute of the fleet."""
    count = len(columns["score"])
    batch = batch_from_columns(
        "loans", now_ns=minute * MINUTE_NS, features={name: columns[name] for name in FEATURES},
        scores=columns["score"], options=OPTIONS,
    )  # fmt: skip
    assert batch.rows == count
    builder = PaneBuilder(baseline().layout, same)
    builder.add_batch(batch)
    (taken,) = builder.take()
    return Window("loans", minute, minute + 1, taken.vector, taken.samples)


def summed(panes: list[Window]) -> Window:
    window = panes[0]
    for other in panes[1:]:
        window = replace(
            window,
            end_minute=other.end_minute,
            vector=window.vector + other.vector,
            samples=merge_samples(window.samples, other.samples),
        )
    return window


def watch(panes: list[Window], state: DetectorState | None = None) -> Iterator[tuple[CheckContext, DetectorState]]:
    """A context per pane, each pane standing for an hour of traffic."""
    detector = Detector(indicators(baseline().layout, baseline().reference))
    state = state or detector.initial()
    for this in panes:
        step: Step = detector.step(state, this.vector, minute=this.start_minute, hours=1.0)
        state = step.state
        yield (
            CheckContext(
                "loans", this.start_minute, baseline().layout, baseline().reference, step, recent={"1h": this}
            ),
            state,
        )
