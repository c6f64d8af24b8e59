"""What the recorder's thread does for a row, and how long at once: ``python benchmarks/recording.py``.

Processor time of one core. *count* turns decoded rows into panes, *keep* makes the rows that are stored out of them,
*all* is the recorder as it runs, from the hand-off to a flush (as its bytes would go to a hub), with every row kept.
A step is what the recorder does between two pauses.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

from recorded_traffic import MODEL, OPTIONS, REDACTOR, baseline_of, exchanges_of

from mlmon_sidecar.aggregate.panes import PaneBuilder
from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.clock import SystemClock
from mlmon_sidecar.decode.batch import decode
from mlmon_sidecar.hub import wire
from mlmon_sidecar.recorder import RecordedModel, Recorder
from mlmon_sidecar.records import Exchange, Flush, FlushReceipt, FlushStatus, Label, LabelReceipt
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.telemetry import Telemetry

SHAPES = ((64, 1), (8, 16), (1, 1000))  # exchanges x rows


class BytesHub:
    """Takes every flush as bytes and keeps none."""

    def flush(self, flush: Flush) -> FlushReceipt:
        wire.encode_flush(flush)
        return FlushReceipt(FlushStatus.COMMITTED, 0)

    def labels(self, labels: Sequence[Label], key: str = "") -> Sequence[LabelReceipt]:
        return []

    def query(self, path: str, params: Mapping[str, str]) -> bytes:
        return b"{}"

    def close(self) -> None:
        """Nothing is open."""


def ns_of(work: Callable[[], object], rows: int, repeat: int) -> float:
    """Least ns of processor time a row."""
    times = 1 + 2_000 // rows
    found = []
    for _ in range(repeat):
        begun = time.thread_time_ns()
        for _ in range(times):
            work()
        found.append((time.thread_time_ns() - begun) / times / rows)
    return min(found)


def stages(layout: Layout, exchanges: Sequence[Exchange], rows: int, repeat: int) -> dict[str, float]:
    """ns a row of each stage alone."""
    clock = SystemClock()
    batches = decode(exchanges, OPTIONS, clock.unix_at).batches
    builder = PaneBuilder(layout, REDACTOR.category)

    def count() -> None:
        for batch in batches:
            builder.add_batch(batch)

    def keep() -> None:
        for batch in batches:
            REDACTOR.redact_batch(batch, frozenset(), [True] * batch.rows)

    count()  # every category is known
    return {
        "decode": ns_of(lambda: decode(exchanges, OPTIONS, clock.unix_at), rows, repeat),
        "count": ns_of(count, rows, repeat),
        "keep": ns_of(keep, rows, repeat),
    }


def whole(layout: Layout, exchanges: Sequence[Exchange], rows: int, repeat: int) -> tuple[float, list[float]]:
    """(least ns a row of the whole recorder, ms of every step after the first round)."""
    handoff, telemetry = Handoff(), Telemetry()
    recorder = Recorder(
        {MODEL: RecordedModel(OPTIONS, layout, REDACTOR)}, handoff, BytesHub(), SystemClock(), telemetry
    )
    steps: list[float] = []
    costs = []
    for _ in range(repeat + 1):
        begun = time.thread_time_ns()
        for _ in range(1 + 2_000 // rows):
            for exchange in exchanges:
                handoff.put(tuple(exchange))
            more = True
            while more:
                at = time.thread_time_ns()
                more = recorder._stages.step()
                steps.append((time.thread_time_ns() - at) / 1e6)
        recorder.flush()
        costs.append((time.thread_time_ns() - begun) / (1 + 2_000 // rows) / rows)
        if len(costs) == 1:
            steps.clear()  # it has just begun to learn how much fits
    return min(costs[1:]), steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5, help="rounds; the least counts, and every step")
    parser.add_argument("--features", type=int, nargs="*", default=[10, 50])
    said = parser.parse_args()
    gc.disable()
    for features in said.features:
        layout = baseline_of(features).layout
        print(f"{features} features, {layout.size:,} cells; thousand rows a second of one core")
        for count, rows in SHAPES:
            exchanges = exchanges_of(count, rows, features)
            found = stages(layout, exchanges, count * rows, said.repeat)
            found["all"], steps = whole(layout, exchanges, count * rows, said.repeat)
            rates = "  ".join(f"{name} {1e6 / ns:6.1f}" for name, ns in found.items())
            cuts = statistics.quantiles(steps, n=100) if len(steps) > 1 else steps * 99
            print(
                f"  {count:>3} x {rows:<5} {rates}   step ms p50 {cuts[49]:.2f} p99 {cuts[98]:.2f} max {max(steps):.2f}"
            )


if __name__ == "__main__":
    main()
