"""Bins of errors: an edge belongs to the bin below it, whatever rounding made of a difference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlmon_sidecar.statistics.error_bins import LAST_BIN, PER_OCTAVE, bin_in, bin_of, text_of, upper_edge


@given(st.floats(min_value=1e-18, max_value=1e18), st.booleans())
def test_an_error_lies_between_the_edges_of_its_bin(size: float, negative: bool) -> None:
    found = int(bin_of(np.array([-size if negative else size]))[0])
    assert upper_edge(found - 1) * (1 - 1e-6) < size <= upper_edge(found) * (1 + 1e-6)


@pytest.mark.parametrize(("error", "edge"), [(8.0, 8.0), (1.0, 1.0), (1.1 - 1.0 + 0.9, 1.0), (0.25, 0.25)])
def test_a_round_tolerance_holds_errors_of_just_that_size(error: float, edge: float) -> None:
    assert upper_edge(int(bin_of(np.array([error]))[0])) == edge


def test_no_error_at_all_and_errors_beyond_the_grid_have_a_place() -> None:
    found = bin_of(np.array([0.0, 1e-300, 1e300, -1e300]))
    assert found.tolist() == [-LAST_BIN, -LAST_BIN, LAST_BIN, LAST_BIN]
    assert bin_of(np.array([])).tolist() == []


def test_neighbouring_edges_are_nine_per_cent_apart() -> None:
    assert upper_edge(1) / upper_edge(0) == pytest.approx(1.0905, abs=1e-4)
    assert upper_edge(PER_OCTAVE) == 2 * upper_edge(0)


@given(st.integers(-LAST_BIN, LAST_BIN))
def test_a_bin_is_found_again_in_its_text(bin_: int) -> None:
    assert bin_in(text_of(bin_)) == bin_


@pytest.mark.parametrize("text", ["", "5", "error", "error x", "error 12.5", "an error 3", "error 1234"])
def test_labels_of_classes_are_no_bins(text: str) -> None:
    assert bin_in(text) is None
