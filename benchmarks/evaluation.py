"""What evaluating costs, processor time of one core: ``python benchmarks/evaluation.py [--evidently PYTHON]``.

Medians of several runs. ``--only`` picks parts:

evaluation   one sealed minute of 1,000 features: detector, every check, the page's points
seal         one minute of 500 replicas: 500 whole panes of 50 features, and 6,000 partial ones (flushes of 5 s)
evidently    10,000 rows of 50 columns against as many: Evidently's DataDriftPreset, the same answer out of panes, and
             out of raw rows. Install Evidently into an environment of its own and name its interpreter.
year         a year of hourly panes of 200 features in a store, backtested
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from mlmon_sidecar.backtest.panes import row_deltas
from mlmon_sidecar.backtest.replay import replay
from mlmon_sidecar.backtest.source import store_source
from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.hub.evaluator import ModelEvaluator
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.hub.seal import Delta, Sums, sum_panes
from mlmon_sidecar.records import Flush, Pane, PaneKey, RedactedRows
from mlmon_sidecar.redact.policy import RedactionPolicy
from mlmon_sidecar.redact.redactor import Redactor
from mlmon_sidecar.statistics.figures import feature_figures
from mlmon_sidecar.store import Store, open_store
from mlmon_sidecar.store.contract import ModelState, Seal

MODEL = "benchmark"
REDACTOR = Redactor(RedactionPolicy.of("default"))
START = 29_000_160  # a midnight, as Unix minute
ROWS = 10_000
REPLICAS = 500
FLUSHES_A_MINUTE = 12
HOURS = 365 * 24


def table(rows: int, features: int, seed: int) -> np.ndarray:
    """(rows, features) float64."""
    return np.random.default_rng(seed).normal(size=(rows, features))


def baseline_of(values: np.ndarray) -> Baseline:
    rows = len(values)
    chance = np.random.default_rng(1)
    columns = {f"x{at}": values[:, at].tolist() for at in range(values.shape[1])}
    return build_baseline(
        columns
        | {
            "at": [float(3_600 * 24 * 15 * row / rows) for row in range(rows)],
            "score": chance.uniform(size=rows).tolist(),
        },
        Roles(timestamp="at", score="score"),
        Purpose(MODEL, kind="binary"),
        redact_category=REDACTOR.category,
        policy=REDACTOR.policy.hash,
        created="",
    )


def vector_of(baseline: Baseline, values: np.ndarray, seed: int = 2) -> np.ndarray:
    """The counts of these rows, with scores as healthy ones."""
    features = {f"x{at}": np.ascontiguousarray(values[:, at]) for at in range(values.shape[1])}
    scores = np.random.default_rng(seed).uniform(size=len(values))
    batch = batch_from_columns(MODEL, now_ns=0, scores=scores)
    (delta,) = row_deltas(replace(batch, features=features), baseline.layout, REDACTOR.category, 60)
    return delta.vector


def median_ms(run: Callable[[], object], times: int) -> float:
    spent = []
    for _ in range(times):
        begun = time.process_time()
        run()
        spent.append(1000 * (time.process_time() - begun))
    return statistics.median(spent)


def evaluation() -> None:
    """A minute a seal, so that every sixtieth begins an hour."""
    values = table(2_000, 1_000, 3)
    baseline = baseline_of(values)
    vectors = [vector_of(baseline, table(60, 1_000, seed)) for seed in range(4, 12)]
    layout = baseline.layout
    with ScratchStore() as store:
        evaluator = ModelEvaluator(ModelPlan(MODEL, layout, baseline), store)
        spent = []
        for minute in range(START, START + 240):
            delta = Delta(minute, vectors[minute % len(vectors)], {})
            begun = time.process_time()
            evaluator.advance(Sums((), (), {layout.hash: (delta,)}, (minute,), {}))
            spent.append(1000 * (time.process_time() - begun))
    turns = statistics.median(spent[60::60])
    usual = statistics.median(spent)
    print(f"one evaluation of 1,000 features: {usual:.1f} ms; the one that begins an hour {turns:.1f} ms")


def seal() -> None:
    baseline = baseline_of(table(4_000, 50, 3))
    whole = [vector_of(baseline, table(60, 50, seed)) for seed in range(8)]
    partial = [vector_of(baseline, table(5, 50, seed)) for seed in range(8)]
    for name, vectors, flushes in (
        (f"{REPLICAS} whole panes", whole, 1),
        (f"{REPLICAS * FLUSHES_A_MINUTE:,} partial panes", partial, FLUSHES_A_MINUTE),
    ):
        runs = [seal_once(baseline, vectors, flushes) for _ in range(5)]
        print(f"{name} of 50 features sealed: {statistics.median(runs):.0f} ms")


def seal_once(baseline: Baseline, vectors: list[np.ndarray], flushes: int) -> float:
    """Milliseconds to read, sum, evaluate and write one minute of all replicas."""
    layout = baseline.layout
    key = PaneKey(MODEL, "v1", "", layout.hash, START)
    with ScratchStore() as store:
        evaluator = ModelEvaluator(ModelPlan(MODEL, layout, baseline), store)
        for replica in range(REPLICAS):
            for seq in range(1, flushes + 1):
                panes = (Pane(key, vectors[(replica + seq) % len(vectors)]),)
                store.commit_flush(Flush(f"r{replica}", seq, panes, RedactedRows(), {}, {}, 0), 0)
        begun = time.process_time()
        sums = sum_panes(store.open_panes(MODEL, START, 64), ())
        store.seal(evaluator.advance(sums))
        spent = time.process_time() - begun
        assert len(sums.consumed) == REPLICAS * flushes, "the whole minute at once"
    return 1000 * spent


def evidently(python: str | None) -> None:
    reference, current = table(ROWS, 50, 3), table(ROWS, 50, 4)
    current[:, :5] += 0.5
    baseline = baseline_of(reference)
    vector = vector_of(baseline, current)
    panes = [vector_of(baseline, part) for part in np.array_split(current, 24)]  # a day of hours
    assert (sum(panes[1:], panes[0]) - vector)[: baseline.layout.traffic.rows + 1].sum() == 0, "the same rows"

    def answered(after: np.ndarray) -> int:
        names = (feature.name for feature in baseline.layout.features)
        told = [feature_figures(baseline.layout, name, baseline.reference.vector, after) for name in names]
        return sum((item.distance or 0) > 0.1 for item in told)

    from_panes = median_ms(lambda: answered(sum(panes[1:], panes[0])), 15)
    from_rows = median_ms(lambda: answered(vector_of(baseline, current)), 5)
    print(f"drift of 50 columns in {ROWS:,} rows, out of panes: {from_panes:.1f} ms, of raw rows: {from_rows:.0f} ms")
    if python is None:
        print("  (Evidently is left out: name an interpreter that has it with --evidently)")
        return
    peer = 1000 * evidently_seconds(python, reference, current)
    dearer = f"{peer / from_panes:,.0f} and {peer / from_rows:,.0f} times as much"
    print(f"  Evidently's DataDriftPreset: {peer:,.0f} ms, {dearer}")


def evidently_seconds(python: str, reference: np.ndarray, current: np.ndarray) -> float:
    with tempfile.TemporaryDirectory(prefix="mlmon-benchmark-") as directory:
        paths = [Path(directory) / name for name in ("reference.npy", "current.npy")]
        for path, values in zip(paths, (reference, current), strict=True):
            np.save(path, values)
        program = Path(__file__).with_name("evidently_peer.py")
        told = subprocess.run([python, str(program), *map(str, paths)], capture_output=True, text=True, check=True)
    return statistics.median(json.loads(told.stdout.splitlines()[-1]))


def year() -> None:
    baseline = baseline_of(table(4_000, 200, 3))
    layout = baseline.layout
    week = [vector_of(baseline, table(200, 200, seed)) for seed in range(168)]
    with ScratchStore() as store:
        for day in range(HOURS // 24):
            hours = [START + (24 * day + hour) * 60 for hour in range(24)]
            panes = [Pane(PaneKey(MODEL, "v1", "", layout.hash, at), week[at // 60 % len(week)]) for at in hours]
            store.seal(Seal(MODEL, (), panes, ModelState(hours[-1] + 59, b"", b""), (), ()))
        begun = time.process_time()
        source = store_source(store, MODEL, layout)
        replayed = replay([ModelPlan(MODEL, layout, baseline)], source.deltas, source.known)
        spent = time.process_time() - begun
    assert len(replayed.timeline.end) == HOURS, "every hour once"
    print(f"a year of hours of 200 features ({layout.size:,} cells) backtested from a store: {spent:.1f} s")


class ScratchStore:
    """A store of its own in a directory that goes with it."""

    def __enter__(self) -> Store:
        self._directory = tempfile.TemporaryDirectory(prefix="mlmon-benchmark-")
        self._store = open_store(f"sqlite:///{Path(self._directory.name) / 'mlmon.db'}")
        self._store.take_over()
        return self._store

    def __exit__(self, *exc: object) -> None:
        self._store.close()
        self._directory.cleanup()


def parts(python: str | None) -> Iterator[tuple[str, Callable[[], None]]]:
    yield "evaluation", evaluation
    yield "seal", seal
    yield "evidently", lambda: evidently(python)
    yield "year", year


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=[name for name, _ in parts(None)])
    parser.add_argument("--evidently", metavar="PYTHON", help="an interpreter that has Evidently")
    said = parser.parse_args()
    for name, run in parts(said.evidently):
        if said.only is None or name in said.only:
            run()


if __name__ == "__main__":
    main()
