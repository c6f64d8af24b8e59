"""Do labels name the classes as often as they did on the baseline? Fed with what the quality detector takes: labels of
mature cohorts, each once, so that labels that come sooner or later than before are no change.

The last labels of a cohort come after it was called mature, and may be of one class alone where that class is slow.
They wait for the next cohort that is mature: together they are what a day's predictions turned out to be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlmon_sidecar.checks.context import LabelView
from mlmon_sidecar.hub.kept_state import state_of, text_of
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.records import OutcomeCell
from mlmon_sidecar.statistics.edetector import Detector, DetectorOptions
from mlmon_sidecar.statistics.indicators import PREDICTIONS, key_of, slack_of
from mlmon_sidecar.statistics.label_detector import label_indicators

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector

RECENT_DAYS = 7  # what entered the detector in so many days makes the figures
DAY_MINUTES = 1440


class LabelDriftWatch:
    """``document`` is the state as it is kept; a new watch goes on from it."""

    def __init__(self, plan: ModelPlan, document: Mapping[str, Any] | None) -> None:
        self._classes = plan.layout.prediction.classes
        self._detector: Detector | None = None
        self._before: tuple[int, ...] = ()
        self._recent: list[list[int]] = []  # [day, labels of each class]
        self._newest = -1  # day of the newest cohort that entered
        reference = plan.reference
        if reference is None or not reference.confusion or not any(map(any, reference.confusion)):
            return
        self._before = tuple(map(sum, reference.confusion))
        slack = slack_of(reference, key_of(PREDICTIONS, "class"))
        options = DetectorOptions(plan.false_alarm_days)
        self._detector = Detector(label_indicators(self._classes, self._before, slack), options)
        known = document or {}
        self._state = state_of(self._detector, known.get("state", ""))
        cells = len(self._classes) + 1
        self._recent = [list(entry) for entry in known.get("recent", ()) if len(entry) == cells + 1]
        self._waiting = np.array(known.get("waiting") or [0] * cells, np.int64)
        self._newest = known.get("newest", -1)
        if len(self._waiting) != cells:
            self._waiting = np.zeros(cells, np.int64)

    @property
    def document(self) -> Mapping[str, Any]:
        if self._detector is None:
            return {}
        state, waiting = text_of(self._state), self._waiting.tolist()
        return {"state": state, "recent": self._recent, "waiting": waiting, "newest": self._newest}

    def take(self, day: int, ripe: Sequence[OutcomeCell]) -> LabelView | None:
        """Feed one Unix day's labels; days in order. None without a labelled baseline."""
        if self._detector is None:
            return None
        new = self._waiting + class_counts(ripe, self._classes)
        newest = max((cell.day for cell in ripe), default=-1)
        self._waiting = np.zeros_like(new)
        if newest <= self._newest:
            self._waiting, new = new, self._waiting
        self._newest = max(self._newest, newest)
        hours = 24.0 if new.any() else 0.0
        step = self._detector.step(self._state, new, minute=day * DAY_MINUTES, hours=hours)
        self._state = step.state
        kept = (entry for entry in self._recent if entry[0] > day - RECENT_DAYS)
        self._recent = [*kept, [day, *new.tolist()]]
        after = np.array([entry[1:] for entry in self._recent], np.int64).sum(axis=0)
        return LabelView(step, self._classes, (*self._before, 0), tuple(after.tolist()))


def class_counts(cells: Sequence[OutcomeCell], classes: Sequence[str]) -> IntVector:
    """(classes + 1,) labels that came for the first time, from signed gains of several days; other classes last.

    A correction moves a count from one class to another and is no new label: of a day no more labels are counted than
    it has gained, each class in proportion to its own gain.
    """
    place = {name: at for at, name in enumerate(classes)}
    days: dict[int, IntVector] = {}
    for cell in cells:
        gained = days.setdefault(cell.day, np.zeros(len(classes) + 1, np.int64))
        gained[place.get(cell.actual, len(classes))] += cell.rows
    counts = np.zeros(len(classes) + 1, np.int64)
    for gained in days.values():
        risen = np.maximum(gained, 0)
        if gained.sum() > 0:
            counts += risen * gained.sum() // risen.sum()
    return counts
