"""Segments in a hub: judged by the hour, told as an incident, and the same whatever was restarted or came late."""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from hub_parts import LAYOUT, OPTIONS, START, Watched, panes, plan

from mlmon_sidecar.baseline.document import Baseline
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.hub.evaluator import ModelEvaluator
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.hub.segment_watch import SegmentWatch
from mlmon_sidecar.records import MINUTE_NS, Incident, Pane, PredictionBatch
from mlmon_sidecar.statistics.reference import Reference
from mlmon_sidecar.statistics.segments import Dimension, SegmentSpace

SPLIT = replace(
    LAYOUT, segments=SegmentSpace((Dimension("town", ("A", "B")), Dimension("segment", ("gold", "tin"))), ("x", "town"))
)
ROWS = 60  # a minute


def rows(
    minute: int,
    count: int = ROWS,
    *,
    moved: str = "",
    shift: float = 0.0,
    gold: float = 0.5,
    nulls: str = "",
    stuck: bool = False,
    unsure: float = 0.0,
) -> PredictionBatch:
    """Rows of one minute; ``x`` moved, or missing, in one town; ``gold``: that segment's share; ``stuck``: its answers
    are all the same; ``unsure``: how far its scores lie nearer to the middle, negative farther."""
    rng = np.random.default_rng(minute)
    town = rng.choice(["A", "B"], count)
    x = rng.normal(size=count) + shift * (town == moved)
    scores, is_gold = rng.uniform(size=count), rng.uniform(size=count) < gold
    scores = np.where(is_gold, np.clip(0.5 + (1 - unsure) * (scores - 0.5), 0, 1), scores)
    made = batch_from_columns(
        "m", now_ns=0, options=OPTIONS, scores=np.where(is_gold & stuck, 0.9, scores).tolist(),
        segments=["gold" if one else "tin" for one in is_gold],
        features={
            "x": [None if place == nulls else value for place, value in zip(town, x.tolist(), strict=True)],
            "town": town.tolist(),
        },
    )  # fmt: skip
    return replace(made, event_ns=np.full(count, minute * MINUTE_NS))


def pane(minute: int, **said: Any) -> Pane:
    (made,) = panes(rows(minute, **said), layout=SPLIT)
    return made


@cache
def split_plan(gold: float = 0.5) -> ModelPlan:
    vector = panes(rows(0, 20_000, gold=gold), layout=SPLIT)[0].vector
    reference = Reference(SPLIT.hash, "v0", vector, hours=800, tau={"*": 0.0})
    return plan(layout=SPLIT, baseline=Baseline(SPLIT, reference, created="2024-01-01T00:00:00+00:00", rows=20_000))


@cache
def traffic(hours: int, **said: Any) -> tuple[Pane, ...]:
    return tuple(pane(START + minute, **said) for minute in range(60 * hours))


class Split(Watched):
    def __init__(self, folder: Path, gold: float = 0.5) -> None:
        super().__init__(folder, [split_plan(gold)])

    def feed(self, some: Sequence[Pane]) -> None:
        for at in range(0, len(some), 15):
            part = some[at : at + 15]
            self.flush(*part, through=max(each.key.minute for each in part))
            self.hub.tick()

    @property
    def evaluator(self) -> ModelEvaluator:
        return self.hub.evaluators()[0]

    def told_rules(self) -> list[Incident]:
        return sorted(self.store.incidents("m"), key=lambda incident: incident.key)


@pytest.fixture(name="watched")
def _watched(tmp_path: Path) -> Split:
    return Split(tmp_path)


def test_one_town_is_told_while_the_whole_is_as_it_was(watched: Split) -> None:
    watched.feed(traffic(3, moved="B", shift=0.3))
    found = [each for each in watched.told_rules() if each.rule == "segment_drift"]
    assert [(each.tier, each.features) for each in found] == [(3, ("town=B: x",))]
    told = found[0].details["segments"]["town=B: x"]
    assert (told["dimension"], told["value"], told["feature"]) == ("town", "B", "x")
    assert found[0].summary.startswith("in town=B x <= ")
    assert told["current"] < told["reference"]  # larger values: fewer at or below
    assert START <= found[0].opened_minute <= START + 121
    assert found[0].opened_minute % 60 == 0  # with the first pane of a later hour
    assert found[0].details["rows"] >= 50


