"""What sealing one minute costs the hub, milliseconds of one processor: ``python benchmarks/seal.py``.

Each minute is one pane of a few rows. A seal reads it, adds it up, steps the detector, runs every check, and writes the
fleet pane, the state and the page's series in one transaction. The demo's clock may run as fast as this allows.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.clock import SystemClock
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.demo.data import FEATURES, load
from mlmon_sidecar.demo.phases import ROWS_PER_DAY
from mlmon_sidecar.demo.schedule import DAY, REAL_SECONDS_PER_DAY, Calendar, baseline_moments
from mlmon_sidecar.hub.hub import SEAL_MINUTES, Hub
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.recorder import RecordedModel, Recorder
from mlmon_sidecar.redact.policy import RedactionPolicy
from mlmon_sidecar.redact.redactor import Redactor
from mlmon_sidecar.store import open_store
from mlmon_sidecar.telemetry import Telemetry

Columns = dict[str, Sequence[object]]
REDACTOR = Redactor(RedactionPolicy.of("default"))
MODEL = "benchmark"


def loans(rows: int) -> Columns:
    """The demo's features, and a score that has nothing to do with them."""
    taken = load().reference[:rows]
    return {name: [row.features[name] for row in taken] for name in FEATURES}


def wide(rows: int) -> Columns:
    """50 features: 40 numeric, 10 categorical."""
    chance = random.Random(1)
    numeric: Columns = {f"x{i}": [chance.gauss(0, 1) for _ in range(rows)] for i in range(40)}
    named: Columns = {f"c{i}": [f"v{chance.randrange(12)}" for _ in range(rows)] for i in range(10)}
    return numeric | named


def baseline_of(features: Columns) -> Baseline:
    rows = len(next(iter(features.values())))
    chance = random.Random(2)
    moments = baseline_moments(Calendar(start=0, anchor=0.0), rows)
    columns = features | {
        "at": [datetime.fromtimestamp(at + 100 * DAY, UTC).isoformat() for at in moments],
        "score": [chance.random() for _ in range(rows)],
        "class": [chance.choice("ab") for _ in range(rows)],
    }
    roles = Roles(timestamp="at", score="score", prediction="class")
    return build_baseline(
        columns,
        roles,
        Purpose(MODEL, kind="binary", positive="a"),
        redact_category=REDACTOR.category,
        policy=REDACTOR.policy.hash,
        created=datetime.now(UTC).isoformat(),
    )


def seal_cost(features: Columns, minutes: int, rows_per_minute: int) -> tuple[float, int]:
    """(milliseconds of processor time a minute, cells of the layout)."""
    baseline = baseline_of(features)
    chance = random.Random(3)
    rows = minutes * rows_per_minute
    picked = {name: [chance.choice(column) for _ in range(rows)] for name, column in features.items()}
    scores = [chance.random() for _ in range(rows)]
    options = DecodeOptions(name=MODEL, kind="binary", positive="a", negative="b")
    times = [float(60 * (row // rows_per_minute)) for row in range(rows)]
    batch = batch_from_columns(MODEL, now_ns=0, features=picked, scores=scores, times=times, options=options)
    with tempfile.TemporaryDirectory(prefix="mlmon-benchmark-") as directory:
        clock, telemetry = SystemClock(), Telemetry()
        store = open_store(f"sqlite:///{Path(directory) / 'mlmon.db'}")
        hub = Hub(store, [ModelPlan(MODEL, baseline.layout, baseline)], clock, telemetry)
        recorded = RecordedModel(options, baseline.layout, REDACTOR)
        recorder = Recorder({MODEL: recorded}, Handoff(), hub, clock, telemetry)
        recorder.expect_event_times(MODEL)
        recorder.observe(batch)
        recorder.flush()
        begun = time.process_time()
        sealed = hub.tick()
        spent = time.process_time() - begun
        hub.close()
    return 1000 * spent / sealed, baseline.layout.size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=960, help=f"minutes to seal, {SEAL_MINUTES} a transaction")
    parser.add_argument("--rows", type=int, default=1, help="rows a minute")
    parser.add_argument("--repeat", type=int, default=5, help="runs; the median counts")
    said = parser.parse_args()
    print(f"{said.minutes} minutes of {said.rows} rows each, {SEAL_MINUTES} minutes a transaction")
    costs = {}
    for name, features in (("demo, 7 features", loans(8_000)), ("50 features", wide(8_000))):
        runs = [seal_cost(features, said.minutes, said.rows) for _ in range(said.repeat)]
        costs[name] = statistics.median(cost for cost, _ in runs)
        print(f"  {name:<18} {runs[0][1]:>6,} cells  {costs[name]:6.2f} ms a minute")
    share = costs["demo, 7 features"] * ROWS_PER_DAY / 1000 / REAL_SECONDS_PER_DAY
    print(f"the demo seals {ROWS_PER_DAY} minutes in {REAL_SECONDS_PER_DAY} s: {share:.0%} of one processor")


if __name__ == "__main__":
    main()
