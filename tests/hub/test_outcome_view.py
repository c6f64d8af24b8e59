"""Estimate, realised figure, coverage and maturity stand together, each with what it rests on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hub_parts import DAY_MINUTES, LAYOUT, START, Watched, baseline, batch, kept, panes, plan, traffic
from sklearn.metrics import f1_score, log_loss, mean_absolute_error, precision_recall_fscore_support, roc_auc_score

from mlmon_sidecar.hub.estimate import estimate, why_not
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.outcomes.metric import Averaged, Metric
from mlmon_sidecar.records import MINUTE_NS, Label, LabelStatus
from mlmon_sidecar.statistics.layout import CategoricalFeature, Layout, NumericFeature, PredictionSpace
from mlmon_sidecar.statistics.reference import Reference
from mlmon_sidecar.web.feedback_items import read_item

DAY_NS = DAY_MINUTES * MINUTE_NS


def outcome(watched: Watched) -> Any:
    watched.clock.seconds += 2  # the status is made once a second
    return orjson.loads(watched.hub.query("status", {}))["models"][0]["outcome"]


def days_of_labels(watched: Watched, days: int, *, right: float = 0.9, wrong_first: bool = False) -> None:
    """100 predictions a day, of which 80 get a label: a third on the day, the others two days later."""
    rng = np.random.default_rng(1)
    due: dict[int, list[Label]] = {}
    for day in range(days):
        minute = START + day * DAY_MINUTES
        rows = [kept(f"p{day}-{n}", minute, "yes" if n % 2 else "no") for n in range(100)]
        for n in range(80):
            good = rng.random() < right
            truth = ("yes" if n % 2 else "no") if good else ("no" if n % 2 else "yes")
            late = (good if wrong_first else True) and n % 3 > 0
            age = 2 if late else 0
            due.setdefault(day + age, []).append(Label(f"p{day}-{n}", truth, (minute * MINUTE_NS) + age * DAY_NS))
        watched.flush(traffic(minute, rows=40), through=minute, rows=rows)
        watched.hub.labels(due.pop(day, []))
        watched.hub.tick()


def test_young_labels_are_set_apart_from_mature_ones(tmp_path: Path) -> None:
    watched = Watched(tmp_path, [plan(horizon_days=30)])
    days_of_labels(watched, 20, wrong_first=True)
    view = outcome(watched)
    assert view["mature_age_days"] == 2 and view["expected_coverage"] == pytest.approx(0.8, abs=0.02)
    assert view["mature"]["cohorts"] == 7 and view["mature"]["labelled"] == 560
    assert view["mature"]["low"] < 0.9 < view["mature"]["high"]
    assert view["coverage"] == pytest.approx((5 * 80 + 2 * 33) / 700, abs=0.02)
    assert view["maturity"] == pytest.approx((3 + 2 * 0.41) / 7, abs=0.02)  # complete ages: 4, 3, 2, 1, 0
    early = 2 * 32 / (5 * 80 + 2 * 32)  # of two days a third of the right answers has its label, and each wrong one
    assert view["bias"] == pytest.approx(early * (0.75 - 0.9), abs=0.006)
    assert view["equal_age"] == pytest.approx(view["realised"], abs=0.03)
    assert [own["version"] for own in view["versions"]] == ["v1"] and view["versions"][0]["labelled"] == view[
        "labelled"
    ]
    assert not [i for i in watched.store.incidents() if i.rule == "quality_drop"]
    watched.hub.close()


def test_an_estimate_that_labels_belie_is_withdrawn(tmp_path: Path) -> None:
    watched = Watched(tmp_path, [plan(horizon_days=30)])
    days_of_labels(watched, 16, right=0.55)
    view = outcome(watched)
    assert view["estimated"] is None and "no longer means what it meant" in view["estimate_note"]
    assert view["estimate_check"]["broken"] and view["estimate_check"]["gap"] > 0.1
    (drop,) = [i for i in watched.store.incidents() if i.rule == "quality_drop"]
    assert drop.features == ("accuracy",)
    assert drop.details["min_detectable_lost"] == 0.05 < drop.details["lost"]
    watched.hub.close()


def test_an_estimate_has_its_interval_and_its_assumption(tmp_path: Path) -> None:
    watched = Watched(tmp_path, [plan()])
    watched.flush(traffic(START, rows=400), through=START)
    watched.hub.tick()
    view = outcome(watched)
    assert 0 < view["estimated_low"] < view["estimated"] < view["estimated_high"] < 1
    assert "cannot see concept drift" in view["estimate_note"]
    watched.hub.close()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"calibration": ()}, "no labels beside a score"),
        ({"calibration_rows": 40}, "40 of 200 labelled rows"),
    ],
)
def test_why_there_is_no_estimate(changes: dict[str, Any], reason: str) -> None:
    known = baseline()
    without = plan(baseline=replace(known, reference=replace(known.reference, **changes)))
    assert reason in why_not(without, "accuracy")
    assert estimate(without, known.reference.vector, "accuracy") is None
    assert why_not(plan(baseline=None), "accuracy") == "no baseline"
    assert "speaks for the class 'yes'" in why_not(plan(metric="recall", positive="no"), "recall")


def test_labelled_scores_have_their_figures(tmp_path: Path) -> None:
    watched = Watched(tmp_path, [plan()])
    rng = np.random.default_rng(3)
    score = rng.random(300)
    actual = (rng.random(300) < score).astype(int)
    rows = [
        kept(f"p{n}", START, "yes" if score[n] >= 0.5 else "no")._replace(score=float(score[n])) for n in range(300)
    ]
    watched.flush(traffic(START), through=START, rows=rows)
    watched.hub.labels([Label(f"p{n}", "yes" if actual[n] else "no", START * MINUTE_NS) for n in range(300)])
    watched.hub.tick()
    found = outcome(watched)["scores"]
    assert found["rows"] == 300 and found["auc"] == pytest.approx(roc_auc_score(actual, score), abs=1e-3)
    assert found["auc_low"] < found["auc"] < found["auc_high"]
    assert 0 < found["brier"] < 0.25 and 0 < found["log_loss"] < 0.7 and found["calibration_error"] < 0.1
    watched.hub.close()


def test_a_regression_model_has_its_errors(tmp_path: Path) -> None:
    watched = Watched(tmp_path, [ModelPlan("m", Layout.bare("m"), kind="regression")])
    rng = np.random.default_rng(4)
    actual = rng.normal(50, 5, 60)
    rows = [kept(f"p{n}", START, None)._replace(score=float(actual[n] + 1)) for n in range(60)]
    watched.flush(panes(batch([START] * 4), layout=Layout.bare("m"))[0], through=START, rows=rows)
    watched.hub.labels([Label(f"p{n}", repr(float(actual[n])), START * MINUTE_NS) for n in range(60)])
    watched.hub.tick()
    found = outcome(watched)["errors"]
    assert [own["errors"] for own in outcome(watched)["versions"]] == [found]
    assert found["rows"] == 60 and found["mae"] == pytest.approx(mean_absolute_error(actual, actual + 1), abs=0.01)
    assert found["bias"] == pytest.approx(1, abs=0.01) and 0.9 < found["r2"] < 1 and found["mape"] is not None
    assert outcome(watched)["weighted"] is None
    weight = np.where(np.arange(60) < 20, 5.0, 1.0)
    off = np.where(np.arange(60) < 20, 2.0, 0.0)
    said = zip((actual - off).tolist(), weight.tolist(), strict=True)
    watched.hub.labels([Label(f"p{n}", repr(true), START * MINUTE_NS, weight=w) for n, (true, w) in enumerate(said)])
    watched.hub.tick()
    view = outcome(watched)
    weighted, counted = view["weighted"]["errors"], view["errors"]
    assert counted["mae"] == pytest.approx((20 * 3 + 40) / 60, abs=0.01)
    assert weighted["mae"] == pytest.approx((100 * 3 + 40) / 140, abs=0.01)
    assert weighted["rows"] == round(view["weighted"]["effective"]) == round(140**2 / (20 * 25 + 40))
    assert weighted["mae_low"] < weighted["mae"] < weighted["mae_high"]
    watched.hub.close()


def test_ratings_of_answers_are_shown(tmp_path: Path) -> None:
    watched = Watched(tmp_path, [ModelPlan("m", Layout.bare("m"))])
    rows = [kept(f"p{n}", START, None)._replace(score=None) for n in range(8)]
    watched.flush(panes(batch([START] * 4), layout=Layout.bare("m"))[0], through=START, rows=rows)
    said = ("up", "up", "up", "down", "4", "5", "long text", "helpful")
    watched.hub.labels([Label(f"p{n}", text, START * MINUTE_NS) for n, text in enumerate(said)])
    watched.hub.tick()
    found = outcome(watched)["ratings"]
    assert (found["up"], found["down"], found["scores"], found["other"]) == (4, 1, 2, 1)
    assert (found["up_rate"], found["mean"]) == (0.8, 4.5) and found["up_low"] < 0.8 < found["up_high"]
    watched.hub.close()


def test_a_model_of_several_classes_is_judged_by_the_mean_over_them(tmp_path: Path) -> None:
    """One class of three is no longer found; accuracy hardly moves."""
    classes = ("a", "b", "c")
    layout = Layout("m", (), PredictionSpace("multiclass", classes))
    reference = Reference(
        layout.hash, "v", np.zeros(layout.size, np.int64), confusion=((900, 50, 50), (50, 900, 50), (10, 10, 80))
    )
    several = ModelPlan(
        "m", layout, replace(baseline(), layout=layout, reference=reference), metric="f1", horizon_days=3
    )
    assert several.outcome_metric == Averaged("f1", classes)
    assert replace(several, positive="c").outcome_metric == Metric("f1", "c")
    watched = Watched(tmp_path, [several])
    rng = np.random.default_rng(6)
    truth: list[str] = []
    said: list[str] = []
    for day in range(14):
        minute = START + day * DAY_MINUTES
        actual = rng.choice(classes, 600, p=[0.45, 0.45, 0.1]).tolist()
        answers = [a if (rng.random() < 0.9 and (a != "c" or day < 4)) else "a" for a in actual]
        rows = [kept(f"p{day}-{n}", minute, answers[n]) for n in range(600)]
        watched.flush(*panes(batch([minute] * 5), layout=layout), through=minute, rows=rows)
        watched.hub.labels([Label(f"p{day}-{n}", actual[n], minute * MINUTE_NS) for n in range(600)])
        watched.hub.tick()
        if day >= 7:
            truth, said = truth + actual, said + answers
    view = outcome(watched)
    assert view["metric"] == "f1" and view["realised"] == pytest.approx(
        f1_score(truth, said, average="macro"), abs=1e-9
    )
    assert view["low"] < view["realised"] < view["high"]
    (drop,) = [i for i in watched.store.incidents() if i.rule == "quality_drop"]
    assert drop.tier == 1 and drop.features == ("f1",)
    watched.hub.close()


def test_a_model_of_several_classes_has_an_expected_accuracy() -> None:
    layout = Layout("m", (), PredictionSpace("multiclass", ("a", "b", "c")))
    vector = np.zeros(layout.size, np.int64)
    vector[layout.outputs.confidence] = 10
    learned = tuple(float(p) for p in np.linspace(0.2, 0.8, 50))
    reference = Reference(layout.hash, "v", vector, calibration=learned, calibration_rows=500)
    several = ModelPlan("m", layout, replace(baseline(), layout=layout, reference=reference), metric="f1")
    found = estimate(several, vector, "accuracy")
    assert found is not None and found.value == pytest.approx(0.5)
    assert "by class" in why_not(several, "f1")
    assert LAYOUT.prediction.positive == "yes"


def test_weights_of_labels_have_figures_of_their_own(tmp_path: Path) -> None:
    watched = Watched(tmp_path, [plan()])
    rng = np.random.default_rng(4)
    said, true = rng.integers(0, 2, 300), rng.integers(0, 2, 300)
    score = np.where(said == 1, 0.5, 0.0) + 0.5 * rng.random(300)
    weight = rng.integers(1, 6, 300)
    names = ("no", "yes")
    rows = [kept(f"p{n}", START, names[said[n]])._replace(score=float(score[n])) for n in range(300)]
    watched.flush(traffic(START), through=START, rows=rows)
    watched.hub.labels([Label(f"p{n}", names[true[n]], START * MINUTE_NS) for n in range(300)])
    watched.hub.tick()
    assert outcome(watched)["weighted"] is None
    watched.hub.labels([Label(f"p{n}", names[true[n]], START * MINUTE_NS, weight=float(weight[n])) for n in range(300)])
    watched.hub.tick()
    view = outcome(watched)
    found = view["weighted"]
    assert view["realised"] == pytest.approx((said == true).mean(), abs=1e-9), "counted once each"
    assert found["realised"] == pytest.approx(np.average(said == true, weights=weight), abs=1e-9)
    assert found["low"] < found["realised"] < found["high"]
    assert found["effective"] == pytest.approx(weight.sum() ** 2 / (weight**2).sum())
    assert found["high"] - found["low"] > view["high"] - view["low"], "weights cost evidence"
    scores = found["scores"]
    assert scores["rows"] == round(found["effective"])
    assert scores["auc"] == pytest.approx(roc_auc_score(true, score, sample_weight=weight), abs=1e-3)
    assert scores["log_loss"] == pytest.approx(log_loss(true, score, sample_weight=weight), abs=1e-5)
    wider = (scores["auc_high"] - scores["auc_low"]) / (view["scores"]["auc_high"] - view["scores"]["auc_low"])
    assert wider == pytest.approx((300 / found["effective"]) ** 0.5, rel=0.02)
    watched.hub.close()


def test_versions_and_segments_have_figures_of_their_own(tmp_path: Path) -> None:
    """Each the metric's, of its own rows; rows without a segment are in none."""
    watched = Watched(tmp_path, [plan(metric="f1")])
    rng = np.random.default_rng(8)
    said, true = rng.integers(0, 2, 400), rng.integers(0, 2, 400)
    score = rng.random(400)
    names, places, versions = ("no", "yes"), ("eu", "us", "", "eu"), ("v1", "v2", "v2", "v2")
    rows = [
        kept(f"p{n}", START, names[said[n]])._replace(
            segment=places[n % 4], version=versions[n % 4], score=float(score[n])
        )
        for n in range(400)
    ]
    watched.flush(traffic(START), through=START, rows=rows)
    watched.hub.labels([Label(f"p{n}", names[true[n]], START * MINUTE_NS) for n in range(400)])
    watched.hub.tick()
    view = outcome(watched)
    assert [(own["segment"], own["labelled"]) for own in view["segments"]] == [("eu", 200), ("us", 100)]
    assert [(own["version"], own["labelled"]) for own in view["versions"]] == [("v1", 100), ("v2", 300)]
    for key, own_names in (("segment", places), ("version", versions)):
        for own in view[f"{key}s"]:
            mine = [n for n in range(400) if own_names[n % 4] == own[key]]
            assert own["realised"] == pytest.approx(f1_score(true[mine], said[mine]), abs=1e-9)
            assert own["low"] < own["realised"] < own["high"]
            assert own["averages"]["rows"] == len(mine)
            for how in ("micro", "macro", "weighted"):
                wanted = precision_recall_fscore_support(true[mine], said[mine], average=how)[:3]
                shown = [own["averages"][how][name] for name in ("precision", "recall", "f1")]
                assert [figure["value"] for figure in shown] == pytest.approx(wanted, abs=1e-9)
                assert all(figure["low"] < figure["value"] < figure["high"] for figure in shown)
            assert own["scores"]["rows"] == len(mine)
            assert own["scores"]["auc"] == pytest.approx(roc_auc_score(true[mine], score[mine]), abs=1e-3)
            assert own["scores"]["auc_low"] < own["scores"]["auc"] < own["scores"]["auc_high"]
            assert own["answers"] is own["errors"] is None
    before = view["baseline_averages"]  # of ((450, 50), (50, 450))
    assert (before["rows"], before["accuracy"]["value"], before["macro"]["f1"]["value"]) == (1000, 0.9, 0.9)
    assert not watched.store.incidents()
    watched.hub.close()


