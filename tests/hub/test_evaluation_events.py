"""A label of a language model's answer, told as the OpenTelemetry conventions have it."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from small_hub import MODEL, NOON, ManualClock, bare_plan, flush, kept

from mlmon_sidecar.export.catalog import EVENTS
from mlmon_sidecar.hub.hub import Hub
from mlmon_sidecar.records import Event, Label, Severity
from mlmon_sidecar.store.sqlite import SqliteStore
from mlmon_sidecar.telemetry import Telemetry

NAME = "gen_ai.evaluation.result"


@dataclass
class Told:
    events: list[Event] = field(default_factory=list)
    broken: bool = False

    def event(self, event: Event) -> None:
        if self.broken:
            raise RuntimeError("payload text")
        self.events.append(event)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def hub(tmp_path: Path, told: Told) -> Hub:
    hub = Hub(SqliteStore(tmp_path / "mlmon.db"), [bare_plan()], ManualClock(), Telemetry(), telling=told)
    answer = kept("p", NOON)._replace(alias="chatcmpl-7", trace_id=f"{5:032x}", span_id=f"{6:016x}")
    hub.flush(flush(1))
    hub.flush(flush(2, rows=[answer, kept("other", NOON)._replace(alias="tx-1")]))
    return hub


@pytest.mark.parametrize(
    ("label", "source", "score"),
    [
        ("helpful", "rater", ("gen_ai.evaluation.score.label", "helpful")),
        ("0.75", "judge", ("gen_ai.evaluation.score.value", 0.75)),
        ("nan", "", ("gen_ai.evaluation.score.label", "nan")),
    ],
)
def test_feedback_on_an_answer_is_an_evaluation_result(
    hub: Hub, told: Told, label: str, source: str, score: tuple[str, object]
) -> None:
    at = (NOON + 5) * 60_000_000_000
    hub.labels([Label("chatcmpl-7", label, at, source=source), Label("tx-1", "yes", at)])
    hub.tick()
    hub.tick()
    (event,) = [event for event in told.events if event.name == NAME]
    assert dict(event.attributes) == dict(
        [
            ("gen_ai.evaluation.name", source or "feedback"),
            score,
            ("gen_ai.response.id", "chatcmpl-7"),
            ("mlmon.model.name", MODEL),
            ("mlmon.model.version", "v1"),
        ]
    )
    assert {key for key, _ in event.attributes} <= set(EVENTS[NAME].attributes)
    assert (event.trace_id, event.span_id, event.at_ns, event.severity) == (5, 6, at, Severity.INFO)


def test_an_outcome_is_told_in_the_trace_of_its_prediction(hub: Hub, told: Told) -> None:
    at = (NOON + 3) * 60_000_000_000
    traced = kept("traced", NOON)._replace(trace_id=f"{7:032x}", span_id=f"{8:016x}", predicted="yes")
    hub.flush(flush(3, rows=[traced]))
    hub.labels([Label("traced", "no", at, source="bank"), Label("tx-1", "yes", at)])
    hub.tick()
    hub.tick()
    (event,) = [event for event in told.events if event.name == "mlmon.outcome"]
    assert dict(event.attributes) == {
        "mlmon.model.name": MODEL,
        "mlmon.model.version": "v1",
        "mlmon.prediction.id": "traced",
        "mlmon.class": "yes",
        "mlmon.outcome.label": "no",
        "mlmon.outcome.source": "bank",
    }
    assert {key for key, _ in event.attributes} == set(EVENTS["mlmon.outcome"].attributes)
    assert (event.trace_id, event.span_id, event.at_ns, event.severity) == (7, 8, at, Severity.INFO)
    assert event.body == f"{MODEL} v1: predicted yes, was no"
    hub.labels([Label("traced", "yes", at + 1, source="bank")])
    hub.tick()
    hub.tick()
    assert [dict(e.attributes)["mlmon.outcome.label"] for e in told.events] == ["no", "yes"], "and what corrects it"


def test_a_fault_in_telling_costs_no_label(hub: Hub, told: Told) -> None:
    told.broken = True
    hub.labels([Label("chatcmpl-7", "good", NOON * 60_000_000_000)])
    hub.tick()
    assert hub.store.label_counts(MODEL) == {"matched": 1}
