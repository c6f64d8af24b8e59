"""From a configuration file, through recorder and hub, to the incident: a canary and a shadow."""

import json
from pathlib import Path

import numpy as np
import pytest

from mlmon_sidecar.capture.faults import Faults
from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.config import load
from mlmon_sidecar.errors import ConfigError
from mlmon_sidecar.hub.hub import Hub
from mlmon_sidecar.recorder import Recorder
from mlmon_sidecar.records import MINUTE_NS, End, Exchange, Tier
from mlmon_sidecar.runtime.assembly import make_redactor, model_plan, recorded_model, watched_models
from mlmon_sidecar.runtime.baselines import build_baseline
from mlmon_sidecar.store.sqlite import SqliteStore
from mlmon_sidecar.telemetry import Telemetry

START = 29_000_160  # noon, as Unix minute
STEP = 15  # minutes between two flushes
HEADERS = ((b"content-type", b"application/json"),)


class Clock:
    now_ns = START * MINUTE_NS

    def monotonic_ns(self) -> int:
        return self.now_ns

    def unix_ns(self) -> int:
        return self.now_ns

    def unix_at(self, monotonic_ns: int) -> int:
        return monotonic_ns


class Service:
    """One process with its recorder, and the hub it speaks to."""

    def __init__(self, folder: Path, said: str) -> None:
        self.rng, self.clock, self.number = np.random.default_rng(4), Clock(), 0
        config = folder / "mlmon.toml"
        config.write_text(f"[models.loans]\nversion = 'response.version'\nbaseline = '{folder}/b.json'\n{said}\n")
        income, score = self.rng.normal(size=4_000), self.rng.uniform(size=4_000)
        table = {"income": income.tolist(), "score": score.tolist()}
        build_baseline(table, config=config, model="loans", score="score").save(folder / "b.json")
        loaded = load(config)
        (watched,) = watched_models(loaded.settings, loaded.origin)
        assert watched.problem == ""
        self.store, self.handoff, telemetry = SqliteStore(folder / "mlmon.db"), Handoff(), Telemetry()
        self.hub = Hub(self.store, [model_plan(watched, loaded.settings)], self.clock, telemetry)
        model = recorded_model(watched, loaded.settings, make_redactor(loaded.settings))
        self.recorder = Recorder({"loans": model}, self.handoff, self.hub, self.clock, telemetry, faults=Faults())

    def hours(self, count: int, rows: dict[str, int], shift: float = 0.0) -> None:
        """``rows`` of each version an hour; scores of the last one are shifted."""
        for _ in range(count * 60 // STEP):
            for version, each in rows.items():
                moved = shift if version == list(rows)[-1] else 0.0
                for _ in range(each * STEP // 60):
                    self.handoff.put(tuple(self.exchange(version, moved)))
            for minutes in (STEP, 0):  # once more: what was taken then is complete by now
                while self.recorder._stages.step():
                    pass
                self.clock.now_ns += minutes * MINUTE_NS
            assert self.recorder.flush()
            self.hub.tick()

    def exchange(self, version: str, shift: float) -> Exchange:
        request = json.dumps({"income": self.rng.normal()}).encode()
        score = min(1.0, self.rng.uniform() + shift)
        answer = json.dumps({"score": score, "version": version}).encode()
        now, self.number = self.clock.now_ns, self.number + 1
        return Exchange(
            f"p{self.number}", "loans", "POST", "/score", now, now, now + 5_000_000, 200, End.COMPLETE, "", HEADERS,
            (request,), len(request), HEADERS, (answer,), len(answer), 0, 0, False, (),
        )  # fmt: skip


def test_a_canary_is_found_by_default(tmp_path: Path) -> None:
    service = Service(tmp_path, "")
    service.hours(3, {"v17": 600})
    service.hours(9, {"v17": 540, "v18": 60}, shift=0.25)
    (found,) = [one for one in service.store.incidents("loans") if one.rule == "version_difference"]
    assert found.tier is Tier.P2
    assert "v18 vs v17: score" in found.features
    status = json.loads(service.hub.query("status", {}))["models"][0]
    assert [(v["version"], v["compared_with"], v["shadow"]) for v in status["versions"]] == [
        ("v17", "", False), ("v18", "v17", False),
    ]  # fmt: skip
    assert found.summary in status["sentence"]


def test_a_shadow_counts_nowhere_but_in_the_comparison(tmp_path: Path) -> None:
    service = Service(tmp_path, "stable = 'v17'\nshadow = ['v18']")
    service.hours(6, {"v17": 600, "v18": 600}, shift=0.25)
    assert [one.rule for one in service.store.incidents("loans")] == ["version_difference"]
    status = json.loads(service.hub.query("status", {}))["models"][0]
    assert (status["window"]["rows"], status["window"]["requests"]) == (3_600, 3_600)
    assert [(v["version"], v["compared_with"], v["shadow"]) for v in status["versions"]] == [
        ("v17", "", False), ("v18", "v17", True),
    ]  # fmt: skip
    assert {row.version for row in service.store.sample("loans", 0, 100_000)} == {"v17"}
    day = START // 1440
    assert service.store.predictions_per_day("loans", day, day) == {day: 3_600}


def test_the_stable_version_is_no_shadow(tmp_path: Path) -> None:
    (tmp_path / "mlmon.toml").write_text("[models.loans]\nstable = 'v1'\nshadow = ['v1']\n")
    with pytest.raises(ConfigError, match="stable must not be among shadow"):
        load(tmp_path / "mlmon.toml")