def test_scores_and_thumbs_of_a_language_model_are_shown_from_its_labels(tmp_path: Path) -> None:
    """Answers without a class; what people send as booleans, words and numbers; a correction takes the first back."""
    watched = Watched(tmp_path, [ModelPlan("m", Layout.bare("m"))])
    rows = [kept(f"p{n}", START, "")._replace(predicted=None, score=None, alias=f"chatcmpl-{n}") for n in range(9)]
    pane_ = replace(traffic(START), key=traffic(START).key._replace(layout=Layout.bare("m").hash))
    watched.flush(replace(pane_, vector=np.zeros(Layout.bare("m").size, np.int64)), through=START, rows=rows)
    said = ["up", True, "down", 4, 5, 2, "thumbs_up", "so so", False]
    items = [{"id": f"chatcmpl-{n}", "label": label, "observed_at": START * 60} for n, label in enumerate(said)]
    watched.hub.labels(
        [read_item(item, 0) for item in [*items, {**items[5], "label": 3, "observed_at": START * 60 + 1}]]
    )
    watched.hub.tick()
    found = outcome(watched)["ratings"]
    assert (found["up"], found["down"], found["scores"], found["other"]) == (3, 2, 3, 1)
    assert found["up_rate"] == pytest.approx(0.6) and found["mean"] == pytest.approx(4.0)
    assert found["up_low"] < 0.6 < found["up_high"] and found["mean_low"] < 4 < found["mean_high"]
    watched.hub.labels([read_item({**items[3], "label": 4, "weight": 3, "observed_at": START * 60 + 2}, 0)])
    watched.hub.tick()
    assert outcome(watched)["weighted"]["mean"] == pytest.approx((3 * 4 + 5 + 3) / 5)
    watched.hub.close()


