"""Distances of many features at once are those of one at a time."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlmon_sidecar.statistics.bin_table import BinTable
from mlmon_sidecar.statistics.distances import (
    kolmogorov_smirnov,
    kolmogorov_smirnov_rows,
    total_variation,
    total_variation_rows,
)

COUNTS = st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=6), max_size=5)


@given(COUNTS)
def test_rows_are_their_features_one_by_one(features: list[list[tuple[int, int]]]) -> None:
    ends = np.cumsum([0, *map(len, features)]).tolist()
    spans = [slice(*ends_of) for ends_of in itertools.pairwise(ends)]
    vectors = np.array([pair for feature in features for pair in feature], dtype=np.int64).reshape(-1, 2).T
    table = BinTable.of([(f"f{at}", span) for at, span in enumerate(spans)])
    for rows, single in ((kolmogorov_smirnov_rows, kolmogorov_smirnov), (total_variation_rows, total_variation)):
        together = rows(table.counts(vectors[0]), table.counts(vectors[1])).tolist()
        alone = [single(vectors[0][span], vectors[1][span]) for span in spans]
        np.testing.assert_allclose(together, [np.nan if value is None else value for value in alone], atol=1e-15)
    assert table.names == tuple(f"f{at}" for at in range(len(features)))
