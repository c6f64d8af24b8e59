"""A served model, its own tracing, and a collector nobody here wrote: what arrives there is what happened."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from otlp_collector import Collector
from runtime_serving import ID, SOON_SECONDS, applicants, build_baseline, configure, serving, stored
from scipy.stats import ks_2samp

MAIL = "jane.doe@example.com"
COUNT = 40
MODEL, VERSION = ("mlmon.model.name", "loans"), ("mlmon.model.version", "v7")


class Run(NamedTuple):
    tap: Collector
    folder: Path
    rows: list[dict[str, Any]]  # as sent
    answers: list[dict[str, Any]]  # with the prediction id under ID


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("telemetry")
    tap = Collector()
    configure(folder)
    build_baseline(folder, applicants(2_000))
    configure(
        folder,
        head=f"clock_scale = 240\nclock_anchor = {time.time()}",  # a minute is sealed every quarter of a second
        models=f'baseline = "{folder}/loans.json"\nroutes = ["POST /score"]',
        text=f"""
            [privacy]
            store_features = ["region", "note"]
            [export]
            endpoint = "{tap.url}"
            interval_seconds = 0.3
            prediction_logs = 1.0
        """,
    )
    rows: list[dict[str, Any]] = [row | {"income": row["income"] * 1.5} for row in applicants(COUNT, seed=8)]
    rows[3]["note"] = f"call me: {MAIL}"
    rows[4]["region"] = MAIL
    with serving(folder, "traced", TEST_TAP=tap.url) as served:
        answers = []
        for row in rows:
            response = served.score(**row)
            answers.append(response.json() | {ID: response.headers[ID]})
        yield Run(tap, folder, rows, answers)
    tap.close()


def attributes(message: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in message.attributes}


def newest(name: str, wanted: Callable[[Any], bool] = lambda point: True) -> Callable[[list[Any]], Any]:
    """(metric, point) of the last export that has such a point."""

    def find(metrics: list[Any]) -> Any:
        for metric in reversed(metrics):
            if metric.name == name:
                kind = metric.WhichOneof("data")
                for point in getattr(metric, kind).data_points:
                    if wanted(point):
                        return metric, point
        return None

    return find


def test_predictions_are_counted_for_model_and_version(run: Run) -> None:
    metric, point = run.tap.wait("metrics", newest("mlmon.predictions", lambda p: p.as_int == COUNT))
    assert metric.unit == "{prediction}" and metric.sum.is_monotonic
    assert attributes(point) == dict([MODEL, VERSION])


def test_durations_are_a_histogram_in_seconds(run: Run) -> None:
    metric, point = run.tap.wait("metrics", newest("mlmon.prediction.duration", lambda p: p.count == COUNT))
    assert metric.unit == "s" and sum(point.bucket_counts) == COUNT
    assert 0 < point.sum < COUNT * SOON_SECONDS
    assert attributes(point) == dict([MODEL, VERSION])


@pytest.mark.parametrize(
    ("name", "unit", "least"),
    [
        ("process.memory.usage", "By", 10_000_000),
        ("process.thread.count", "{thread}", 3),
        ("process.cpu.time", "s", 0.1),
        ("process.unix.file_descriptor.count", "{file_descriptor}", 5),
    ],
)
def test_the_process_is_told(run: Run, name: str, unit: str, least: float) -> None:
    metric, point = run.tap.wait("metrics", newest(name))
    assert metric.unit == unit
    assert max(point.as_int, point.as_double) >= least


def test_model_figures_come_from_the_hub(run: Run) -> None:
    model = {**dict([MODEL, VERSION]), "mlmon.window": "24h"}
    metric, point = run.tap.wait("metrics", newest("mlmon.window.samples", lambda p: p.as_int == COUNT))
    assert metric.unit == "{sample}" and attributes(point) == model

    def drift(feature: str) -> Callable[[list[Any]], Any]:
        return newest("mlmon.feature.drift.score", lambda p: attributes(p)["mlmon.feature.name"] == feature)

    metric, point = run.tap.wait("metrics", drift("income"))
    assert metric.unit == "{score}"
    assert attributes(point) == {**model, "mlmon.feature.name": "income", "mlmon.drift.method": "ks"}
    oracle = ks_2samp([row["income"] for row in run.rows], [row["income"] for row in applicants(2_000)]).statistic
    assert 0.2 < oracle and point.as_double == pytest.approx(oracle, abs=0.1), "binned, so somewhat below"
    _, point = run.tap.wait("metrics", drift("region"))
    assert attributes(point)["mlmon.drift.method"] == "total_variation"


def requests(spans: list[Any]) -> list[Any] | None:
    """The application's own spans of all predictions, without those of other paths and of its framework."""
    found = [span for span in spans if span.name == "handling /score"]
    return found if len(found) >= COUNT else None


