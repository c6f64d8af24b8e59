"""The share of numbers that are about right."""

import numpy as np
import pytest
from scipy import stats

from mlmon_sidecar.outcomes.metric import counts_of, new_counts
from mlmon_sidecar.outcomes.tolerance import Within
from mlmon_sidecar.records import OutcomeCell
from mlmon_sidecar.statistics.error_bins import bin_of, text_of

ERRORS = ((-8, 50, 10), (0, 25, 10), (8, 15, 20), (16, 10, 60))


def cell(bin_: int, rows: int, day: int = 1) -> OutcomeCell:
    return OutcomeCell("v", day, 0, "", text_of(bin_), rows)


def test_the_tolerance_is_what_four_fifths_of_the_errors_stay_within() -> None:
    usual = Within.usual(ERRORS)
    assert usual == Within(8) and usual.tolerance == 2.0
    assert usual.of_reference(ERRORS) == (90, 100, 0.4)


def test_it_is_near_the_quantile_of_the_errors_themselves() -> None:
    errors = np.abs(np.random.default_rng(1).standard_t(3, 5_000)) * 7
    bins, rows = np.unique(bin_of(errors), return_counts=True)
    usual = Within.usual(tuple((int(b), int(n), 0) for b, n in zip(bins, rows, strict=True)))
    assert usual is not None
    quantile = float(np.quantile(errors, 0.8))
    assert quantile / 1.001 <= usual.tolerance <= quantile * 2 ** (1 / 8) * 1.001
    assert usual.counts(cell(int(b), int(n)) for b, n in zip(bins, rows, strict=True)) == (
        int((errors <= usual.tolerance).sum()),
        5_000,
    )


@pytest.mark.parametrize("errors", [(), ((0, 0, 5),)])
def test_without_errors_there_is_no_tolerance(errors: tuple[tuple[int, int, int], ...]) -> None:
    assert Within.usual(errors) is None


def test_counts_are_signed_and_leave_out_labels_that_are_no_numbers() -> None:
    within = Within(8)
    cells = [
        cell(8, 7),
        cell(9, 3),
        cell(8, -1),
        OutcomeCell("v", 1, 0, "", "up", 4),
        OutcomeCell("v", 1, 0, "", "", 4),
    ]
    assert within.counts(cells) == (6, 9) and counts_of(within, cells) == (6, 9)
    assert within.of_counts((6, 9)) == pytest.approx(2 / 3)
    oracle = stats.binomtest(6, 9).proportion_ci(0.95, method="wilson")
    assert within.interval_of((6, 9)) == pytest.approx((oracle.low, oracle.high))
    assert within.of_counts((0, 0)) is None and within.interval_of((0, 0)) is None


def test_a_correction_from_far_off_to_right_is_no_new_label() -> None:
    assert new_counts(Within(8), [cell(20, -1), cell(0, 1)]) == (0, 0)
    assert new_counts(Within(8), [cell(20, 5), cell(0, 3, day=2)]) == (3, 8)
