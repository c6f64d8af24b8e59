"""Numbers in bounded memory, against numpy on all of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlmon_sidecar.baseline.cuts import cut
from mlmon_sidecar.baseline.sketch import Cells, Numbers, NumberSketch

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def sketched(values: np.ndarray, cap: int, pieces: int = 1) -> Cells:
    sketch = NumberSketch(cap)
    for part in np.array_split(values, pieces):
        sketch.add(part, np.ones(len(part), dtype=np.int64))
    return sketch.cells()


def looked_at(values: np.ndarray, cap: int, pieces: int = 3) -> Cells:
    numbers = Numbers(cap)
    parts = [(part, np.ones(len(part), dtype=np.int64)) for part in np.array_split(values, pieces)]
    for part in parts:
        numbers.add(*part)
    if numbers.is_crowded:
        for part in parts:
            numbers.look_closer(*part)
    return numbers.cells()


def as_bytes(cells: Cells) -> tuple[bytes, ...]:
    return tuple(part.tobytes() for part in cells)


@given(st.lists(FINITE, min_size=1, max_size=300), st.integers(2, 40), st.integers(1, 7), st.randoms())
def test_order_and_pieces_change_nothing(values: list[float], cap: int, pieces: int, chance) -> None:  # type: ignore[no-untyped-def]
    shuffled = values.copy()
    chance.shuffle(shuffled)
    whole = sketched(np.array(values), cap)
    assert as_bytes(sketched(np.array(shuffled), cap, pieces)) == as_bytes(whole)
    assert as_bytes(looked_at(np.array(shuffled), cap, pieces)) == as_bytes(looked_at(np.array(values), cap, 1))


@given(st.lists(FINITE, min_size=1, max_size=300), st.integers(2, 40))
def test_cells_hold_every_value_once_and_do_not_overlap(values: list[float], cap: int) -> None:
    array = np.array(values)
    for cells in (sketched(array, cap), looked_at(array, cap)):
        assert cells.total == len(array)
        assert (cells.low <= cells.high).all()
        assert (cells.high[:-1] < cells.low[1:]).all()
        for low, high, rows in zip(*cells, strict=True):
            assert ((array >= low) & (array <= high)).sum() == rows
    assert len(sketched(array, cap).rows) <= cap


def test_few_values_are_exact() -> None:
    values = np.random.default_rng(1).integers(0, 400, 5000).astype(float)
    assert as_bytes(sketched(values, 400, 9)) == as_bytes(Cells.of(values))


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(2).normal(size=200_000),
        np.random.default_rng(3).lognormal(3, 2, 200_000),
        np.random.default_rng(4).normal(1.7e9, 40, 200_000),  # seconds within minutes of each other
        np.concatenate([np.zeros(100_000), np.random.default_rng(5).exponential(9, 100_000)]),
    ],
    ids=["normal", "lognormal", "narrow", "half zeros"],
)
def test_edges_lie_at_the_quantiles_of_all_values(values: np.ndarray) -> None:
    edges = cut(looked_at(values, 2048), 50).edges
    shares = np.searchsorted(np.sort(values), edges, side="right") / len(values)
    wanted = [k / 50 for k in range(1, 50)]
    zeros = (values == 0).mean()
    reachable = [share for share in wanted if share >= zeros]
    assert max(min(abs(shares - share)) for share in reachable) < 0.002
    assert not np.isin(edges, values).any()


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=200), st.floats(0, 1))
def test_quantiles_are_numpys_while_values_are_exact(values: list[float], share: float) -> None:
    assert Cells.of(np.array(values)).quantile(share) == pytest.approx(np.quantile(values, share), rel=1e-9, abs=1e-9)


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_quantiles_of_ranges_are_close(seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=20_000)
    cells = sketched(values, 512)
    for share in (0.001, 0.3, 0.5, 0.999):
        rank = (values <= cells.quantile(share)).mean()
        assert rank == pytest.approx(share, abs=0.005)


def test_mean_and_spread_are_numpys_even_of_huge_values() -> None:
    values = np.random.default_rng(6).normal(5, 2, 3000)
    assert Cells.of(values).mean_and_spread() == pytest.approx((values.mean(), values.std()), rel=1e-12)
    mean, spread = Cells.of(values * 1e299).mean_and_spread()
    assert (mean, spread) == pytest.approx((values.mean() * 1e299, values.std() * 1e299), rel=1e-12)


def test_a_value_that_many_share_is_found_among_its_neighbours() -> None:
    rng = np.random.default_rng(7)
    values = np.concatenate([rng.lognormal(2, 2, 140_000), np.full(60_000, 9.99)])
    rng.shuffle(values)
    coarse = sketched(values, 2048)
    crowd = np.flatnonzero((coarse.low <= 9.99) & (coarse.high >= 9.99))[0]
    assert coarse.high[crowd] - coarse.low[crowd] > 0.01
    cells = looked_at(values, 2048)
    at = np.flatnonzero((cells.low <= 9.99) & (cells.high >= 9.99))[0]
    assert cells.rows[at] == 60_000
    assert cells.high[at] == cells.low[at]
    edges = np.array(cut(cells, 50).edges)
    assert edges[edges > 9.99].min() - edges[edges < 9.99].max() < 0.001
