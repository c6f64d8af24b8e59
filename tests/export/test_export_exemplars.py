"""Exemplars of histograms at receivers nobody here wrote: trace, value, and times within their point's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from whole_catalog import Rotel, free_port, requests, rotel_agent

from mlmon_sidecar.export.figures import newest
from mlmon_sidecar.export.otel import Exporter
from mlmon_sidecar.hub.summed import summed
from mlmon_sidecar.records import Distribution, TraceExemplar
from mlmon_sidecar.telemetry import Telemetry

SOON = 20.0
NAME = "mlmon.prediction.duration"


def duration(times: int, *exemplars: TraceExemplar) -> Distribution:
    return Distribution(NAME, (0.1, 1.0), (times, times, 0), 0.6 * times, (), exemplars)


class Source:
    now: Sequence[Distribution] = ()

    def __call__(self) -> Sequence[Distribution]:
        return self.now


def told(point: Any) -> list[tuple[float, int, int, int]]:
    return [
        (e.as_double, e.time_unix_nano, int.from_bytes(e.trace_id), int.from_bytes(e.span_id)) for e in point.exemplars
    ]


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_they_arrive_within_the_time_of_their_point(tap: Any, clock: Any, options_for: Any, temporality: str) -> None:
    start, source = clock.now_ns, Source()
    exporter = Exporter(options_for(tap.url, temporality=temporality), [source], Telemetry(), clock)
    exporter.start()
    first = TraceExemplar(0.05, start + 5, (7 << 64) + 8, 9)
    source.now = [duration(1, TraceExemplar(0.05, start - 5, 1, 2), first)]
    clock.advance(60)
    assert exporter.flush(SOON)
    second = TraceExemplar(0.5, clock.now_ns + 5, 10, 11)
    source.now = [duration(2, first, second)]
    clock.advance(60)
    assert exporter.flush(SOON)
    (one,), (two,) = (tap.metric(NAME, number).histogram.data_points for number in (0, 1))
    assert told(one) == [(0.05, start + 5, (7 << 64) + 8, 9)]
    last = (0.5, start + 60_000_000_005, 10, 11)
    assert told(two) == ([last] if temporality == "delta" else [told(one)[0], last])
    exporter.shutdown(SOON)


def test_rotel_reads_them(tmp_path: Any, clock: Any, options_for: Any) -> None:
    program = rotel_agent()
    if program is None:
        pytest.skip("the package rotel is not installed")
    rotel = Rotel(program, tmp_path, (free_port(), free_port()))
    try:
        source = Source()
        exporter = Exporter(options_for(rotel.grpc, protocol="grpc"), [source], Telemetry(), clock)
        exporter.start()
        source.now = [duration(1, TraceExemplar(0.05, clock.now_ns + 5, 7, 9))]
        clock.advance(60)
        assert exporter.flush(SOON)
        text = rotel.wait(lambda text: bool(requests(text, "ResourceMetrics")))
        assert f"{7:032x}" in text and f"{9:016x}" in text
        exporter.shutdown(SOON)
    finally:
        rotel.close()


def test_of_several_series_the_newest_are_kept() -> None:
    found = [TraceExemplar(0.05, at, at, at) for at in range(1, 6)]
    (both,) = summed([[duration(1, *found[:3])], [duration(1, *found[3:])]])
    assert isinstance(both, Distribution)
    assert both.exemplars == tuple(found[-3:]) == newest(found, 3)
