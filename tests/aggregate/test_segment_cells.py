"""The block of a segment holds what the rows of that segment alone would, however rows are split and ordered."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlmon_sidecar.aggregate import segments
from mlmon_sidecar.aggregate.panes import PaneBuilder
from mlmon_sidecar.errors import BaselineError
from mlmon_sidecar.records import MINUTE_NS, Pane, PredictionBatch
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.statistics.segments import OTHER_SEGMENT, Dimension, SegmentSpace

Make = Callable[..., PredictionBatch]
COUNTRY, SEGMENT = Dimension("country", ("DE", "7", "true", "<email>")), Dimension("segment", ("gold", "1"))
SPACE = SegmentSpace((COUNTRY, SEGMENT), ("color", "x", "y"))

VALUES = st.sampled_from(
    [None, "DE", 7, 7.0, "7", True, 1, "a@b.c", "elsewhere", math.nan, [1], "z" * 300]
)  # fmt: skip
ROWS = st.fixed_dictionaries({
    "features": st.fixed_dictionaries(
        {},
        optional={
            "country": VALUES,
            "segment": st.sampled_from([None, "gold", 1, "tin"]),
            "color": st.sampled_from([None, "red", "green", "blue", "pink", True, 7, [1]]),
            "x": st.sampled_from([None, -3.0, -1.0, 0.2, 9.0, math.inf, "text"]),
            "y": st.sampled_from([None, 9.0, 11.0]),
            "only": st.sampled_from([None, "a"]),
        },
    ),
    "said": st.sampled_from([None, None, "gold", "tin"]),
    "event_ns": st.sampled_from([0, MINUTE_NS, 3 * MINUTE_NS]),
    "weight": st.sampled_from([1 << 20, 524_288, 1]),
    "score": st.sampled_from([0.05, 0.3, 0.95, math.nan]),
    "predicted": st.sampled_from(["yes", "no", None, "other"]),
})  # fmt: skip


def redact(_name: str, token: str) -> str:
    return "<email>" if "@" in token else token


def country_of(row: dict[str, Any]) -> str:
    """The rule in words: as a category is written, redacted; anything else is elsewhere."""
    value = row["features"].get("country")
    names = {"DE": "DE", "7": "7", "a@b.c": "<email>"}
    if value is True:
        return "true"
    if isinstance(value, float) and math.isnan(value):
        return OTHER_SEGMENT
    if isinstance(value, (int, float)):
        return "7" if value == 7 else OTHER_SEGMENT
    return names.get(value, OTHER_SEGMENT) if isinstance(value, str) else OTHER_SEGMENT


def segment_of(row: dict[str, Any]) -> str:
    """What the handler said, else the column."""
    value = row["said"] if row["said"] is not None else row["features"].get("segment")
    return {"gold": "gold", 1: "1"}.get(value, OTHER_SEGMENT)


def batch_of(make_batch: Make, rows: list[dict[str, Any]]) -> PredictionBatch:
    return replace(make_batch(rows), segments=[row["said"] for row in rows])


def panes_of(layout: Layout, batches: list[PredictionBatch]) -> dict[int, Pane]:
    builder = PaneBuilder(layout, redact)
    for batch in batches:
        builder.add_batch(batch)
    return {pane.key.minute: pane for pane in builder.take()}


@pytest.fixture(name="split")
def _split(layout: Layout) -> Layout:
    return replace(layout, segments=SPACE)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROWS, min_size=1, max_size=30))
def test_a_block_is_what_its_rows_alone_would_be(
    layout: Layout, split: Layout, make_batch: Make, rows: list[dict[str, Any]]
) -> None:
    panes, whole = panes_of(split, [batch_of(make_batch, rows)]), panes_of(layout, [batch_of(make_batch, rows)])
    assert panes.keys() == whole.keys()
    cells = split.segment_cells
    for minute, pane in panes.items():
        assert np.array_equal(pane.vector[: layout.size], whole[minute].vector)
        for block in cells.blocks:
            of = country_of if block.dimension == "country" else segment_of
            alone = [row for row in rows if row["event_ns"] // MINUTE_NS == minute and of(row) == block.value]
            found = pane.vector[block.start : block.start + len(cells.sources)]
            expected = (
                panes_of(layout, [batch_of(make_batch, alone)])[minute].vector if alone else whole[minute].vector * 0
            )
            assert found.tolist() == expected[list(cells.sources)].tolist()


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROWS, min_size=1, max_size=40), data=st.data())
def test_any_order_and_split_gives_the_same_bytes(
    split: Layout, make_batch: Make, rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    whole = panes_of(split, [batch_of(make_batch, rows)])
    shuffled = data.draw(st.permutations(rows))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=5)))
    parts = [shuffled[a:b] for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True) if a < b]
    found = panes_of(split, [batch_of(make_batch, part) for part in parts])
    assert {m: p.vector.tobytes() for m, p in found.items()} == {m: p.vector.tobytes() for m, p in whole.items()}


def test_many_rows_and_a_full_memory_change_nothing(
    split: Layout, make_batch: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    some: list[Any] = ["DE", 7, True, "b@c", *(f"town {k}" for k in range(40))]
    rows = [
        {"features": {"country": some[rng.integers(len(some))], "x": float(rng.normal())}, "said": None, "event_ns": 0}
        for _ in range(3_000)
    ]
    whole = panes_of(split, [batch_of(make_batch, rows)])[0].vector
    monkeypatch.setattr(segments, "MAX_REMEMBERED", 7)
    for size in (1, 700, 3_000):
        parts = [batch_of(make_batch, rows[at : at + size]) for at in range(0, len(rows), size)]
        assert np.array_equal(panes_of(split, parts)[0].vector, whole)
    in_germany = sum(row["features"]["country"] == "DE" for row in rows)
    assert whole[split.segment_cells.of("country")[0].start] == in_germany > 0


def test_a_layout_without_segments_keeps_its_document_and_hash(layout: Layout, split: Layout) -> None:
    assert "segments" not in layout.to_document()
    assert Layout.from_document(layout.to_document()) == layout
    read = Layout.from_document(split.to_document())
    assert (read, read.hash) == (split, split.hash)
    assert split.hash != layout.hash
    assert split.size == layout.size + (5 + 3) * len(split.segment_cells.sources)


@pytest.mark.parametrize(
    "space",
    [
        SegmentSpace((COUNTRY, COUNTRY)),
        SegmentSpace((Dimension("d", ("a", "a")),)),
        SegmentSpace((Dimension("d", (OTHER_SEGMENT,)),)),
        SegmentSpace((Dimension("d", tuple(map(str, range(21)))),)),
        SegmentSpace((COUNTRY,), ("no such column",)),
    ],
)
def test_what_cannot_be_told_apart_is_no_layout(layout: Layout, space: SegmentSpace) -> None:
    with pytest.raises(BaselineError):
        Layout.from_document({**layout.to_document(), "segments": _document(space)})


def _document(space: SegmentSpace) -> dict[str, Any]:
    return {
        "dimensions": [{"name": each.name, "values": list(each.values)} for each in space.dimensions],
        "columns": list(space.columns),
    }
