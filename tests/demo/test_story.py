"""The whole demo as a user runs it, and what it must show. Takes about a minute and a quarter."""

import sqlite3
from contextlib import closing

import pytest
from sklearn.metrics import accuracy_score
from story_run import Told

from mlmon_sidecar.demo.data import DRIFTING, load
from mlmon_sidecar.demo.model import label_text
from mlmon_sidecar.demo.phases import NULL_COLUMN, PHASES, TOTAL_ROWS, assign

pytestmark = pytest.mark.alone

SCORE = "score"


def test_every_request_is_accounted_for(told: Told) -> None:
    assert told.summary["requests"] == TOTAL_ROWS
    assert told.summary["captured"] + sum(told.summary["dropped"].values()) == TOTAL_ROWS


def test_no_alert_while_healthy(told: Told) -> None:
    assert told.alerts("before") == []
    assert told.alerts("healthy") == []


def test_drift_names_only_columns_that_drift(told: Told) -> None:
    drifts = [alert for alert in told.alerts("drifting") if "drift" in alert["rule"]]
    named = {feature for alert in drifts for feature in alert["features"]}
    assert named & set(DRIFTING)
    assert named <= {*DRIFTING, SCORE}


def test_nulls_are_a_p2_of_their_column(told: Told) -> None:
    found = [(alert["tier"], alert["features"]) for alert in told.alerts("null_burst") if alert["rule"] == "null_rate"]
    assert found == [("P2", [NULL_COLUMN])]


def test_collapse_is_a_p1(told: Told) -> None:
    assert [alert["tier"] for alert in told.alerts("collapse") if alert["rule"] == "collapse"] == ["P1"]


def test_every_incident_is_resolved(told: Told) -> None:
    alerts = told.summary["alerts"]
    assert [alert for alert in alerts if alert["resolved"] is None] == []
    assert all(alert["opened"] <= alert["resolved"] for alert in alerts)
    assert [alert["opened"] for alert in alerts] == sorted(alert["opened"] for alert in alerts)


def test_realised_accuracy_is_scikit_learns_on_the_same_ids(told: Told) -> None:
    loans = load()
    with closing(sqlite3.connect(told.directory / "mlmon.db")) as store:
        # The caller's id is the row's own id in the data, where its label is.
        predicted = {int(alias): said for alias, said in store.execute("SELECT alias, predicted FROM predictions")}
    rows = assign(loans)
    expected = {}
    for phase in PHASES:
        ids = [row.id for row in rows[phase.name] if row.id in predicted]
        truth = [label_text(loans.labels[row_id]) for row_id in ids]
        expected[phase.name] = accuracy_score(truth, [predicted[row_id] for row_id in ids])
    realised = {quality["period"]: quality["realised"] for quality in told.summary["quality"]}
    assert realised == pytest.approx(expected, abs=1e-9)
    assert expected["healthy"] > 0.9 > 0.6 > expected["collapse"]


def test_quality_is_estimated_without_labels_too(told: Told) -> None:
    quality = {item["period"]: item for item in told.summary["quality"]}
    assert quality["healthy"]["estimated"] == pytest.approx(quality["healthy"]["realised"], abs=0.03)


def test_labels_arrive(told: Told) -> None:
    assert told.summary["label_coverage"] >= 0.99


def test_it_says_what_it_sees(told: Told) -> None:
    said = told.narration
    assert "/mlmon/?token=" in said
    assert "OTLP target: " in said
    assert "Payload content exported: none" in said
    for transition in ("OPENED", "RESOLVED"):
        assert transition in said