def test_a_model_of_several_classes_says_whether_it_knows_when_it_is_right(tmp_path: Path) -> None:
    space = PredictionSpace("multiclass", ("a", "b", "c"))
    watched = Watched(tmp_path, [ModelPlan("m", Layout("m", (), space), positive="a", metric="recall")])
    rng = np.random.default_rng(9)
    score = rng.uniform(0.4, 1, 400)
    right = rng.random(400) < score
    rows = [kept(f"p{n}", START, "a" if n % 2 else "b")._replace(score=float(score[n])) for n in range(400)]
    watched.flush(panes(batch([START] * 4), layout=Layout("m", (), space))[0], through=START, rows=rows)
    true = [("a" if n % 2 else "b") if right[n] else "c" for n in range(400)]
    watched.hub.labels([Label(f"p{n}", true[n], START * MINUTE_NS, weight=1.0 + n % 2) for n in range(400)])
    watched.hub.tick()
    view = outcome(watched)
    assert view["scores"] is None and view["weighted"]["scores"] is None, "the score is not that of the positive class"
    found = view["answers"]
    assert found["rows"] == 400 and found["auc_low"] < found["auc"] < found["auc_high"]
    assert found["auc"] == pytest.approx(roc_auc_score(right, score), abs=1e-3)
    assert found["log_loss"] == pytest.approx(log_loss(right, score), abs=1e-5)
    watched.hub.close()


