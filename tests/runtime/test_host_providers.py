"""An application that sends its own metrics, or whose framework does: our figures go with them, up to the last."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from otlp_collector import Collector
from runtime_serving import ID, applicants, configure, serving

COUNT = 12
DURATION = "mlmon.prediction.duration"


@pytest.fixture
def tap() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


def attributes(message: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in message.attributes}


def serve(folder: Path, application: str, export: str, **environ: str) -> tuple[list[str], str]:
    """(prediction ids, what the server wrote) of a server that is well stopped."""
    configure(folder, export, models='routes = ["POST /score"]')
    with serving(folder, application, **environ) as served:
        ids = [served.score(**row).headers[ID] for row in applicants(COUNT)]
        served.counted(COUNT)
    return ids, served.told


def last(tap: Collector, name: str) -> Any:
    """The points of its last export."""
    (*_, metric) = [metric for metric in tap.arrived["metrics"] if metric.name == name]
    return getattr(metric, metric.WhichOneof("data")).data_points


def test_the_application_s_own_exporter_takes_ours_along(tap: Collector, tmp_path: Path) -> None:
    """It exports when it ends: what it has then is everything."""
    serve(tmp_path, "metered", "", TEST_TAP=tap.url)
    tap.wait("metrics", lambda metrics: DURATION in {metric.name for metric in metrics})
    (point,) = last(tap, DURATION)
    assert point.count == COUNT == sum(point.bucket_counts) and 0 < point.sum
    said = attributes(point)
    assert said.pop("mlmon.recorder") and said == {"mlmon.model.name": "loans", "mlmon.model.version": "v7"}
    (point,) = last(tap, "mlmon.predictions")
    assert point.as_int == COUNT
    assert {metric.name for metric in tap.arrived["metrics"] if metric.name.startswith("mlmon.batch")} == set()


def test_what_fastapi_sets_up_by_itself_is_used(tap: Collector, tmp_path: Path) -> None:
    """It sets global providers as its start-up begins, where it is asked to: ours come after that, and join in."""
    if "telemetry" not in inspect.signature(FastAPI.__init__).parameters:
        pytest.skip("this FastAPI sends nothing by itself")
    export = '[export]\nprediction_logs = 1.0\nendpoint = "http://127.0.0.1:1"'  # a pipeline of our own would fail
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": tap.url, "FASTAPI_OTEL_AUTO_CONFIGURE": "true"}
    ids, told = serve(tmp_path, "monitored", export, **environ)
    tap.wait("metrics", lambda metrics: DURATION in {metric.name for metric in metrics})
    (point,) = last(tap, DURATION)
    assert point.count == COUNT and "mlmon.recorder" in attributes(point)
    names = {metric.name for metric in tap.arrived["metrics"]}
    assert "http.server.request.duration" in names, "the framework's own"
    assert "mlmon.batch.size" not in names, "no pipeline of our own beside it"

    def joined(spans: list[Any]) -> list[Any] | None:
        found = [span for span in spans if "mlmon.prediction.id" in attributes(span)]
        return found if len(found) == COUNT else None

    spans = tap.wait("traces", joined)
    assert {attributes(span)["mlmon.prediction.id"] for span in spans} == set(ids)
    records = tap.wait(
        "logs", lambda logs: [r for r in logs if r.event_name == "mlmon.prediction"] if len(logs) >= COUNT else None
    )
    assert {(record.trace_id, record.span_id) for record in records} == {(s.trace_id, s.span_id) for s in spans}
    assert not [line for line in told.splitlines() if line.startswith("mlmon")]
