"""Cutting and joining loses no row and mixes none up."""

import itertools
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlmon_sidecar.recorder.batches import ROW_UNITS, Gathered, by_minutes, join, part, units
from mlmon_sidecar.records import MINUTE_NS, PredictionBatch

COLUMNS = ("event_ns", "weight", "prediction_ids", "aliases", "score", "predicted", "confidence", "segments", "traces",
           "exemplar")  # fmt: skip


def batch_of(numbers: range, version: str = "v1", wide: bool = False, array: bool = False) -> PredictionBatch:
    """Every field of a row tells its number."""
    x: Any = [float(n) for n in numbers]
    features: dict[str, Any] = {"x": np.array(x) if array else x, "c": [f"c{n}" for n in numbers]}
    return PredictionBatch(
        model="m",
        version=version,
        event_ns=np.array([n * MINUTE_NS for n in numbers], dtype=np.int64),
        weight=np.array(numbers, dtype=np.int64),
        prediction_ids=[f"p{n}" for n in numbers],
        aliases=[f"a{n}" for n in numbers],
        features=features | ({"more": [None] * len(numbers)} if wide else {}),
        score=np.array(x),
        predicted=[str(n) for n in numbers],
        confidence=np.array(x) / 1e6,
        segments=[f"s{n}" for n in numbers],
        traces=[(n, n) for n in numbers],
        exemplar=[n % 2 == 0 for n in numbers],
    )


def rows(batch: PredictionBatch) -> list[tuple[Any, ...]]:
    fields = [*(getattr(batch, name) for name in COLUMNS), *batch.features.values()]
    lists = [field.tolist() if isinstance(field, np.ndarray) else list(field) for field in fields]
    assert {len(field) for field in lists} == {batch.rows}
    return list(zip(*lists, strict=True))


@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["v1", "v2"]), st.booleans(), st.booleans()), max_size=8),
    st.integers(1, 400),
)
def test_what_is_gathered_comes_out_once_in_order_and_never_much_at_once(
    given_batches: list[tuple[int, str, bool, bool]], limit: int
) -> None:
    gathered, start = Gathered(), 0
    expected: dict[tuple[str, int], list[tuple[Any, ...]]] = {}
    for count, version, wide, array in given_batches:
        batch = batch_of(range(start, start + count), version, wide, array)
        expected.setdefault((version, len(batch.features)), []).extend(rows(batch))
        gathered.add(batch)
        start += count
    found: dict[tuple[str, int], list[tuple[Any, ...]]] = {}
    while gathered:
        left = gathered.units
        taken = join(gathered.take(limit))
        assert taken.rows and gathered.units == left - units(taken)
        assert units(taken) <= max(3 * limit // 2, len(taken.features) + ROW_UNITS)
        found.setdefault((taken.version, len(taken.features)), []).extend(rows(taken))
    assert gathered.units == 0
    assert found == {kind: members for kind, members in expected.items() if members}


def test_a_large_batch_is_cut_evenly() -> None:
    gathered = Gathered()
    gathered.add(batch_of(range(101)))
    sizes = []
    while gathered:
        sizes.append(join(gathered.take(20 * (2 + ROW_UNITS))).rows)
    assert sizes == [21, 20, 20, 20, 20]


def test_a_batch_that_is_hardly_too_large_is_counted_in_one() -> None:
    """To count two halves would cost nearly twice as much."""
    gathered = Gathered()
    gathered.add(batch_of(range(30)))
    gathered.add(batch_of(range(30, 32)))
    assert [batch.rows for batch in gathered.take(20 * (2 + ROW_UNITS))] == [30]
    assert [batch.rows for batch in gathered.take(20 * (2 + ROW_UNITS))] == [2]


def test_parts_and_joins_are_inverse_for_lists_and_arrays() -> None:
    for array in (False, True):
        whole = batch_of(range(20), array=array)
        parts = [part(whole, slice(at, at + 7)) for at in range(0, 20, 7)]
        joined = join(parts)
        assert rows(joined) == rows(whole)
        assert isinstance(joined.features["x"], np.ndarray) is array


@given(st.permutations(range(24)), st.integers(1, 30), st.booleans())
def test_parts_by_minutes_hold_every_row_once_in_the_order_of_time(order: list[int], minutes: int, array: bool) -> None:
    base = batch_of(range(24), array=array)
    mixed = join([part(base, slice(n, n + 1)) for n in order])
    parts = list(by_minutes(mixed, minutes))
    assert sorted(row for each in parts for row in rows(each)) == rows(base)
    for each in parts:
        assert len(set(each.event_ns // MINUTE_NS)) <= minutes
    for earlier, later in itertools.pairwise(parts):
        assert earlier.event_ns.max() < later.event_ns.min()
