"""The newest run of panes in which every prediction is the same: what the collapse check judges.

A pane whose own predictions differ ends every run, so one merged window is all there is to keep. A service with ten
requests an hour collapses as surely as one with a thousand a second: rows count, not minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlmon_sidecar.records import Sample, Window
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.statistics.samples import merge_samples

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector


class IdenticalRun:
    """Feed panes in minute order; ``window`` is the run up to the newest, or None where that one is mixed."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._model = layout.model
        self.window: Window | None = None

    def copy(self) -> IdenticalRun:
        """A run of its own: panes that are not sealed yet are judged on a copy."""
        other = IdenticalRun(self._layout)
        other.window = self.window
        return other

    def add(self, minute: int, vector: IntVector, samples: Mapping[str, tuple[Sample, ...]]) -> None:
        """Panes without predictions change nothing."""
        if vector[self._layout.outputs.rows] == 0:
            return
        alone = Window(self._model, minute, minute + 1, vector, samples)
        self.window = None if not self._identical(vector) else alone if self.window is None else self._grown(alone)

    def _grown(self, pane: Window) -> Window:
        run = self.window
        assert run is not None, "grown from a run"
        vector = run.vector + pane.vector
        if not self._identical(vector):
            return pane
        start = min(run.start_minute, pane.start_minute)
        return Window(self._model, start, pane.end_minute, vector, merge_samples(run.samples, pane.samples))

    def _identical(self, vector: IntVector) -> bool:
        cells = self._layout.outputs
        bits = vector[cells.identical]
        return bool(((bits == 0) | (bits == vector[cells.rows])).all())