def rated_answers(tmp_path: Path, layout: Layout) -> Any:
    """What is shown of eight answers of a language model that ended on their own, and were rated."""
    watched = Watched(tmp_path, [ModelPlan("m", layout)])
    rows = [kept(f"p{n}", START, "length" if n == 5 else "stop")._replace(score=800.0) for n in range(8)]
    watched.flush(panes(batch([START] * 4), layout=layout)[0], through=START, rows=rows)
    said = ("up", "up", "up", "down", "4", "5", "long text", "helpful")
    labels = [Label(f"p{n}", text, START * MINUTE_NS, weight=3.0 if n == 3 else 1.0) for n, text in enumerate(said)]
    assert {receipt.status for receipt in watched.hub.labels(labels)} == {LabelStatus.ACCEPTED}
    watched.hub.tick()
    view = outcome(watched)
    curve = orjson.loads(watched.hub.query("series", {"model": "m", "name": "accuracy"}))
    assert curve["v"] == []
    watched.hub.close()
    return view


def generation_layout() -> Layout:
    features = (
        CategoricalFeature("tier", ("free",), 1),
        NumericFeature("output.tokens", (10.0,), (0,), 0.0, 99.0, 10.0, 1.0),
    )
    return Layout("m", features, PredictionSpace("binary", ("stop", "length"), "stop"))


