"""What handlers say reaches decoding as if it had never been bytes."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import NamedTuple
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlmon_sidecar.decode.said import Said, SaidRow
from mlmon_sidecar.errors import WireError
from mlmon_sidecar.records import Annotation
from mlmon_sidecar.shipping.said import pack_said, unpack_said


class Colour(Enum):
    RED = "red"


class Pair(NamedTuple):
    left: int
    right: float


@dataclass
class Thing:
    size: int


class Hostile:
    @property
    def shape(self) -> tuple[int, ...]:
        return (3,)

    def tolist(self) -> object:
        raise ZeroDivisionError


VALUES = {
    "numbers": [1, -2.5, True, None, 0, 2**62],
    "not finite": [math.nan, math.inf, -math.inf, np.float64("nan"), np.float32("inf")],
    "beyond 64 bits": [2**63, 2**64, -(2**70), 10**400],
    "numpy": [np.float32(0.5), np.int64(7), np.bool_(True), np.float16(0.25), np.str_("x")],
    "arrays": [np.arange(3), np.arange(6).reshape(2, 3)[:, ::2], np.array([0.5, 1.5], np.float32)],
    "nulls of frames": [pd.NA, pd.NaT],
    "times": [datetime(2026, 1, 2, 3, 4, 5, 6, UTC), date(2026, 1, 2), timedelta(seconds=1.5)],
    "others": [Decimal("0.1"), UUID(int=5), Colour.RED, Pair(1, 2.0), (1, 2), "text", ""],
    "nested": [{"a": {"b": [1, {"c": 2}]}}, [[1, 2], [3]]],
    "unreadable": [object(), Thing(3), b"bytes", {1, 2}],
}


def read(annotations: tuple[Annotation, ...]) -> tuple[list[SaidRow], Mapping[str, int]]:
    skipped: Counter[str] = Counter()
    return list(Said.of(annotations, skipped).for_rows(1)), skipped


@pytest.mark.parametrize("kind", VALUES)
def test_decoding_sees_the_same_either_way(kind: str) -> None:
    for value in VALUES[kind]:
        said = (Annotation({"x": value, "y": 1.5}, value if kind in ("numbers", "others") else "yes", 0.5, "north"),)
        direct, shipped = read(said), read(unpack_said(pack_said(said)))
        assert repr(shipped) == repr(direct), value  # NaN is not equal to itself, and prints the same
        assert [*map(type, shipped[0][0].features.values())] == [*map(type, direct[0][0].features.values())]


def test_one_value_that_cannot_be_written_costs_itself_alone() -> None:
    loop: list[object] = []
    loop.append(loop)
    said = (Annotation({"bad": Hostile(), "loop": loop, "\ud800": 1, "good": 2.5}, "yes", math.nan, "s\ud800"),)
    (found,) = unpack_said(pack_said(said))
    assert found.features is not None and found.features["good"] == 2.5 and found.features["?"] == 1
    assert (found.prediction, found.segment) == ("yes", "s?") and math.isnan(found.confidence or 0)
    rows, skipped = read((found,))
    assert skipped == {"unreadable_value": 2} and dict(rows[0].features) == {"?": 1, "good": 2.5}


def test_names_are_texts() -> None:
    (found,) = unpack_said(pack_said([Annotation({1: 2, None: 3}, None, None, None)]))  # type: ignore[dict-item]
    assert found == Annotation({"1": 2, "None": 3}, None, None, None)


def test_nothing_said_is_nothing() -> None:
    assert pack_said(()) == b"" and unpack_said(b"") == ()


NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(st.text(), JSON, max_size=4), JSON, st.none() | st.text())
def test_json_comes_back_as_it_was(features: dict[str, object], prediction: object, segment: str | None) -> None:
    said = (Annotation(features, prediction, None, segment), Annotation(None, prediction, 0.25, None))
    assert unpack_said(pack_said(said)) == said


@given(st.binary(min_size=1, max_size=60) | st.sampled_from([b"[[]]", b"{}", b"[1]", b"[[1,2,3,4]]", b"[[{},2,3,4]]"]))
def test_what_nobody_said_is_refused(data: bytes) -> None:
    try:
        found = unpack_said(data)
    except WireError as error:
        assert error.code == "frame_malformed"
    else:
        assert all(type(said) is Annotation for said in found)
