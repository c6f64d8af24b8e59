"""The quick form of the simulation of dependence shows what the long one measures."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ks_2samp, spearmanr

sys.path.insert(0, str(Path(__file__).parents[2]))
from benchmarks.drift.joint import FIRST_HOUR, RHO, STREAMS, Pairs, baseline_of, delay, watch

DAYS = 8


@pytest.mark.parametrize("name", STREAMS)
def test_the_correlation_is_another_and_the_features_are_the_same(name: str) -> None:
    hours = [
        np.concatenate([Pairs(STREAMS[name], seed).hour(FIRST_HOUR, rho) for seed in range(60)], axis=1)
        for rho in (RHO, -0.8)
    ]
    before, after = (hour[:, np.isfinite(hour).all(axis=0)][:, ::5] for hour in hours)  # one of each session
    assert spearmanr(before[0], before[1]).statistic == pytest.approx(0.79, abs=0.05)
    assert spearmanr(after[0], after[1]).statistic == pytest.approx(-0.79, abs=0.05)
    assert ks_2samp(before[1], after[1]).statistic < 0.05


@pytest.mark.parametrize("name", ["iid", "nulls"])
def test_it_is_quiet_and_finds_a_flip_within_hours(name: str) -> None:
    baseline = baseline_of(STREAMS[name], 1, DAYS)
    assert all(not step.alarms for step in watch(baseline, STREAMS[name], 101, 3 * 24))
    assert delay(baseline, STREAMS[name], 201, -0.8) <= 3
