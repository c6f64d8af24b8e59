"""Thumbs and scores, told apart by what the label says."""

import numpy as np
import pytest
from scipy import stats

from mlmon_sidecar.outcomes.ratings import ratings_of


def test_thumbs_scores_and_texts_are_counted_apart() -> None:
    found = ratings_of({"Up": 6, "thumbs_down": 2, "4": 3, "4.0": 1, "1": 2, "nan": 1, "meh": 5})
    assert (found.up, found.down, found.scores, found.other) == (6, 2, 6, 6)
    expected = stats.binomtest(6, 8).proportion_ci(method="wilson")
    assert found.up_interval == pytest.approx((expected.low, expected.high))
    given = [4, 4, 4, 4, 1, 1]
    reach = 1.959963984540054 * float(np.std(given, ddof=1)) / len(given) ** 0.5
    assert found.mean == 3 and found.mean_interval == pytest.approx((3 - reach, 3 + reach))


def test_nothing_said_is_none() -> None:
    assert ratings_of({}).up_rate is None and ratings_of({}).mean is None
    assert ratings_of({"5": 1}).mean == 5 and ratings_of({"5": 1}).mean_interval is None
