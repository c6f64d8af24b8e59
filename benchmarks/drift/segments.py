"""Many models whose traffic is watched by segment: false alarms, and how long a drift in one segment stays unseen.

``python -m benchmarks.drift segments [--seeds 5] [--models 20] [--days 30] [--features 5] [--zones]``

A model has numeric columns and a score, and two dimensions: twenty countries (a column; two rare ones more are
``_other``) and ten plans (what handlers say). Columns of a country and a plan have means of their own; all follow the
hour of day. Counts are drawn by country and plan, half hour by half hour, put into the layout that the product's build
cut from rows, and replayed through the hub's evaluation. Every incident without drift is a false one. With ``--zones``
each country is busy at other hours of the day, so that the whole moves where no country does.
"""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import ndtr

from benchmarks.drift.counting import FIRST_MINUTE, Array, column_of, keep
from benchmarks.drift.table import hours as told_hours
from mlmon_sidecar.backtest.replay import replay
from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.hub.seal import Delta
from mlmon_sidecar.records import WEIGHT_UNIT
from mlmon_sidecar.statistics.indicators import indicators
from mlmon_sidecar.statistics.layout import Layout, NumericFeature
from mlmon_sidecar.statistics.profile import slot_of
from mlmon_sidecar.statistics.reference import Reference
from mlmon_sidecar.statistics.segment_indicators import segment_indicators
from mlmon_sidecar.statistics.segment_wander import learn_segment_wander, sampled
from mlmon_sidecar.statistics.wander import learn_wander

COUNTRIES, LISTED, PLANS = 22, 20, 10
COUNTRY, PLAN = "country", "segment"
DRIFTED = 9  # the country whose share of the traffic is ``ROWS_PER_HOUR``
ROWS_PER_HOUR, SHIFT = 200.0, 0.5
RHYTHM, OWN, NULLS = 0.3, 0.3, 0.01  # sigma of the day's wave; spread of the segments' own means; share of nulls
ZONES = 0.9  # how much more or less than its mean a country is asked, by hour of day
LAYOUT_ROWS = 20_000
QUIET_HOURS, LOOKED_HOURS = 72, 48
BEGINS = (0, 13, 26, 39, 52)  # minutes into its hour at which the drift of each seed begins


def value_of(dimension: str, at: int) -> str:
    """As rows have it; ascending in ``at``."""
    return f"c{at:02}" if dimension == COUNTRY else f"p{at}"


