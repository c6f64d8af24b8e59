import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlmon_sidecar.baseline.cuts import coarse, cut
from mlmon_sidecar.baseline.sketch import Cells
from mlmon_sidecar.statistics.layout import NumericFeature


def test_continuous_values_are_cut_at_their_quantiles() -> None:
    values = np.random.default_rng(1).normal(size=10_000)
    cuts = cut(Cells.of(values), 50)
    shares = np.searchsorted(np.sort(values), cuts.edges, side="right") / len(values)
    assert shares == pytest.approx(np.arange(1, 50) / 50, abs=1e-3)
    assert [shares[at] for at in cuts.alarm] == pytest.approx([k / 10 for k in range(1, 10)], abs=1e-3)


def test_few_values_have_a_bin_each() -> None:
    values = np.repeat(np.arange(12.0), 100)
    cuts = cut(Cells.of(values), 50)
    assert cuts.edges == tuple(np.arange(11) + 0.5)
    assert len(cuts.alarm) == 11


def test_a_frequent_value_is_bracketed_on_both_sides() -> None:
    rng = np.random.default_rng(2)
    values = np.concatenate([rng.normal(5, 1, 7000), np.full(3000, 5.0)])
    edges = np.array(cut(Cells.of(values), 50).edges)
    below, above = edges[edges < 5].max(), edges[edges > 5].min()
    assert np.sum((values > below) & (values <= above)) == 3000
    alarm = edges[list(cut(Cells.of(values), 50).alarm)]
    assert {below, above} <= set(alarm.tolist())


def test_no_edge_is_a_value() -> None:
    values = np.random.default_rng(3).integers(0, 500, 5000).astype(float)
    assert not set(cut(Cells.of(values), 50).edges) & set(values.tolist())


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=200))
def test_edges_part_the_values_whatever_they_are(values: list[float]) -> None:
    cuts = cut(Cells.of(np.array(values)), 50)
    edges = np.array(cuts.edges)
    assert (np.diff(edges) > 0).all()
    assert np.isfinite(edges).all()
    assert all(0 <= at < len(edges) for at in cuts.alarm)
    if len(set(values)) > 1:
        assert np.bincount(np.searchsorted(edges, np.array(values), side="left")).max() < len(values)


def test_coarse_features_keep_the_alarm_edges() -> None:
    cuts = cut(Cells.of(np.random.default_rng(4).normal(size=5000)), 50)
    rough = coarse(NumericFeature("x", cuts.edges, cuts.alarm, -3.0, 3.0, 0.0, 1.0))
    assert rough.edges == tuple(cuts.edges[at] for at in cuts.alarm)
    assert rough.alarm == tuple(range(9))
    assert (rough.name, rough.minimum, rough.scale) == ("x", -3.0, 1.0)
