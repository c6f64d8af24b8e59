"""Versions of one model against each other, by the hour: a new one against the one before it, a canary or a shadow
against the stable one.

An hour is taken once, when a later one begins; panes that come after that count in the figures people read. A
comparison ends when either version has had no rows for ``SILENT_HOURS``, or when the baseline is of the new version.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mlmon_sidecar.checks.context import VersionDifferences
from mlmon_sidecar.hub.version_counts import DAYS_KEPT, VersionCounts
from mlmon_sidecar.statistics.detector_state import DetectorState
from mlmon_sidecar.statistics.edetector import Detector, DetectorOptions
from mlmon_sidecar.statistics.profile import slot_of
from mlmon_sidecar.statistics.version_pair import MOST_PAIRS, Shares, VersionPair, version_pair

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlmon_sidecar.hub.plan import ModelPlan
    from mlmon_sidecar.records import IntVector
    from mlmon_sidecar.statistics.edetector import Alarm

SILENT_HOURS = 72
RECENT_DAYS = 2  # today and the day before: who has more rows, and what is told of a difference
MIXED = "_other"  # the recorders' name for versions beyond those they tell apart


@dataclass(slots=True, eq=False)
class _Pair:
    """One comparison. ``pending``: (4, I) hits and totals of the new, then of the old version that the detector has
    not had."""

    new: str
    old: str
    state: DetectorState
    pending: NDArray[np.int64]
    together: bool = True
    _encoded: dict[str, str] | None = None  # of the last hour; it is written every minute

    @property
    def encoded(self) -> Mapping[str, str]:
        """What an hour changes."""
        if self._encoded is None:
            self._encoded = {
                "state": base64.b64encode(self.state.to_bytes()).decode(),
                "pending": base64.b64encode(self.pending.astype("<i8").tobytes()).decode(),
            }
        return self._encoded

    def gather(self, new: Shares, old: Shares | None) -> None:
        self._encoded = None
        if self.together != (old is not None):
            self.together = old is not None
            self.pending[:] = 0
        self.pending[:2] += new
        if old is not None:
            self.pending[2:] += old


class VersionWatch:
    """One model's. ``document`` and the panes of a week are all it needs to go on elsewhere."""

    def __init__(self, plan: ModelPlan, document: Mapping[str, Any] | None, watermark: int) -> None:
        self._plan = plan
        self._shadow = frozenset(plan.shadow)
        self._own = "" if plan.reference is None else plan.reference.version
        self._pairs: list[_Pair] = []
        self._ended: list[VersionDifferences] = []  # told with the next minute
        through = watermark // 60 - 1
        if document:
            through = document["through"]
            for item in document["pairs"]:
                self._restore(item, through)
        self.counts = VersionCounts(plan.layout, through)

    def _restore(self, item: Mapping[str, Any], through: int) -> None:
        """A comparison that the configuration no longer asks for ends; one of other indicators begins anew."""
        state = DetectorState.from_bytes(base64.b64decode(item["state"]))
        fits, asked = self._detector.accepts(state), self._asked_for(item["new"], item["old"])
        if asked and fits:
            pending = np.frombuffer(base64.b64decode(item["pending"]), "<i8").astype(np.int64).reshape(4, -1)
            self._pairs.append(_Pair(item["new"], item["old"], state, pending, item["together"]))
            return
        if asked:
            self._pairs.append(self._new_pair(item["new"], item["old"], through))
        held = tuple((stream, name) for stream, name in item["held"])
        self._ended.append(self._told(item["new"], item["old"], closed=held))

    def _new_pair(self, new: str, old: str, hour: int) -> _Pair:
        state = self._detector.initial()
        state = replace(state, onset=np.full_like(state.onset, hour * 60 - 1))  # what differs has differed since then
        return _Pair(new, old, state, np.zeros((4, self._pair.size), np.int64))

    @cached_property
    def _pair(self) -> VersionPair:
        """Made when there are two versions: of many features it costs a tenth of a second."""
        return version_pair(self._plan.layout, self._plan.reference, service=self._plan.service)

    @cached_property
    def _detector(self) -> Detector:
        return Detector(self._pair.indicators, DetectorOptions(self._plan.false_alarm_days))

    @property
    def document(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "through": self.counts.through,
            "pairs": [
                {
                    "new": pair.new, "old": pair.old, "together": pair.together,
                    "held": [list(unit) for unit in self._held(pair)],
                    **pair.encoded,
                }
                for pair in self._pairs
            ],
        }  # fmt: skip

    @property
    def compared(self) -> Mapping[str, str]:
        """New version to the one it is compared with."""
        return {pair.new: pair.old for pair in self._pairs}

    def take(self, minute: int, parts: Mapping[str, IntVector]) -> Sequence[VersionDifferences]:
        """One minute's (layout.size,) counts by version. What is told is of hours that are over."""
        told, self._ended = self._ended, []
        hour = minute // 60
        if hour > self.counts.open_hour:
            told += self._close() if self.counts.open else []
            self.counts.through = hour - 1
        self.counts.add(minute, parts)
        return told

    def load(self, minute: int, parts: Mapping[str, IntVector]) -> None:
        """Read back what was taken before."""
        self.counts.add(minute, parts)

    def _close(self) -> list[VersionDifferences]:
        hour, closed = self.counts.open_hour, self.counts.close()
        rows = self._plan.layout.traffic.rows
        hours = {version: vector for version, vector in closed.items() if vector[rows]}
        told = self._end(hour)
        self._begin(hours, hour)
        for pair in self._pairs:
            if pair.new in hours:
                told += self._step(pair, hours[pair.new], hours.get(pair.old), hour)
        return told

    # ------------------------------------------------------------ which are compared

    def _asked_for(self, new: str, old: str) -> bool:
        if new == self._own or new == self._plan.stable or old in self._shadow:
            return False
        return self._plan.stable in ("", old)

    def _end(self, hour: int) -> list[VersionDifferences]:
        over = [p for p in self._pairs if min(map(self.counts.last_hour, (p.new, p.old))) <= hour - SILENT_HOURS]
        self._pairs = [pair for pair in self._pairs if pair not in over]
        return [self._told(pair.new, pair.old, closed=self._held(pair)) for pair in over]

    def _begin(self, hours: Mapping[str, IntVector], hour: int) -> None:
        for new in sorted(hours):
            old = self._stable_for(new, hours, hour)
            if old is None or len(self._pairs) >= MOST_PAIRS:
                continue
            self._pairs.append(self._new_pair(new, old, hour))

    def _stable_for(self, new: str, hours: Collection[str], hour: int) -> str | None:
        """What to compare ``new`` with; None: nothing, or it is compared already. ``hours``: who answers now."""
        if new == MIXED or any(pair.new == new for pair in self._pairs):
            return None
        live = [v for v in self.counts.known() if self.counts.last_hour(v) > hour - SILENT_HOURS]
        others = [v for v in live if v not in (new, MIXED) and self._asked_for(new, v)]
        if not self._plan.stable and new not in self._shadow:
            reverse = {pair.new for pair in self._pairs if pair.old == new}
            others = [v for v in others if v not in reverse and self._is_older(v, new)]
        return max(others, key=lambda v: (v in hours, self.counts.rows(v, RECENT_DAYS), v), default=None)

    def _is_older(self, version: str, new: str) -> bool:
        """Seen on an earlier day, or with more rows where both were first seen on one."""
        mine, other = ((self.counts.first_day(v), -self.counts.rows(v, RECENT_DAYS), v) for v in (version, new))
        return mine < other

    # ------------------------------------------------------------ comparing

    def _step(self, pair: _Pair, new: IntVector, old: IntVector | None, hour: int) -> list[VersionDifferences]:
        these = self._pair
        pair.gather(these.shares(new), None if old is None else these.shares(old))
        mine = Shares(pair.pending[0], pair.pending[1])
        if pair.together:
            vector, used = these.together(mine, Shares(pair.pending[2], pair.pending[3]))
        else:
            before = these.shares(self.counts.total(pair.old))
            vector, used = these.after(mine, before, slot_of(hour), self.counts.slots(pair.old))
        if not used.any():
            return []
        pair.pending[:, used] = 0
        step = self._detector.step(pair.state, vector, minute=hour * 60 + 59, hours=1.0)
        pair.state = step.state
        if not (step.alarms or step.closed):
            return []
        old_days = RECENT_DAYS if pair.together else DAYS_KEPT
        counts = self.counts.total(pair.new, RECENT_DAYS), self.counts.total(pair.old, old_days)
        return [self._told(pair.new, pair.old, pair.together, step.alarms, step.closed, counts)]

    def _told(
        self,
        new: str,
        old: str,
        together: bool = True,
        alarms: Sequence[Alarm] = (),
        closed: Sequence[tuple[str, str]] = (),
        counts: tuple[IntVector, IntVector] | None = None,
    ) -> VersionDifferences:
        return VersionDifferences(
            new, old, shadow=new in self._shadow, together=together, alarms=tuple(alarms), closed=tuple(closed),
            counts=counts,
        )  # fmt: skip

    def _held(self, pair: _Pair) -> tuple[tuple[str, str], ...]:
        units = self._detector.indicators.units
        return tuple((u.stream, u.name) for u, held in zip(units, pair.state.held, strict=True) if held)