def test_a_segment_that_is_answered_one_thing_is_told_by_its_score(tmp_path: Path) -> None:
    watched = Split(tmp_path, gold=0.05)
    watched.feed(traffic(4, gold=0.05))
    assert watched.told_rules() == []
    watched.feed([pane(START + minute, gold=0.05, stuck=True) for minute in range(240, 420)])
    (found,) = watched.told_rules()
    assert (found.rule, found.tier) == ("segment_drift", 2)
    assert found.features[:2] == ("segment=gold: predicted score", "segment=gold: predicted class")
    assert found.summary.startswith(
        "in segment=gold 100% of answers lie in one bin of the score; in segment=gold 100% of answers are class 'yes'"
    )
    assert found.details["segments"]["segment=gold: predicted class"]["top_share"] == 1.0
    assert found.opened_minute <= START + 361


def test_a_segment_that_the_model_is_less_sure_of_is_told(tmp_path: Path) -> None:
    """Its scores draw nearer to the middle, and half of them are still on either side."""
    watched = Split(tmp_path, gold=0.05)
    watched.feed([pane(START + minute, gold=0.05, unsure=0.5) for minute in range(600)])
    (found,) = watched.told_rules()
    assert (found.rule, found.tier) == ("segment_drift", 3)
    assert "segment=gold: predicted confidence" in found.features
    told = found.details["segments"]["segment=gold: predicted confidence"]
    assert told["reference"] == pytest.approx(0.75, abs=0.02)
    assert told["current"] == pytest.approx(0.625, abs=0.03)
    assert "in segment=gold mean confidence fell from about 0.7" in found.summary


def test_a_segment_that_the_model_is_surer_of_is_not_told_by_its_confidence(tmp_path: Path) -> None:
    watched = Split(tmp_path, gold=0.05)
    watched.feed([pane(START + minute, gold=0.05, unsure=-0.8) for minute in range(600)])
    assert all("confidence" not in name for each in watched.told_rules() for name in each.features)


def test_healthy_traffic_is_silent(watched: Split) -> None:
    watched.feed(traffic(4))
    assert watched.told_rules() == []


def test_a_drift_of_the_whole_is_one_finding_and_says_where_it_lies(watched: Split) -> None:
    moved = [*(pane(START + m, moved="A", shift=1.5) for m in range(60)), *traffic(3)[60:61]]
    watched.feed(moved)
    (found,) = watched.told_rules()
    assert (found.rule, found.features) == ("feature_drift", ("x",))
    split = found.details["features"]["x"]["segments"]["town"]
    assert split["segment"] == "A"
    assert split["mix"] + split["within"] == pytest.approx(split["after"] - split["before"])
    assert 4 * abs(split["mix"]) < abs(split["within"])
    assert ", by town " in found.summary
    assert "within segments, most in A, by segment " in found.summary


def test_what_the_whole_tells_is_not_told_of_its_segments(watched: Split) -> None:
    watched.feed(traffic(3, nulls="A"))
    assert {each.rule for each in watched.told_rules()} == {"null_rate"}
    held = [name for unit, _, held in watched.evaluator.segments.figures() if held for name in [unit.name]]  # type: ignore[union-attr]
    assert "town=A: missing x" in held


def test_another_mix_of_what_handlers_say_is_told(watched: Split) -> None:
    watched.feed(traffic(2, gold=0.8))
    (found,) = watched.told_rules()
    assert (found.rule, found.features) == ("segment_drift", ("segment",))
    assert found.summary.startswith("segment=")
    assert found.details["mix"]["segment"]["shares"]["gold"] == pytest.approx([0.5, 0.8], abs=0.05)