@dataclass(frozen=True)
class Service:
    """One model's traffic. ``columns`` numeric ones; the last is the score."""

    seed: int
    columns: int
    zones: bool = False

    @cached_property
    def mean(self) -> Array:
        """(countries, plans, columns)"""
        rng = np.random.default_rng([self.seed, 1])
        of_country, of_plan = rng.normal(0, OWN, (2, max(COUNTRIES, PLANS), self.columns))
        return of_country[:COUNTRIES, None] + of_plan[None, :PLANS]

    @cached_property
    def rate(self) -> Array:
        """(countries, plans) rows an hour"""
        country = np.append(1 / (np.arange(LISTED) + 5.0), [0.004, 0.003])
        plan = 1 / (np.arange(PLANS) + 3.0)
        rates: Array = np.outer(country / country[DRIFTED], plan / plan.sum()) * ROWS_PER_HOUR
        return rates

    def rows_per_hour(self, hour: int) -> Array:
        """(countries, plans) of one Unix hour."""
        if not self.zones:
            return self.rate
        noon = np.arange(COUNTRIES) / COUNTRIES * 24
        busy: Array = self.rate * (1 + ZONES * np.sin(2 * np.pi * (hour - noon) / 24))[:, None]
        return busy

    def moved(self, slot: int) -> Array:
        """(columns,) what the hour of day and the weekend add."""
        at, weekend = np.arange(self.columns), slot // 24
        wave: Array = RHYTHM * np.sin(2 * np.pi * (slot % 24 / 24 + at / self.columns)) - 0.2 * weekend
        return wave

    def rows(self, count: int) -> dict[str, list[object]]:
        """Rows one by one, for the layout to be cut from."""
        rng = np.random.default_rng([self.seed, 2])
        share = (self.rate / self.rate.sum()).reshape(-1)
        place = rng.choice(share.size, count, p=share)
        slots = np.array([self.moved(slot) for slot in range(48)])[rng.integers(0, 48, count)]
        values = self.mean.reshape(-1, self.columns)[place] + slots + rng.normal(size=(count, self.columns))
        missing = rng.random((count, self.columns)) < NULLS
        table: dict[str, list[object]] = {
            column_of(at): [None if gone else v for v, gone in zip(column.tolist(), lost.tolist(), strict=True)]
            for at, (column, lost) in enumerate(zip(values.T[:-1], missing.T[:-1], strict=True))
        }
        table[COUNTRY] = [value_of(COUNTRY, at) for at in (place // PLANS).tolist()]
        table["plan"] = [value_of(PLAN, at) for at in (place % PLANS).tolist()]
        table["score"] = values[:, -1].tolist()
        return table


@dataclass(frozen=True)
class Model:
    """A service under the layout that was built from some of its rows."""

    service: Service
    layout: Layout

    @classmethod
    def of(cls, seed: int, columns: int, *, zones: bool = False) -> Model:
        service = Service(seed, columns, zones)
        built = build_baseline(
            service.rows(LAYOUT_ROWS), Roles(score="score", segment="plan"),
            Purpose("drift", kind="regression", segments=(COUNTRY, PLAN)),
            redact_category=keep, policy="", created="2024-01-01T00:00:00+00:00",
        )  # fmt: skip
        return cls(service, built.layout)

    @cached_property
    def cuts(self) -> list[Array]:
        """Alarm edges of each column, the score's last."""
        features = [self.layout.feature(column_of(at)) for at in range(self.service.columns - 1)]
        numeric = [feature for feature in features if isinstance(feature, NumericFeature)]
        score = self.layout.prediction
        edges = [[feature.edges[at] for at in feature.alarm] for feature in numeric]
        return [np.array(each) for each in (*edges, [score.score_edges[at] for at in score.score_alarm])]

    def shares(self, slot: int, shift: float) -> list[Array]:
        """Of each column (countries, plans, alarm bins + 1), what is missing last; ``shift``: of the first column of
        the drifted country."""
        found = []
        for at, cuts in enumerate(self.cuts):
            mean = self.service.mean[:, :, at] + self.service.moved(slot)[at]
            if at == 0:
                mean[DRIFTED] += shift
            below = ndtr(cuts - mean[:, :, None])
            bins = np.diff(below, prepend=0.0, append=1.0, axis=-1)
            nulls = NULLS if at + 1 < self.service.columns else 0.0
            found.append(np.concatenate((bins * (1 - nulls), np.full((*mean.shape, 1), nulls)), axis=-1))
        return found

    def drawn(self, rng: np.random.Generator, minute: int, minutes: int, shift: float = 0.0) -> list[Array]:
        """The counts of some minutes of one hour, as ``shares`` has them."""
        hour = (FIRST_MINUTE + minute) // 60
        rows = rng.poisson(self.service.rows_per_hour(hour) * minutes / 60)
        slot = slot_of(hour)
        key = slot, shift
        if key not in self._shares:
            self._shares[key] = self.shares(slot, shift)
        return [rng.multinomial(rows, shares) for shares in self._shares[key]]

    @cached_property
    def _shares(self) -> dict[tuple[int, float], list[Array]]:
        return {}

    def vector(self, counts: list[Array]) -> Array:
        """(layout.size,) of the counts of all columns: the cells that checks and detectors read."""
        layout, cells = self.layout, self.layout.segment_cells
        place = {cell: at for at, cell in enumerate(cells.sources)}
        table = np.zeros((COUNTRIES, PLANS, len(cells.sources)), dtype=np.int64)  # a block for each pair
        rows = counts[-1].sum(axis=-1)
        table[:, :, 0], table[:, :, 1] = rows, rows * WEIGHT_UNIT
        for at, found in enumerate(counts[:-1]):
            of = layout.cells[column_of(at)]
            first = place[of.alarm.start]
            table[:, :, first : first + found.shape[-1] - 1] = found[:, :, :-1] * WEIGHT_UNIT
            table[:, :, place[of.null + 1]] = found[:, :, -1] * WEIGHT_UNIT
        score = place[layout.outputs.score_alarm.start]
        table[:, :, score : score + counts[-1].shape[-1] - 1] = counts[-1][:, :, :-1] * WEIGHT_UNIT
        town = layout.cells[COUNTRY].alarm
        for country, alarm in enumerate(self._categories):
            table[country, :, place[town.start + alarm]] = rows[country] * WEIGHT_UNIT
        vector = np.zeros(layout.size, dtype=np.int64)
        vector[list(cells.sources)] = table.sum(axis=(0, 1))
        self._fill_blocks(vector, table)
        self._fill_figures(vector, counts, rows)
        return vector

    def _fill_blocks(self, vector: Array, table: Array) -> None:
        for name, by_value in ((COUNTRY, table.sum(axis=1)), (PLAN, table.sum(axis=0))):
            blocks = self.layout.segment_cells.of(name)
            start = {block.value: block.start for block in blocks}
            for at, cells in enumerate(by_value):
                begins = start.get(value_of(name, at), blocks[-1].start)
                vector[begins : begins + len(cells)] += cells

    def _fill_figures(self, vector: Array, counts: list[Array], rows: Array) -> None:
        """Rows, where a column that has none would be one that is gone: each alarm bin in the first bin that is its."""
        for at, found in enumerate(counts[:-1]):
            feature, cells = self.layout.feature(column_of(at)), self.layout.cells[column_of(at)]
            assert isinstance(feature, NumericFeature)
            first = [0, *(edge + 1 for edge in feature.alarm)]
            total = found.sum(axis=(0, 1))
            vector[cells.bins.start + np.array(first)] = total[:-1]
            vector[cells.null] = total[-1]
        listed = self.layout.cells[COUNTRY].bins
        for country, alarm in enumerate(self._categories):
            vector[listed.start + alarm] += rows[country].sum()

    @cached_property
    def _categories(self) -> list[int]:
        """Of each country, its place among the alarm cells, and among the bins, of its column."""
        feature = self.layout.feature(COUNTRY)
        listed: tuple[str, ...] = getattr(feature, "categories", ())[: getattr(feature, "alarm", 0)]
        names = [value_of(COUNTRY, at) for at in range(COUNTRIES)]
        return [listed.index(name) if name in listed else len(listed) for name in names]

    def baseline(self, days: int) -> Baseline:
        """What ``mlmon baseline build`` learns from whole days of this traffic."""
        rng = np.random.default_rng([self.service.seed, 3])
        halves = [self.vector(self.drawn(rng, at, 30)) for at in range(0, days * 1440, 30)]
        reference = Reference(self.layout.hash, "v1", np.sum(halves, axis=0), new_rate={COUNTRY: 1e-6})
        watched = indicators(self.layout, reference)
        hits = np.array([watched.hits.of_vector(vector) for vector in halves])
        totals = np.array([watched.totals.of_vector(vector) for vector in halves])
        at = np.arange(len(halves)) + FIRST_MINUTE // 30
        learned = learn_wander(watched, at, hits, totals)
        reference = replace(
            reference, hours=24 * days, tau=learned.tau, deff=learned.deff, profile=learned.profile
        )  # fmt: skip
        by_segment = segment_indicators(self.layout, reference)
        telling = sampled(by_segment)
        hits = np.array([telling.hits.of_vector(vector) for vector in halves])
        totals = np.array([telling.totals.of_vector(vector) for vector in halves])
        own = learn_segment_wander(by_segment, telling, reference, at, hits, totals)
        reference = replace(
            reference, tau={**reference.tau, **own.tau}, profile={**reference.profile, **own.profile}
        )  # fmt: skip
        return Baseline(self.layout, reference, created="2024-01-01T00:00:00+00:00")

    def quiet(self, first_day: int, days: int) -> Iterator[Delta]:
        """Hours without drift."""
        rng = np.random.default_rng([self.service.seed, 4])
        for at in range(first_day * 1440, (first_day + days) * 1440, 60):
            yield Delta(FIRST_MINUTE + at + 59, self.vector(self.drawn(rng, at, 60)), {}, 60)

    def drifted(self, first_day: int, onset: int) -> Iterator[Delta]:
        """Hours whose first minute is a pane of its own, so that the hour before is judged as soon as in serving;
        ``onset``: minute from the first day on at which the drift begins."""
        rng = np.random.default_rng([self.service.seed, 5])
        for at in range(0, (QUIET_HOURS + LOOKED_HOURS) * 60, 60):
            edges = sorted({at, at + 1, at + 60, *([onset] if at < onset < at + 60 else [])})
            for begins, ends in itertools.pairwise(edges):
                counts = self.drawn(rng, first_day * 1440 + begins, ends - begins, SHIFT if begins >= onset else 0.0)
                minute = FIRST_MINUTE + first_day * 1440 + ends - 1
                yield Delta(minute, self.vector(counts), {}, ends - begins)


def main(models: int, seeds: int, days: int, columns: int, *, zones: bool) -> None:
    found: Counter[str] = Counter()
    delays: list[float | None] = []
    for seed in range(1, models + 1):
        model = Model.of(seed, columns + 1, zones=zones)
        baseline = model.baseline(days)
        plan = ModelPlan("drift", model.layout, baseline, service=False)
        rules = incidents(plan, model.quiet(days, days))
        found.update(rules)
        if seed <= seeds:
            delays.append(delay(model, plan, days, BEGINS[(seed - 1) % len(BEGINS)] + QUIET_HOURS * 60))
        print(f"model {seed}: {dict(rules)}, delays {delays}", file=sys.stderr, flush=True)
    watched = sum(1 for block in model.layout.segment_cells.blocks if baseline.reference.vector[block.start])
    print(f"{models} models of {columns} columns and a score, {LISTED + PLANS} segments ({watched} with _other)")
    print(f"without drift, {days} days: {found.total()} incidents, {found['segment_drift']} of them segment_drift")
    print(f".5 sigma in one segment of {ROWS_PER_HOUR:g} rows an hour: {told_hours(delays)} (median, worst)")


def incidents(plan: ModelPlan, deltas: Iterator[Delta]) -> Mapping[str, int]:
    """Rule -> how many opened."""
    (alerts,) = replay([plan], deltas).alerts
    return Counter(alert.incident.rule for alert in alerts)


def delay(model: Model, plan: ModelPlan, first_day: int, onset: int) -> float | None:
    """Hours from the drift's first minute to the end of the pane that told it."""
    (alerts,) = replay([plan], model.drifted(first_day, onset)).alerts
    name = f"{COUNTRY}={value_of(COUNTRY, DRIFTED)}: {column_of(0)}"
    moves: list[Any] = [move for alert in alerts for move in alert.moves if name in move.incident.features]
    begins = FIRST_MINUTE + first_day * 1440 + onset
    told = [move.minute + 1 - begins for move in moves if move.minute >= begins]
    return min(told) / 60 if told else None
