"""Versions compared by the hub: found when they differ, quiet when they do not, ended, restarted, and shadows apart."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hub_parts import START, Watched, baseline, batch, panes, plan

from mlmon_sidecar.hub.version_watch import VersionWatch
from mlmon_sidecar.records import WEIGHT_UNIT, Incident, Pane, Tier
from mlmon_sidecar.statistics.detector_state import DetectorState
from mlmon_sidecar.statistics.edetector import Detector, Step

HOUR = 60
EVERY = 20  # minutes a pane


def made(minute: int, rows: int, version: str, *, shift: float = 0.0, x: float = 0.0) -> Pane:
    """Scores uniform but for ``shift``, which moves them up."""
    one = batch([minute] * rows, seed=minute + 7 * len(version) + int(version[1:]))
    rng = np.random.default_rng(minute + int(version[1:]))
    score = np.clip(rng.uniform(size=rows) + shift, 0, 1)
    features = {**one.features, "x": (rng.normal(size=rows) + x).tolist()}
    (pane,) = panes(replace(one, score=score, features=features), version=version)
    return pane


def stuck(minute: int, rows: int, version: str) -> Pane:
    """One answer to everything."""
    (pane,) = panes(batch([minute] * rows, seed=minute, score=0.9), version=version)
    return pane


class Served(Watched):
    """Hours of traffic, a pane a third of an hour and version."""

    now = START

    def hours(self, count: float, rows: dict[str, int], *, stuck_one: str = "", **moved: Any) -> None:
        """``rows`` of each version an hour; what is ``moved`` is of the last one, ``stuck_one`` gives one answer."""
        last = list(rows)[-1] if rows else ""
        for _ in range(round(count * HOUR / EVERY)):
            sent = [
                stuck(self.now, each // 3, v)
                if v == stuck_one
                else made(self.now, each // 3, v, **(moved if v == last else {}))
                for v, each in rows.items()
            ]
            self.now += EVERY
            self.flush(*sent, through=self.now - 1)
            self.hub.tick()

    def found(self) -> Sequence[Incident]:
        return [one for one in self.store.incidents("m") if one.rule == "version_difference"]

    @property
    def collapse(self) -> Incident:
        (found,) = [one for one in self.store.incidents("m") if one.rule == "collapse"]
        return found

    @property
    def compared(self) -> dict[str, str]:
        (evaluator,) = self.hub.evaluators()
        return dict(evaluator.compared_versions)


def test_a_canary_that_scores_higher_is_found_and_named(tmp_path: Path) -> None:
    served = Served(tmp_path)
    served.hours(6, {"v1": 900})
    assert served.compared == {}
    onset = served.now
    served.hours(12, {"v1": 810, "v2": 90}, shift=0.15)
    (found,) = served.found()
    assert served.compared == {"v2": "v1"}
    assert found.tier is Tier.P2
    assert "v2 vs v1: score" in found.features
    assert found.summary.startswith("v2 vs v1: ")
    assert "mean 0.5" in found.summary
    assert "KS 0.1" in found.summary
    assert found.details["versions"] == {"v2 vs v1": {"shadow": False, "same_hours": True}}
    told = found.details["differences"]["v2 vs v1: score"]
    assert told["current_mean"] == pytest.approx(0.64, abs=0.02)
    assert told["reference_mean"] == pytest.approx(0.5, abs=0.02)
    assert told["rows"] >= 90
    assert onset - 1 <= told["onset_minute"] <= found.opened_minute
    assert found.opened_minute - onset <= 10 * HOUR


def test_a_canary_that_answers_one_thing_pages_though_the_whole_still_varies(tmp_path: Path) -> None:
    served = Served(tmp_path)
    served.hours(6, {"v1": 900})
    onset = served.now
    served.hours(4, {"v1": 810, "v2": 90}, stuck_one="v2")
    paged, differs = sorted(served.store.incidents("m"), key=lambda one: one.rule)
    assert (paged.rule, paged.tier, paged.features) == ("collapse", Tier.P1, ("version v2",))
    assert paged.opened_minute - onset <= 2 * HOUR  # 90 an hour, and more than a hundred are needed
    assert paged.resolved_minute is None
    assert differs.tier is Tier.P2 and "v2 vs v1: score" in differs.features
    assert differs.details["differences"]["v2 vs v1: score"]["current_mean"] == pytest.approx(0.9, abs=0.01)
    served.restart()
    served.hours(3, {"v1": 810, "v2": 90})
    assert served.collapse.resolved_minute is not None


def test_a_stuck_canary_pages_before_its_minutes_are_sealed(tmp_path: Path) -> None:
    served = Served(tmp_path)
    served.hours(6, {"v1": 900})
    served.flush(made(served.now, 400, "v1"), stuck(served.now, 200, "v2"), through=served.now - 1)
    (evaluator,) = served.hub.evaluators()
    sealed = evaluator.watermark
    served.hub.tick()
    assert evaluator.watermark == sealed < served.now
    found = served.collapse
    assert (found.provisional, found.features, found.tier) == (True, ("version v2",), Tier.P1)


def test_a_stuck_canary_that_is_taken_away_is_over_a_day_later(tmp_path: Path) -> None:
    served = Served(tmp_path)
    served.hours(6, {"v1": 900})
    served.hours(3, {"v1": 810, "v2": 90}, stuck_one="v2")
    served.hours(23, {"v1": 900})
    assert served.collapse.resolved_minute is None
    served.hours(2, {"v1": 900})
    assert served.collapse.resolved_minute is not None


def test_a_version_that_takes_over_is_compared_with_the_days_before(tmp_path: Path) -> None:
    served = Served(tmp_path)
    served.hours(6, {"v1": 900})
    served.hours(6, {"v2": 900}, x=0.8)
    assert served.compared == {"v2": "v1"}
    (found,) = served.found()
    assert found.features == ("v2 vs v1: x",)
    assert found.tier is Tier.P3
    assert found.details["versions"] == {"v2 vs v1": {"shadow": False, "same_hours": False}}
    assert "x moved up: median" in found.summary


def test_alike_versions_open_nothing(tmp_path: Path) -> None:
    served = Served(tmp_path)
    served.hours(10, {"v1": 900})
    served.hours(10, {"v1": 600, "v2": 300})
    served.hours(10, {"v2": 900})
    served.hours(5, {"v2": 810, "v3": 90})
    assert served.compared == {"v2": "v1", "v3": "v2"}
    assert served.found() == []


def test_a_drift_that_both_versions_see_is_no_difference(tmp_path: Path) -> None:
    served = Served(tmp_path)
    served.hours(4, {"v1": 450, "v2": 450})
    for _ in range(8 * HOUR // EVERY):
        sent = [made(served.now, 150, v, x=0.8) for v in ("v1", "v2")]
        served.now += EVERY
        served.flush(*sent, through=served.now - 1)
        served.hub.tick()
    assert served.found() == []
    assert "feature_drift" in {one.rule for one in served.store.incidents("m")}


def test_it_ends_when_the_versions_are_alike_again(tmp_path: Path) -> None:
    served = Served(tmp_path)
    served.hours(4, {"v1": 900, "v2": 900}, shift=0.2)
    (found,) = served.found()
    assert found.resolved_minute is None
    served.hours(24, {"v1": 900, "v2": 900})
    (found,) = served.found()
    assert found.resolved_minute is not None


def test_it_ends_when_the_older_version_is_silent(tmp_path: Path) -> None:
    served = Served(tmp_path)
    served.hours(4, {"v1": 900})
    served.hours(4, {"v2": 900}, x=0.8)
    (found,) = served.found()
    assert found.resolved_minute is None
    served.hours(72, {"v2": 60}, x=0.8)
    assert served.compared == {}
    (found,) = served.found()
    assert found.resolved_minute is not None


def test_a_version_with_a_baseline_of_its_own_is_not_compared(tmp_path: Path) -> None:
    own = replace(baseline(), reference=replace(baseline().reference, version="v2"))
    served = Served(tmp_path, [plan(baseline=own)])
    served.hours(3, {"v1": 900})
    served.hours(3, {"v1": 450, "v2": 450}, shift=0.3)
    assert served.compared == {}


def test_the_configured_stable_version_is_the_one_compared_with(tmp_path: Path) -> None:
    served = Served(tmp_path, [plan(stable="v2")])
    served.hours(3, {"v1": 900, "v2": 60})
    assert served.compared == {"v1": "v2"}


def test_a_restart_changes_nothing(tmp_path: Path) -> None:
    """Byte for byte, in the middle of an hour and with an incident open."""
    documents = []
    for restarts in (False, True):
        folder = tmp_path / str(restarts)
        folder.mkdir()
        served = Served(folder)
        served.hours(5 + 1 / 3, {"v1": 900})
        for _ in range(6):
            served.hours(1 + 1 / 3, {"v1": 600, "v2": 300}, shift=0.15)
            if restarts:
                served.restart()
        served.hours(2, {"v1": 600, "v2": 300})
        state = served.store.model_state("m")
        assert state is not None
        told = [(one.key, one.summary, one.tier) for one in served.found()]
        assert len(told) == 1
        documents.append((state.progress["versions"], told))
    assert documents[0] == documents[1]


def test_a_comparison_that_is_configured_away_ends(tmp_path: Path) -> None:
    served = Served(tmp_path)
    served.hours(6, {"v1": 900, "v2": 880}, shift=0.2)
    (found,) = served.found()
    assert found.resolved_minute is None
    served._plans = [plan(stable="v2")]
    served.restart()
    served.hours(2, {"v2": 900})
    (found,) = served.found()
    assert found.resolved_minute is not None


def test_a_shadow_is_compared_and_no_part_of_the_model(tmp_path: Path) -> None:
    served = Served(tmp_path, [plan(shadow=("v9",))])
    served.hours(12, {"v1": 900, "v9": 900}, shift=0.3, x=1.0)
    assert {one.rule for one in served.store.incidents("m")} == {"version_difference"}
    (found,) = served.found()
    assert found.details["versions"] == {"v9 vs v1": {"shadow": True, "same_hours": True}}
    (evaluator,) = served.hub.evaluators()
    assert evaluator.day().vector[evaluator.plan.layout.traffic.rows] == 12 * 900
    served.restart()
    (evaluator,) = served.hub.evaluators()
    assert evaluator.day().vector[evaluator.plan.layout.traffic.rows] == 12 * 900


def test_a_shadow_alone_leaves_the_model_without_rows(tmp_path: Path) -> None:
    served = Served(tmp_path, [plan(shadow=("v9",))])
    served.hours(2, {"v9": 900})
    (evaluator,) = served.hub.evaluators()
    assert evaluator.day().vector.sum() == 0
    assert evaluator.watermark == served.now - EVERY


def test_each_hour_is_taken_once_and_too_little_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that the detector is given of one share, against what two proportions weigh."""
    fed: list[float] = []
    step = Detector.step

    def noted(self: Detector, state: DetectorState, vector: np.ndarray, **more: Any) -> Step:
        unit = self.indicators.index[("predictions", "score")]
        (total,) = {int(cell) for cell in self.indicators.totals.cells[self.indicators.unit == unit]}
        fed.append(vector[total] / WEIGHT_UNIT)
        return step(self, state, vector, **more)

    monkeypatch.setattr(Detector, "step", noted)
    watch = VersionWatch(plan(), None, -1)
    for hour, rows in enumerate((90, 15, 15, 90, 90)):
        at = START + hour * HOUR
        watch.take(at, {"v1": made(at, 900, "v1").vector})
        watch.take(at + 5, {"v2": made(at + 5, rows, "v2").vector})
        watch.take(at - 1, {"v2": made(at - 1, 50, "v2").vector})  # late
    assert fed == [pytest.approx(n * m / (n + m)) for n, m in ((90, 900), (30, 1_800), (90, 900))]
