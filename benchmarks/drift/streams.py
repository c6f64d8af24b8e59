"""Seeded traffic: when requests come, and what their features hold. Imports numpy alone, so that peers can run on it.

A numeric feature is standard normal noise plus what its stream adds, in units of that noise (sigma). A categorical
feature cuts the same latent figure into twelve unequal parts, or draws from a long tail. Time is in minutes since a
Monday midnight, UTC. Values of a feature depend on (seed, stream, feature) alone: a drifted twin has the same noise.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

DAY = 1440
CATEGORY_CUTS = np.array([-1.5, -1.1, -0.8, -0.5, -0.2, 0.0, 0.2, 0.5, 0.8, 1.1, 1.5], dtype=np.float32)
SESSION_SHARE = 0.5  # of a value's variance that the rows of one session have in common
BATCH_ROWS = 2000
NEW_CATEGORY = 1 << 20  # a code that no stream draws by itself
TAIL = 1.3  # of the long-tailed categories: P(code > k) falls like k**-(TAIL - 1)


@dataclass(frozen=True, slots=True)
class Stream:
    """What healthy traffic does.

    Attributes:
        rows_per_hour: on average; every row is a request of its own unless it comes in the daily batch.
        wander, rho: standard deviation in sigma and lag-1 autocorrelation of an hourly AR(1) in each feature's mean.
        diurnal: amplitude in sigma of a daily sine in the mean; the volume swings by half with it.
        weekend: step in sigma on Saturdays and Sundays, when half the rows come.
        session: mean rows of a session; 1 is none.
        bursts: nulls come in outages of half an hour, about one in a day, beside a steady half of a percent.
        batch: one request of 2,000 rows a day, their mean .5 sigma off.
        sleeps: nothing comes from 22:00 to 06:00.
        tail: categorical features draw from 1,000,000 values.
        categorical: part of the features that are categorical.
    """

    name: str
    rows_per_hour: float = 1000.0
    wander: float = 0.0
    rho: float = 0.0
    diurnal: float = 0.0
    weekend: float = 0.0
    session: float = 1.0
    nulls: float = 0.02
    bursts: bool = False
    batch: bool = False
    sleeps: bool = False
    tail: bool = False
    categorical: float = 0.2


STREAMS = {
    stream.name: stream
    for stream in (
        Stream("iid"),
        Stream("sessions", session=5.0),
        Stream("autocorrelated .9", wander=0.1, rho=0.9),
        Stream("autocorrelated .99", wander=0.1, rho=0.99),
        Stream("diurnal", diurnal=0.5),
        Stream("weekly", weekend=-0.3),
        Stream("combined", session=3.0, wander=0.05, rho=0.9, diurnal=0.3, weekend=-0.3, bursts=True),
        Stream("bursty nulls", bursts=True),
        Stream("daily batch", rows_per_hour=200.0, batch=True),
        Stream("many categories", tail=True, categorical=1.0),
        Stream("3 rows a minute", rows_per_hour=180.0),
        Stream("sleeps at night", sleeps=True, diurnal=0.3),
    )
}


@dataclass(frozen=True, slots=True)
class Drift:
    """What a twin does to one feature from ``minute`` on."""

    minute: int
    feature: int
    shift: float = 0.0  # sigma
    nulls: float = 0.0  # added to the null rate
    new: float = 0.0  # part of the rows with a value never seen


@dataclass(frozen=True)
class Traffic:
    """Arrivals of one stream and seed. Rows ascend in time."""

    stream: Stream
    seed: int
    minutes: int
    minute: Array  # (rows,) int64
    batch: Array  # (rows,) bool: part of the daily request
    session: Array  # (rows,) int64 number of the row's session; empty without sessions
    kept: dict[int, tuple[Array, Array]] = field(default_factory=dict)  # healthy values, while a baseline is built

    def is_categorical(self, feature: int) -> bool:
        """The last features are."""
        return feature % 10 >= 10 - round(10 * self.stream.categorical)

    def values(self, feature: int, drift: Drift | None = None) -> tuple[Array, Array]:
        """(rows,) float32 numbers or int64 codes, and (rows,) whether each is missing."""
        if drift is not None and drift.feature == feature:
            return self._drawn(feature, drift)
        if feature not in self.kept:
            self.kept[feature] = self._drawn(feature, None)
        return self.kept[feature]

    def _drawn(self, feature: int, moved: Drift | None) -> tuple[Array, Array]:
        rng = _rng(self.seed, self.stream.name, "feature", feature)
        latent = self._noise(rng)
        if self.stream.diurnal or self.stream.weekend or self.stream.wander:
            latent += self._mean(rng).astype(np.float32)[self.minute]
        if self.stream.batch:
            latent[self.batch] += 0.5
        late = self.minute >= moved.minute if moved is not None else np.zeros(0, dtype=bool)
        if moved is not None:
            latent += np.float32(moved.shift) * late
        chance: Array | float = self._null_chance(rng)[self.minute] if self.stream.bursts else self.stream.nulls
        if moved is not None:
            chance = chance + moved.nulls * late
        missing = rng.random(len(latent), dtype=np.float32) < chance
        if not self.is_categorical(feature):
            return latent, missing
        codes = _tail(rng, len(latent)) if self.stream.tail else CATEGORY_CUTS.searchsorted(latent)
        if moved is not None and moved.new:
            codes = np.where(late & (rng.random(len(codes)) < moved.new), NEW_CATEGORY, codes)
        return codes, missing

    def _noise(self, rng: np.random.Generator) -> Array:
        noise: Array = rng.standard_normal(len(self.minute), dtype=np.float32)
        if len(self.session):
            common = rng.standard_normal(int(self.session.max()) + 1, dtype=np.float32)
            noise *= np.float32(np.sqrt(1 - SESSION_SHARE))
            noise += np.float32(np.sqrt(SESSION_SHARE)) * common[self.session]
        return noise

    def _mean(self, rng: np.random.Generator) -> Array:
        """(minutes,) what the stream adds to the noise."""
        stream, at = self.stream, np.arange(self.minutes)
        mean = stream.diurnal * np.sin(2 * np.pi * at / DAY + rng.uniform(0, 2 * np.pi))
        mean += stream.weekend * (at // DAY % 7 >= 5)
        if stream.wander:
            hours = self.minutes // 60 + 1
            steps, level = rng.standard_normal(hours), np.empty(hours)
            level[0], pace = steps[0], np.sqrt(1 - stream.rho**2)
            for hour in range(1, hours):
                level[hour] = stream.rho * level[hour - 1] + pace * steps[hour]
            mean += stream.wander * level[at // 60]
        return mean

    def _null_chance(self, rng: np.random.Generator) -> Array:
        chance = np.full(self.minutes, 0.005, dtype=np.float32)
        for start in np.flatnonzero(rng.random(self.minutes) < 1 / DAY):
            chance[start : start + 30] = 0.5
        return chance


def traffic(stream: Stream, seed: int, days: int) -> Traffic:
    """Arrivals by a Poisson process whose rate follows the stream's day and week."""
    rng, minutes = _rng(seed, stream.name, "arrivals", 0), days * DAY
    at = np.arange(minutes)
    rate = np.full(minutes, stream.rows_per_hour / 60)
    if stream.diurnal:
        rate *= 1 + 0.5 * np.sin(2 * np.pi * (at / DAY - 0.3))
    if stream.weekend:
        rate *= np.where(at // DAY % 7 >= 5, 0.5, 1.0)
    if stream.sleeps:
        rate *= (at % DAY >= 6 * 60) & (at % DAY < 22 * 60)
    session = np.zeros(0, dtype=np.int64)
    if stream.session > 1:
        starts = np.repeat(at, rng.poisson(rate / stream.session))
        session = np.repeat(np.arange(len(starts)), rng.geometric(1 / stream.session, len(starts)))
        minute = starts[session] + rng.integers(0, 10, len(session))
        order = np.argsort(minute, kind="stable")
        minute, session = minute[order], session[order]
        inside = int(np.searchsorted(minute, minutes))
        minute, session = minute[:inside], session[:inside]
    else:
        minute = np.repeat(at, rng.poisson(rate))
    batch = np.zeros(len(minute), dtype=bool)
    if stream.batch:
        batched = np.repeat(at[at % DAY == 3 * 60], BATCH_ROWS)
        batch = np.concatenate((batch, np.ones(len(batched), dtype=bool)))
        minute = np.concatenate((minute, batched))
        order = np.argsort(minute, kind="stable")
        minute, batch = minute[order], batch[order]
    return Traffic(stream, seed, minutes, minute.astype(np.int64), batch, session)


def _tail(rng: np.random.Generator, rows: int) -> Array:
    """Codes below 1,000,000 with a Pareto tail."""
    drawn = np.floor((1 - rng.random(rows)) ** (-1 / (TAIL - 1)) - 1)
    codes: Array = np.minimum(drawn, 999_999).astype(np.int64)
    return codes


def _rng(seed: int, name: str, what: str, number: int) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode()), zlib.crc32(what.encode()), number])
