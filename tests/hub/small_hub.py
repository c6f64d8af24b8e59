"""A hub on a clock that stands still until it is told to go on, and panes to feed it with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mlmon_sidecar.hub.hub import Hub, HubOptions
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.records import MINUTE_NS, Flush, KeptRow, KeptRows, Pane, PaneKey, RedactedRows, Sample
from mlmon_sidecar.statistics.layout import DURATION_EDGES, Layout
from mlmon_sidecar.statistics.samples import INPUTS
from mlmon_sidecar.store.sqlite import SqliteStore
from mlmon_sidecar.telemetry import Telemetry

MODEL = "loans"
NOON = 29_000_160  # 2025-02-20 12:00 UTC in Unix minutes
SECOND_NS = 1_000_000_000


class ManualClock:
    def __init__(self, minute: int = NOON) -> None:
        self.now_ns = minute * MINUTE_NS

    def monotonic_ns(self) -> int:
        return self.now_ns

    def unix_ns(self) -> int:
        return self.now_ns

    def unix_at(self, monotonic_ns: int) -> int:
        return monotonic_ns

    def go(self, seconds: float) -> None:
        self.now_ns += int(seconds * SECOND_NS)


def bare_plan(model: str = MODEL) -> ModelPlan:
    return ModelPlan(model, Layout.bare(model))


def open_hub(
    path: Path, clock: ManualClock, plans: Sequence[ModelPlan] | None = None, options: HubOptions | None = None
) -> Hub:
    return Hub(SqliteStore(path), [bare_plan()] if plans is None else plans, clock, Telemetry(), options)


def traffic(
    minute: int, requests: int = 10, *, model: str = MODEL, version: str = "v1", identical: bool = False
) -> Pane:
    """A row a request, 20 ms each."""
    layout = Layout.bare(model)
    vector = np.zeros(layout.size, np.int64)
    cells, outputs = layout.traffic, layout.outputs
    for cell in (cells.requests, cells.ok, cells.rows, cells.decoded, outputs.rows):
        vector[cell] = requests
    vector[outputs.rows + 1] = requests << 20
    vector[cells.duration.start + DURATION_EDGES.index(0.025)] = requests
    vector[outputs.identical] = 0 if identical else 1
    inputs = tuple(Sample(minute * 100 + at, "") for at in range(min(requests, 20)))
    return Pane(PaneKey(model, version, "", layout.hash, minute), vector, {INPUTS: inputs})


def flush(
    seq: int,
    panes: Sequence[Pane] = (),
    *,
    through: int = -1,
    recorder: str = "r1",
    rows: Sequence[KeptRow] = (),
    counters: Mapping[str, int] | None = None,
    closing: bool = False,
) -> Flush:
    models = {pane.key.model for pane in panes} or {MODEL}
    return Flush(
        recorder, seq, tuple(panes), RedactedRows(KeptRows.of(rows)), counters or {}, dict.fromkeys(models, through), 0,
        closing, f"host:{recorder}",
    )  # fmt: skip


def kept(
    prediction_id: str, minute: int, *, model: str = MODEL, predicted: str = "yes", version: str = "v1"
) -> KeptRow:
    return KeptRow(prediction_id, model, version, "", minute * MINUTE_NS, 0.5, predicted, None, None, "", "", "{}")
