"""A backtest says what a hub says that was fed the same rows and labels, day by day."""

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from backtest_parts import (
    BROKEN_DAY,
    DAY,
    DAYS,
    DRIFTED_DAY,
    MODEL,
    OPTIONS,
    REDACTOR,
    START,
    baseline,
    story,
    write,
)

from mlmon_sidecar.backtest.replay import Alert, Replayed, replay, with_budget
from mlmon_sidecar.backtest.source import Source, rows_source, store_source
from mlmon_sidecar.baseline.document import Roles
from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.clock import SystemClock
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.errors import StoreError
from mlmon_sidecar.hub.evaluator import ModelEvaluator
from mlmon_sidecar.hub.hub import Hub
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.hub.seal import Sums
from mlmon_sidecar.recorder import RecordedModel, Recorder
from mlmon_sidecar.records import Incident, Label
from mlmon_sidecar.statistics.detector_state import DetectorState
from mlmon_sidecar.store import Store, open_store
from mlmon_sidecar.telemetry import Telemetry

LABEL_COLUMNS = ("tx", "truth", "observed_at")


def plan() -> ModelPlan:
    return ModelPlan(MODEL, baseline().layout, baseline(), horizon_days=3)


def source(folder: Path, minutes: int = 1, *, labelled: bool = True) -> Source:
    data = write(folder / "history.csv", story())
    labels = write(folder / "labels.csv", story(), LABEL_COLUMNS) if labelled else None
    return rows_source(data, labels, Roles(), baseline(), OPTIONS, REDACTOR, minutes=minutes)


def replayed(folder: Path, minutes: int = 1, *, labelled: bool = True) -> Replayed:
    given = source(folder, minutes, labelled=labelled)
    return replay([plan()], given.deltas, given.known)


@pytest.fixture(scope="module")
def hub_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """What a recorder and a hub made of the story."""
    store = open_store(f"sqlite:///{tmp_path_factory.mktemp('hub') / 'mlmon.db'}")
    clock, telemetry = SystemClock(), Telemetry()
    hub = Hub(store, [plan()], clock, telemetry)
    recorder = Recorder({MODEL: RecordedModel(OPTIONS, baseline().layout, REDACTOR)}, Handoff(), hub, clock, telemetry)
    recorder.expect_event_times(MODEL)
    for day in range(DAYS):
        through = START + (day + 1) * DAY
        table = story()[day * 720 : day * 720 + 720]
        features = {name: [row[name] for row in table] for name in ("amount", "town")}
        scores, ids, times = ([row[name] for row in table] for name in ("score", "tx", "at"))
        recorder.observe(
            batch_from_columns(
                MODEL, now_ns=0, options=OPTIONS, features=features, scores=scores, ids=ids, times=times
            )
        )  # fmt: skip
        recorder.flush()
        for _ in range(3):
            hub.tick()
        told = [row for row in story() if through - DAY <= row["observed_at"] < through]
        hub.labels([Label(row["tx"], row["truth"], row["observed_at"] * 10**9) for row in told])
        for _ in range(3):
            hub.tick()
    return store


def told(incident: Incident) -> tuple[Any, ...]:
    return (
        incident.key, incident.rule, incident.tier, incident.features, incident.opened_minute,
        incident.resolved_minute, incident.summary, incident.evidence, dict(incident.details),
    )  # fmt: skip


def by_rule(alerts: list[Alert]) -> dict[str, Alert]:
    return {alert.incident.rule: alert for alert in alerts}


def test_the_same_incidents_as_a_hub(tmp_path: Path, hub_store: Store) -> None:
    sealed_through = START // 60 + DAYS * 1440 - 60  # the hub closes label slices as long as rows come
    ours = [a.incident for a in replayed(tmp_path).alerts[0] if a.incident.opened_minute <= sealed_through]
    theirs = hub_store.incidents(MODEL)
    assert {incident.rule for incident in theirs} >= {"feature_drift", "quality_drop"}
    as_stored = [
        told(replace(incident, details=orjson.loads(orjson.dumps(dict(incident.details))))) for incident in ours
    ]
    assert sorted(as_stored, key=lambda item: item[0]) == sorted(map(told, theirs), key=lambda item: item[0])


