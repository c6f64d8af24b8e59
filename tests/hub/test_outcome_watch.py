"""Labels are judged once each, by the metric that was asked for."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hub_parts import DAY_MINUTES, LAYOUT, START, Watched, batch, kept, panes, plan, traffic

from mlmon_sidecar.checks import CHECKS
from mlmon_sidecar.checks.context import CheckContext
from mlmon_sidecar.hub.outcome_watch import History, OutcomeWatch
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.outcomes.maturity import LabelCount
from mlmon_sidecar.outcomes.slices import closing_day
from mlmon_sidecar.records import Label, OutcomeCell, Tier
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.statistics.quality_detector import counts


@pytest.fixture(name="watched")
def _watched(tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path)
    yield watched
    watched.hub.close()


def test_the_point_estimate_covers_a_week_of_labels() -> None:
    """Whether days close one by one or together; and the detector is fed the same."""
    cells = [OutcomeCell("v", day, age, "yes", "yes" if day % 3 else "no", 2) for day in range(60) for age in range(4)]
    watch = OutcomeWatch(plan(horizon_days=3))
    first = [cell for cell in cells if closing_day(cell.day, cell.age) in range(20, 41)]
    past = History([LabelCount(cell.day, cell.age, cell.rows) for cell in cells], dict.fromkeys(range(60), 8))
    together = watch.close_days(watch.restore(b""), (), range(20, 41), first, past)
    one_by_one, alone, recent, waiting = [], watch.restore(b""), (), list[OutcomeCell]()
    for day in range(20, 41):
        waiting += [cell for cell in first if closing_day(cell.day, cell.age) == day]
        closed = watch.close_days(alone, recent, range(day, day + 1), waiting, past)
        alone, recent = closed.state, closed.recent
        waiting = [cell for cell in waiting if cell not in closed.taken]
        one_by_one += closed.judgements
    assert [(j.day, j.counts) for j in together.judgements] == [(j.day, j.counts) for j in one_by_one]
    assert all(j.counts[1] == 7 * 3 * 2 for j in together.judgements[8:])  # days, ages below the horizon, labels
    assert together.state is not None and alone is not None and together.state.to_bytes() == alone.to_bytes()
    assert counts(1, 2).tolist() == [1, 2]


def alarms(right: Callable[[int], float], days: int) -> list[tuple[int, Tier]]:
    """(day, tier) of what the check finds on 400 predictions a day; wrong answers' labels come at once, those of right
    ones within 20 days. Baseline: .9 of 1,000 rows."""
    watch, check = OutcomeWatch(plan(horizon_days=60)), CHECKS["quality_drop"]
    cells = []
    for day in range(days):
        good = round(400 * right(day))
        cells.append(OutcomeCell("v", day, 0, "yes", "no", 400 - good))
        cells += [OutcomeCell("v", day, age, "yes", "yes", round(good / 20)) for age in range(20)]
    past = History([LabelCount(cell.day, cell.age, cell.rows) for cell in cells], dict.fromkeys(range(days), 400))
    closed = watch.close_days(watch.restore(b""), (), range(2, days), cells, past)
    found = []
    for judgement in closed.judgements:
        view = watch.view(judgement)
        context = CheckContext("m", judgement.day * DAY_MINUTES, LAYOUT, quality=view)
        found += [(judgement.day, finding.tier) for finding in check.evaluate(context)]
    return found


def test_labels_of_wrong_answers_that_come_first_are_no_fall() -> None:
    """Of a young day's labels a fifth and more are wrong, and in the end a tenth."""
    assert alarms(lambda day: 0.9, 100) == []


def test_a_fall_behind_such_labels_is_found_when_its_days_are_mature() -> None:
    found = alarms(lambda day: 0.9 if day < 60 else 0.7, 100)
    assert found and found[0][0] in range(60 + 18 + 2, 60 + 18 + 7) and Tier.P1 in {tier for _, tier in found}


