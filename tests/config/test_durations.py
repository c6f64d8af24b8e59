from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlmon_sidecar.config import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("60d", timedelta(days=60)),
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("2w", timedelta(weeks=2)),
        ("1d12h", timedelta(hours=36)),
        (timedelta(days=1), timedelta(days=1)),
    ],
)
def test_read(text: object, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "60", "d", "-1d", "1.5d", "1 d", "1y", "d1", 60, None, "0s", "9999999d", "1d!"])
def test_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"duration|longer"):
        parse_duration(text)


@given(st.integers(min_value=1, max_value=3_660 * 86_400))
def test_what_is_written_reads_back(seconds: int) -> None:
    assert parse_duration(format_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)
