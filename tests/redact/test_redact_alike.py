"""Rows redacted column by column are the rows that a walk through each of them gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlmon_sidecar.redact.policy import Action, RedactionPolicy
from mlmon_sidecar.redact.redactor import Redactor
from mlmon_sidecar.redact.rows import _json, _rows_of, _texts_of

REDACTOR = Redactor(RedactionPolicy.of("default"))
NAMES = ("x0", "country", "comment", "amount.eur", "email", "phone", "name", "data", "ann@example.com", "<email>")
TEXTS = (
    "PT", "", " France ", " {} ", "café", "ann@example.com", "call +49 30 901820 now", "4111 1111 1111 1111",
    '{"email": "a@b.org"}', "[1]", "{broken", "DE89 3704 0044 0532 0130 00", "plain words", "a" * 20, "\ud800",
)  # fmt: skip
VALUES = st.sampled_from(TEXTS) | st.none() | st.booleans() | st.integers() | st.floats() | st.just([1, "b@c.org"])


def walked(columns: Mapping[str, Sequence[object]], counts: Counter[str]) -> object:
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return REDACTOR.redact_counted(rows, counts)


@given(st.data(), st.lists(st.sampled_from(NAMES), min_size=1, max_size=5, unique=True), st.integers(1, 6))
def test_columns_are_redacted_as_their_rows_are(data: st.DataObject, names: list[str], rows: int) -> None:
    columns = {name: data.draw(st.lists(VALUES, min_size=rows, max_size=rows)) for name in names}
    counts, expected_counts = Counter[str](), Counter[str]()
    found = REDACTOR.redact_columns(columns, counts)
    if found is None:
        return
    rows_found = [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]
    assert repr(rows_found) == repr(walked(columns, expected_counts))  # a NaN is not equal to itself
    assert counts == expected_counts


@pytest.mark.parametrize(
    ("name", "values"),
    [("x0", [0.5, None, 3]), ("country", ["PT", None, "Sao Tome"]), ("comment", ["", " ", "of ann@example.com"])],
)
def test_rows_of_scalars_need_no_walk(name: str, values: list[object]) -> None:
    assert REDACTOR.redact_columns({name: values}, Counter()) is not None


@pytest.mark.parametrize(
    ("name", "values"),
    [("email", ["x"]), ("name", ["x"]), ("x0", [[1, 2]]), ("x0", [{"email": 1}]), ("x0", ['{"email": "x"}'])],
)
def test_what_only_the_row_can_tell_is_left_to_it(name: str, values: list[object]) -> None:
    assert REDACTOR.redact_columns({"x1": [0.5], name: values}, Counter()) is None


@pytest.mark.parametrize("entry", ["only", "fields"])
def test_a_policy_that_chooses_by_names_is_applied(entry: str) -> None:
    policy = RedactionPolicy(only=frozenset({"x0"})) if entry == "only" else RedactionPolicy(fields={"x0": Action.MASK})
    assert Redactor(policy).redact_columns({"x0": [1.0]}, Counter()) is None


def test_the_given_columns_stay_as_they_are() -> None:
    values: list[object] = ["ann@example.com"]
    found = REDACTOR.redact_columns({"comment": values}, Counter())
    assert found == {"comment": ["<email>"]}
    assert values == ["ann@example.com"]


numbers = st.one_of(st.floats(), st.integers(-(2**63), 2**64 - 1), st.booleans())
texts = st.text(st.characters(codec="utf-8"))


@given(
    st.integers(1, 5).flatmap(
        lambda rows: st.dictionaries(
            texts,
            st.one_of(st.lists(numbers, min_size=rows, max_size=rows), st.lists(texts, min_size=rows, max_size=rows)),
            min_size=1,
            max_size=4,
        )
    )
)
def test_columns_are_written_as_their_rows_are(columns: dict[str, list[object]]) -> None:
    assert _texts_of(columns) == list(map(_json, _rows_of(columns)))


@pytest.mark.parametrize("values", [[None, 1], ["a", 1], [2**64, 1], [[1], [2]], ["\ud800", "a"], []])
def test_other_columns_are_written_row_by_row(values: list[object]) -> None:
    assert _texts_of({"a": values}) is None


def test_a_name_that_cannot_be_written_is_left_to_the_row() -> None:
    assert _texts_of({"\ud800": [1]}) is None
    assert _texts_of({"50%s": [1], 'a"b': ["x,y"]}) == ['{"50%s":1,"a\\"b":"x,y"}']
