"""Segments of a baseline: which values and columns get cells, and that serving counts into the same ones."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlmon_sidecar.aggregate.panes import PaneBuilder
from mlmon_sidecar.baseline import build as building
from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.describe import describe
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.errors import BaselineError
from mlmon_sidecar.statistics.indicators import indicators
from mlmon_sidecar.statistics.layout import Layout

ROWS = 4_000
RNG = np.random.default_rng(5)
COUNTRIES = [f"c{k:02}" for k in range(30)]
SHARES = np.array([0.15, *([0.85 / 29] * 29)])


def redact(_name: str, token: str) -> str:
    return "<email>" if "@" in token else token


def columns() -> dict[str, list[object]]:
    country = RNG.choice(COUNTRIES, ROWS, p=SHARES).tolist()
    return {
        "x": RNG.normal(size=ROWS).tolist(),
        "y": RNG.normal(size=ROWS).tolist(),
        "country": [None if k % 50 == 0 else value for k, value in enumerate(country)],
        "tier": [float(k % 3) for k in range(ROWS)],
        "who": [f"{'anna' if k % 2 else 'bert'}@example.org" if k % 4 else f"user {k}" for k in range(ROWS)],
        "plan": ["gold" if k % 10 else "tin" for k in range(ROWS)],
        "score": RNG.uniform(size=ROWS).tolist(),
    }


TABLE = columns()


def built(segments: tuple[str, ...], roles: Roles | None = None, **more: Any) -> Baseline:
    return build_baseline(
        TABLE, roles or Roles(score="score"), Purpose("m", kind="binary", positive="1", segments=segments),
        redact_category=redact, policy="p", created="2026-01-01T00:00:00Z", **more,
    )  # fmt: skip


def values(baseline: Baseline) -> dict[str, tuple[str, ...]]:
    return {dimension.name: dimension.values for dimension in baseline.layout.segments.dimensions}


def test_the_commonest_values_get_cells_as_serving_redacts_them() -> None:
    found = values(built(("country", "tier", "who")))
    assert len(found["country"]) == 20
    assert found["country"][0] == "c00"
    assert found["tier"] == ("0", "1", "2")  # as a category is written, by rows and then by name
    assert found["who"] == ("<email>",)  # nothing else is held by twenty rows
    assert built(("country", "tier", "who")).layout.segments.columns == ("x", "y", "country", "tier", "who", "plan")


def test_serving_counts_what_the_build_counted() -> None:
    baseline = built(("country", "who"))
    features = {name: TABLE[name] for name in TABLE if name != "score"}
    batch = batch_from_columns("m", now_ns=0, features=features, scores=TABLE["score"])
    builder = PaneBuilder(baseline.layout, redact)
    builder.add_batch(batch)
    (pane,) = builder.take()
    first = baseline.layout.segment_cells.blocks[0].start
    assert baseline.layout.outputs.score_alarm.stop - baseline.layout.outputs.score_alarm.start > 1
    assert pane.vector[first:].sum() > 0
    differs = np.flatnonzero(pane.vector[first:] != baseline.reference.vector[first:])
    outputs = baseline.layout.outputs  # classes are told by the settings of serving, which this batch has none of
    told = {baseline.layout.segment_cells.cell(b, c) - first for b in baseline.layout.segment_cells.blocks
            for span in (outputs.class_weight, outputs.confidence_alarm)
            for c in range(span.start, span.stop)}  # fmt: skip
    assert set(differs.tolist()) <= told


def test_rows_of_all_segments_together_are_all_rows() -> None:
    baseline = built(("country",))
    vector, cells = baseline.reference.vector, baseline.layout.segment_cells
    blocks = np.array([vector[b.start : b.start + len(cells.sources)] for b in cells.blocks])
    assert blocks.sum(axis=0).tolist() == vector[list(cells.sources)].tolist()


def test_a_column_that_stands_for_what_handlers_say_is_no_feature() -> None:
    baseline = built(("segment",), Roles(score="score", segment="plan"))
    assert values(baseline) == {"segment": ("gold", "tin")}
    assert "plan" not in [feature.name for feature in baseline.layout.features]
    vector, (gold, *_) = baseline.reference.vector, baseline.layout.segment_cells.blocks
    assert vector[gold.start] == ROWS * 9 // 10


def test_a_dimension_without_values_is_left_out_and_said() -> None:
    baseline = built(("x", "absent", "plan"))
    assert list(values(baseline)) == ["plan"]
    assert "x: no segments, no value comes often enough" in baseline.notes
    assert "absent: no segments, the data has no values" in baseline.notes


def test_where_cells_are_short_the_more_important_columns_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = built(("country",))
    monkeypatch.setattr(building, "MAX_CELLS", whole.layout.size - 1)
    short = built(("country",), importances={"plan": 5.0, "y": 3.0, "x": 2.0, "tier": 1.0, "who": 1.0})
    assert short.layout.segments.columns == ("x", "y", "tier", "who", "plan")
    assert short.layout.size < whole.layout.size
    assert any(note.startswith("segments: 5 of 6 columns are counted by segment") for note in short.notes)
    assert describe(short).segments[0].columns == 5
    indicators(short.layout, short.reference)


def test_how_the_table_is_read_changes_nothing() -> None:
    whole = built(("country", "who"))
    for rows in (7, 500):
        part = built(("country", "who"), chunk_rows=rows)
        assert part.layout == whole.layout
        assert part.reference.vector.tobytes() == whole.reference.vector.tobytes()


def test_wander_of_segments_is_learned_in_any_order_and_pieces() -> None:
    hours, rng = 400, np.random.default_rng(9)
    count = hours * 40
    at = np.arange(count) // 40
    place = rng.choice(["A", "B"], count)
    wave = np.sin(2 * np.pi * at / 24) * np.where(place == "A", 0.6, -0.6)  # the whole stands still
    table: dict[str, list[object]] = {
        "at": (at * 3_600_000_000_000).tolist(), "x": (rng.normal(size=count) + wave).tolist(), "place": place.tolist()
    }  # fmt: skip
    shuffled = rng.permutation(count).tolist()

    def learned(order: list[int], rows: int) -> Baseline:
        return build_baseline(
            {name: [column[k] for k in order] for name, column in table.items()}, Roles(timestamp="at"),
            Purpose("m", segments=("place",)), redact_category=redact, policy="p", created="", chunk_rows=rows,
        )  # fmt: skip

    whole, part = learned(list(range(count)), count), learned(shuffled, 1_111)
    assert whole.to_document() == part.to_document()
    own = {key for key in whole.reference.tau if key.startswith("@segment")}
    assert own == {"@segments:place=A: x", "@segments:place=B: x"}
    assert whole.reference.tau["@segments:place=A: x"] > 0.2 > whole.reference.tau["x"]


def test_more_texts_than_a_first_look_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlmon_sidecar.baseline.look.CAP", 512)
    monkeypatch.setitem(TABLE, "key", [f"k{k}" if k % 4 else "often" for k in range(ROWS)])
    assert values(built(("key",))) == {"key": ("often",)}


def test_the_description_tells_the_shares() -> None:
    (dimension,) = describe(built(("plan",))).segments
    assert (dimension.name, dimension.columns) == ("plan", 6)
    assert dict(dimension.shares) == {"gold": 0.9, "tin": 0.1, "_other": 0.0}


def test_the_document_comes_back_and_one_of_before_still_loads(tmp_path: Path) -> None:
    baseline = built(("country",))
    baseline.save(tmp_path / "b.json")
    read = Baseline.load(tmp_path / "b.json")
    assert (read.layout, read.layout.hash) == (baseline.layout, baseline.layout.hash)
    before = replace(baseline.layout, segments=Layout.bare("m").segments)
    document = built(()).to_document()
    del document["roles"]["segment"]
    assert "segments" not in document["layout"]
    assert Baseline.from_document(json.loads(json.dumps(document))).layout.size == before.size


def test_a_role_that_the_data_lacks_is_an_error() -> None:
    with pytest.raises(BaselineError, match="no column 'nothing'"):
        built((), Roles(segment="nothing"))
