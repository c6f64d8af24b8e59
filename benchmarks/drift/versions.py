"""Two versions of one simulated model: alike for a month, and a canary whose scores are shifted.

The score is the stream's first feature once more, so that it may move while the features stay. Rows go to versions by
chance, whole sessions where the stream has sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.counting import FIRST_MINUTE, bins_of, column_of
from benchmarks.drift.monitoring import Month, month_of
from benchmarks.drift.streams import STREAMS
from mlmon_sidecar.baseline.document import Baseline
from mlmon_sidecar.checks.context import VersionDifferences
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.hub.version_watch import VersionWatch
from mlmon_sidecar.records import WEIGHT_UNIT
from mlmon_sidecar.statistics.layout import Layout, NumericFeature, PredictionSpace
from mlmon_sidecar.statistics.profile import UnitProfile
from mlmon_sidecar.statistics.reference import Reference

Array = NDArray[Any]

DAYS = 30
ALONE_DAYS = 3  # the older version serves alone before the canary comes
ONSET_HOURS = 29  # later with each seed
TAKEOVER_DAYS = 5
SCORE_KEY = "@predictions:score"


@dataclass(frozen=True)
class Scenario:
    """Which version answers. ``version``: (hours since monitoring began, (rows,) uniform draws) -> version numbers."""

    name: str
    version: Callable[[Array, Array], Array]


def _canary(share: float, since: int = 0) -> Callable[[Array, Array], Array]:
    return lambda hour, draw: ((hour >= since) & (draw < share)).astype(np.int64)


def _takeovers(hour: Array, draw: Array) -> Array:
    taken: Array = hour // (24 * TAKEOVER_DAYS)
    return taken


QUIET = (
    Scenario("a canary of 10 %", _canary(0.1)),
    Scenario("half and half", _canary(0.5)),
    Scenario(f"a takeover every {TAKEOVER_DAYS} days", _takeovers),
)


class Model:
    """One seed of a stream, ready to be split."""

    def __init__(self, stream: str, seed: int, features: int) -> None:
        self.month = month_of(STREAMS[stream], seed, features, baseline_days=DAYS, days=DAYS)
        self.features, self.seed = features, seed
        self.layout = _scored(self.month.counts.layout)
        self.plan = ModelPlan("m", self.layout, Baseline(self.layout, _reference(self.month, self.layout)))
        seen, rng = self.month.seen, np.random.default_rng([seed, 77])
        rows = slice(int(np.searchsorted(seen.minute, self.month.start)), len(seen.minute))
        draw = rng.random(int(seen.session.max()) + 1)[seen.session] if len(seen.session) else rng.random(rows.stop)
        self._rows, self._draw = rows, draw[rows]
        self._hour = (seen.minute[rows] - self.month.start) // 60

    def told(
        self, scenario: Callable[[Array, Array], Array], shift: float = 0.0
    ) -> Iterator[tuple[int, VersionDifferences]]:
        """(hours since monitoring began, what was told then). ``shift``: sigma, of the scores of all but version 0."""
        watch = VersionWatch(self.plan, None, -1)
        for hour, parts in enumerate(self._hours(scenario(self._hour, self._draw), shift)):
            for told in watch.take(FIRST_MINUTE + self.month.start + 60 * hour, parts):
                yield hour, told

    def _hours(self, version: Array, shift: float) -> Iterator[Mapping[str, Array]]:
        """Counts of each hour by version."""
        counted = self._counted(version, shift)
        for hour in range(DAYS * 24):
            yield {f"v{at}": vector for at, vector in enumerate(counted[:, hour]) if vector[self.layout.traffic.rows]}

    def _counted(self, version: Array, shift: float) -> Array:
        """(versions, hours, layout.size) int64."""
        layout, hours = self.layout, DAYS * 24
        versions = int(version.max()) + 1
        counted = np.zeros((versions, hours, layout.size), np.int64)
        group = version * hours + self._hour

        def add(place: Array, first: int, width: int, weight: int) -> None:
            sums = np.bincount(group * width + place, minlength=versions * hours * width)
            counted[:, :, first : first + width] = sums.reshape(versions, hours, width) * weight

        nowhere = np.zeros(len(group), np.int64)
        cells = layout.traffic
        add(nowhere, cells.rows, 1, 1)
        add(nowhere, cells.rows + 1, 1, WEIGHT_UNIT)
        add(nowhere, cells.requests, 1, 1)
        for feature in range(self.features):
            name = column_of(feature)
            values, missing = (column[self._rows] for column in self.month.seen.values(feature))
            bins, span = bins_of(layout, name), layout.cells[name].alarm
            width = span.stop - span.start
            place = np.where(missing, width, bins(values))
            sums = np.bincount(group * (width + 1) + place, minlength=versions * hours * (width + 1))
            table = sums.reshape(versions, hours, width + 1) * WEIGHT_UNIT
            counted[:, :, span], counted[:, :, layout.cells[name].null + 1] = table[..., :-1], table[..., -1]
            if feature == 0:
                score = layout.outputs.score_alarm
                add(
                    bins(values + np.float32(shift) * (version > 0)), score.start, score.stop - score.start, WEIGHT_UNIT
                )
        return counted


def false_incidents(model: Model, scenario: Scenario) -> int:
    """Alarms while nothing differs."""
    return sum(len(told.alarms) for _, told in model.told(scenario.version))


def onset_hour(seed: int) -> int:
    return ALONE_DAYS * 24 + (seed - 1) * ONSET_HOURS


def hours_to_find(model: Model, share: float, shift: float) -> float | None:
    """From the first hour of a version whose scores are shifted to the end of the one that named them; None: never.

    ``share``: of the rows that it gets; 1: it takes over.
    """
    onset = onset_hour(model.seed)
    for hour, told in model.told(_canary(share, onset), shift):
        if any("score" in alarm.units for alarm in told.alarms):
            return float(hour - onset)
    return None


def _scored(layout: Layout) -> Layout:
    """With the first feature's edges for the score."""
    first = layout.feature(column_of(0))
    assert isinstance(first, NumericFeature)
    return replace(layout, prediction=PredictionSpace("regression", score_edges=first.edges, score_alarm=first.alarm))


