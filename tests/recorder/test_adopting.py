"""Another baseline while rows come in: each row is counted by one layout, and none is lost."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import orjson
import pytest

from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.errors import BaselineError, HubUnavailable
from mlmon_sidecar.recorder import RecordedModel, Recorder
from mlmon_sidecar.recorder.adopting import ASK_NS, Adopting
from mlmon_sidecar.records import (
    MINUTE_NS,
    BaselineOrder,
    Erased,
    Flush,
    FlushReceipt,
    FlushStatus,
    HeldBaseline,
    Label,
    LabelReceipt,
    PredictionBatch,
)
from mlmon_sidecar.redact.redactor import Redactor
from mlmon_sidecar.statistics.layout import Layout, NumericFeature, PredictionSpace
from mlmon_sidecar.telemetry import Telemetry

BARE = Layout.bare("m")
CUT = Layout("m", (NumericFeature("x", (1.5, 3.5), (0, 1), 0.0, 9.0, 2.0, 1.0),), PredictionSpace("none"))


class FakeClock:
    def __init__(self) -> None:
        self.now_ns = 50 * MINUTE_NS

    def monotonic_ns(self) -> int:
        return self.now_ns

    def unix_ns(self) -> int:
        return self.now_ns

    def unix_at(self, monotonic_ns: int) -> int:
        return monotonic_ns


class FakeHub:
    def __init__(self) -> None:
        self.taken: list[Flush] = []
        self.active: dict[str, tuple[str, int]] = {}
        self.asked: list[str] = []
        self.away = False

    def flush(self, flush: Flush) -> FlushReceipt:
        self.taken.append(flush)
        return FlushReceipt(FlushStatus.COMMITTED, 0)

    def query(self, path: str, params: Mapping[str, str]) -> bytes:
        self.asked.append(path)
        if self.away:
            raise HubUnavailable("no hub", code="hub_unreachable")
        return orjson.dumps({"active": self.active} if path == "baselines" else {"document": params["baseline"]})

    def labels(self, labels: object) -> list[LabelReceipt]:
        raise AssertionError(Label)

    def erase(self, ids: object, aliases: object) -> Erased:
        raise AssertionError

    def baseline(self, order: BaselineOrder) -> HeldBaseline:
        raise AssertionError

    def close(self) -> None: ...


def model(layout: Layout) -> RecordedModel:
    return RecordedModel(DecodeOptions("m"), layout, Redactor())


def rows(*values: float) -> PredictionBatch:
    made = batch_from_columns("m", now_ns=0, features={"x": list(values)}, scores=[0.5] * len(values))
    return replace(made, event_ns=np.full(len(values), 50 * MINUTE_NS))


def test_rows_leave_in_panes_of_the_layout_they_were_counted_by() -> None:
    hub = FakeHub()
    recorder = Recorder({"m": model(BARE)}, Handoff(max_items=10), hub, FakeClock(), Telemetry())
    recorder.observe(rows(1.0, 2.0))
    recorder.adopt("m", model(CUT))
    recorder.observe(rows(3.0, 4.0, 5.0))
    recorder.flush()
    panes = {pane.key.layout: pane.vector for flush in hub.taken for pane in flush.panes}
    assert panes[BARE.hash][BARE.traffic.rows] == 2
    assert panes[CUT.hash][CUT.traffic.rows] == 3
    cells = CUT.cells["x"]
    assert panes[CUT.hash][cells.bins].tolist() == [0, 1, 2]


def test_taken_over_at_its_minute_once() -> None:
    hub, clock, made = FakeHub(), FakeClock(), list[str]()

    def make(name: str, document: str) -> RecordedModel:
        made.append(document)
        return model(CUT)

    adopting = Adopting(hub, clock, Telemetry(), make)
    assert list(adopting.due()) == []
    hub.active = {"m": ("b1", 52)}
    assert list(adopting.due()) == [] and hub.asked == ["baselines"]  # asked a moment ago
    clock.now_ns += ASK_NS
    assert list(adopting.due()) == [] and not made
    clock.now_ns = 52 * MINUTE_NS
    ((name, found),) = adopting.due()
    assert (name, found.layout, made) == ("m", CUT, ["b1"])
    clock.now_ns += ASK_NS
    assert list(adopting.due()) == []
    assert made == ["b1"]


def test_a_hub_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    hub, clock = FakeHub(), FakeClock()
    adopting = Adopting(hub, clock, Telemetry(), lambda name, document: model(CUT))
    hub.away = True
    assert list(adopting.due()) == []
    hub.away, hub.active = False, {"m": ("b1", 1)}
    clock.now_ns += ASK_NS
    assert [name for name, _ in adopting.due()] == ["m"]


def test_one_that_cannot_be_used_is_counted_and_not_tried_again() -> None:
    hub, clock, telemetry = FakeHub(), FakeClock(), Telemetry()
    hub.active = {"m": ("b1", 1)}

    def refuse(name: str, document: str) -> RecordedModel:
        raise BaselineError("redacted by other rules", code="policy_mismatch")

    adopting = Adopting(hub, clock, telemetry, refuse)
    assert list(adopting.due()) == []
    clock.now_ns += ASK_NS
    assert list(adopting.due()) == []
    assert hub.asked.count("baseline") == 1
    assert sum(count for name, count in telemetry.snapshot().items() if "adopting" in name) == 1
