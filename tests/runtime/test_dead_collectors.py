"""A collector that is broken somehow costs its own data only, and every lost record is counted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from collector_faults import FAULTS, GRPC, HTTP, Fault, black_hole, silent, well
from dead_collectors_program import QUEUE, Measured, answer, measure, score

from mlmon_sidecar.runtime.process import STOP_SECONDS

pytestmark = pytest.mark.alone

REQUESTS = 300
SLACK_SECONDS = 5.0  # of a busy machine; without a deadline these would take thirty
REASONS = {  # what the libraries call each fault, by protocol
    "refused": ({"ConnectionError"}, {"UNAVAILABLE", "DEADLINE_EXCEEDED"}),
    "black_hole": ({"ConnectTimeout"}, {"UNAVAILABLE", "DEADLINE_EXCEEDED"}),
    "silent": ({"ReadTimeout"}, {"UNAVAILABLE", "DEADLINE_EXCEEDED"}),
    "slow": ({"ReadTimeout"}, {"DEADLINE_EXCEEDED"}),
    "too_many": ({"429"}, {"RESOURCE_EXHAUSTED"}),
    "unavailable": ({"503"}, {"UNAVAILABLE"}),
    "wrong_certificate": ({"SSLError"}, {"UNAVAILABLE", "DEADLINE_EXCEEDED"}),
    "plain_where_tls_is_meant": ({"SSLError"}, {"UNAVAILABLE", "DEADLINE_EXCEEDED"}),
    "tls_where_plain_is_meant": ({"ConnectionError"}, {"UNAVAILABLE", "DEADLINE_EXCEEDED"}),
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short queue, so that it overflows, and a quick end to each attempt."""
    monkeypatch.setenv("OTEL_BLRP_MAX_QUEUE_SIZE", str(QUEUE))
    monkeypatch.setenv("OTEL_BLRP_SCHEDULE_DELAY", "50")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.4")  # below the exporters' first back-off


def untouched(found: Measured) -> None:
    """Every answer is the one without a monitor."""

    async def bare() -> list[object]:
        return [await answer(score, number) for number in range(REQUESTS)]

    assert found.answers == asyncio.run(bare())


def total(found: Measured, prefix: str) -> int:
    return sum(count for name, count in found.counted.items() if name.startswith(prefix))


@pytest.mark.parametrize("protocol", [HTTP, GRPC])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_requests_are_as_without_it_and_what_was_lost_is_counted(fault: Fault, protocol: str, tmp_path: Path) -> None:
    found = measure(fault, protocol, tmp_path, REQUESTS)
    untouched(found)
    assert 0 < found.held_events <= QUEUE, "never beyond; that it was full is counted below"
    assert found.sent == REQUESTS == total(found, "events.dropped."), found.counted
    assert found.counted["events.dropped.queue_full"] == REQUESTS - QUEUE
    for signal in ("metrics", "logs"):
        seen = {name.rpartition(".")[2] for name in found.counted if name.startswith(f"export.failures.{signal}.")}
        assert seen and seen <= REASONS[fault.__name__][protocol == GRPC], found.counted


@pytest.mark.parametrize("protocol", [HTTP, GRPC])
def test_a_collector_that_is_well_takes_everything(
    protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "10")
    monkeypatch.setenv("OTEL_BLRP_MAX_QUEUE_SIZE", str(2 * REQUESTS))
    found = measure(well, protocol, tmp_path, REQUESTS)
    untouched(found)
    assert (found.sent, found.taken, found.counted) == (REQUESTS, REQUESTS, {})


@pytest.mark.parametrize(("fault", "protocol"), [(black_hole, GRPC), (silent, HTTP)], ids=["black_hole", "silent"])
def test_the_end_waits_no_longer_than_the_deadline(
    fault: Fault, protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "30")
    found = measure(fault, protocol, tmp_path, REQUESTS)
    assert found.in_time and found.stop_seconds < STOP_SECONDS + SLACK_SECONDS
    assert total(found, "events.dropped.") == REQUESTS, "what was under way counts as lost"
