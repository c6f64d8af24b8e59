"""Figures of language models, against counts made by hand and by the OpenTelemetry SDK."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View

from mlmon_sidecar.aggregate.generations import (
    DURATION_BOUNDS,
    FIRST_TOKEN_BOUNDS,
    MAX_ERRORS,
    MAX_NAMES,
    PER_TOKEN_BOUNDS,
    TOKEN_BOUNDS,
    Generations,
)
from mlmon_sidecar.export.catalog import CATALOG
from mlmon_sidecar.export.figures import Collector
from mlmon_sidecar.records import Distribution, Generation, GenerationEnd, Measurement
from mlmon_sidecar.telemetry import Telemetry

SECOND = 1_000_000_000
CHAT = Generation(
    operation="chat",
    system="openai",
    request_model="llama",
    response_model="llama-3.1-8b",
    response_id="chatcmpl-1",
    end=GenerationEnd.DONE,
    error_type="",
    streamed=True,
    duration_ns=2 * SECOND,
    choices=1,
    finish_reasons=("stop",),
    input_tokens=20,
    output_tokens=41,
    tokens_estimated=False,
    time_to_first_token_ns=SECOND // 4,
    time_per_output_token_ns=0.04375 * SECOND,
    output_chars=150,
    tool_calls=0,
    refusal=False,
    empty=False,
    truncated=False,
    partial=False,
)


def told(*generations: Generation, latest: bool = False) -> dict[str, list[Measurement | Distribution]]:
    figures = Generations(latest=latest)
    figures.add("m", "v1", generations)
    found: dict[str, list[Measurement | Distribution]] = {}
    for figure in figures.measurements():
        found.setdefault(figure.name, []).append(figure)
    return found


def test_one_generation_by_hand() -> None:
    found = told(CHAT)
    (duration,) = found["gen_ai.server.request.duration"]
    assert isinstance(duration, Distribution)
    assert duration.total == 2
    assert duration.counts[DURATION_BOUNDS.index(2.56)] == sum(duration.counts) == 1
    assert dict(duration.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.system": "openai",
        "gen_ai.request.model": "llama",
        "gen_ai.response.model": "llama-3.1-8b",
        "mlmon.model.name": "m",
    }
    (first,), (each,) = found["gen_ai.server.time_to_first_token"], found["gen_ai.server.time_per_output_token"]
    assert isinstance(first, Distribution)
    assert isinstance(each, Distribution)
    assert (first.total, first.counts[FIRST_TOKEN_BOUNDS.index(0.25)]) == (0.25, 1)
    assert (each.total, each.counts[PER_TOKEN_BOUNDS.index(0.05)]) == (0.04375, 1)
    tokens = {dict(figure.attributes)["gen_ai.token.type"]: figure for figure in found["gen_ai.client.token.usage"]}
    assert {kind: figure.total for kind, figure in tokens.items() if isinstance(figure, Distribution)} == {
        "input": 20,
        "output": 41,
    }
    (finish,) = found["mlmon.llm.finish"]
    assert isinstance(finish, Measurement)
    assert (finish.value, dict(finish.attributes)["mlmon.finish.reason"]) == (1, "stop")


def test_bounds_are_those_of_the_conventions() -> None:
    assert TOKEN_BOUNDS == (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
    assert pytest.approx([0.01 * 2**power for power in range(14)]) == DURATION_BOUNDS


@given(st.lists(st.sampled_from([0.0005, 0.001, 0.0011, 0.01, 0.25, 9.9, 10.0, 10.1, 500.0]), min_size=1, max_size=20))
def test_buckets_are_filled_as_the_sdk_fills_them(seconds: list[float]) -> None:
    reader = InMemoryMetricReader()
    view = View(instrument_name="h", aggregation=ExplicitBucketHistogramAggregation(FIRST_TOKEN_BOUNDS))
    provider = MeterProvider([reader], views=[view])
    histogram = provider.get_meter("t").create_histogram("h")
    for value in seconds:
        histogram.record(value)
    data = reader.get_metrics_data()
    assert data is not None
    (point,) = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    provider.shutdown()
    (ours,) = told(*(replace(CHAT, time_to_first_token_ns=round(value * SECOND)) for value in seconds))[
        "gen_ai.server.time_to_first_token"
    ]
    assert isinstance(ours, Distribution)
    assert tuple(point.bucket_counts) == ours.counts  # type: ignore[union-attr]
    assert point.sum == pytest.approx(ours.total)  # type: ignore[union-attr]


def test_estimated_tokens_are_no_usage() -> None:
    assert "gen_ai.client.token.usage" not in told(replace(CHAT, tokens_estimated=True))


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"end": GenerationEnd.ABORT}, "abort", "abort"),
        ({"end": GenerationEnd.ERROR, "error_type": "server_error"}, "server_error", "error"),
        ({"end": GenerationEnd.ERROR}, "_other", "error"),
    ],
)
def test_what_was_not_finished_has_an_error_type_and_no_token_times(
    changes: dict[str, object], error: str, reason: str
) -> None:
    found = told(replace(CHAT, **changes))  # type: ignore[arg-type]
    (duration,) = found["gen_ai.server.request.duration"]
    assert dict(duration.attributes)["error.type"] == error
    assert "gen_ai.server.time_to_first_token" not in found
    assert [dict(figure.attributes)["mlmon.finish.reason"] for figure in found["mlmon.llm.finish"]] == [reason]
    assert found["gen_ai.client.token.usage"]


def test_names_from_clients_are_bounded() -> None:
    many = [replace(CHAT, request_model=f"m{number}", finish_reasons=(f"r{number}",)) for number in range(500)]
    broken = [replace(CHAT, end=GenerationEnd.ERROR, error_type=f"e{number}") for number in range(100)]
    found = told(*many, *broken)
    durations = found["gen_ai.server.request.duration"]
    assert len({dict(f.attributes).get("gen_ai.request.model") for f in durations}) <= MAX_NAMES + 1
    assert len({dict(f.attributes).get("error.type") for f in durations}) <= MAX_ERRORS + 2
    assert [dict(f.attributes)["mlmon.finish.reason"] for f in found["mlmon.llm.finish"]] == ["_other", "error"]
    assert sum(sum(f.counts) for f in durations if isinstance(f, Distribution)) == 600


def test_newer_names_where_asked_for() -> None:
    (duration,) = told(CHAT, latest=True)["gen_ai.server.request.duration"]
    assert dict(duration.attributes)["gen_ai.provider.name"] == "openai"
    assert "gen_ai.system" not in dict(duration.attributes)


@pytest.mark.parametrize("latest", [False, True])
def test_the_catalogue_has_a_place_for_every_figure(*, latest: bool) -> None:
    telemetry = Telemetry()
    figures = Generations(latest=latest)
    figures.add("m", "v1", [CHAT, replace(CHAT, end=GenerationEnd.ERROR, error_type="timeout")])
    collected = Collector([figures.measurements], telemetry).collect()
    assert set(collected) == {figure.name for figure in figures.measurements()}
    assert set(collected) <= set(CATALOG)
    assert telemetry.snapshot() == {}