@pytest.mark.parametrize("layout", [Layout.bare("m"), generation_layout()], ids=["no baseline", "baseline"])
def test_labels_of_a_language_models_answers_rate_them_and_are_no_finish_reasons(
    tmp_path: Path, layout: Layout
) -> None:
    view = rated_answers(tmp_path, layout)
    found = view["ratings"]
    assert (found["up"], found["down"], found["scores"], found["other"]) == (4, 1, 2, 1)
    assert (found["up_rate"], found["mean"], view["weighted"]["up_rate"]) == (0.8, 4.5, pytest.approx(4 / 7))
    assert view["realised"] is None and view["versions"][0]["realised"] is None and view["reason"] == ""
    assert view["scores"] is None and view["errors"] is None and view["labelled"] == 8


def test_a_model_that_reads_figures_of_language_models_has_classes_of_its_own() -> None:
    layout = generation_layout()
    other = replace(layout, prediction=PredictionSpace("binary", ("cheap", "dear"), "dear"))
    assert ModelPlan("m", layout).generates and not ModelPlan("m", layout).label_rule.classes
    assert not ModelPlan("m", other).generates and ModelPlan("m", other).outcome_metric == Metric("accuracy")
    assert not ModelPlan("m", replace(layout, features=())).generates, "a classifier may say stop"


def test_a_class_that_is_called_like_a_finish_reason_is_a_class(tmp_path: Path) -> None:
    watched = Watched(tmp_path, [ModelPlan("m", Layout.bare("m"))])
    rows = [kept(f"p{n}", START, "failed" if n else "completed") for n in range(4)]
    watched.flush(panes(batch([START] * 4), layout=Layout.bare("m"))[0], through=START, rows=rows)
    watched.hub.labels([Label(f"p{n}", "failed", START * MINUTE_NS) for n in range(4)])
    watched.hub.tick()
    assert outcome(watched)["realised"] == 0.75 and outcome(watched)["ratings"] is None
    watched.hub.close()
