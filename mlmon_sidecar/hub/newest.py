"""The newest predictions, for the collapse checks: the run in which all are the same, and the last hundred or so.

Rows count, not minutes: a service with ten requests an hour collapses as surely as one with a thousand a second. A pane
whose own predictions differ ends every run, so one merged window is all there is to keep.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.checks.collapse import MORE_THAN_ROWS, REACH_MINUTES, is_identical
from mlmon_sidecar.checks.context import VersionAnswers
from mlmon_sidecar.records import Sample, Window
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.statistics.samples import INPUTS, merge_samples

if TYPE_CHECKING:
    from mlmon_sidecar.hub.seal import Delta
    from mlmon_sidecar.records import IntVector


class NewestPredictions:
    """Feed panes in minute order, all of one length: the layout's, or as much of it as holds the predictions."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._rows_cell = layout.outputs.rows
        self._panes: deque[Window] = deque()
        self._sum: IntVector = np.zeros(1, np.int64)
        self.identical: Window | None = None
        self.differs_since = -1  # the minute at which the last long run of identical predictions was over

    def copy(self) -> NewestPredictions:
        """One of its own: panes that are not sealed yet are judged on a copy."""
        other = NewestPredictions(self._layout)
        other._panes, other._sum, other.identical = self._panes.copy(), self._sum.copy(), self.identical
        other.differs_since = self.differs_since
        return other

    @property
    def end_minute(self) -> int:
        """Behind the newest pane with predictions; -1 before there is one."""
        return self._panes[-1].end_minute if self._panes else -1

    @property
    def newest(self) -> Window | None:
        """The fewest newest panes with a hundred predictions; None where there are not so many."""
        if not self._panes or self._sum[self._rows_cell] < MORE_THAN_ROWS:
            return None
        return Window(self._layout.model, self._panes[0].start_minute, self._panes[-1].end_minute, self._sum)

    def add(self, minute: int, vector: IntVector, samples: Mapping[str, tuple[Sample, ...]], minutes: int = 1) -> None:
        """Panes without predictions change nothing. ``minute`` is the last of the ``minutes`` that the pane spans."""
        if vector[self._rows_cell] == 0:
            return
        start, end = minute + 1 - minutes, minute + 1
        pane = Window(self._layout.model, start, end, vector, {INPUTS: samples.get(INPUTS, ())})
        self._panes.append(pane)
        self._sum = self._sum + vector if len(self._panes) > 1 else vector
        while self._sum[self._rows_cell] - self._panes[0].vector[self._rows_cell] >= MORE_THAN_ROWS:
            self._sum = self._sum - self._panes.popleft().vector
        run, self.identical = self.identical, self._run_with(pane)
        if run is not None and run.vector[self._rows_cell] > MORE_THAN_ROWS and self._broke(run):
            self.differs_since = minute

    def _broke(self, run: Window) -> bool:
        return self.identical is None or self.identical.start_minute > run.start_minute

    def _run_with(self, pane: Window) -> Window | None:
        if not is_identical(self._layout, pane.vector):
            return None
        run = self.identical
        if run is None:
            return pane
        vector = run.vector + pane.vector
        if not is_identical(self._layout, vector):
            return pane
        return Window(run.model, run.start_minute, pane.end_minute, vector, merge_samples(run.samples, pane.samples))


class NewestByVersion:
    """The newest predictions of each version that answered within a day: one may be stuck while the others hide it."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._end = layout.outputs.confidence_ppm + 1  # features lie behind
        self._known: dict[str, NewestPredictions] = {}

    def copy(self) -> NewestByVersion:
        """One of its own, as of ``NewestPredictions``."""
        other = NewestByVersion(self._layout)
        other._known = {version: newest.copy() for version, newest in self._known.items()}
        return other

    def add(self, delta: Delta) -> None:
        """Minutes in their order."""
        for version, vector in delta.parts.items():
            if vector[self._layout.outputs.rows]:
                newest = self._known.setdefault(version, NewestPredictions(self._layout))
                newest.add(
                    delta.minute, vector[: self._end].copy(), {INPUTS: delta.inputs.get(version, ())}, delta.minutes
                )
        gone = delta.minute - REACH_MINUTES
        self._known = {version: newest for version, newest in self._known.items() if newest.end_minute > gone}

    def view(self, shadow: Collection[str]) -> Mapping[str, VersionAnswers]:
        """By version. ``shadow``: versions whose answers nobody gets."""
        return {
            version: VersionAnswers(known.identical, known.newest, version in shadow)
            for version, known in self._known.items()
        }
