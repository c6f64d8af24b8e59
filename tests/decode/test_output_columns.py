"""Whole columns are read exactly as their rows are, one by one."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlmon_sidecar.decode import output_columns
from mlmon_sidecar.decode.options import KINDS, DecodeOptions
from mlmon_sidecar.decode.output_columns import FEW, read_outputs, together
from mlmon_sidecar.decode.outputs import NOTHING, combine, read_output, read_score
from mlmon_sidecar.decode.sides import Outputs

NUMBERS = st.floats(-3, 3, width=16) | st.floats() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, 0.5, 1e300, 2**63])
PROBABILITIES = st.lists(st.integers(0, 9), min_size=1, max_size=4).map(
    lambda parts: [part / (sum(parts) or 1) for part in parts]
)
SCALARS: list[st.SearchStrategy[Any]] = [
    st.floats(), st.floats(0, 1), st.integers(-5, 5), st.integers(), st.booleans(), st.text("aé1", max_size=3), NUMBERS,
    st.none() | st.text("ab", max_size=2),
]  # fmt: skip


def _columns(item: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(item, min_size=FEW, max_size=FEW + 4)


def _vectors() -> st.SearchStrategy[list[Any]]:
    same = st.integers(1, 4).flatmap(lambda width: _columns(st.lists(NUMBERS, min_size=width, max_size=width)))
    return _columns(PROBABILITIES) | same


def _objects() -> st.SearchStrategy[list[Any]]:
    keys = ("prediction", "label", "score", "probabilities", "confidence", "classes", "other")
    item = st.one_of(*SCALARS, PROBABILITIES, st.lists(st.text("ab", max_size=2), max_size=3))
    return st.sets(st.sampled_from(keys), min_size=1, max_size=4).flatmap(
        lambda chosen: _columns(st.fixed_dictionaries(dict.fromkeys(sorted(chosen), item)))
    )


COLUMNS = st.one_of(*map(_columns, SCALARS), _vectors(), _objects(), _columns(st.one_of(*SCALARS)))
OPTIONS = st.builds(
    DecodeOptions, st.just("m"), kind=st.sampled_from(KINDS), margin=st.booleans(), threshold=st.none() | st.just(0.3)
)


def same(found: Outputs | None, rows: list[Any]) -> bool:
    if found is None:
        return not any(row.given for row in rows)
    expected = [np.array([getattr(row, name) for row in rows], dtype=float) for name in ("score", "confidence")]
    assert list(found.predicted) == [row.predicted for row in rows]
    assert np.allclose(found.score, expected[0], rtol=0, atol=0, equal_nan=True)
    assert np.allclose(found.confidence, expected[1], rtol=0, atol=1e-12, equal_nan=True)
    return True


@given(values=COLUMNS, options=OPTIONS, names=st.sampled_from([(), ("a", "b"), ("a", "b", "c")]))
def test_predictions(values: list[Any], options: DecodeOptions, names: tuple[str, ...]) -> None:
    rows = [NOTHING if value is None else read_output(value, options, names) for value in values]
    assert same(read_outputs(values, options, names), [combine(row, NOTHING, None) for row in rows])


@given(st.data(), OPTIONS)
def test_predictions_with_scores_and_confidences(data: st.DataObject, options: DecodeOptions) -> None:
    parts = [data.draw(st.none() | COLUMNS) for _ in range(3)]
    length = min((len(part) for part in parts if part is not None), default=0)
    cut = [None if part is None else part[:length] for part in parts]
    columns = [[None] * length if part is None else part for part in cut]
    rows = [
        combine(
            NOTHING if value is None else read_output(value, options),
            NOTHING if score is None else read_score(score, options),
            sure,
        )
        for value, score, sure in zip(*columns, strict=True)
    ]
    assert same(together((cut[0], cut[1], cut[2]), options), rows)


@pytest.mark.parametrize(
    "values",
    [
        [0.25] * 20, ["a"] * 20, [3] * 20, [[0.2, 0.8]] * 20, [{"label": "a", "score": 0.5}] * 20,
        [{"prediction": 1, "probabilities": [0.1, 0.9]}] * 20,
    ],
    ids=["scores", "classes", "numbers", "vectors", "objects", "both"],
)  # fmt: skip
def test_no_row_is_read_by_itself(values: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_columns, "read_output", None)
    found = read_outputs(values, DecodeOptions("m"))
    assert found is not None
    assert len(found.predicted) == 20


@pytest.mark.parametrize(
    ("value", "options", "expected"),
    [
        ([0.1, 0.2, 0.7], {"class_names": ("x", "y", "z")}, ("z", 0.7, 0.7)),
        ([0.1, 0.2, 0.7], {"margin": True}, ("2", 0.7, 0.5)),
        ({"probabilities": [0.1, 0.9], "classes": ["no", "yes"]}, {}, ("yes", 0.9, 0.9)),
        ({"probabilities": {"a": 0.5, "b": 0.3, "c": 0.2}}, {"margin": True}, ("a", 0.5, 0.2)),
        (["best", "second"], {}, ("best", math.nan, math.nan)),
        ([{"label": "cat", "score": 0.9}, {"label": "dog", "score": 0.1}], {}, ("cat", 0.9, 0.9)),
        ([{"label": "cat", "score": 0.9}, {"label": "dog", "score": 0.7}], {}, ("cat", 0.9, math.nan)),
        ({"label": "a", "price": 12.5}, {}, ("a", math.nan, math.nan)),
    ],
)
def test_what_an_answer_may_look_like(value: object, options: dict[str, Any], expected: tuple[Any, ...]) -> None:
    chosen = DecodeOptions("m", **options)
    found = read_output(value, chosen, chosen.class_names)
    assert repr((found.predicted, round(found.score, 9), round(found.confidence, 9))) == repr(expected)
