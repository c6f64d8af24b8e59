"""Receivers nobody here wrote get every entry of the catalogue: name, unit, type, temporality, attributes, value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from whole_catalog import (
    Log,
    Rotel,
    Seen,
    events,
    expected,
    expected_logs,
    figures,
    free_port,
    logs_of_rotel,
    metrics_of_rotel,
    pairs,
    requests,
    rotel_agent,
    seen_in_protobuf,
)

from mlmon_sidecar.export.catalog import CATALOG
from mlmon_sidecar.export.otel import Exporter
from mlmon_sidecar.telemetry import Telemetry

SOON = 30.0


def send_twice(options: Any, clock: Any) -> Telemetry:
    """Two exports of everything; the events go with the first."""
    cycle, telemetry = 0, Telemetry()
    exporter = Exporter(options, [lambda: figures(cycle)], telemetry, clock)
    exporter.start()
    for event in events():
        exporter.event(event)
    assert exporter.flush(SOON), exporter.last_outcome()
    cycle = 1
    clock.advance(60)
    assert exporter.flush(SOON), exporter.last_outcome()
    exporter.shutdown(SOON)
    return telemetry


@pytest.fixture(scope="module")
def rotel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rotel]:
    program = rotel_agent()
    if program is None:
        pytest.skip("the package rotel is not installed")
    running = Rotel(program, tmp_path_factory.mktemp("rotel"), (free_port(), free_port()))
    yield running
    running.close()


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_oteltap_over_http(tap: Any, clock: Any, options_for: Callable[..., Any], temporality: str) -> None:
    telemetry = send_twice(options_for(tap.url, temporality=temporality, prediction_logs=1.0), clock)
    assert telemetry.snapshot() == {}, "nothing failed, nothing was left out"
    last = list(CATALOG)[-1]
    tap.metric(last, 1)
    for cycle in (0, 1):
        found: dict[str, Seen] = {name: seen_in_protobuf(tap.metric(name, cycle)) for name in CATALOG}
        assert found == expected(cycle, delta=temporality == "delta")
    for (name, severity), log in expected_logs().items():
        wanted = (name, severity)
        record = tap.wait("logs", lambda one, wanted=wanted: (one.event_name, one.severity_text) == wanted)
        assert Log(record.severity_text, record.body.string_value, pairs(record.attributes)) == log


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_rotel(
    rotel: Rotel, clock: Any, options_for: Callable[..., Any], protocol: str, compression: str, temporality: str
) -> None:
    service = f"{protocol} {compression} {temporality}"  # tells this run's requests from the others'
    environ = {"OTEL_EXPORTER_OTLP_COMPRESSION": compression, "OTEL_SERVICE_NAME": service}
    url = rotel.grpc if protocol == "grpc" else rotel.http
    options = options_for(url, environ, protocol=protocol, temporality=temporality, prediction_logs=1.0)
    assert send_twice(options, clock).snapshot() == {}

    def of_this_run(text: str) -> list[str]:
        mine = f"-> service.name: Str({service})"
        return [request for request in requests(text, "ResourceMetrics") if mine in request]

    text = rotel.wait(lambda text: len(of_this_run(text)) > 2)  # the third is that of the end
    for cycle, request in enumerate(of_this_run(text)[:2]):
        assert metrics_of_rotel(request) == expected(cycle, delta=temporality == "delta")
    assert logs_of_rotel(text) == expected_logs()
