"""What one step of the drift detector costs, milliseconds of one processor: ``python -m benchmarks.detector_step``.

Numeric features of nine alarm edges each, 1,000 requests a pane, without a profile and with one for every feature. The
first pane of an hour looks up another part of the profile; every other finds it ready.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from mlmon_sidecar.records import WEIGHT_UNIT
from mlmon_sidecar.statistics.edetector import Detector
from mlmon_sidecar.statistics.indicators import indicators
from mlmon_sidecar.statistics.layout import Layout, NumericFeature, PredictionSpace
from mlmon_sidecar.statistics.profile import DAY_KINDS, HOURS, UnitProfile
from mlmon_sidecar.statistics.reference import Reference

EDGES = tuple(float(edge) for edge in np.linspace(-1.3, 1.3, 9))
SHARES = np.full(len(EDGES) + 1, 1 / (len(EDGES) + 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=int, default=1000)
    parser.add_argument("--panes", type=int, default=60)
    said = parser.parse_args()
    print(f"{said.features} features{'least':>14}{'median':>10}{'hour turns':>12}")
    for rhythm in (False, True):
        detector, vector = _watching(said.features, rhythm)
        spent = _steps(detector, vector, said.panes, minutes=1)
        turns = _steps(detector, vector, said.panes // 4, minutes=60)
        name = "with a profile" if rhythm else "without"
        figures = (min(spent), statistics.median(spent), statistics.median(turns))
        print(f"{name:<16}" + "".join(f"{1000 * figure:>10.1f}" for figure in figures))


def _watching(features: int, rhythm: bool) -> tuple[Detector, np.ndarray]:
    columns = tuple(
        NumericFeature(f"x{at}", EDGES, tuple(range(len(EDGES))), -3.0, 3.0, 0.0, 1.0) for at in range(features)
    )
    layout = Layout("m", columns, PredictionSpace("none"))
    reference, pane = (_counts(layout, seed, rows) for seed, rows in ((1, 100_000), (2, 1000)))
    profile = {}
    if rhythm:
        offsets = np.random.default_rng(3).normal(0, 0.05, (HOURS + DAY_KINDS, len(EDGES))).round(5).tolist()
        hour, weekend = tuple(map(tuple, offsets[:HOURS])), tuple(map(tuple, offsets[HOURS:]))
        for feature, cells in layout.numeric():
            watched = tuple(range(cells.alarm.start, cells.alarm.stop - 1))
            profile[feature.name] = UnitProfile(watched, hour, weekend)
    known = Reference(layout.hash, "baseline", reference, hours=720, tau={"*": 0.02}, profile=profile)
    return Detector(indicators(layout, known)), pane


def _counts(layout: Layout, seed: int, rows: int) -> np.ndarray:
    rng, vector = np.random.default_rng(seed), np.zeros(layout.size, dtype=np.int64)
    vector[layout.traffic.rows + 1] = rows * WEIGHT_UNIT
    for _, cells in layout.numeric():
        vector[cells.alarm] = rng.multinomial(rows, SHARES) * WEIGHT_UNIT
    return vector


def _steps(detector: Detector, vector: np.ndarray, panes: int, minutes: int) -> list[float]:
    """CPU seconds of each."""
    state, spent = detector.initial(), []
    for pane in range(panes):
        began = time.process_time()
        state = detector.step(state, vector, minute=pane * minutes, hours=minutes / 60).state
        spent.append(time.process_time() - began)
    return spent[1:]


if __name__ == "__main__":
    main()
