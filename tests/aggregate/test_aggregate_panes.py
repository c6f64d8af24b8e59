"""Panes against a recount in plain Python, and under every way of splitting and ordering the rows."""

import hashlib
import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlmon_sidecar.aggregate import categorical
from mlmon_sidecar.aggregate.panes import PaneBuilder, RowCounter
from mlmon_sidecar.records import MINUTE_NS, Pane, PredictionBatch
from mlmon_sidecar.statistics.layout import (
    CategoricalFeature,
    Layout,
    NumericFeature,
    PredictionSpace,
    category_token,
    hashed_token,
)

Make = Callable[..., PredictionBatch]
NAN = math.nan


def redact(name: str, token: str) -> str:
    return "<email>" if "@" in token else token


def bin_of(value: float, edges: Any) -> int:
    return sum(1 for edge in edges if edge < value)  # x <= edge stays left of it


def recount(layout: Layout, rows: list[dict[str, Any]]) -> list[int]:
    """What the layout says, row by row, in Python's own integers."""
    v = [0] * layout.size
    for row in rows:
        weight = row.get("weight", 1 << 20)
        v[layout.traffic.rows] += 1
        v[layout.traffic.rows + 1] += weight
        for feature in layout.features:
            cells, value = layout.cells[feature.name], row["features"].get(feature.name)
            count = recount_numeric if isinstance(feature, NumericFeature) else recount_categorical
            count(v, feature, cells, value, weight)
        recount_outputs(v, layout, row, weight)
    return v


def pair(v: list[int], cell: int, weight: int) -> None:
    v[cell] += 1
    v[cell + 1] += weight


def recount_numeric(v: list[int], feature: NumericFeature, cells: Any, value: Any, weight: int) -> None:
    if value is None:
        return pair(v, cells.null, weight)
    try:
        number = float(value) if isinstance(value, (int, float)) else NAN
    except OverflowError:
        number = NAN
    if not math.isfinite(number):
        return pair(v, cells.invalid, weight)
    v[cells.bins.start + bin_of(number, feature.edges)] += 1
    v[cells.alarm.start + bin_of(number, [feature.edges[a] for a in feature.alarm])] += weight
    if number < feature.minimum:
        pair(v, cells.below, weight)
    if number > feature.maximum:
        pair(v, cells.above, weight)
    z = min(64.0, max(-64.0, (number - feature.center) / feature.scale))
    q = round(z * 1024)  # half to even, as rint
    v[cells.moments] += q
    v[cells.moments + 1] += q * q
    return None


def recount_categorical(v: list[int], feature: CategoricalFeature, cells: Any, value: Any, weight: int) -> None:
    if value is None:
        return pair(v, cells.null, weight)
    if isinstance(value, (list, dict, bytes)) or value != value:
        return pair(v, cells.invalid, weight)
    token = redact(feature.name, category_token(value))
    if token in feature.categories:
        at = feature.categories.index(token)
        place, alarm = at, at if at < feature.alarm else feature.alarm
    elif hashed_token(token) in feature.known:
        place, alarm = len(feature.categories), feature.alarm
    else:
        place, alarm = len(feature.categories) + 1, feature.alarm + 1
    v[cells.bins.start + place] += 1
    v[cells.alarm.start + alarm] += weight
    return None