def test_the_application_s_spans_name_their_prediction(run: Run) -> None:
    told = [attributes(span) for span in run.tap.wait("traces", requests)]
    assert {said["mlmon.prediction.id"] for said in told} == {answer[ID] for answer in run.answers}
    assert {said["mlmon.model.name"] for said in told} == {"loans"}
    assert len(told) == COUNT


def test_durations_name_traces_of_their_requests(run: Run) -> None:
    _, point = run.tap.wait("metrics", newest("mlmon.prediction.duration", lambda p: p.count == COUNT and p.exemplars))
    ids = {(span.trace_id, span.span_id) for span in run.tap.wait("traces", requests)}
    assert {(exemplar.trace_id, exemplar.span_id) for exemplar in point.exemplars} <= ids
    filled = [place for place, count in enumerate(point.bucket_counts) if count]
    named = [bisect_left(point.explicit_bounds, exemplar.as_double) for exemplar in point.exemplars]
    assert named == sorted(set(named)), "one a bucket"
    assert set(named) <= set(filled), "a request from before the exporter's start is in its bucket alone"
    assert all(point.start_time_unix_nano < e.time_unix_nano <= point.time_unix_nano for e in point.exemplars)


def test_every_prediction_is_one_log_record_in_the_request_s_span(run: Run) -> None:
    def predictions(found: list[Any]) -> list[Any] | None:
        records = [record for record in found if record.event_name == "mlmon.prediction"]
        return records if len(records) >= COUNT else None

    records = run.tap.wait("logs", predictions)
    spans = run.tap.wait("traces", requests)
    opened = {attributes(span).get("mlmon.prediction.id"): span for span in spans}
    told = {attributes(record)["mlmon.prediction.id"]: record for record in records}
    assert len(records) == len(told) == COUNT
    for answer in run.answers:
        record, span = told[answer[ID]], opened[answer[ID]]
        assert (record.trace_id, record.span_id) == (span.trace_id, span.span_id)
        said = attributes(record)
        assert said["mlmon.prediction.score"] == pytest.approx(answer["score"])
        assert said["mlmon.class"] == answer["prediction"]
        assert dict([MODEL, VERSION]).items() <= said.items()


def test_the_address_in_a_body_went_nowhere(run: Run) -> None:
    run.tap.wait("metrics", newest("mlmon.window.samples", lambda p: p.as_int == COUNT))
    kept = dict(stored(run.folder, "prediction_id, features"))
    assert "call me: " in kept[run.answers[3][ID]], "the feature itself was to be kept"
    messages = [message.SerializeToString() for found in run.tap.arrived.values() for message in found]
    files = [path.read_bytes() for path in run.folder.iterdir() if path.is_file()]
    assert len(messages) > 2 * COUNT and len(files) >= 4
    assert not [content for content in messages + files if MAIL.encode() in content]


def test_no_figure_or_event_was_refused_on_its_way_out(run: Run) -> None:
    run.tap.wait("metrics", newest("mlmon.window.samples", lambda p: p.as_int == COUNT))
    assert not [metric for metric in run.tap.arrived["metrics"] if metric.name == "mlmon.self.errors"]
