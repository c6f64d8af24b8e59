import math
from typing import Any

import numpy as np
import pytest

from mlmon_sidecar.decode.json_predictions import predictions, selected
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.outputs import complete
from mlmon_sidecar.decode.selectors import Selector
from mlmon_sidecar.errors import DecodeError

NAN = math.nan


def read(response: object, rows: int = 1, **options: Any) -> list[tuple[float, str | None, float]]:
    chosen = DecodeOptions("m", **options)
    if chosen.selects_outputs:
        found = selected(lambda selector: selector.find(response), rows, chosen)
    else:
        found = predictions(response, rows, chosen)
    if found is None:
        return []
    score = np.array(found.score)
    classes, sure = complete(score, found.predicted, np.array(found.confidence), chosen)
    return [(round(s, 9), c, round(p, 9)) for s, c, p in zip(score.tolist(), classes, sure.tolist(), strict=True)]


def same(found: list[tuple[Any, ...]], expected: list[tuple[Any, ...]]) -> bool:
    return repr(found) == repr(expected)  # NaN equals itself here


@pytest.mark.parametrize(
    ("response", "rows", "options", "expected"),
    [
        ({"prediction": "cat"}, 1, {}, [(NAN, "cat", NAN)]),
        ({"prediction": 1}, 1, {}, [(NAN, "1", NAN)]),
        ({"label": True}, 1, {}, [(NAN, "true", NAN)]),
        ({"y_pred": 1.0}, 1, {}, [(NAN, "1", NAN)]),
        ({"prediction": 0.73}, 1, {}, [(0.73, None, NAN)]),
        ({"prediction": 3}, 1, {"kind": "regression"}, [(3.0, None, NAN)]),
        ({"prediction": 2.5}, 1, {"kind": "multiclass"}, [(NAN, "2.5", NAN)]),
        ({"class": "a", "score": 0.9, "confidence": 0.8}, 1, {}, [(0.9, "a", 0.8)]),
        ({"predicted_class": "a", "confidence": 80}, 1, {}, [(NAN, "a", NAN)]),
        ({"score": 0.9}, 1, {"kind": "binary", "positive": "fraud"}, [(0.9, "fraud", 0.9)]),
        ({"score": 0.2}, 1, {"threshold": 0.2, "positive": "fraud"}, [(0.2, "fraud", 0.8)]),
        ({"score": 0.2}, 1, {"threshold": 0.3, "positive": "fraud"}, [(0.2, "not fraud", 0.8)]),
        ({"score": 0.2}, 1, {"threshold": 0.3, "positive": "true"}, [(0.2, "false", 0.8)]),
        ({"score": 7.5}, 1, {"kind": "binary"}, [(7.5, "1", NAN)]),
        ({"score": 0.2, "label": "x"}, 1, {"kind": "binary"}, [(0.2, "x", 0.8)]),
        ({"probabilities": [0.2, 0.7, 0.1]}, 1, {}, [(0.7, "1", 0.7)]),
        ({"probabilities": [0.2, 0.8]}, 1, {"threshold": 0.9}, [(0.8, "0", 0.8)]),
        ({"probabilities": [[0.9, 0.1]]}, 1, {}, [(0.1, "0", 0.9)]),
        ({"probabilities": {"cat": 0.6, "dog": 0.4}}, 1, {}, [(0.6, "cat", 0.6)]),
        ({"proba": {"fraud": 0.6, "ok": 0.4}}, 1, {"threshold": 0.7, "positive": "fraud"}, [(0.6, "ok", 0.6)]),
        ({"predictions": [[2.0, 5.0]]}, 1, {"kind": "multiclass"}, [(5.0, "1", NAN)]),
        ({"predictions": [0.1, 0.7]}, 2, {}, [(0.1, None, NAN), (0.7, None, NAN)]),
        ({"predictions": ["a", None, "b"]}, 3, {}, [(NAN, "a", NAN), (NAN, None, NAN), (NAN, "b", NAN)]),
        ({"predictions": [{"class": "a", "score": 0.9}, {"class": "b"}]}, 2, {}, [(0.9, "a", NAN), (NAN, "b", NAN)]),
        ({"predictions": [0, 1], "probabilities": [[0.9, 0.1], [0.4, 0.6]]}, 2, {}, [(0.1, "0", 0.9), (0.6, "1", 0.6)]),
        ({"prediction": {"label": "a", "score": 0.25}}, 1, {}, [(0.25, "a", NAN)]),
        ([{"score": 0.5}, {"score": 0.6}], 2, {}, [(0.5, None, NAN), (0.6, None, NAN)]),
        ([0.25], 1, {}, [(0.25, None, NAN)]),
        ([0.25, 0.75], 1, {}, [(0.75, "1", 0.75)]),
        (0.25, 1, {}, [(0.25, None, NAN)]),
        ("cat", 1, {}, [(NAN, "cat", NAN)]),
    ],
)
def test_guesses(response: object, rows: int, options: dict[str, Any], expected: list[tuple[Any, ...]]) -> None:
    assert same(read(response, rows, **options), expected)


def test_selectors_are_followed_and_nothing_is_guessed_beside_them() -> None:
    response = {"out": [{"p": 0.9, "c": "x"}, {"p": 0.1}], "prediction": ["wrong", "wrong"]}
    found = read(response, 2, score=Selector.compile("response.out[*].p"))
    assert same(found, [(0.9, None, NAN), (0.1, None, NAN)])
    found = read(response, 2, predicted=Selector.compile("response.out.c"))
    assert same(found, [(NAN, "x", NAN), (NAN, None, NAN)])


@pytest.mark.parametrize(
    ("response", "rows", "code"),
    [
        ({"scores": [0.1, 0.2, 0.3]}, 2, "row_mismatch"),
        ({"score": 0.1}, 2, "row_mismatch"),
        ([], 1, "row_mismatch"),
        ([1, 2], 3, "row_mismatch"),
    ],
)
def test_refusals(response: object, rows: int, code: str) -> None:
    with pytest.raises(DecodeError) as caught:
        read(response, rows)
    assert caught.value.code == code


@pytest.mark.parametrize("response", [{"status": "ok"}, {}, None, {"score": "high"}])
def test_answers_without_a_prediction(response: object) -> None:
    assert read(response) == []


def test_regression_vectors_are_no_class() -> None:
    assert read({"prediction": [0.2, 0.8]}, kind="regression") == []
