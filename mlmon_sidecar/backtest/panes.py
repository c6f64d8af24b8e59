"""What the hub would have sealed, in order: out of rows, or out of a store that has them counted already."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.aggregate.panes import PaneBuilder
from mlmon_sidecar.hub.retention import FIGURE_DAYS
from mlmon_sidecar.hub.seal import Delta, minutes_of
from mlmon_sidecar.recorder.batches import part
from mlmon_sidecar.records import MINUTE_NS

if TYPE_CHECKING:
    from mlmon_sidecar.aggregate.categorical import RedactCategory
    from mlmon_sidecar.records import PredictionBatch
    from mlmon_sidecar.statistics.layout import Layout
    from mlmon_sidecar.store import Store

HOUR = 60
DAY = 24 * HOUR
CELLS_AT_ONCE = 4_000_000  # 32 MB of panes
MINUTES_AT_ONCE = 6 * HOUR  # of a store's panes


def row_deltas(batch: PredictionBatch, layout: Layout, redact: RedactCategory, minutes: int) -> Iterator[Delta]:
    """Rows counted as recorders count them.

    Args:
        batch: rows of one version, ascending in time.
        minutes: that one pane stands for: 1 as in serving, or 60.
    """
    start = batch.event_ns // MINUTE_NS // minutes * minutes
    batch = replace(batch, event_ns=start * MINUTE_NS)
    first = np.flatnonzero(np.diff(start, prepend=start[:1] - 1)).tolist()  # row of each pane
    builder, at_once = PaneBuilder(layout, redact), max(1, CELLS_AT_ONCE // layout.size)
    for at in range(0, len(first), at_once):
        ends = [*first[at + at_once : at + at_once + 1], batch.rows]
        builder.add_batch(part(batch, slice(first[at], ends[0])))
        for pane in builder.take():
            yield Delta(pane.key.minute + minutes - 1, pane.vector, pane.samples, minutes)


def stored_deltas(store: Store, model: str, layout: str, shadow: Collection[str] = ()) -> Iterator[Delta]:
    """Sealed panes by the hour, over all versions but shadows: minutes are summed, and hours are hours already.

    ``layout``: hash; panes of other layouts count something else and are left out.
    """
    state = store.model_state(model)
    if state is None:
        return
    first = (state.watermark // DAY - FIGURE_DAYS - 1) * DAY
    for start in range(first, state.watermark + 1, MINUTES_AT_ONCE):
        panes = store.fleet_panes(model, start, start + MINUTES_AT_ONCE)
        hourly = (replace(pane, key=pane.key._replace(minute=pane.key.minute // HOUR * HOUR)) for pane in panes)
        for delta in minutes_of(hourly, shadow).get(layout, ()):
            yield replace(delta, minute=delta.minute + HOUR - 1, minutes=HOUR)