def fed(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """[hits, total] of every step of the quality detector from now on."""
    detector = watched.hub.evaluators()[0]._outcomes._detector
    assert detector is not None
    steps: list[list[int]] = []
    step = detector.step

    def noted(state: Any, vector: Any, **more: Any) -> Any:
        steps.append(vector.tolist())
        return step(state, vector, **more)

    monkeypatch.setattr(detector, "step", noted)
    return steps


def test_labels_that_are_sent_weeks_late_are_judged_once_even_across_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(tmp_path, [plan(horizon_days=60)])
    rows = [kept(f"p{n}", START, "yes") for n in range(10)]
    watched.flush(traffic(START), through=START, rows=rows)
    watched.hub.tick()

    def day(number: int) -> None:
        minute = START + number * DAY_MINUTES
        watched.flush(traffic(minute), through=minute)
        watched.hub.tick()

    day(20)
    observed = (START + 100) * 60_000_000_000  # on the first day; its slice closed long ago
    watched.hub.labels([Label(f"p{n}", "yes" if n < 7 else "no", observed) for n in range(10)])
    watched.hub.tick()
    steps = fed(watched, monkeypatch)
    day(21)
    assert steps == [[7, 10]]
    watched.restart()
    steps = fed(watched, monkeypatch)
    watched.hub.labels([Label("p9", "yes", observed + 1)])  # a correction: nothing new
    watched.hub.tick()
    day(22)
    day(23)
    assert steps == [[0, 0], [0, 0]]
    watched.hub.close()


@pytest.mark.parametrize("metric", ["precision", "recall", "f1"])
def test_the_metric_that_was_asked_for_is_shown_and_watched(tmp_path: Path, metric: str) -> None:
    """Accuracy stays as it was; the positive class is no longer found. Recall and F1 fall, precision does not."""
    watched = Watched(tmp_path, [plan(metric=metric)])
    rng = np.random.default_rng(3)
    for day in range(16):
        minute = START + day * DAY_MINUTES
        rows, labels = [], []
        for n in range(400):
            actual = "yes" if rng.random() < 0.5 else "no"
            found = 0.9 if day < 6 else 0.45
            predicted = "yes" if rng.random() < (found if actual == "yes" else 0.1) else "no"
            rows.append(kept(f"p{day}-{n}", minute, predicted))
            labels.append(Label(f"p{day}-{n}", actual, minute * 60_000_000_000))
        watched.flush(traffic(minute), through=minute, rows=rows)
        watched.hub.labels(labels)
        watched.hub.tick()
    outcome = orjson.loads(watched.hub.query("status", {}))["models"][0]["outcome"]
    drops = [i for i in watched.store.incidents() if i.rule == "quality_drop"]
    expected = {"precision": 0.45 / 0.55, "recall": 0.45, "f1": 2 * 0.45 / (1 + 0.45 + 0.10)}[metric]
    assert (outcome["metric"], outcome["baseline"]) == (metric, pytest.approx(0.9))
    assert outcome["realised"] == pytest.approx(expected, abs=0.05)
    assert outcome["low"] < outcome["realised"] < outcome["high"] and outcome["estimated"] is not None
    if metric == "precision":
        assert all(drop.tier is not Tier.P1 or "precision fell" in drop.summary for drop in drops)
    else:
        (drop,) = drops
        assert drop.tier is Tier.P1 and drop.features == (metric,) and f"{metric} fell from 0.900 to 0." in drop.summary
    curve = orjson.loads(watched.hub.query("series", {"model": "m", "name": metric}))["v"]
    assert len(curve) == 16 and curve[-1] == pytest.approx(expected, abs=0.1)
    watched.hub.close()


def test_labels_of_a_regression_model_are_not_called_wrong(tmp_path: Path) -> None:
    watched = Watched(tmp_path, [ModelPlan("m", Layout.bare("m"), kind="regression")])
    bare = panes(batch([START] * 4), layout=Layout.bare("m"))[0]
    watched.flush(bare, through=START, rows=[kept("p", START, None)])
    watched.hub.labels([Label("p", "12.5", START * 60_000_000_000)])
    watched.hub.tick()
    outcome = orjson.loads(watched.hub.query("status", {}))["models"][0]["outcome"]
    assert (outcome["realised"], outcome["labelled"], outcome["coverage"]) == (None, 1, 1.0)
    assert "regression" in outcome["reason"]
    assert orjson.loads(watched.hub.query("series", {"model": "m", "name": "accuracy"}))["v"] == []
    watched.hub.close()


def test_labels_in_other_words_than_the_models_are_pointed_out(watched: Watched) -> None:
    watched.hub.labels([Label(f"p{n}", said, START * 60_000_000_000) for n, said in enumerate(("1", "1", "yes"))])
    watched.flush(traffic(START), through=START, rows=[kept(f"p{n}", START, "yes") for n in range(3)])
    watched.hub.tick()
    outcome = orjson.loads(watched.hub.query("status", {}))["models"][0]["outcome"]
    assert outcome["reason"].startswith("2 of 3 labels name a class the model does not have")
