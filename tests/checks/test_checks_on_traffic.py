"""Every check on traffic counted by the real code: silent on healthy rows, speaking on its own fault and no other."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mlmon_sidecar.alerts.incidents import IncidentBook
from mlmon_sidecar.checks import CHECKS, CheckContext
from mlmon_sidecar.checks.context import QualityView
from mlmon_sidecar.checks.feature_drift import _tier
from mlmon_sidecar.records import Finding, Layer, Tier, Window
from mlmon_sidecar.statistics.edetector import Detector
from mlmon_sidecar.statistics.indicator_set import tolerances
from mlmon_sidecar.statistics.indicators import indicators
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.statistics.quality_detector import Part, counts, quality_indicators

sys.path.insert(0, str(Path(__file__).parent))
from service_traffic import baseline, pane, rows, watch

HOURS = 6


def told(panes: list[Window]) -> list[Finding]:
    """Everything all checks say, minute by minute."""
    return [f for context, _ in watch(panes) for check in CHECKS.values() for f in check.evaluate(context)]


def hours(**spoilt: object) -> list[Window]:
    return [pane(60 * hour, rows(100 + hour, 500, **spoilt)) for hour in range(HOURS)]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_is_silent_before_a_baseline_and_says_why(name: str) -> None:
    bare = Layout.bare("m")
    context = CheckContext("m", 5, bare)
    assert CHECKS[name].evaluate(context) == []
    assert CHECKS[name].resolved(context) == ()
    assert CHECKS[name].ready(context)


@pytest.mark.parametrize("name", CHECKS)
def test_the_table_names_its_checks(name: str) -> None:
    assert CHECKS[name].name == name
    assert isinstance(CHECKS[name].layer, Layer)


def test_healthy_traffic_is_silent() -> None:
    assert told(hours()) == []


def test_a_moved_feature_is_told_once_with_its_numbers() -> None:
    (finding,) = told(hours(moved={"income": 1.0}))
    assert (finding.rule, finding.tier, finding.features) == ("feature_drift", Tier.P3, ("income",))
    assert finding.summary.startswith("income moved up: median 99.8 -> 11")
    assert "(KS 0." in finding.summary
    assert finding.evidence > 1
    assert finding.value == pytest.approx(0.38, abs=0.07)
    current = finding.details["features"]["income"]["current"]
    assert current["quantiles"][2] == pytest.approx(110, abs=2)
    assert current["rows"] == finding.rows == 500
    drawn = finding.details["features"]["income"]
    assert sum(drawn["reference_bins"]) == 8000 and sum(drawn["current_bins"]) == 500
    assert len(drawn["edges"]) + 1 == len(drawn["current_bins"]) == len(drawn["reference_bins"])
    json.dumps(dict(finding.details))


def test_a_finding_says_how_small_a_shift_could_be_seen() -> None:
    context = next(context for context, _ in watch(hours(moved={"income": 1.0})) if context.step.alarms)  # type: ignore[union-attr]
    known = tolerances(indicators(baseline().layout, baseline().reference))
    (finding,) = CHECKS["feature_drift"].evaluate(replace(context, tolerance=known))
    assert 0.10 < finding.details["features"]["income"]["min_detectable_h"] < 0.5


@pytest.mark.parametrize(
    ("rule", "spoilt"),
    [
        ("feature_drift", {"moved": {"income": 1.0}}),
        ("null_rate", {"nulls": 0.3}),
        ("new_categories", {"town": "Z"}),
        ("out_of_range", {"moved": {"income": 3.0}}),
        ("prediction_drift", {"score": 0.97}),
        ("near_collapse", {"unsure": 0.3}),
        ("confidence_drop", {"unsure": 0.6}),
    ],
)
def test_every_check_of_the_detector_says_how_small_a_shift_could_be_seen(rule: str, spoilt: dict[str, object]) -> None:
    known = tolerances(indicators(baseline().layout, baseline().reference))
    found: list[Finding] = []
    for context, _ in watch(hours(**spoilt)):
        alone = replace(context, tolerance=known)
        if rule == "out_of_range":  # a feature that moved as a whole is not told here
            step = replace(context.step, held=tuple(h for h in context.step.held if h[0] != "features"))  # type: ignore[union-attr,type-var]
            alone = replace(alone, step=step)
        if rule == "near_collapse":
            (window,) = context.recent.values()
            alone = replace(alone, newest=window)
        found += CHECKS[rule].evaluate(alone)
    told = found[0].details
    units = told.get("features") or told.get("predictions") or {found[0].features[0]: told}
    assert {name: said["min_detectable_h"] for name, said in units.items()}
    assert all(0 < said["min_detectable_h"] < 2 for said in units.values())


def test_a_changed_category_is_told_with_its_shares() -> None:
    (finding,) = [f for f in told(hours(town="C")) if f.rule == "feature_drift"]
    assert finding.features == ("town",)
    assert finding.summary == "town changed: 'C' 10% -> 100% (TV 0.90)"


def test_an_unseen_category_is_drift() -> None:
    (finding,) = [f for f in told(hours(town="Z")) if f.rule == "feature_drift"]
    assert finding.details["features"]["town"]["current"]["unseen"] == 1.0


def test_more_than_three_features_within_a_day_are_more_urgent() -> None:
    spoilt = {"age": 1.0, "income": 1.0, "height": -1.0}
    (finding,) = told(hours(moved=spoilt))
    assert (finding.tier, set(finding.features)) == (Tier.P3, set(spoilt))
    context = next(context for context, _ in watch(hours(moved=spoilt)))
    with_one_open = replace(context, open_features=frozenset({"town"}))
    assert CHECKS["feature_drift"].evaluate(with_one_open)[0].tier is Tier.P2
    with_the_same_open = replace(context, open_features=frozenset({"age"}))
    assert CHECKS["feature_drift"].evaluate(with_the_same_open)[0].tier is Tier.P3


def test_features_that_say_the_same_count_once() -> None:
    spoilt = {"age": 1.0, "income": 1.0, "height": -1.0, "weight": 1.0}
    context = next(context for context, _ in watch(hours(moved=spoilt)))
    check, before = CHECKS["feature_drift"], baseline().reference
    (apart,) = check.evaluate(context)
    assert (apart.tier, len(apart.details["groups"])) == (Tier.P2, 4)
    (joined,) = check.evaluate(replace(context, reference=replace(before, groups=(("height", "weight"),))))
    assert joined.tier is Tier.P3
    assert joined.details["groups"] == [["age"], ["height", "weight"], ["income"]]
    assert joined.summary.count("they say the same") <= 1
    told = [f"{clause}".split(" ")[0] for clause in joined.summary.split("; ") if "they say the same" in clause]
    assert told in ([], ["height"], ["weight"])


def test_many_features_of_little_importance_are_not_urgent() -> None:
    context = next(context for context, _ in watch(hours()))
    layout, four = context.layout, ("age", "income", "height", "weight")
    more = tuple(replace(layout.features[0], name=f"f{k}") for k in range(85))
    wide = replace(context, layout=Layout(layout.model, layout.features + more, layout.prediction))  # 90 features
    assert _tier(wide, [(name,) for name in four], four) is Tier.P3
    assert _tier(wide, [(name,) for name in (*four, "town")], (*four, "town")) is Tier.P2
    assert _tier(context, [(name,) for name in four], four) is Tier.P2


def test_drift_resolves_after_recovery() -> None:
    panes = hours(moved={"income": 1.0})
    back = [pane(60 * hour, rows(200 + hour, 500)) for hour in range(HOURS, HOURS + 8)]
    contexts = [context for context, _ in watch(panes + back)]
    resolved = [CHECKS["feature_drift"].resolved(context) for context in contexts]
    assert [names for names in resolved if names] == [("income",)]
    assert not contexts[-1].step.held  # type: ignore[union-attr]


def test_nulls_are_a_finding_of_their_own() -> None:
    (finding,) = told(hours(nulls=0.3))
    assert (finding.rule, finding.tier, finding.features) == ("null_rate", Tier.P2, ("age",))
    assert finding.value == pytest.approx(0.3, abs=0.06)
    assert "age is missing in" in finding.summary
    assert finding.rows == 500


def test_a_short_baseline_shows_distributions_and_judges_nulls() -> None:
    context = next(context for context, _ in watch(hours(moved={"income": 1.0}, nulls=0.5)))
    young = replace(context, reference=replace(baseline().reference, hours=30))
    assert CHECKS["feature_drift"].ready(young) == "baseline spans 30 of 168 hours"
    assert CHECKS["feature_drift"].evaluate(young) == []
    assert [f.features for f in CHECKS["null_rate"].evaluate(young)] == [("age",)]


def test_shifted_predictions_are_told_with_score_and_class() -> None:
    found = [f for f in told(hours(score=0.97)) if f.rule == "prediction_drift"]
    assert found[0].tier is Tier.P2
    assert set(found[0].features) == {"score", "class"}
    assert "score moved up: mean 0.5" in found[0].summary
    assert "(KS" in found[0].summary
    json.dumps(dict(found[0].details))


def test_confidence_that_declines_is_in_the_report_before_it_is_urgent() -> None:
    shares = [1.0, 0.95, 0.9, *[0.86] * 25, 0.83, 0.8, 0.77]
    found = [
        f
        for f in told([pane(60 * hour, rows(100 + hour, 3000, unsure=share)) for hour, share in enumerate(shares)])
        if f.rule == "confidence_drop"
    ]
    tiers = [f.tier for f in found]
    assert tiers[0] is Tier.P3 and tiers[-1] is Tier.P2
    assert sorted(tiers, reverse=True) == tiers, "it never becomes less urgent while it goes on"
    assert all(f.value is not None and (f.value > 0.15) == (f.tier is Tier.P2) and f.value > 0.075 for f in found)
    assert {f.tier: f.threshold for f in found} == {Tier.P3: 0.075, Tier.P2: 0.15}
    book = IncidentBook("m")
    moves = [move for move in map(book.find, found) if move is not None]
    told_of = [(move.kind, move.incident.tier) for move in moves if move.kind]
    assert told_of == [("opened", Tier.P3), ("raised", Tier.P2)]


def test_confidence_must_lose_more_than_fifteen_percent_to_be_urgent() -> None:
    mild, strong = (told(hours(unsure=unsure)) for unsure in (0.88, 0.6))
    assert {f.tier for f in mild if f.rule == "confidence_drop"} <= {Tier.P3}
    found = [f for f in strong if f.rule == "confidence_drop"]
    assert found[0].tier is Tier.P2
    assert found[0].value == pytest.approx(0.4, abs=0.06)
    assert len(found) > 1, "the level is told as long as it holds"


def test_a_loss_of_less_than_half_the_tier_is_no_evidence_at_all() -> None:
    panes = [pane(60 * hour, rows(400 + hour, 3000, unsure=0.95)) for hour in range(8)]
    last = [context for context, _ in watch(panes)][-1]
    assert last.step is not None
    assert last.step.evidence[("confidence", "confidence")] < 0.3


def quality_context(share: float, labels: int = 2000, value: float | None = None) -> CheckContext:
    detector = Detector(quality_indicators(Part(0.9, 5000, 0.5)))
    step = detector.step(detector.initial(), counts(round(labels * share), labels), minute=0, hours=1.0)
    view = QualityView("accuracy", step, share if value is None else value, labels, 0.9, 0.5)
    return CheckContext("m", 9, Layout.bare("m"), quality=view)


@pytest.mark.parametrize(
    ("share", "tier"), [(0.9, None), (0.888, None), (0.87, Tier.P3), (0.84, Tier.P2), (0.8, Tier.P1)]
)
def test_quality_tiers_are_parts_of_what_lies_above_chance(share: float, tier: Tier | None) -> None:
    found = CHECKS["quality_drop"].evaluate(quality_context(share, labels=20_000))
    assert [f.tier for f in found] == ([] if tier is None else [tier])


def test_quality_needs_evidence_and_not_only_a_bad_estimate() -> None:
    assert CHECKS["quality_drop"].evaluate(quality_context(0.9, value=0.6)) == []
    assert CHECKS["quality_drop"].ready(quality_context(0.5, labels=20)) == "warming up 20/30 labels"


def test_quality_is_resolved_when_nothing_is_held_any_more() -> None:
    context = quality_context(0.7)
    assert context.quality is not None
    check, step = CHECKS["quality_drop"], context.quality.step
    partly = replace(step, closed=(("quality", "p1"),), held=(("quality", "p3"),))
    wholly = replace(step, closed=(("quality", "p3"),), held=())
    assert check.resolved(context) == ()
    assert check.resolved(replace(context, quality=replace(context.quality, step=partly))) == ()
    assert check.resolved(replace(context, quality=replace(context.quality, step=wholly))) == ("accuracy",)
