"""The quick form of the simulation of texts shows what the long one measures."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))
from benchmarks.drift.embeddings import FIRST_HOUR, STREAMS, Texts, baseline_of, delay, watch

QUIET = STREAMS["iid"]


def test_a_world_with_a_new_topic_differs_by_that_alone() -> None:
    """A fifth of the vectors lie where none lay; the same world drawn twice is the same."""

    def hour(seed: int, new: float) -> np.ndarray:
        columns = Texts(seed).hour(FIRST_HOUR, replace(QUIET, rows=3_000, new=new))
        return np.array([columns[name] for name in sorted(columns) if name.startswith("note.")], dtype=float).T

    known, same, other = hour(1, 0.0), hour(2, 0.0), hour(2, 0.2)

    def far(points: np.ndarray, line: float) -> float:
        apart = ((points[:, None, :] - known[None, ::6, :]) ** 2).sum(axis=2).min(axis=1)
        return float(np.mean(apart > line))

    line = np.quantile(((same[:, None, :] - known[None, ::6, :]) ** 2).sum(axis=2).min(axis=1), 0.99)
    assert far(same, line) < 0.02 < 0.1 < far(other, line) < 0.25


def test_it_is_quiet_and_finds_a_new_topic_within_hours() -> None:
    baseline = baseline_of(QUIET, 1, 8)
    assert all(not step.alarms for step in watch(baseline, QUIET, QUIET, 101, 3 * 24))
    assert delay(baseline, QUIET, replace(QUIET, new=0.25), 201) <= 4
