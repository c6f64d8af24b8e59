"""What of a segment is watched, how far it may move, and how a change splits into mix and segments."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlmon_sidecar.records import WEIGHT_UNIT
from mlmon_sidecar.statistics.edetector import Detector
from mlmon_sidecar.statistics.indicators import indicators
from mlmon_sidecar.statistics.layout import CategoricalFeature, Layout, NumericFeature, PredictionSpace
from mlmon_sidecar.statistics.mix import kitagawa, share_words, split_change
from mlmon_sidecar.statistics.profile import UnitProfile
from mlmon_sidecar.statistics.reference import Reference
from mlmon_sidecar.statistics.segment_indicators import segment_indicators
from mlmon_sidecar.statistics.segments import NO_SEGMENTS, Dimension, SegmentSpace

LAYOUT = Layout(
    "m",
    (
        NumericFeature("age", (20.0, 40.0), (0, 1), 0.0, 100.0, 30.0, 10.0),
        CategoricalFeature("town", ("A", "B"), alarm=2),
        NumericFeature("unwatched", (1.0,), (0,), 0.0, 2.0, 1.0, 1.0),
    ),
    PredictionSpace("binary", ("no", "yes"), "yes", (0.5,), (0,), 0.5, 0.25),
    segments=SegmentSpace((Dimension("town", ("A", "B")), Dimension("segment", ("gold",))), ("age", "town")),
)
CELLS = LAYOUT.segment_cells
A, B, OTHER_TOWN, GOLD, OTHER = CELLS.blocks
AGE = LAYOUT.cells["age"].alarm


def counted(table: dict[tuple[str, str], tuple[list[int], int]]) -> np.ndarray:
    """Rows of (town, segment): ages by bin, and missing ones; as requests."""
    vector = np.zeros(LAYOUT.size, np.int64)
    town, null = LAYOUT.cells["town"].alarm, LAYOUT.cells["age"].null + 1
    outputs, rows_cell = LAYOUT.outputs, LAYOUT.traffic.rows
    for (place, segment), (ages, missing) in table.items():
        rows = sum(ages) + missing
        part = {rows_cell + 1: rows, null: missing, town.start + "AB".index(place): rows}
        part |= {AGE.start + at: count for at, count in enumerate(ages)}
        part |= {outputs.class_weight.start: rows // 2, outputs.class_weight.start + 1: rows - rows // 2}
        part |= {outputs.score_alarm.start: rows // 2, outputs.score_alarm.start + 1: rows - rows // 2}
        for cell, count in part.items():
            vector[cell] += count * WEIGHT_UNIT
            for block in ({"A": A, "B": B}[place], GOLD if segment == "gold" else OTHER):
                vector[CELLS.cell(block, cell)] += count * WEIGHT_UNIT
    return vector


HEALTHY = {
    ("A", "gold"): ([100, 200, 100], 0), ("A", "tin"): ([200, 300, 100], 10),
    ("B", "gold"): ([300, 100, 100], 0), ("B", "tin"): ([400, 300, 300], 20),
}  # fmt: skip


def reference(**more: object) -> Reference:
    return Reference(LAYOUT.hash, "v1", counted(HEALTHY), hours=400, tau={"*": 0.02}, **more)  # type: ignore[arg-type]


def test_units_are_the_segments_that_the_reference_has_rows_of() -> None:
    watched = segment_indicators(LAYOUT, reference())
    names = [(unit.stream, unit.name) for unit in watched.indicators.units]
    assert names[:3] == [("segments", "town=A: age"), ("segments", "town=B: age"), ("segments", "segment=gold: age")]
    assert ("segments", "segment=gold: town") in names
    assert ("segments", "town=A: town") not in names  # there is one town in it
    assert ("segment_nulls", "segment=gold: missing age") in names
    assert ("segment_predictions", "segment=_other: predicted score") in names
    assert not any("town=_other" in name or "unwatched" in name for _, name in names)
    assert watched.units["segments", "town=B: age"].column == "age"
    assert segment_indicators(replace(LAYOUT, segments=NO_SEGMENTS), bare()).indicators.units == ()


def bare() -> Reference:
    layout = replace(LAYOUT, segments=NO_SEGMENTS)
    return Reference(layout.hash, "v1", np.zeros(layout.size, np.int64))


def test_each_segment_has_shares_of_its_own() -> None:
    these = segment_indicators(LAYOUT, reference()).indicators
    shares = np.sin(these.angle) ** 2
    of_b = these.unit == these.index["segments", "town=B: age"]
    assert shares[of_b].tolist() == pytest.approx([700 / 1500, 1100 / 1500])
    missing = these.unit == these.index["segment_nulls", "town=B: missing age"]
    assert shares[missing].tolist() == pytest.approx([20 / 1520, 0.0])
    found = these.hits.of_vector(counted(HEALTHY)) / these.totals.of_vector(counted(HEALTHY))
    assert shares.tolist() == pytest.approx(found.tolist())


def test_the_tolerance_is_that_of_its_own_rows_and_of_the_shared_profile() -> None:
    age = LAYOUT.cells["age"].alarm
    hour = tuple((0.01 * k, -0.01 * k) for k in range(24))
    profile = UnitProfile((age.start, age.start + 1), hour)
    known = reference(profile={"age": profile}, deff={"age": 2.0})
    these = segment_indicators(LAYOUT, known).indicators
    at = np.flatnonzero(these.unit == these.index["segments", "segment=gold: age"])
    own, whole = 900, 2500
    expected = 0.10 + 3 * math.sqrt(2.0 * (1 / own + 23 / whole) + 0.02**2)
    assert these.tolerance[at].tolist() == pytest.approx([expected] * 2)
    assert these.deff[at].tolist() == [2.0, 2.0]
    assert these.offsets[5, at].tolist() == pytest.approx([0.05, -0.05])  # the column's own, in every segment
    assert not these.offsets[5, these.unit == these.index["segments", "segment=gold: town"]].any()


def test_the_mix_of_a_dimension_is_a_unit_unless_it_is_a_feature() -> None:
    these = indicators(LAYOUT, reference())
    mixes = [unit.name for unit in these.units if unit.stream == "segment_mix"]
    assert mixes == ["segment"]
    at = these.unit == these.index["segment_mix", "segment"]
    assert (np.sin(these.angle[at]) ** 2).tolist() == pytest.approx([900 / 2530, 1630 / 2530])


def test_only_the_segment_that_moved_is_named() -> None:
    watched = segment_indicators(LAYOUT, reference())
    detector = Detector(watched.indicators)
    moved = {**HEALTHY, ("B", "gold"): ([50, 100, 350], 0), ("B", "tin"): ([100, 300, 600], 20)}
    state, named = detector.initial(), set[str]()
    for hour in range(12):
        step = detector.step(state, counted(moved) // 10, minute=60 * hour + 59, hours=1.0)
        state = step.state
        named |= {unit for alarm in step.alarms for unit in alarm.units}
    assert "town=B: age" in named
    assert not any(name.startswith("town=A") for name in named)


# ------------------------------------------------------------ mix and segments


def test_a_change_by_hand() -> None:
    """Shares .2 and .6 of two halves, .28 and .6 of parts .75 and .25: from .40 to .36."""
    mix, within = kitagawa(
        np.array([10.0, 30.0]), np.array([50.0, 50.0]), np.array([21.0, 15.0]), np.array([75.0, 25.0])
    )
    assert mix.tolist() == pytest.approx([0.25 * 0.24, -0.25 * 0.6])
    assert within.tolist() == pytest.approx([0.08 * 0.625, 0.0])
    assert mix.sum() + within.sum() == pytest.approx(0.36 - 0.40)


TABLES = arrays(np.float64, (2, 2, 4), elements=st.integers(0, 1000).map(float)).filter(
    lambda table: bool(table.sum(axis=(1, 2)).all())
)


@given(table=TABLES)
def test_mix_and_segments_leave_no_remainder(table: np.ndarray) -> None:
    (hits0, missed0), (hits1, missed1) = table
    rows0, rows1 = hits0 + missed0, hits1 + missed1
    mix, within = kitagawa(hits0, rows0, hits1, rows1)
    change = hits1.sum() / rows1.sum() - hits0.sum() / rows0.sum()
    assert mix.sum() + within.sum() == pytest.approx(change, abs=1e-12)
    same_mix = kitagawa(hits0, rows0, hits0[::-1] * 0 + rows0 / 2, rows0)
    assert np.allclose(same_mix[0], 0)
    only_mix = kitagawa(hits0, rows0, 3 * hits0 * [1, 2, 3, 4], 3 * rows0 * [1, 2, 3, 4])
    assert np.allclose(only_mix[1], 0)


def test_the_split_of_a_column_names_its_share_and_segment() -> None:
    moved = {**HEALTHY, ("B", "gold"): ([100, 100, 300], 0), ("B", "tin"): ([100, 300, 600], 20)}
    by_town, by_segment = split_change(LAYOUT, "age", counted(HEALTHY), counted(moved))
    assert (by_town.dimension, by_town.segment, by_segment.dimension) == ("town", "B", "segment")
    assert by_town.share in ("<= 20", "<= 40")
    for each in (by_town, by_segment):
        assert each.mix + each.within == pytest.approx(each.after - each.before)
    assert by_town.mix_part == pytest.approx(0.0, abs=1e-9)
    assert split_change(LAYOUT, "unwatched", counted(HEALTHY), counted(moved)) == []
    assert split_change(LAYOUT, "age", counted(HEALTHY), counted({})) == []


def test_another_mix_is_told_as_one() -> None:
    more_of_a = {key: ([4 * n for n in ages], 4 * gone) if key[0] == "A" else (ages, gone)
                 for key, (ages, gone) in HEALTHY.items()}  # fmt: skip
    by_town, _ = split_change(LAYOUT, "age", counted(HEALTHY), counted(more_of_a))
    assert by_town.mix_part == pytest.approx(1.0)
    assert by_town.within == pytest.approx(0.0, abs=1e-12)
    (town, _) = split_change(LAYOUT, "town", counted(HEALTHY), counted(more_of_a))
    assert town.mix_part == pytest.approx(1.0)


def test_shares_are_told_in_the_columns_own_words() -> None:
    assert share_words(LAYOUT, "age", np.array([5, 5, 0]), np.array([5, 1, 4])) == ("<= 40", 1.0, 0.6)
    assert share_words(LAYOUT, "town", np.array([5, 5, 0, 0]), np.array([4, 4, 0, 2])) == ("(new)", 0.0, 0.2)
    assert share_words(LAYOUT, "town", np.array([9, 1, 0, 0]), np.array([1, 9, 0, 0])) == ("'A'", 0.9, 0.1)
    assert share_words(LAYOUT, "age", np.zeros(3, np.int64), np.array([1, 1, 1])) is None
