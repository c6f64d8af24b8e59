"""A label's own dates say when its slice may close."""

from hypothesis import given
from hypothesis import strategies as st

from mlmon_sidecar.outcomes.slices import closing_day


@given(st.floats(0, 10), st.floats(0, 10))
def test_a_slice_closes_on_the_first_day_no_label_of_it_can_be_observed(predicted: float, later: float) -> None:
    """Times in days: the label is observed before the closing day begins, and some label of it on the day before."""
    day, age = int(predicted), int(later)
    assert predicted + later < closing_day(day, age)
    assert (day + 0.999) + (age + 0.999) >= closing_day(day, age) - 1
