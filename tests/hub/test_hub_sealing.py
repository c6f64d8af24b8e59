"""When a minute is sealed, that it is sealed once, and that nothing but the counts decides what is written."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hub_parts import DAY_MINUTES, LAYOUT, START, FakeClock, Watched, batch, kept, panes, plan, traffic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlmon_sidecar.errors import StoreError, WireError
from mlmon_sidecar.hub.evaluator import ModelEvaluator
from mlmon_sidecar.hub.hub_thread import HubThread
from mlmon_sidecar.hub.recorders import RECORDER_KEPT_NS
from mlmon_sidecar.records import Incident, Label, Tier
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.statistics.packing import encode_samples, encode_vector
from mlmon_sidecar.store.contract import Seal

ROWS = LAYOUT.traffic.rows


@pytest.fixture(name="watched")
def _watched(tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path)
    yield watched
    watched.hub.close()


def sealed_rows(watched: Watched, model: str = "m") -> dict[int, int]:
    """Minute to rows in the fleet panes."""
    found: dict[int, int] = {}
    for pane in watched.store.fleet_panes(model, 0, 1 << 60):
        found[pane.key.minute] = found.get(pane.key.minute, 0) + int(pane.vector[ROWS])
    return found


# ---------------------------------------------------------------- waiting


def test_a_minute_is_sealed_when_every_live_recorder_has_passed_it(watched: Watched) -> None:
    watched.flush(traffic(START), traffic(START + 1), through=START + 1, recorder="a")
    watched.flush(traffic(START, rows=5), through=START - 1, recorder="b")
    assert watched.hub.tick() == 0 and sealed_rows(watched) == {}
    watched.flush(through=START, recorder="b")
    assert watched.hub.tick() == 1
    assert sealed_rows(watched) == {START: 25} and watched.watermark == START
    watched.flush(traffic(START + 1, rows=3), through=START + 1, recorder="b")
    assert watched.hub.tick() == 1
    assert sealed_rows(watched) == {START: 25, START + 1: 23}
    assert watched.hub.tick() == 0


def test_a_recorder_of_other_models_is_not_waited_for(watched: Watched) -> None:
    watched.flush(through={"n": -1}, recorder="other")
    watched.flush(traffic(START), through=START)
    assert watched.hub.tick() == 1


@pytest.mark.parametrize(("interval", "silence"), [(1.0, 10.0), (5.0, 15.0)])
def test_a_silent_recorder_is_waited_for_no_longer_than_its_silence(
    tmp_path: Path, interval: float, silence: float
) -> None:
    watched = Watched(tmp_path, flush_interval_seconds=interval)
    watched.flush(recorder="silent", through=-1)
    watched.clock.seconds += silence - 0.1
    watched.flush(traffic(START), through=START)
    assert watched.hub.tick() == 0
    watched.clock.seconds += 0.2
    assert watched.hub.tick() == 1
    watched.flush(traffic(START, rows=5), recorder="silent", through=START)
    assert watched.hub.tick() == 1  # it was only late
    assert sealed_rows(watched) == {START: 25}
    watched.hub.close()


def test_silence_begins_anew_with_the_hub(watched: Watched) -> None:
    """A hub that starts has heard nobody yet: it waits as long as for one that just spoke."""
    watched.flush(recorder="silent", through=-1)
    watched.flush(traffic(START), through=START)
    watched.clock.seconds += 1_000
    watched.restart()
    assert watched.hub.tick() == 0
    watched.clock.seconds += 11
    assert watched.hub.tick() == 1


def test_a_closed_recorder_is_not_waited_for(watched: Watched) -> None:
    watched.flush(traffic(START), through=START - 5, closing=True)
    assert watched.hub.tick() == 1
    assert watched.watermark == START


def test_a_new_recorder_is_waited_for_before_its_flush_is_answered(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.flush(traffic(START), through=START, recorder="a")
    commit = watched.store.commit_flush
    sealed: list[int] = []

    def commit_and_tick(*args: Any) -> Any:
        receipt = commit(*args)
        sealed.append(watched.hub.tick())
        return receipt

    monkeypatch.setattr(watched.store, "commit_flush", commit_and_tick)
    watched.flush(recorder="b", through=-1)
    assert sealed == [0, 0]


def test_recorders_of_past_processes_are_forgotten(watched: Watched) -> None:
    watched.flush(recorder="old", closing=True)
    watched.flush(recorder="new")
    watched.clock.seconds += RECORDER_KEPT_NS / 1e9 + 1
    watched.flush(recorder="new")
    watched.hub.tick()
    assert [row.recorder_id for row in watched.store.recorders()] == ["new"]


# ---------------------------------------------------------------- late panes


def test_late_panes_enter_windows_and_the_detector_once_without_time(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator = watched.hub.evaluators()[0]
    assert evaluator._detector is not None
    steps: list[tuple[int, float, int]] = []
    step = evaluator._detector.step

    def noted(state: Any, vector: Any, *, minute: int, hours: float) -> Any:
        steps.append((minute, hours, int(vector[ROWS])))
        return step(state, vector, minute=minute, hours=hours)

    monkeypatch.setattr(evaluator._detector, "step", noted)
    watched.flush(traffic(START), traffic(START + 5), through=START + 5)
    watched.hub.tick()
    watched.flush(traffic(START, rows=7), through=START + 5)
    watched.hub.tick()
    assert steps == [(START, 1 / 60, 20), (START + 5, 1 / 60, 20), (START, 0.0, 7)]
    assert watched.watermark == START + 5
    assert sealed_rows(watched) == {START: 27, START + 5: 20}
    assert evaluator.day().vector[ROWS] == 47


def test_a_late_pane_can_be_the_first_of_its_minute(watched: Watched) -> None:
    watched.flush(traffic(START + 5), through=START + 5)
    watched.hub.tick()
    watched.flush(traffic(START + 2, rows=3), through=START + 5)
    watched.hub.tick()
    assert sealed_rows(watched) == {START + 2: 3, START + 5: 20} and watched.watermark == START + 5


# ---------------------------------------------------------------- layouts and models


def test_panes_of_another_layout_are_summed_and_not_evaluated(watched: Watched) -> None:
    other = replace(LAYOUT, features=LAYOUT.features[:1])
    strange = panes(batch([START] * 9), layout=other)[0]
    watched.flush(strange, traffic(START), through=START, recorder="a")
    watched.flush(strange, through=START, recorder="b")
    watched.hub.tick()
    rows = {p.key.layout: int(p.vector[ROWS]) for p in watched.store.fleet_panes("m", START, START + 1)}
    assert rows == {LAYOUT.hash: 20, other.hash: 18}
    assert watched.hub.evaluators()[0].day().vector[ROWS] == 20


def test_a_pane_that_does_not_fit_its_layout_is_refused_whole(watched: Watched) -> None:
    good = traffic(START)
    with pytest.raises(WireError) as refusal:
        watched.flush(good, replace(good, vector=good.vector[:-1]))
    assert refusal.value.code == "pane_size"
    unknown = replace(good, key=good.key._replace(layout="of a newer baseline"))
    watched.numbers.clear()
    watched.flush(unknown, recorder="b")
    with pytest.raises(WireError):
        watched.flush(replace(unknown, vector=good.vector[:-1]), recorder="b")
    assert [item.pane.key for item in watched.store.open_panes("m", START, 9)] == [unknown.key]


def test_a_model_nobody_configured_is_summed_and_shown(watched: Watched) -> None:
    bare = Layout.bare("n")
    pane = panes(replace(batch([START] * 4), model="n"), layout=bare)[0]
    watched.flush(pane, through={"n": START})
    assert watched.hub.tick() == 1
    assert [e.plan.name for e in watched.hub.evaluators()] == ["m", "n"]
    assert watched.hub.evaluators()[1].day().vector[bare.traffic.rows] == 4
    assert sealed_rows(watched, "n") == {START: 4}


def test_one_models_fault_does_not_keep_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(tmp_path)
    bare = panes(replace(batch([START] * 4), model="a"), layout=Layout.bare("a"))[0]
    watched.flush(bare, traffic(START), through={"a": START, "m": START})
    advance = ModelEvaluator.advance

    def broken(self: ModelEvaluator, sums: Any) -> Seal:
        if self.plan.name == "a":
            raise ZeroDivisionError
        return advance(self, sums)

    monkeypatch.setattr(ModelEvaluator, "advance", broken)
    assert watched.hub.tick() == 1
    assert watched.watermark == START
    assert watched.telemetry.snapshot() == {"errors.evaluation.ZeroDivisionError": 1}
    monkeypatch.undo()
    watched.clock.seconds += 2  # it is not tried again at once
    assert watched.hub.tick() == 1 and sealed_rows(watched, "a") == {START: 4}
    watched.hub.close()


# ---------------------------------------------------------------- the same bytes


def everything(watched: Watched) -> list[object]:
    """What the store says of the model, as bytes and values."""
    fleet: list[object] = [
        (pane.key, encode_vector(pane.vector), encode_samples(pane.samples))
        for pane in watched.store.fleet_panes("m", 0, 1 << 60)
    ]
    curves = [watched.store.series("m", name, "", 0) for name in ("requests", "p95_ms", "score_mean")]
    return [*fleet, *curves, watched.store.model_state("m"), watched.store.incidents()]


@st.composite
def splits(draw: st.DrawFn) -> list[list[tuple[str, int, list[int]]]]:
    """The same six minutes for 24 rows each, as flushes (recorder, minute, rows), in any grouping."""
    pieces: list[tuple[str, int, list[int]]] = []
    for minute in range(6):
        parts = [draw(st.integers(0, 2)) for _ in range(24)]
        pieces += [(f"r{part}", minute, [at for at, p in enumerate(parts) if p == part]) for part in set(parts)]
    shuffled = draw(st.permutations(pieces))
    cuts = sorted(draw(st.sets(st.integers(1, len(shuffled)), max_size=4)))
    return [shuffled[a:b] for a, b in zip([0, *cuts], [*cuts, len(shuffled)], strict=True)]


def run(flushes: list[list[tuple[str, int, list[int]]]], ticks: bool) -> list[object]:
    whole = batch([START + at // 24 for at in range(144)], seed=3)
    with TemporaryDirectory() as folder:
        watched = Watched(Path(folder))
        for recorder in ("r0", "r1", "r2"):
            watched.flush(recorder=recorder)
        for group in flushes:
            for recorder, minute, rows in group:
                watched.flush(*panes(_rows(whole, [24 * minute + at for at in rows])), recorder=recorder)
            if ticks:
                watched.hub.tick()  # nothing is complete: provisional evaluation leaves no trace
        for recorder in ("r0", "r1", "r2"):
            watched.flush(through=START + 10, recorder=recorder)
        watched.hub.tick()
        found = everything(watched)
        watched.hub.close()
    return found


def _rows(whole: Any, chosen: list[int]) -> Any:
    def take(column: Any) -> Any:
        return column[chosen] if isinstance(column, np.ndarray) else [column[at] for at in chosen]

    names = ("event_ns", "weight", "prediction_ids", "aliases", "score", "predicted", "confidence", "segments",
             "traces", "exemplar")  # fmt: skip
    features = {name: take(values) for name, values in whole.features.items()}
    return replace(whole, features=features, **{name: take(getattr(whole, name)) for name in names})


WHOLE = [[("r0", minute, list(range(24))) for minute in range(6)]]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(splits(), st.booleans())
def test_split_and_order_change_no_byte(flushes: list[list[tuple[str, int, list[int]]]], ticks: bool) -> None:
    assert run(flushes, ticks) == run(WHOLE, ticks=False)


def test_many_minutes_are_sealed_in_pieces_to_the_same_bytes(tmp_path: Path) -> None:
    """A hub that was away seals 64 minutes at a time; one that never was seals each as it comes."""
    minutes = [traffic(START + at, rows=6) for at in range(150)]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    late, steady = Watched(tmp_path / "a"), Watched(tmp_path / "b")
    late.flush(*minutes, through=START + 150)
    assert late.hub.tick() == 150
    for at, pane in enumerate(minutes):
        steady.flush(pane, through=START + at)
        assert steady.hub.tick() == 1
    assert everything(late) == everything(steady)
    late.hub.close()
    steady.hub.close()


def test_a_restart_between_seals_changes_nothing(tmp_path: Path) -> None:
    """Two versions answer each its own way in one minute: together they are no collapse, after a restart either."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    steady, restarted = Watched(tmp_path / "a"), Watched(tmp_path / "b")
    for at in range(70):
        both = [traffic(START + at, rows=9, score=score, version=v) for v, score in (("v1", 0.9), ("v2", 0.6))]
        for watched in (steady, restarted):
            watched.flush(*both, through=START + at)
            watched.hub.tick()
        if at % 20 == 19:
            restarted.restart()
            old, new = steady.hub.evaluators()[0], restarted.hub.evaluators()[0]
            assert np.array_equal(old.day().vector, new.day().vector)
            assert (old._newest.identical is None) == (new._newest.identical is None)
            assert old._newest.newest is not None and new._newest.newest is not None
            assert old._newest.newest.start_minute == new._newest.newest.start_minute
    assert everything(steady) == everything(restarted)
    steady.hub.close()
    restarted.hub.close()