def test_it_ends_when_the_segment_is_back(watched: Split) -> None:
    drifted = traffic(3, moved="B", shift=0.3)
    later = tuple(pane(START + 180 + minute) for minute in range(60 * 9))
    watched.feed([*drifted, *later])
    (found,) = [each for each in watched.told_rules() if each.rule == "segment_drift"]
    assert found.resolved_minute is not None
    assert found.resolved_minute > START + 180


def test_a_restart_anywhere_ends_with_the_same_bytes(tmp_path: Path) -> None:
    through, restarted = (Split(tmp_path / name) for name in ("a", "b"))
    history = traffic(3, moved="B", shift=0.3)
    through.feed(history)
    for cut in (0, 60, 75, 120, 135):
        restarted.feed(history[cut : cut + {0: 60, 60: 15, 75: 45, 120: 15, 135: 45}[cut]])
        restarted.restart()
    assert restarted.store.model_state("m") == through.store.model_state("m")
    assert restarted.told_rules() == through.told_rules() != []


def test_the_large_state_is_written_once_an_hour(watched: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes | None] = []
    seal = watched.store.seal
    monkeypatch.setattr(watched.store, "seal", lambda each: (written.append(each.state.segments), seal(each)))
    watched.feed(traffic(3))
    assert sum(each is not None for each in written) == 2
    assert len(written) == 12


def test_counts_that_come_late_are_judged_once() -> None:
    history = [each.vector for each in traffic(2, moved="B", shift=0.3)]
    hour = START // 60
    hours = {hour: sum(history[:60]), hour + 1: sum(history[60:])}
    whole, split = (_watch(), _watch())
    whole.turn(hours, hour + 1)  # type: ignore[arg-type]
    assert whole.through == hour
    missed = history[7]
    split.turn({hour: hours[hour] - missed}, hour + 1)  # type: ignore[operator, dict-item]
    split.late(missed, START + 7)
    split.late(missed, START + 61)  # of an hour that is not over: comes with it
    assert {unit.name: value for unit, value, _ in split.figures()} == pytest.approx(
        {unit.name: value for unit, value, _ in whole.figures()}, rel=1e-9
    )
    before = whole.changed_state()
    assert (before is not None, whole.changed_state()) == (True, None)
    whole.turn(hours, hour + 1)  # type: ignore[arg-type]
    assert whole.changed_state() is None  # no hour twice


def test_a_late_pane_reaches_the_segments(tmp_path: Path) -> None:
    in_order, behind = (Split(tmp_path / name) for name in ("a", "b"))
    history = traffic(3, moved="B", shift=0.3)[:62]
    in_order.feed(history)
    behind.feed([each for each in history if each.key.minute != START + 7])
    before = dict(_figures(behind))
    behind.flush(history[7], through=START + 61)
    behind.hub.tick()
    assert _figures(behind) != before
    assert _figures(behind) == pytest.approx(_figures(in_order), rel=1e-9)


def _figures(watched: Split) -> dict[str, float]:
    assert watched.evaluator.segments is not None
    return {unit.name: value for unit, value, _ in watched.evaluator.segments.figures()}


def _watch() -> SegmentWatch:
    made = SegmentWatch.of(split_plan())
    assert made is not None
    return made


def test_without_segments_there_is_nothing_to_watch() -> None:
    assert SegmentWatch.of(plan()) is None


def test_the_status_shows_each_segment(watched: Split) -> None:
    watched.feed(traffic(3, moved="B", shift=0.3))
    (model,) = json.loads(watched.hub.query("status", {}))["models"]
    shown = {(each["dimension"], each["value"]): each for each in model["segments"]}
    assert list(shown) == [
        ("town", "A"), ("town", "B"), ("town", "_other"),
        ("segment", "gold"), ("segment", "tin"), ("segment", "_other"),
    ]  # fmt: skip
    assert shown["town", "B"]["held"] == ["town=B: x"]
    assert shown["town", "B"]["evidence"] > 1 > shown["town", "A"]["evidence"]
    assert shown["town", "A"]["rows"] + shown["town", "B"]["rows"] == 3 * 60 * ROWS
    assert shown["town", "A"]["share"] == pytest.approx(0.5, abs=0.02)
    assert shown["town", "_other"]["reason"] == "the baseline has no rows of it"
