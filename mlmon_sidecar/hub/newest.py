"""The newest predictions, for the collapse check: the run in which all are the same, and the last hundred or so.

Rows count, not minutes: a service with ten requests an hour collapses as surely as one with a thousand a second. A pane
whose own predictions differ ends every run, so one merged window is all there is to keep.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.checks.collapse import MORE_THAN_ROWS, is_identical
from mlmon_sidecar.records import Sample, Window
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.statistics.samples import INPUTS, merge_samples

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector


class NewestPredictions:
    """Feed panes in minute order."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._rows_cell = layout.outputs.rows
        self._panes: deque[Window] = deque()
        self._sum: IntVector = np.zeros(layout.size, np.int64)
        self.identical: Window | None = None
        self.differs_since = -1  # the minute at which the last long run of identical predictions was over

    def copy(self) -> NewestPredictions:
        """One of its own: panes that are not sealed yet are judged on a copy."""
        other = NewestPredictions(self._layout)
        other._panes, other._sum, other.identical = self._panes.copy(), self._sum.copy(), self.identical
        other.differs_since = self.differs_since
        return other

    @property
    def newest(self) -> Window | None:
        """The fewest newest panes with a hundred predictions; None where there are not so many."""
        if self._sum[self._rows_cell] < MORE_THAN_ROWS:
            return None
        return Window(self._layout.model, self._panes[0].start_minute, self._panes[-1].end_minute, self._sum)

    def add(self, minute: int, vector: IntVector, samples: Mapping[str, tuple[Sample, ...]], minutes: int = 1) -> None:
        """Panes without predictions change nothing. ``minute`` is the last of the ``minutes`` that the pane spans."""
        if vector[self._rows_cell] == 0:
            return
        start, end = minute + 1 - minutes, minute + 1
        pane = Window(self._layout.model, start, end, vector, {INPUTS: samples.get(INPUTS, ())})
        self._panes.append(pane)
        self._sum = self._sum + vector
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
