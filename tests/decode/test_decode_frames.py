from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import WEIGHT_UNIT

COLUMNS = {"a": [1.5, float("nan"), 3.0], "b": ["x", None, "z"], "c": [1, 2, 3]}
EXPECTED = {"a": [1.5, None, 3.0], "b": ["x", None, "z"], "c": [1, 2, 3]}
ROWS = [{"a": 1.5, "b": "x", "c": 1}, {"a": float("nan"), "c": 2}, {"a": 3.0, "b": "z", "c": 3}]


@pytest.mark.parametrize(
    "features",
    [COLUMNS, ROWS, pd.DataFrame(COLUMNS), pa.table({**COLUMNS, "a": [1.5, None, 3.0]}),
     {name: np.array(values, dtype=object) for name, values in COLUMNS.items()},
     {name: pd.Series(values) for name, values in COLUMNS.items()}],
    ids=["columns", "rows", "pandas", "pyarrow", "numpy", "series"],
)  # fmt: skip
def test_tables_of_every_kind_become_the_same_columns(features: object) -> None:
    batch = batch_from_columns("m", features=features, predictions=["p", "q", "p"], now_ns=5)
    assert batch.features == EXPECTED
    assert [type(v) for v in batch.features["c"]] == [int, int, int]
    assert batch.predicted == ["p", "q", "p"]
    assert batch.event_ns.tolist() == [5, 5, 5]
    assert batch.weight.tolist() == [WEIGHT_UNIT] * 3


def test_a_matrix_with_names() -> None:
    batch = batch_from_columns("m", features=np.array([[1.0, 2], [np.nan, 4]]), feature_names=["x"], now_ns=0)
    assert batch.features == {"x": [1.0, None], "feature_1": [2.0, 4.0]}


def test_nullable_and_strange_values() -> None:
    frame = pd.DataFrame({"i": pd.array([1, None], dtype="Int64"), "t": pd.to_datetime(["2024-01-01", None])})
    features = {**{n: frame[n] for n in frame}, "n": [np.int64(5), 10**400], "o": [object(), "x"]}
    batch = batch_from_columns("m", features=features, now_ns=0)
    assert batch.features["i"] == [1, None]
    assert batch.features["t"] == ["2024-01-01T00:00:00", None]
    assert batch.features["n"] == [5, float("inf")]
    assert batch.features["o"] == [None, "x"]


def test_ids_become_aliases_and_primary_ids_are_minted_in_time_order() -> None:
    batch = batch_from_columns("m", ids=[7, "x", 8.0], scores=[0.1, 0.2, 0.3], now_ns=0)
    assert batch.aliases == ["7", "x", "8"]
    assert len(set(batch.prediction_ids)) == 3
    assert all(len(name) == 36 and name[14] == "7" for name in batch.prediction_ids)


NS = 1_700_000_000_000_000_000
UTC_TIME = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    "times",
    [[UTC_TIME], [UTC_TIME.replace(tzinfo=None)], [UTC_TIME.astimezone(timezone(timedelta(hours=3)))], [NS],
     [1_700_000_000.0], np.array([NS]), np.array(["2023-11-14T22:13:20"], dtype="datetime64[s]"),
     np.array([NS], dtype="datetime64[ns]"), [np.datetime64(NS, "ns")], pd.Series([UTC_TIME]),
     ["2023-11-14T22:13:20+00:00"], ["2023-11-14 22:13:20"], pa.array([UTC_TIME])],
    ids=range(13),
)  # fmt: skip
def test_times_in_every_form(times: Any) -> None:
    assert batch_from_columns("m", scores=[0.5], times=times, now_ns=0).event_ns.tolist() == [NS]


def test_days_and_nanoseconds() -> None:
    times = [date(1970, 1, 2), pd.Timestamp(NS + 7), np.datetime64("1970-01-02")]
    day = 86_400 * 10**9
    assert batch_from_columns("m", scores=[1, 2, 3], times=times, now_ns=0).event_ns.tolist() == [day, NS + 7, day]


@pytest.mark.parametrize("bad", [None, "yesterday", float("nan"), object(), pd.NaT, True, np.datetime64("NaT", "ns")])
def test_times_that_are_none(bad: object) -> None:
    with pytest.raises(DecodeError) as caught:
        batch_from_columns("m", scores=[0.5], times=[bad], now_ns=0)
    assert caught.value.code == "wrong_shape"


@pytest.mark.parametrize(
    "given",
    [{"predictions": [1, 2], "scores": [0.5]}, {"features": {"a": [1]}, "ids": [1, 2]}, {},
     {"scores": [1, 2], "segments": ["x"]}],
)  # fmt: skip
def test_lengths_must_agree(given: dict[str, Any]) -> None:
    with pytest.raises(DecodeError) as caught:
        batch_from_columns("m", now_ns=0, **given)
    assert caught.value.code == "row_mismatch"


def test_outputs_follow_the_same_rules_as_over_http() -> None:
    options = DecodeOptions("m", threshold=0.6, positive="bad", negative="good", version="v2")
    batch = batch_from_columns("m", scores=np.array([[0.3, 0.7], [0.5, 0.5]]), options=options, now_ns=0)
    assert batch.score.tolist() == [0.7, 0.5]
    assert batch.predicted == ["bad", "good"]
    assert batch.confidence.tolist() == [0.7, 0.5]
    assert batch.version == "v2"
    given = batch_from_columns("m", predictions=[1, 0], scores=[0.9, 0.1], version="v3", segments="eu", now_ns=0)
    assert (given.predicted, given.version, given.segments) == (["1", "0"], "v3", ["eu", "eu"])


@pytest.mark.parametrize("features", [[1, 2], np.zeros(3), "text"])
def test_what_is_no_table(features: object) -> None:
    with pytest.raises(DecodeError) as caught:
        batch_from_columns("m", features=features, now_ns=0)
    assert caught.value.code == "wrong_shape"