def recount_outputs(v: list[int], layout: Layout, row: dict[str, Any], weight: int) -> None:
    cells, space = layout.outputs, layout.prediction
    score, predicted, sure = row.get("score", NAN), row.get("predicted"), row.get("confidence", NAN)
    at = space.classes.index(predicted) if predicted in space.classes else len(space.classes)
    if predicted is not None:
        v[cells.classes.start + at] += 1
        v[cells.class_weight.start + at] += weight
    if math.isfinite(score):
        q = round(min(64.0, max(-64.0, (score - space.score_center) / space.score_scale)) * 1024)
        v[cells.score_rows] += 1
        v[cells.score_moments] += q
        v[cells.score_moments + 1] += q * q
        if space.score_edges:
            place = bin_of(score, space.score_edges)
            v[cells.score_class.start + place * (len(space.classes) + 1) + at] += 1
            v[cells.score_alarm.start + bin_of(score, [space.score_edges[a] for a in space.score_alarm])] += weight
    if 0 <= sure <= 1:
        v[cells.confidence.start + bin_of(sure, [k / 50 for k in range(1, 50)])] += 1
        v[cells.confidence_alarm.start + bin_of(sure, [k / 50 for k in range(5, 50, 5)])] += weight
        v[cells.confidence_ppm] += round(sure * 1_000_000)
    if predicted is not None or math.isfinite(score):
        pair(v, cells.rows, weight)
        text = f"{predicted or ''}|{score!r}"
        word = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).digest()
        for bit in range(32):
            v[cells.identical.start + bit] += word[bit // 8] >> (7 - bit % 8) & 1


EDGES = [-1.0, 0.0, -0.0, 0.5, 2.0, 1.0, 10.0, math.nextafter(0.5, 1), math.nextafter(0.5, 0), -2.0, 3.0]
NUMBERS = (
    st.sampled_from(EDGES) | st.floats(allow_nan=False) | st.integers(-5, 15) | st.booleans() | st.none()
    | st.sampled_from([NAN, math.inf, "1.5", "", 10**400, -(10**400), [1], {"a": 1}, b"x", 2**53 + 1])
)  # fmt: skip
TOKENS = (
    st.sampled_from(["red", "green", "blue", "new", "jo@a.org", True, False, 7, 7.0, 7.5, None, [1], {}, NAN])
    | st.text(max_size=3) | st.integers()
)  # fmt: skip
UNIT = st.sampled_from([0.0, 1.0, 0.1, 0.5, 0.9, 0.3, 0.02, 0.98]) | st.floats(0, 1)
ROWS = st.fixed_dictionaries(
    {
        "features": st.fixed_dictionaries(
            {}, optional={"x": NUMBERS, "y": NUMBERS, "constant": NUMBERS, "color": TOKENS, "only": TOKENS, "z": TOKENS}
        ),
        "event_ns": st.integers(0, 3 * MINUTE_NS),
        "weight": st.sampled_from([1, 333, 1 << 19, 1 << 20]),
        "score": UNIT | st.sampled_from([NAN, math.inf, -5.0, 1e300]),
        "predicted": st.sampled_from(["yes", "no", "maybe", None, "\ud800"]),
        "confidence": UNIT | st.sampled_from([NAN, 1.5, -0.1, math.inf]),
    }
)
MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def panes_of(layout: Layout, batches: list[PredictionBatch]) -> list[Pane]:
    builder = PaneBuilder(layout, redact)
    for batch in batches:
        builder.add_batch(batch)
    return builder.take()


def frozen(panes: list[Pane]) -> list[tuple[Any, ...]]:
    return [(pane.key, pane.vector.tobytes(), sorted(pane.samples.items())) for pane in panes]


def with_arrays(batch: PredictionBatch) -> PredictionBatch:
    """Columns of numbers without nulls as arrays, as a decoder may give them."""
    features: dict[str, Any] = dict(batch.features)
    for name, column in features.items():
        if set(map(type, column)) <= {float} or (set(map(type, column)) <= {int} and all(abs(x) < 9 for x in column)):
            features[name] = np.array(column, dtype=np.float64)
    return replace(batch, features=features)


def test_arrays_count_as_the_lists_they_could_be(layout: Layout, make_batch: Make) -> None:
    for column in ([NAN, 1.0], [math.inf, -math.inf], [-0.0, 0.0], [7.0, 7.5], [1e300, 2.0**60]):
        batch = make_batch([{"features": dict.fromkeys(("x", "y", "color", "only"), value)} for value in column])
        assert isinstance(with_arrays(batch).features["x"], np.ndarray)
        for cut in (layout, Layout.bare("m")):
            assert frozen(panes_of(cut, [with_arrays(batch)])) == frozen(panes_of(cut, [batch]))


@MANY
@given(rows=st.lists(ROWS, min_size=1, max_size=30))
def test_equals_a_recount(layout: Layout, make_batch: Make, rows: list[dict[str, Any]]) -> None:
    panes = panes_of(layout, [make_batch(rows)])
    by_minute = {
        minute: recount(layout, [row for row in rows if row["event_ns"] // MINUTE_NS == minute])
        for minute in {row["event_ns"] // MINUTE_NS for row in rows}
    }
    assert {pane.key.minute: pane.vector.tolist() for pane in panes} == by_minute
    assert all(pane.vector.dtype == np.int64 for pane in panes)
    assert frozen(panes_of(layout, [with_arrays(make_batch(rows))])) == frozen(panes)


FEATURES = st.one_of(
    st.builds(
        lambda name, edges, alarm, low, width, center, scale: NumericFeature(
            name, tuple(edges), tuple(at for at in sorted(alarm) if at < len(edges)), low, low + width, center, scale
        ),
        st.text(max_size=4),
        st.lists(st.floats(allow_nan=False, allow_infinity=False), unique=True, max_size=6).map(
            lambda edges: sorted({edge + 0.0 for edge in edges})
        ),
        st.sets(st.integers(0, 5)),
        st.floats(-3, 3),
        st.floats(0, 5),
        st.floats(-10, 10),
        st.sampled_from([1e-9, 0.5, 1.0, 1e12]),
    ),
    st.builds(
        lambda name, categories, alarm, known: CategoricalFeature(
            name, tuple(categories), min(alarm, len(categories)), tuple(map(hashed_token, known))
        ),
        st.text(max_size=4),
        st.lists(st.sampled_from(["red", "7", "true", "", "nan", "2"]), unique=True),
        st.integers(0, 3),
        st.lists(st.sampled_from(["blue", "1.5", "8"]), unique=True),
    ),
)
SPACES = st.builds(
    lambda classes, edges: PredictionSpace(
        "multiclass", tuple(classes), "", tuple(edges), tuple(range(len(edges))[::2])
    ),
    st.lists(st.sampled_from(["yes", "no", "maybe"]), unique=True),
    st.sampled_from([(), (0.5,), (0.1, 0.5, 0.9)]),
)


@MANY
@given(features=st.lists(FEATURES, max_size=5, unique_by=lambda feature: feature.name), space=SPACES, data=st.data())
def test_any_layout_equals_a_recount(make_batch: Make, features: list[Any], space: Any, data: st.DataObject) -> None:
    layout = Layout("m", tuple(features), space)
    values = {
        feature.name: (NUMBERS if isinstance(feature, NumericFeature) else TOKENS)
        | st.sampled_from([edge + off for edge in getattr(feature, "edges", ()) for off in (0.0, 1e-9)] or [None])
        for feature in features
    }
    row = st.fixed_dictionaries({
        "features": st.fixed_dictionaries({}, optional=values),
        "score": UNIT | st.just(NAN),
        "predicted": st.sampled_from(["yes", "no", None, "other"]),
        "confidence": UNIT | st.just(NAN),
    })  # fmt: skip
    rows = data.draw(st.lists(row, min_size=1, max_size=12))
    cut = data.draw(st.integers(0, len(rows)))
    whole = panes_of(layout, [make_batch(rows)])
    assert [pane.vector.tolist() for pane in whole] == [recount(layout, rows)]
    parts = [with_arrays(make_batch(part)) for part in (rows[:cut], rows[cut:]) if part]
    assert frozen(panes_of(layout, parts)) == frozen(whole)


def test_values_are_remembered_by_type_and_forgotten_in_time(
    layout: Layout, make_batch: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1, 1.0 and true are equal to Python; a memory that mixed them up would count one as the other."""
    tokens: list[Any] = [1, True, 1.0, "1", 7, 7.0, "7", "true", False, 0, -0.0, 0.0, NAN, float("nan"), None, [1], {}]
    rows = [{"features": {"color": token, "only": token}} for token in tokens]
    expected = recount(layout, rows)
    for bound in (1, 1_000):
        monkeypatch.setattr(categorical, "MAX_SLOTS", bound)
        for chunk in (1, 2, len(rows)):
            for order in (rows, rows[::-1], sorted(rows, key=lambda row: str(type(row["features"]["color"])))):
                batches = [make_batch(order[at : at + chunk]) for at in range(0, len(rows), chunk)]
                (pane,) = panes_of(layout, batches)
                assert pane.vector.tolist() == expected


def test_a_memory_of_texts_is_bounded_in_characters(
    layout: Layout, make_batch: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(categorical, "MAX_CHARACTERS", 10_000)
    counter = RowCounter(layout, redact)
    for at in range(100):
        batch = make_batch([{"features": {"only": f"{at} " * 500}}])
        counter.count(batch, slice(0, 1), np.zeros(1, dtype=np.int64), 1)
        assert counter._categorical._slots._characters < 12_000


def test_every_special_value_in_its_cell(layout: Layout, make_batch: Make) -> None:
    numbers = [*EDGES, True, False, None, NAN, math.inf, -math.inf, "1.5", 10**400, [1], {}, b"x", 1e308, -1e308, 500]
    tokens = ["red", "green", True, "true", 7, 7.0, "7", "blue", "new", "jo@a.org", False, 7.5, None, [1], {}, NAN, b""]
    for name, values in (("x", numbers), ("y", numbers), ("constant", numbers), ("color", tokens), ("only", tokens)):
        for value in values:
            row = {"features": {name: value}, "weight": 3}
            (pane,) = panes_of(layout, [make_batch([row])])
            assert pane.vector.tolist() == recount(layout, [row]), (name, value)


@MANY
@given(rows=st.lists(ROWS, min_size=1, max_size=40), data=st.data())
def test_any_order_and_split_gives_the_same_bytes(
    layout: Layout, make_batch: Make, rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    for cut in (layout, Layout.bare("m")):
        whole = frozen(panes_of(cut, [make_batch(rows)]))
        shuffled = data.draw(st.permutations(rows))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=5)))
        parts = [shuffled[a:b] for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True) if a < b]
        assert frozen(panes_of(cut, [make_batch(part) for part in parts])) == whole


def many_rows(count: int, seed: int) -> list[dict[str, Any]]:
    dice = random.Random(seed)  # any stream of numbers will do
    return [
        {
            "features": {
                "x": dice.choice([dice.gauss(0, 1), None, "bad", True]),
                "y": dice.gauss(0, 100),
                "color": dice.choice(["red", "blue", f"new{dice.randrange(40)}", None]),
            },
            "event_ns": dice.randrange(50 * MINUTE_NS),
            "weight": dice.randrange(1, 1 << 20),
            "score": dice.random(),
            "predicted": dice.choice(["yes", "no"]),
            "confidence": dice.random(),
        }
        for _ in range(count)
    ]


@pytest.mark.parametrize("size", [1, 7, 511, 513, 20_000])
def test_batch_sizes_do_not_show(layout: Layout, make_batch: Make, size: int) -> None:
    rows = many_rows(20_000 if size > 500 else 1_500, seed=3)
    whole = frozen(panes_of(layout, [make_batch(rows)]))
    assert len(whole) == 50
    parts = [make_batch(rows[at : at + size]) for at in range(0, len(rows), size)]
    assert frozen(panes_of(layout, parts)) == whole


def test_wide_layouts_are_counted_in_smaller_chunks(make_batch: Make) -> None:
    wide = Layout(
        "m",
        tuple(NumericFeature(f"f{i}", tuple(float(k) for k in range(60)), (), -1e9, 1e9, 0.0, 1.0) for i in range(900)),
        Layout.bare("m").prediction,
    )
    rows = [{"features": {"f1": at % 70, "f899": at}, "event_ns": at * MINUTE_NS} for at in range(150)]
    panes = panes_of(wide, [make_batch(rows)])
    assert [pane.key.minute for pane in panes] == list(range(150))
    assert [pane.vector.tolist() for pane in panes[::40]] == [recount(wide, [row]) for row in rows[::40]]


def test_versions_and_keys(layout: Layout, make_batch: Make) -> None:
    rows = [{"features": {}, "event_ns": MINUTE_NS}]
    panes = panes_of(layout, [make_batch(rows, "v2"), make_batch(rows, "v1"), make_batch(rows, "jo@a.org")])
    assert [pane.key for pane in panes] == [("m", version, "", layout.hash, 1) for version in ("<email>", "v1", "v2")]


def test_taking_empties_and_taken_panes_stay_as_they_are(layout: Layout, make_batch: Make) -> None:
    builder = PaneBuilder(layout, redact)
    batch = make_batch([{"features": {"x": 1}}])
    builder.add_batch(batch)
    first = frozen(builder.take())
    assert builder.take() == []
    builder.add_batch(batch)
    assert frozen(builder.take()) == first


def test_the_same_prediction_is_seen_in_the_hash_bits(layout: Layout, make_batch: Make) -> None:
    def bits(*scores: float) -> set[int]:
        rows = [{"features": {}, "score": score, "predicted": "yes"} for score in scores]
        return set(panes_of(layout, [make_batch(rows)])[0].vector[layout.outputs.identical].tolist())

    assert bits(*[0.25] * 300) == {0, 300}
    assert not bits(*[0.25] * 299, 0.26) <= {0, 300}


def test_groups_of_the_callers_choosing(layout: Layout, make_batch: Make) -> None:
    rows = many_rows(100, seed=5)
    group = np.arange(100) % 3
    tally, _ = RowCounter(layout, redact).count(make_batch(rows), slice(0, 100), group, 3)
    assert tally.cells.tolist() == [recount(layout, rows[at::3]) for at in range(3)]


class TestSamples:
    def inputs(self, layout: Layout, batch: PredictionBatch) -> set[int]:
        (pane,) = panes_of(layout, [batch])
        return {sample.hash for sample in pane.samples.get("inputs", ())}

    def test_distinct_inputs_are_told_apart_and_equal_ones_are_not(self, layout: Layout, make_batch: Make) -> None:
        same = [{"x": 1}, {"x": 1.0}, {"x": True}, {"x": 1, "y": None}, {"x": 1, "z": "no column of the layout"}]
        assert len(self.inputs(layout, make_batch([{"features": row} for row in same]))) == 1
        zeros = make_batch([{"features": {"x": zero}} for zero in (0, 0.0, -0.0, False)])
        assert len(self.inputs(layout, zeros)) == 1
        others = [
            {"x": 1}, {"y": 1}, {"x": 0}, {"x": "1"}, {"color": 1}, {"x": 1, "y": 1}, {"x": NAN}, {"x": [1]}, {},
            {"x": 1, "color": "red"}, {"x": 1, "only": "red"}, {"x": 2, "y": 1}, {"x": 1, "y": 2},
        ]  # fmt: skip
        found = self.inputs(layout, make_batch([{"features": row} for row in others]))
        assert len(found) == len(others)
        assert all(0 <= word < 1 << 63 for word in found)

    def test_the_twenty_smallest_of_all(self, layout: Layout, make_batch: Make) -> None:
        batch = make_batch([{"features": {"x": float(at % 500)}} for at in range(5000)])
        singles = [self.inputs(layout, make_batch([{"features": {"x": at}}])) for at in range(500)]
        assert self.inputs(layout, batch) == set(sorted(word for single in singles for word in single)[:20])

    def test_without_a_layout_every_column_tells_rows_apart(self, make_batch: Make) -> None:
        rows = [{"features": {"free": f"text {at}"}} for at in range(7)]
        assert len(self.inputs(Layout.bare("m"), make_batch(rows))) == 7

    def test_hashes_spread_evenly(self, layout: Layout, make_batch: Make) -> None:
        rows = [{"features": {"x": at, "y": at % 3}, "event_ns": at * MINUTE_NS} for at in range(4000)]
        panes = panes_of(layout, [make_batch(rows)])
        tenths = Counter(pane.samples["inputs"][0].hash * 10 >> 63 for pane in panes)
        assert set(tenths) == set(range(10))
        assert all(300 < count < 500 for count in tenths.values())

    def test_new_categories_are_shown_redacted_and_five_at_most(self, layout: Layout, make_batch: Make) -> None:
        tokens = ["red", "blue", "jo@a.org", "ann@b.de", None]
        (pane,) = panes_of(layout, [make_batch([{"features": {"color": token}} for token in tokens])])
        assert [sample.value for sample in pane.samples["new:color"]] == ["<email>"]
        (pane,) = panes_of(layout, [make_batch([{"features": {"only": f"t{at}" * 99}} for at in range(50)])])
        shown = pane.samples["new:only"]
        assert len(shown) == 5
        assert max(len(sample.value) for sample in shown) == 120
