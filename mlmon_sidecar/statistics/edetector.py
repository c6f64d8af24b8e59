"""A Shiryaev-Roberts e-detector mixture with a bounded rate of false alarms.

For each indicator, side and step g an alternative q stands g beyond the boundary q0 of what is tolerated (in Cohen's
h), and ``L = exp(n / deff * (f ln(q / q0) + (1 - f) ln((1 - q) / (1 - q0))))`` has expectation at most 1 while the
true share stays inside. ``M <- (M + dt * min(1, n / 20)) * L`` is then at most the hours elapsed, on average, so that
``sum w M`` reaches ``A`` hours less often than once in A hours.

Sources: Shin, Ramdas and Rinaldo, "E-detectors: a nonparametric framework for sequential change detection", New
England Journal of Statistics in Data Science 2 (2024); naming by the e-d-BH procedure for many streams
(arXiv 2501.04130). Fractional weights and deff > 1 keep the bound by Jensen's inequality.

Deterministic: equal sequences of (vector, minute, hours) give equal bytes on one type of processor.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlmon_sidecar.errors import StoreError
from mlmon_sidecar.statistics.components import Stakes, components
from mlmon_sidecar.statistics.detector_state import DetectorState
from mlmon_sidecar.statistics.indicator_set import DOWNWARD, TWO_SIDED, IndicatorSet
from mlmon_sidecar.statistics.profile import slot_of

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector, IntVector

FULL_CLOCK_REQUESTS = 20.0  # fewer in a pane slow the clock: no data, no time
NOTICE_PART = 12.0  # a notice comes at this part of the alarm line
HELD_FACTOR = 2.0  # the line is this much higher while anything is held
QUIET_NATS = 0.1  # evidence below it is as good as none: the onset lies after
RISE_NATS = 3.0  # evidence twentyfold its lowest counts as risen: by Ville's inequality chance does so 1 time in 20
CLOSE_MINUTES = 60
CLOSE_Z = 1.959963984540054  # 95% interval
KEPT_SLOTS = 2  # hours of day whose stakes are kept: this one, and that of late panes
CLOSE_PRECISION = 4.0  # the standard error must be this much smaller than the tolerance


@dataclass(frozen=True, slots=True)
class DetectorOptions:
    """How many days of healthy traffic may pass, on average, between two false alarms of one model."""

    false_alarm_days: float = 90.0  # > 0

    @property
    def hours(self) -> float:
        return 24 * self.false_alarm_days


class Alarm(NamedTuple):
    """One stream crossed its line. The units are held from now on."""

    stream: str
    units: tuple[str, ...]  # strongest first
    evidence: tuple[float, ...]  # per unit
    onset: tuple[int, ...]  # per unit: the last minute without evidence


class Evidence(Mapping[tuple[str, str], float]):
    """(stream, unit) -> evidence, looked up when asked: most panes nobody asks."""

    def __init__(self, index: Mapping[tuple[str, str], int], values: FloatVector) -> None:
        self._index, self._values = index, values

    def __getitem__(self, key: tuple[str, str]) -> float:
        return float(self._values[self._index[key]])

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)


@dataclass(frozen=True, slots=True)
class Step:
    """What one pane changed.

    Attributes:
        alarms: at most one a stream.
        notices: (stream, unit) of streams above a twelfth of their line and below it.
        closed: (stream, unit) whose trailing effect is back within its tolerance.
        held: (stream, unit) held after this step, those of ``alarms`` included.
        evidence: (stream, unit) -> ln(1 + w M) / ln(1 + line). 1 alone is the alarm; several together can alarm
            below 1.
    """

    state: DetectorState
    alarms: tuple[Alarm, ...]
    notices: tuple[tuple[str, str], ...]
    closed: tuple[tuple[str, str], ...]
    held: tuple[tuple[str, str], ...]
    evidence: Mapping[tuple[str, str], float]


class Detector:
    """Steps a ``DetectorState`` through panes. Holds no state itself: one may serve provisional views as well."""

    def __init__(self, indicators: IndicatorSet, options: DetectorOptions | None = None) -> None:
        self.indicators = indicators
        self.options = options or DetectorOptions()
        self._components = components(indicators)
        self._moves = bool(len(indicators.offsets))  # with the time
        self._stakes: dict[int, Stakes] = {}  # of the slots used last
        self._unit_of_component = indicators.unit[self._components.indicator]
        units = np.arange(len(indicators.units))
        self._starts = np.searchsorted(self._unit_of_component, units)
        sizes = np.bincount(self._unit_of_component, minlength=len(units))
        weight = np.array([unit.weight for unit in indicators.units], dtype=np.float64)
        self._log_weight = np.log(weight) - np.log(sizes)  # of the sum over components, to make it w * mean
        self._keys = [(unit.stream, unit.name) for unit in indicators.units]
        self._unit_line = np.array([self._line(stream, any_held=False) for stream, _ in self._keys])
        self._streams = {
            stream: np.array([i for i, key in enumerate(self._keys) if key[0] == stream], dtype=np.int64)
            for stream in dict.fromkeys(key[0] for key in self._keys)
        }

    def initial(self) -> DetectorState:
        """Nothing seen, nothing held."""
        units, count = len(self.indicators.units), len(self.indicators.unit)
        return DetectorState(
            signature=self.indicators.signature,
            hour=-1,
            log_m=np.full(len(self._components.indicator), -np.inf),
            held=np.zeros(units, np.uint8),
            onset=np.full(units, -1, np.int64),
            low_nats=np.zeros(units),
            since=np.zeros(units, np.int64),
            trailing_hits=np.zeros(count, np.int64),
            trailing_totals=np.zeros(count, np.int64),
        )

    def accepts(self, state: DetectorState) -> bool:
        """Whether the state was made under these indicators."""
        return state.signature == self.indicators.signature

    def step(self, state: DetectorState, vector: IntVector, *, minute: int, hours: float) -> Step:
        """Take one pane in; ``state`` is left as it was, the new one is in the answer.

        Args:
            vector: int64 counts of the pane.
            minute: of the pane (Unix minutes). Late panes may come with an older minute.
            hours: time the pane stands for: 1/60 for a minute, 0 for a late addition to a minute already taken.

        Raises ``StoreError`` for a state of other indicators.
        """
        if not self.accepts(state):
            raise StoreError(
                "a detector state belongs to another baseline",
                code="detector_state",
                hint="Start the model's detector anew when its reference or layout changes.",
            )
        hits = self.indicators.hits.of_vector(vector)
        totals = self.indicators.totals.of_vector(vector)
        state = self._turn_hour(state, minute)
        if totals.any():
            state, log_wm = self._take(state, hits, totals, minute, hours)
        else:
            log_wm = self._log_wm(state.log_m)
        state, closed = self._close(state, log_wm, minute)
        return self._judge(state, closed, np.where(closed, -np.inf, log_wm), minute)

    def evidence(self, state: DetectorState) -> Mapping[tuple[str, str], float]:
        """As in ``Step``, for a state at rest."""
        return self._evidence(self._log_wm(state.log_m), bool(state.held.any()))

    def _evidence(self, log_wm: FloatVector, any_held: bool) -> Evidence:
        lines = np.log1p(self._unit_line * (HELD_FACTOR if any_held else 1.0))
        return Evidence(self.indicators.index, np.logaddexp(0.0, log_wm) / lines)

    # ------------------------------------------------------------ taking a pane in

    def _turn_hour(self, state: DetectorState, minute: int) -> DetectorState:
        """At the first pane of a new hour: trailing counts start again for held units whose evidence has risen."""
        hour = minute // 60
        if hour <= state.hour:
            return state
        if not state.held.any():
            return replace(state, hour=hour)
        held = state.held == 1
        nats = np.logaddexp(0.0, self._log_wm(state.log_m))
        rose = held & (nats > state.low_nats + RISE_NATS)
        again = rose[self.indicators.unit]
        return replace(
            state,
            hour=hour,
            low_nats=np.where(rose, nats, np.where(held, np.minimum(nats, state.low_nats), 0.0)),
            since=np.where(rose, hour * 60, state.since),
            trailing_hits=np.where(again, 0, state.trailing_hits),
            trailing_totals=np.where(again, 0, state.trailing_totals),
        )

    def _take(
        self, state: DetectorState, hits: IntVector, totals: IntVector, minute: int, hours: float
    ) -> tuple[DetectorState, FloatVector]:
        """The state after it, and ln of weight times mean M of its units."""
        index = self._components.indicator
        stakes = self._stakes_at(minute)
        n = totals / self.indicators.weight_unit
        x = hits / self.indicators.weight_unit
        with np.errstate(divide="ignore"):  # no data or no time adds nothing: ln 0 = -inf is meant
            clock = np.log(hours * np.minimum(1.0, n / FULL_CLOCK_REQUESTS))
        gain = x[index] * stakes.hit + (n - x)[index] * stakes.miss
        log_m = np.logaddexp(state.log_m, clock[index]) + gain
        log_wm = self._log_wm(log_m)
        quiet = np.logaddexp(0.0, log_wm) < QUIET_NATS
        counts = ((state.held == 1) & (minute >= state.since))[self.indicators.unit]
        taken = replace(
            state,
            log_m=log_m,
            onset=np.where(quiet, np.maximum(state.onset, minute), state.onset),
            trailing_hits=state.trailing_hits + np.where(counts, hits - self._seasonal(totals, minute), 0),
            trailing_totals=state.trailing_totals + np.where(counts, totals, 0),
        )
        return taken, log_wm

    def _stakes_at(self, minute: int) -> Stakes:
        slot = slot_of(minute // 60) if self._moves else 0
        stakes = self._stakes.get(slot)
        if stakes is None:
            if len(self._stakes) >= KEPT_SLOTS:
                self._stakes.clear()
            stakes = self._components.stakes(self.indicators, slot if self._moves else None)
            self._stakes[slot] = stakes
        return stakes

    def _seasonal(self, totals: IntVector, minute: int) -> IntVector:
        """(I,) hits that the time of day explains: without them trailing counts compare with the reference's share."""
        if not self._moves:
            return np.zeros_like(totals)
        these = self.indicators
        angle = np.clip(these.angle + these.offsets[slot_of(minute // 60)], 0.0, math.pi / 2)
        hits: IntVector = np.rint(totals * (np.sin(angle) ** 2 - np.sin(these.angle) ** 2)).astype(np.int64)
        return hits

    def _log_wm(self, log_m: FloatVector) -> FloatVector:
        """(U,) ln of weight times mean M; -inf where M is 0 throughout."""
        if not len(log_m):
            return np.zeros(0)
        peak = np.maximum.reduceat(log_m, self._starts)
        base = np.where(np.isneginf(peak), 0.0, peak)
        total = np.add.reduceat(np.exp(log_m - base[self._unit_of_component]), self._starts)
        with np.errstate(divide="ignore"):  # a unit at M = 0
            log_wm: FloatVector = base + np.log(total) + self._log_weight
        return log_wm

    # ------------------------------------------------------------ closing

    def _close(self, state: DetectorState, log_wm: FloatVector, minute: int) -> tuple[DetectorState, NDArray[np.bool_]]:
        """Give back held units whose trailing effect is, with 95% confidence, within the tolerance."""
        closing = (state.held == 1) & (minute + 1 - state.since >= CLOSE_MINUTES)
        if not closing.any():
            return state, closing
        nats = np.logaddexp(0.0, log_wm)
        closing &= nats <= state.low_nats + RISE_NATS
        closing &= np.logical_and.reduceat(self._recovered(state), self.indicators.unit_starts)
        if not closing.any():
            return state, closing
        again = closing[self.indicators.unit]
        return replace(
            state,
            log_m=np.where(closing[self._unit_of_component], -np.inf, state.log_m),
            held=np.where(closing, 0, state.held).astype(np.uint8),
            onset=np.where(closing, minute, state.onset),
            low_nats=np.where(closing, 0.0, state.low_nats),
            since=np.where(closing, 0, state.since),
            trailing_hits=np.where(again, 0, state.trailing_hits),
            trailing_totals=np.where(again, 0, state.trailing_totals),
        ), closing

    def _recovered(self, state: DetectorState) -> NDArray[np.bool_]:
        """(I,) the interval of the trailing effect lies inside the tolerance and is narrow enough to say so."""
        these = self.indicators
        n = np.maximum(state.trailing_totals / these.weight_unit, 1e-9)
        share = np.clip(state.trailing_hits / np.maximum(state.trailing_totals, 1), 0.0, 1.0)
        error = np.sqrt(these.deff / n)
        effect = 2 * (np.arcsin(np.sqrt(share)) - these.angle)
        effect = np.where(these.side == TWO_SIDED, np.abs(effect), np.where(these.side == DOWNWARD, -effect, effect))
        inside: NDArray[np.bool_] = (effect + CLOSE_Z * error <= these.tolerance) & (
            error < these.tolerance / CLOSE_PRECISION
        )
        return inside

    # ------------------------------------------------------------ alarms

    def _judge(self, state: DetectorState, closed: NDArray[np.bool_], log_wm: FloatVector, minute: int) -> Step:
        any_held = bool(state.held.any())
        free = state.held == 0
        evidence = self._evidence(log_wm, any_held)
        alarms: list[Alarm] = []
        notices: list[tuple[str, str]] = []
        named: list[int] = []
        for stream, members in self._streams.items():
            line = self._line(stream, any_held)
            candidates = members[free[members]]
            if not len(candidates):
                continue
            together = float(np.logaddexp.reduce(log_wm[candidates]))
            if together >= math.log(line):
                units = self._named(log_wm, candidates, line)
                named.extend(units)
                keys = [self._keys[i] for i in units]
                alarms.append(
                    Alarm(
                        stream,
                        tuple(name for _, name in keys),
                        tuple(evidence[key] for key in keys),
                        tuple(int(state.onset[i]) for i in units),
                    )
                )
            elif together >= math.log(line / NOTICE_PART):
                notices.extend(self._keys[i] for i in self._named(log_wm, candidates, line / NOTICE_PART))
        if named:
            state = self._hold(state, named, log_wm, minute)
        return Step(
            state=state,
            alarms=tuple(alarms),
            notices=tuple(notices),
            closed=tuple(self._keys[i] for i in np.flatnonzero(closed)),
            held=tuple(self._keys[i] for i in np.flatnonzero(state.held)),
            evidence=evidence,
        )

    def _line(self, stream: str, any_held: bool) -> float:
        factor = HELD_FACTOR if any_held else 1.0
        return factor * self.options.hours / self.indicators.stream_weight[stream]

    @staticmethod
    def _named(log_wm: FloatVector, candidates: IntVector, line: float) -> list[int]:
        """The largest k for which the k-th largest wM reaches line/k; the largest alone where there is none."""
        order = candidates[np.argsort(-log_wm[candidates], kind="stable")]
        ranks = np.arange(1, len(order) + 1)
        reached = np.flatnonzero(log_wm[order] >= math.log(line) - np.log(ranks))
        count = int(reached[-1]) + 1 if len(reached) else 1
        return [int(i) for i in order[:count]]

    @staticmethod
    def _hold(state: DetectorState, named: list[int], log_wm: FloatVector, minute: int) -> DetectorState:
        held, since, low_nats = state.held.copy(), state.since.copy(), state.low_nats.copy()
        held[named] = 1
        since[named] = minute + 1
        low_nats[named] = np.logaddexp(0.0, log_wm[named])
        return replace(state, held=held, since=since, low_nats=low_nats)
