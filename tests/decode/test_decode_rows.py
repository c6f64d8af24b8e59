from collections import Counter
from typing import Any

import pytest

from mlmon_sidecar.decode import DECODERS
from mlmon_sidecar.decode.columns import MAX_ARRAY, MAX_COLUMNS, MAX_DEPTH, flatten
from mlmon_sidecar.decode.json_rows import request_rows
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.errors import ConfigError, DecodeError
from mlmon_sidecar.selectors import Selector


def rows(document: object, **options: Any) -> list[dict[str, object]]:
    found = request_rows(document, DecodeOptions("m", **options))
    assert not found.bad
    if found.columns:
        return [{name: column[at] for name, column in found.columns.items()} for at in range(found.count)]
    return [flatten(row, Counter()) for row in found.records]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"a": 1, "b": "x", "c": None}, [{"a": 1, "b": "x", "c": None}]),
        ([{"a": 1}, {"b": 2}], [{"a": 1}, {"b": 2}]),
        ({"features": {"a": 1}, "id": 5}, [{"a": 1}]),
        ({"features": [{"a": 1}, {"a": 2}]}, [{"a": 1}, {"a": 2}]),
        ({"features": [1, 2]}, [{"x": 1, "feature_1": 2}]),
        ({"features": [[1, 2], [3, 4]]}, [{"x": 1, "feature_1": 2}, {"x": 3, "feature_1": 4}]),
        ({"features": 3}, [{"features": 3}]),
        ({"instances": [[700, 1], [2, 3]]}, [{"x": 700, "feature_1": 1}, {"x": 2, "feature_1": 3}]),
        ({"instances": [{"a": 1}]}, [{"a": 1}]),
        ({"instances": [5, 6]}, [{"x": 5}, {"x": 6}]),
        ([1.5, 2], [{"x": 1.5, "feature_1": 2}]),
        ({"a": {"b": {"c": 1}}, "l": [1, {"z": 2}, [3]]}, [{"a.b.c": 1, "l.0": 1, "l.1.z": 2, "l.2.0": 3}]),
        ({}, [{}]),
    ],
)
def test_shapes(document: object, expected: object) -> None:
    assert rows(document, feature_names=("x",)) == expected


@pytest.mark.parametrize("document", [None, 5, "text", True, [], [{"a": 1}, 2], [{"a": 1}, [2]], {"instances": []}])
def test_wrong_shape(document: object) -> None:
    with pytest.raises(DecodeError) as caught:
        rows(document)
    assert caught.value.code == "wrong_shape"


def test_rows_by_selector() -> None:
    document = {"data": {"items": [{"f": {"a": 1}}, {"f": {"a": 2}}]}}
    assert rows(document, features=Selector.compile("request.data.items[*].f")) == [{"a": 1}, {"a": 2}]


def test_too_many_rows() -> None:
    with pytest.raises(DecodeError) as caught:
        rows([{"a": 1}] * 4, max_rows=3)
    assert caught.value.code == "body_too_large"
    assert len(rows([{"a": 1}] * 3, max_rows=3)) == 3


def test_what_meets_a_cap_is_left_out_and_counted() -> None:
    deep: object = 1
    for _ in range(MAX_DEPTH + 50):
        deep = {"d": deep}
    skipped: Counter[str] = Counter()
    flat = flatten({"ok": 1, "deep": deep, "tokens": [5] * (MAX_ARRAY + 1), "short": [1] * MAX_ARRAY}, skipped)
    assert set(flat) == {"ok"} | {f"short.{at}" for at in range(MAX_ARRAY)}
    assert skipped == {"depth": 1, "long_array": 1}
    skipped.clear()
    assert len(flatten({f"c{at}": at for at in range(MAX_COLUMNS + 3)}, skipped)) == MAX_COLUMNS
    assert skipped == {"columns": 3}


def test_the_given_row_is_not_changed() -> None:
    row: dict[str, object] = {"a": {"b": [1, 2]}}
    flatten(row, Counter())
    assert row == {"a": {"b": [1, 2]}}


def test_the_table_names_each_decoder() -> None:
    assert {name: decoder.name for name, decoder in DECODERS.items()} == {name: name for name in DECODERS}


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="auto, binary, multiclass, multilabel, regression"):
        DecodeOptions("m", kind="clustering")