# ---------------------------------------------------------------- faults of the store


def test_after_a_seal_that_failed_the_next_one_seals_the_same(
    tmp_path: Path, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    undisturbed = Watched(tmp_path / "other")
    for each in (watched, undisturbed):
        each.flush(*(traffic(START + at) for at in range(3)), through=START + 2)
    undisturbed.hub.tick()

    def full(_: Seal) -> None:
        raise StoreError("full", code="store_failed")

    monkeypatch.setattr(watched.store, "seal", full)
    with pytest.raises(StoreError):
        watched.hub.tick()
    assert watched.watermark == -1 and watched.hub.evaluators()[0].watermark == -1
    monkeypatch.undo()
    assert watched.hub.tick() == 3
    assert everything(watched) == everything(undisturbed)
    evaluators = [each.hub.evaluators()[0] for each in (watched, undisturbed)]
    assert evaluators[0].class_totals() == evaluators[1].class_totals()
    assert sum(evaluators[0].class_totals().values()) == 60
    undisturbed.hub.close()


def test_a_hub_that_was_fenced_stops(watched: Watched) -> None:
    watched.flush(traffic(START), through=START)
    other = Watched.__new__(Watched)
    other.folder, other.clock, other.told = watched.folder, FakeClock(), watched.told
    other._plans, other._options, other.numbers = [plan()], {}, {}
    other.open()
    thread = HubThread(watched.hub)
    thread._tick()
    assert thread.fenced
    assert other.hub.tick() == 1
    other.hub.close()


# ---------------------------------------------------------------- collapse


def collapses(watched: Watched) -> list[Incident]:
    """The same traffic drifts too, which pages nobody at night."""
    return [incident for incident in watched.store.incidents() if incident.rule == "collapse"]


def pages(watched: Watched) -> list[object]:
    return [kind for key, kind in watched.told.moves() if str(key).startswith("m:collapse:")]


def test_a_collapse_pages_before_its_minute_is_sealed_under_the_key_of_the_seal(watched: Watched) -> None:
    watched.flush(traffic(START, rows=60, score=0.9), through=START)
    watched.hub.tick()
    watched.flush(traffic(START + 1, rows=60, score=0.9), through=START)
    assert watched.hub.tick() == 0
    (incident,) = collapses(watched)
    assert (incident.tier, incident.provisional, incident.opened_minute) == (Tier.P1, True, START + 1)
    assert watched.told.moves()[-1] == (f"m:collapse:{START + 1}", "opened")
    watched.hub.tick()
    watched.flush(through=START + 1)
    assert watched.hub.tick() == 1
    (confirmed,) = collapses(watched)
    assert (confirmed.key, confirmed.provisional) == (incident.key, False)
    assert pages(watched) == ["opened"]
    for at in range(2, 9):
        watched.flush(traffic(START + at, rows=60), through=START + at)
        watched.hub.tick()
    (ended,) = collapses(watched)
    assert ended.resolved_minute is not None
    assert pages(watched) == ["opened", "resolved"]


def test_a_restart_after_the_page_makes_no_second_incident(watched: Watched) -> None:
    watched.flush(traffic(START, rows=120, score=0.9), through=START - 1)
    watched.hub.tick()
    watched.restart()
    watched.hub.tick()
    watched.flush(through=START)
    watched.hub.tick()
    assert [(i.key, i.provisional) for i in collapses(watched)] == [(f"m:collapse:{START}", False)]
    assert pages(watched) == ["opened"]


def test_a_page_that_could_not_be_written_is_tried_again(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    watched.flush(traffic(START, rows=120, score=0.9), through=START - 1)

    def full(_: object) -> None:
        raise StoreError("full", code="store_failed")

    monkeypatch.setattr(watched.store, "write_incidents", full)
    with pytest.raises(StoreError):
        watched.hub.tick()
    assert watched.told.events == []
    monkeypatch.undo()
    watched.hub.tick()
    assert watched.told.moves() == [(f"m:collapse:{START}", "opened")]


def test_what_could_not_be_told_is_told_later(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    watched.flush(traffic(START, rows=120, score=0.9), through=START)

    def broken(_: object) -> None:
        raise OSError

    monkeypatch.setattr(watched.told, "event", broken)
    with pytest.raises(OSError):
        watched.hub.tick()
    monkeypatch.undo()
    watched.hub.tick()
    watched.hub.tick()
    assert pages(watched) == ["opened"]


# ---------------------------------------------------------------- hours and days


def test_the_first_pane_of_an_hour_writes_the_curves_of_the_last(watched: Watched) -> None:
    watched.flush(*(traffic(START + at) for at in (0, 30, 59)), through=START + 59)
    watched.hub.tick()
    assert watched.store.series("m", "drift_score", "x", 0) == []
    watched.flush(traffic(START + 60), through=START + 60)
    watched.hub.tick()
    for name, label in (("drift_score", "x"), ("drift_score", "town"), ("drift_evidence", "x"), ("class_ratio", "yes")):
        assert [p.at_minute for p in watched.store.series("m", name, label, 0)] == [START]
    day = sum((p.vector for p in watched.store.fleet_panes("m", START, START + 60)), np.zeros(LAYOUT.size, np.int64))
    classes = day[LAYOUT.outputs.classes]
    (share,) = watched.store.series("m", "class_ratio", "yes", 0)
    assert share.value == pytest.approx(classes[1] / classes.sum())


@pytest.mark.parametrize("gap", [1, 3])
def test_a_new_day_writes_what_the_last_one_should_be_worth(watched: Watched, gap: int) -> None:
    """Whenever the next traffic comes: the figure is of the day it stands at."""
    watched.flush(traffic(START + 700, rows=400), through=START + 700)
    watched.flush(traffic(START + gap * DAY_MINUTES, rows=400), through=START + gap * DAY_MINUTES)
    watched.hub.tick()
    (point,) = watched.store.series("m", "accuracy_estimated", "", 0)
    assert point.at_minute == START and 0.6 < point.value < 0.9


def test_slices_of_labels_enter_the_detector_once_when_they_close(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = watched.hub.evaluators()[0]._outcomes
    assert outcomes._detector is not None
    steps: dict[int, list[int]] = {}
    step = outcomes._detector.step

    def noted(state: Any, vector: Any, *, minute: int, hours: float) -> Any:
        steps.setdefault(minute // DAY_MINUTES - START // DAY_MINUTES, []).extend(vector.tolist())
        return step(state, vector, minute=minute, hours=hours)

    monkeypatch.setattr(outcomes._detector, "step", noted)
    rows = [kept(f"p{day}{n}", START + day * DAY_MINUTES, "yes") for day in (0, 1) for n in range(4)]
    watched.flush(traffic(START), through=START, rows=rows)
    labels = [("p00", "yes", 0), ("p01", "no", 0), ("p02", "yes", 1), ("p10", "yes", 0), ("p03", "yes", 5)]
    watched.hub.labels([
        Label(id_, said, (START + (int(id_[1]) + age) * DAY_MINUTES) * 60_000_000_000) for id_, said, age in labels
    ])  # fmt: skip
    for day in range(7):
        watched.flush(traffic(START + day * DAY_MINUTES + 10), through=START + day * DAY_MINUTES + 10)
        watched.hub.tick()
        watched.hub.tick()
    # [correct, total]: age 0 of day 0 closes on day 2; its age 1 and day 1's age 0 on day 3; age 5 is past the horizon
    assert steps == {1: [0, 0], 2: [1, 2], 3: [2, 2], 4: [0, 0], 5: [0, 0], 6: [0, 0]}


def test_worse_labels_open_an_incident_and_better_ones_end_it(watched: Watched) -> None:
    number = 0
    for day in range(90):
        wrong = 10 <= day < 18
        ids = [f"q{number + n}" for n in range(60)]
        number += 60
        minute = START + day * DAY_MINUTES
        watched.flush(traffic(minute), through=minute, rows=[kept(id_, minute) for id_ in ids])
        said = ["no" if n % (2 if wrong else 10) == 0 else "yes" for n in range(60)]
        watched.hub.labels([Label(i, s, minute * 60_000_000_000) for i, s in zip(ids, said, strict=True)])
        watched.hub.tick()
    drops = [i for i in watched.store.incidents() if i.rule == "quality_drop"]
    (drop,) = drops
    opened = drop.opened_minute // DAY_MINUTES - START // DAY_MINUTES
    assert 12 <= opened <= 15 and drop.tier is Tier.P1 and drop.resolved_minute is not None
