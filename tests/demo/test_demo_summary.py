"""The JSON object, from figures given."""

import random

import pytest
from sklearn.metrics import accuracy_score

from mlmon_sidecar.demo.schedule import DAY, Calendar, Period
from mlmon_sidecar.demo.summary import labelled_total, period_quality, summarise
from mlmon_sidecar.hub.view import CountersView, IncidentView

START = 20_000 * DAY
CALENDAR = Calendar(start=START, anchor=0.0)
PERIODS = [Period("healthy", 1, 3), Period("collapse", 3, 5)]
COUNTERS = CountersView(requests=10, captured=8, dropped={"not_json": 2, "queue_full": 0}, rows=8, stored=8)


def incident(key: str, day: float, resolved_day: float | None, tier: int = 1) -> IncidentView:
    return {
        "key": key, "model": "car_loans", "rule": key, "layer": "prediction", "tier": tier,  # type: ignore[typeddict-item]
        "opened_ms": int((START + day * DAY) * 1000), "summary": "",
        "resolved_ms": None if resolved_day is None else int((START + resolved_day * DAY) * 1000),
        "evidence": 1.23456, "features": ["score"], "details": {},
    }  # fmt: skip


def test_alerts_in_order_with_their_period() -> None:
    incidents = [incident("collapse", 3.25, None), incident("drift", 1.5, 4.0, tier=3)]
    summary = summarise(10, COUNTERS, incidents, [], 5, CALENDAR, PERIODS)
    assert summary["alerts"] == [
        {
            "tier": "P3", "rule": "drift", "features": ["score"], "evidence": 1.235, "period": "healthy",
            "opened": "2024-10-05T12:00:00+00:00", "resolved": "2024-10-08T00:00:00+00:00",
        },
        {
            "tier": "P1", "rule": "collapse", "features": ["score"], "evidence": 1.235, "period": "collapse",
            "opened": "2024-10-07T06:00:00+00:00", "resolved": None,
        },
    ]  # fmt: skip


def test_counts() -> None:
    summary = summarise(10, COUNTERS, [], [], 5, CALENDAR, PERIODS)
    assert (summary["requests"], summary["captured"], summary["dropped"]) == (10, 8, {"not_json": 2})
    assert summary["label_coverage"] == 0.5
    assert summarise(0, COUNTERS, [], [], 0, CALENDAR, PERIODS)["label_coverage"] == 0.0


def test_accuracy_of_a_period_is_that_of_its_rows() -> None:
    chance = random.Random(7)
    truth, predicted, labelled, realised = [], [], {}, {}
    for day, rows in ((1, 480), (2, 7)):
        actual = [chance.choice("ab") for _ in range(rows)]
        said = [chance.choice("ab") for _ in range(rows)]
        labelled[CALENDAR.midnight(day)] = float(rows)
        realised[CALENDAR.midnight(day)] = accuracy_score(actual, said)
        truth += actual
        predicted += said
    healthy, collapse = period_quality(CALENDAR, PERIODS, labelled, realised, {})
    assert healthy["realised"] == pytest.approx(accuracy_score(truth, predicted), abs=1e-12)
    assert healthy["estimated"] is None
    assert collapse == {"period": "collapse", "estimated": None, "realised": None}


def test_estimate_is_weighted_by_rows() -> None:
    labelled = {CALENDAR.midnight(3): 300.0, CALENDAR.midnight(4): 100.0, CALENDAR.midnight(9): 1.0}
    estimated = {CALENDAR.midnight(3): 0.9, CALENDAR.midnight(4): 0.5, CALENDAR.midnight(9): 0.0}
    assert period_quality(CALENDAR, PERIODS, labelled, {}, estimated)[1]["estimated"] == pytest.approx(0.8)


def test_labelled_total_leaves_out_what_came_before() -> None:
    assert labelled_total(CALENDAR, {START - DAY: 5.0, START: 3.0, START + DAY: None}) == 3
