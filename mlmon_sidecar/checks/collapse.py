"""The model, or one of its versions, says the same whatever it is asked. P1; P2 where no baseline tells how odd that
is, and for a shadow, whose answers nobody gets.

True when over the newest panes there are more than 100 predictions, at least 20 distinct inputs, all predictions are
identical (each of 32 hash-bit counters is 0 or the number of predictions), and the reference makes such a run
improbable: ``requests * -ln p >= 16``, with p the reference share of that score bin or class. A 99% majority class
needs about 1,600 identical answers; "100 identical" alone would page many times a day.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.checks.context import CheckContext
from mlmon_sidecar.records import WEIGHT_UNIT, Finding, Layer, Sample, Tier, Window
from mlmon_sidecar.statistics.samples import INPUTS, merge_samples

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector
    from mlmon_sidecar.statistics.layout import Layout
    from mlmon_sidecar.statistics.reference import Reference

MORE_THAN_ROWS = 100
DISTINCT_INPUTS = 20
IMPROBABLE_NATS = 16.0
REACH_MINUTES = 24 * 60
UNIT = "prediction"


class Collapse:
    name = "collapse"
    layer = Layer.PREDICTION

    def ready(self, context: CheckContext) -> str:
        if context.newest is not None:
            return ""
        cell = context.layout.outputs.rows
        rows = max((int(window.vector[cell]) for window in context.recent.values()), default=0)
        return f"warming up {rows}/{MORE_THAN_ROWS} predictions"

    def evaluate(self, context: CheckContext) -> list[Finding]:
        whole = self._findings(context, UNIT, context.identical)
        one_alone = sum(not answers.shadow for answers in context.by_version.values()) == 1
        return whole + [
            finding
            for version, answers in context.by_version.items()
            if answers.shadow or not (whole or one_alone)  # told already
            for finding in self._findings(context, _unit_of(version), answers.identical, shadow=answers.shadow)
        ]

    def resolved(self, context: CheckContext) -> tuple[str, ...]:
        """Over the newest hundred predictions or more, answers differ again; or the version has gone."""
        newest = {_unit_of(version): answers.newest for version, answers in context.by_version.items()}
        differs = [
            name
            for name, window in {UNIT: context.newest, **newest}.items()
            if window is not None and not is_identical(context.layout, window.vector)
        ]
        return (*differs, *sorted(context.collapsed.difference(newest, (UNIT,))))

    def _findings(
        self, context: CheckContext, unit: str, window: Window | None, *, shadow: bool = False
    ) -> list[Finding]:
        """One, where the run is a collapse."""
        if window is None or not _is_collapse(context, window):
            return []
        rows = int(window.vector[context.layout.outputs.rows])
        nats = _nats(context, window)
        minutes = window.end_minute - window.start_minute
        of = "" if unit == UNIT else f" of {unit}"
        return [
            Finding(
                rule=self.name,
                layer=self.layer,
                tier=Tier.P2 if nats is None or shadow else Tier.P1,
                minute=context.minute,
                summary=f"all {rows:,} predictions{of} in the last {minutes} min are identical, on different inputs",
                evidence=1.0 if nats is None else nats / IMPROBABLE_NATS,
                features=(unit,),
                value=1.0,
                threshold=1.0,
                rows=rows,
                details={"since_minute": window.start_minute, "nats": nats, "onset_minute": window.start_minute},
            )
        ]


def _unit_of(version: str) -> str:
    return f"version {version}" if version else "answers without a version"


def is_identical(layout: Layout, vector: IntVector) -> bool:
    """Whether all predictions of a vector are the same. True where there are none."""
    bits = vector[layout.outputs.identical]
    return bool(np.all((bits == 0) | (bits == vector[layout.outputs.rows])))


def collapse_window(layout: Layout, panes: Iterable[Window]) -> Window | None:
    """The longest run of newest panes, at most 24 h, over which all predictions are identical.

    Low traffic needs hours to show more than 100 of them. None when the newest panes already differ, or hold none.

    Args:
        panes: newest first, a minute each (or the open one).
    """
    run: Window | None = None
    for pane in panes:
        wider = _wider(run, pane)
        if wider.end_minute - wider.start_minute > REACH_MINUTES or not is_identical(layout, wider.vector):
            break
        if run is not None or pane.vector[layout.outputs.rows]:
            run = wider
    return run


def newest_window(layout: Layout, panes: Iterable[Window]) -> Window | None:
    """The fewest newest panes, at most 24 h, with at least 100 predictions; None where there are not so many.

    Args:
        panes: newest first.
    """
    run: Window | None = None
    for pane in panes:
        run = _wider(run, pane)
        if run.end_minute - run.start_minute > REACH_MINUTES:
            return None
        if run.vector[layout.outputs.rows] >= MORE_THAN_ROWS:
            return run
    return None


def _wider(run: Window | None, pane: Window) -> Window:
    if run is None:
        return pane
    samples: Mapping[str, tuple[Sample, ...]] = merge_samples(_inputs(run), _inputs(pane))
    return Window(run.model, pane.start_minute, run.end_minute, run.vector + pane.vector, samples)


def _inputs(window: Window) -> Mapping[str, tuple[Sample, ...]]:
    return {INPUTS: window.samples.get(INPUTS, ())}


def _is_collapse(context: CheckContext, window: Window) -> bool:
    if window.vector[context.layout.outputs.rows] <= MORE_THAN_ROWS:
        return False
    if len(window.samples.get(INPUTS, ())) < DISTINCT_INPUTS:
        return False
    nats = _nats(context, window)
    return nats is None or nats >= IMPROBABLE_NATS


def _nats(context: CheckContext, window: Window) -> float | None:
    """How improbable the run is under the reference; None where the reference cannot tell."""
    if context.reference is None:
        return None
    share = _reference_share(context.layout, context.reference, window.vector)
    requests = int(window.vector[context.layout.outputs.rows + 1]) / WEIGHT_UNIT
    return None if share is None else requests * -math.log(share)


def _reference_share(layout: Layout, reference: Reference, vector: IntVector) -> float | None:
    """Of the score bin and class, or else the class, in which all of the window's predictions lie.

    A value the reference never showed counts as seen once: absence from a sample is no impossibility.
    """
    for cells in (layout.outputs.score_class, layout.outputs.classes):
        known, present = reference.vector[cells], vector[cells]
        if present.any() and known.any():
            return max(1, int(known[int(np.argmax(present))])) / int(known.sum())
    return None
