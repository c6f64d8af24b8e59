"""New values, values out of range, columns that stand still or are gone: each told by its own check, by that alone."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlmon_sidecar.checks import CHECKS, CheckContext
from mlmon_sidecar.checks.frozen_column import constant_columns
from mlmon_sidecar.checks.near_collapse import variety
from mlmon_sidecar.records import Finding, Tier, Window

sys.path.insert(0, str(Path(__file__).parent))
from service_traffic import baseline, pane, rows, summed, watch

Columns = dict[str, list[object]]
LAYOUT = baseline().layout


def hours(spoil: Callable[[Columns, np.random.Generator], None], count: int = 6, per_hour: int = 500) -> list[Window]:
    panes = []
    for hour in range(count):
        columns = rows(700 + hour, per_hour)
        spoil(columns, np.random.default_rng(hour))
        panes.append(pane(60 * hour, columns))
    return panes


def contexts(panes: list[Window]) -> list[CheckContext]:
    """As the hub makes them: the newest pane holds more than a hundred predictions."""
    return [
        replace(context, newest=this, samples=this.samples)
        for (context, _), this in zip(watch(panes), panes, strict=True)
    ]


def told(panes: list[Window], *rules: str) -> list[Finding]:
    found = [f for context in contexts(panes) for check in CHECKS.values() for f in check.evaluate(context)]
    return [f for f in found if not rules or f.rule in rules]


def nothing(_columns: Columns, _rng: np.random.Generator) -> None:
    pass


def test_healthy_columns_are_silent() -> None:
    assert told(hours(nothing, count=48)) == []


def two_percent_new(columns: Columns, rng: np.random.Generator) -> None:
    columns["town"] = ["Nova" if rng.random() < 0.02 else town for town in columns["town"]]


def test_two_percent_of_a_new_category_are_told_with_its_name() -> None:
    found = told(hours(two_percent_new, count=12))
    assert [f.rule for f in found] == ["new_categories"]
    assert (found[0].tier, found[0].features) == (Tier.P3, ("town",))
    assert "'Nova'" in found[0].summary
    details = found[0].details["features"]["town"]
    assert details["values"] == ["Nova"]
    assert 0 < details["reference"] < 0.001
    assert details["current"] == pytest.approx(0.02, abs=0.015)
    json.dumps(dict(found[0].details))


def test_new_values_resolve_when_they_stay_away() -> None:
    panes = hours(two_percent_new, count=12)
    back = [pane(60 * hour, rows(900 + hour, 3000)) for hour in range(12, 40)]
    names = [CHECKS["new_categories"].resolved(context) for context in contexts(panes + back)]
    assert [n for n in names if n] == [("town",)]


def far_above(columns: Columns, rng: np.random.Generator) -> None:
    columns["income"] = [1e4 if rng.random() < 0.04 else value for value in columns["income"]]


def test_values_beyond_the_range_are_told_with_its_end() -> None:
    found = told(hours(far_above, count=12), "out_of_range", "feature_drift")
    assert [(f.rule, f.tier, f.features) for f in found] == [("out_of_range", Tier.P3, ("income",))]
    assert found[0].summary.startswith("income lies above 13")
    details = found[0].details["features"]["income"]
    assert details["above"][1] == pytest.approx(0.04, abs=0.02)
    assert details["below"][1] < 0.01
    json.dumps(dict(found[0].details))


def test_a_feature_that_moved_as_a_whole_is_told_as_drift_alone() -> None:
    def move(columns: Columns, _rng: np.random.Generator) -> None:
        columns["income"] = [float(str(value)) + 20 for value in columns["income"]]

    found = told(hours(move, count=12))
    assert {f.rule for f in found} == {"feature_drift"}


def stuck(columns: Columns, _rng: np.random.Generator) -> None:
    columns["height"] = [100.0] * len(columns["height"])


def test_a_column_that_stands_still_is_told_with_its_value() -> None:
    found = told(hours(stuck, count=1, per_hour=120), "frozen_column", "schema_change")
    assert [(f.rule, f.tier, f.features) for f in found] == [("frozen_column", Tier.P2, ("height",))]
    assert found[0].summary.startswith("height is 100 in all of the last 120 rows")
    assert found[0].details["features"]["height"]["value"] == pytest.approx(100, abs=0.01)
    json.dumps(dict(found[0].details))


def test_nearly_one_value_is_not_one_value() -> None:
    def nearly(columns: Columns, _rng: np.random.Generator) -> None:
        stuck(columns, _rng)
        columns["height"][7] = 100.4

    assert told(hours(nearly, count=1, per_hour=120), "frozen_column") == []


def test_a_usual_value_must_repeat_until_chance_cannot() -> None:
    """A category of 90% of the reference: sixteen nats are 152 requests."""
    vector = baseline().reference.vector.copy()
    cells = LAYOUT.cells["town"].bins
    vector[cells] = [9000, 900, 100, 0, 0]
    usual = replace(baseline().reference, vector=vector)

    def one_town(columns: Columns, _rng: np.random.Generator) -> None:
        columns["town"] = ["A"] * len(columns["town"])

    for count, expected in ((110, []), (140, []), (170, [("town",)])):
        (context,) = contexts(hours(one_town, count=1, per_hour=count))
        found = CHECKS["frozen_column"].evaluate(replace(context, reference=usual))
        assert [f.features for f in found] == expected


def test_a_column_that_was_always_constant_is_not_frozen() -> None:
    panes = hours(stuck, count=2)
    always = replace(baseline().reference, vector=summed(panes).vector)
    (context, _) = contexts(panes)
    assert "height" in constant_columns(LAYOUT, panes[0].vector)
    assert CHECKS["frozen_column"].evaluate(replace(context, reference=always)) == []


def test_a_frozen_column_resolves_when_it_varies() -> None:
    (before, after) = contexts([*hours(stuck, count=1), pane(60, rows(1, 200))])
    assert "height" not in CHECKS["frozen_column"].resolved(before)
    assert "height" in CHECKS["frozen_column"].resolved(after)


@pytest.mark.parametrize(("value", "said"), [(None, "missing in all"), ("n/a", "another type")])
def test_a_column_without_a_usable_value_is_a_change_of_schema(value: object, said: str) -> None:
    def spoil(columns: Columns, _rng: np.random.Generator) -> None:
        columns["weight"] = [value] * len(columns["weight"])

    found = told(hours(spoil, count=1), "schema_change", "frozen_column")
    assert [(f.rule, f.tier, f.features) for f in found] == [("schema_change", Tier.P2, ("weight",))]
    assert said in found[0].summary
    (gone, back) = contexts([*hours(spoil, count=1), pane(60, rows(1, 200))])
    assert "weight" not in CHECKS["schema_change"].resolved(gone)
    assert "weight" in CHECKS["schema_change"].resolved(back)


def squeezed(columns: Columns, rng: np.random.Generator) -> None:
    columns["score"] = (0.9 + 0.02 * rng.random(len(columns["score"]))).tolist()


def test_answers_that_are_nearly_one_are_a_near_collapse() -> None:
    found = told(hours(squeezed, count=3), "near_collapse", "collapse")
    assert {f.rule for f in found} == {"near_collapse"}
    assert found[0].tier is Tier.P2
    assert found[0].value is not None and found[0].value < 0.01
    assert "of the score's variance is left" in found[0].summary
    json.dumps(dict(found[0].details))


def test_near_collapse_leaves_collapse_and_its_end_alone() -> None:
    panes = hours(squeezed, count=3)
    context = contexts(panes)[-1]
    assert CHECKS["near_collapse"].evaluate(context)
    assert CHECKS["near_collapse"].evaluate(replace(context, differs_since=10_000)) == []
    identical = pane(200, rows(3, 200, score=0.4))
    assert CHECKS["near_collapse"].evaluate(replace(context, newest=identical)) == []
    begun = summed([pane(199, rows(4, 40)), identical])
    assert CHECKS["near_collapse"].evaluate(replace(context, newest=begun, identical=None))
    assert CHECKS["near_collapse"].evaluate(replace(context, newest=begun, identical=identical)) == []


def test_half_the_variance_is_no_near_collapse() -> None:
    def halved(columns: Columns, _rng: np.random.Generator) -> None:
        columns["score"] = [0.5 + (float(str(value)) - 0.5) * 0.7 for value in columns["score"]]

    assert told(hours(halved, count=6), "near_collapse") == []


def test_variety_is_what_numpy_says() -> None:
    columns = rows(11, 400)
    scores = np.array(columns["score"], dtype=float)
    found = variety(LAYOUT, pane(0, columns).vector)
    scale = LAYOUT.prediction.score_scale / 1024
    assert found["score"]["spread"] * scale**2 == pytest.approx(scores.var(), rel=0.01)
    p = float((scores >= 0.5).mean())
    assert found["class"]["effective"] == pytest.approx(1 / (p**2 + (1 - p) ** 2))
    assert found["class"]["entropy"] == pytest.approx(-p * np.log(p) - (1 - p) * np.log(1 - p))
