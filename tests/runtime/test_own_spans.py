"""Spans of our own: one SERVER span a prediction where the application traces nothing, and none where it does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from otlp_collector import Collector
from runtime_serving import ID, applicants, configure, serving, stored

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
MAIL = "jane.doe@example.com"


@pytest.fixture
def tap() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


def attributes(message: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in message.attributes}


def configured(folder: Path, tap: Collector) -> None:
    export = f'[export]\nendpoint = "{tap.url}"\nspans = "own"\nprediction_logs = 1.0'
    configure(folder, export, models='routes = ["POST /score", "POST /raise", "POST /lenient/**"]')


def test_each_prediction_is_one_span(tap: Collector, tmp_path: Path) -> None:
    configured(tmp_path, tap)
    kept = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    left = {"traceparent": f"00-{'ab' * 16}-{PARENT}-00"}
    row = applicants(1)[0]
    with serving(tmp_path, "monitored") as served:
        alone = served.score(**row).headers[ID]
        with_parent = served.client.post("/score", json=row, headers=kept).headers[ID]
        not_sampled = served.client.post("/score", json=row, headers=left).headers[ID]
        httpx.post(f"{served.url}/lenient/{MAIL}")
        httpx.post(f"{served.url}/raise")  # the server ends this connection
        httpx.get(f"{served.url}/health")
        served.counted(5)
    spans = tap.wait("traces", lambda spans: spans if len(spans) >= 4 else None)
    assert len(spans) == 4, "the caller's sampling is followed, and other paths are no predictions"
    assert {span.kind for span in spans} == {2}, "SERVER"
    by_id = {attributes(span)["mlmon.prediction.id"]: span for span in spans}
    first, second = by_id[alone], by_id[with_parent]
    assert first.name == "POST /score" and not first.parent_span_id
    assert attributes(first) == {
        "http.request.method": "POST", "http.route": "/score", "url.path": "/score", "http.response.status_code": 200,
        "mlmon.prediction.id": alone, "mlmon.model.name": "loans",
    }  # fmt: skip
    assert first.status.code == 0 and first.start_time_unix_nano < first.end_time_unix_nano
    assert (second.trace_id.hex(), second.parent_span_id.hex()) == (TRACE, PARENT)
    (failed,) = [span for span in spans if span.name == "POST /raise"]
    assert failed.status.code == 2, "ERROR"
    assert attributes(failed)["error.type"] in {"500", "LookupError"}
    (personal,) = [span for span in spans if "lenient" in span.name]
    assert personal.name == "POST /lenient/**" and MAIL not in attributes(personal)["url.path"]
    rows = {row[0]: row[1:] for row in stored(tmp_path, "prediction_id, trace_id, span_id")}
    for prediction in (alone, with_parent):
        span = by_id[prediction]
        assert rows[prediction] == (span.trace_id.hex(), span.span_id.hex()), "the row leads to its span"
    assert rows[not_sampled][0] == "ab" * 16, "it is in the caller's trace all the same"
    records = tap.wait("logs", lambda logs: [r for r in logs if r.event_name == "mlmon.prediction"] or None)
    assert first.span_id in {record.span_id for record in records}


def test_where_the_application_traces_there_is_none(tap: Collector, tmp_path: Path) -> None:
    configured(tmp_path, tap)
    with serving(tmp_path, "traced", TEST_TAP=tap.url) as served:
        ids = {served.score(**row).headers[ID] for row in applicants(3)}
        served.counted(3)
    handling = lambda spans: [s for s in spans if s.name == "handling /score"]  # noqa: E731
    spans = tap.wait("traces", lambda spans: handling(spans) if len(handling(spans)) >= 3 else None)
    assert {attributes(span)["mlmon.prediction.id"] for span in spans} == ids
    joined = {span.name for span in tap.arrived["traces"] if "mlmon.prediction.id" in attributes(span)}
    assert joined == {"handling /score"}