def _reference(month: Month, layout: Layout) -> Reference:
    """The month's, on the layout with a score."""
    known, before = month.reference, month.counts.layout
    further = layout.size - before.size
    vector = np.zeros(layout.size, np.int64)
    kept = before.outputs.confidence_ppm + 1  # features begin behind it
    vector[layout.outputs.confidence_ppm + 1 :] = known.vector[kept:]
    vector[: layout.traffic.decoded + 1] = known.vector[: layout.traffic.decoded + 1]
    score, first = layout.outputs.score_alarm, before.cells[column_of(0)].alarm
    vector[score] = known.vector[first]
    profile = {name: _moved(each, further) for name, each in known.profile.items()}
    if column_of(0) in known.profile:
        profile[SCORE_KEY] = _moved(known.profile[column_of(0)], score.start - first.start)
    return replace(
        known, layout=layout.hash, vector=vector, profile=profile,
        tau=_with_score(known.tau), deff=_with_score(known.deff),
    )  # fmt: skip


def _moved(profile: UnitProfile, cells: int) -> UnitProfile:
    return replace(profile, cells=tuple(cell + cells for cell in profile.cells))


def _with_score(known: Mapping[str, float]) -> dict[str, float]:
    first = column_of(0)
    return {**known, **({SCORE_KEY: known[first]} if first in known else {})}


def models(stream: str, seeds: int, features: int) -> Iterator[Model]:
    return (Model(stream, seed, features) for seed in range(1, seeds + 1))


FOUND: Sequence[tuple[str, float, float]] = (
    ("canary of 10 %, .5 sigma", 0.1, 0.5),
    ("canary of 10 %, .25 sigma", 0.1, 0.25),
    ("takeover, .5 sigma", 1.0, 0.5),
)
