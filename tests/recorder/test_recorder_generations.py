"""What the recorder tells of language models: figures, and attributes of log records."""

import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "decode"))
from llm_exchanges import STARTED_NS, exchange_of

from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.export.catalog import CONTENT, EVENTS, PREDICTION_EVENT
from mlmon_sidecar.recorder import RecordedModel, Recorder
from mlmon_sidecar.recorder import generations as module
from mlmon_sidecar.recorder.generations import MAX_CONTENT, GenerationBook
from mlmon_sidecar.records import Distribution, End, Event, Exchange, Flush, FlushReceipt, FlushStatus, Measurement
from mlmon_sidecar.redact.redactor import Redactor
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.telemetry import Telemetry

MAIL = "jane.doe@example.com"


class Clock:
    def monotonic_ns(self) -> int:
        return STARTED_NS

    def unix_ns(self) -> int:
        return STARTED_NS

    def unix_at(self, monotonic_ns: int) -> int:
        return monotonic_ns


class Hub:
    def flush(self, flush: Flush) -> FlushReceipt:
        return FlushReceipt(FlushStatus.COMMITTED, 0)


class Recorded:
    """A recorder whose steps a test takes, and everything that it tells."""

    def __init__(self, book: GenerationBook, *, keep: float = 1.0, **options: Any) -> None:
        self.events: list[Event] = []
        self.handoff = Handoff(max_items=1_000)
        self.telemetry = Telemetry()
        model = RecordedModel(DecodeOptions("m", **options), Layout.bare("m"), Redactor(), keep=keep)
        self.recorder = Recorder(
            {"m": model}, self.handoff, Hub(), Clock(), self.telemetry, telling=self, generations=book  # type: ignore[arg-type]
        )  # fmt: skip

    def event(self, event: Event) -> None:
        self.events.append(event)

    def record(self, *exchanges: Exchange) -> "Recorded":
        for exchange in exchanges:
            self.handoff.put(tuple(exchange))
        while self.recorder._stages.step():
            pass
        self.recorder._stages.count_gathered()
        assert not [name for name in self.telemetry.snapshot() if name.startswith("errors.")]
        return self

    def attributes(self) -> dict[str, object]:
        (event,) = self.events
        assert event.name == PREDICTION_EVENT
        assert {key for key, _ in event.attributes} <= set(EVENTS[PREDICTION_EVENT].attributes)
        return dict(event.attributes)


def everything(prediction_id: str) -> bool:
    return True


def spoken(text: str, **changes: Any) -> Exchange:
    """A chat in which the user says ``text`` and the answer repeats it."""
    request = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": text}]})
    message = {"index": 0, "message": {"role": "assistant", "content": f"You said {text}"}, "finish_reason": "stop"}
    response = orjson.dumps({"id": "chatcmpl-1", "object": "chat.completion", "model": "m", "choices": [message]})
    return exchange_of("litserve_chat")._replace(
        request_body=(request,), request_bytes=len(request), response_body=(response,), response_bytes=len(response),
        **changes,
    )  # fmt: skip


def test_a_prediction_log_carries_its_generation_and_its_trace() -> None:
    exchange = exchange_of("litserve_chat_stream", trace_id=7, span_id=9)
    recorded = Recorded(GenerationBook(everything)).record(exchange)
    found = recorded.attributes()
    assert {name: value for name, value in found.items() if name.startswith("gen_ai.")} == {
        "gen_ai.operation.name": "chat",
        "gen_ai.system": "openai",
        "gen_ai.request.model": "lit",
        "gen_ai.response.model": "lit",
        "gen_ai.response.id": "chatcmpl-eb830b",
        "gen_ai.response.finish_reasons": "stop",
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 5,
    }
    assert found["mlmon.time_to_first_token"] == pytest.approx(0.007448)
    assert found["mlmon.tokens.estimated"] is False
    assert (recorded.events[0].trace_id, recorded.events[0].span_id) == (7, 9)


def test_figures_cover_every_generation_and_log_records_only_the_sample() -> None:
    finished = [exchange_of("litserve_chat_stream", prediction_id=f"p{number}") for number in range(4)]
    aborted = exchange_of("litserve_chat_stream", prediction_id="gone", end=End.DISCONNECT)
    recorded = Recorded(GenerationBook(lambda prediction_id: prediction_id == "p2")).record(*finished, aborted)
    told = {event.attributes[0][1]: len(event.attributes) for event in recorded.events}
    assert told.keys() == {"p0", "p1", "p2", "p3"}
    assert [name for name, count in told.items() if count > 6] == ["p2"]
    figures = recorded.recorder.measurements()
    durations = [f for f in figures if isinstance(f, Distribution) and f.name == "gen_ai.server.request.duration"]
    assert {dict(f.attributes).get("error.type"): sum(f.counts) for f in durations} == {None: 4, "abort": 1}
    finishes = [f for f in figures if isinstance(f, Measurement) and f.name == "mlmon.llm.finish"]
    assert {dict(f.attributes)["mlmon.finish.reason"]: f.value for f in finishes} == {"stop": 4, "abort": 1}


def test_content_stays_in_the_process_by_default() -> None:
    found = Recorded(GenerationBook(everything)).record(spoken("my secret")).attributes()
    assert not set(CONTENT) & found.keys()
    assert "secret" not in repr(found)


def test_content_that_is_switched_on_is_redacted_and_cut() -> None:
    text = f"write to {MAIL} " + "x" * 2 * MAX_CONTENT
    recorded = Recorded(GenerationBook(everything), content=True).record(spoken(text))
    found = recorded.attributes()
    assert MAIL not in repr(recorded.events)
    for name, role, begins in (
        ("gen_ai.input.messages", "user", "write to <email> xxx"),
        ("gen_ai.output.messages", "assistant", "You said write to <email> xxx"),
    ):
        (message,) = orjson.loads(str(found[name]))
        assert message["role"] == role
        assert message["parts"][0]["content"].startswith(begins)
        assert len(message["parts"][0]["content"]) == MAX_CONTENT


def test_generations_of_rows_that_are_not_kept_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNTOLD", 3)
    book = GenerationBook(everything)
    recorded = Recorded(book, keep=0.0).record(
        *(exchange_of("litserve_chat", prediction_id=f"p{number}") for number in range(10))
    )
    assert recorded.events == []
    assert [bool(book.attributes(f"p{number}", str)) for number in range(10)] == [False] * 7 + [True] * 3


def test_newer_names_on_log_records_too() -> None:
    recorded = Recorded(GenerationBook(everything, latest=True)).record(exchange_of("litserve_chat"))
    found = dict(recorded.events[0].attributes)
    assert found["gen_ai.provider.name"] == "openai"
    assert "gen_ai.system" not in found
