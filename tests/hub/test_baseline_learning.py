"""A model without a baseline: one is proposed once enough was healthy, and counted by as approved or configured."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hub_parts import START, FakeClock, Told
from small_hub import bare_plan, flush, traffic

from mlmon_sidecar.baseline.build import build_baseline
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.baseline.survey import Purpose
from mlmon_sidecar.errors import BaselineError
from mlmon_sidecar.hub.hub import Hub
from mlmon_sidecar.hub.label_privacy import default_privacy
from mlmon_sidecar.hub.plan import LearningRule
from mlmon_sidecar.records import MINUTE_NS, BaselineOrder, BaselineState, Incident, KeptRow, Layer, Tier
from mlmon_sidecar.store.contract import SampledRow
from mlmon_sidecar.store.sqlite import SqliteStore
from mlmon_sidecar.telemetry import Telemetry

HOUR = 60
MODEL = "loans"


class Clock(FakeClock):
    """Event time is what the service has reached."""

    minute = START

    def unix_ns(self) -> int:
        return self.minute * MINUTE_NS

    def unix_at(self, monotonic_ns: int) -> int:
        return self.unix_ns()


class Service:
    """A hub that learns, and a service that answers."""

    def __init__(self, folder: Path, rule: LearningRule | None = None) -> None:
        self.folder, self.rule = folder, rule or LearningRule(min_rows=200, min_hours=24)
        self.clock, self.told, self.seq, self.built = Clock(), Told(), 0, 0
        self.problem: BaselineError | None = None
        self.open()

    def open(self) -> None:
        self.store = SqliteStore(self.folder / "mlmon.db")
        plan = replace(bare_plan(MODEL), learning=self.rule, service=False)
        self.hub = Hub(
            self.store, [plan], self.clock, Telemetry(), telling=self.told, build_baseline=self._build
        )  # fmt: skip

    def _build(self, model: str, rows: Sequence[SampledRow]) -> Baseline:
        self.built += 1
        if self.problem is not None:
            raise self.problem
        columns: dict[str, Sequence[object]] = {
            "t": [row.event_ns for row in rows],
            "s": [row.score for row in rows],
            "x": [row.features["x"] for row in rows],
        }
        policy = default_privacy().policy
        return build_baseline(
            columns, Roles(timestamp="t", score="s"), Purpose(model), redact_category=lambda _, token: token,
            policy=policy, created=f"2026-01-01T00:00:{self.built:02}+00:00", source="served traffic",
        )  # fmt: skip

    def hours(self, count: int, rows: int = 20) -> None:
        for _ in range(count):
            rng, minute = np.random.default_rng(self.clock.minute), self.clock.minute
            kept = [
                KeptRow(rng.bytes(16).hex(), MODEL, "v1", "", (minute + at) * MINUTE_NS, rng.uniform(), None, None,
                        None, "", "", json.dumps({"x": rng.normal()}))
                for at in range(rows)
            ]  # fmt: skip
            panes = [traffic(minute, rows)] if self.hub.learning and self.watches_nothing else []
            first = self.seq == 0
            self.clock.minute += HOUR
            for _ in range(2 if first else 1):
                self.seq += 1
                sent = self.seq > 1
                self.hub.flush(
                    flush(self.seq, panes if sent else (), through=minute + HOUR - 1 if sent else -1,
                          rows=kept if sent else ())
                )  # fmt: skip
            self.hub.tick()

    @property
    def watches_nothing(self) -> bool:
        return self.hub.evaluators()[0].plan.baseline is None

    def states(self) -> list[BaselineState]:
        """Newest first."""
        return [held.state for held in self.hub.baselines.listed(MODEL)]

    def reason(self) -> str:
        self.clock.seconds += 2
        said: str = json.loads(self.hub.query("status", {}))["models"][0]["reason"]
        return said

    def events(self) -> list[dict[str, object]]:
        return [dict(event.attributes) for event in self.told.events if event.name == "mlmon.baseline"]


def urgent(opened: int, resolved: int | None, tier: Tier = Tier.P2) -> Incident:
    return Incident(
        f"k{opened}", MODEL, "collapse", Layer.PREDICTION, tier, opened, resolved, "predictions are identical", 1.0,
        details={"waiting": []},
    )  # fmt: skip


def test_proposed_once_there_is_enough_and_said_everywhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    service = Service(tmp_path)
    service.hours(5)
    assert service.reason() == "learning 100/200"
    service.hours(15)
    assert service.reason() == "learning: 19 of 24 hours"
    assert service.states() == []
    service.hours(10)
    assert service.states() == [BaselineState.PROPOSED]
    (held,) = service.hub.baselines.listed(MODEL)
    assert held.origin == "learned"
    assert f"`mlmon baseline approve {held.baseline}`" in service.reason()
    assert [event["mlmon.baseline.state"] for event in service.events()] == ["proposed"]
    assert f"a learned baseline of model loans waits for approval: {held.baseline}" in caplog.text
    assert service.watches_nothing
    service.hours(60)
    assert service.built == 1
    assert service.watches_nothing  # never silently


def test_approved_it_is_what_the_model_is_compared_with(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.hours(30)
    (held,) = service.hub.baselines.listed(MODEL)
    service.hub.baseline(BaselineOrder("approve", MODEL, held.baseline))
    service.clock.minute += 10
    service.hub.close()
    service.open()
    assert not service.watches_nothing
    assert [event["mlmon.baseline.state"] for event in service.events()] == ["proposed", "active"]


def test_a_newer_one_takes_its_place_every_week(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.hours(24 + 7 * 24 + 2)
    assert service.states() == [BaselineState.PROPOSED, BaselineState.REPLACED]
    newest, older = service.hub.baselines.listed(MODEL)
    assert newest.rows > older.rows
    service.hub.close()
    service.open()
    service.hours(5)
    assert service.built == 2


def test_the_configured_rule_activates_it_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    service = Service(tmp_path, LearningRule(min_rows=200, min_hours=24, activate_after_hours=48))
    service.hours(40)
    assert service.states() == [BaselineState.PROPOSED]
    assert "or by itself, 39 of 48 healthy hours are there" in service.reason()
    service.hours(12)
    assert service.states() == [BaselineState.ACTIVE, BaselineState.REPLACED]
    assert "learning.activate_after = 48 hours are over" in caplog.text
    assert service.events()[-1]["mlmon.baseline.state"] == "active"


def test_an_urgent_incident_stops_it_and_what_came_before_is_not_learned(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.hours(10)
    opened = service.clock.minute
    service.store.write_incidents([(urgent(opened, None), "opened", opened)])
    service.hours(30)
    assert service.states() == []
    assert service.reason() == "learning waits until this is over: predictions are identical [collapse]"
    resolved = service.clock.minute
    service.store.write_incidents([(urgent(opened, resolved), "resolved", resolved)])
    service.hours(20)
    assert service.states() == []
    service.hours(10)
    (held,) = service.hub.baselines.listed(MODEL)
    assert held.rows <= 27 * 20


def test_a_service_that_fails_is_not_healthy(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.hours(30 - 12)
    cells = service.hub.evaluators()[0].plan.layout.traffic
    failing = traffic(service.clock.minute - 1, 1000)
    failing.vector[cells.ok], failing.vector[cells.server_error] = 900, 100
    service.seq += 1
    service.hub.flush(flush(service.seq, [failing], through=service.clock.minute - 1))
    service.hours(12)
    assert service.states() == []
    assert service.reason() == "learning waits: more than 5% of the day's requests fail"


def test_a_rejected_one_is_not_proposed_again(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.hours(30)
    (held,) = service.hub.baselines.listed(MODEL)
    service.hub.baseline(BaselineOrder("reject", MODEL, held.baseline))
    service.hours(8 * 24)
    assert service.states() == [BaselineState.REJECTED]
    assert "was rejected" in service.reason()


def test_rows_that_make_no_baseline_are_said_and_tried_an_hour_later(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.problem = BaselineError("nothing can be counted", code="no_features")
    service.hours(27)
    assert service.reason() == "no baseline could be learned: nothing can be counted [no_features]"
    service.problem = None
    service.hours(1)
    assert service.states() == [BaselineState.PROPOSED]


def test_a_model_that_does_not_learn(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.rule = None  # type: ignore[assignment]
    service.hub.close()
    service.open()
    service.hours(30)
    assert service.states() == []
    assert "mlmon baseline learn" in service.reason()