def test_what_happened_is_told_in_time(tmp_path: Path) -> None:
    alerts = by_rule(list(replayed(tmp_path).alerts[0]))
    drift, quality = alerts["feature_drift"].incident, alerts["quality_drop"].incident
    assert drift.features == ("amount",)
    assert 0 <= drift.opened_minute - (START // 60 + DRIFTED_DAY * 1440) < 12 * 60
    # Labels come one to two days late, and a slice closes when no label of its age can come any more.
    assert START // 60 + (BROKEN_DAY + 2) * 1440 <= quality.opened_minute <= START // 60 + (BROKEN_DAY + 4) * 1440


def test_without_labels_nothing_is_said_about_quality(tmp_path: Path) -> None:
    assert "quality_drop" not in by_rule(list(replayed(tmp_path, labelled=False).alerts[0]))


def test_hours_say_it_at_their_end(tmp_path: Path) -> None:
    by_minute = by_rule(list(replayed(tmp_path).alerts[0]))["feature_drift"].incident.opened_minute
    by_hour = by_rule(list(replayed(tmp_path, 60).alerts[0]))["feature_drift"].incident.opened_minute
    assert by_hour % 60 == 59
    assert abs(by_hour - by_minute) <= 3 * 60


def test_hours_are_the_sums_of_their_minutes(tmp_path: Path) -> None:
    sums: dict[int, Any] = {}
    for delta in source(tmp_path).deltas:
        sums[delta.minute // 60] = sums.get(delta.minute // 60, 0) + delta.vector
    hours = list(source(tmp_path, 60).deltas)
    assert [delta.minute // 60 for delta in hours] == sorted(sums)
    assert all((delta.vector == sums[delta.minute // 60]).all() and delta.minutes == 60 for delta in hours)


def test_a_store_holds_the_same_hours_and_labels(tmp_path: Path, hub_store: Store) -> None:
    while hub_store.roll_up(MODEL, START // 60 + 4 * 1440):  # the older ones are hours already
        pass
    stored, read = store_source(hub_store, MODEL, baseline().layout), source(tmp_path, 60)
    hours = list(zip(stored.deltas, read.deltas, strict=True))
    for theirs, ours in hours[:-1]:  # of the last one, the hub still waits for the end
        assert (theirs.minute, theirs.minutes, theirs.samples) == (ours.minute, ours.minutes, ours.samples)
        assert (theirs.vector == ours.vector).all()
    joined = sum(gain.cell.rows for gain in stored.known)
    assert joined == sum(row["observed_at"] < START + DAYS * DAY for row in story())


def test_a_larger_budget_is_no_slower(tmp_path: Path) -> None:
    given = source(tmp_path, 60)
    plans = [plan(), with_budget(plan(), 7.0), with_budget(plan(), 365.0)]
    mine, eager, patient = (by_rule(list(alerts)) for alerts in replay(plans, given.deltas, given.known).alerts)
    opened = [each["feature_drift"].incident.opened_minute for each in (eager, mine, patient)]
    assert opened == sorted(opened)


def test_an_empty_history_has_no_alerts() -> None:
    nothing = replay([plan()], [])
    assert (nothing.timeline.total, list(nothing.alerts)) == (0, [[]])


def test_rows_of_the_timeline(tmp_path: Path) -> None:
    timeline = replayed(tmp_path, labelled=False).timeline
    noon = START // 60 + 12 * 60
    assert (timeline.start, timeline.total) == (START // 60, DAYS * 720)
    assert (timeline.rows_before(START // 60), timeline.rows_before(noon), timeline.rows_before(noon + 1)) == (
        0,
        360,
        370,
    )


def test_a_pane_of_an_hour_stands_for_sixty_minutes(tmp_path: Path) -> None:
    delta = next(iter(source(tmp_path, 60).deltas))
    states = []
    for minutes in (1, 60):
        evaluator = ModelEvaluator(plan(), open_store(f"sqlite:///{tmp_path / str(minutes)}"), curves=False)
        once = (replace(delta, minutes=minutes),)
        seal = evaluator.advance(Sums((), (), {baseline().layout.hash: once}, (delta.minute,), {}))
        states.append(DetectorState.from_bytes(seal.state.detector).log_m)
        assert not seal.series
    known = np.isfinite(states[0])
    assert known.any()
    np.testing.assert_allclose((states[1] - states[0])[known], math.log(60))


def test_a_store_of_another_layout_is_refused(hub_store: Store) -> None:
    other = replace(baseline().layout, features=baseline().layout.features[:1])
    with pytest.raises(StoreError) as caught:
        store_source(hub_store, MODEL, other)
    assert caught.value.code == "other_layout"
    with pytest.raises(StoreError) as caught:
        store_source(hub_store, "nobody", other)
    assert caught.value.code == "no_history"
